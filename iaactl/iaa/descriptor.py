"""The 64-byte descriptor: fields, flags, packing, and one constructor for each kind of work.

Sizes are bytes, addresses virtual. Source: IAA architecture, descriptor format; the offsets are
repeated in `_LAYOUT`. Constructors set the flags that software needs for a polled completion.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from iaactl.iaa.opcode import Opcode

DESCRIPTOR_BYTES = 64
COMPLETION_ALIGNMENT = 64
AECS_ALIGNMENT = 32

# 0 PASID and privilege, 4 flags and opcode, 8 completion, 16 source 1, 24 destination,
# 32 source 1 size, 36 interrupt handle, 38 operation flags, 40 source 2, 48 destination size,
# 52 source 2 size, 56 filter flags, 60 number of elements.
_LAYOUT = struct.Struct("<IIQQQIHHQIIII")
assert _LAYOUT.size == DESCRIPTOR_BYTES


class Flags(IntFlag):
    """Bits 0 to 23 of the flags, common to all operations."""

    FENCE = 1 << 0
    BLOCK_ON_FAULT = 1 << 1
    COMPLETION_ADDRESS_VALID = 1 << 2
    REQUEST_COMPLETION = 1 << 3
    REQUEST_INTERRUPT = 1 << 4
    COMPLETION_STEERING = 1 << 5
    CACHE_CONTROL = 1 << 8
    STRICT_ORDERING = 1 << 13
    DESTINATION_READBACK = 1 << 14
    DESTINATION_STEERING = 1 << 15
    READ_AECS = 1 << 16
    READ_SOURCE2 = 2 << 16
    WRITE_AECS = 1 << 18
    WRITE_AECS_ON_OVERFLOW = 2 << 18
    SOURCE2_STEERING = 1 << 20
    CRC32C = 1 << 21
    AECS_TOGGLE = 1 << 22


POLLED = Flags.COMPLETION_ADDRESS_VALID | Flags.REQUEST_COMPLETION


class CompressFlags(IntFlag):
    """Operation flags of compress. `END_*` says what follows the data."""

    STATISTICS = 1 << 0
    FLUSH = 1 << 1
    END_EOB = 1 << 2
    END_EOB_STORED = 2 << 2
    END_EOB_FINAL_STORED = 3 << 2
    LITERALS_ONLY = 1 << 4
    BIG_ENDIAN = 1 << 5


class DecompressFlags(IntFlag):
    """Operation flags of decompress, and of a filter whose source 1 is a DEFLATE stream."""

    ENABLE = 1 << 0
    FLUSH = 1 << 1
    STOP_ON_EOB = 1 << 2
    CHECK_FOR_EOB = 1 << 3
    FINAL_EOB_ONLY = 1 << 4
    BIG_ENDIAN = 1 << 5
    SUPPRESS_OUTPUT = 1 << 9


WHOLE_STREAM = (
    DecompressFlags.ENABLE
    | DecompressFlags.FLUSH
    | DecompressFlags.STOP_ON_EOB
    | DecompressFlags.CHECK_FOR_EOB
    | DecompressFlags.FINAL_EOB_ONLY
)


class Crc64Flags(IntFlag):
    """Operation flags of crc64."""

    INVERT = 1 << 14
    MOST_SIGNIFICANT_FIRST = 1 << 15


NO_CRC64_FLAGS = Crc64Flags(0)


class Parser(IntEnum):
    """How the elements of source 1 are encoded."""

    LITTLE_ENDIAN = 0
    BIG_ENDIAN = 1
    PARQUET_RLE = 2


class OutputFormat(IntEnum):
    """Width of output elements; NOMINAL is the operation's own."""

    NOMINAL = 0
    BITS_8 = 1
    BITS_16 = 2
    BITS_32 = 3


