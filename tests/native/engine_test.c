/* SPDX-License-Identifier: Apache-2.0 */
/* Channels, a dirtying thread and a reader of counters at the same time, for the sanitizers; and
 * the parts that need no channel. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "codec.h"
#include "dirtier.h"
#include "pace.h"
#include "receiver.h"
#include "sender.h"
#include "zero.h"

enum { CHANNELS = 3, PAGES = 700, ROUNDS = 6, LAPS = 12 };

static uint32_t seed = 2463534242u;

static uint32_t random32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

static void fill(uint8_t *page, uint32_t kind)
{
	uint32_t i;

	for (i = 0; i < IAACTL_PAGE_BYTES; i++)
		page[i] = kind % 4 == 0 ? 0 :
			  kind % 4 == 1 ? (uint8_t)random32() :
			  kind % 4 == 2 ? (uint8_t)"migration of pages"[i % 18] :
					  (uint8_t)(i % 64 ? 0 : random32());
}

struct reading {
	struct iaactl_sender *sender;
	struct iaactl_receiver *receiver;
	_Atomic bool stop;
};

static void *read_counters(void *argument)
{
	struct reading *reading = argument;
	struct iaactl_counters counters;
	uint64_t last = 0, syncs;
	uint32_t i;

	while (!atomic_load(&reading->stop)) {
		for (i = 0; i < CHANNELS; i++) {
			CHECK(!iaactl_sender_counters(reading->sender, i, &counters));
			if (i == 0) {
				CHECK(counters.wire_bytes >= last);
				last = counters.wire_bytes;
			}
			CHECK(!iaactl_receiver_counters(reading->receiver, i, &syncs, &counters));
		}
		usleep(500);
	}
	return NULL;
}

static void migrate(int method, uint64_t bytes_per_s)
{
	struct iaactl_send_settings send = { .method = method, .level = 1, .detect_zero = true,
					     .bytes_per_s = bytes_per_s,
					     .timeout_ns = 60000000000, .block = "pc.ram",
					     .codec = { .kind = IAACTL_CODEC_ISAL } };
	struct iaactl_receive_settings receive = { .method = method, .timeout_ns = 60000000000,
						   .codec = { .kind = IAACTL_CODEC_LIBDEFLATE,
							      .decompress = true } };
	struct iaactl_block block = { .name = "pc.ram" };
	struct iaactl_memory *source, *target;
	struct iaactl_dirtier *dirtier;
	struct reading reading = { 0 };
	int ours[CHANNELS], theirs[CHANNELS], both[2];
	struct iaactl_counters a, b;
	uint64_t sent, where;
	pthread_t reader;
	uint32_t queue, i, round;

	CHECK(!iaactl_memory_create(PAGES * IAACTL_PAGE_BYTES, false, &source));
	CHECK(!iaactl_memory_create(PAGES * IAACTL_PAGE_BYTES, false, &target));
	for (i = 0; i < PAGES; i++)
		fill(iaactl_memory_base(source) + i * IAACTL_PAGE_BYTES, i);
	iaactl_memory_mark_all_dirty(source);
	for (i = 0; i < CHANNELS; i++) {
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, both));
		ours[i] = both[0];
		theirs[i] = both[1];
	}
	block.memory = target;
	CHECK(!iaactl_receiver_create(&block, 1, theirs, CHANNELS, &receive, &queue,
				      &reading.receiver));
	CHECK(!iaactl_receiver_start(reading.receiver));
	CHECK(iaactl_receiver_start(reading.receiver) == -EALREADY);
	CHECK(!iaactl_sender_create(source, ours, CHANNELS, &send, &queue, &reading.sender));
	CHECK(!iaactl_dirtier_create(source, 0, PAGES, 50000, IAACTL_DIRTY_HOT, 1, &dirtier));
	CHECK(!iaactl_dirtier_start(dirtier));
	CHECK(!pthread_create(&reader, NULL, read_counters, &reading));
	for (round = 1; round <= ROUNDS; round++) {
		if (round == ROUNDS)
			iaactl_dirtier_pause(dirtier);
		CHECK(!iaactl_sender_begin(reading.sender));
		while (iaactl_sender_wait(reading.sender, 5, &sent) == -EAGAIN)
			;
		CHECK(!iaactl_receiver_wait_sync(reading.receiver, round, 60000));
	}
	CHECK(!iaactl_memory_dirty_pages(source));
	CHECK(!iaactl_memory_difference(source, target, &where) && where == PAGES);
	CHECK(!iaactl_sender_finish(reading.sender));
	CHECK(!iaactl_receiver_wait_end(reading.receiver, 60000));
	CHECK(iaactl_sender_begin(reading.sender) == -ESHUTDOWN);
	atomic_store(&reading.stop, true);
	pthread_join(reader, NULL);
	for (i = 0; i < CHANNELS; i++) {
		CHECK(!iaactl_sender_counters(reading.sender, i, &a));
		CHECK(!iaactl_receiver_counters(reading.receiver, i, NULL, &b));
		CHECK(a.wire_bytes == b.wire_bytes && a.normal_pages == b.normal_pages);
		CHECK(a.packets == b.packets && a.zero_pages == b.zero_pages);
	}
	CHECK(iaactl_sender_counters(reading.sender, CHANNELS, &a) == -EINVAL);
	iaactl_dirtier_destroy(dirtier);
	iaactl_sender_destroy(reading.sender);
	iaactl_receiver_destroy(reading.receiver);
	for (i = 0; i < CHANNELS; i++) {
		CHECK(!close(ours[i]));
		CHECK(!close(theirs[i]));
	}
	iaactl_memory_destroy(source);
	iaactl_memory_destroy(target);
}

static void *cancel_soon(void *argument)
{
	struct reading *reading = argument;

	usleep(30000);
	iaactl_sender_cancel(reading->sender);
	iaactl_receiver_cancel(reading->receiver);
	return NULL;
}

/* Given up from another thread, or by a peer that goes, in the middle of a round. */
static void interrupted(int method, bool vanish)
{
	struct iaactl_send_settings send = { .method = method, .level = 1, .bytes_per_s = 1000000,
					     .timeout_ns = 60000000000, .block = "pc.ram",
					     .codec = { .kind = IAACTL_CODEC_ISAL } };
	struct iaactl_receive_settings receive = { .method = method, .timeout_ns = 60000000000,
						   .codec = { .kind = IAACTL_CODEC_LIBDEFLATE,
							      .decompress = true } };
	struct iaactl_block block = { .name = "pc.ram" };
	struct iaactl_memory *source, *target;
	struct reading reading = { 0 };
	struct iaactl_counters counters[CHANNELS];
	struct iaactl_defect defect;
	int ours[CHANNELS], theirs[CHANNELS], both[2], result;
	uint32_t queue, i;
	uint8_t *base;
	pthread_t thread;
	uint64_t sent;

	/* At the limit this round takes half a minute: however late this thread comes to run, it is
	 * still under way. The repetition is further back than any method looks. */
	CHECK(!iaactl_memory_create(LAPS * PAGES * IAACTL_PAGE_BYTES, false, &source));
	CHECK(!iaactl_memory_create(LAPS * PAGES * IAACTL_PAGE_BYTES, false, &target));
	base = iaactl_memory_base(source);
	for (i = 0; i < PAGES; i++)
		fill(base + i * IAACTL_PAGE_BYTES, 1);
	for (i = 1; i < LAPS; i++)
		memcpy(base + i * PAGES * IAACTL_PAGE_BYTES, base, PAGES * IAACTL_PAGE_BYTES);
	iaactl_memory_mark_all_dirty(source);
	for (i = 0; i < CHANNELS; i++) {
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, both));
		ours[i] = both[0];
		theirs[i] = both[1];
	}
	block.memory = target;
	CHECK(!iaactl_receiver_create(&block, 1, theirs, CHANNELS, &receive, &queue,
				      &reading.receiver));
	CHECK(!iaactl_receiver_start(reading.receiver));
	CHECK(!iaactl_sender_create(source, ours, CHANNELS, &send, &queue, &reading.sender));
	CHECK(!iaactl_sender_begin(reading.sender));
	CHECK(iaactl_sender_begin(reading.sender) == -EBUSY);
	if (vanish) {
		do
			CHECK(!iaactl_receiver_counters(reading.receiver, 0, NULL, &counters[0]) &&
			      !iaactl_receiver_counters(reading.receiver, 1, NULL, &counters[1]) &&
			      !iaactl_receiver_counters(reading.receiver, 2, NULL, &counters[2]));
		while (!counters[0].normal_pages && !counters[1].normal_pages &&
		       !counters[2].normal_pages);
		CHECK(!shutdown(ours[1], SHUT_RDWR));
		do
			result = iaactl_sender_wait(reading.sender, 1000, &sent);
		while (result == -EAGAIN);
		CHECK(result == -EPROTO);
		iaactl_sender_defect(reading.sender, &defect);
		CHECK(defect.kind == IAACTL_DEFECT_CLOSED && defect.channel == 1);
		CHECK(iaactl_sender_finish(reading.sender) == -EPROTO);
		for (i = 0; i < CHANNELS; i++)
			(void)shutdown(ours[i], SHUT_RDWR);
		CHECK(iaactl_receiver_wait_end(reading.receiver, 60000) == -EPROTO);
		/* No channel may have said that the round is complete. */
		iaactl_receiver_defect(reading.receiver, &defect);
		CHECK(defect.kind == IAACTL_DEFECT_CUT || defect.kind == IAACTL_DEFECT_UNSYNCED);
	} else {
		CHECK(!pthread_create(&thread, NULL, cancel_soon, &reading));
		do
			result = iaactl_sender_wait(reading.sender, 1000, &sent);
		while (result == -EAGAIN);
		CHECK(result == -ECANCELED);
		pthread_join(thread, NULL);
		CHECK(iaactl_receiver_wait_end(reading.receiver, 1000) == -ECANCELED);
		CHECK(iaactl_receiver_wait_sync(reading.receiver, 1, 1000) == -ECANCELED);
	}
	iaactl_sender_destroy(reading.sender);
	iaactl_receiver_destroy(reading.receiver);
	for (i = 0; i < CHANNELS; i++) {
		CHECK(!close(ours[i]));
		CHECK(!close(theirs[i]));
	}
	iaactl_memory_destroy(source);
	iaactl_memory_destroy(target);
}

