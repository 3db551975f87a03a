/* SPDX-License-Identifier: Apache-2.0 */
/* The portal against a "device": a socket pair whose other end a thread reads descriptors from. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "iaactl.h"

#define CHECK(x)                                                                       \
	do {                                                                           \
		if (!(x)) {                                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);        \
			exit(1);                                                       \
		}                                                                      \
	} while (0)

enum { OPCODE_OK = 0, OPCODE_HANG = 1, OPCODE_FAULT_ONCE = 2, OPCODE_FAULT_EVER = 3,
       OPCODE_FAULT_ELSEWHERE = 4, OPCODE_ERROR = 5, OPCODE_WRITE_FAULT = 6 };

static char path[64];
static int device_fd;

static void put_u64(uint8_t *at, uint64_t value)
{
	memcpy(at, &value, sizeof(value));
}

static void put_u32(uint8_t *at, uint32_t value)
{
	memcpy(at, &value, sizeof(value));
}

/* Completes what it reads, in the way its opcode asks for. */
static void *device(void *unused)
{
	uint8_t d[64];
	unsigned int faulted = 0;

	while (read(device_fd, d, sizeof(d)) == sizeof(d)) {
		uint64_t address, source;
		uint8_t *record, status = 1;

		memcpy(&address, d + 8, 8);
		memcpy(&source, d + 16, 8);
		record = (uint8_t *)(uintptr_t)address;
		switch (d[7]) {
		case OPCODE_HANG:
			continue;
		case OPCODE_FAULT_ONCE:
			status = faulted++ % 2 ? 1 : 0x03;
			put_u64(record + 8, source);
			break;
		case OPCODE_WRITE_FAULT:
			status = faulted++ % 2 ? 1 : 0x83;
			memcpy(record + 8, d + 24, 8);
			break;
		case OPCODE_FAULT_EVER:
			status = 0x04;
			put_u64(record + 8, source);
			break;
		case OPCODE_FAULT_ELSEWHERE:
			status = 0x83;
			put_u64(record + 8, 0x1000);
			break;
		case OPCODE_ERROR:
			status = 0x13;
			break;
		}
		put_u32(record + 4, 7);
		__atomic_store_n(record, status, __ATOMIC_RELEASE);
	}
	return unused;
}

static struct iaactl_portal *open_it(void)
{
	struct iaactl_portal *portal;
	int reason;

	CHECK(iaactl_portal_open(path, 0, &reason, &portal) == 0);
	CHECK(iaactl_portal_way(portal) == IAACTL_WAY_WRITE);
	CHECK(reason != 0);
	return portal;
}

static void prepare(struct iaactl_job *job, uint8_t *record, uint8_t opcode, uint8_t *operand)
{
	memset(job, 0, sizeof(*job));
	job->descriptor[7] = opcode;
	put_u64(job->descriptor + 8, (uint64_t)(uintptr_t)record);
	put_u64(job->descriptor + 16, (uint64_t)(uintptr_t)operand);
	put_u64(job->descriptor + 24, (uint64_t)(uintptr_t)operand + 4096);
	put_u32(job->descriptor + 32, 4096);
	put_u32(job->descriptor + 48, 4096);
}

