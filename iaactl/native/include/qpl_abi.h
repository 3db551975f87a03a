/* SPDX-License-Identifier: Apache-2.0 */
/* The part of libqpl's interface that its software path needs, declared by us: its header is only
 * in Debian sid, so that building must not ask for it. tests/sim checks it against that header. */
#ifndef IAACTL_QPL_ABI_H
#define IAACTL_QPL_ABI_H

#include <stdint.h>

enum { QPL_PATH_SOFTWARE = 2 };
enum { QPL_OPERATION_DECOMPRESS = 0, QPL_OPERATION_COMPRESS = 1 };
enum { QPL_JOB_FIRST = 0x1, QPL_JOB_LAST = 0x2, QPL_JOB_OMIT_VERIFY = 0x4000 };
enum { QPL_LEVEL_DEFAULT = 1 };

struct iaactl_qpl_job {
	uint8_t *next_in;
	uint32_t available_in;
	uint32_t total_in;
	uint8_t *next_out;
	uint32_t available_out;
	uint32_t total_out;
	int32_t operation;
	uint32_t flags;
	uint32_t crc;
	uint32_t xor_checksum;
	uint32_t last_bit_offset;
	int32_t level;
	int32_t statistics_mode;
	void *huffman_table;
	void *dictionary;
	int32_t mini_block_size;
	uint64_t *index_table;
	uint32_t index_room;
	uint32_t index_count;
	uint8_t decompress_end;
	uint8_t ignore_start_bits;
	uint8_t ignore_end_bits;
	uint64_t polynomial;
	uint64_t crc64;
	uint8_t *next_source2;
	uint32_t available_source2;
	uint32_t source1_width;
	uint32_t source2_width;
	uint32_t elements;
	int32_t output_format;
	uint32_t low;
	uint32_t high;
	uint32_t drop_initial_bytes;
	uint32_t initial_output_index;
	int32_t parser;
	uint32_t first;
	uint32_t last;
	uint32_t sum;
	int32_t numa;
	uint8_t *internal[5];
	int32_t path;
};

int qpl_get_job_size(int path, uint32_t *size);
int qpl_init_job(int path, struct iaactl_qpl_job *job);
int qpl_execute_job(struct iaactl_qpl_job *job);
int qpl_fini_job(struct iaactl_qpl_job *job);
const char *qpl_get_library_version(void);

#endif
