/* SPDX-License-Identifier: Apache-2.0 */
/* One receiving channel: packets into guest memory. Whatever comes in is checked before a byte of
 * that memory is touched. */
#include "receive_channel.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

int iaactl_receive_fail(struct iaactl_receive_channel *channel, struct iaactl_defect defect)
{
	struct iaactl_receiver *receiver = channel->receiver;
	uint64_t one = 1;

	defect.channel = atomic_load(&channel->counters.channel);
	defect.index = (int32_t)channel->index;
	defect.packet = (int64_t)atomic_load(&channel->counters.packets);
	pthread_mutex_lock(&receiver->lock);
	if (!receiver->defect.kind && !receiver->stop)
		receiver->defect = defect;
	(void)!write(receiver->cancel, &one, sizeof(one));
	pthread_cond_broadcast(&receiver->changed);
	pthread_mutex_unlock(&receiver->lock);
	return -EPROTO;
}

/* A defect of bytes that end or begin `back` bytes before where the channel is now. */
static int refuse(struct iaactl_receive_channel *channel, struct iaactl_defect defect, uint64_t back)
{
	defect.offset = channel->io.offset - back;
	return iaactl_receive_fail(channel, defect);
}

/* The result of a read of `wanted` bytes. */
static int check_read(struct iaactl_receive_channel *channel, int err, uint64_t wanted)
{
	struct iaactl_defect defect = { 0 };

	atomic_store_explicit(&channel->counters.wire_bytes, channel->io.offset,
			      memory_order_relaxed);
	if (!err || err == -ECANCELED)
		return err;
	iaactl_io_defect(&channel->io, err, true, wanted, &defect);
	return refuse(channel, defect, 0);
}

static int read_all(struct iaactl_receive_channel *channel, void *to, size_t bytes)
{
	return check_read(channel, iaactl_io_read(&channel->io, to, bytes), bytes);
}

/* ---- payloads ------------------------------------------------------------------------------ */

static int read_none(struct iaactl_receive_channel *channel)
{
	const struct iaactl_packet *packet = &channel->packet;
	uint32_t pieces = 0, i;

	for (i = 0; i < packet->normal_pages; i++)
		iaactl_vector_add(channel->vector, &pieces, channel->addresses[i],
				  IAACTL_PAGE_BYTES);
	return check_read(channel, iaactl_io_readv(&channel->io, channel->vector, pieces),
			  packet->payload_bytes);
}

static int decode_stream(struct iaactl_receive_channel *channel)
{
	const struct iaactl_packet *packet = &channel->packet;
	struct iaactl_defect defect = { 0 };

	if (iaactl_stream_decompress(channel->stream, channel->payload, packet->payload_bytes,
				     channel->addresses, packet->normal_pages, &defect))
		return refuse(channel, defect, packet->payload_bytes);
	return 0;
}

