/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing of channels, without ever being stuck in it. */
#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

/* ---- counters ------------------------------------------------------------------------------ */

static uint64_t value(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)counter, memory_order_relaxed);
}

void iaactl_counters_read(const struct iaactl_live_counters *live, struct iaactl_counters *ret)
{
	*ret = (struct iaactl_counters){
		.channel = atomic_load((_Atomic int32_t *)(uintptr_t)&live->channel),
		.packets = value(&live->packets),
		.normal_pages = value(&live->normal_pages),
		.zero_pages = value(&live->zero_pages),
		.raw_pages = value(&live->paths[IAACTL_PATH_RAW]),
		.iaa_pages = value(&live->paths[IAACTL_PATH_IAA]),
		.libqpl_pages = value(&live->paths[IAACTL_PATH_LIBQPL]),
		.software_pages = value(&live->paths[IAACTL_PATH_SOFTWARE]),
		.wire_bytes = value(&live->wire_bytes),
		.payload_bytes = value(&live->payload_bytes),
		.cpu_ns = value(&live->cpu_ns),
		.codec_ns = value(&live->codec_ns),
		.busy_retries = value(&live->busy_retries),
		.faults = value(&live->faults),
		.job_failures = value(&live->job_failures),
	};
}

void iaactl_counters_add(struct iaactl_live_counters *live, const struct iaactl_packet *packet,
			 const struct iaactl_page *pages)
{
	uint64_t paths[4] = { 0 };
	uint32_t i;

	for (i = 0; pages && i < packet->normal_pages; i++)
		paths[pages[i].path]++;
	for (i = 0; i < 4; i++)
		iaactl_count(&live->paths[i], paths[i]);
	iaactl_count(&live->packets, 1);
	iaactl_count(&live->normal_pages, packet->normal_pages);
	iaactl_count(&live->zero_pages, packet->zero_pages);
	iaactl_count(&live->payload_bytes, packet->payload_bytes);
}

void iaactl_counters_events(struct iaactl_live_counters *live, const struct iaactl_codec *codec)
{
	struct iaactl_codec_events events = iaactl_codec_events(codec);

	atomic_store_explicit(&live->busy_retries, events.busy_retries, memory_order_relaxed);
	atomic_store_explicit(&live->faults, events.faults, memory_order_relaxed);
	atomic_store_explicit(&live->job_failures, events.job_failures, memory_order_relaxed);
}

/* ---- descriptors --------------------------------------------------------------------------- */

int iaactl_io_init(struct iaactl_io *io, int fd, int cancel, uint64_t timeout_ns)
{
	struct stat about;

	*io = (struct iaactl_io){ .fd = fd, .cancel = cancel, .timeout_ns = timeout_ns,
				  .flags = -1 };
	if (fstat(fd, &about))
		return -errno;
	io->socket = S_ISSOCK(about.st_mode);
	if (io->socket)
		return 0;
	io->flags = fcntl(fd, F_GETFL);
	if (io->flags < 0 || fcntl(fd, F_SETFL, io->flags | O_NONBLOCK))
		return -errno;
	return 0;
}

void iaactl_io_release(struct iaactl_io *io)
{
	if (io->flags >= 0)
		(void)fcntl(io->fd, F_SETFL, io->flags);
	io->flags = -1;
}

static int milliseconds(uint64_t ns)
{
	uint64_t ms = (ns + 999999) / 1000000;

	return ms > 1000000000 ? 1000000000 : (int)ms;
}

static int wait_for(const struct iaactl_io *io, short events)
{
	struct pollfd set[2] = { { .fd = io->cancel, .events = POLLIN },
				 { .fd = io->fd, .events = events } };
	int ready;

	do
		ready = poll(set, 2, milliseconds(io->timeout_ns));
	while (ready < 0 && errno == EINTR);
	if (ready < 0)
		return -errno;
	if (!ready)
		return -ETIMEDOUT;
	return set[0].revents ? -ECANCELED : 0;
}

int iaactl_io_sleep(const struct iaactl_io *io, uint64_t ns)
{
	struct pollfd set = { .fd = io->cancel, .events = POLLIN };

	return poll(&set, 1, milliseconds(ns)) > 0 ? -ECANCELED : 0;
}

