"""Elements of 1 to 32 bits: packed arrays in both bit orders, Parquet RLE, and their output."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from iaactl.sim.iaa import problem
from iaactl.sim.iaa.checksum import reverse_bits
from iaactl.sim.iaa.problem import AnalyticsProblem

LITTLE_ENDIAN, BIG_ENDIAN, PARQUET_RLE = range(3)
_LONGEST_VARINT = 4
_WHOLE = {8: "B", 16: "H", 32: "I"}
_DIGITS = bytes.maketrans(b"\0\1", b"01")


def packed(data: bytes, width: int, *, big_endian: bool) -> Iterator[int]:
    """All whole elements of a packed array."""
    if width in _WHOLE:
        whole = len(data) // (width // 8) * (width // 8)
        form = (">" if big_endian else "<") + _WHOLE[width]
        return (value for (value,) in struct.iter_unpack(form, data[:whole]))
    return _packed(data, width, big_endian)


def _packed(data: bytes, width: int, big_endian: bool) -> Iterator[int]:
    # Eight elements are always a whole number of bytes.
    mask = (1 << width) - 1
    order = range(8 * width - width, -1, -width) if big_endian else range(0, 8 * width, width)
    for start in range(0, len(data) // width * width, width):
        group = int.from_bytes(data[start : start + width], "big" if big_endian else "little")
        for shift in order:
            yield group >> shift & mask
    rest = data[len(data) // width * width :]
    group = int.from_bytes(rest, "big" if big_endian else "little")
    bits = 8 * len(rest)
    for n in range(bits // width):
        yield group >> (bits - (n + 1) * width if big_endian else n * width) & mask


def parquet_rle_width(data: bytes) -> int:
    """The width that the first byte states."""
    if not data:
        raise AnalyticsProblem(problem.PARQUET_RLE)
    if data[0] > 32:
        raise AnalyticsProblem(problem.PARQUET_RLE_WIDTH)
    if data[0] == 0:
        raise AnalyticsProblem(problem.PARQUET_RLE)
    return data[0]


def parquet_rle(data: bytes) -> Iterator[int]:
    """Elements of a Parquet RLE stream; raises AnalyticsProblem at a record that is wrong."""
    width = parquet_rle_width(data)
    value_bytes = (width + 7) // 8
    position = 1
    while position < len(data):
        header = 0
        for n in range(_LONGEST_VARINT):
            if position == len(data):
                raise AnalyticsProblem(problem.PARQUET_RLE)
            byte = data[position]
            position += 1
            header |= (byte & 0x7F) << 7 * n
            if not byte & 0x80:
                break
        else:
            raise AnalyticsProblem(problem.PARQUET_RLE)
        number = header >> 1
        if header & 1:
            stop = position + number * width
            yield from packed(data[position:stop], width, big_endian=False)
            if stop > len(data):
                raise AnalyticsProblem(problem.PARQUET_RLE)
            position = stop
            continue
        value = data[position : position + value_bytes]
        if len(value) < value_bytes:
            raise AnalyticsProblem(problem.PARQUET_RLE)
        position += value_bytes
        number_value = int.from_bytes(value, "little")
        if number_value >> width:
            raise AnalyticsProblem(problem.PARQUET_RLE)
        for _ in range(number):
            yield number_value


class Output:
    """Collects elements of one width into a destination of `limit` bytes.

    A value that does not fit raises AnalyticsProblem, as does the byte beyond the limit.
    """

    def __init__(self, width: int, limit: int, *, big_endian: bool) -> None:
        self.width = width
        self._limit_bits = 8 * limit
        self._big_endian = big_endian
        self._data = bytearray()
        self._bits = 0
        self._valid = 0

    def extend(self, values: Iterable[int]) -> None:
        """Append elements."""
        iterator = iter(values)
        spare = 4096
        while block := list(islice(iterator, spare)):
            total = 8 * len(self._data) + self._valid + self.width * len(block)
            if total > self._limit_bits:
                raise AnalyticsProblem(problem.OUTPUT_TOO_SMALL)
            if max(block) >> self.width:
                raise AnalyticsProblem(problem.OUTPUT_WIDTH)
            if self.width in _WHOLE and not self._valid:
                form = f"{'>' if self._big_endian else '<'}{len(block)}{_WHOLE[self.width]}"
                self._data += struct.pack(form, *block)
                continue
            if self.width == 1:
                # As digits, last bit first: a bit vector can have millions of them.
                digits = bytes(reversed(block)).translate(_DIGITS)
                self._bits |= int(digits, 2) << self._valid
                self._valid += len(block)
                self._flush(self._valid // 8)
                continue
            for value in block:
                self._put(value)

    def _put(self, value: int) -> None:
        if self._big_endian:
            value = reverse_bits(value, self.width)
        self._bits |= value << self._valid
        self._valid += self.width
        if self._valid >= 8:
            whole = self._valid // 8
            self._flush(whole)

    def _flush(self, whole: int) -> None:
        piece = (self._bits & (1 << 8 * whole) - 1).to_bytes(whole, "little")
        if self._big_endian:
            piece = bytes(reverse_bits(byte, 8) for byte in piece)
        self._data += piece
        self._bits >>= 8 * whole
        self._valid -= 8 * whole

    def finish(self) -> tuple[bytes, int]:
        """The bytes, and the bits of the last one that count; 0 when all do."""
        bits = self._valid
        if bits:
            self._valid = 8
            self._flush(1)
        return bytes(self._data), bits


def first_of(values: Iterator[int], count: int, error: int) -> Iterator[int]:
    """The first `count` elements; raises AnalyticsProblem(error) when there are fewer."""
    seen = 0
    for value in islice(values, count):
        seen += 1
        yield value
    if seen < count:
        raise AnalyticsProblem(error)


def at_least(values: Iterator[int], error: int) -> Iterator[int]:
    """The elements, and AnalyticsProblem(error) once they are used up."""

    def end() -> Iterator[int]:
        raise AnalyticsProblem(error)
        yield 0

    return chain(values, end())
