/* SPDX-License-Identifier: Apache-2.0 */
/* What the modules of the receiving end share. */
#ifndef IAACTL_RECEIVE_CHANNEL_H
#define IAACTL_RECEIVE_CHANNEL_H

#include "receiver.h"
#include "stream.h"

struct iaactl_receive_channel {
	struct iaactl_receiver *receiver;
	struct iaactl_io io;
	uint32_t index;
	pthread_t thread;
	bool started;
	struct iaactl_live_counters counters;
	struct iaactl_stream *stream;
	struct iaactl_codec *codec;
	uint8_t *payload; /* IAACTL_PAYLOAD_MOST, and what decoders may look at behind it */
	struct iaactl_packet packet;
	struct iaactl_page pages[IAACTL_PACKET_PAGES];
	uint8_t *addresses[IAACTL_PACKET_PAGES];
	uint32_t lengths[IAACTL_PACKET_PAGES];
	uint8_t header[IAACTL_HEADER_BYTES];
	struct iovec vector[IAACTL_PACKET_PAGES];
	uint64_t unsynced; /* pages since the last SYNC */
	uint64_t syncs; /* under the receiver's lock */
	bool ended;     /* likewise */
};

struct iaactl_receiver {
	struct iaactl_receive_settings settings;
	struct iaactl_block *blocks;
	uint32_t block_count;
	int cancel;
	pthread_mutex_t lock; /* what follows */
	pthread_cond_t changed;
	bool stop;
	uint64_t released; /* SYNCs that channels may go beyond */
	uint8_t seen[(IAACTL_CHANNELS_MOST + 7) / 8 + 1];
	struct iaactl_defect defect;
	uint32_t count;
	struct iaactl_receive_channel *channels;
};

/* Note the first failure, and give up all channels. Always -EPROTO. */
int iaactl_receive_fail(struct iaactl_receive_channel *channel, struct iaactl_defect defect);

/* Read and check the hand-shake; -EPROTO after a failure that was noted, -ECANCELED. */
int iaactl_receive_hello(struct iaactl_receive_channel *channel);

/* Read one packet into guest memory: 0 with its flags in `ret`, 1 at the end of the channel, else
 * as above. */
int iaactl_receive_packet(struct iaactl_receive_channel *channel, uint32_t *ret);

#endif
