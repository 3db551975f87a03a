/* SPDX-License-Identifier: Apache-2.0 */
/* zlib and zstd streams across packets. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

#define ZLIB_MEMORY_LEVEL 8
/* Level 20, the highest QEMU takes, has windows of 32 MiB; the sender's wish goes no further. */
#define ZSTD_WINDOW_LOG_MOST 25

struct iaactl_stream {
	bool decompress;
	const struct iaactl_zlib *zlib;
	z_stream z;
	const struct iaactl_zstd *zstd;
	ZSTD_CStream *compressor;
	ZSTD_DStream *decompressor;
	uint8_t page[IAACTL_PAGE_BYTES];
	uint8_t out[IAACTL_PAYLOAD_MOST]; /* what a receiver has room for bounds what we make */
};

static int create_zlib(struct iaactl_stream *stream, int level)
{
	int result;

	stream->zlib = iaactl_zlib();
	if (!stream->zlib)
		return -ENOSYS;
	if (stream->decompress)
		result = stream->zlib->inflateInit2_(&stream->z, MAX_WBITS, ZLIB_VERSION,
						     (int)sizeof(z_stream));
	else
		result = stream->zlib->deflateInit2_(&stream->z, level, Z_DEFLATED, MAX_WBITS,
						     ZLIB_MEMORY_LEVEL, Z_DEFAULT_STRATEGY,
						     ZLIB_VERSION, (int)sizeof(z_stream));
	if (result == Z_OK)
		return 0;
	stream->zlib = NULL;
	return result == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
}

static int create_zstd(struct iaactl_stream *stream, int level)
{
	stream->zstd = iaactl_zstd();
	if (!stream->zstd)
		return -ENOSYS;
	if (stream->decompress) {
		stream->decompressor = stream->zstd->ZSTD_createDStream();
		if (!stream->decompressor)
			return -ENOMEM;
		if (stream->zstd->ZSTD_isError(
			    stream->zstd->ZSTD_initDStream(stream->decompressor)))
			return -ENOMEM;
		return stream->zstd->ZSTD_isError(stream->zstd->ZSTD_DCtx_setParameter(
			       stream->decompressor, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MOST)) ?
			       -EINVAL : 0;
	}
	stream->compressor = stream->zstd->ZSTD_createCStream();
	if (!stream->compressor)
		return -ENOMEM;
	return stream->zstd->ZSTD_isError(stream->zstd->ZSTD_CCtx_setParameter(
		       stream->compressor, ZSTD_c_compressionLevel, level)) ?
		       -EINVAL : 0;
}

int iaactl_stream_create(int method, int level, bool decompress, struct iaactl_stream **ret)
{
	struct iaactl_stream *stream;
	int err = -EINVAL;

	stream = calloc(1, sizeof(*stream));
	if (!stream)
		return -ENOMEM;
	stream->decompress = decompress;
	if (method == IAACTL_METHOD_ZLIB)
		err = create_zlib(stream, level);
	else if (method == IAACTL_METHOD_ZSTD)
		err = create_zstd(stream, level);
	if (err) {
		iaactl_stream_destroy(stream);
		return err;
	}
	*ret = stream;
	return 0;
}

void iaactl_stream_destroy(struct iaactl_stream *stream)
{
	if (!stream)
		return;
	if (stream->zlib && stream->decompress)
		stream->zlib->inflateEnd(&stream->z);
	else if (stream->zlib)
		stream->zlib->deflateEnd(&stream->z);
	if (stream->zstd) {
		stream->zstd->ZSTD_freeCStream(stream->compressor);
		stream->zstd->ZSTD_freeDStream(stream->decompressor);
	}
	free(stream);
}

/* ---- compress ------------------------------------------------------------------------------ */

static int deflate_pages(struct iaactl_stream *stream, const uint8_t *const *pages, uint32_t count,
			 uint32_t *ret)
{
	uint32_t i;

	stream->z.next_out = stream->out;
	stream->z.avail_out = sizeof(stream->out);
	for (i = 0; i < count; i++) {
		/* zlib may look at its input more than once; the guest may write meanwhile. */
		memcpy(stream->page, pages[i], IAACTL_PAGE_BYTES);
		stream->z.next_in = stream->page;
		stream->z.avail_in = IAACTL_PAGE_BYTES;
		if (stream->zlib->deflate(&stream->z, i + 1 < count ? Z_NO_FLUSH : Z_SYNC_FLUSH) !=
			    Z_OK ||
		    stream->z.avail_in || !stream->z.avail_out)
			return -EIO;
	}
	*ret = (uint32_t)sizeof(stream->out) - stream->z.avail_out;
	return 0;
}

