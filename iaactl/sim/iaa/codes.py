"""Decoding tables from code lengths, and the header of a dynamic block."""

from __future__ import annotations

from collections.abc import Sequence

from iaactl.sim.iaa import problem
from iaactl.sim.iaa.checksum import reverse_bits
from iaactl.sim.iaa.problem import AnalyticsProblem
from iaactl.sim.iaa.symbols import CL_ORDER, D_CODES, LL_CODES

LONGEST_CODE = 15
FIXED_LL = bytes([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8)
FIXED_D = bytes([5] * 32)
_LONGEST_CL = 7


class Table:
    """Look-up by the next bits of the stream: symbol << 4 | length, zero where no code is."""

    def __init__(self, codes: Sequence[tuple[int, int, int]]) -> None:
        """`codes` are symbol, code (first bit highest) and length."""
        self.bits = max((length for _, _, length in codes), default=0)
        self.mask = (1 << self.bits) - 1
        self.entries = [0] * (1 << self.bits)
        for symbol, code, length in codes:
            first = reverse_bits(code, length)
            step = 1 << length
            repeats = 1 << (self.bits - length)
            self.entries[first::step] = [symbol << 4 | length] * repeats


def table_of(lengths: Sequence[int], error: int) -> Table:
    """The table of a canonical code; over-subscribed lengths raise AnalyticsProblem(error)."""
    counts = [0] * (LONGEST_CODE + 1)
    for length in lengths:
        counts[length] += 1
    counts[0] = 0
    following = [0] * (LONGEST_CODE + 2)
    code = 0
    for length in range(1, LONGEST_CODE + 1):
        code = (code + counts[length - 1]) << 1
        if code + counts[length] > 1 << length:
            raise AnalyticsProblem(error)
        following[length] = code
    codes = []
    for symbol, length in enumerate(lengths):
        if length:
            codes.append((symbol, following[length], length))
            following[length] += 1
    return Table(codes)


class Short(Exception):
    """The input ends before the item is complete."""


class _Reader:
    def __init__(self, bits: int, valid: int) -> None:
        self.bits = bits
        self.valid = valid
        self.used = 0

    def take(self, count: int) -> int:
        if self.used + count > self.valid:
            raise Short
        value = self.bits >> self.used & (1 << count) - 1
        self.used += count
        return value

    def symbol(self, table: Table) -> int:
        entry = table.entries[self.bits >> self.used & table.mask]
        length = entry & 15
        if not length:
            if self.valid - self.used < table.bits:
                raise Short
            raise AnalyticsProblem(problem.UNDEFINED_CL_CODE)
        if self.used + length > self.valid:
            raise Short
        self.used += length
        return entry >> 4


def dynamic_header(bits: int, valid: int) -> tuple[bytes, bytes, int]:
    """Code lengths of a dynamic block and the bits they took, after the block type.

    Raises Short when `valid` bits do not hold them, AnalyticsProblem when they are wrong.
    """
    reader = _Reader(bits, valid)
    hlit = reader.take(5) + 257
    hdist = reader.take(5) + 1
    hclen = reader.take(4) + 4
    if hlit > LL_CODES:
        raise AnalyticsProblem(problem.TOO_MANY_LL_CODES)
    if hdist > D_CODES:
        raise AnalyticsProblem(problem.TOO_MANY_D_CODES)
    cl_lengths = [0] * len(CL_ORDER)
    for symbol in CL_ORDER[:hclen]:
        cl_lengths[symbol] = reader.take(3)
    table = table_of(cl_lengths, problem.BAD_CL_LENGTHS)
    ll = _lengths(reader, table, hlit, problem.FIRST_LL_IS_REPEAT, problem.WRONG_NUMBER_OF_LL_CODES)
    if not any(ll):
        raise AnalyticsProblem(problem.NO_LL_CODE)
    d = _lengths(reader, table, hdist, problem.FIRST_D_IS_REPEAT, problem.WRONG_NUMBER_OF_D_CODES)
    return ll, d, reader.used


def _lengths(reader: _Reader, table: Table, number: int, repeat_error: int, error: int) -> bytes:
    """Code lengths of one alphabet.

    RFC 1951 lets a repetition run from one alphabet into the next; the device reads each by
    itself, and a repetition that begins one or runs beyond it is an error.
    """
    lengths = bytearray()
    while len(lengths) < number:
        symbol = reader.symbol(table)
        if symbol < 16:
            lengths.append(symbol)
        elif symbol == 16:
            if not lengths:
                raise AnalyticsProblem(repeat_error)
            lengths += bytes([lengths[-1]]) * (3 + reader.take(2))
        elif symbol == 17:
            lengths += bytes(3 + reader.take(3))
        else:
            lengths += bytes(11 + reader.take(7))
    if len(lengths) > number:
        raise AnalyticsProblem(error)
    return bytes(lengths)
