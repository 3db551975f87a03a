/* SPDX-License-Identifier: Apache-2.0 */
/* libdeflate: the fastest library to decompress pages; its compressor is for comparison. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "library.h"
#include "wire.h"

struct libdeflate_codec {
	struct iaactl_codec base;
	const struct iaactl_libdeflate *libdeflate;
	struct libdeflate_compressor *compressor;
	struct libdeflate_decompressor *decompressor;
	/* It looks for matches first, then at literals: a page that the guest writes to meanwhile
	 * becomes a stream that does not decode. */
	uint8_t copy[IAACTL_PAGE_BYTES];
	struct iaactl_codec *lenient; /* zlib, for what libdeflate refuses and QEMU does not */
};

static int compress_pages(struct iaactl_codec *base, struct iaactl_page *pages, uint32_t count,
			  uint32_t *ret)
{
	struct libdeflate_codec *codec = (struct libdeflate_codec *)base;
	uint32_t i;

	(void)ret;
	for (i = 0; i < count; i++) {
		size_t bytes;

		memcpy(codec->copy, pages[i].in, IAACTL_PAGE_BYTES);
		bytes = codec->libdeflate->libdeflate_deflate_compress(codec->compressor,
								       codec->copy,
								       IAACTL_PAGE_BYTES,
								       pages[i].out,
								       IAACTL_PAGE_ROOM);
		pages[i].bytes = bytes ? (uint32_t)bytes : IAACTL_PAGE_BYTES;
		pages[i].path = bytes ? IAACTL_PATH_SOFTWARE : IAACTL_PATH_RAW;
	}
	return 0;
}

static int decompress_pages(struct iaactl_codec *base, struct iaactl_page *pages, uint32_t count,
			    uint32_t *ret)
{
	struct libdeflate_codec *codec = (struct libdeflate_codec *)base;
	size_t used, made;
	uint32_t i, ignored;

	for (i = 0; i < count; i++) {
		/* With some bytes more than the page has, the end of the stream is decoded by the
		 * fast loop, too. A stream that really goes on behind its own bytes shows in
		 * `used`. */
		enum libdeflate_result result = codec->libdeflate->libdeflate_deflate_decompress_ex(
			codec->decompressor, pages[i].in, pages[i].bytes + IAACTL_READ_AHEAD,
			pages[i].out, IAACTL_PAGE_BYTES, &used, &made);

		if (result == LIBDEFLATE_SUCCESS && used <= pages[i].bytes &&
		    made == IAACTL_PAGE_BYTES) {
			pages[i].path = IAACTL_PATH_SOFTWARE;
			continue;
		}
		/* QEMU takes a stream without a final block; zlib decodes that. */
		if (!codec->lenient ||
		    iaactl_codec_decompress(codec->lenient, &pages[i], 1, &ignored)) {
			*ret = i;
			return -EBADMSG;
		}
	}
	return 0;
}

static void destroy(struct iaactl_codec *base)
{
	struct libdeflate_codec *codec = (struct libdeflate_codec *)base;

	iaactl_codec_destroy(codec->lenient);
	codec->libdeflate->libdeflate_free_compressor(codec->compressor);
	codec->libdeflate->libdeflate_free_decompressor(codec->decompressor);
	free(codec);
}

int iaactl_codec_libdeflate_create(int level, bool decompress, struct iaactl_codec **ret)
{
	const struct iaactl_libdeflate *libdeflate = iaactl_libdeflate();
	struct libdeflate_codec *codec;
	int err = 0;

	if (!libdeflate)
		return -ENOSYS;
	codec = calloc(1, sizeof(*codec));
	if (!codec)
		return -ENOMEM;
	codec->base.run = decompress ? decompress_pages : compress_pages;
	codec->base.destroy = destroy;
	codec->libdeflate = libdeflate;
	if (decompress) {
		codec->decompressor = libdeflate->libdeflate_alloc_decompressor();
		err = iaactl_codec_zlib_create(0, true, &codec->lenient);
		if (err == -ENOSYS)
			err = 0;
	} else {
		codec->compressor = libdeflate->libdeflate_alloc_compressor(level);
	}
	if (!err && !codec->compressor && !codec->decompressor)
		err = level < 0 || level > 12 ? -EINVAL : -ENOMEM;
	if (err) {
		destroy(&codec->base);
		return err;
	}
	*ret = &codec->base;
	return 0;
}
