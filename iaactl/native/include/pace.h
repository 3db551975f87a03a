/* SPDX-License-Identifier: Apache-2.0 */
/* A limit on bytes per second, over windows of 100 ms as in QEMU. */
#ifndef IAACTL_PACE_H
#define IAACTL_PACE_H

#include <pthread.h>
#include <stdint.h>

#define IAACTL_PACE_WINDOW_NS 100000000u

/* Shared by all channels. What one window had too much is taken off the next ones, so that the
 * limit holds over time even where a packet is larger than a window's share. */
struct iaactl_pace {
	pthread_mutex_t lock;
	uint64_t bytes_per_s; /* 0: no limit */
	uint64_t window_ns;   /* start of the window */
	uint64_t used;
};

int iaactl_pace_init(struct iaactl_pace *pace, uint64_t bytes_per_s);
void iaactl_pace_destroy(struct iaactl_pace *pace);

/* Ask to send `bytes` at time `now_ns`: 0 when they may go (and are counted), else how long to wait
 * before asking again. */
uint64_t iaactl_pace_ask(struct iaactl_pace *pace, uint64_t bytes, uint64_t now_ns);

#endif
