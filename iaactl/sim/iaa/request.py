"""A descriptor as the engine sees it: fields, flags, and the checks before anything is touched."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from iaactl.sim.iaa import problem
from iaactl.sim.iaa.aecs import ALIGNMENT
from iaactl.sim.iaa.limits import WqLimits
from iaactl.sim.iaa.problem import Problem

DESCRIPTOR_BYTES = 64
_FIELDS = struct.Struct("<IIQQQIHHQIIII")

NOOP, DRAIN, MEMMOVE = 0x00, 0x02, 0x03
DECOMPRESS, COMPRESS, CRC64 = 0x42, 0x43, 0x44
ZERO_DECOMPRESS = {0x48: 4, 0x49: 2, 0x4A: 1}
ZERO_COMPRESS = {0x4C: 4, 0x4D: 2, 0x4E: 1}
FILTERS = range(0x50, 0x57)
EXECUTED = frozenset(
    {NOOP, DRAIN, DECOMPRESS, COMPRESS, CRC64, *ZERO_DECOMPRESS, *ZERO_COMPRESS, *FILTERS}
)

BLOCK_ON_FAULT = 1 << 1
COMPLETION_VALID = 1 << 2
REQUEST_COMPLETION = 1 << 3
REQUEST_INTERRUPT = 1 << 4
_CRC32C = 1 << 21
_TOGGLE = 1 << 22
_SOURCE2_STEERING = 1 << 20
_READ_SOURCE2 = 3 << 16
_WRITE_SOURCE2 = 3 << 18
# Fence, block on fault, completion, interrupt, steering and cache bits, traffic classes, ordering.
_COMMON = 0b1111111100111111
_ANALYTICS = _READ_SOURCE2 | _WRITE_SOURCE2 | _SOURCE2_STEERING | _CRC32C | _TOGGLE

NO_SOURCE2, AECS, SECOND_INPUT = range(3)
NEVER, ALWAYS, ON_OVERFLOW = range(3)


@dataclass(frozen=True)
class Request:
    """The fields of a descriptor."""

    flags: int
    opcode: int
    completion: int
    source1: int
    destination: int
    source1_size: int
    handle: int
    operation_flags: int
    source2: int
    max_destination: int
    source2_size: int
    filter_flags: int
    elements: int

    @classmethod
    def parse(cls, data: bytes) -> Request:
        """From 64 bytes; the PASID is not looked at."""
        _, word, *rest = _FIELDS.unpack(data)
        return cls(word & 0xFFFFFF, word >> 24, *rest)

    @property
    def block_on_fault(self) -> bool:
        """Faults are to be resolved."""
        return bool(self.flags & BLOCK_ON_FAULT)

    @property
    def read_source2(self) -> int:
        """Not, as AECS, or as second input."""
        return self.flags >> 16 & 3

    @property
    def write_source2(self) -> int:
        """Never, at completion, or when the output overflows."""
        return self.flags >> 18 & 3

    @property
    def castagnoli(self) -> bool:
        """CRC-32C instead of the CRC of gzip."""
        return bool(self.flags & _CRC32C)

    @property
    def aecs_to_read(self) -> int:
        """Address of the AECS copy to read; the second lies one AECS size after the first."""
        return self.source2 + (self.source2_size if self.flags & _TOGGLE else 0)

    @property
    def aecs_to_write(self) -> int:
        """Address of the other copy."""
        return self.source2 + (0 if self.flags & _TOGGLE else self.source2_size)

    @property
    def polynomial(self) -> int:
        """The polynomial of crc64."""
        return self.filter_flags | self.elements << 32

    def check(self, limits: WqLimits) -> None:
        """All checks that need no data, in the order of the status codes."""
        if self.opcode not in EXECUTED or self.opcode not in limits.operations:
            raise Problem(problem.BAD_OPCODE)
        self._check_flags(limits)
        self._check_reserved(limits.iaa_cap)
        self._check_sizes(limits)
        self._check_overlap()
        if self.flags & REQUEST_INTERRUPT and self.handle >= limits.interrupt_handles:
            raise Problem(problem.BAD_INTERRUPT_HANDLE)
        aecs = self.read_source2 == AECS or self.write_source2 != NEVER
        if aecs and (self.source2 % ALIGNMENT or self.source2_size % ALIGNMENT):
            raise Problem(problem.AECS_ALIGNMENT)

    def _check_flags(self, limits: WqLimits) -> None:
        allowed = _COMMON
        if self.opcode in FILTERS or self.opcode in (DECOMPRESS, COMPRESS):
            allowed |= _ANALYTICS
        elif self.opcode in ZERO_COMPRESS or self.opcode in ZERO_DECOMPRESS:
            allowed |= _CRC32C
        if not limits.block_on_fault:
            allowed &= ~BLOCK_ON_FAULT
        invalid = self.flags & ~allowed
        if self.flags & REQUEST_COMPLETION and not self.flags & COMPLETION_VALID:
            invalid |= REQUEST_COMPLETION
        read = self.read_source2
        second = self.opcode in FILTERS and self.opcode in _SECOND_INPUT
        if read == 3 or (read == SECOND_INPUT and not second) or (second and read != SECOND_INPUT):
            invalid |= _READ_SOURCE2
        write = self.write_source2
        if write == 3 or (write and read == SECOND_INPUT):
            invalid |= _WRITE_SOURCE2
        if write == ON_OVERFLOW and self.opcode == COMPRESS:
            invalid |= _WRITE_SOURCE2
        if invalid:
            raise Problem(problem.BAD_FLAGS, invalid_flags=invalid)

    def _check_reserved(self, iaa_cap: int) -> None:
        # Without a requested interrupt the handle is ignored, whatever libraries leave there.
        reserved: list[int] = []
        if self.opcode in (NOOP, DRAIN):
            reserved += [self.source1, self.destination, self.source1_size, self.operation_flags]
            reserved += [self.source2, self.max_destination, self.source2_size]
            reserved += [self.filter_flags, self.elements]
        elif self.opcode == CRC64:
            reserved += [self.destination, self.source2, self.max_destination, self.source2_size]
        elif self.opcode == COMPRESS:
            # Version 2 has a second word of compress flags here.
            reserved += [self.elements] if iaa_cap else [self.filter_flags, self.elements]
        elif self.opcode not in FILTERS:
            reserved += [self.filter_flags, self.elements]
        if any(reserved):
            raise Problem(problem.RESERVED_FIELD)

    def _check_sizes(self, limits: WqLimits) -> None:
        if self.opcode in (NOOP, DRAIN):
            return
        most = limits.max_transfer_bytes
        # A decompression that goes on may have all its input in the AECS already.
        least = 0 if self.opcode == DECOMPRESS and self.read_source2 == AECS else 1
        if not least <= self.source1_size <= most:
            raise Problem(problem.BAD_SIZE)
        if self.max_destination > most or self.source2_size > most:
            raise Problem(problem.BAD_SIZE)
        if self.read_source2 and not self.source2_size:
            raise Problem(problem.BAD_SIZE)
        word = ZERO_COMPRESS.get(self.opcode) or ZERO_DECOMPRESS.get(self.opcode, 1)
        if self.source1_size % word:
            raise Problem(problem.BAD_SIZE)

    def _check_overlap(self) -> None:
        output = (self.destination, self.max_destination)
        if _overlap(output, (self.source1, self.source1_size)):
            raise Problem(problem.OVERLAP)
        if self.read_source2 and _overlap(output, (self.source2, self.source2_size)):
            raise Problem(problem.OVERLAP)


_SECOND_INPUT = frozenset({0x51, 0x53, 0x54, 0x56})


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] < other[0] + other[1] and other[0] < one[0] + one[1] and all((one[1], other[1]))