/* A limit holds over time, also when one packet is more than a window's share. */
static void pace(void)
{
	static const uint64_t limits[] = { 1000, 1000000, 125000000 };
	struct iaactl_pace limit;
	uint64_t now, bytes, wait;
	uint32_t i;

	for (i = 0; i < 3; i++) {
		CHECK(!iaactl_pace_init(&limit, limits[i]));
		bytes = 0;
		now = 1234567890;
		while (bytes < 20 * limits[i]) {
			wait = iaactl_pace_ask(&limit, 530000, now);
			if (wait)
				now += wait;
			else
				bytes += 530000;
			CHECK(wait <= IAACTL_PACE_WINDOW_NS);
		}
		/* Bytes over time: not more than asked for, but for the last packet and a window at either end; not 5 % less. */
		now -= 1234567890;
		CHECK((bytes - 530000) / (double)limits[i] <= now / 1e9 + 0.2);
		CHECK(now / 1e9 <= bytes / (double)limits[i] * 1.05 + 0.1);
		/* What was not used is not saved up. */
		now += 1234567890 + 60000000000;
		bytes = 0;
		while (!iaactl_pace_ask(&limit, 1000, now))
			bytes += 1000;
		CHECK(bytes <= limits[i] / 10 + 2000);
		iaactl_pace_destroy(&limit);
	}
	CHECK(!iaactl_pace_init(&limit, 0) && !iaactl_pace_ask(&limit, UINT64_MAX, 5));
	iaactl_pace_destroy(&limit);
}