static int decode_qpl(struct iaactl_receive_channel *channel)
{
	const struct iaactl_packet *packet = &channel->packet;
	uint8_t *at = channel->payload + 4 * (size_t)packet->normal_pages;
	struct iaactl_page jobs[IAACTL_PACKET_PAGES];
	uint32_t which[IAACTL_PACKET_PAGES];
	struct iaactl_defect defect = { 0 };
	uint32_t count = 0, where = 0, i;
	int err;

	if (iaactl_lengths_parse(channel->payload, packet->normal_pages, packet->payload_bytes,
				 &defect, channel->lengths))
		return refuse(channel, defect, packet->payload_bytes);
	for (i = 0; i < packet->normal_pages; i++, at += channel->lengths[i - 1]) {
		channel->pages[i].path = IAACTL_PATH_RAW;
		if (channel->lengths[i] == IAACTL_PAGE_BYTES) {
			memcpy(channel->addresses[i], at, IAACTL_PAGE_BYTES);
			continue;
		}
		which[count] = i;
		jobs[count++] = (struct iaactl_page){ .in = at, .out = channel->addresses[i],
						      .bytes = channel->lengths[i] };
	}
	err = iaactl_codec_decompress(channel->codec, jobs, count, &where);
	iaactl_counters_events(&channel->counters, channel->codec);
	for (i = 0; !err && i < count; i++)
		channel->pages[which[i]].path = jobs[i].path;
	if (!err)
		return 0;
	if (err == -ECANCELED)
		return err;
	if (err == -EBADMSG) {
		defect.kind = IAACTL_DEFECT_PAGE;
		defect.have = packet->offsets[which[where]];
		defect.want = jobs[where].bytes;
		return refuse(channel, defect,
			      (uint64_t)(channel->payload + packet->payload_bytes -
					 jobs[where].in));
	}
	defect.kind = err == -ETIMEDOUT ? IAACTL_DEFECT_DEVICE : IAACTL_DEFECT_CODEC;
	defect.error = -err;
	defect.have = where;
	defect.want = channel->receiver->settings.codec.timeout_ns / 1000000;
	return refuse(channel, defect, packet->payload_bytes);
}

static int receive_payload(struct iaactl_receive_channel *channel)
{
	uint64_t before;
	int err;

	if (!channel->stream && !channel->codec)
		return read_none(channel);
	err = read_all(channel, channel->payload, channel->packet.payload_bytes);
	if (err)
		return err;
	before = iaactl_thread_cpu_ns();
	err = channel->stream ? decode_stream(channel) : decode_qpl(channel);
	iaactl_count(&channel->counters.codec_ns, iaactl_thread_cpu_ns() - before);
	return err;
}

/* ---- packets ------------------------------------------------------------------------------- */

static struct iaactl_memory *find_block(const struct iaactl_receiver *receiver, const char *name)
{
	uint32_t i;

	for (i = 0; i < receiver->block_count; i++)
		if (!strcmp(receiver->blocks[i].name, name))
			return receiver->blocks[i].memory;
	return NULL;
}

/* As QEMU: a page that was never received is zero already, and is not touched. */
static void receive_zero_pages(const struct iaactl_packet *packet, struct iaactl_memory *memory)
{
	uint8_t *base = iaactl_memory_base(memory);
	uint32_t i;

	for (i = 0; i < packet->zero_pages; i++) {
		uint64_t offset = packet->offsets[packet->normal_pages + i];

		if (iaactl_memory_mark_received(memory, offset / IAACTL_PAGE_BYTES))
			memset(base + offset, 0, IAACTL_PAGE_BYTES);
	}
}

static int receive_pages(struct iaactl_receive_channel *channel)
{
	const struct iaactl_packet *packet = &channel->packet;
	struct iaactl_memory *memory = find_block(channel->receiver, packet->block);
	struct iaactl_defect defect = { .kind = IAACTL_DEFECT_BLOCK };
	uint32_t i;
	int err;

	if (!memory)
		return refuse(channel, defect, IAACTL_HEADER_BYTES);
	if (iaactl_packet_check_offsets(packet, iaactl_memory_size(memory), &defect))
		return refuse(channel, defect, IAACTL_HEADER_BYTES);
	for (i = 0; i < packet->normal_pages; i++) {
		channel->addresses[i] = iaactl_memory_base(memory) + packet->offsets[i];
		(void)iaactl_memory_mark_received(memory, packet->offsets[i] / IAACTL_PAGE_BYTES);
	}
	if (packet->normal_pages) {
		err = receive_payload(channel);
		if (err)
			return err;
	}
	receive_zero_pages(packet, memory);
	return 0;
}

