/* SPDX-License-Identifier: Apache-2.0 */
/* Whole buffers through codecs. */
#include "batch.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "wire.h"

static uint32_t portion(uint64_t count, uint64_t done)
{
	uint64_t left = count - done;

	return left < IAACTL_PACKET_PAGES ? (uint32_t)left : IAACTL_PACKET_PAGES;
}

int iaactl_batch_compress(struct iaactl_codec *codec, const uint8_t *pages, uint64_t count,
			  uint8_t *arena, uint32_t *lengths, struct iaactl_batch *ret)
{
	struct iaactl_page jobs[IAACTL_PACKET_PAGES];
	uint32_t size, where = 0, i;
	uint64_t done, before;
	int err;

	memset(ret, 0, sizeof(*ret));
	for (done = 0; done < count; done += size) {
		size = portion(count, done);
		for (i = 0; i < size; i++)
			jobs[i] = (struct iaactl_page){
				.in = pages + (done + i) * IAACTL_PAGE_BYTES,
				.out = arena + (done + i) * IAACTL_PAGE_BYTES,
			};
		before = iaactl_thread_cpu_ns();
		err = iaactl_codec_compress(codec, jobs, size, &where);
		ret->cpu_ns += iaactl_thread_cpu_ns() - before;
		if (err) {
			ret->where = where;
			return err;
		}
		for (i = 0; i < size; i++) {
			lengths[done + i] = jobs[i].bytes;
			ret->raw += jobs[i].path == IAACTL_PATH_RAW;
		}
	}
	ret->units = count;
	return 0;
}

int iaactl_batch_decompress(struct iaactl_codec *codec, const uint8_t *arena,
			    const uint32_t *lengths, uint64_t count, const uint8_t *raw,
			    uint8_t *pages, struct iaactl_batch *ret)
{
	struct iaactl_page jobs[IAACTL_PACKET_PAGES];
	uint64_t which[IAACTL_PACKET_PAGES], done, before;
	uint32_t size, where = 0, taken, i;
	int err;

	memset(ret, 0, sizeof(*ret));
	for (done = 0; done < count; done += size) {
		size = portion(count, done);
		taken = 0;
		before = iaactl_thread_cpu_ns();
		for (i = 0; i < size; i++) {
			uint64_t at = (done + i) * IAACTL_PAGE_BYTES;

			if (!lengths[done + i] || lengths[done + i] > IAACTL_PAGE_BYTES ||
			    (lengths[done + i] == IAACTL_PAGE_BYTES && !raw))
				return -EINVAL;
			if (lengths[done + i] == IAACTL_PAGE_BYTES) {
				memcpy(pages + at, raw + at, IAACTL_PAGE_BYTES);
				ret->raw++;
				continue;
			}
			which[taken] = done + i;
			jobs[taken++] = (struct iaactl_page){ .in = arena + at, .out = pages + at,
							      .bytes = lengths[done + i] };
		}
		err = iaactl_codec_decompress(codec, jobs, taken, &where);
		ret->cpu_ns += iaactl_thread_cpu_ns() - before;
		if (err) {
			ret->where = err == -EBADMSG ? which[where] : where;
			return err;
		}
	}
	ret->units = count;
	return 0;
}

int iaactl_batch_stream_compress(struct iaactl_stream *stream, const uint8_t *pages,
				 uint64_t count, uint8_t *arena, uint32_t *lengths,
				 struct iaactl_batch *ret)
{
	const uint8_t *addresses[IAACTL_PACKET_PAGES], *data;
	uint64_t done, before;
	uint32_t size, i;
	int err;

	memset(ret, 0, sizeof(*ret));
	for (done = 0; done < count; done += size) {
		size = portion(count, done);
		for (i = 0; i < size; i++)
			addresses[i] = pages + (done + i) * IAACTL_PAGE_BYTES;
		before = iaactl_thread_cpu_ns();
		err = iaactl_stream_compress(stream, addresses, size, &data, &lengths[ret->units]);
		ret->cpu_ns += iaactl_thread_cpu_ns() - before;
		if (err) {
			ret->where = done;
			return err;
		}
		memcpy(arena + ret->units * IAACTL_PAYLOAD_MOST, data, lengths[ret->units]);
		ret->units++;
	}
	return 0;
}

int iaactl_batch_stream_decompress(struct iaactl_stream *stream, const uint8_t *arena,
				   const uint32_t *lengths, uint64_t count, uint8_t *pages,
				   struct iaactl_batch *ret)
{
	uint8_t *addresses[IAACTL_PACKET_PAGES];
	struct iaactl_defect defect;
	uint64_t done, before;
	uint32_t size, i;
	int err;

	memset(ret, 0, sizeof(*ret));
	for (done = 0; done < count; done += size) {
		size = portion(count, done);
		for (i = 0; i < size; i++)
			addresses[i] = pages + (done + i) * IAACTL_PAGE_BYTES;
		if (lengths[ret->units] > IAACTL_PAYLOAD_MOST)
			return -EINVAL;
		before = iaactl_thread_cpu_ns();
		err = iaactl_stream_decompress(stream, arena + ret->units * IAACTL_PAYLOAD_MOST,
					       lengths[ret->units], addresses, size, &defect);
		ret->cpu_ns += iaactl_thread_cpu_ns() - before;
		if (err) {
			ret->where = done + (defect.kind == IAACTL_DEFECT_STREAM ? defect.have : 0);
			return err;
		}
		ret->units++;
	}
	return 0;
}
