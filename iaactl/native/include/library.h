/* SPDX-License-Identifier: Apache-2.0 */
/* Compression libraries, opened at run time: none of them is needed to install this package. */
#ifndef IAACTL_LIBRARY_H
#define IAACTL_LIBRARY_H

#include <isa-l/igzip_lib.h>
#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include "qpl_abi.h"

enum iaactl_library_id {
	IAACTL_LIBRARY_ISAL = 0,
	IAACTL_LIBRARY_LIBDEFLATE = 1,
	IAACTL_LIBRARY_LIBQPL = 2,
	IAACTL_LIBRARY_ZLIB = 3,
	IAACTL_LIBRARY_ZSTD = 4,
	IAACTL_LIBRARIES = 5
};

struct iaactl_library {
	char name[16];
	char soname[24];
	char version[32];  /* empty where the library cannot tell and its file name does not */
	char path[256];    /* of the file, links resolved; empty when it is not there */
	char why_not[256]; /* empty when it is there */
};

/* Open it, if that has not been done, and describe it. -EINVAL for an unknown id. A library that
 * is not there is no error: `why_not` says so. */
int iaactl_library_describe(int id, struct iaactl_library *ret);

#define IAACTL_ISAL_SYMBOLS(X)        \
	X(isal_deflate_init)          \
	X(isal_deflate_reset)         \
	X(isal_deflate_set_hufftables) \
	X(isal_deflate)               \
	X(isal_inflate_init)          \
	X(isal_inflate_reset)         \
	X(isal_inflate_stateless)
#define IAACTL_LIBDEFLATE_SYMBOLS(X)       \
	X(libdeflate_alloc_compressor)     \
	X(libdeflate_free_compressor)      \
	X(libdeflate_deflate_compress)     \
	X(libdeflate_alloc_decompressor)   \
	X(libdeflate_free_decompressor)    \
	X(libdeflate_deflate_decompress_ex)
#define IAACTL_ZLIB_SYMBOLS(X) \
	X(deflateInit2_)       \
	X(deflateReset)        \
	X(deflate)             \
	X(deflateBound)        \
	X(deflateEnd)          \
	X(inflateInit2_)       \
	X(inflateReset)        \
	X(inflate)             \
	X(inflateEnd)          \
	X(zlibVersion)
#define IAACTL_ZSTD_SYMBOLS(X)    \
	X(ZSTD_createCStream)     \
	X(ZSTD_freeCStream)       \
	X(ZSTD_CCtx_setParameter) \
	X(ZSTD_compressStream2)   \
	X(ZSTD_createDStream)     \
	X(ZSTD_freeDStream)       \
	X(ZSTD_initDStream)       \
	X(ZSTD_DCtx_setParameter) \
	X(ZSTD_decompressStream)  \
	X(ZSTD_isError)           \
	X(ZSTD_versionString)
#define IAACTL_LIBQPL_SYMBOLS(X) \
	X(qpl_get_job_size)      \
	X(qpl_init_job)          \
	X(qpl_execute_job)       \
	X(qpl_fini_job)          \
	X(qpl_get_library_version)

#define IAACTL_MEMBER(symbol) __typeof__(&symbol) symbol;

struct iaactl_isal {
	IAACTL_ISAL_SYMBOLS(IAACTL_MEMBER)
};
struct iaactl_libdeflate {
	IAACTL_LIBDEFLATE_SYMBOLS(IAACTL_MEMBER)
};
struct iaactl_zlib {
	IAACTL_ZLIB_SYMBOLS(IAACTL_MEMBER)
};
struct iaactl_zstd {
	IAACTL_ZSTD_SYMBOLS(IAACTL_MEMBER)
};
struct iaactl_libqpl {
	IAACTL_LIBQPL_SYMBOLS(IAACTL_MEMBER)
};

/* The functions of a library, NULL when it is not there or lacks one of them. Never unloaded. */
const struct iaactl_isal *iaactl_isal(void);
const struct iaactl_libdeflate *iaactl_libdeflate(void);
const struct iaactl_zlib *iaactl_zlib(void);
const struct iaactl_zstd *iaactl_zstd(void);
const struct iaactl_libqpl *iaactl_libqpl(void);

#endif
