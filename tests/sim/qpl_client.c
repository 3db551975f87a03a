/*
 * Runs jobs on both paths of libqpl 1.9, the device's and the software's, and compares results.
 *
 * The job structure and the constants are the library's public interface; it is loaded at run
 * time, so that no header of it is needed. Exit status 1 when results differ, 2 without a device.
 */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HARDWARE = 1, SOFTWARE = 2 };
enum { OP_DECOMPRESS = 0, OP_COMPRESS = 1, OP_CRC64 = 5, OP_ZDECOMPRESS = 8, OP_ZCOMPRESS = 12 };
enum { OP_SET_MEMBERSHIP = 0x10, OP_EXTRACT, OP_SELECT, OP_RLE_BURST, OP_FIND_UNIQUE, OP_EXPAND };
enum { OP_SCAN_EQ = 0x20, OP_SCAN_LAST = 0x27 };
enum {
	FIRST = 0x1, LAST = 0x2, CRC32C = 0x4, GZIP = 0x8, BIG_ENDIAN_16 = 0x10, NO_HEADERS = 0x20,
	DECODE = 0x40, SOURCE2_BE = 0x80, OUTPUT_BE = 0x100, DYNAMIC = 0x2000, NO_VERIFY = 0x4000,
	LITERALS = 0x8000, CRC64_BE = 0x10000, CRC64_INVERT = 0x20000, INVERT = 0x40000,
	ZLIB = 0x80000,
};

struct job {
	uint8_t *in;
	uint32_t in_left, in_total;
	uint8_t *out;
	uint32_t out_left, out_total;
	int operation;
	uint32_t flags, crc, xor, last_bits;
	int level, statistics;
	void *table, *dictionary;
	int mini_block;
	uint64_t *index;
	uint32_t index_room, index_count;
	uint8_t end, ignore_start, ignore_end;
	uint64_t polynomial, crc64;
	uint8_t *in2;
	uint32_t in2_left, width1, width2, elements;
	int format;
	uint32_t low, high, drop, output_index;
	int parser;
	uint32_t first, last, sum;
	int32_t numa;
	uint8_t *internal[5];
	int path;
};

struct allocator {
	void *(*allocate)(size_t);
	void (*release)(void *);
};

static int (*job_size)(int, uint32_t *);
static int (*job_init)(int, struct job *);
static int (*job_execute)(struct job *);
static int (*table_create)(int, int, struct allocator, void **);
static int (*table_from_histogram)(void *, void *);
static int (*table_from_table)(void *, void *);

enum { ROOM = 1 << 17 };
static uint8_t input[ROOM], input2[ROOM], packed[ROOM], by_device[ROOM], by_software[ROOM];
static struct job *device, *software;
static int runs, differ;
static uint32_t seed = 2463534242u;

