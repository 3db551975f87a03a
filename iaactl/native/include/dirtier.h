/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that writes guest memory at a set rate, as a running guest would. */
#ifndef IAACTL_DIRTIER_H
#define IAACTL_DIRTIER_H

#include "memory.h"

enum iaactl_dirty_pattern {
	IAACTL_DIRTY_SEQUENTIAL = 0,
	IAACTL_DIRTY_RANDOM = 1,
	IAACTL_DIRTY_HOT = 2 /* nine of ten writes to the first tenth of the pages */
};

struct iaactl_dirtier;

/* Pages `first` .. `first + pages - 1`, of a memory that outlives it. `pages_per_s` 0: as fast as it
 * can. -EINVAL for pages outside the memory or an unknown pattern. */
int iaactl_dirtier_create(struct iaactl_memory *memory, uint64_t first, uint64_t pages,
			  uint64_t pages_per_s, int pattern, uint64_t seed,
			  struct iaactl_dirtier **ret);

void iaactl_dirtier_destroy(struct iaactl_dirtier *dirtier);

/* Start the thread, once: -EALREADY later. */
int iaactl_dirtier_start(struct iaactl_dirtier *dirtier);

/* On return nothing is being written, and the bits of all that was written are set. */
void iaactl_dirtier_pause(struct iaactl_dirtier *dirtier);

void iaactl_dirtier_resume(struct iaactl_dirtier *dirtier);

/* End the thread. */
void iaactl_dirtier_stop(struct iaactl_dirtier *dirtier);

/* Pages written so far. */
uint64_t iaactl_dirtier_written(const struct iaactl_dirtier *dirtier);

#endif
