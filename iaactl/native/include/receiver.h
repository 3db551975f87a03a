/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving end: channels that fill RAM blocks, in step at every SYNC. */
#ifndef IAACTL_RECEIVER_H
#define IAACTL_RECEIVER_H

#include "channel.h"
#include "memory.h"

struct iaactl_block {
	char name[IAACTL_BLOCK_BYTES];
	struct iaactl_memory *memory; /* fresh; must outlive the receiver */
};

struct iaactl_receive_settings {
	int32_t method; /* enum iaactl_method */
	bool hold;      /* channels wait at a SYNC until it is released, not only for each other */
	bool any_uuid;
	uint64_t timeout_ns; /* a peer may send no byte for as long */
	uint8_t uuid[IAACTL_UUID_BYTES];
	struct iaactl_codec_settings codec; /* method qpl */
};

struct iaactl_receiver;

/* As iaactl_sender_create; threads begin with `_start`. Both arrays are copied. */
int iaactl_receiver_create(const struct iaactl_block *blocks, uint32_t block_count, const int *fds,
			   uint32_t count, const struct iaactl_receive_settings *settings,
			   uint32_t *queue, struct iaactl_receiver **ret);

/* Give up what runs, join the threads, free. */
void iaactl_receiver_destroy(struct iaactl_receiver *receiver);

/* Start the threads, once. */
int iaactl_receiver_start(struct iaactl_receiver *receiver);

/* Give up what runs, from any thread: waits end with -ECANCELED. */
void iaactl_receiver_cancel(struct iaactl_receiver *receiver);

/* Wait at most `ms` until every channel has passed `sync` SYNCs: 0, -EAGAIN, -EPROTO when a channel
 * failed, -ENODATA when all have ended without, -ECANCELED. */
int iaactl_receiver_wait_sync(struct iaactl_receiver *receiver, uint64_t sync, uint32_t ms);

/* With `hold`: let the channels go on behind SYNC number `sync`. */
void iaactl_receiver_release(struct iaactl_receiver *receiver, uint64_t sync);

/* Wait at most `ms` until every channel has ended: 0, -EAGAIN, -EPROTO, -ECANCELED. */
int iaactl_receiver_wait_end(struct iaactl_receiver *receiver, uint32_t ms);

/* The first failure; kind NONE without one. */
void iaactl_receiver_defect(struct iaactl_receiver *receiver, struct iaactl_defect *ret);

/* Counters of the channel on descriptor `index`, -EINVAL when there is none; `syncs` may be NULL. */
int iaactl_receiver_counters(struct iaactl_receiver *receiver, uint32_t index, uint64_t *syncs,
			     struct iaactl_counters *ret);

#endif
