/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory: pages, which of them are dirty, which were received. */
#ifndef IAACTL_MEMORY_H
#define IAACTL_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Anonymous private memory with two bitmaps. Bits are set and taken from any thread. */
struct iaactl_memory;

/* `size` bytes, a multiple of 4096 and not 0, all zero, nothing dirty or received. Huge pages are
 * asked for, as QEMU does. `prealloc` faults all of it in. -EINVAL, -ENOMEM. */
int iaactl_memory_create(uint64_t size, bool prealloc, struct iaactl_memory **ret);

void iaactl_memory_destroy(struct iaactl_memory *memory);

uint8_t *iaactl_memory_base(const struct iaactl_memory *memory);
uint64_t iaactl_memory_size(const struct iaactl_memory *memory);
uint64_t iaactl_memory_pages(const struct iaactl_memory *memory);

/* Give all pages back to the kernel and clear both bitmaps. Nobody else may use it meanwhile. */
int iaactl_memory_clear(struct iaactl_memory *memory);

void iaactl_memory_mark_dirty(struct iaactl_memory *memory, uint64_t page);
void iaactl_memory_mark_all_dirty(struct iaactl_memory *memory);
uint64_t iaactl_memory_dirty_pages(const struct iaactl_memory *memory);

/* Take up to `most` dirty pages from `*cursor` (a page) on, clearing their bits before anything of
 * them is read; the cursor moves behind the last. How many goes to `ret`, 0 at the end. */
void iaactl_memory_take_dirty(struct iaactl_memory *memory, uint64_t *cursor, uint32_t most,
			      uint64_t *offsets, uint32_t *ret);

/* Mark as received; whether it was before. */
bool iaactl_memory_mark_received(struct iaactl_memory *memory, uint64_t page);

/* First page that differs, or the number of pages when all are equal. -EINVAL for other sizes. */
int iaactl_memory_difference(const struct iaactl_memory *a, const struct iaactl_memory *b,
			     uint64_t *ret);

#endif
