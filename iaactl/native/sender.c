/* SPDX-License-Identifier: Apache-2.0 */
/* Sending channels. Each takes the next dirty pages by itself, up to a packet of them, so that no
 * thread has to hand out work. */
#define _GNU_SOURCE
#include "sender.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "pace.h"
#include "stream.h"
#include "zero.h"

/* Header, table, and at worst each page for itself. */
#define VECTOR_MOST (2 + IAACTL_PACKET_PAGES)

struct channel {
	struct iaactl_sender *sender;
	struct iaactl_io io;
	uint32_t id;
	pthread_t thread;
	bool started;
	struct iaactl_live_counters counters;
	struct iaactl_stream *stream;
	struct iaactl_codec *codec;
	uint8_t *arena; /* method qpl: a slot of a page for each page of a packet */
	struct iaactl_packet packet;
	struct iaactl_page pages[IAACTL_PACKET_PAGES];
	const uint8_t *addresses[IAACTL_PACKET_PAGES];
	uint8_t header[IAACTL_HEADER_BYTES];
	uint8_t table[4 * IAACTL_PACKET_PAGES];
	struct iovec vector[VECTOR_MOST];
};

struct iaactl_sender {
	struct iaactl_send_settings settings;
	struct iaactl_memory *memory;
	iaactl_zero_test is_zero;
	int cancel;
	struct iaactl_pace pace;
	_Atomic uint64_t packets; /* numbers run through all channels */
	pthread_mutex_t lock;     /* what follows */
	pthread_cond_t changed;
	uint64_t cursor; /* next page of the round */
	uint64_t round;  /* number of the round that runs or ran, 0: none yet */
	uint64_t pages;  /* sent in it */
	uint32_t behind; /* channels that have not finished it */
	bool stop;
	struct iaactl_defect defect;
	uint32_t count;
	struct channel *channels;
};

static void fail(struct channel *channel, struct iaactl_defect defect)
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
static bool put(struct channel *channel, uint32_t pieces)
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
static uint32_t sort_out_zero(struct channel *channel, uint64_t *offsets, uint32_t count)
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

static int device_failed(struct channel *channel, int err, uint32_t queue)
{
	struct iaactl_defect defect = {
		.kind = err == -ETIMEDOUT ? IAACTL_DEFECT_DEVICE : IAACTL_DEFECT_CODEC,
		.error = -err,
		.have = queue,
		.want = channel->sender->settings.codec.timeout_ns / 1000000,
	};

	fail(channel, defect);
	return err;
}

static int add_qpl(struct channel *channel, uint32_t *pieces)
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
static int add_payload(struct channel *channel, uint32_t *pieces)
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

static bool send_pages(struct channel *channel, uint32_t count)
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

static bool send_sync(struct channel *channel)
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

static bool send_hello(struct channel *channel)
{
	struct iaactl_hello hello = { .channel = (uint8_t)channel->id };
	uint32_t pieces = 0;

	memcpy(hello.uuid, channel->sender->settings.uuid, sizeof(hello.uuid));
	iaactl_hello_pack(&hello, channel->header);
	iaactl_vector_add(channel->vector, &pieces, channel->header, IAACTL_HELLO_BYTES);
	return put(channel, pieces);
}

/* ---- threads ------------------------------------------------------------------------------- */

static uint32_t take_work(struct channel *channel)
{
	struct iaactl_sender *sender = channel->sender;
	uint32_t count = 0;

	pthread_mutex_lock(&sender->lock);
	if (!sender->stop && !sender->defect.kind)
		iaactl_memory_take_dirty(sender->memory, &sender->cursor, IAACTL_PACKET_PAGES,
					 channel->packet.offsets, &count);
	sender->pages += count;
	pthread_mutex_unlock(&sender->lock);
	return count;
}

static void note_cpu(struct channel *channel)
{
	atomic_store_explicit(&channel->counters.cpu_ns, iaactl_thread_cpu_ns(),
			      memory_order_relaxed);
}

/* Wait for a round after number `done`; false when there will be none. */
static bool wait_for_round(struct channel *channel, uint64_t done)
{
	struct iaactl_sender *sender = channel->sender;
	bool go;

	pthread_mutex_lock(&sender->lock);
	while (!sender->stop && !sender->defect.kind && sender->round == done)
		pthread_cond_wait(&sender->changed, &sender->lock);
	go = !sender->stop && !sender->defect.kind;
	pthread_mutex_unlock(&sender->lock);
	return go;
}

static void end_round(struct channel *channel)
{
	struct iaactl_sender *sender = channel->sender;

	pthread_mutex_lock(&sender->lock);
	if (!--sender->behind)
		pthread_cond_broadcast(&sender->changed);
	pthread_mutex_unlock(&sender->lock);
}

