/* SPDX-License-Identifier: Apache-2.0 */
/* C interface of the native core. Functions return 0 or -errno; results go through `ret`. */
#ifndef IAACTL_H
#define IAACTL_H

#include <stdint.h>

/* Instructions that the ways to submit and to wait need, as the CPU reports them (CPUID). */
enum iaactl_cpu_feature {
	IAACTL_CPU_MOVDIR64B = 1 << 0, /* CPUID.7.0:ECX[28] */
	IAACTL_CPU_ENQCMD = 1 << 1,    /* CPUID.7.0:ECX[29]; the kernel may still refuse a PASID */
	IAACTL_CPU_WAITPKG = 1 << 2,   /* CPUID.7.0:ECX[5]: umwait, tpause */
};

/* Set of enum iaactl_cpu_feature bits; -ENOSYS on a CPU without CPUID leaf 7. */
int iaactl_cpu_features(uint32_t *ret);

#endif
