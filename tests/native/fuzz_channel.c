/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a channel into a receiver. The first byte of an input picks method and decoder.
 *
 * With clang's libFuzzer the function below is all; without, a main of our own mutates streams that
 * our own sender made, from a fixed seed. Memory outside the guest's cannot be touched without a
 * fault; what the sanitizers add is the receiver's own. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "receiver.h"
#include "sender.h"

enum { PAGES = 16, INPUT_MOST = 1 << 17 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int decoders[] = { IAACTL_CODEC_LIBDEFLATE, IAACTL_CODEC_ISAL,
					IAACTL_CODEC_ZLIB };
	static struct iaactl_memory *memory;
	struct iaactl_receive_settings settings = { .any_uuid = true, .timeout_ns = 1000000000,
						    .codec = { .decompress = true } };
	struct iaactl_block block = { .name = "pc.ram" };
	struct iaactl_receiver *receiver;
	struct iaactl_defect defect;
	struct iaactl_counters counters;
	uint32_t queue;
	int fd, end;

	if (!size)
		return 0;
	if (!memory)
		CHECK(!iaactl_memory_create(PAGES * IAACTL_PAGE_BYTES, true, &memory));
	block.memory = memory;
	settings.method = data[0] % 4;
	settings.codec.kind = decoders[data[0] / 4 % 3];
	fd = memfd_create("channel", MFD_CLOEXEC);
	CHECK(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)(size - 1));
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	CHECK(!iaactl_receiver_create(&block, 1, &fd, 1, &settings, &queue, &receiver));
	CHECK(!iaactl_receiver_start(receiver));
	do
		end = iaactl_receiver_wait_end(receiver, 1000);
	while (end == -EAGAIN);
	CHECK(end == 0 || end == -EPROTO);
	iaactl_receiver_defect(receiver, &defect);
	CHECK((defect.kind != IAACTL_DEFECT_NONE) == (end == -EPROTO));
	CHECK(defect.offset <= size - 1);
	/* Its own fault, never that of the channel's descriptor or a time-out. */
	CHECK(defect.kind != IAACTL_DEFECT_IO && defect.kind != IAACTL_DEFECT_TIMEOUT);
	CHECK(!iaactl_receiver_counters(receiver, 0, NULL, &counters));
	CHECK(counters.wire_bytes <= size - 1);
	iaactl_receiver_destroy(receiver);
	close(fd);
	return 0;
}

#ifndef LIBFUZZER
static uint64_t state;

static uint32_t draw(uint32_t below)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % below;
}

/* A stream of the method, as our sender makes it: zero, text, sparse and random pages, two rounds. */
static size_t make(int method, uint8_t *to)
{
	struct iaactl_send_settings settings = { .method = method, .level = 1, .detect_zero = true,
						 .timeout_ns = 1000000000, .block = "pc.ram",
						 .codec = { .kind = IAACTL_CODEC_ISAL } };
	struct iaactl_memory *memory;
	struct iaactl_sender *sender;
	uint64_t sent, i;
	uint32_t queue, round;
	ssize_t size;
	uint8_t *base;
	int fd = memfd_create("seed", MFD_CLOEXEC);

	CHECK(fd >= 0);
	CHECK(!iaactl_memory_create(PAGES * IAACTL_PAGE_BYTES, false, &memory));
	base = iaactl_memory_base(memory);
	for (i = 0; i < PAGES * IAACTL_PAGE_BYTES; i++)
		base[i] = i / 4096 % 4 == 1 ? (uint8_t)draw(256) :
			  i / 4096 % 4 == 2 ? (uint8_t)"channel of pages, "[i % 18] :
			  i / 4096 % 4 == 3 ? (uint8_t)(i % 97 ? 0 : draw(256)) : 0;
	CHECK(!iaactl_sender_create(memory, &fd, 1, &settings, &queue, &sender));
	for (round = 0; round < 2; round++) {
		for (i = 0; i < PAGES; i++)
			if (!round || draw(2))
				iaactl_memory_mark_dirty(memory, i);
		CHECK(!iaactl_sender_begin(sender));
		CHECK(!iaactl_sender_wait(sender, 10000, &sent));
	}
	CHECK(!iaactl_sender_finish(sender));
	iaactl_sender_destroy(sender);
	iaactl_memory_destroy(memory);
	size = pread(fd, to, INPUT_MOST, 0);
	CHECK(size > 0 && size < INPUT_MOST);
	close(fd);
	return (size_t)size;
}

static size_t mutate(uint8_t *data, size_t size)
{
	static const uint32_t values[] = { 0, 1, 127, 128, 129, 255, 4095, 4096, 4097, 65535,
					   1u << 20, 0x7fffffff, 0x80000000u, 0xffffffffu };
	uint32_t changes = 1 + draw(4), value, at, length;

	while (changes--) {
		switch (draw(8)) {
		case 0: /* a bit */
			data[1 + draw((uint32_t)size - 1)] ^= (uint8_t)(1 << draw(8));
			break;
		case 1: /* a number of a header, of the first packets mostly */
		case 2:
			value = __builtin_bswap32(values[draw(sizeof(values) / sizeof(*values))]);
			at = 1 + 64 + 4 * draw(90);
			if (draw(4) == 0)
				at = 1 + draw((uint32_t)size - 5);
			if (at + 4 <= size)
				memcpy(data + at, &value, 4);
			break;
		case 3: /* of the length table */
			value = __builtin_bswap32(draw(2) ? draw(5000) : values[draw(14)]);
			at = 1 + 64 + 1344 + 4 * draw(40);
			if (at + 4 <= size)
				memcpy(data + at, &value, 4);
			break;
		case 4: /* an end */
			if (size > 100 && draw(3) == 0)
				size = 2 + draw((uint32_t)size - 2);
			break;
		case 5: /* a piece again, elsewhere */
			length = 1 + draw(64);
			if (size > 2 * length + 2)
				memmove(data + 1 + draw((uint32_t)(size - length - 1)),
					data + 1 + draw((uint32_t)(size - length - 1)), length);
			break;
		case 6: /* nonsense */
			length = 1 + draw(32);
			at = 1 + draw((uint32_t)size - 1);
			while (length-- && at < size)
				data[at++] = (uint8_t)draw(256);
			break;
		default: /* another method or decoder */
			if (draw(8) == 0)
				data[0] = (uint8_t)draw(12);
		}
	}
	return size;
}

int main(int count, char **arguments)
{
	static uint8_t seeds[4][INPUT_MOST + 1], input[INPUT_MOST + 1];
	long runs = count > 1 ? atol(arguments[1]) : 2000, run;
	size_t sizes[4], size;
	int method;

	state = count > 2 ? strtoull(arguments[2], NULL, 0) : 1;
	for (method = 0; method < 4; method++) {
		seeds[method][0] = (uint8_t)method;
		sizes[method] = 1 + make(method, seeds[method] + 1);
		LLVMFuzzerTestOneInput(seeds[method], sizes[method]);
	}
	for (run = 0; run < runs; run++) {
		method = (int)draw(4);
		memcpy(input, seeds[method], sizes[method]);
		input[0] = (uint8_t)(method + 4 * (int)draw(3));
		size = mutate(input, sizes[method]);
		LLVMFuzzerTestOneInput(input, size);
	}
	printf("%ld inputs, all handled\n", runs);
	return 0;
}
#endif