int main(void)
{
	static _Alignas(64) uint8_t records[64][64];
	static _Alignas(4096) uint8_t operand[8192], page[4096];
	struct iaactl_job jobs[64];
	struct iaactl_portal *portal;
	uint8_t descriptors[4 * 64];
	uint32_t taken, features = 0;
	pthread_t thread;
	int status, i;
	pid_t child;

	/* A FIFO opened for reading and writing stands for the node: writes of 64 bytes are whole. */
	snprintf(path, sizeof(path), "/tmp/portal-test-%d", (int)getpid());
	CHECK(mkfifo(path, 0600) == 0);
	device_fd = open(path, O_RDWR);
	CHECK(device_fd >= 0);
	CHECK(pthread_create(&thread, NULL, device, NULL) == 0);
	portal = open_it();

	/* Many jobs, few in flight. */
	for (i = 0; i < 64; i++)
		prepare(&jobs[i], records[i], OPCODE_OK, operand);
	CHECK(iaactl_portal_run(portal, jobs, 64, 5, 4, 5000000000u) == 0);
	for (i = 0; i < 64; i++)
		CHECK(jobs[i].error == 0 && records[i][0] == 1 && jobs[i].faults == 0);

	/* Faults inside the operands are touched, counted, and bounded. */
	operand[4096] = 0x5a;
	prepare(&jobs[0], records[0], OPCODE_FAULT_ONCE, operand);
	CHECK(iaactl_portal_run(portal, jobs, 1, 1, 4, 5000000000u) == 0);
	CHECK(jobs[0].faults == 1 && records[0][0] == 1);
	prepare(&jobs[0], records[0], OPCODE_WRITE_FAULT, operand);
	CHECK(iaactl_portal_run(portal, jobs, 1, 1, 4, 5000000000u) == 0);
	CHECK(jobs[0].faults == 1 && records[0][0] == 1 && operand[4096] == 0x5a);
	prepare(&jobs[0], records[0], OPCODE_FAULT_EVER, operand);
	CHECK(iaactl_portal_run(portal, jobs, 1, 1, 4, 5000000000u) == 0);
	CHECK(jobs[0].faults == 4 && records[0][0] == 4);
	/* An address that is none of the job's is not accessed. */
	prepare(&jobs[0], records[0], OPCODE_FAULT_ELSEWHERE, operand);
	CHECK(iaactl_portal_run(portal, jobs, 1, 1, 4, 5000000000u) == 0);
	CHECK(jobs[0].faults == 0 && records[0][0] == 0x83);

	/* An error status is an outcome, not a failure of the run. */
	prepare(&jobs[0], records[0], OPCODE_ERROR, operand);
	CHECK(iaactl_portal_run(portal, jobs, 1, 1, 4, 5000000000u) == 0);
	CHECK(jobs[0].error == 0 && records[0][0] == 0x13);

	/* A hung job ends at the deadline; the others have their results. */
	prepare(&jobs[0], records[0], OPCODE_HANG, operand);
	prepare(&jobs[1], records[1], OPCODE_OK, operand);
	CHECK(iaactl_portal_run(portal, jobs, 2, 2, 4, 100000000u) == -ETIMEDOUT);
	CHECK(jobs[0].error == -ETIMEDOUT && jobs[1].error == 0 && records[1][0] == 1);
	CHECK(iaactl_portal_run(portal, jobs, 1, 0, 4, 1000) == -EINVAL);

	/* Not from a child. */
	child = fork();
	CHECK(child >= 0);
	if (child == 0)
		_exit(iaactl_portal_run(portal, jobs, 1, 1, 4, 1000) == -EPERM &&
				      iaactl_portal_fill(portal, descriptors, 1, &taken) == -EPERM ?
			      0 : 1);
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));

	/* Fill counts what was taken. */
	memset(descriptors, 0, sizeof(descriptors));
	for (i = 0; i < 4; i++)
		put_u64(descriptors + 64 * i + 8, (uint64_t)(uintptr_t)records[i]);
	CHECK(iaactl_portal_fill(portal, descriptors, 4, &taken) == 0 && taken == 4);
	usleep(50000);
	iaactl_portal_close(portal);
	iaactl_portal_close(NULL);

	/* What cannot be opened says why. */
	CHECK(iaactl_portal_open("/nonexistent/wq1.0", 0, &i, &portal) == -ENOENT);

	/* MOVDIR64B into ordinary memory, where this CPU has it. */
	CHECK(iaactl_portal_over_memory(page + 1, IAACTL_WAY_MOVDIR64B, &portal) == -EINVAL);
	CHECK(iaactl_portal_over_memory(page, IAACTL_WAY_WRITE, &portal) == -EINVAL);
	if (iaactl_cpu_features(&features) == 0 && features & IAACTL_CPU_MOVDIR64B) {
		CHECK(iaactl_portal_over_memory(page, IAACTL_WAY_MOVDIR64B, &portal) == 0);
		for (i = 0; i < 4; i++)
			descriptors[64 * i + 40] = (uint8_t)(i + 1);
		CHECK(iaactl_portal_fill(portal, descriptors, 4, &taken) == 0 && taken == 4);
		CHECK(memcmp(page, descriptors, sizeof(descriptors)) == 0);
		iaactl_portal_close(portal);
	} else {
		printf("no MOVDIR64B on this CPU: its path was not run\n");
	}

	unlink(path);
	printf("all passed\n");
	fflush(stdout);
	_exit(0);
}
