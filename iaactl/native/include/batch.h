/* SPDX-License-Identifier: Apache-2.0 */
/* Many pages through one codec or stream, with the CPU time of it: for measuring and for tests. */
#ifndef IAACTL_BATCH_H
#define IAACTL_BATCH_H

#include "codec.h"
#include "stream.h"

struct iaactl_batch {
	uint64_t cpu_ns;   /* of the calling thread, inside the codec */
	uint64_t units;    /* lengths written or read */
	uint64_t raw;      /* pages that did not shrink */
	uint64_t where;    /* of an error: index of the page, or of the queue for -ETIMEDOUT */
};

/* Compress `count` pages at `pages`, 128 at a time as in packets. Page i's data stands at
 * `arena + i * 4096`, its length in `lengths[i]`; 4096 means raw, with nothing in the arena. */
int iaactl_batch_compress(struct iaactl_codec *codec, const uint8_t *pages, uint64_t count,
			  uint8_t *arena, uint32_t *lengths, struct iaactl_batch *ret);

/* The reverse, into `pages`; the arena must be readable for IAACTL_READ_AHEAD bytes behind it. Raw
 * pages are copied from `raw`, where they stand at their own place; -EINVAL when it is NULL. */
int iaactl_batch_decompress(struct iaactl_codec *codec, const uint8_t *arena,
			    const uint32_t *lengths, uint64_t count, const uint8_t *raw,
			    uint8_t *pages, struct iaactl_batch *ret);

/* A stream, flushed every 128 pages: unit u stands at `arena + u * IAACTL_PAYLOAD_MOST`. */
int iaactl_batch_stream_compress(struct iaactl_stream *stream, const uint8_t *pages,
				 uint64_t count, uint8_t *arena, uint32_t *lengths,
				 struct iaactl_batch *ret);
int iaactl_batch_stream_decompress(struct iaactl_stream *stream, const uint8_t *arena,
				   const uint32_t *lengths, uint64_t count, uint8_t *pages,
				   struct iaactl_batch *ret);

#endif
