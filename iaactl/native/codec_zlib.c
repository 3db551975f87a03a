/* SPDX-License-Identifier: Apache-2.0 */
/* zlib, page by page: what every machine has. Fixed codes, as the others' pages have them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "library.h"
#include "wire.h"

#define WINDOW_BITS 12 /* distances up to 4 KiB, what a device can look back */
#define MEMORY_LEVEL 8

struct zlib_codec {
	struct iaactl_codec base;
	const struct iaactl_zlib *zlib;
	bool decompress;
	z_stream stream;
	uint8_t copy[IAACTL_PAGE_BYTES]; /* zlib may look at its input more than once */
};

static int compress_pages(struct iaactl_codec *base, struct iaactl_page *pages, uint32_t count,
			  uint32_t *ret)
{
	struct zlib_codec *codec = (struct zlib_codec *)base;
	uint32_t i;

	(void)ret;
	for (i = 0; i < count; i++) {
		memcpy(codec->copy, pages[i].in, IAACTL_PAGE_BYTES);
		codec->zlib->deflateReset(&codec->stream);
		codec->stream.next_in = codec->copy;
		codec->stream.avail_in = IAACTL_PAGE_BYTES;
		codec->stream.next_out = pages[i].out;
		codec->stream.avail_out = IAACTL_PAGE_ROOM;
		if (codec->zlib->deflate(&codec->stream, Z_FINISH) == Z_STREAM_END) {
			pages[i].bytes = (uint32_t)codec->stream.total_out;
			pages[i].path = IAACTL_PATH_SOFTWARE;
		} else {
			pages[i].bytes = IAACTL_PAGE_BYTES;
			pages[i].path = IAACTL_PATH_RAW;
		}
	}
	return 0;
}

/* All 4096 bytes and not one more, whether or not the stream ends there in due form. */
static bool inflate_page(struct zlib_codec *codec, const struct iaactl_page *page)
{
	uint8_t beyond;
	int result;

	if (codec->zlib->inflateReset(&codec->stream) != Z_OK)
		return false;
	codec->stream.next_in = (uint8_t *)(uintptr_t)page->in;
	codec->stream.avail_in = page->bytes;
	codec->stream.next_out = page->out;
	codec->stream.avail_out = IAACTL_PAGE_BYTES;
	result = codec->zlib->inflate(&codec->stream, Z_SYNC_FLUSH);
	if (result == Z_OK && !codec->stream.avail_out) {
		codec->stream.next_out = &beyond;
		codec->stream.avail_out = 1;
		result = codec->zlib->inflate(&codec->stream, Z_SYNC_FLUSH);
	}
	return (result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR) &&
	       codec->stream.total_out == IAACTL_PAGE_BYTES;
}

static int decompress_pages(struct iaactl_codec *base, struct iaactl_page *pages, uint32_t count,
			    uint32_t *ret)
{
	struct zlib_codec *codec = (struct zlib_codec *)base;
	uint32_t i;

	for (i = 0; i < count; i++) {
		if (!inflate_page(codec, &pages[i])) {
			*ret = i;
			return -EBADMSG;
		}
		pages[i].path = IAACTL_PATH_SOFTWARE;
	}
	return 0;
}

static void destroy(struct iaactl_codec *base)
{
	struct zlib_codec *codec = (struct zlib_codec *)base;

	if (codec->decompress)
		codec->zlib->inflateEnd(&codec->stream);
	else
		codec->zlib->deflateEnd(&codec->stream);
	free(codec);
}

int iaactl_codec_zlib_create(int level, bool decompress, struct iaactl_codec **ret)
{
	const struct iaactl_zlib *zlib = iaactl_zlib();
	struct zlib_codec *codec;
	int result;

	if (!zlib)
		return -ENOSYS;
	codec = calloc(1, sizeof(*codec));
	if (!codec)
		return -ENOMEM;
	codec->base.run = decompress ? decompress_pages : compress_pages;
	codec->base.destroy = destroy;
	codec->zlib = zlib;
	codec->decompress = decompress;
	/* The window of the inflating side is the largest: others' distances are limited by the
	 * page anyway. */
	if (decompress)
		result = zlib->inflateInit2_(&codec->stream, -MAX_WBITS, ZLIB_VERSION,
					     (int)sizeof(z_stream));
	else
		result = zlib->deflateInit2_(&codec->stream, level, Z_DEFLATED, -WINDOW_BITS,
					     MEMORY_LEVEL, Z_FIXED, ZLIB_VERSION,
					     (int)sizeof(z_stream));
	if (result != Z_OK) {
		free(codec);
		return result == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
	}
	*ret = &codec->base;
	return 0;
}
