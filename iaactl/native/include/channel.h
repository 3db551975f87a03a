/* SPDX-License-Identifier: Apache-2.0 */
/* What sending and receiving channels have in common: a descriptor that can be given up on, and
 * counters that others may read. */
#ifndef IAACTL_CHANNEL_H
#define IAACTL_CHANNEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "codec.h"
#include "wire.h"

/* More channels than QEMU can have (an 8-bit number). */
#define IAACTL_CHANNELS_MOST 255u

/* A snapshot; fields as in model/migration.py. */
struct iaactl_counters {
	int32_t channel;
	uint64_t packets, normal_pages, zero_pages;
	uint64_t raw_pages, iaa_pages, libqpl_pages, software_pages;
	uint64_t wire_bytes, payload_bytes;
	uint64_t cpu_ns, codec_ns;
	uint64_t busy_retries, faults, job_failures;
};

/* One writer, the channel's thread; anybody may read. */
struct iaactl_live_counters {
	_Atomic int32_t channel;
	_Atomic uint64_t packets, normal_pages, zero_pages;
	_Atomic uint64_t paths[4]; /* by enum iaactl_path */
	_Atomic uint64_t wire_bytes, payload_bytes;
	_Atomic uint64_t cpu_ns, codec_ns;
	_Atomic uint64_t busy_retries, faults, job_failures;
};

static inline void iaactl_count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
			      memory_order_relaxed);
}

void iaactl_counters_read(const struct iaactl_live_counters *live, struct iaactl_counters *ret);

/* Add a packet of pages to the counters; `pages` has the paths of method qpl's, else NULL. */
void iaactl_counters_add(struct iaactl_live_counters *live, const struct iaactl_packet *packet,
			 const struct iaactl_page *pages);

void iaactl_counters_events(struct iaactl_live_counters *live, const struct iaactl_codec *codec);

/* A descriptor of the caller's. `cancel` becomes readable, and stays so, when all is to end. */
struct iaactl_io {
	int fd, cancel;
	bool socket;
	int flags; /* of the open file, to be put back; -1: not changed */
	uint64_t timeout_ns;
	uint64_t offset; /* bytes that went through */
	uint64_t got;    /* bytes of a read that was cut short */
};

/* -errno of looking at it. Descriptors that are no sockets do not block until `_release`. */
int iaactl_io_init(struct iaactl_io *io, int fd, int cancel, uint64_t timeout_ns);

void iaactl_io_release(struct iaactl_io *io);

/* Read all of it. -ENODATA at an end before the first byte, -ECONNRESET at one later (`got` says
 * how much there was), -ETIMEDOUT, -ECANCELED, or another -errno. The vector is used up. */
int iaactl_io_readv(struct iaactl_io *io, struct iovec *vector, uint32_t count);
int iaactl_io_read(struct iaactl_io *io, void *to, size_t bytes);

/* Write all of it. -EPIPE or -ECONNRESET when the peer is gone, -ETIMEDOUT, -ECANCELED ... */
int iaactl_io_writev(struct iaactl_io *io, struct iovec *vector, uint32_t count);

/* Sleep; -ECANCELED when that comes first. */
int iaactl_io_sleep(const struct iaactl_io *io, uint64_t ns);

/* Translate the -errno of a read or write into the kind of defect. */
void iaactl_io_defect(const struct iaactl_io *io, int err, bool reading, uint64_t wanted,
		      struct iaactl_defect *defect);

/* Start a thread that takes no signals, named `prefix`_`number` as QEMU names its own. */
int iaactl_thread_start(pthread_t *thread, void *(*run)(void *), void *argument,
			const char *prefix, uint32_t number);

/* An absolute time of CLOCK_MONOTONIC, `ms` from now; condition variables are made for it. */
struct timespec iaactl_after_ms(uint32_t ms);
int iaactl_condition_init(pthread_cond_t *condition);

/* Append a piece to a vector, merging it with the last when they touch. */
void iaactl_vector_add(struct iovec *vector, uint32_t *count, const void *data, size_t bytes);

#endif