/* Take `bytes` off the front of a vector. */
static void advance(struct iovec **vector, uint32_t *count, size_t bytes)
{
	while (*count && bytes >= (*vector)->iov_len) {
		bytes -= (*vector)->iov_len;
		++*vector;
		--*count;
	}
	if (*count) {
		(*vector)->iov_base = (uint8_t *)(*vector)->iov_base + bytes;
		(*vector)->iov_len -= bytes;
	}
}

static ssize_t transfer(const struct iaactl_io *io, struct iovec *vector, uint32_t count,
			bool reading)
{
	struct msghdr message = { .msg_iov = vector, .msg_iovlen = count };

	if (!io->socket)
		return reading ? readv(io->fd, vector, (int)count) :
				 writev(io->fd, vector, (int)count);
	return reading ? recvmsg(io->fd, &message, MSG_DONTWAIT) :
			 sendmsg(io->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int move(struct iaactl_io *io, struct iovec *vector, uint32_t count, bool reading)
{
	io->got = 0;
	advance(&vector, &count, 0);
	while (count) {
		ssize_t moved = transfer(io, vector, count, reading);
		int err;

		if (moved > 0) {
			io->offset += (uint64_t)moved;
			io->got += (uint64_t)moved;
			advance(&vector, &count, (size_t)moved);
			continue;
		}
		if (moved == 0 && reading)
			return io->got ? -ECONNRESET : -ENODATA;
		if (moved < 0 && errno == EINTR)
			continue;
		if (moved < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
			return -errno;
		err = wait_for(io, reading ? POLLIN : POLLOUT);
		if (err)
			return err;
	}
	return 0;
}

int iaactl_io_readv(struct iaactl_io *io, struct iovec *vector, uint32_t count)
{
	return move(io, vector, count, true);
}

int iaactl_io_read(struct iaactl_io *io, void *to, size_t bytes)
{
	struct iovec one = { .iov_base = to, .iov_len = bytes };

	return move(io, &one, 1, true);
}

int iaactl_io_writev(struct iaactl_io *io, struct iovec *vector, uint32_t count)
{
	return move(io, vector, count, false);
}

void iaactl_io_defect(const struct iaactl_io *io, int err, bool reading, uint64_t wanted,
		      struct iaactl_defect *defect)
{
	defect->error = -err;
	switch (err) {
	case -ETIMEDOUT:
		defect->kind = IAACTL_DEFECT_TIMEOUT;
		defect->have = io->timeout_ns / 1000000;
		break;
	case -ENODATA:
	case -ECONNRESET:
		defect->kind = reading ? IAACTL_DEFECT_CUT : IAACTL_DEFECT_CLOSED;
		defect->have = io->got;
		defect->want = wanted;
		break;
	case -EPIPE:
		defect->kind = IAACTL_DEFECT_CLOSED;
		break;
	default:
		defect->kind = IAACTL_DEFECT_IO;
	}
}

void iaactl_vector_add(struct iovec *vector, uint32_t *count, const void *data, size_t bytes)
{
	struct iovec *last = *count ? &vector[*count - 1] : NULL;

	if (last && (const uint8_t *)last->iov_base + last->iov_len == data) {
		last->iov_len += bytes;
		return;
	}
	vector[*count].iov_base = (void *)(uintptr_t)data;
	vector[(*count)++].iov_len = bytes;
}

/* ---- threads ------------------------------------------------------------------------------- */

int iaactl_thread_start(pthread_t *thread, void *(*run)(void *), void *argument,
			const char *prefix, uint32_t number)
{
	sigset_t all, before;
	char name[16];
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return -err;
	snprintf(name, sizeof(name), "%s_%u", prefix, number);
	(void)pthread_setname_np(*thread, name);
	return 0;
}

struct timespec iaactl_after_ms(uint32_t ms)
{
	uint64_t at = iaactl_now_ns() + (uint64_t)ms * 1000000;

	return (struct timespec){ .tv_sec = (time_t)(at / 1000000000),
				  .tv_nsec = (long)(at % 1000000000) };
}

int iaactl_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;
	int err = -pthread_condattr_init(&attributes);

	if (err)
		return err;
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	err = -pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
	return err;
}