static void *run(void *argument)
{
	struct channel *channel = argument;
	uint64_t done = 0;
	uint32_t count;

	if (!send_hello(channel))
		return NULL;
	while (wait_for_round(channel, done)) {
		done++;
		while ((count = take_work(channel))) {
			if (!send_pages(channel, count))
				return NULL;
			note_cpu(channel);
		}
		if (!send_sync(channel))
			return NULL;
		note_cpu(channel);
		end_round(channel);
	}
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int prepare(struct channel *channel, int fd, uint32_t *queue)
{
	const struct iaactl_send_settings *settings = &channel->sender->settings;
	int err = iaactl_io_init(&channel->io, fd, channel->sender->cancel, settings->timeout_ns);

	if (err)
		return err;
	atomic_store(&channel->counters.channel, (int32_t)channel->id);
	if (settings->method == IAACTL_METHOD_QPL) {
		channel->arena = malloc((size_t)IAACTL_PACKET_PAGES * IAACTL_PAGE_BYTES);
		if (!channel->arena)
			return -ENOMEM;
		return iaactl_codec_create(&settings->codec, queue, &channel->codec);
	}
	if (settings->method != IAACTL_METHOD_NONE)
		return iaactl_stream_create(settings->method, settings->level, false,
					    &channel->stream);
	return 0;
}

int iaactl_sender_create(struct iaactl_memory *memory, const int *fds, uint32_t count,
			 const struct iaactl_send_settings *settings, uint32_t *queue,
			 struct iaactl_sender **ret)
{
	struct iaactl_sender *sender;
	uint32_t i;
	int err;

	if (!count || count > IAACTL_CHANNELS_MOST || settings->method < IAACTL_METHOD_NONE ||
	    settings->method > IAACTL_METHOD_QPL || settings->codec.decompress)
		return -EINVAL;
	sender = calloc(1, sizeof(*sender));
	if (!sender)
		return -ENOMEM;
	sender->settings = *settings;
	sender->memory = memory;
	pthread_mutex_init(&sender->lock, NULL);
	iaactl_condition_init(&sender->changed);
	iaactl_pace_init(&sender->pace, settings->bytes_per_s);
	sender->cancel = eventfd(0, EFD_CLOEXEC);
	err = sender->cancel < 0 ? -errno : 0;
	sender->channels = calloc(count, sizeof(*sender->channels));
	if (!sender->channels)
		err = -ENOMEM;
	if (!err)
		err = iaactl_zero_choose(IAACTL_ZERO_BEST, NULL, &sender->is_zero);
	for (i = 0; !err && i < count; i++) {
		sender->channels[i].sender = sender;
		sender->channels[i].id = i;
		sender->count = i + 1;
		err = prepare(&sender->channels[i], fds[i], queue);
	}
	for (i = 0; !err && i < count; i++) {
		err = iaactl_thread_start(&sender->channels[i].thread, run, &sender->channels[i],
					  "send", i);
		sender->channels[i].started = !err;
	}
	if (err) {
		iaactl_sender_destroy(sender);
		return err;
	}
	*ret = sender;
	return 0;
}

static void join(struct iaactl_sender *sender, bool cancel)
{
	uint64_t one = 1;
	uint32_t i;

	pthread_mutex_lock(&sender->lock);
	sender->stop = true;
	if (cancel && sender->cancel >= 0)
		(void)!write(sender->cancel, &one, sizeof(one));
	pthread_cond_broadcast(&sender->changed);
	pthread_mutex_unlock(&sender->lock);
	for (i = 0; i < sender->count; i++) {
		if (sender->channels[i].started)
			pthread_join(sender->channels[i].thread, NULL);
		sender->channels[i].started = false;
	}
}

void iaactl_sender_destroy(struct iaactl_sender *sender)
{
	uint32_t i;

	if (!sender)
		return;
	join(sender, true);
	for (i = 0; i < sender->count; i++) {
		struct channel *channel = &sender->channels[i];

		iaactl_codec_destroy(channel->codec);
		iaactl_stream_destroy(channel->stream);
		free(channel->arena);
		iaactl_io_release(&channel->io);
	}
	if (sender->cancel >= 0)
		close(sender->cancel);
	iaactl_pace_destroy(&sender->pace);
	pthread_cond_destroy(&sender->changed);
	pthread_mutex_destroy(&sender->lock);
	free(sender->channels);
	free(sender);
}

/* ---- the caller's side --------------------------------------------------------------------- */

int iaactl_sender_begin(struct iaactl_sender *sender)
{
	int err = 0;

	pthread_mutex_lock(&sender->lock);
	if (sender->defect.kind) {
		err = -EPROTO;
	} else if (sender->stop) {
		err = -ESHUTDOWN;
	} else if (sender->behind) {
		err = -EBUSY;
	} else {
		sender->cursor = 0;
		sender->pages = 0;
		sender->behind = sender->count;
		sender->round++;
		pthread_cond_broadcast(&sender->changed);
	}
	pthread_mutex_unlock(&sender->lock);
	return err;
}

int iaactl_sender_wait(struct iaactl_sender *sender, uint32_t ms, uint64_t *ret)
{
	struct timespec until = iaactl_after_ms(ms);
	int err = 0, late = 0;

	pthread_mutex_lock(&sender->lock);
	while (sender->behind && !sender->defect.kind && !late)
		late = pthread_cond_timedwait(&sender->changed, &sender->lock, &until);
	if (sender->defect.kind)
		err = -EPROTO;
	else if (sender->behind)
		err = -EAGAIN;
	else
		*ret = sender->pages;
	pthread_mutex_unlock(&sender->lock);
	return err;
}

int iaactl_sender_finish(struct iaactl_sender *sender)
{
	bool running;
	uint32_t i;

	pthread_mutex_lock(&sender->lock);
	running = sender->behind && !sender->defect.kind;
	pthread_mutex_unlock(&sender->lock);
	join(sender, running);
	for (i = 0; i < sender->count; i++)
		if (sender->channels[i].io.socket)
			(void)shutdown(sender->channels[i].io.fd, SHUT_WR);
	return running ? -ECANCELED : sender->defect.kind ? -EPROTO : 0;
}

void iaactl_sender_defect(struct iaactl_sender *sender, struct iaactl_defect *ret)
{
	pthread_mutex_lock(&sender->lock);
	*ret = sender->defect;
	pthread_mutex_unlock(&sender->lock);
}

int iaactl_sender_counters(const struct iaactl_sender *sender, uint32_t index,
			   struct iaactl_counters *ret)
{
	if (index >= sender->count)
		return -EINVAL;
	iaactl_counters_read(&sender->channels[index].counters, ret);
	return 0;
}
