/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving channels. Whatever comes in is checked before a byte of guest memory is touched. */
#define _GNU_SOURCE
#include "receiver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "stream.h"

struct channel {
	struct iaactl_receiver *receiver;
	struct iaactl_io io;
	uint32_t index;
	pthread_t thread;
	bool started;
	struct iaactl_live_counters counters;
	struct iaactl_stream *stream;
	struct iaactl_codec *codec;
	uint8_t *payload; /* IAACTL_PAYLOAD_MOST, and what decoders may look at behind it */
	struct iaactl_packet packet;
	struct iaactl_page pages[IAACTL_PACKET_PAGES];
	uint8_t *addresses[IAACTL_PACKET_PAGES];
	uint32_t lengths[IAACTL_PACKET_PAGES];
	uint8_t header[IAACTL_HEADER_BYTES];
	struct iovec vector[IAACTL_PACKET_PAGES];
	uint64_t syncs; /* under the receiver's lock */
	bool ended;     /* likewise */
};

struct iaactl_receiver {
	struct iaactl_receive_settings settings;
	struct iaactl_block *blocks;
	uint32_t block_count;
	int cancel;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t changed;
	bool stop;
	uint64_t released; /* SYNCs that channels may go beyond */
	uint8_t seen[(IAACTL_CHANNELS_MOST + 7) / 8 + 1];
	struct iaactl_defect defect;
	uint32_t count;
	struct channel *channels;
};

static int fail(struct channel *channel, struct iaactl_defect defect)
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
static int refuse(struct channel *channel, struct iaactl_defect defect, uint64_t back)
{
	defect.offset = channel->io.offset - back;
	return fail(channel, defect);
}

/* The result of a read of `wanted` bytes. */
static int check_read(struct channel *channel, int err, uint64_t wanted)
{
	struct iaactl_defect defect = { 0 };

	atomic_store_explicit(&channel->counters.wire_bytes, channel->io.offset,
			      memory_order_relaxed);
	if (!err || err == -ECANCELED)
		return err;
	iaactl_io_defect(&channel->io, err, true, wanted, &defect);
	return refuse(channel, defect, 0);
}

static int read_all(struct channel *channel, void *to, size_t bytes)
{
	return check_read(channel, iaactl_io_read(&channel->io, to, bytes), bytes);
}

/* ---- payloads ------------------------------------------------------------------------------ */

static int read_none(struct channel *channel)
{
	const struct iaactl_packet *packet = &channel->packet;
	uint32_t pieces = 0, i;

	for (i = 0; i < packet->normal_pages; i++)
		iaactl_vector_add(channel->vector, &pieces, channel->addresses[i],
				  IAACTL_PAGE_BYTES);
	return check_read(channel, iaactl_io_readv(&channel->io, channel->vector, pieces),
			  packet->payload_bytes);
}

static int decode_stream(struct channel *channel)
{
	const struct iaactl_packet *packet = &channel->packet;
	struct iaactl_defect defect = { 0 };

	if (iaactl_stream_decompress(channel->stream, channel->payload, packet->payload_bytes,
				     channel->addresses, packet->normal_pages, &defect))
		return refuse(channel, defect, packet->payload_bytes);
	return 0;
}

static int decode_qpl(struct channel *channel)
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

static int receive_payload(struct channel *channel)
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

static int receive_pages(struct channel *channel)
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
static int skip_state(struct channel *channel)
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

static int barrier(struct channel *channel);

/* 1 at the end of the channel, -errno at any failure; what can be reported has been. */
static int receive_packet(struct channel *channel)
{
	struct iaactl_packet *packet = &channel->packet;
	struct iaactl_defect defect = { 0 };
	uint32_t flags;
	int err;

	err = iaactl_io_read(&channel->io, channel->header, IAACTL_HEAD_BYTES);
	if (err == -ENODATA)
		return 1;
	err = check_read(channel, err, IAACTL_HEAD_BYTES);
	if (err)
		return err;
	if (iaactl_head_parse(channel->header, &defect, &flags))
		return refuse(channel, defect, IAACTL_HEAD_BYTES);
	if (flags & IAACTL_FLAG_DEVICE_STATE)
		return skip_state(channel);
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
	/* Releases before 9.0 let it ride on a packet with pages: those come first. */
	return packet->flags & IAACTL_FLAG_SYNC ? barrier(channel) : 0;
}

static int receive_hello(struct channel *channel)
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

/* ---- in step ------------------------------------------------------------------------------- */

/* With the lock held: SYNCs that every channel has reached. */
static uint64_t reached_by_all(const struct iaactl_receiver *receiver)
{
	uint64_t least = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < receiver->count; i++)
		if (receiver->channels[i].syncs < least)
			least = receiver->channels[i].syncs;
	return least;
}

