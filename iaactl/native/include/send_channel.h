/* SPDX-License-Identifier: Apache-2.0 */
/* What the modules of the sending end share. */
#ifndef IAACTL_SEND_CHANNEL_H
#define IAACTL_SEND_CHANNEL_H

#include "pace.h"
#include "sender.h"
#include "stream.h"
#include "zero.h"

/* Header, table, and at worst each page for itself. */
#define IAACTL_VECTOR_MOST (2 + IAACTL_PACKET_PAGES)

struct iaactl_send_channel {
	struct iaactl_sender *sender;
	struct iaactl_io io;
	uint32_t id;
	pthread_t thread;
	bool started;
	struct iaactl_live_counters counters;
	struct iaactl_stream *stream;
	struct iaactl_codec *codec;
	uint8_t *arena; /* method qpl: a slot of a page for each page of a packet */
	struct iaactl_packet packet;
	struct iaactl_page pages[IAACTL_PACKET_PAGES];
	const uint8_t *addresses[IAACTL_PACKET_PAGES];
	uint8_t header[IAACTL_HEADER_BYTES];
	uint8_t table[4 * IAACTL_PACKET_PAGES];
	struct iovec vector[IAACTL_VECTOR_MOST];
};

struct iaactl_sender {
	struct iaactl_send_settings settings;
	struct iaactl_memory *memory;
	iaactl_zero_test is_zero;
	int cancel;
	struct iaactl_pace pace;
	_Atomic uint64_t packets; /* numbers run through all channels */
	pthread_mutex_t lock;     /* what follows */
	pthread_cond_t changed;
	uint64_t cursor; /* next page of the round */
	uint64_t round;  /* number of the round that runs or ran, 0: none yet */
	uint64_t pages;  /* sent in it */
	uint32_t behind; /* channels that have not finished it */
	bool stop;
	struct iaactl_defect defect;
	uint32_t count;
	struct iaactl_send_channel *channels;
};

/* Send the hand-shake, a packet with the first `count` of `packet.offsets`, or a SYNC. False when
 * the channel has failed, which has been noted and ends all others, or was given up. */
bool iaactl_send_hello(struct iaactl_send_channel *channel);
bool iaactl_send_pages(struct iaactl_send_channel *channel, uint32_t count);
bool iaactl_send_sync(struct iaactl_send_channel *channel);

#endif