static uint32_t random32(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

static uint32_t up_to(uint32_t most)
{
	return 1 + random32() % most;
}

static void fill(uint8_t *data, uint32_t size, int kind)
{
	static const char text[] = "it was the best of times, it was the worst of times, ";
	for (uint32_t n = 0; n < size; n++) {
		uint32_t r = random32();
		switch (kind % 4) {
		case 0: data[n] = r; break;
		case 1: data[n] = text[(n + (r % 40 == 0)) % (sizeof(text) - 1)]; break;
		case 2: data[n] = r % 4 ? 0 : r >> 8; break;
		default: data[n] = 'a' + r % 6; break;
		}
	}
}

static struct job *new_job(int path)
{
	uint32_t size = 0;
	int status = job_size(path, &size);
	struct job *job = status ? NULL : calloc(1, size);
	if (job)
		status = job_init(path, job);
	if (status) {
		printf("path %d: status %d\n", path, status);
		exit(2);
	}
	return job;
}

/* Everything but what the library keeps for itself. */
static int run(struct job *job, const struct job *settings, uint8_t *output)
{
	memcpy(job, settings, offsetof(struct job, internal));
	job->out = output;
	job->numa = -1;
	return job_execute(job);
}

static int report(const char *what, const struct job *s, int ok, int a, int b)
{
	runs++;
	if (ok)
		return 1;
	differ++;
	printf("%s: operation %#x flags %#x in %u width %u elements %u: "
	       "status %d/%d output %u/%u crc %08x/%08x\n", what, s->operation, s->flags, s->in_left,
	       s->width1, s->elements, a, b, device->out_total, software->out_total, device->crc,
	       software->crc);
	return 0;
}

static int same(const char *what, const struct job *s, int aggregates)
{
	int a = run(device, s, by_device), b = run(software, s, by_software);
	int ok = a == b;
	if (ok && !a) {
		ok = device->out_total == software->out_total && device->crc == software->crc &&
		     device->crc64 == software->crc64 &&
		     !memcmp(by_device, by_software, device->out_total);
		if (aggregates)
			ok = ok && device->first == software->first && device->last == software->last &&
			     device->sum == software->sum && device->last_bits == software->last_bits;
	}
	return report(what, s, ok, a, b);
}

static void deflate(void)
{
	static const uint32_t flags[] = {0, CRC32C, NO_VERIFY, DYNAMIC, DYNAMIC | CRC32C, DYNAMIC | ZLIB, GZIP};
	for (int n = 0; n < 56; n++) {
		uint32_t size = n < 7 ? 4096 : up_to(20000), mode = flags[n % 7];
		struct job s = {.in = packed, .in_left = size, .out_left = ROOM, .level = 1,
				.operation = OP_COMPRESS, .flags = FIRST | LAST | mode};
		fill(packed, size, n / 7);
		memcpy(input, packed, size);
		for (int by = 0; by < 2; by++) {
			/* Each path's stream must be decompressed by both, to what it was. */
			struct job *maker = by ? software : device;
			memcpy(packed, input, size);
			int status = run(maker, &s, by_device);
			uint32_t crc = maker->crc;
			struct job back = {.in = packed, .in_left = maker->out_total, .out_left = ROOM,
					   .flags = FIRST | LAST | (mode & (CRC32C | GZIP | ZLIB))};
			memcpy(packed, by_device, maker->out_total);
			if (!report("compress", &s, !status, status, 0) || !same("decompress", &back, 0))
				continue;
			report("round trip", &s, device->out_total == size &&
			       !memcmp(by_device, input, size) && (mode & ZLIB || device->crc == crc), 0, 0);
		}
	}
}

static void chunks(void)
{
	for (int n = 0; n < 16; n++) {
		uint32_t size = 5000 + up_to(30000), done = 0;
		uint32_t mode = (n & 1 ? DYNAMIC : 0) | (n & 2 ? NO_VERIFY : 0);
		int status = 0;
		fill(input, size, n / 4);
		device = new_job(HARDWARE);
		device->out = packed;
		device->out_left = ROOM;
		device->operation = OP_COMPRESS;
		device->level = 1;
		device->numa = -1;
		while (done < size && !status) {
			uint32_t piece = up_to(6000);
			if (piece > size - done)
				piece = size - done;
			device->in = input + done;
			device->in_left = piece;
			device->flags = mode | (done ? 0 : FIRST) | (done + piece == size ? LAST : 0);
			status = job_execute(device);
			done += piece;
		}
		struct job whole = {.in = packed, .in_left = device->out_total, .out_left = ROOM,
				    .flags = FIRST | LAST};
		int unpacked = run(software, &whole, by_software);
		report("compress in chunks", &whole, !status && !unpacked && software->out_total == size &&
		       !memcmp(by_software, input, size), status, unpacked);
		/* The same stream by the device, in small pieces and with little room. */
		uint32_t given = 0, stream = whole.in_left;
		device = new_job(HARDWARE);
		device->numa = -1;
		status = 0;
		for (int jobs = 0; device->out_total < size && jobs < 5000; jobs++) {
			if (!device->in_left) {
				uint32_t piece = up_to(3000);
				if (piece > stream - given)
					piece = stream - given;
				device->in = packed + given;
				device->in_left = piece;
				given += piece;
			}
			device->out = by_device + device->out_total;
			device->out_left = 300 + up_to(5000);
			device->flags = (jobs ? 0 : FIRST) | (given == stream ? LAST : 0);
			status = job_execute(device);
			if (status && status != 2) /* more output needed */
				break;
		}
		report("decompress in chunks", &whole, (!status || status == 2) &&
		       device->out_total == size && !memcmp(by_device, input, size), status, 0);
	}
}

static void indexing(void)
{
	static uint64_t entries[2][400];
	for (int n = 0; n < 16; n++) {
		uint32_t size = 600 + up_to(20000);
		struct job s = {.in = input, .in_left = size, .out_left = ROOM, .level = 1,
				.operation = OP_COMPRESS, .flags = FIRST | LAST | (n & 1 ? DYNAMIC : 0),
				.mini_block = 1 + n % 3, .index_room = 400, .index = entries[0]};
		fill(input, size, n / 4);
		int a = run(device, &s, by_device);
		s.index = entries[1];
		int b = run(software, &s, by_software);
		int ok = !a && !b && device->index_count == software->index_count;
		/* Streams differ, so do bit offsets; the checksums must not. */
		for (uint32_t i = 0; ok && i < device->index_count; i++)
			ok = entries[0][i] >> 32 == entries[1][i] >> 32;
		report("index", &s, ok, a, b);
	}
}

static void huffman(void)
{
	static uint32_t histogram[286 + 2 + 30 + 2];
	struct allocator heap = {malloc, free};
	for (int n = 0; n < 40; n++) {
		uint32_t size = up_to(4000), big = n & 1 ? BIG_ENDIAN_16 : 0;
		void *packing = NULL, *unpacking = NULL;
		fill(input, size, n / 8);
		memset(histogram, 0, sizeof(histogram));
		for (uint32_t i = 0; i < size; i++)
			histogram[input[i]]++;
		if (table_create(1, HARDWARE, heap, &packing) || table_from_histogram(packing, histogram) ||
		    table_create(2, HARDWARE, heap, &unpacking) || table_from_table(unpacking, packing)) {
			differ++;
			return;
		}
		struct job s = {.in = input, .in_left = size, .out_left = ROOM, .level = 1, .table = packing,
				.operation = OP_COMPRESS,
				.flags = FIRST | LAST | NO_HEADERS | LITERALS | NO_VERIFY | big};
		int a = run(device, &s, packed);
		uint32_t word = big ? 16 : 8, unused = (word - device->last_bits) % word;
		if (!report("compress without headers", &s, !a, a, 0) || unused > 7)
			continue; /* libqpl refuses to ignore more bits on version 1 */
		struct job back = {.in = packed, .in_left = device->out_total, .out_left = ROOM,
				   .table = unpacking, .ignore_end = unused,
				   .flags = FIRST | LAST | NO_HEADERS | big};
		int b = run(device, &back, by_device);
		report("decompress without headers", &back, !b && device->out_total == size &&
		       !memcmp(by_device, input, size), b, 0);
	}
}

static void crc64(void)
{
	for (int n = 0; n < 80; n++) {
		uint64_t polynomial = ((uint64_t)random32() << 32 | random32()) << (n % 4 ? 0 : n % 60);
		struct job s = {.in = input, .in_left = up_to(3000), .out_left = 64,
				.operation = OP_CRC64, .polynomial = polynomial,
				.flags = (n & 1 ? CRC64_BE : 0) | (n & 2 ? CRC64_INVERT : 0)};
		fill(input, s.in_left, 0);
		same("crc64", &s, 0);
		report("crc64 is not trivial", &s, device->crc64 != 0, 0, 0);
	}
}

static void zero(void)
{
	for (int n = 0; n < 40; n++) {
		int half = n & 1;
		struct job s = {.in = input, .in_left = up_to(2000) * (half ? 2 : 4), .out_left = ROOM,
				.operation = OP_ZCOMPRESS + half, .flags = n & 2 ? CRC32C : 0};
		fill(input, s.in_left, 2);
		same("zero-compress", &s, 0);
		memcpy(input, by_device, device->out_total);
		s.in_left = device->out_total;
		s.operation = OP_ZDECOMPRESS + half;
		same("zero-decompress", &s, 0);
	}
}

static void filter(void)
{
	for (int n = 0; n < 600; n++) {
		int operation = n % 14 < 6 ? OP_SET_MEMBERSHIP + n % 14 : OP_SCAN_EQ + n % 14 - 6;
		int sets = operation == OP_SET_MEMBERSHIP || operation == OP_FIND_UNIQUE;
		int scan = operation >= OP_SCAN_EQ && operation <= OP_SCAN_LAST;
		uint32_t width = up_to(sets ? 15 : 32), elements = 1 + up_to(400);
		struct job s = {.in = input, .in2 = input2, .out_left = ROOM, .operation = operation,
				.elements = elements, .parser = random32() % 2,
				.flags = (n % 3 ? 0 : OUTPUT_BE) | (n % 5 ? 0 : SOURCE2_BE) | (n % 2 ? CRC32C : 0),
				.width2 = 1, .in2_left = (elements + 7) / 8};
		fill(input2, 8192, 0);
		if (operation == OP_RLE_BURST) {
			width = 8 << n % 3;
			s.parser = 0;
			s.width2 = up_to(32);
			s.in2_left = ((elements - (width == 32)) * s.width2 + 7) / 8;
		} else if (operation == OP_SET_MEMBERSHIP) {
			s.in2_left = ((1u << width) + 7) / 8;
		} else if (scan || operation == OP_EXTRACT || operation == OP_FIND_UNIQUE) {
			s.in2_left = 0;
		}
		s.width1 = width;
		s.in_left = (elements * width + 7) / 8;
		fill(input, s.in_left, 0);
		if (operation == OP_RLE_BURST) {
			uint32_t total = 0;
			memset(input, 0, s.in_left);
			for (uint32_t i = 0; i < elements; i++) {
				uint32_t count = random32() % 9;
				uint32_t value = width == 32 ? total : count;
				memcpy(input + i * width / 8, &value, width / 8);
				total += count;
			}
		}
		uint32_t mask = width == 32 ? UINT32_MAX : (1u << width) - 1;
		uint32_t one = random32() & mask, other = random32() & mask;
		s.low = one < other ? one : other;
		s.high = one < other ? other : one;
		if (operation == OP_EXTRACT) {
			s.low = random32() % elements;
			s.high = s.low + random32() % elements;
		}
		if (scan || sets) {
			s.flags |= n % 4 ? 0 : INVERT;
			s.format = n % 6 ? 0 : 2 + n % 2;
		}
		if (!scan && n % 7 == 0) {
			/* Source 1 as a stream, for the decoder before the filter. */
			struct job pack = {.in = input, .in_left = s.in_left, .out_left = ROOM, .level = 1,
					   .operation = OP_COMPRESS, .flags = FIRST | LAST};
			run(software, &pack, packed);
			memcpy(input, packed, software->out_total);
			s.in_left = software->out_total;
			s.flags |= DECODE;
		}
		/* In software last bits and some aggregates are those of bit vectors only. */
		same("filter", &s, scan || sets);
	}
}

/* One job on the device between stdin and stdout, for a judge that is not libqpl. */
static void pipe_through(int operation, uint32_t flags)
{
	uint32_t size = (uint32_t)fread(packed, 1, ROOM, stdin);
	struct job s = {.in = packed, .in_left = size, .out_left = ROOM, .level = 1,
			.operation = operation, .flags = FIRST | LAST | flags};
	int status = run(device, &s, by_device);
	if (status) {
		fprintf(stderr, "status %d\n", status);
		exit(1);
	}
	fwrite(by_device, 1, device->out_total, stdout);
	fflush(stdout);
	exit(0);
}

static void pack_fixed(void) { pipe_through(OP_COMPRESS, NO_VERIFY); }
static void pack_dynamic(void) { pipe_through(OP_COMPRESS, DYNAMIC | NO_VERIFY); }
static void unpack(void) { pipe_through(OP_DECOMPRESS, 0); }

int main(int count, char **arguments)
{
	static const struct { const char *name; void (*call)(void); } parts[] = {
		{"deflate", deflate}, {"chunks", chunks}, {"index", indexing}, {"huffman", huffman},
		{"crc64", crc64}, {"zero", zero}, {"filter", filter},
		{"pack-fixed", pack_fixed}, {"pack-dynamic", pack_dynamic}, {"unpack", unpack},
	};
	void *library = dlopen("libqpl.so.1", RTLD_NOW);
	if (!library || count != 2) {
		puts(library ? "which part?" : dlerror());
		return 2;
	}
	*(void **)&job_size = dlsym(library, "qpl_get_job_size");
	*(void **)&job_init = dlsym(library, "qpl_init_job");
	*(void **)&job_execute = dlsym(library, "qpl_execute_job");
	*(void **)&table_create = dlsym(library, "qpl_huffman_only_table_create");
	*(void **)&table_from_histogram = dlsym(library, "qpl_huffman_table_init_with_histogram");
	*(void **)&table_from_table = dlsym(library, "qpl_huffman_table_init_with_other");
	setvbuf(stdout, NULL, _IOLBF, 0);
	device = new_job(HARDWARE);
	software = new_job(SOFTWARE);
	for (size_t n = 0; n < sizeof(parts) / sizeof(parts[0]); n++)
		if (!strcmp(parts[n].name, arguments[1]))
			parts[n].call();
	printf("%d runs, %d differ\n", runs, differ);
	return differ != 0 || !runs;
}
