/* SPDX-License-Identifier: Apache-2.0 */
/* The writing thread. */
#define _GNU_SOURCE
#include "dirtier.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "clock.h"
#include "wire.h"

#define TICK_NS 1000000u
#define WORDS_CHANGED 4
#define WORDS (IAACTL_PAGE_BYTES / sizeof(uint64_t))
/* A late tick catches up with at most this much time, so that a pause is no debt. */
#define CATCH_UP_NS 100000000u
/* Between looks at the clock and the orders when there is no rate. */
#define BURST 64

struct iaactl_dirtier {
	struct iaactl_memory *memory;
	uint64_t first, pages, pages_per_s;
	int pattern;
	uint64_t random, next;
	_Atomic uint64_t written;
	pthread_t thread;
	bool started;
	pthread_mutex_t lock; /* held by the thread while it writes */
	pthread_cond_t changed;
	bool paused, stop; /* under the lock */
	_Atomic bool wanted; /* somebody waits for the lock: let go of it */
};

/* SplitMix64: the sequence is a function of the seed, and any seed will do. */
static uint64_t draw(struct iaactl_dirtier *dirtier)
{
	uint64_t z = dirtier->random += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint64_t choose(struct iaactl_dirtier *dirtier)
{
	uint64_t hot = dirtier->pages < 10 ? 1 : dirtier->pages / 10;

	if (dirtier->pattern == IAACTL_DIRTY_SEQUENTIAL)
		return dirtier->next++ % dirtier->pages;
	if (dirtier->pattern == IAACTL_DIRTY_HOT && draw(dirtier) % 10 < 9)
		return draw(dirtier) % hot;
	return draw(dirtier) % dirtier->pages;
}

/* Channels read the page at the same time, as a guest's are read: not a race to find. */
__attribute__((no_sanitize("thread"))) static void change(struct iaactl_dirtier *dirtier,
							  uint64_t page)
{
	volatile uint64_t *words = (volatile uint64_t *)(void *)(
		iaactl_memory_base(dirtier->memory) + page * IAACTL_PAGE_BYTES);
	uint64_t where = draw(dirtier);
	unsigned int i;

	/* Counters that count on: one byte of a word differs, as in pages that a guest works on. */
	for (i = 0; i < WORDS_CHANGED; i++)
		words[where >> 16 * i & (WORDS - 1)] += 1;
}

static void write_pages(struct iaactl_dirtier *dirtier, uint64_t count)
{
	while (count--) {
		uint64_t page = dirtier->first + choose(dirtier);

		change(dirtier, page);
		iaactl_memory_mark_dirty(dirtier->memory, page);
		atomic_fetch_add_explicit(&dirtier->written, 1, memory_order_relaxed);
	}
}

static void sleep_until(uint64_t at)
{
	struct timespec until = { .tv_sec = (time_t)(at / 1000000000),
				  .tv_nsec = (long)(at % 1000000000) };

	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* Wait while paused; false at the end. Holds the lock on true. */
static bool may_write(struct iaactl_dirtier *dirtier, uint64_t *since)
{
	pthread_mutex_lock(&dirtier->lock);
	while (dirtier->paused && !dirtier->stop) {
		pthread_cond_wait(&dirtier->changed, &dirtier->lock);
		*since = iaactl_now_ns();
	}
	if (!dirtier->stop)
		return true;
	pthread_mutex_unlock(&dirtier->lock);
	return false;
}

static void *run(void *argument)
{
	struct iaactl_dirtier *dirtier = argument;
	uint64_t since = iaactl_now_ns(), due, owed = 0;

	while (may_write(dirtier, &since)) {
		if (dirtier->pages_per_s) {
			uint64_t now = iaactl_now_ns(), elapsed = now - since;

			/* What is left of a page in nanoseconds times pages is kept for later. */
			if (elapsed > CATCH_UP_NS)
				elapsed = CATCH_UP_NS;
			owed += elapsed * dirtier->pages_per_s;
			since = now;
			due = owed / 1000000000;
			owed %= 1000000000;
		} else {
			due = UINT64_MAX;
		}
		while (due && !atomic_load_explicit(&dirtier->wanted, memory_order_relaxed)) {
			uint64_t part = due < BURST ? due : BURST;

			write_pages(dirtier, part);
			due -= part;
		}
		pthread_mutex_unlock(&dirtier->lock);
		if (dirtier->pages_per_s)
			sleep_until(since + TICK_NS);
		else
			sched_yield();
	}
	return NULL;
}

int iaactl_dirtier_create(struct iaactl_memory *memory, uint64_t first, uint64_t pages,
			  uint64_t pages_per_s, int pattern, uint64_t seed,
			  struct iaactl_dirtier **ret)
{
	uint64_t all = iaactl_memory_pages(memory);
	struct iaactl_dirtier *dirtier;

	if (!pages || first >= all || pages > all - first || pattern < IAACTL_DIRTY_SEQUENTIAL ||
	    pattern > IAACTL_DIRTY_HOT || pages_per_s > 1000000000)
		return -EINVAL;
	dirtier = calloc(1, sizeof(*dirtier));
	if (!dirtier)
		return -ENOMEM;
	dirtier->memory = memory;
	dirtier->first = first;
	dirtier->pages = pages;
	dirtier->pages_per_s = pages_per_s;
	dirtier->pattern = pattern;
	dirtier->random = seed;
	pthread_mutex_init(&dirtier->lock, NULL);
	iaactl_condition_init(&dirtier->changed);
	*ret = dirtier;
	return 0;
}

void iaactl_dirtier_destroy(struct iaactl_dirtier *dirtier)
{
	if (!dirtier)
		return;
	iaactl_dirtier_stop(dirtier);
	pthread_cond_destroy(&dirtier->changed);
	pthread_mutex_destroy(&dirtier->lock);
	free(dirtier);
}

int iaactl_dirtier_start(struct iaactl_dirtier *dirtier)
{
	int err;

	if (dirtier->started || dirtier->stop)
		return -EALREADY;
	err = iaactl_thread_start(&dirtier->thread, run, dirtier, "dirty", 0);
	dirtier->started = !err;
	return err;
}

static void order(struct iaactl_dirtier *dirtier, bool paused, bool stop)
{
	atomic_store(&dirtier->wanted, true);
	pthread_mutex_lock(&dirtier->lock);
	dirtier->paused = paused;
	dirtier->stop |= stop;
	atomic_store(&dirtier->wanted, false);
	pthread_cond_broadcast(&dirtier->changed);
	pthread_mutex_unlock(&dirtier->lock);
}

void iaactl_dirtier_pause(struct iaactl_dirtier *dirtier)
{
	order(dirtier, true, false);
}

void iaactl_dirtier_resume(struct iaactl_dirtier *dirtier)
{
	order(dirtier, false, false);
}

void iaactl_dirtier_stop(struct iaactl_dirtier *dirtier)
{
	order(dirtier, true, true);
	if (dirtier->started)
		pthread_join(dirtier->thread, NULL);
	dirtier->started = false;
}

uint64_t iaactl_dirtier_written(const struct iaactl_dirtier *dirtier)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)&dirtier->written,
				    memory_order_relaxed);
}