/* Every variant that this CPU has, at every byte. */
static void zero(void)
{
	static _Alignas(64) uint8_t page[IAACTL_PAGE_BYTES];
	iaactl_zero_test is_zero;
	int variant, found = 0;
	uint32_t at;

	for (variant = IAACTL_ZERO_BEST; variant <= IAACTL_ZERO_AVX512; variant++) {
		if (iaactl_zero_choose(variant, NULL, &is_zero))
			continue;
		found++;
		CHECK(is_zero(page));
		for (at = 0; at < sizeof(page); at++) {
			page[at] = 1u << at % 8;
			CHECK(!is_zero(page));
			page[at] = 0;
		}
	}
	CHECK(found >= 2);
	CHECK(iaactl_zero_choose(4, NULL, &is_zero) == -EINVAL);
	CHECK(iaactl_zero_choose(-1, NULL, &is_zero) == -EINVAL);
}

struct writing {
	uint8_t *page;
	_Atomic bool stop;
};

__attribute__((no_sanitize("thread"))) static void *scribble(void *argument)
{
	struct writing *writing = argument;
	uint32_t n = 1;

	while (!atomic_load_explicit(&writing->stop, memory_order_relaxed)) {
		n = n * 1664525 + 1013904223;
		/* Mostly back to zero, so that any value may be new to the page. */
		((volatile uint8_t *)writing->page)[n >> 20 & 4095] =
			n >> 8 & 15 ? 0 : (uint8_t)(n >> 12);
	}
	return NULL;
}

