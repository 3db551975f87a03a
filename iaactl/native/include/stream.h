/* SPDX-License-Identifier: Apache-2.0 */
/* Methods zlib and zstd: one stream per channel for the whole migration, flushed at each packet. */
#ifndef IAACTL_STREAM_H
#define IAACTL_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

struct iaactl_stream;

/* `method` is ZLIB or ZSTD of enum iaactl_method, `level` that of the library. -ENOSYS when it is
 * not there, -EINVAL for a level it does not have, -ENOMEM. */
int iaactl_stream_create(int method, int level, bool decompress, struct iaactl_stream **ret);

void iaactl_stream_destroy(struct iaactl_stream *stream);

/* Compress the `count` pages (1 .. 128) at `pages` into the stream's own buffer, which is valid
 * until the next call. -EIO when the library fails. */
int iaactl_stream_compress(struct iaactl_stream *stream, const uint8_t *const *pages,
			   uint32_t count, const uint8_t **data, uint32_t *ret);

/* Decompress `bytes` at `data` into exactly `count` pages. -EBADMSG with a defect (STREAM or
 * TRAILING) when they are not what it gives. */
int iaactl_stream_decompress(struct iaactl_stream *stream, const uint8_t *data, uint32_t bytes,
			     uint8_t *const *pages, uint32_t count, struct iaactl_defect *defect);

#endif