/* With the lock held: an ended channel that will never reach what another has; NULL without. */
static struct channel *left_behind(struct iaactl_receiver *receiver, uint64_t *most)
{
	struct channel *behind = NULL;
	uint32_t i;

	*most = 0;
	for (i = 0; i < receiver->count; i++)
		if (receiver->channels[i].syncs > *most)
			*most = receiver->channels[i].syncs;
	for (i = 0; i < receiver->count; i++)
		if (receiver->channels[i].ended && receiver->channels[i].syncs < *most)
			behind = &receiver->channels[i];
	return behind;
}

static int check_left_behind(struct iaactl_receiver *receiver)
{
	struct iaactl_defect defect = { .kind = IAACTL_DEFECT_SYNC_MISSING };
	struct channel *behind;

	pthread_mutex_lock(&receiver->lock);
	behind = left_behind(receiver, &defect.want);
	if (behind) {
		defect.have = behind->syncs;
		defect.offset = behind->io.offset;
	}
	pthread_mutex_unlock(&receiver->lock);
	return behind ? fail(behind, defect) : 0;
}

/* At a SYNC: on only when every channel has come as far, and the SYNC has been released. */
static int barrier(struct channel *channel)
{
	struct iaactl_receiver *receiver = channel->receiver;
	uint64_t number;
	int err;

	pthread_mutex_lock(&receiver->lock);
	number = ++channel->syncs;
	if (!receiver->settings.hold)
		receiver->released = reached_by_all(receiver);
	pthread_cond_broadcast(&receiver->changed);
	pthread_mutex_unlock(&receiver->lock);
	err = check_left_behind(receiver);
	if (err)
		return err;
	pthread_mutex_lock(&receiver->lock);
	while (receiver->released < number && !receiver->stop && !receiver->defect.kind)
		pthread_cond_wait(&receiver->changed, &receiver->lock);
	err = receiver->stop || receiver->defect.kind ? -ECANCELED : 0;
	pthread_mutex_unlock(&receiver->lock);
	return err;
}

static void note_cpu(struct channel *channel)
{
	atomic_store_explicit(&channel->counters.cpu_ns, iaactl_thread_cpu_ns(),
			      memory_order_relaxed);
}

