/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving end: its threads, and what keeps them in step. */
#include "receiver.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "receive_channel.h"

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
static struct iaactl_receive_channel *left_behind(struct iaactl_receiver *receiver, uint64_t *most)
{
	struct iaactl_receive_channel *behind = NULL;
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
	struct iaactl_receive_channel *behind;

	pthread_mutex_lock(&receiver->lock);
	behind = left_behind(receiver, &defect.want);
	if (behind) {
		defect.have = behind->syncs;
		defect.offset = behind->io.offset;
	}
	pthread_mutex_unlock(&receiver->lock);
	return behind ? iaactl_receive_fail(behind, defect) : 0;
}

/* At a SYNC: on only when every channel has come as far, and the SYNC has been released. */
static int barrier(struct iaactl_receive_channel *channel)
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

static void note_cpu(struct iaactl_receive_channel *channel)
{
	atomic_store_explicit(&channel->counters.cpu_ns, iaactl_thread_cpu_ns(),
			      memory_order_relaxed);
}

static void *run(void *argument)
{
	struct iaactl_receive_channel *channel = argument;
	struct iaactl_receiver *receiver = channel->receiver;
	int result = iaactl_receive_hello(channel);
	uint32_t flags;

	while (!result) {
		result = iaactl_receive_packet(channel, &flags);
		note_cpu(channel);
		/* Releases before 9.0 let it ride on a packet with pages: those came first. */
		if (!result && flags & IAACTL_FLAG_SYNC)
			result = barrier(channel);
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

static int prepare(struct iaactl_receive_channel *channel, int fd, uint32_t *queue)
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
		struct iaactl_receive_channel *channel = &receiver->channels[i];

		if (channel->started)
			return -EALREADY;
		err = iaactl_thread_start(&channel->thread, run, channel, "recv", i);
		channel->started = !err;
	}
	return err;
}

void iaactl_receiver_cancel(struct iaactl_receiver *receiver)
{
	uint64_t one = 1;
	uint32_t i;

	for (i = 0; i < receiver->count; i++)
		iaactl_codec_cancel(receiver->channels[i].codec);
	pthread_mutex_lock(&receiver->lock);
	receiver->stop = true;
	if (receiver->cancel >= 0)
		(void)!write(receiver->cancel, &one, sizeof(one));
	pthread_cond_broadcast(&receiver->changed);
	pthread_mutex_unlock(&receiver->lock);
}

void iaactl_receiver_destroy(struct iaactl_receiver *receiver)
{
	uint32_t i;

	if (!receiver)
		return;
	iaactl_receiver_cancel(receiver);
	for (i = 0; i < receiver->count; i++) {
		struct iaactl_receive_channel *channel = &receiver->channels[i];

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
	       !receiver->stop && !late)
		late = pthread_cond_timedwait(&receiver->changed, &receiver->lock, &until);
	if (receiver->defect.kind)
		err = -EPROTO;
	else if (reached_by_all(receiver) < sync)
		err = all_ended(receiver) ? -ENODATA : receiver->stop ? -ECANCELED : -EAGAIN;
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
	while (!all_ended(receiver) && !receiver->defect.kind && !receiver->stop && !late)
		late = pthread_cond_timedwait(&receiver->changed, &receiver->lock, &until);
	if (receiver->defect.kind)
		err = -EPROTO;
	else if (!all_ended(receiver))
		err = receiver->stop ? -ECANCELED : -EAGAIN;
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
