/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages are all zero. */
#ifndef IAACTL_ZERO_H
#define IAACTL_ZERO_H

#include <stdbool.h>
#include <stdint.h>

enum iaactl_zero_variant {
	IAACTL_ZERO_BEST = 0,
	IAACTL_ZERO_SSE2 = 1, /* plain 64-bit words on other architectures */
	IAACTL_ZERO_AVX2 = 2,
	IAACTL_ZERO_AVX512 = 3
};

typedef bool (*iaactl_zero_test)(const uint8_t *page);

/* The test for one page of 4096 bytes, aligned to 64. BEST is what this CPU and its kernel allow;
 * -ENOSYS for a variant they do not. `chosen` (may be NULL) says which one it is. */
int iaactl_zero_choose(int variant, int *chosen, iaactl_zero_test *ret);

/* Count the zero pages among `pages` at `memory` (64-byte aligned), and the CPU time of the calling
 * thread. */
int iaactl_zero_scan(const uint8_t *memory, uint64_t pages, int variant, uint64_t *cpu_ns,
		     int *chosen, uint64_t *ret);

#endif
