/* SPDX-License-Identifier: Apache-2.0 */
/* Hand-shake and packet headers of multifd channels, packed and checked. */
#include <errno.h>
#include <string.h>

#include "wire.h"

#define MAGIC 0x11223344u
#define VERSION 1u

enum { HELLO_UUID = 8, HELLO_CHANNEL = 24 };
enum {
	FLAGS = 8, PAGES_ALLOC = 12, NORMAL_PAGES = 16, PAYLOAD_BYTES = 20, NUMBER = 24,
	ZERO_PAGES = 32, BLOCK = 64, OFFSETS = 320
};
enum { STATE_PAYLOAD_BYTES = 272 };

void iaactl_put_be32(uint8_t *to, uint32_t value)
{
	value = __builtin_bswap32(value);
	memcpy(to, &value, sizeof(value));
}

static void put_be64(uint8_t *to, uint64_t value)
{
	value = __builtin_bswap64(value);
	memcpy(to, &value, sizeof(value));
}

static uint32_t be32(const uint8_t *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return __builtin_bswap32(value);
}

static uint64_t be64(const uint8_t *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return __builtin_bswap64(value);
}

static int refuse(struct iaactl_defect *defect, int kind, uint64_t have, uint64_t want)
{
	defect->kind = kind;
	defect->have = have;
	defect->want = want;
	return -EPROTO;
}

uint32_t iaactl_method_flag(int method)
{
	static const uint32_t flags[] = { 0, IAACTL_FLAG_ZLIB, IAACTL_FLAG_ZSTD, IAACTL_FLAG_QPL };

	return flags[method];
}

static int check_start(const uint8_t *from, struct iaactl_defect *defect)
{
	if (be32(from) != MAGIC)
		return refuse(defect, IAACTL_DEFECT_MAGIC, be32(from), MAGIC);
	if (be32(from + 4) != VERSION)
		return refuse(defect, IAACTL_DEFECT_VERSION, be32(from + 4), VERSION);
	return 0;
}

void iaactl_hello_pack(const struct iaactl_hello *hello, uint8_t to[IAACTL_HELLO_BYTES])
{
	memset(to, 0, IAACTL_HELLO_BYTES);
	iaactl_put_be32(to, MAGIC);
	iaactl_put_be32(to + 4, VERSION);
	memcpy(to + HELLO_UUID, hello->uuid, IAACTL_UUID_BYTES);
	to[HELLO_CHANNEL] = hello->channel;
}

int iaactl_hello_parse(const uint8_t from[IAACTL_HELLO_BYTES], struct iaactl_defect *defect,
		       struct iaactl_hello *ret)
{
	int err = check_start(from, defect);

	if (err)
		return err;
	memcpy(ret->uuid, from + HELLO_UUID, IAACTL_UUID_BYTES);
	ret->channel = from[HELLO_CHANNEL];
	return 0;
}

void iaactl_packet_pack(const struct iaactl_packet *packet, uint8_t to[IAACTL_HEADER_BYTES])
{
	uint32_t pages = packet->normal_pages + packet->zero_pages, i;

	memset(to, 0, IAACTL_HEADER_BYTES);
	iaactl_put_be32(to, MAGIC);
	iaactl_put_be32(to + 4, VERSION);
	iaactl_put_be32(to + FLAGS, packet->flags);
	iaactl_put_be32(to + PAGES_ALLOC, packet->pages_alloc);
	iaactl_put_be32(to + NORMAL_PAGES, packet->normal_pages);
	iaactl_put_be32(to + PAYLOAD_BYTES, packet->payload_bytes);
	put_be64(to + NUMBER, packet->number);
	iaactl_put_be32(to + ZERO_PAGES, packet->zero_pages);
	memcpy(to + BLOCK, packet->block, IAACTL_BLOCK_BYTES);
	for (i = 0; i < pages; i++)
		put_be64(to + OFFSETS + 8 * (size_t)i, packet->offsets[i]);
}

int iaactl_head_parse(const uint8_t from[IAACTL_HEAD_BYTES], struct iaactl_defect *defect,
		      uint32_t *ret)
{
	const uint32_t known =
		IAACTL_FLAG_SYNC | IAACTL_FLAG_METHODS | IAACTL_FLAG_DEVICE_STATE;
	int err = check_start(from, defect);

	if (err)
		return err;
	*ret = be32(from + FLAGS);
	if (*ret & ~known)
		return refuse(defect, IAACTL_DEFECT_FLAGS, *ret, known);
	return 0;
}

uint32_t iaactl_state_payload(const uint8_t from[IAACTL_STATE_HEADER_BYTES])
{
	return be32(from + STATE_PAYLOAD_BYTES);
}

