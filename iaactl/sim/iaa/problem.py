"""How an operation ends when it does not succeed, and the numbers for it."""

from __future__ import annotations

SUCCESS = 0x01
PAGE_FAULT = 0x03
PAGE_FAULT_UNRESOLVED = 0x04
ANALYTICS_ERROR = 0x0A
OUTPUT_OVERFLOW = 0x0B
BAD_OPCODE = 0x10
BAD_FLAGS = 0x11
RESERVED_FIELD = 0x12
BAD_SIZE = 0x13
OVERLAP = 0x16
BAD_INTERRUPT_HANDLE = 0x19
COMPLETION_TRANSLATION = 0x1A
COMPLETION_ALIGNMENT = 0x1B
AECS_ALIGNMENT = 0x1C
BAD_OPERATION_FLAGS = 0x30
BAD_FILTER_FLAGS = 0x31
BAD_ELEMENT_COUNT = 0x33
BAD_WIDTH = 0x34
BAD_INVERT = 0x35
WRITE_FAULT = 0x80

# Error codes that go with ANALYTICS_ERROR.
HEADER_TOO_BIG = 1
UNDEFINED_CL_CODE = 2
FIRST_LL_IS_REPEAT = 3
FIRST_D_IS_REPEAT = 4
NO_LL_CODE = 5
WRONG_NUMBER_OF_LL_CODES = 6
WRONG_NUMBER_OF_D_CODES = 7
BAD_CL_LENGTHS = 8
BAD_LL_LENGTHS = 9
BAD_D_LENGTHS = 10
BAD_LL_CODE = 11
BAD_D_CODE = 12
BLOCK_TYPE = 13
STORED_LENGTH = 14
EOB_MISSING = 15
MATCH_DISTANCE = 17
REFERENCE_BEFORE_START = 18
PARQUET_RLE = 20
OUTPUT_WIDTH = 21
BAD_AECS = 22
SOURCE1_TOO_SMALL = 23
SOURCE2_TOO_SMALL = 24
OUTPUT_TOO_SMALL = 25
DISTANCE_SPANS_MINI_BLOCKS = 26
LENGTH_SPANS_MINI_BLOCKS = 27
MINI_BLOCK_SIZE = 28
INVALID_HUFFMAN_CODE = 30
PARQUET_RLE_WIDTH = 31
TOO_FEW_ELEMENTS = 32
RUN_LENGTH_COUNT = 33
ZERO_DECOMPRESS_HEADER = 34
TOO_MANY_LL_CODES = 35
TOO_MANY_D_CODES = 36


class Problem(Exception):
    """A descriptor the device refuses: a status, and the flags that are wrong where it says so."""

    def __init__(self, status: int, *, invalid_flags: int = 0) -> None:
        super().__init__(f"status {status:#04x}")
        self.status = status
        self.invalid_flags = invalid_flags


class AnalyticsProblem(Problem):
    """Data that cannot be processed: the error code, and how much input had been consumed."""

    def __init__(self, error: int, *, consumed: int = 0) -> None:
        super().__init__(ANALYTICS_ERROR)
        self.error = error
        self.consumed = consumed
