/* SPDX-License-Identifier: Apache-2.0 */
/* Pages on work queues, by QEMU's policy: submit all pages of a packet, then wait in order.
 *
 * A packet goes to the queues of the socket that the thread runs on at that moment, as QPL chooses
 * them; where that socket has none, to all, which QPL would not do: it would say that there is no
 * work queue.
 *
 * A page that every queue refuses is offered three more times at once, then done by the fallback
 * while the queues drain. A page whose compression fails is sent raw. One whose decompression
 * fails is decompressed by the fallback, which tells a broken stream from a broken device: QEMU
 * gives up there. Both are counted. */
#define _GNU_SOURCE /* sched_getcpu */
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "codec.h"
#include "iaactl.h"
#include "wire.h"

#define MOST_IN_FLIGHT IAACTL_PACKET_PAGES
#define RETRIES 3
#define MOST_FAULTS 16 /* a page and its data touch three pages; more is a device gone wrong */
#define RECORD_BYTES 64
#define SLICE_NS 50000000u /* how long a cancellation may go unnoticed */

enum { COMPLETION_AT = 8, SOURCE_AT = 16, DESTINATION_AT = 24, SOURCE_BYTES_AT = 32, AECS_AT = 40 };
enum { RECORD_ERROR = 1, RECORD_OUTPUT_BYTES = 24 };
enum { SUCCESS = 0x01, ANALYTICS_ERROR = 0x0a, OUTPUT_OVERFLOW = 0x0b, OUTPUT_TOO_SMALL = 25 };

#define NOT_SUBMITTED UINT32_MAX

struct iaa_codec {
	struct iaactl_codec base;
	struct iaactl_codec *fallback;
	bool decompress;
	uint64_t timeout_ns;
	uint32_t queue_count, next;
	struct iaactl_portal **portals;
	uint64_t (*cpus)[IAACTL_CPU_WORDS]; /* of each queue's socket; NULL: any */
	bool *far;                          /* queues of another socket than this packet's */
	uint32_t on[MOST_IN_FLIGHT]; /* index of the queue that has the job */
	uint8_t *aecs;
	uint8_t (*records)[RECORD_BYTES];
	struct iaactl_job jobs[MOST_IN_FLIGHT];
};

static void put_u64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void put_u32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void describe(struct iaa_codec *codec, uint32_t slot, const struct iaactl_page *page)
{
	uint8_t *d = codec->jobs[slot].descriptor;

	put_u64(d + COMPLETION_AT, (uintptr_t)codec->records[slot]);
	put_u64(d + SOURCE_AT, (uintptr_t)page->in);
	put_u64(d + DESTINATION_AT, (uintptr_t)page->out);
	put_u32(d + SOURCE_BYTES_AT, codec->decompress ? page->bytes : IAACTL_PAGE_BYTES);
	if (codec->aecs)
		put_u64(d + AECS_AT, (uintptr_t)codec->aecs);
}

static bool serves(const struct iaa_codec *codec, uint32_t queue, uint32_t cpu)
{
	return cpu < 64 * IAACTL_CPU_WORDS && codec->cpus[queue][cpu / 64] >> cpu % 64 & 1;
}

/* Mark the queues of other sockets; none, where this one has no queue. */
static void stay_near(struct iaa_codec *codec)
{
	int cpu = codec->cpus ? sched_getcpu() : -1;
	uint32_t i, near = 0;

	for (i = 0; i < codec->queue_count; i++) {
		codec->far[i] = cpu >= 0 && !serves(codec, i, (uint32_t)cpu);
		near += !codec->far[i];
	}
	if (!near)
		memset(codec->far, 0, codec->queue_count * sizeof(*codec->far));
}

/* Offer a job to each queue near by once, beginning with the next in turn: -EAGAIN when one was merely full,
 * else the error of the last. */
static int offer(struct iaa_codec *codec, uint32_t slot)
{
	bool full = false;
	int err = -EAGAIN;
	uint32_t i;

	for (i = 0; i < codec->queue_count; i++) {
		uint32_t queue = (codec->next + i) % codec->queue_count;

		if (codec->far[queue])
			continue;
		err = iaactl_portal_submit(codec->portals[queue], &codec->jobs[slot]);
		if (!err) {
			codec->on[slot] = queue;
			codec->next = (queue + 1) % codec->queue_count;
			return 0;
		}
		full |= err == -EAGAIN;
		/* A queue that is gone must show, even where others do its work. */
		codec->base.events.job_failures += err != -EAGAIN;
	}
	return full ? -EAGAIN : err;
}

/* Submit, or let the fallback do the page now. */
static int begin(struct iaa_codec *codec, uint32_t slot, struct iaactl_page *page)
{
	uint32_t attempt, ignored;
	int err = -EAGAIN;

	codec->on[slot] = NOT_SUBMITTED;
	describe(codec, slot, page);
	for (attempt = 0; attempt <= RETRIES && err == -EAGAIN; attempt++) {
		err = offer(codec, slot);
		codec->base.events.busy_retries += err == -EAGAIN && attempt < RETRIES;
	}
	if (!err)
		return 0;
	return codec->fallback->run(codec->fallback, page, 1, &ignored);
}

