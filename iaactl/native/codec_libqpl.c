/* SPDX-License-Identifier: Apache-2.0 */
/* libqpl's software path, as QEMU uses it without a device: one job, reused for every page.
 * Pages are copied first, which QEMU does not do: the guest may write while the library looks twice,
 * and what comes out then does not have to be a stream of 4096 bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "library.h"
#include "wire.h"

struct libqpl_codec {
	struct iaactl_codec base;
	const struct iaactl_libqpl *libqpl;
	struct iaactl_qpl_job *job;
	uint8_t copy[IAACTL_PAGE_BYTES];
};

static int run_job(struct libqpl_codec *codec, int operation, uint32_t flags, const uint8_t *in,
		   uint32_t in_bytes, uint8_t *out, uint32_t out_bytes)
{
	struct iaactl_qpl_job *job = codec->job;

	job->operation = operation;
	job->flags = QPL_JOB_FIRST | QPL_JOB_LAST | flags;
	job->level = QPL_LEVEL_DEFAULT;
	job->next_in = (uint8_t *)(uintptr_t)in;
	job->available_in = in_bytes;
	job->next_out = out;
	job->available_out = out_bytes;
	return codec->libqpl->qpl_execute_job(job);
}

static int compress_pages(struct iaactl_codec *base, struct iaactl_page *pages, uint32_t count,
			  uint32_t *ret)
{
	struct libqpl_codec *codec = (struct libqpl_codec *)base;
	uint32_t i;

	(void)ret;
	for (i = 0; i < count; i++) {
		int status;

		memcpy(codec->copy, pages[i].in, IAACTL_PAGE_BYTES);
		status = run_job(codec, QPL_OPERATION_COMPRESS, QPL_JOB_OMIT_VERIFY, codec->copy,
				 IAACTL_PAGE_BYTES, pages[i].out, IAACTL_PAGE_ROOM);
		pages[i].bytes = status ? IAACTL_PAGE_BYTES : codec->job->total_out;
		pages[i].path = status ? IAACTL_PATH_RAW : IAACTL_PATH_LIBQPL;
	}
	return 0;
}

static int decompress_pages(struct iaactl_codec *base, struct iaactl_page *pages, uint32_t count,
			    uint32_t *ret)
{
	struct libqpl_codec *codec = (struct libqpl_codec *)base;
	uint32_t i;

	for (i = 0; i < count; i++) {
		int status = run_job(codec, QPL_OPERATION_DECOMPRESS, 0, pages[i].in,
				     pages[i].bytes, pages[i].out, IAACTL_PAGE_BYTES);

		/* Truncated streams end with success and less output. */
		if (status || codec->job->total_out != IAACTL_PAGE_BYTES) {
			*ret = i;
			return -EBADMSG;
		}
		pages[i].path = IAACTL_PATH_LIBQPL;
	}
	return 0;
}

static void destroy(struct iaactl_codec *base)
{
	struct libqpl_codec *codec = (struct libqpl_codec *)base;

	codec->libqpl->qpl_fini_job(codec->job);
	free(codec->job);
	free(codec);
}

int iaactl_codec_libqpl_create(bool decompress, struct iaactl_codec **ret)
{
	const struct iaactl_libqpl *libqpl = iaactl_libqpl();
	struct libqpl_codec *codec;
	uint32_t size;

	if (!libqpl || libqpl->qpl_get_job_size(QPL_PATH_SOFTWARE, &size))
		return -ENOSYS;
	if (size < sizeof(struct iaactl_qpl_job))
		return -ENOSYS;
	codec = calloc(1, sizeof(*codec));
	if (!codec)
		return -ENOMEM;
	codec->job = calloc(1, size);
	if (!codec->job || libqpl->qpl_init_job(QPL_PATH_SOFTWARE, codec->job)) {
		free(codec->job);
		free(codec);
		return -ENOMEM;
	}
	codec->base.run = decompress ? decompress_pages : compress_pages;
	codec->base.destroy = destroy;
	codec->libqpl = libqpl;
	*ret = &codec->base;
	return 0;
}
