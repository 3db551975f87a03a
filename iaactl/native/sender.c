/* SPDX-License-Identifier: Apache-2.0 */
/* The sending end: its threads and rounds. Each channel takes the next dirty pages by itself, up to
 * a packet of them, so that no thread has to hand out work. */
#include "sender.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "send_channel.h"

/* ---- threads ------------------------------------------------------------------------------- */

/* The next pages of the round, none at its end; false when it has been given up, so that no SYNC may
 * say that it is complete. */
static bool take_work(struct iaactl_send_channel *channel, uint32_t *count)
{
	struct iaactl_sender *sender = channel->sender;
	bool go;

	*count = 0;
	pthread_mutex_lock(&sender->lock);
	go = !sender->stop && !sender->defect.kind;
	if (go)
		iaactl_memory_take_dirty(sender->memory, &sender->cursor, IAACTL_PACKET_PAGES,
					 channel->packet.offsets, count);
	sender->pages += *count;
	pthread_mutex_unlock(&sender->lock);
	return go;
}

static void note_cpu(struct iaactl_send_channel *channel)
{
	atomic_store_explicit(&channel->counters.cpu_ns, iaactl_thread_cpu_ns(),
			      memory_order_relaxed);
}

/* Wait for a round after number `done`; false when there will be none. */
static bool wait_for_round(struct iaactl_send_channel *channel, uint64_t done)
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

static void end_round(struct iaactl_send_channel *channel)
{
	struct iaactl_sender *sender = channel->sender;

	pthread_mutex_lock(&sender->lock);
	if (!--sender->behind)
		pthread_cond_broadcast(&sender->changed);
	pthread_mutex_unlock(&sender->lock);
}

static void *run(void *argument)
{
	struct iaactl_send_channel *channel = argument;
	uint64_t done = 0;
	uint32_t count;

	if (!iaactl_send_hello(channel))
		return NULL;
	while (wait_for_round(channel, done)) {
		done++;
		do {
			if (!take_work(channel, &count))
				return NULL;
			if (count && !iaactl_send_pages(channel, count))
				return NULL;
			note_cpu(channel);
		} while (count);
		if (!iaactl_send_sync(channel))
			return NULL;
		note_cpu(channel);
		end_round(channel);
	}
	return NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int prepare(struct iaactl_send_channel *channel, int fd, uint32_t *queue)
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

static void order_stop(struct iaactl_sender *sender, bool cancel)
{
	uint64_t one = 1;
	uint32_t i;

	for (i = 0; cancel && i < sender->count; i++)
		iaactl_codec_cancel(sender->channels[i].codec);
	pthread_mutex_lock(&sender->lock);
	sender->stop = true;
	if (cancel && sender->cancel >= 0)
		(void)!write(sender->cancel, &one, sizeof(one));
	pthread_cond_broadcast(&sender->changed);
	pthread_mutex_unlock(&sender->lock);
}

void iaactl_sender_cancel(struct iaactl_sender *sender)
{
	order_stop(sender, true);
}

static void join(struct iaactl_sender *sender, bool cancel)
{
	uint32_t i;

	order_stop(sender, cancel);
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
		struct iaactl_send_channel *channel = &sender->channels[i];

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
	while (sender->behind && !sender->defect.kind && !sender->stop && !late)
		late = pthread_cond_timedwait(&sender->changed, &sender->lock, &until);
	if (sender->defect.kind)
		err = -EPROTO;
	else if (sender->behind)
		err = sender->stop ? -ECANCELED : -EAGAIN;
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
