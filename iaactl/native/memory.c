/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory and its bitmaps. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "memory.h"
#include "wire.h"

#define HUGE_BYTES (2u << 20)
#define WORD_BITS 64

struct iaactl_memory {
	uint8_t *base;
	uint64_t size;
	uint64_t pages;
	uint64_t words;
	void *mapping;
	size_t mapped;
	_Atomic uint64_t *dirty;
	_Atomic uint64_t *received;
};

static int fault_in(struct iaactl_memory *memory)
{
	uint64_t page;

#ifdef MADV_POPULATE_WRITE
	if (madvise(memory->base, memory->size, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
#endif
	/* Kernels before 5.14. */
	for (page = 0; page < memory->pages; page++)
		*(volatile uint8_t *)(memory->base + page * IAACTL_PAGE_BYTES) = 0;
	return 0;
}

int iaactl_memory_create(uint64_t size, bool prealloc, struct iaactl_memory **ret)
{
	struct iaactl_memory *memory;
	int err = 0;

	if (!size || size % IAACTL_PAGE_BYTES || size > SIZE_MAX / 2)
		return -EINVAL;
	memory = calloc(1, sizeof(*memory));
	if (!memory)
		return -ENOMEM;
	memory->size = size;
	memory->pages = size / IAACTL_PAGE_BYTES;
	memory->words = (memory->pages + WORD_BITS - 1) / WORD_BITS;
	memory->dirty = calloc(memory->words, sizeof(*memory->dirty));
	memory->received = calloc(memory->words, sizeof(*memory->received));
	/* A page that cannot be touched on either side, besides what alignment takes. */
	memory->mapped = size + HUGE_BYTES + 2 * IAACTL_PAGE_BYTES;
	memory->mapping = mmap(NULL, memory->mapped, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			       -1, 0);
	if (!memory->dirty || !memory->received || memory->mapping == MAP_FAILED) {
		err = -ENOMEM;
	} else {
		uintptr_t start = (uintptr_t)memory->mapping + IAACTL_PAGE_BYTES;

		start = (start + HUGE_BYTES - 1) / HUGE_BYTES * HUGE_BYTES;
		memory->base = (uint8_t *)start;
		if (mprotect(memory->base, size, PROT_READ | PROT_WRITE))
			err = -errno;
		/* Advice: a kernel without huge pages refuses it, and works. */
		(void)madvise(memory->base, size, MADV_HUGEPAGE);
		if (!err && prealloc)
			err = fault_in(memory);
	}
	if (err) {
		iaactl_memory_destroy(memory);
		return err;
	}
	*ret = memory;
	return 0;
}

void iaactl_memory_destroy(struct iaactl_memory *memory)
{
	if (!memory)
		return;
	if (memory->mapping && memory->mapping != MAP_FAILED)
		munmap(memory->mapping, memory->mapped);
	free((void *)memory->dirty);
	free((void *)memory->received);
	free(memory);
}

uint8_t *iaactl_memory_base(const struct iaactl_memory *memory)
{
	return memory->base;
}

uint64_t iaactl_memory_size(const struct iaactl_memory *memory)
{
	return memory->size;
}

uint64_t iaactl_memory_pages(const struct iaactl_memory *memory)
{
	return memory->pages;
}

int iaactl_memory_clear(struct iaactl_memory *memory)
{
	uint64_t i;

	if (madvise(memory->base, memory->size, MADV_DONTNEED))
		return -errno;
	for (i = 0; i < memory->words; i++) {
		atomic_store(&memory->dirty[i], 0);
		atomic_store(&memory->received[i], 0);
	}
	return 0;
}

static bool set_bit(_Atomic uint64_t *bitmap, uint64_t page)
{
	uint64_t bit = (uint64_t)1 << page % WORD_BITS;

	return atomic_fetch_or(&bitmap[page / WORD_BITS], bit) & bit;
}

void iaactl_memory_mark_dirty(struct iaactl_memory *memory, uint64_t page)
{
	(void)set_bit(memory->dirty, page);
}

bool iaactl_memory_mark_received(struct iaactl_memory *memory, uint64_t page)
{
	return set_bit(memory->received, page);
}

void iaactl_memory_mark_all_dirty(struct iaactl_memory *memory)
{
	uint64_t i, spare = memory->words * WORD_BITS - memory->pages;

	for (i = 0; i < memory->words; i++)
		atomic_store(&memory->dirty[i],
			     i + 1 < memory->words ? UINT64_MAX : UINT64_MAX >> spare);
}

uint64_t iaactl_memory_dirty_pages(const struct iaactl_memory *memory)
{
	uint64_t count = 0, i;

	for (i = 0; i < memory->words; i++)
		count += (uint64_t)__builtin_popcountll(
			atomic_load_explicit(&memory->dirty[i], memory_order_relaxed));
	return count;
}

void iaactl_memory_take_dirty(struct iaactl_memory *memory, uint64_t *cursor, uint32_t most,
			      uint64_t *offsets, uint32_t *ret)
{
	*ret = 0;
	while (*cursor < memory->pages && *ret < most) {
		uint64_t word = *cursor / WORD_BITS, mask = UINT64_MAX << *cursor % WORD_BITS;
		uint64_t want, taken;

		want = atomic_load_explicit(&memory->dirty[word], memory_order_relaxed) & mask;
		/* Only as many of the lowest bits as there is room for. */
		while ((uint32_t)__builtin_popcountll(want) > most - *ret)
			want &= ~((uint64_t)1 << (63 - __builtin_clzll(want)));
		/* A write that comes after this sets its bit again, so it is sent again. */
		taken = want ? atomic_fetch_and(&memory->dirty[word], ~want) & want : 0;
		*cursor = (word + 1) * WORD_BITS;
		if (*ret + (uint32_t)__builtin_popcountll(taken) == most)
			*cursor = word * WORD_BITS + 64 - (uint64_t)__builtin_clzll(taken);
		while (taken) {
			uint64_t page = word * WORD_BITS + (uint64_t)__builtin_ctzll(taken);

			offsets[(*ret)++] = page * IAACTL_PAGE_BYTES;
			taken &= taken - 1;
		}
	}
	if (*cursor > memory->pages)
		*cursor = memory->pages;
}

int iaactl_memory_difference(const struct iaactl_memory *a, const struct iaactl_memory *b,
			     uint64_t *ret)
{
	uint64_t page;

	if (a->size != b->size)
		return -EINVAL;
	for (page = 0; page < a->pages; page++)
		if (memcmp(a->base + page * IAACTL_PAGE_BYTES, b->base + page * IAACTL_PAGE_BYTES,
			   IAACTL_PAGE_BYTES))
			break;
	*ret = page;
	return 0;
}
