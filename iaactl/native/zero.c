/* SPDX-License-Identifier: Apache-2.0 */
/* Zero pages: an early look at three words, then whole vectors, eight cache lines at a time. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "wire.h"
#include "zero.h"

/* Most pages with content show it here, before a vector is loaded. */
static inline bool shows_content(const uint8_t *page)
{
	uint64_t first, middle, last;

	memcpy(&first, page, 8);
	memcpy(&middle, page + IAACTL_PAGE_BYTES / 2, 8);
	memcpy(&last, page + IAACTL_PAGE_BYTES - 8, 8);
	return first | middle | last;
}

#if defined(__x86_64__)
#include <immintrin.h>

static bool zero_sse2(const uint8_t *page)
{
	const __m128i *at = (const __m128i *)(const void *)page;
	const __m128i *end = at + IAACTL_PAGE_BYTES / sizeof(*at);

	if (shows_content(page))
		return false;
	for (; at < end; at += 8) {
		__m128i a = _mm_or_si128(at[0], at[1]), b = _mm_or_si128(at[2], at[3]);
		__m128i c = _mm_or_si128(at[4], at[5]), d = _mm_or_si128(at[6], at[7]);

		a = _mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d));
		if (_mm_movemask_epi8(_mm_cmpeq_epi8(a, _mm_setzero_si128())) != 0xffff)
			return false;
	}
	return true;
}

__attribute__((target("avx2"))) static bool zero_avx2(const uint8_t *page)
{
	const __m256i *at = (const __m256i *)(const void *)page;
	const __m256i *end = at + IAACTL_PAGE_BYTES / sizeof(*at);

	if (shows_content(page))
		return false;
	for (; at < end; at += 8) {
		__m256i a = _mm256_or_si256(at[0], at[1]), b = _mm256_or_si256(at[2], at[3]);
		__m256i c = _mm256_or_si256(at[4], at[5]), d = _mm256_or_si256(at[6], at[7]);

		a = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
		if (!_mm256_testz_si256(a, a))
			return false;
	}
	return true;
}

__attribute__((target("avx512f"))) static bool zero_avx512(const uint8_t *page)
{
	const __m512i *at = (const __m512i *)(const void *)page;
	const __m512i *end = at + IAACTL_PAGE_BYTES / sizeof(*at);

	if (shows_content(page))
		return false;
	for (; at < end; at += 8) {
		__m512i a = _mm512_or_si512(at[0], at[1]), b = _mm512_or_si512(at[2], at[3]);
		__m512i c = _mm512_or_si512(at[4], at[5]), d = _mm512_or_si512(at[6], at[7]);

		a = _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d));
		if (_mm512_test_epi64_mask(a, a))
			return false;
	}
	return true;
}

static bool cpu_has(int variant)
{
	__builtin_cpu_init();
	if (variant == IAACTL_ZERO_AVX512)
		return __builtin_cpu_supports("avx512f");
	if (variant == IAACTL_ZERO_AVX2)
		return __builtin_cpu_supports("avx2");
	return variant == IAACTL_ZERO_SSE2;
}
#else
static bool zero_sse2(const uint8_t *page)
{
	uint64_t words[8];
	size_t at;

	if (shows_content(page))
		return false;
	for (at = 0; at < IAACTL_PAGE_BYTES; at += sizeof(words)) {
		memcpy(words, page + at, sizeof(words));
		if (words[0] | words[1] | words[2] | words[3] | words[4] | words[5] | words[6] |
		    words[7])
			return false;
	}
	return true;
}

#define zero_avx2 zero_sse2
#define zero_avx512 zero_sse2

static bool cpu_has(int variant)
{
	return variant == IAACTL_ZERO_SSE2;
}
#endif

int iaactl_zero_choose(int variant, int *chosen, iaactl_zero_test *ret)
{
	static const iaactl_zero_test tests[] = { NULL, zero_sse2, zero_avx2, zero_avx512 };

	if (variant < IAACTL_ZERO_BEST || variant > IAACTL_ZERO_AVX512)
		return -EINVAL;
	if (variant == IAACTL_ZERO_BEST)
		for (variant = IAACTL_ZERO_AVX512; !cpu_has(variant);)
			variant--;
	if (!cpu_has(variant))
		return -ENOSYS;
	if (chosen)
		*chosen = variant;
	*ret = tests[variant];
	return 0;
}

int iaactl_zero_scan(const uint8_t *memory, uint64_t pages, int variant, uint64_t *cpu_ns,
		     int *chosen, uint64_t *ret)
{
	iaactl_zero_test is_zero;
	uint64_t before, i;
	int err = iaactl_zero_choose(variant, chosen, &is_zero);

	if (err)
		return err;
	if ((uintptr_t)memory % 64)
		return -EINVAL;
	*ret = 0;
	before = iaactl_thread_cpu_ns();
	for (i = 0; i < pages; i++)
		*ret += is_zero(memory + i * IAACTL_PAGE_BYTES);
	*cpu_ns = iaactl_thread_cpu_ns() - before;
	return 0;
}