@dataclass(frozen=True, slots=True)
class FilterFlags:
    """The 32-bit filter flags. Widths in bits, 1 to 32; PARQUET_RLE carries its own width."""

    parser: Parser = Parser.LITTLE_ENDIAN
    source1_width: int = 1
    source2_width: int = 1
    source2_big_endian: bool = False
    output: OutputFormat = OutputFormat.NOMINAL
    output_big_endian: bool = False
    invert: bool = False
    drop_low_bits: int = 0
    drop_high_bits: int = 0

    def pack(self) -> int:
        """The field as a number; raises ValueError when a width or count does not fit."""
        for width in (self.source1_width, self.source2_width):
            if not 1 <= width <= 32:
                raise ValueError(f"an element has 1 to 32 bits, not {width}")
        for dropped in (self.drop_low_bits, self.drop_high_bits):
            if not 0 <= dropped <= 31:
                raise ValueError(f"0 to 31 bits can be dropped, not {dropped}")
        width = 0 if self.parser is Parser.PARQUET_RLE else self.source1_width - 1
        return (
            self.parser
            | width << 2
            | (self.source2_width - 1) << 7
            | self.source2_big_endian << 12
            | self.output << 13
            | self.output_big_endian << 15
            | self.invert << 16
            | self.drop_low_bits << 17
            | self.drop_high_bits << 22
        )


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One descriptor. Every field is a number as the device sees it."""

    opcode: int
    flags: int = POLLED
    completion_address: int = 0
    source1: int = 0
    destination: int = 0
    source1_size: int = 0
    interrupt_handle: int = 0
    operation_flags: int = 0
    source2: int = 0
    max_destination_size: int = 0
    source2_size: int = 0
    filter_flags: int = 0
    elements: int = 0
    pasid: int = 0
    privileged: bool = False

    def pack(self) -> bytes:
        """The 64 bytes; raises ValueError when a field does not fit."""
        if self.flags >> 24 or self.opcode >> 8 or self.pasid >> 20:
            raise ValueError("flags have 24 bits, the opcode 8, the PASID 20")
        try:
            return _LAYOUT.pack(
                self.pasid | self.privileged << 31,
                self.flags | self.opcode << 24,
                self.completion_address,
                self.source1,
                self.destination,
                self.source1_size,
                self.interrupt_handle,
                self.operation_flags,
                self.source2,
                self.max_destination_size,
                self.source2_size,
                self.filter_flags,
                self.elements,
            )
        except struct.error as error:
            raise ValueError(f"a field does not fit the descriptor: {error}") from None

    @classmethod
    def unpack(cls, data: bytes) -> Descriptor:
        """Fields of 64 bytes; raises ValueError for any other length."""
        if len(data) != DESCRIPTOR_BYTES:
            raise ValueError(f"a descriptor has {DESCRIPTOR_BYTES} bytes, not {len(data)}")
        trusted, word, completion, source1, destination, size, handle, operation, *rest = (
            _LAYOUT.unpack(data)
        )
        source2, destination_size, source2_size, filter_flags, elements = rest
        return cls(
            opcode=word >> 24,
            flags=word & 0xFFFFFF,
            completion_address=completion,
            source1=source1,
            destination=destination,
            source1_size=size,
            interrupt_handle=handle,
            operation_flags=operation,
            source2=source2,
            max_destination_size=destination_size,
            source2_size=source2_size,
            filter_flags=filter_flags,
            elements=elements,
            pasid=trusted & 0xFFFFF,
            privileged=bool(trusted >> 31),
        )


def noop(completion: int) -> Descriptor:
    """Does nothing; `completion` is the address of a 64-byte aligned completion record."""
    return Descriptor(Opcode.NOOP, completion_address=completion)


def drain(completion: int) -> Descriptor:
    """Completes when everything submitted before has."""
    return Descriptor(Opcode.DRAIN, completion_address=completion)


def compress(
    completion: int,
    source: tuple[int, int],
    destination: tuple[int, int],
    aecs: tuple[int, int],
    *,
    end: CompressFlags = CompressFlags.END_EOB,
    literals_only: bool = False,
    block_on_fault: bool = False,
) -> Descriptor:
    """Compress with the header and the codes that the AECS holds. Pairs are address and size."""
    operation = CompressFlags.FLUSH | end
    if literals_only:
        operation |= CompressFlags.LITERALS_ONLY
    return Descriptor(
        Opcode.COMPRESS,
        POLLED | Flags.READ_AECS | _fault(block_on_fault),
        completion,
        source[0],
        destination[0],
        source[1],
        operation_flags=operation,
        source2=aecs[0],
        max_destination_size=destination[1],
        source2_size=aecs[1],
    )


def statistics(
    completion: int,
    source: tuple[int, int],
    histogram: tuple[int, int],
    *,
    block_on_fault: bool = False,
) -> Descriptor:
    """Count the symbols a compression would use into 1280 bytes at `histogram`."""
    return Descriptor(
        Opcode.COMPRESS,
        POLLED | _fault(block_on_fault),
        completion,
        source[0],
        histogram[0],
        source[1],
        operation_flags=CompressFlags.STATISTICS,
        max_destination_size=histogram[1],
    )


def decompress(
    completion: int,
    source: tuple[int, int],
    destination: tuple[int, int],
    *,
    options: DecompressFlags = WHOLE_STREAM,
    block_on_fault: bool = False,
) -> Descriptor:
    """Decompress a whole raw DEFLATE stream; no AECS, so it cannot be continued."""
    return Descriptor(
        Opcode.DECOMPRESS,
        POLLED | _fault(block_on_fault),
        completion,
        source[0],
        destination[0],
        source[1],
        operation_flags=options,
        max_destination_size=destination[1],
    )


def crc64(
    completion: int,
    source: tuple[int, int],
    polynomial: int,
    *,
    options: Crc64Flags = NO_CRC64_FLAGS,
    block_on_fault: bool = False,
) -> Descriptor:
    """CRC of a buffer. The polynomial, without its leading one, stands at the high end."""
    return Descriptor(
        Opcode.CRC64,
        POLLED | _fault(block_on_fault),
        completion,
        source[0],
        0,
        source[1],
        operation_flags=options,
        filter_flags=polynomial & 0xFFFFFFFF,
        elements=polynomial >> 32,
    )


def zero_transform(
    opcode: Opcode,
    completion: int,
    source: tuple[int, int],
    destination: tuple[int, int],
    *,
    block_on_fault: bool = False,
) -> Descriptor:
    """Zero-compress or zero-decompress, by the opcode."""
    if not Opcode.ZERO_DECOMPRESS_32 <= opcode <= Opcode.ZERO_COMPRESS_8:
        raise ValueError(f"{opcode.title} neither leaves zeros out nor puts them back")
    return Descriptor(
        opcode,
        POLLED | _fault(block_on_fault),
        completion,
        source[0],
        destination[0],
        source[1],
        max_destination_size=destination[1],
    )


def filtering(
    opcode: Opcode,
    completion: int,
    source: tuple[int, int],
    destination: tuple[int, int],
    elements: int,
    filter_flags: FilterFlags,
    *,
    aecs: tuple[int, int] | None = None,
    source2: tuple[int, int] | None = None,
    block_on_fault: bool = False,
) -> Descriptor:
    """A filter operation; scan and extract take their limits from an AECS, others a source 2."""
    if not Opcode.SCAN <= opcode <= Opcode.EXPAND:
        raise ValueError(f"{opcode.title} is no filter operation")
    if aecs and source2:
        raise ValueError("an AECS and a source 2 share one address field")
    flags = POLLED | _fault(block_on_fault)
    if aecs:
        flags |= Flags.READ_AECS
    elif source2:
        flags |= Flags.READ_SOURCE2
    address, size = aecs or source2 or (0, 0)
    return Descriptor(
        opcode,
        flags,
        completion,
        source[0],
        destination[0],
        source[1],
        source2=address,
        max_destination_size=destination[1],
        source2_size=size,
        filter_flags=filter_flags.pack(),
        elements=elements,
    )


def _fault(block_on_fault: bool) -> Flags:
    return Flags.BLOCK_ON_FAULT if block_on_fault else Flags(0)
