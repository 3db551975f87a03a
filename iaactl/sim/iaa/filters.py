"""Filter operations: scan, set membership, extract, select, RLE burst, find unique, expand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise, repeat

from iaactl.sim.iaa import elements, problem
from iaactl.sim.iaa.aecs import FilterState
from iaactl.sim.iaa.problem import AnalyticsProblem, Problem

SCAN, SET_MEMBERSHIP, EXTRACT, SELECT, RLE_BURST, FIND_UNIQUE, EXPAND = range(0x50, 0x57)
USES_SOURCE2 = frozenset({SET_MEMBERSHIP, SELECT, RLE_BURST, EXPAND})

# The set of set membership and find unique has at most this many bits of index.
_LARGEST_SET_BITS = 15
_LONGEST_RUN = 1 << 16
_NONE = 0xFFFFFFFF
_V1_BITS = (1 << 27) - 1
_FORCE_ARRAY = 1 << 27
IAA_CAP_FORCE_ARRAY = 1 << 3


@dataclass(frozen=True)
class Flags:
    """The filter flags of a descriptor."""

    parser: int
    width1: int
    width2: int
    big_endian2: bool
    output: int
    big_endian_out: bool
    invert: bool
    drop_low: int
    drop_high: int
    force_array: bool

    @classmethod
    def parse(cls, word: int, iaa_cap: int) -> Flags:
        """Decode; raises Problem for bits that this version does not have."""
        force = bool(iaa_cap & IAA_CAP_FORCE_ARRAY)
        if word & ~(_V1_BITS | _FORCE_ARRAY * force) or word & 3 == 3:
            raise Problem(problem.BAD_FILTER_FLAGS)
        return cls(
            parser=word & 3,
            width1=(word >> 2 & 31) + 1,
            width2=(word >> 7 & 31) + 1,
            big_endian2=bool(word >> 12 & 1),
            output=word >> 13 & 3,
            big_endian_out=bool(word >> 15 & 1),
            invert=bool(word >> 16 & 1),
            drop_low=word >> 17 & 31,
            drop_high=word >> 22 & 31,
            force_array=bool(word & _FORCE_ARRAY),
        )


@dataclass
class Aggregates:
    """Minimum, maximum, sum; or index of the first one, of the last one, number of ones."""

    bit_vector: bool
    low: int = _NONE
    high: int = 0
    total: int = 0
    _index: int = field(default=0, repr=False)

    def watch(self, values: Iterator[int]) -> Iterator[int]:
        """Pass values through and take note of them."""
        for value in values:
            if not self.bit_vector:
                self.low = min(self.low, value)
                self.high = max(self.high, value)
                self.total = self.total + value & _NONE
            elif value:
                if self.low == _NONE:
                    self.low = self._index
                self.high = self._index
                self.total += 1
            self._index += 1
            yield value


@dataclass(frozen=True)
class Request:
    """A filter operation, its operands already read. `decoded` when source 1 was compressed."""

    opcode: int
    flags: Flags
    count: int
    source1: bytes
    source2: bytes
    limits: FilterState
    decoded: bool


def check(opcode: int, flags: Flags, count: int) -> None:
    """What the device refuses before it touches the data."""
    if not count:
        raise Problem(problem.BAD_ELEMENT_COUNT)
    if flags.parser == elements.PARQUET_RLE and flags.width1 != 1:
        raise Problem(problem.BAD_FILTER_FLAGS)
    sets = opcode in (SET_MEMBERSHIP, FIND_UNIQUE)
    if (flags.drop_low or flags.drop_high) and not sets:
        raise Problem(problem.BAD_FILTER_FLAGS)
    if flags.width2 != 1 and opcode != RLE_BURST:
        raise Problem(problem.BAD_FILTER_FLAGS)
    if flags.parser == elements.PARQUET_RLE:
        if opcode == RLE_BURST:
            raise Problem(problem.BAD_WIDTH)
    else:
        if opcode == RLE_BURST and flags.width1 not in (8, 16, 32):
            raise Problem(problem.BAD_WIDTH)
        if sets:
            _check_set(flags, flags.width1)
    if flags.invert:
        vector = opcode in (SCAN, SET_MEMBERSHIP, FIND_UNIQUE)
        if opcode == RLE_BURST:
            vector = flags.width2 == 1
        elif not vector and flags.parser != elements.PARQUET_RLE:
            vector = flags.width1 == 1
        if not vector:
            raise Problem(problem.BAD_INVERT)


def _check_set(flags: Flags, width: int) -> int:
    left = width - flags.drop_low - flags.drop_high
    if left < 1:
        raise Problem(problem.BAD_FILTER_FLAGS)
    if left > _LARGEST_SET_BITS:
        raise Problem(problem.BAD_WIDTH)
    return left


def wanted_bytes(flags: Flags, count: int) -> int | None:
    """Bytes of source 1 that `count` elements take; None where the data decides."""
    if flags.parser == elements.PARQUET_RLE:
        return None
    return (flags.width1 * count + 7) // 8


def run(request: Request, limit: int) -> tuple[bytes, int, Aggregates]:
    """Execute; returns output, bits of its last byte that count, and the aggregates.

    Raises AnalyticsProblem, or Problem where only the data shows that the flags are wrong.
    """
    flags = request.flags
    width = flags.width1
    if flags.parser == elements.PARQUET_RLE:
        width = elements.parquet_rle_width(request.source1)
    values, nominal = _operation(request, width)
    vector = nominal == 1
    if flags.invert:
        if not vector:
            raise Problem(problem.BAD_INVERT)
        values = (value ^ 1 for value in values)
    aggregates = Aggregates(vector)
    values = aggregates.watch(values)
    out_width = nominal
    if flags.output:
        out_width = 4 << flags.output
        if vector and not flags.force_array:
            first = request.limits.output_index
            values = (first + index for index, value in enumerate(values) if value)
        elif out_width < nominal:
            raise AnalyticsProblem(problem.OUTPUT_WIDTH)
    output = elements.Output(out_width, limit, big_endian=flags.big_endian_out)
    output.extend(values)
    data, bits = output.finish()
    return data, bits, aggregates


def _source1(request: Request, width: int) -> Iterator[int]:
    flags = request.flags
    if flags.parser == elements.PARQUET_RLE:
        return elements.parquet_rle(request.source1)
    big = flags.parser == elements.BIG_ENDIAN
    return elements.packed(request.source1, width, big_endian=big)


def _source2(request: Request) -> Iterator[int]:
    flags = request.flags
    values = elements.packed(request.source2, flags.width2, big_endian=flags.big_endian2)
    return elements.at_least(values, problem.SOURCE2_TOO_SMALL)


def _operation(request: Request, width: int) -> tuple[Iterator[int], int]:
    """Nominal output elements and their width."""
    flags, opcode = request.flags, request.opcode
    rle = flags.parser == elements.PARQUET_RLE
    too_few = problem.SOURCE1_TOO_SMALL
    if rle or request.decoded:
        too_few = problem.TOO_FEW_ELEMENTS
    every = _source1(request, width)
    if opcode == EXPAND:
        return _expand(request, elements.at_least(every, too_few)), width
    values = elements.first_of(every, request.count, too_few)
    if opcode == SCAN:
        low, high = (
            limit & (1 << width) - 1 for limit in (request.limits.low, request.limits.high)
        )
        return (int(low <= value <= high) for value in values), 1
    if opcode == EXTRACT:
        low, high = request.limits.low, request.limits.high
        return (value for n, value in enumerate(values) if low <= n <= high), width
    if opcode == SELECT:
        pairs = zip(values, _source2(request), strict=False)
        return (value for value, chosen in pairs if chosen), width
    if opcode == RLE_BURST:
        return _burst(values, _source2(request), width), flags.width2
    left = _check_set(flags, width)
    mask = (1 << left) - 1
    members = (value >> flags.drop_low & mask for value in values)
    if opcode == SET_MEMBERSHIP:
        members_of = elements.packed(request.source2, 1, big_endian=flags.big_endian2)
        marks = list(elements.first_of(members_of, 1 << left, problem.SOURCE2_TOO_SMALL))
        return (marks[value] for value in members), 1
    found = [0] * (1 << left)
    for value in members:
        found[value] = 1
    return iter(found), 1


def _expand(request: Request, values: Iterator[int]) -> Iterator[int]:
    marks = elements.first_of(_source2(request), request.count, problem.SOURCE2_TOO_SMALL)
    return (next(values) if mark else 0 for mark in marks)


def _burst(counts: Iterator[int], values: Iterator[int], width: int) -> Iterator[int]:
    if width == 32:
        counts = (after - before for before, after in pairwise(counts))
    for count in counts:
        value = next(values)
        if not 0 <= count <= _LONGEST_RUN:
            # Cumulative counts must not fall, nor rise by more than 2^16 in one step.
            raise AnalyticsProblem(problem.RUN_LENGTH_COUNT)
        yield from repeat(value, count)
