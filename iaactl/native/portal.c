/* SPDX-License-Identifier: Apache-2.0 */
/* Portals of work queues: open, submit, wait.
 *
 * ENQCMD, MOVDIR64B and UMWAIT are in functions of their own with a target attribute, so that the
 * rest runs on any x86-64 CPU. Source: Intel SDM; include/uapi/linux/idxd.h; behaviour of the
 * idxd character device since INTEL-SA-01084. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "iaactl.h"

#define DESCRIPTOR_BYTES 64
#define PORTAL_BYTES 4096
#define PAGE_BYTES 4096
#define STATUS_MASK 0x7f
#define STATUS_WRITE_FAULT 0x80
#define PAUSES_BEFORE_SLEEP 2000
#define SLEEP_NS 20000

enum { STATUS_PAGE_FAULT = 0x03, STATUS_PAGE_FAULT_UNRESOLVED = 0x04 };

struct iaactl_portal {
	int fd;
	int way;
	pid_t owner;
	bool own_mapping;
	uint8_t *page;
	uint32_t slot;
	bool waitpkg;
};

/* ---- instructions ------------------------------------------------------------------------- */

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("enqcmd"))) static bool enqcmd_refused(void *slot, const void *descriptor)
{
	return _enqcmd(slot, descriptor) != 0; /* ZF: the queue did not take it */
}

__attribute__((target("movdir64b"))) static void movdir64b(void *slot, const void *descriptor)
{
	_movdir64b(slot, descriptor);
}

/* Sleep until the line of the record is written or about 10 microseconds have passed. */
__attribute__((target("waitpkg"))) static void umwait_for(volatile uint8_t *status)
{
	_umonitor((void *)(uintptr_t)status);
	if (!*status)
		_umwait(1, __builtin_ia32_rdtsc() + 20000);
}

static void cpu_pause(void)
{
	_mm_pause();
}

static void store_fence(void)
{
	_mm_sfence();
}
#else
static bool enqcmd_refused(void *slot, const void *descriptor)
{
	(void)slot;
	(void)descriptor;
	return true;
}

static void movdir64b(void *slot, const void *descriptor)
{
	(void)slot;
	(void)descriptor;
}

static void umwait_for(volatile uint8_t *status)
{
	(void)status;
}

static void cpu_pause(void)
{
}

static void store_fence(void)
{
	__sync_synchronize();
}
#endif

/* ---- life --------------------------------------------------------------------------------- */

static int allocate(struct iaactl_portal **ret)
{
	struct iaactl_portal *portal = calloc(1, sizeof(*portal));
	uint32_t features = 0;

	if (!portal)
		return -ENOMEM;
	portal->fd = -1;
	portal->owner = getpid();
	if (iaactl_cpu_features(&features) == 0)
		portal->waitpkg = features & IAACTL_CPU_WAITPKG;
	*ret = portal;
	return 0;
}

int iaactl_portal_open(const char *path, int dedicated, int *map_errno, struct iaactl_portal **ret)
{
	uint32_t features = 0, wanted = dedicated ? IAACTL_CPU_MOVDIR64B : IAACTL_CPU_ENQCMD;
	struct iaactl_portal *portal;
	void *page;
	int err = allocate(&portal);

	if (err)
		return err;
	portal->fd = open(path, O_RDWR | O_CLOEXEC);
	if (portal->fd < 0) {
		err = -errno;
		iaactl_portal_close(portal);
		return err;
	}
	*map_errno = ENOSYS;
	if (iaactl_cpu_features(&features) == 0 && features & wanted) {
		page = mmap(NULL, PORTAL_BYTES, PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			    portal->fd, 0);
		*map_errno = page == MAP_FAILED ? errno : 0;
		if (page != MAP_FAILED) {
			portal->page = page;
			portal->own_mapping = true;
			portal->way = dedicated ? IAACTL_WAY_MOVDIR64B : IAACTL_WAY_ENQCMD;
		}
	}
	*ret = portal;
	return 0;
}

int iaactl_portal_over_memory(void *page, int way, struct iaactl_portal **ret)
{
	int err;

	if ((uintptr_t)page % DESCRIPTOR_BYTES || way == IAACTL_WAY_WRITE)
		return -EINVAL;
	err = allocate(ret);
	if (err)
		return err;
	(*ret)->page = page;
	(*ret)->way = way;
	return 0;
}

