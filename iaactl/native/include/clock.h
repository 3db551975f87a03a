/* SPDX-License-Identifier: Apache-2.0 */
/* Times in nanoseconds. */
#ifndef IAACTL_CLOCK_H
#define IAACTL_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t iaactl_clock_ns(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

/* Since some fixed point, never set back. */
static inline uint64_t iaactl_now_ns(void)
{
	return iaactl_clock_ns(CLOCK_MONOTONIC);
}

/* What the calling thread has used, user and system. */
static inline uint64_t iaactl_thread_cpu_ns(void)
{
	return iaactl_clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

#endif
