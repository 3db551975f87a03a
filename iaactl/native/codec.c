/* SPDX-License-Identifier: Apache-2.0 */
/* Which codec is which. */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "codec.h"

int iaactl_codec_create(const struct iaactl_codec_settings *settings, uint32_t *queue,
			struct iaactl_codec **ret)
{
	switch (settings->kind) {
	case IAACTL_CODEC_ISAL:
		return iaactl_codec_isal_create(true, settings->decompress, ret);
	case IAACTL_CODEC_ISAL_DEFAULT:
		if (settings->decompress)
			return -EINVAL;
		return iaactl_codec_isal_create(false, false, ret);
	case IAACTL_CODEC_LIBDEFLATE:
		return iaactl_codec_libdeflate_create(settings->level, settings->decompress, ret);
	case IAACTL_CODEC_ZLIB:
		return iaactl_codec_zlib_create(settings->level, settings->decompress, ret);
	case IAACTL_CODEC_LIBQPL:
		return iaactl_codec_libqpl_create(settings->decompress, ret);
	case IAACTL_CODEC_IAA:
		return iaactl_codec_iaa_create(settings, queue, ret);
	}
	return -EINVAL;
}

void iaactl_codec_destroy(struct iaactl_codec *codec)
{
	if (codec)
		codec->destroy(codec);
}

int iaactl_codec_compress(struct iaactl_codec *codec, struct iaactl_page *pages, uint32_t count,
			  uint32_t *ret)
{
	return codec->run(codec, pages, count, ret);
}

int iaactl_codec_decompress(struct iaactl_codec *codec, struct iaactl_page *pages, uint32_t count,
			    uint32_t *ret)
{
	return codec->run(codec, pages, count, ret);
}

void iaactl_codec_cancel(struct iaactl_codec *codec)
{
	if (codec)
		atomic_store_explicit(&codec->cancelled, true, memory_order_relaxed);
}

struct iaactl_codec_events iaactl_codec_events(const struct iaactl_codec *codec)
{
	return codec->events;
}
