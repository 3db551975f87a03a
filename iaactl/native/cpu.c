/* SPDX-License-Identifier: Apache-2.0 */
/* What this CPU can do, by CPUID. Source: Intel SDM vol. 2A, CPUID leaf 7. */
#include <errno.h>

#include "iaactl.h"

#if defined(__x86_64__)
#include <cpuid.h>

int iaactl_cpu_features(uint32_t *ret)
{
	unsigned int eax, ebx, ecx, edx;

	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
		return -ENOSYS;
	*ret = (ecx >> 28 & 1 ? IAACTL_CPU_MOVDIR64B : 0) |
	       (ecx >> 29 & 1 ? IAACTL_CPU_ENQCMD : 0) |
	       (ecx >> 5 & 1 ? IAACTL_CPU_WAITPKG : 0);
	return 0;
}
#else
int iaactl_cpu_features(uint32_t *ret)
{
	(void)ret;
	return -ENOSYS;
}
#endif