static int zstd_compress_pages(struct iaactl_stream *stream, const uint8_t *const *pages,
			       uint32_t count, uint32_t *ret)
{
	ZSTD_outBuffer out = { stream->out, sizeof(stream->out), 0 };
	uint32_t i;

	for (i = 0; i < count; i++) {
		ZSTD_inBuffer in = { pages[i], IAACTL_PAGE_BYTES, 0 };
		ZSTD_EndDirective end = i + 1 < count ? ZSTD_e_continue : ZSTD_e_flush;
		size_t left;

		do {
			left = stream->zstd->ZSTD_compressStream2(stream->compressor, &out, &in, end);
			if (stream->zstd->ZSTD_isError(left) || out.pos == out.size)
				return -EIO;
		} while (in.pos < in.size || (end == ZSTD_e_flush && left));
	}
	*ret = (uint32_t)out.pos;
	return 0;
}

int iaactl_stream_compress(struct iaactl_stream *stream, const uint8_t *const *pages,
			   uint32_t count, const uint8_t **data, uint32_t *ret)
{
	*data = stream->out;
	return stream->zlib ? deflate_pages(stream, pages, count, ret) :
			      zstd_compress_pages(stream, pages, count, ret);
}

/* ---- decompress ---------------------------------------------------------------------------- */

static int refuse(struct iaactl_defect *defect, int kind, uint64_t have, uint64_t want)
{
	defect->kind = kind;
	defect->have = have;
	defect->want = want;
	return -EBADMSG;
}

static int inflate_pages(struct iaactl_stream *stream, const uint8_t *data, uint32_t bytes,
			 uint8_t *const *pages, uint32_t count, struct iaactl_defect *defect)
{
	uint32_t i;

	stream->z.next_in = (uint8_t *)(uintptr_t)data;
	stream->z.avail_in = bytes;
	for (i = 0; i < count; i++) {
		int result;

		stream->z.next_out = pages[i];
		stream->z.avail_out = IAACTL_PAGE_BYTES;
		do
			result = stream->zlib->inflate(&stream->z, Z_SYNC_FLUSH);
		while (result == Z_OK && stream->z.avail_out && stream->z.avail_in);
		/* An end of the stream is none for QEMU either: it never ends. */
		if (result != Z_OK || stream->z.avail_out)
			return refuse(defect, IAACTL_DEFECT_STREAM, i, (uint64_t)(int64_t)result);
	}
	/* All of the flush is read together with the last page: its marker makes no output. */
	if (stream->z.avail_in)
		return refuse(defect, IAACTL_DEFECT_TRAILING, stream->z.avail_in, 0);
	return 0;
}

static int zstd_decompress_pages(struct iaactl_stream *stream, const uint8_t *data, uint32_t bytes,
				 uint8_t *const *pages, uint32_t count,
				 struct iaactl_defect *defect)
{
	ZSTD_inBuffer in = { data, bytes, 0 };
	uint32_t i;

	for (i = 0; i < count; i++) {
		ZSTD_outBuffer out = { pages[i], IAACTL_PAGE_BYTES, 0 };
		size_t result, before;

		do {
			before = in.pos + out.pos;
			result = stream->zstd->ZSTD_decompressStream(stream->decompressor, &out,
								     &in);
		} while (!stream->zstd->ZSTD_isError(result) && out.pos < out.size &&
			 in.pos + out.pos > before);
		if (stream->zstd->ZSTD_isError(result) || out.pos < out.size)
			return refuse(defect, IAACTL_DEFECT_STREAM, i, (uint64_t)(int64_t)result);
	}
	if (in.pos < in.size)
		return refuse(defect, IAACTL_DEFECT_TRAILING, in.size - in.pos, 0);
	return 0;
}

int iaactl_stream_decompress(struct iaactl_stream *stream, const uint8_t *data, uint32_t bytes,
			     uint8_t *const *pages, uint32_t count, struct iaactl_defect *defect)
{
	return stream->zlib ? inflate_pages(stream, data, bytes, pages, count, defect) :
			      zstd_decompress_pages(stream, data, bytes, pages, count, defect);
}
