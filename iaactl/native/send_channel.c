/* SPDX-License-Identifier: Apache-2.0 */
/* One sending channel: pages into packets. */
#include "send_channel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

static void fail(struct iaactl_send_channel *channel, struct iaactl_defect defect)
{
	struct iaactl_sender *sender = channel->sender;
	uint64_t one = 1;

	defect.channel = (int32_t)channel->id;
	defect.index = (int32_t)channel->id;
	defect.packet = (int64_t)atomic_load(&channel->counters.packets);
	defect.offset = channel->io.offset;
	pthread_mutex_lock(&sender->lock);
	if (!sender->defect.kind)
		sender->defect = defect;
	(void)!write(sender->cancel, &one, sizeof(one));
	pthread_cond_broadcast(&sender->changed);
	pthread_mutex_unlock(&sender->lock);
}

/* Write the vector in the limits of bandwidth; false when the channel has failed. */
static bool put(struct iaactl_send_channel *channel, uint32_t pieces)
{
	struct iaactl_defect defect = { 0 };
	uint64_t bytes = 0, wait;
	uint32_t i;
	int err = 0;

	for (i = 0; i < pieces; i++)
		bytes += channel->vector[i].iov_len;
	while (!err && (wait = iaactl_pace_ask(&channel->sender->pace, bytes, iaactl_now_ns())))
		err = iaactl_io_sleep(&channel->io, wait);
	if (!err)
		err = iaactl_io_writev(&channel->io, channel->vector, pieces);
	atomic_store_explicit(&channel->counters.wire_bytes, channel->io.offset,
			      memory_order_relaxed);
	if (!err)
		return true;
	/* Cancelled by another channel's failure, or by the caller: nothing to report. */
	if (err != -ECANCELED) {
		iaactl_io_defect(&channel->io, err, false, bytes, &defect);
		fail(channel, defect);
	}
	return false;
}

/* ---- packets ------------------------------------------------------------------------------- */

/* Put the zero pages' offsets behind the others'; how many pages have content. */
static uint32_t sort_out_zero(struct iaactl_send_channel *channel, uint64_t *offsets, uint32_t count)
{
	const uint8_t *base = iaactl_memory_base(channel->sender->memory);
	uint64_t zero[IAACTL_PACKET_PAGES];
	uint32_t normal = 0, zeros = 0, i;

	if (!channel->sender->settings.detect_zero)
		return count;
	for (i = 0; i < count; i++) {
		if (channel->sender->is_zero(base + offsets[i]))
			zero[zeros++] = offsets[i];
		else
			offsets[normal++] = offsets[i];
	}
	memcpy(offsets + normal, zero, zeros * sizeof(*zero));
	return normal;
}

static int device_failed(struct iaactl_send_channel *channel, int err, uint32_t queue)
{
	struct iaactl_defect defect = {
		.kind = err == -ETIMEDOUT ? IAACTL_DEFECT_DEVICE : IAACTL_DEFECT_CODEC,
		.error = -err,
		.have = queue,
		.want = channel->sender->settings.codec.timeout_ns / 1000000,
	};

	if (err != -ECANCELED)
		fail(channel, defect);
	return err;
}

static int add_qpl(struct iaactl_send_channel *channel, uint32_t *pieces)
{
	struct iaactl_packet *packet = &channel->packet;
	uint32_t i, where = 0;
	int err;

	for (i = 0; i < packet->normal_pages; i++) {
		channel->pages[i].in = channel->addresses[i];
		channel->pages[i].out = channel->arena + (size_t)i * IAACTL_PAGE_BYTES;
	}
	err = iaactl_codec_compress(channel->codec, channel->pages, packet->normal_pages, &where);
	iaactl_counters_events(&channel->counters, channel->codec);
	if (err)
		return device_failed(channel, err, where);
	packet->payload_bytes = 4 * packet->normal_pages;
	iaactl_vector_add(channel->vector, pieces, channel->table, packet->payload_bytes);
	for (i = 0; i < packet->normal_pages; i++) {
		const struct iaactl_page *page = &channel->pages[i];

		iaactl_put_be32(channel->table + 4 * (size_t)i, page->bytes);
		packet->payload_bytes += page->bytes;
		iaactl_vector_add(channel->vector, pieces,
				  page->path == IAACTL_PATH_RAW ? page->in : page->out,
				  page->bytes);
	}
	return 0;
}

