/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a multifd channel: hand-shake, packet header, and what a receiver must refuse.
 *
 * Layouts as measured on QEMU 8.2 to 11.1 for targets with 4-KiB pages; all numbers big-endian. */
#ifndef IAACTL_WIRE_H
#define IAACTL_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define IAACTL_PAGE_BYTES 4096u
#define IAACTL_PACKET_PAGES 128u
#define IAACTL_HELLO_BYTES 64u
#define IAACTL_HEAD_BYTES 12u         /* magic, version, flags: what every packet begins with */
#define IAACTL_HEADER_BYTES 1344u     /* of a packet of pages */
#define IAACTL_STATE_HEADER_BYTES 276u /* of a packet of device state (QEMU 10.0) */
#define IAACTL_BLOCK_BYTES 256u
#define IAACTL_UUID_BYTES 16u
/* What QEMU's receivers have room for, whatever the method: two packets of uncompressed pages. */
#define IAACTL_PAYLOAD_MOST (2u * IAACTL_PACKET_PAGES * IAACTL_PAGE_BYTES)

enum iaactl_wire_flag {
	IAACTL_FLAG_SYNC = 0x01,
	IAACTL_FLAG_ZLIB = 0x02,
	IAACTL_FLAG_ZSTD = 0x04,
	IAACTL_FLAG_QPL = 0x08,
	IAACTL_FLAG_METHODS = 0x3e, /* one-hot; two of the bits are methods that we do not speak */
	IAACTL_FLAG_DEVICE_STATE = 0x40
};

enum iaactl_method {
	IAACTL_METHOD_NONE = 0,
	IAACTL_METHOD_ZLIB = 1,
	IAACTL_METHOD_ZSTD = 2,
	IAACTL_METHOD_QPL = 3
};

/* What can be wrong with a channel. `have` and `want` of struct iaactl_defect are named behind. */
enum iaactl_defect_kind {
	IAACTL_DEFECT_NONE = 0,
	IAACTL_DEFECT_MAGIC,        /* have, want */
	IAACTL_DEFECT_VERSION,      /* have, want */
	IAACTL_DEFECT_UUID,         /* - */
	IAACTL_DEFECT_CHANNEL_ID,   /* have, number of channels */
	IAACTL_DEFECT_CHANNEL_TWICE, /* have */
	IAACTL_DEFECT_FLAGS,        /* have, flags known */
	IAACTL_DEFECT_METHOD,       /* method bits had, wanted */
	IAACTL_DEFECT_PAGES_ALLOC,  /* have, most */
	IAACTL_DEFECT_NORMAL_PAGES, /* have, most */
	IAACTL_DEFECT_ZERO_PAGES,   /* have, most */
	IAACTL_DEFECT_BLOCK,        /* - */
	IAACTL_DEFECT_OFFSET,       /* have, last that fits */
	IAACTL_DEFECT_ALIGNMENT,    /* have */
	IAACTL_DEFECT_PAYLOAD,      /* bytes had, bytes wanted */
	IAACTL_DEFECT_PAYLOAD_MOST, /* have, most */
	IAACTL_DEFECT_LENGTH,       /* length in the table, index of the page in the packet */
	IAACTL_DEFECT_PAGE,         /* offset of the page in its block, length of its data */
	IAACTL_DEFECT_STREAM,       /* index of the page in the packet, code of the library */
	IAACTL_DEFECT_TRAILING,     /* bytes of payload behind the last page */
	IAACTL_DEFECT_CUT,          /* bytes had of the `want` that belong together */
	IAACTL_DEFECT_TIMEOUT,      /* milliseconds without a byte */
	IAACTL_DEFECT_CLOSED,       /* - (sending: the peer closed) */
	IAACTL_DEFECT_IO,           /* - (errno in `error`) */
	IAACTL_DEFECT_SYNC_MISSING, /* SYNCs of the channel that ended, SYNCs of another */
	IAACTL_DEFECT_UNSYNCED,     /* pages behind the last SYNC */
	IAACTL_DEFECT_DEVICE,       /* index of the queue, milliseconds (errno in `error`) */
	IAACTL_DEFECT_CODEC         /* - (errno in `error`) */
};

/* The first defect of a channel. */
struct iaactl_defect {
	int32_t kind;    /* enum iaactl_defect_kind */
	int32_t channel; /* id of the hand-shake, -1 before it */
	int32_t index;   /* which of the file descriptors */
	int32_t error;   /* errno, where there is one */
	int64_t packet;  /* packets of this channel before the one at fault */
	uint64_t offset; /* bytes of the channel before the place */
	uint64_t have, want;
};

struct iaactl_hello {
	uint8_t uuid[IAACTL_UUID_BYTES];
	uint8_t channel;
};

/* A packet's header. `block` always ends in a NUL; offsets beyond normal + zero are zero. */
struct iaactl_packet {
	uint32_t flags;
	uint32_t pages_alloc;
	uint32_t normal_pages;
	uint32_t zero_pages;
	uint32_t payload_bytes;
	uint64_t number;
	char block[IAACTL_BLOCK_BYTES];
	uint64_t offsets[IAACTL_PACKET_PAGES];
};

/* The bit that stands for a method (enum iaactl_method) in a packet with pages. */
uint32_t iaactl_method_flag(int method);

void iaactl_hello_pack(const struct iaactl_hello *hello, uint8_t to[IAACTL_HELLO_BYTES]);

/* -EPROTO with kind, have and want of the defect for a wrong magic or version. */
int iaactl_hello_parse(const uint8_t from[IAACTL_HELLO_BYTES], struct iaactl_defect *defect,
		       struct iaactl_hello *ret);

void iaactl_packet_pack(const struct iaactl_packet *packet, uint8_t to[IAACTL_HEADER_BYTES]);

/* Flags of any packet, from the 12 bytes that tell which kind it is. */
int iaactl_head_parse(const uint8_t from[IAACTL_HEAD_BYTES], struct iaactl_defect *defect,
		      uint32_t *ret);

/* Payload bytes of a packet of device state. */
uint32_t iaactl_state_payload(const uint8_t from[IAACTL_STATE_HEADER_BYTES]);

/* Check all that can be checked without the RAM block: counts, flags against `method`, payload
 * size. Offsets are copied, not checked. -EPROTO with a defect. */
int iaactl_packet_parse(const uint8_t from[IAACTL_HEADER_BYTES], int method,
			struct iaactl_defect *defect, struct iaactl_packet *ret);

/* Every offset that counts lies in a block of `size` bytes, on a page border. */
int iaactl_packet_check_offsets(const struct iaactl_packet *packet, uint64_t size,
				struct iaactl_defect *defect);

/* Lengths of method qpl: `count` big-endian numbers at `table`, each 1 .. 4096, the sum being what
 * the payload has behind the table. */
int iaactl_lengths_parse(const uint8_t *table, uint32_t count, uint32_t payload_bytes,
			 struct iaactl_defect *defect, uint32_t *ret);

void iaactl_put_be32(uint8_t *to, uint32_t value);

#endif
