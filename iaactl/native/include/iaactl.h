/* SPDX-License-Identifier: Apache-2.0 */
/* C interface of the native core. Functions return 0 or -errno; results go through `ret`. */
#ifndef IAACTL_H
#define IAACTL_H

#include <stddef.h>
#include <stdint.h>

/* Instructions that the ways to submit and to wait need, as the CPU reports them (CPUID). */
enum iaactl_cpu_feature {
	IAACTL_CPU_MOVDIR64B = 1 << 0, /* CPUID.7.0:ECX[28] */
	IAACTL_CPU_ENQCMD = 1 << 1,    /* CPUID.7.0:ECX[29]; the kernel may still refuse a PASID */
	IAACTL_CPU_WAITPKG = 1 << 2,   /* CPUID.7.0:ECX[5]: umwait, tpause */
};

/* Set of enum iaactl_cpu_feature bits; -ENOSYS on a CPU without CPUID leaf 7. */
int iaactl_cpu_features(uint32_t *ret);

/* How descriptors reach a work queue. */
enum iaactl_way {
	IAACTL_WAY_WRITE = 0,    /* write(2): the kernel checks and submits */
	IAACTL_WAY_ENQCMD = 1,   /* shared work queue, portal mapped */
	IAACTL_WAY_MOVDIR64B = 2 /* dedicated work queue, portal mapped */
};

/* An open work queue. Belongs to the process that opened it: after fork(2) every call in the
 * child is refused with -EPERM, as the driver would refuse it. Not thread safe. */
struct iaactl_portal;

/* Open the node at `path`. `dedicated` says which instruction the mapped portal would want. The
 * way is found by trying: the mapping where the CPU has the instruction and the kernel allows it
 * (CAP_SYS_RAWIO on IAA 1.0 and 2.0), else write(2). `map_errno` is why it was not mapped, 0 if
 * it was. Returns the errno of open(2). */
int iaactl_portal_open(const char *path, int dedicated, int *map_errno, struct iaactl_portal **ret);

/* Close; the kernel drains what is in flight. Memory of descriptors that never completed may be
 * written until this returns, so close before it is freed. */
void iaactl_portal_close(struct iaactl_portal *portal);

/* enum iaactl_way of an open portal. */
int iaactl_portal_way(const struct iaactl_portal *portal);

/* A portal over memory of the caller instead of a device, for tests of the instructions: 4096
 * bytes at `page`, 64-byte aligned, way ENQCMD or MOVDIR64B. */
int iaactl_portal_over_memory(void *page, int way, struct iaactl_portal **ret);

/* One descriptor of a run. The completion record (64 bytes, 64-byte aligned) is where the
 * descriptor says; it is cleared before submission. */
struct iaactl_job {
	uint8_t descriptor[64];
	int32_t error;    /* 0 or -errno: -EAGAIN queue full to the end, -ETIMEDOUT, -EFAULT ... */
	uint32_t retries; /* submissions that the queue refused because it was full */
	uint32_t faults;  /* page faults that were resolved by touching and submitting again */
	uint64_t ns;      /* from submission to completion, as far as polling shows */
};

/* Submit `count` jobs with at most `depth` in flight, and wait for all of them. A completion with
 * a page fault inside the job's own operands is resolved by touching the page, and the job is
 * submitted again from its start (the results so far are in no state to be continued), at most
 * `max_faults` times. Returns 0 when every job has a completion record, whatever its status;
 * -ETIMEDOUT when `timeout_ns` passed first (real time, CLOCK_MONOTONIC); else the first error of
 * submission. Each job's own outcome is in `error`. */
int iaactl_portal_run(struct iaactl_portal *portal, struct iaactl_job *jobs, uint32_t count,
		      uint32_t depth, uint32_t max_faults, uint64_t timeout_ns);

/* Clear the job's completion record and its counts, and submit it once, without waiting: -EAGAIN
 * when the queue is full, another -errno of write(2), -EPERM in a forked child. */
int iaactl_portal_submit(struct iaactl_portal *portal, struct iaactl_job *job);

/* Wait for one submitted job, resolving faults as above: 0 when it has a completion record,
 * -ETIMEDOUT when iaactl_now_ns() has reached `deadline_ns`, or the error of a submission that a
 * fault made necessary. Jobs may be waited for in any order. */
int iaactl_portal_await(struct iaactl_portal *portal, struct iaactl_job *job, uint32_t max_faults,
			uint64_t deadline_ns);

/* Submit without waiting: the number of the `count` descriptors (64 bytes each) that the queue
 * took before it was full goes to `ret`. */
int iaactl_portal_fill(struct iaactl_portal *portal, const uint8_t *descriptors, uint32_t count,
		       uint32_t *ret);

#endif