void iaactl_portal_close(struct iaactl_portal *portal)
{
	if (!portal)
		return;
	if (portal->own_mapping)
		munmap(portal->page, PORTAL_BYTES);
	if (portal->fd >= 0)
		close(portal->fd);
	free(portal);
}

int iaactl_portal_way(const struct iaactl_portal *portal)
{
	return portal->way;
}

/* ---- submission --------------------------------------------------------------------------- */

/* One attempt: 0, -EAGAIN when the queue is full, or another -errno of write(2). */
static int submit_once(struct iaactl_portal *portal, const uint8_t *descriptor)
{
	_Alignas(64) uint8_t aligned[DESCRIPTOR_BYTES];
	ssize_t written;
	void *slot;

	if (portal->way == IAACTL_WAY_WRITE) {
		do
			written = write(portal->fd, descriptor, DESCRIPTOR_BYTES);
		while (written < 0 && errno == EINTR);
		if (written < 0)
			return -errno;
		return written == DESCRIPTOR_BYTES ? 0 : -EIO;
	}
	/* Every 64-byte slot of the portal is equal; stepping avoids stalls on one address. */
	slot = portal->page + portal->slot;
	portal->slot = (portal->slot + DESCRIPTOR_BYTES) % PORTAL_BYTES;
	memcpy(aligned, descriptor, DESCRIPTOR_BYTES);
	store_fence();
	if (portal->way == IAACTL_WAY_MOVDIR64B) {
		movdir64b(slot, aligned);
		return 0;
	}
	return enqcmd_refused(slot, aligned) ? -EAGAIN : 0;
}

static void nap(void)
{
	const struct timespec span = { .tv_sec = 0, .tv_nsec = SLEEP_NS };

	nanosleep(&span, NULL);
}

int iaactl_portal_fill(struct iaactl_portal *portal, const uint8_t *descriptors, uint32_t count,
		       uint32_t *ret)
{
	int err = 0;

	*ret = 0;
	if (portal->owner != getpid())
		return -EPERM;
	while (*ret < count && !err) {
		err = submit_once(portal, descriptors + (size_t)*ret * DESCRIPTOR_BYTES);
		if (!err)
			++*ret;
	}
	return err == -EAGAIN ? 0 : err;
}

/* ---- completion --------------------------------------------------------------------------- */