static void *run(void *argument)
{
	struct channel *channel = argument;
	struct iaactl_receiver *receiver = channel->receiver;
	int result = receive_hello(channel);

	while (!result) {
		result = receive_packet(channel);
		note_cpu(channel);
	}
	if (result < 0)
		return NULL;
	pthread_mutex_lock(&receiver->lock);
	channel->ended = true;
	pthread_cond_broadcast(&receiver->changed);
	pthread_mutex_unlock(&receiver->lock);
	(void)check_left_behind(receiver);
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int prepare(struct channel *channel, int fd, uint32_t *queue)
{
	const struct iaactl_receive_settings *settings = &channel->receiver->settings;
	int err = iaactl_io_init(&channel->io, fd, channel->receiver->cancel,
				 settings->timeout_ns);

	if (err)
		return err;
	atomic_store(&channel->counters.channel, -1);
	if (settings->method == IAACTL_METHOD_NONE)
		return 0;
	channel->payload = calloc(1, IAACTL_PAYLOAD_MOST + IAACTL_READ_AHEAD);
	if (!channel->payload)
		return -ENOMEM;
	if (settings->method == IAACTL_METHOD_QPL)
		return iaactl_codec_create(&settings->codec, queue, &channel->codec);
	return iaactl_stream_create(settings->method, 0, true, &channel->stream);
}

int iaactl_receiver_create(const struct iaactl_block *blocks, uint32_t block_count, const int *fds,
			   uint32_t count, const struct iaactl_receive_settings *settings,
			   uint32_t *queue, struct iaactl_receiver **ret)
{
	struct iaactl_receiver *receiver;
	uint32_t i;
	int err;

	if (!count || count > IAACTL_CHANNELS_MOST || !block_count ||
	    settings->method < IAACTL_METHOD_NONE || settings->method > IAACTL_METHOD_QPL ||
	    (settings->method == IAACTL_METHOD_QPL && !settings->codec.decompress))
		return -EINVAL;
	receiver = calloc(1, sizeof(*receiver));
	if (!receiver)
		return -ENOMEM;
	receiver->settings = *settings;
	pthread_mutex_init(&receiver->lock, NULL);
	iaactl_condition_init(&receiver->changed);
	receiver->cancel = eventfd(0, EFD_CLOEXEC);
	err = receiver->cancel < 0 ? -errno : 0;
	receiver->channels = calloc(count, sizeof(*receiver->channels));
	receiver->blocks = calloc(block_count, sizeof(*blocks));
	if (!receiver->channels || !receiver->blocks)
		err = -ENOMEM;
	if (!err) {
		memcpy(receiver->blocks, blocks, block_count * sizeof(*blocks));
		receiver->block_count = block_count;
	}
	for (i = 0; !err && i < count; i++) {
		receiver->channels[i].receiver = receiver;
		receiver->channels[i].index = i;
		receiver->count = i + 1;
		err = prepare(&receiver->channels[i], fds[i], queue);
	}
	if (err) {
		iaactl_receiver_destroy(receiver);
		return err;
	}
	*ret = receiver;
	return 0;
}

int iaactl_receiver_start(struct iaactl_receiver *receiver)
{
	uint32_t i;
	int err = 0;

	for (i = 0; !err && i < receiver->count; i++) {
		struct channel *channel = &receiver->channels[i];

		if (channel->started)
			return -EALREADY;
		err = iaactl_thread_start(&channel->thread, run, channel, "recv", i);
		channel->started = !err;
	}
	return err;
}

void iaactl_receiver_destroy(struct iaactl_receiver *receiver)
{
	uint64_t one = 1;
	uint32_t i;

	if (!receiver)
		return;
	pthread_mutex_lock(&receiver->lock);
	receiver->stop = true;
	if (receiver->cancel >= 0)
		(void)!write(receiver->cancel, &one, sizeof(one));
	pthread_cond_broadcast(&receiver->changed);
	pthread_mutex_unlock(&receiver->lock);
	for (i = 0; i < receiver->count; i++) {
		struct channel *channel = &receiver->channels[i];

		if (channel->started)
			pthread_join(channel->thread, NULL);
		iaactl_codec_destroy(channel->codec);
		iaactl_stream_destroy(channel->stream);
		free(channel->payload);
		iaactl_io_release(&channel->io);
	}
	if (receiver->cancel >= 0)
		close(receiver->cancel);
	pthread_cond_destroy(&receiver->changed);
	pthread_mutex_destroy(&receiver->lock);
	free(receiver->blocks);
	free(receiver->channels);
	free(receiver);
}

/* ---- the caller's side --------------------------------------------------------------------- */

/* With the lock held. */
static bool all_ended(const struct iaactl_receiver *receiver)
{
	uint32_t i;

	for (i = 0; i < receiver->count; i++)
		if (!receiver->channels[i].ended)
			return false;
	return true;
}

int iaactl_receiver_wait_sync(struct iaactl_receiver *receiver, uint64_t sync, uint32_t ms)
{
	struct timespec until = iaactl_after_ms(ms);
	int err = 0, late = 0;

	pthread_mutex_lock(&receiver->lock);
	while (reached_by_all(receiver) < sync && !receiver->defect.kind && !all_ended(receiver) &&
	       !late)
		late = pthread_cond_timedwait(&receiver->changed, &receiver->lock, &until);
	if (receiver->defect.kind)
		err = -EPROTO;
	else if (reached_by_all(receiver) < sync)
		err = all_ended(receiver) ? -ENODATA : -EAGAIN;
	pthread_mutex_unlock(&receiver->lock);
	return err;
}

void iaactl_receiver_release(struct iaactl_receiver *receiver, uint64_t sync)
{
	pthread_mutex_lock(&receiver->lock);
	if (sync > receiver->released)
		receiver->released = sync;
	pthread_cond_broadcast(&receiver->changed);
	pthread_mutex_unlock(&receiver->lock);
}

int iaactl_receiver_wait_end(struct iaactl_receiver *receiver, uint32_t ms)
{
	struct timespec until = iaactl_after_ms(ms);
	int err = 0, late = 0;

	pthread_mutex_lock(&receiver->lock);
	while (!all_ended(receiver) && !receiver->defect.kind && !late)
		late = pthread_cond_timedwait(&receiver->changed, &receiver->lock, &until);
	if (receiver->defect.kind)
		err = -EPROTO;
	else if (!all_ended(receiver))
		err = -EAGAIN;
	pthread_mutex_unlock(&receiver->lock);
	return err;
}

void iaactl_receiver_defect(struct iaactl_receiver *receiver, struct iaactl_defect *ret)
{
	pthread_mutex_lock(&receiver->lock);
	*ret = receiver->defect;
	pthread_mutex_unlock(&receiver->lock);
}

int iaactl_receiver_counters(struct iaactl_receiver *receiver, uint32_t index, uint64_t *syncs,
			     struct iaactl_counters *ret)
{
	if (index >= receiver->count)
		return -EINVAL;
	iaactl_counters_read(&receiver->channels[index].counters, ret);
	if (syncs) {
		pthread_mutex_lock(&receiver->lock);
		*syncs = receiver->channels[index].syncs;
		pthread_mutex_unlock(&receiver->lock);
	}
	return 0;
}