/* Take the result of a job that has a completion record. */
static int take(struct iaa_codec *codec, uint32_t slot, struct iaactl_page *page)
{
	const uint8_t *record = codec->records[slot];
	uint32_t made, ignored;

	memcpy(&made, record + RECORD_OUTPUT_BYTES, sizeof(made));
	page->path = IAACTL_PATH_IAA;
	if (codec->decompress) {
		if (record[0] == SUCCESS && made == IAACTL_PAGE_BYTES)
			return 0;
		codec->base.events.job_failures++;
		return codec->fallback->run(codec->fallback, page, 1, &ignored);
	}
	if (record[0] == SUCCESS && made && made <= IAACTL_PAGE_ROOM) {
		page->bytes = made;
		return 0;
	}
	/* That it does not fit is no failure, but what the limit is for. */
	if (record[0] != OUTPUT_OVERFLOW &&
	    !(record[0] == ANALYTICS_ERROR && record[RECORD_ERROR] == OUTPUT_TOO_SMALL))
		codec->base.events.job_failures++;
	page->bytes = IAACTL_PAGE_BYTES;
	page->path = IAACTL_PATH_RAW;
	return 0;
}

/* Wait for a submitted job, in slices: 0, -ETIMEDOUT, -ECANCELED, or the error of a submission that
 * a fault made necessary. */
static int await(struct iaa_codec *codec, uint32_t slot)
{
	uint64_t deadline = iaactl_now_ns() + codec->timeout_ns, now, until;
	struct iaactl_job *job = &codec->jobs[slot];
	int err;

	do {
		now = iaactl_now_ns();
		until = deadline - now < SLICE_NS ? deadline : now + SLICE_NS;
		job->error = 0;
		err = iaactl_portal_await(codec->portals[codec->on[slot]], job, MOST_FAULTS, until);
		if (err == -ETIMEDOUT &&
		    atomic_load_explicit(&codec->base.cancelled, memory_order_relaxed))
			return -ECANCELED;
	} while (err == -ETIMEDOUT && until < deadline);
	return err;
}

static int run_pages(struct iaactl_codec *base, struct iaactl_page *pages, uint32_t count,
		     uint32_t *ret)
{
	struct iaa_codec *codec = (struct iaa_codec *)base;
	int err, first = 0;
	uint32_t i;

	if (count > MOST_IN_FLIGHT)
		return -EINVAL;
	stay_near(codec);
	for (i = 0; i < count; i++) {
		err = begin(codec, i, &pages[i]);
		if (err && !first) {
			first = err;
			*ret = i;
		}
	}
	/* Every job is waited for, even if a page is lost already: they write to our memory. */
	for (i = 0; i < count; i++) {
		if (codec->on[i] == NOT_SUBMITTED)
			continue;
		err = await(codec, i);
		codec->base.events.faults += codec->jobs[i].faults;
		if (err == -ETIMEDOUT || err == -ECANCELED) {
			*ret = codec->on[i];
			return err;
		}
		if (err) /* refused when it was submitted again after a fault */
			codec->records[i][0] = 0;
		err = take(codec, i, &pages[i]);
		if (err && !first) {
			first = err;
			*ret = i;
		}
	}
	return first;
}

static void destroy(struct iaactl_codec *base)
{
	struct iaa_codec *codec = (struct iaa_codec *)base;
	uint32_t i;

	/* Jobs that never completed may write until their queue is closed. */
	for (i = 0; codec->portals && i < codec->queue_count; i++)
		iaactl_portal_close(codec->portals[i]);
	free(codec->portals);
	free(codec->cpus);
	free(codec->far);
	iaactl_codec_destroy(codec->fallback);
	free(codec->records);
	free(codec->aecs);
	free(codec);
}

static int allocate(const struct iaactl_codec_settings *settings, struct iaa_codec *codec)
{
	codec->portals = calloc(settings->queue_count, sizeof(*codec->portals));
	codec->records = aligned_alloc(RECORD_BYTES, MOST_IN_FLIGHT * RECORD_BYTES);
	codec->far = calloc(settings->queue_count, sizeof(*codec->far));
	if (!codec->portals || !codec->records || !codec->far)
		return -ENOMEM;
	if (settings->queue_cpus) {
		codec->cpus = calloc(settings->queue_count, sizeof(*codec->cpus));
		if (!codec->cpus)
			return -ENOMEM;
		memcpy(codec->cpus, settings->queue_cpus,
		       settings->queue_count * sizeof(*codec->cpus));
	}
	if (settings->aecs_bytes) {
		codec->aecs = aligned_alloc(64, (settings->aecs_bytes + 63) / 64 * 64);
		if (!codec->aecs)
			return -ENOMEM;
		memcpy(codec->aecs, settings->aecs, settings->aecs_bytes);
	}
	return 0;
}

int iaactl_codec_iaa_create(const struct iaactl_codec_settings *settings, uint32_t *queue,
			    struct iaactl_codec **ret)
{
	struct iaactl_codec_settings fallback = *settings;
	struct iaa_codec *codec;
	int err, reason;
	uint32_t i;

	if (!settings->queue_count || settings->fallback == IAACTL_CODEC_IAA)
		return -EINVAL;
	codec = calloc(1, sizeof(*codec));
	if (!codec)
		return -ENOMEM;
	codec->base.run = run_pages;
	codec->base.destroy = destroy;
	codec->decompress = settings->decompress;
	codec->timeout_ns = settings->timeout_ns;
	codec->queue_count = settings->queue_count;
	fallback.kind = settings->fallback;
	err = iaactl_codec_create(&fallback, queue, &codec->fallback);
	if (!err)
		err = allocate(settings, codec);
	for (i = 0; !err && i < settings->queue_count; i++) {
		*queue = i;
		err = iaactl_portal_open(settings->queues[i], 0, &reason, &codec->portals[i]);
	}
	if (err) {
		destroy(&codec->base);
		return err;
	}
	for (i = 0; i < MOST_IN_FLIGHT; i++)
		memcpy(codec->jobs[i].descriptor, settings->descriptor, 64);
	*ret = &codec->base;
	return 0;
}
