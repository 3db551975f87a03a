/* SPDX-License-Identifier: Apache-2.0 */
/* The sending end: channels that take dirty pages of one memory, round by round. */
#ifndef IAACTL_SENDER_H
#define IAACTL_SENDER_H

#include "channel.h"
#include "memory.h"

struct iaactl_send_settings {
	int32_t method; /* enum iaactl_method */
	int32_t level;  /* of methods zlib and zstd */
	bool detect_zero;
	uint64_t bytes_per_s; /* wire bytes over all channels, 0: no limit */
	uint64_t timeout_ns;  /* a peer may take no byte for as long */
	char block[IAACTL_BLOCK_BYTES];
	uint8_t uuid[IAACTL_UUID_BYTES];
	struct iaactl_codec_settings codec; /* method qpl */
};

struct iaactl_sender;

/* Start one thread for each of `count` descriptors, which stay the caller's; the hand-shakes are
 * sent at once. The memory must outlive the sender. -EINVAL for a bad number of channels; errors of
 * iaactl_codec_create and iaactl_stream_create, with the index of the queue in `queue`. */
int iaactl_sender_create(struct iaactl_memory *memory, const int *fds, uint32_t count,
			 const struct iaactl_send_settings *settings, uint32_t *queue,
			 struct iaactl_sender **ret);

/* Give up what runs, join the threads, free. */
void iaactl_sender_destroy(struct iaactl_sender *sender);

/* Begin a round: all pages dirty now or before a channel has passed them, then SYNC on every
 * channel. -EBUSY while one runs, -EPROTO after a failure, -ESHUTDOWN when finished. */
int iaactl_sender_begin(struct iaactl_sender *sender);

/* Wait for the round, at most `ms`: 0 with its pages in `ret`, -EAGAIN when it still runs, -EPROTO
 * when a channel failed, -ECANCELED. */
int iaactl_sender_wait(struct iaactl_sender *sender, uint32_t ms, uint64_t *ret);

/* Give up what runs, from any thread: a wait for the round ends with -ECANCELED. */
void iaactl_sender_cancel(struct iaactl_sender *sender);

/* End the threads, which must be between rounds (else they are given up, -ECANCELED), and shut down
 * the writing side of sockets. */
int iaactl_sender_finish(struct iaactl_sender *sender);

/* The first failure; kind NONE without one. */
void iaactl_sender_defect(struct iaactl_sender *sender, struct iaactl_defect *ret);

/* Counters of channel `index`, -EINVAL when there is none. */
int iaactl_sender_counters(const struct iaactl_sender *sender, uint32_t index,
			   struct iaactl_counters *ret);

#endif