/* State of a device, which is not ours to interpret: read over it, a piece at a time. */
static int skip_state(struct iaactl_receive_channel *channel)
{
	uint8_t scratch[4096];
	uint32_t left;
	int err;

	err = read_all(channel, channel->header + IAACTL_HEAD_BYTES,
		       IAACTL_STATE_HEADER_BYTES - IAACTL_HEAD_BYTES);
	left = err ? 0 : iaactl_state_payload(channel->header);
	while (!err && left) {
		uint32_t piece = left < sizeof(scratch) ? left : (uint32_t)sizeof(scratch);

		err = read_all(channel, scratch, piece);
		left -= piece;
	}
	if (!err)
		iaactl_count(&channel->counters.packets, 1);
	return err;
}

int iaactl_receive_packet(struct iaactl_receive_channel *channel, uint32_t *ret)
{
	struct iaactl_packet *packet = &channel->packet;
	struct iaactl_defect defect = { 0 };
	int err;

	err = iaactl_io_read(&channel->io, channel->header, IAACTL_HEAD_BYTES);
	if (err == -ENODATA && channel->unsynced) {
		/* Every migration ends with a SYNC: this sender died, if at a good moment. */
		defect.kind = IAACTL_DEFECT_UNSYNCED;
		defect.have = channel->unsynced;
		return refuse(channel, defect, 0);
	}
	if (err == -ENODATA)
		return 1;
	err = check_read(channel, err, IAACTL_HEAD_BYTES);
	if (err)
		return err;
	if (iaactl_head_parse(channel->header, &defect, ret))
		return refuse(channel, defect, IAACTL_HEAD_BYTES);
	if (*ret & IAACTL_FLAG_DEVICE_STATE) {
		*ret = 0; /* its other bits mean nothing */
		return skip_state(channel);
	}
	err = read_all(channel, channel->header + IAACTL_HEAD_BYTES,
		       IAACTL_HEADER_BYTES - IAACTL_HEAD_BYTES);
	if (err)
		return err;
	if (iaactl_packet_parse(channel->header, channel->receiver->settings.method, &defect,
				packet))
		return refuse(channel, defect, IAACTL_HEADER_BYTES);
	if (packet->normal_pages + packet->zero_pages) {
		err = receive_pages(channel);
		if (err)
			return err;
	}
	iaactl_counters_add(&channel->counters, packet, channel->codec ? channel->pages : NULL);
	channel->unsynced += packet->normal_pages + packet->zero_pages;
	if (packet->flags & IAACTL_FLAG_SYNC)
		channel->unsynced = 0;
	return 0;
}

int iaactl_receive_hello(struct iaactl_receive_channel *channel)
{
	struct iaactl_receiver *receiver = channel->receiver;
	struct iaactl_defect defect = { 0 };
	struct iaactl_hello hello;
	uint8_t bit;
	bool twice;
	int err = read_all(channel, channel->header, IAACTL_HELLO_BYTES);

	if (err)
		return err;
	if (iaactl_hello_parse(channel->header, &defect, &hello))
		return refuse(channel, defect, IAACTL_HELLO_BYTES);
	defect.have = hello.channel;
	defect.want = receiver->count;
	if (!receiver->settings.any_uuid &&
	    memcmp(hello.uuid, receiver->settings.uuid, sizeof(hello.uuid)))
		defect.kind = IAACTL_DEFECT_UUID;
	else if (hello.channel >= receiver->count)
		defect.kind = IAACTL_DEFECT_CHANNEL_ID;
	if (defect.kind)
		return refuse(channel, defect, IAACTL_HELLO_BYTES);
	bit = (uint8_t)(1 << hello.channel % 8);
	pthread_mutex_lock(&receiver->lock);
	twice = receiver->seen[hello.channel / 8] & bit;
	receiver->seen[hello.channel / 8] |= bit;
	pthread_mutex_unlock(&receiver->lock);
	if (twice) {
		defect.kind = IAACTL_DEFECT_CHANNEL_TWICE;
		return refuse(channel, defect, IAACTL_HELLO_BYTES);
	}
	atomic_store(&channel->counters.channel, (int32_t)hello.channel);
	return 0;
}