static int check_counts(const struct iaactl_packet *packet, struct iaactl_defect *defect)
{
	if (packet->pages_alloc > IAACTL_PACKET_PAGES)
		return refuse(defect, IAACTL_DEFECT_PAGES_ALLOC, packet->pages_alloc,
			      IAACTL_PACKET_PAGES);
	if (packet->normal_pages > packet->pages_alloc)
		return refuse(defect, IAACTL_DEFECT_NORMAL_PAGES, packet->normal_pages,
			      packet->pages_alloc);
	if (packet->zero_pages > packet->pages_alloc - packet->normal_pages)
		return refuse(defect, IAACTL_DEFECT_ZERO_PAGES, packet->zero_pages,
			      packet->pages_alloc - packet->normal_pages);
	return 0;
}

static int check_payload(const struct iaactl_packet *packet, int method,
			 struct iaactl_defect *defect)
{
	uint32_t raw = packet->normal_pages * IAACTL_PAGE_BYTES;
	uint32_t table = packet->normal_pages * 4;

	if (!packet->normal_pages || method == IAACTL_METHOD_NONE) {
		if (packet->payload_bytes != raw)
			return refuse(defect, IAACTL_DEFECT_PAYLOAD, packet->payload_bytes, raw);
		return 0;
	}
	if (method == IAACTL_METHOD_QPL) {
		if (packet->payload_bytes <= table)
			return refuse(defect, IAACTL_DEFECT_PAYLOAD, packet->payload_bytes,
				      table + packet->normal_pages);
		if (packet->payload_bytes > table + raw)
			return refuse(defect, IAACTL_DEFECT_PAYLOAD_MOST, packet->payload_bytes,
				      table + raw);
	}
	if (packet->payload_bytes > IAACTL_PAYLOAD_MOST)
		return refuse(defect, IAACTL_DEFECT_PAYLOAD_MOST, packet->payload_bytes,
			      IAACTL_PAYLOAD_MOST);
	return 0;
}

int iaactl_packet_parse(const uint8_t from[IAACTL_HEADER_BYTES], int method,
			struct iaactl_defect *defect, struct iaactl_packet *ret)
{
	uint32_t wanted = iaactl_method_flag(method), pages, i;
	int err = iaactl_head_parse(from, defect, &ret->flags);

	if (err)
		return err;
	ret->pages_alloc = be32(from + PAGES_ALLOC);
	ret->normal_pages = be32(from + NORMAL_PAGES);
	ret->zero_pages = be32(from + ZERO_PAGES);
	ret->payload_bytes = be32(from + PAYLOAD_BYTES);
	ret->number = be64(from + NUMBER);
	err = check_counts(ret, defect);
	if (err)
		return err;
	pages = ret->normal_pages + ret->zero_pages;
	/* A packet that only synchronises has no method; one that does so besides has (before 9.0). */
	if ((ret->flags & IAACTL_FLAG_METHODS) != wanted &&
	    (pages || !(ret->flags & IAACTL_FLAG_SYNC)))
		return refuse(defect, IAACTL_DEFECT_METHOD, ret->flags & IAACTL_FLAG_METHODS,
			      wanted);
	err = check_payload(ret, method, defect);
	if (err)
		return err;
	memcpy(ret->block, from + BLOCK, IAACTL_BLOCK_BYTES);
	ret->block[IAACTL_BLOCK_BYTES - 1] = 0;
	/* Releases up to 8.2 leave the slots of earlier packets behind those that count. */
	memset(ret->offsets, 0, sizeof(ret->offsets));
	for (i = 0; i < pages; i++)
		ret->offsets[i] = be64(from + OFFSETS + 8 * (size_t)i);
	return 0;
}

int iaactl_packet_check_offsets(const struct iaactl_packet *packet, uint64_t size,
				struct iaactl_defect *defect)
{
	uint32_t pages = packet->normal_pages + packet->zero_pages, i;

	for (i = 0; i < pages; i++) {
		if (size < IAACTL_PAGE_BYTES || packet->offsets[i] > size - IAACTL_PAGE_BYTES)
			return refuse(defect, IAACTL_DEFECT_OFFSET, packet->offsets[i],
				      size < IAACTL_PAGE_BYTES ? 0 : size - IAACTL_PAGE_BYTES);
		if (packet->offsets[i] % IAACTL_PAGE_BYTES)
			return refuse(defect, IAACTL_DEFECT_ALIGNMENT, packet->offsets[i], 0);
	}
	return 0;
}

int iaactl_lengths_parse(const uint8_t *table, uint32_t count, uint32_t payload_bytes,
			 struct iaactl_defect *defect, uint32_t *ret)
{
	uint32_t sum = 4 * count, i;

	for (i = 0; i < count; i++) {
		ret[i] = be32(table + 4 * (size_t)i);
		if (!ret[i] || ret[i] > IAACTL_PAGE_BYTES)
			return refuse(defect, IAACTL_DEFECT_LENGTH, ret[i], i);
		sum += ret[i];
	}
	if (sum != payload_bytes)
		return refuse(defect, IAACTL_DEFECT_PAYLOAD, payload_bytes, sum);
	return 0;
}