/* A page that is written to while it is compressed must still become a stream of 4096 bytes: a
 * destination ends the migration over any other. */
static void live(int kind, int runs)
{
	static _Alignas(4096) uint8_t page[IAACTL_PAGE_BYTES], back[IAACTL_PAGE_BYTES];
	static uint8_t out[IAACTL_PAGE_BYTES + IAACTL_READ_AHEAD];
	struct iaactl_codec_settings pack = { .kind = kind, .level = 1 };
	struct iaactl_codec_settings unpack = { .kind = IAACTL_CODEC_LIBDEFLATE,
						.decompress = true };
	struct writing writing = { .page = page };
	struct iaactl_codec *packer, *unpacker;
	pthread_t thread;
	uint32_t queue, where;

	CHECK(!iaactl_codec_create(&pack, &queue, &packer));
	CHECK(!iaactl_codec_create(&unpack, &queue, &unpacker));
	CHECK(!pthread_create(&thread, NULL, scribble, &writing));
	while (runs--) {
		struct iaactl_page job = { .in = page, .out = out };

		CHECK(!iaactl_codec_compress(packer, &job, 1, &where));
		if (job.path == IAACTL_PATH_RAW)
			continue;
		job.in = out;
		job.out = back;
		CHECK(!iaactl_codec_decompress(unpacker, &job, 1, &where));
	}
	atomic_store(&writing.stop, true);
	pthread_join(thread, NULL);
	iaactl_codec_destroy(packer);
	iaactl_codec_destroy(unpacker);
}

int main(void)
{
	int method;

	pace();
	zero();
	live(IAACTL_CODEC_LIBDEFLATE, 5000); /* without the copy: fails at once */
	live(IAACTL_CODEC_ISAL, 20000);
	live(IAACTL_CODEC_ZLIB, 2000);
	for (method = IAACTL_METHOD_NONE; method <= IAACTL_METHOD_QPL; method++) {
		migrate(method, 0);
		migrate(method, 20000000);
		interrupted(method, false);
		interrupted(method, true);
	}
	printf("all passed\n");
	return 0;
}
