"""The 64-byte completion record: status, error code, results, and what each code means.

Source: IAA architecture, completion record; numbers as libraries act on them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

COMPLETION_BYTES = 64
STATUS_MASK = 0x3F
FAULT_ON_WRITE = 0x80

# 0 status, 1 error, 2 fault info, 4 bytes completed, 8 fault address, 16 invalid flags,
# 24 output size, 28 output bits, 30 XOR, 32 CRC, 36 minimum or first, 40 maximum or last, 44 sum.
_LAYOUT = struct.Struct("<BBBxIQQIBxHIIII16x")
assert _LAYOUT.size == COMPLETION_BYTES


class Status(IntEnum):
    """Completion status without the write bit of page faults."""

    PENDING = 0x00
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
    PRIVILEGE = 0x1D
    TRAFFIC_CLASS = 0x1E
    READBACK_TRANSLATION = 0x1F
    HARDWARE_ERROR = 0x20
    HARDWARE_TIMEOUT = 0x21
    TRANSLATION_ERROR = 0x22
    PAGE_REQUEST_TIMEOUT = 0x23
    WATCHDOG = 0x24
    BAD_OPERATION_FLAGS = 0x30
    BAD_FILTER_FLAGS = 0x31
    BAD_INPUT_SIZE = 0x32
    BAD_ELEMENT_COUNT = 0x33
    BAD_WIDTH = 0x34
    BAD_INVERT = 0x35

    @property
    def sentence(self) -> str:
        """The cause."""
        return _STATUS[self]


_STATUS = {
    Status.PENDING: "The device has not written the record yet.",
    Status.SUCCESS: "The operation succeeded.",
    Status.PAGE_FAULT: "A page was not present, and block_on_fault was not asked for.",
    Status.PAGE_FAULT_UNRESOLVED: "A page was not present, and the system could not provide it.",
    Status.ANALYTICS_ERROR: "The data or the AECS is wrong; the error code says how.",
    Status.OUTPUT_OVERFLOW: "The destination is full; the operation can be continued.",
    Status.BAD_OPCODE: "The device or the work queue does not allow this operation.",
    Status.BAD_FLAGS: "A flag is not valid for this operation or this work queue.",
    Status.RESERVED_FIELD: "A reserved field of the descriptor is not zero.",
    Status.BAD_SIZE: "A size is zero, or more than max_transfer_size of the work queue.",
    Status.OVERLAP: "Buffers overlap that must not.",
    Status.BAD_INTERRUPT_HANDLE: "The interrupt handle is not valid.",
    Status.COMPLETION_TRANSLATION: "The address of the completion record cannot be written.",
    Status.COMPLETION_ALIGNMENT: "The completion record is not aligned to 64 bytes.",
    Status.AECS_ALIGNMENT: "Address or size of the AECS is not a multiple of 32 bytes.",
    Status.PRIVILEGE: "The descriptor asks for a privilege its submitter lacks.",
    Status.TRAFFIC_CLASS: "The traffic class is not configured.",
    Status.READBACK_TRANSLATION: "The destination could not be read back.",
    Status.HARDWARE_ERROR: "The device reports a hardware error.",
    Status.HARDWARE_TIMEOUT: "The device reports a timeout inside the hardware.",
    Status.TRANSLATION_ERROR: "The IOMMU reported an error when translating an address.",
    Status.PAGE_REQUEST_TIMEOUT: "The system did not answer a page request in time.",
    Status.WATCHDOG: "The operation took longer than the watchdog of the device allows.",
    Status.BAD_OPERATION_FLAGS: "The compress, decompress or CRC flags are not valid.",
    Status.BAD_FILTER_FLAGS: "The filter flags are not valid.",
    Status.BAD_INPUT_SIZE: "The operation does not accept this size of input.",
    Status.BAD_ELEMENT_COUNT: "The number of input elements is zero.",
    Status.BAD_WIDTH: "The operation does not accept this element width.",
    Status.BAD_INVERT: "The output was to be inverted but is no bit vector.",
}


class AnalyticsError(IntEnum):
    """Error code that goes with ANALYTICS_ERROR."""

    NONE = 0
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
    MATCH_LENGTH = 16
    MATCH_DISTANCE = 17
    REFERENCE_BEFORE_START = 18
    NO_PROGRESS = 19
    PARQUET_RLE = 20
    OUTPUT_WIDTH = 21
    AECS = 22
    SOURCE1_TOO_SMALL = 23
    SOURCE2_TOO_SMALL = 24
    OUTPUT_TOO_SMALL = 25
    DISTANCE_SPANS_MINI_BLOCKS = 26
    LENGTH_SPANS_MINI_BLOCKS = 27
    MINI_BLOCK_SIZE = 28
    VERIFICATION = 29
    INVALID_HUFFMAN_CODE = 30
    PARQUET_RLE_WIDTH = 31
    TOO_FEW_ELEMENTS = 32
    RUN_LENGTH_COUNT = 33
    ZERO_DECOMPRESS_HEADER = 34
    TOO_MANY_LL_CODES = 35
    TOO_MANY_D_CODES = 36

    @property
    def sentence(self) -> str:
        """The cause."""
        return _ERRORS[self]


_ERRORS = {
    AnalyticsError.NONE: "No error.",
    AnalyticsError.HEADER_TOO_BIG: "The input ends inside a block header too long to be kept.",
    AnalyticsError.UNDEFINED_CL_CODE: "A block header uses a code-length code it does not define.",
    AnalyticsError.FIRST_LL_IS_REPEAT: "The literal/length code lengths begin with a repetition.",
    AnalyticsError.FIRST_D_IS_REPEAT: "The distance code lengths begin with a repetition.",
    AnalyticsError.NO_LL_CODE: "A block header defines no literal/length code.",
    AnalyticsError.WRONG_NUMBER_OF_LL_CODES: "The number of literal/length codes does not match.",
    AnalyticsError.WRONG_NUMBER_OF_D_CODES: "The number of distance codes does not match.",
    AnalyticsError.BAD_CL_LENGTHS: "More code-length codes of one length than that length allows.",
    AnalyticsError.BAD_LL_LENGTHS: "More literal/length codes of one length than it allows.",
    AnalyticsError.BAD_D_LENGTHS: "More distance codes of one length than that length allows.",
    AnalyticsError.BAD_LL_CODE: "The stream holds an undefined literal/length code.",
    AnalyticsError.BAD_D_CODE: "The stream holds an undefined distance code.",
    AnalyticsError.BLOCK_TYPE: "A block has the reserved type 3.",
    AnalyticsError.STORED_LENGTH: "A stored block's length and its complement disagree.",
    AnalyticsError.EOB_MISSING: "The input ends without the end-of-block that was asked for.",
    AnalyticsError.MATCH_LENGTH: "A match has a length outside 3 to 258.",
    AnalyticsError.MATCH_DISTANCE: "A match reaches back farther than the 4096 bytes of history.",
    AnalyticsError.REFERENCE_BEFORE_START: "A match refers to data before the start.",
    AnalyticsError.NO_PROGRESS: "The engine had input but made no progress.",
    AnalyticsError.PARQUET_RLE: "A record of the Parquet RLE input is wrong or cut short.",
    AnalyticsError.OUTPUT_WIDTH: "A value does not fit the output width.",
    AnalyticsError.AECS: "The AECS holds an invalid value.",
    AnalyticsError.SOURCE1_TOO_SMALL: "Source 1 holds fewer elements than stated.",
    AnalyticsError.SOURCE2_TOO_SMALL: "Source 2 holds fewer elements than needed.",
    AnalyticsError.OUTPUT_TOO_SMALL: "The output does not fit the destination.",
    AnalyticsError.DISTANCE_SPANS_MINI_BLOCKS: "A match refers to another mini-block.",
    AnalyticsError.LENGTH_SPANS_MINI_BLOCKS: "A match extends into the next mini-block.",
    AnalyticsError.MINI_BLOCK_SIZE: "A mini-block has the wrong size.",
    AnalyticsError.VERIFICATION: "The device found its own output to be wrong.",
    AnalyticsError.INVALID_HUFFMAN_CODE: "The AECS has no code for a symbol of the data.",
    AnalyticsError.PARQUET_RLE_WIDTH: "The Parquet RLE input states a width above 32 bits.",
    AnalyticsError.TOO_FEW_ELEMENTS: "The decoded input ends before the stated number of elements.",
    AnalyticsError.RUN_LENGTH_COUNT: "An RLE burst count falls, or one run is over 65536 long.",
    AnalyticsError.ZERO_DECOMPRESS_HEADER: "The input ends inside a zero-compress header.",
    AnalyticsError.TOO_MANY_LL_CODES: "A block header announces more than 286 length codes.",
    AnalyticsError.TOO_MANY_D_CODES: "A block header announces more than 30 distance codes.",
}


@dataclass(frozen=True, slots=True)
class CompletionRecord:
    """A completion record. Sizes in bytes; `minimum`, `maximum`, `total` are the aggregates.

    For bit-vector output the aggregates are index of the first one, of the last one, and the
    number of ones.
    """

    status: int
    error: int
    fault_info: int
    bytes_completed: int
    fault_address: int
    invalid_flags: int
    output_size: int
    output_bits: int
    xor: int
    crc: int
    minimum: int
    maximum: int
    total: int

    @classmethod
    def parse(cls, data: bytes) -> CompletionRecord:
        """Fields of 64 bytes; raises ValueError for any other length."""
        if len(data) != COMPLETION_BYTES:
            raise ValueError(f"a completion record has {COMPLETION_BYTES} bytes, not {len(data)}")
        return cls(*_LAYOUT.unpack(data))

    def pack(self) -> bytes:
        """The 64 bytes."""
        return _LAYOUT.pack(
            self.status,
            self.error,
            self.fault_info,
            self.bytes_completed,
            self.fault_address,
            self.invalid_flags,
            self.output_size,
            self.output_bits,
            self.xor,
            self.crc,
            self.minimum,
            self.maximum,
            self.total,
        )

    @property
    def crc64(self) -> int:
        """The result of crc64: 8 bytes at 40, in the place of the last two aggregates."""
        return self.maximum | self.total << 32

    @property
    def code(self) -> int:
        """Status without the write bit of page faults."""
        return self.status & STATUS_MASK

    @property
    def done(self) -> bool:
        """Whether the device has written the record."""
        return self.status != 0

    @property
    def ok(self) -> bool:
        """Whether the operation succeeded."""
        return self.code == Status.SUCCESS

    @property
    def page_fault(self) -> bool:
        """Whether touching `fault_address` and submitting again may help."""
        return self.code in (Status.PAGE_FAULT, Status.PAGE_FAULT_UNRESOLVED)

    @property
    def fault_on_write(self) -> bool:
        """Whether the fault was met when writing."""
        return bool(self.status & FAULT_ON_WRITE)

    def explain(self) -> str:
        """What happened and why, in a sentence or two, with the numbers."""
        try:
            status = Status(self.code)
        except ValueError:
            return f"The device returned status {self.status:#04x}, which is not documented."
        text = status.sentence
        if status is Status.ANALYTICS_ERROR:
            try:
                text = AnalyticsError(self.error).sentence
            except ValueError:
                text = f"The device returned error code {self.error}, which is not documented."
            return f"{text} (status {self.status:#04x}, error code {self.error:#04x})"
        if self.page_fault:
            access = "writing" if self.fault_on_write else "reading"
            where = "" if self.fault_info & 1 else f" {access} {self.fault_address:#x}"
            return f"{text} (status {self.status:#04x}{where})"
        if status is Status.BAD_FLAGS and self.invalid_flags:
            return f"{text} (status {self.status:#04x}, invalid flags {self.invalid_flags:#x})"
        return f"{text} (status {self.status:#04x})"
