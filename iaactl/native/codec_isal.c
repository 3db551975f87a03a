/* SPDX-License-Identifier: Apache-2.0 */
/* ISA-L: level 0 to compress, with the fixed codes of RFC 1951 by default, and stateless inflate. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "library.h"
#include "wire.h"

struct isal_codec {
	struct iaactl_codec base;
	const struct iaactl_isal *isal;
	struct isal_zstream deflate;
	struct inflate_state inflate;
	uint8_t copy[IAACTL_PAGE_BYTES]; /* the guest may write while the library looks twice */
};

static int compress_pages(struct iaactl_codec *base, struct iaactl_page *pages, uint32_t count,
			  uint32_t *ret)
{
	struct isal_codec *codec = (struct isal_codec *)base;
	struct isal_zstream *stream = &codec->deflate;
	uint32_t i;

	(void)ret;
	for (i = 0; i < count; i++) {
		memcpy(codec->copy, pages[i].in, IAACTL_PAGE_BYTES);
		codec->isal->isal_deflate_reset(stream);
		stream->end_of_stream = 1;
		stream->flush = NO_FLUSH;
		stream->next_in = codec->copy;
		stream->avail_in = IAACTL_PAGE_BYTES;
		stream->next_out = pages[i].out;
		stream->avail_out = IAACTL_PAGE_ROOM;
		if (codec->isal->isal_deflate(stream) == COMP_OK &&
		    stream->internal_state.state == ZSTATE_END) {
			pages[i].bytes = stream->total_out;
			pages[i].path = IAACTL_PATH_SOFTWARE;
		} else {
			pages[i].bytes = IAACTL_PAGE_BYTES;
			pages[i].path = IAACTL_PATH_RAW;
		}
	}
	return 0;
}

static int decompress_pages(struct iaactl_codec *base, struct iaactl_page *pages, uint32_t count,
			    uint32_t *ret)
{
	struct isal_codec *codec = (struct isal_codec *)base;
	struct inflate_state *state = &codec->inflate;
	uint32_t i;

	for (i = 0; i < count; i++) {
		codec->isal->isal_inflate_reset(state);
		state->next_in = (uint8_t *)(uintptr_t)pages[i].in;
		state->avail_in = pages[i].bytes;
		state->next_out = pages[i].out;
		state->avail_out = IAACTL_PAGE_BYTES;
		if (codec->isal->isal_inflate_stateless(state) != ISAL_DECOMP_OK ||
		    state->total_out != IAACTL_PAGE_BYTES) {
			*ret = i;
			return -EBADMSG;
		}
		pages[i].path = IAACTL_PATH_SOFTWARE;
	}
	return 0;
}

static void destroy(struct iaactl_codec *base)
{
	free(base);
}

int iaactl_codec_isal_create(bool fixed, bool decompress, struct iaactl_codec **ret)
{
	const struct iaactl_isal *isal = iaactl_isal();
	struct isal_codec *codec;

	if (!isal)
		return -ENOSYS;
	/* Its hash table is aligned for vector stores. */
	codec = aligned_alloc(64, (sizeof(*codec) + 63) / 64 * 64);
	if (!codec)
		return -ENOMEM;
	*codec = (struct isal_codec){
		.base = { .run = decompress ? decompress_pages : compress_pages,
			  .destroy = destroy },
		.isal = isal,
	};
	isal->isal_deflate_init(&codec->deflate);
	isal->isal_inflate_init(&codec->inflate);
	if (fixed && isal->isal_deflate_set_hufftables(&codec->deflate, NULL,
						       IGZIP_HUFFTABLE_STATIC) != COMP_OK) {
		free(codec);
		return -ENOSYS;
	}
	*ret = &codec->base;
	return 0;
}
