/* SPDX-License-Identifier: Apache-2.0 */
/* The bandwidth limit. */
#include "pace.h"

#include <errno.h>

int iaactl_pace_init(struct iaactl_pace *pace, uint64_t bytes_per_s)
{
	pace->bytes_per_s = bytes_per_s;
	pace->window_ns = 0;
	pace->used = 0;
	return -pthread_mutex_init(&pace->lock, NULL);
}

void iaactl_pace_destroy(struct iaactl_pace *pace)
{
	pthread_mutex_destroy(&pace->lock);
}

uint64_t iaactl_pace_ask(struct iaactl_pace *pace, uint64_t bytes, uint64_t now_ns)
{
	uint64_t share = pace->bytes_per_s / (1000000000u / IAACTL_PACE_WINDOW_NS);
	uint64_t wait = 0;

	if (!pace->bytes_per_s)
		return 0;
	share = share ? share : 1;
	pthread_mutex_lock(&pace->lock);
	if (now_ns - pace->window_ns >= IAACTL_PACE_WINDOW_NS) {
		uint64_t windows = (now_ns - pace->window_ns) / IAACTL_PACE_WINDOW_NS;

		/* Unused shares are lost, debts are not. */
		pace->used = windows >= pace->used / share + 1 ? 0 : pace->used - windows * share;
		pace->window_ns += windows * IAACTL_PACE_WINDOW_NS;
	}
	if (pace->used >= share)
		wait = pace->window_ns + IAACTL_PACE_WINDOW_NS - now_ns;
	else
		pace->used += bytes;
	pthread_mutex_unlock(&pace->lock);
	return wait;
}