/* The payload goes into the vector, its size into the packet. */
static int add_payload(struct iaactl_send_channel *channel, uint32_t *pieces)
{
	struct iaactl_packet *packet = &channel->packet;
	const uint8_t *data;
	uint32_t i;
	int err;

	if (channel->codec)
		return add_qpl(channel, pieces);
	if (channel->stream) {
		err = iaactl_stream_compress(channel->stream, channel->addresses,
					     packet->normal_pages, &data, &packet->payload_bytes);
		if (err)
			return device_failed(channel, err, 0);
		iaactl_vector_add(channel->vector, pieces, data, packet->payload_bytes);
		return 0;
	}
	packet->payload_bytes = packet->normal_pages * IAACTL_PAGE_BYTES;
	for (i = 0; i < packet->normal_pages; i++)
		iaactl_vector_add(channel->vector, pieces, channel->addresses[i],
				  IAACTL_PAGE_BYTES);
	return 0;
}

bool iaactl_send_pages(struct iaactl_send_channel *channel, uint32_t count)
{
	struct iaactl_sender *sender = channel->sender;
	const uint8_t *base = iaactl_memory_base(sender->memory);
	struct iaactl_packet *packet = &channel->packet;
	uint32_t pieces = 0, i;
	uint64_t before;

	packet->flags = iaactl_method_flag(sender->settings.method);
	packet->pages_alloc = IAACTL_PACKET_PAGES;
	packet->normal_pages = sort_out_zero(channel, packet->offsets, count);
	packet->zero_pages = count - packet->normal_pages;
	packet->payload_bytes = 0;
	memcpy(packet->block, sender->settings.block, sizeof(packet->block));
	for (i = 0; i < packet->normal_pages; i++)
		channel->addresses[i] = base + packet->offsets[i];
	iaactl_vector_add(channel->vector, &pieces, channel->header, sizeof(channel->header));
	if (packet->normal_pages) {
		before = iaactl_thread_cpu_ns();
		if (add_payload(channel, &pieces))
			return false;
		if (channel->codec || channel->stream)
			iaactl_count(&channel->counters.codec_ns, iaactl_thread_cpu_ns() - before);
	}
	packet->number = atomic_fetch_add(&sender->packets, 1);
	iaactl_packet_pack(packet, channel->header);
	if (!put(channel, pieces))
		return false;
	iaactl_counters_add(&channel->counters, packet, channel->codec ? channel->pages : NULL);
	return true;
}

bool iaactl_send_sync(struct iaactl_send_channel *channel)
{
	struct iaactl_packet *packet = &channel->packet;
	uint32_t pieces = 0;

	memset(packet, 0, sizeof(*packet));
	packet->flags = IAACTL_FLAG_SYNC;
	packet->number = atomic_fetch_add(&channel->sender->packets, 1);
	iaactl_packet_pack(packet, channel->header);
	iaactl_vector_add(channel->vector, &pieces, channel->header, sizeof(channel->header));
	if (!put(channel, pieces))
		return false;
	iaactl_counters_add(&channel->counters, packet, NULL);
	return true;
}

bool iaactl_send_hello(struct iaactl_send_channel *channel)
{
	struct iaactl_hello hello = { .channel = (uint8_t)channel->id };
	uint32_t pieces = 0;

	memcpy(hello.uuid, channel->sender->settings.uuid, sizeof(hello.uuid));
	iaactl_hello_pack(&hello, channel->header);
	iaactl_vector_add(channel->vector, &pieces, channel->header, IAACTL_HELLO_BYTES);
	return put(channel, pieces);
}
