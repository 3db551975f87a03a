/* SPDX-License-Identifier: Apache-2.0 */
/* Pages compressed one by one into raw DEFLATE streams, as method qpl wants them, and back. */
#ifndef IAACTL_CODEC_H
#define IAACTL_CODEC_H

#include <stdbool.h>
#include <stdint.h>

/* CPUs that a set of them can tell: 64 a word. */
#define IAACTL_CPU_WORDS 32u

/* Room for a compressed page: one byte less than a page, since length 4096 means raw. */
#define IAACTL_PAGE_ROOM 4095u
/* A page's data may be read this far beyond its end, but not used: keep that much readable. */
#define IAACTL_READ_AHEAD 64u

enum iaactl_codec_kind {
	IAACTL_CODEC_ISAL = 0,         /* compress: level 0, fixed codes; decompress */
	IAACTL_CODEC_ISAL_DEFAULT = 1, /* compress: level 0, its own semi-dynamic codes */
	IAACTL_CODEC_LIBDEFLATE = 2,
	IAACTL_CODEC_ZLIB = 3,
	IAACTL_CODEC_LIBQPL = 4, /* its software path, driven as QEMU does */
	IAACTL_CODEC_IAA = 5
};

/* Who produced or consumed the bytes of a page. */
enum iaactl_path {
	IAACTL_PATH_RAW = 0,
	IAACTL_PATH_SOFTWARE = 1,
	IAACTL_PATH_LIBQPL = 2,
	IAACTL_PATH_IAA = 3
};

/* One page on its way through a codec.
 *
 * Compressing: `in` is the page, `out` has IAACTL_PAGE_BYTES of room; `bytes` becomes the length
 * of the data, or 4096 when the page is to be sent as it is. Decompressing: `in` holds `bytes`
 * bytes with IAACTL_READ_AHEAD readable behind them, `out` is the page. */
struct iaactl_page {
	const uint8_t *in;
	uint8_t *out;
	uint32_t bytes;
	uint32_t path; /* enum iaactl_path */
};

/* What came up beside the pages; grows over the life of a codec. */
struct iaactl_codec_events {
	uint64_t busy_retries; /* submissions that every queue refused */
	uint64_t faults;       /* page faults resolved */
	uint64_t job_failures; /* jobs refused or failed by the device, other than for room */
};

/* Settings of a codec. Only IAA needs more than kind, direction and level. */
struct iaactl_codec_settings {
	int32_t kind;       /* enum iaactl_codec_kind */
	int32_t fallback;   /* of IAA: who does the pages that the device does not */
	int32_t level;      /* libdeflate 1..12, zlib 0..9 */
	bool decompress;
	uint32_t queue_count;
	const char *const *queues; /* nodes of shared work queues */
	/* CPUs of each queue's socket, IAACTL_CPU_WORDS words a queue: bit n of word w is CPU 64 w + n.
	 * NULL: every queue serves every CPU. */
	const uint64_t *queue_cpus;
	uint64_t timeout_ns;       /* how long a job may take */
	uint8_t descriptor[64];    /* complete but for addresses and the size of the source */
	uint32_t aecs_bytes;       /* 0: none */
	const uint8_t *aecs;
};

/* One thread's codec of one direction. */
struct iaactl_codec;

/* -ENOSYS when the library is not there, -EINVAL for a kind that cannot do the direction, -ENOMEM,
 * or the errno of opening a queue, whose index is in `queue`. */
int iaactl_codec_create(const struct iaactl_codec_settings *settings, uint32_t *queue,
			struct iaactl_codec **ret);

/* Frees everything; queues are closed before the memory that their jobs may write. */
void iaactl_codec_destroy(struct iaactl_codec *codec);

/* Compress `count` <= 128 pages. Fails with -ETIMEDOUT, for a job that never completed, with the
 * index of its queue in `ret`, and the codec is then only good for destroy; or -ECANCELED. */
int iaactl_codec_compress(struct iaactl_codec *codec, struct iaactl_page *pages, uint32_t count,
			  uint32_t *ret);

/* Decompress. -EBADMSG when a page's data does not give exactly 4096 bytes, with the index of the
 * page in `ret`; -ETIMEDOUT and -ECANCELED as above. */
int iaactl_codec_decompress(struct iaactl_codec *codec, struct iaactl_page *pages, uint32_t count,
			    uint32_t *ret);

/* From any thread: do not wait for devices any longer. Calls end with -ECANCELED, and the codec is
 * then only good for destroy. */
void iaactl_codec_cancel(struct iaactl_codec *codec);

struct iaactl_codec_events iaactl_codec_events(const struct iaactl_codec *codec);

/* ---- between the modules of codecs --------------------------------------------------------- */

struct iaactl_codec {
	int (*run)(struct iaactl_codec *codec, struct iaactl_page *pages, uint32_t count,
		   uint32_t *ret);
	void (*destroy)(struct iaactl_codec *codec);
	struct iaactl_codec_events events;
	_Atomic bool cancelled;
};

int iaactl_codec_isal_create(bool fixed, bool decompress, struct iaactl_codec **ret);
int iaactl_codec_libdeflate_create(int level, bool decompress, struct iaactl_codec **ret);
int iaactl_codec_zlib_create(int level, bool decompress, struct iaactl_codec **ret);
int iaactl_codec_libqpl_create(bool decompress, struct iaactl_codec **ret);
int iaactl_codec_iaa_create(const struct iaactl_codec_settings *settings, uint32_t *queue,
			    struct iaactl_codec **ret);

#endif