static uint64_t read_u64(const uint8_t *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t read_u32(const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static volatile uint8_t *record_of(const struct iaactl_job *job)
{
	return (volatile uint8_t *)(uintptr_t)read_u64(job->descriptor + 8);
}

static bool within(uint64_t address, uint64_t start, uint64_t size)
{
	return size && address >= (start & ~(uint64_t)(PAGE_BYTES - 1)) && address < start + size;
}

/* Touch the page at a fault address, if it belongs to one of the job's operands: anything else is
 * an address that this process must not be made to access. */
static bool touch(const struct iaactl_job *job, uint64_t address, bool write_it)
{
	const uint8_t *d = job->descriptor;
	bool source = within(address, read_u64(d + 16), read_u32(d + 32));
	bool destination = within(address, read_u64(d + 24), read_u32(d + 48));
	/* Copies of an AECS stand one behind the other, so twice its size. */
	bool second = within(address, read_u64(d + 40), 2 * (uint64_t)read_u32(d + 52));
	volatile uint8_t *byte = (volatile uint8_t *)(uintptr_t)address;

	if (!source && !destination && !second)
		return false;
	if (write_it && !destination && !second)
		return false;
	if (write_it)
		__atomic_fetch_add(byte, 0, __ATOMIC_RELAXED); /* a write that changes nothing */
	else
		(void)*byte;
	return true;
}

enum progress { WAITING, FINISHED, AGAIN };

static enum progress look(struct iaactl_job *job, uint32_t max_faults)
{
	volatile uint8_t *record = record_of(job);
	uint8_t status = __atomic_load_n((uint8_t *)(uintptr_t)record, __ATOMIC_ACQUIRE);
	uint8_t code = status & STATUS_MASK;

	if (!status)
		return WAITING;
	if (code != STATUS_PAGE_FAULT && code != STATUS_PAGE_FAULT_UNRESOLVED)
		return FINISHED;
	if (job->faults >= max_faults)
		return FINISHED;
	if (!touch(job, read_u64((const uint8_t *)(uintptr_t)record + 8),
		   status & STATUS_WRITE_FAULT))
		return FINISHED;
	job->faults++;
	return AGAIN;
}

static void wait_a_little(struct iaactl_portal *portal, const struct iaactl_job *oldest,
			  uint32_t *spins)
{
	if (portal->waitpkg) {
		umwait_for(record_of(oldest));
		return;
	}
	if (++*spins < PAUSES_BEFORE_SLEEP) {
		cpu_pause();
		return;
	}
	nap();
}

struct flight {
	struct iaactl_job *job;
	uint64_t since;
};

/* Submit one job, waiting while the queue is full. */
static int launch(struct iaactl_portal *portal, struct iaactl_job *job, uint64_t deadline)
{
	volatile uint8_t *record = record_of(job);
	uint32_t spins = 0;
	int err;

	memset((void *)(uintptr_t)record, 0, 64);
	for (;;) {
		err = submit_once(portal, job->descriptor);
		if (err != -EAGAIN)
			return err;
		job->retries++;
		if (iaactl_now_ns() >= deadline)
			return -EAGAIN;
		if (++spins < PAUSES_BEFORE_SLEEP / 100)
			cpu_pause();
		else
			nap();
	}
}

int iaactl_portal_submit(struct iaactl_portal *portal, struct iaactl_job *job)
{
	if (portal->owner != getpid())
		return -EPERM;
	job->error = 0;
	job->retries = 0;
	job->faults = 0;
	memset((void *)(uintptr_t)record_of(job), 0, 64);
	return submit_once(portal, job->descriptor);
}

int iaactl_portal_await(struct iaactl_portal *portal, struct iaactl_job *job, uint32_t max_faults,
			uint64_t deadline_ns)
{
	uint32_t spins = 0;

	for (;;) {
		enum progress progress = look(job, max_faults);

		if (progress == FINISHED)
			return 0;
		if (progress == AGAIN)
			job->error = launch(portal, job, deadline_ns);
		else if (iaactl_now_ns() >= deadline_ns)
			job->error = -ETIMEDOUT;
		if (job->error)
			return job->error;
		if (progress == WAITING)
			wait_a_little(portal, job, &spins);
	}
}

int iaactl_portal_run(struct iaactl_portal *portal, struct iaactl_job *jobs, uint32_t count,
		      uint32_t depth, uint32_t max_faults, uint64_t timeout_ns)
{
	uint64_t deadline = iaactl_now_ns() + timeout_ns;
	uint32_t next = 0, flying = 0, spins = 0, i;
	struct flight *flights;
	int first = 0, err;

	if (portal->owner != getpid())
		return -EPERM;
	if (!depth)
		return -EINVAL;
	flights = calloc(depth, sizeof(*flights));
	if (!flights)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		jobs[i].error = -ECANCELED;
		jobs[i].retries = 0;
		jobs[i].faults = 0;
		jobs[i].ns = 0;
	}
	while (flying || (next < count && !first)) {
		while (flying < depth && next < count && !first) {
			struct iaactl_job *job = &jobs[next++];

			err = launch(portal, job, deadline);
			job->error = err;
			if (err) {
				first = err;
				break;
			}
			flights[flying].job = job;
			flights[flying++].since = iaactl_now_ns();
		}
		for (i = 0; i < flying;) {
			struct iaactl_job *job = flights[i].job;
			enum progress progress = look(job, max_faults);

			if (progress == AGAIN) {
				err = launch(portal, job, deadline);
				if (!err) {
					i++;
					continue;
				}
				job->error = err;
				first = first ? first : err;
				progress = FINISHED;
			}
			if (progress == WAITING) {
				i++;
				continue;
			}
			job->ns = iaactl_now_ns() - flights[i].since;
			flights[i] = flights[--flying];
			spins = 0;
		}
		if (flying && iaactl_now_ns() >= deadline) {
			for (i = 0; i < flying; i++)
				flights[i].job->error = -ETIMEDOUT;
			first = first ? first : -ETIMEDOUT;
			break;
		}
		if (flying)
			wait_a_little(portal, flights[0].job, &spins);
	}
	free(flights);
	return first;
}
