"""The AECS in memory: what compress, decompress and filters read from it and write back."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from iaactl.sim.iaa import problem
from iaactl.sim.iaa.codes import Table
from iaactl.sim.iaa.inflate import Mode, State
from iaactl.sim.iaa.problem import AnalyticsProblem
from iaactl.sim.iaa.symbols import D_CODES, HISTORY, LL_CODES

ALIGNMENT = 32
COMPRESS_BYTES = 1568
COMPRESS_STATE_BYTES = 288
HISTOGRAM_BYTES = 1280
FILTER_BYTES = 32
DECOMPRESS_BYTES = 5376
DECOMPRESS_BYTES_NO_HISTORY = 1248

_ACCUMULATOR_BYTES = 256
_QWORDS = 32

# Offsets in the AECS of decompress.
_INDEX_OFFSET = 180
_INPUT = 184
_INPUT_SIZES = 440
_FORMAT = 477
_NUMBER_OF_CODES = 500
_FIRST_CODE = 520
_FIRST_INDEX = 480
_TABLES = 560
_SYMBOLS = 808
_STATE = 1076
_STORED_LEFT = 1080
_MATCH_LEFT = 1084
_MINI_BLOCK_FILLED = 1088
_HISTORY_POINTER = 1252
_HISTORY = 1256

# The device's own tables have no documented form. Code lengths, four bits each, stand here for
# them, after this mark, which tells them from the tables that software writes.
_MARK = b"CLEN"
_LL_NIBBLES, _D_NIBBLES = 288, 32

_AT_HEADER, _STORED, _FINAL, _TERMINATED = 1, 2, 4, 8
_OVERFLOWED = 1 << 15
_LARGEST_MINI_BLOCK = 32768


@dataclass
class CompressState:
    """Seeds, pending output bits and code entries of a compress operation."""

    crc: int = 0
    xor: int = 0
    bits: int = 0
    bits_valid: int = 0
    ll: Sequence[int] = (0,) * LL_CODES
    d: Sequence[int] = (0,) * D_CODES

    @classmethod
    def parse(cls, data: bytes) -> CompressState:
        """From at least 288 bytes; without the tables there are no codes."""
        crc, xor = struct.unpack_from("<II", data)
        (valid,) = struct.unpack_from("<I", data, 28)
        if valid > 8 * _ACCUMULATOR_BYTES:
            raise AnalyticsProblem(problem.BAD_AECS)
        bits = int.from_bytes(data[32:288], "little") & (1 << valid) - 1
        if len(data) < COMPRESS_BYTES:
            return cls(crc, xor & 0xFFFF, bits, valid)
        ll = struct.unpack_from(f"<{LL_CODES}I", data, 288)
        d = struct.unpack_from(f"<{D_CODES}I", data, 1440)
        return cls(crc, xor & 0xFFFF, bits, valid, ll, d)

    def pack(self) -> bytes:
        """The 288 bytes that the device writes; as a rule it leaves the tables alone.

        Raises AnalyticsProblem when the pending bits do not fit.
        """
        data = bytearray(COMPRESS_STATE_BYTES)
        struct.pack_into("<II", data, 0, self.crc, self.xor)
        struct.pack_into("<I", data, 28, self.bits_valid)
        if self.bits_valid > 8 * _ACCUMULATOR_BYTES:
            raise AnalyticsProblem(problem.HEADER_TOO_BIG)
        data[32:] = self.bits.to_bytes(_ACCUMULATOR_BYTES, "little")
        return bytes(data)

    def pack_tables(self) -> bytes:
        """The 1280 bytes after them, which only header generation writes."""
        return struct.pack(f"<{LL_CODES}I8x{D_CODES}I8x", *self.ll, *self.d)


@dataclass(frozen=True)
class FilterState:
    """What every analytics operation takes from the first 32 bytes."""

    crc: int = 0
    xor: int = 0
    low: int = 0
    high: int = 0
    output_index: int = 0
    drop_bytes: int = 0

    @classmethod
    def parse(cls, data: bytes) -> FilterState:
        """From at least 32 bytes."""
        crc, xor, low, high, index, drop = struct.unpack_from("<6I", data)
        return cls(crc, xor & 0xFFFF, low, high, index, drop)


def parse_decompress(data: bytes) -> State:
    """The decoder's state; raises AnalyticsProblem for values that make no sense.

    An AECS too short for a decoder state begins a stream.
    """
    if len(data) < DECOMPRESS_BYTES_NO_HISTORY:
        return State()
    (number,) = struct.unpack_from("<H", data, _STATE)
    state = State()
    if number & ~(_AT_HEADER | _STORED | _FINAL | _TERMINATED):
        raise AnalyticsProblem(problem.BAD_AECS)
    state.final = bool(number & _FINAL)
    (state.index_offset,) = struct.unpack_from("<I", data, _INDEX_OFFSET)
    (state.mini_block_filled,) = struct.unpack_from("<I", data, _MINI_BLOCK_FILLED)
    if state.mini_block_filled >= _LARGEST_MINI_BLOCK:
        raise AnalyticsProblem(problem.BAD_AECS)
    if number & _TERMINATED:
        state.mode = Mode.DONE
    elif number & _AT_HEADER:
        state.mode = Mode.HEADER
    else:
        state.mode = Mode.STORED if number & _STORED else Mode.TOKENS
    sizes = data[_INPUT_SIZES : _INPUT_SIZES + _QWORDS]
    for index, size in enumerate(sizes):
        if size > 64:
            raise AnalyticsProblem(problem.BAD_AECS)
        (word,) = struct.unpack_from("<Q", data, _INPUT + 8 * index)
        state.bits |= (word & (1 << size) - 1) << state.bits_valid
        state.bits_valid += size
    if state.mode is Mode.STORED:
        (state.stored_left,) = struct.unpack_from("<I", data, _STORED_LEFT)
        if state.stored_left > 0xFFFF:
            raise AnalyticsProblem(problem.BAD_AECS)
    if len(data) >= DECOMPRESS_BYTES:
        state.history = _history(data)
    if state.mode is Mode.TOKENS:
        _tables(data, state)
        state.match_left, state.match_distance = struct.unpack_from("<HH", data, _MATCH_LEFT)
        if state.match_left and not 0 < state.match_distance <= len(state.history):
            raise AnalyticsProblem(problem.BAD_AECS)
    return state


def _history(data: bytes) -> bytes:
    (pointer,) = struct.unpack_from("<H", data, _HISTORY_POINTER)
    offset = pointer & _OVERFLOWED - 1
    if offset > HISTORY:
        raise AnalyticsProblem(problem.BAD_AECS)
    ring = data[_HISTORY : _HISTORY + HISTORY]
    if pointer & _OVERFLOWED:
        return ring[offset:] + ring[:offset]
    return ring[:offset]


def _tables(data: bytes, state: State) -> None:
    if data[_TABLES : _TABLES + len(_MARK)] == _MARK:
        nibbles = data[_TABLES + len(_MARK) :][: (_LL_NIBBLES + _D_NIBBLES) // 2]
        lengths = bytes(n for byte in nibbles for n in (byte & 15, byte >> 4))
        state.ll_lengths, state.d_lengths = lengths[:_LL_NIBBLES], lengths[_LL_NIBBLES:]
        return
    if data[_FORMAT] & 1:
        # Format 2 keeps the codes in an associative memory whose form is not modelled.
        raise AnalyticsProblem(problem.BAD_AECS)
    first_index = _unpack_by_length(data, _FIRST_INDEX)
    numbers = _unpack_by_length(data, _NUMBER_OF_CODES)
    first_code = _unpack_by_length(data, _FIRST_CODE)
    codes = []
    for length in range(1, 16):
        for n in range(numbers[length - 1]):
            index, code = first_index[length - 1] + n, first_code[length - 1] + n
            if index >= 268 or code >> length:
                raise AnalyticsProblem(problem.BAD_AECS)
            codes.append((data[_SYMBOLS + index], code, length))
    state.literals = Table(codes)


# Values for code lengths 1 to 15, of 2 to 16 bits, in five double words.
_FIELDS = ((1, 2, 3, 4, 5, 6), (7, 8, 9), (10, 11), (12, 13), (14, 15))


def _unpack_by_length(data: bytes, offset: int) -> list[int]:
    values = []
    for dword, lengths in enumerate(_FIELDS):
        (word,) = struct.unpack_from("<I", data, offset + 4 * dword)
        for length in lengths:
            width = length + 1
            values.append(word & (1 << width) - 1)
            word >>= width
    return values


def pack_decompress(state: State, size: int, filtering: FilterState) -> bytes:
    """The first `size` bytes of the AECS after a run; `filtering` holds the new checksums.

    Raises AnalyticsProblem when the bits to keep do not fit.
    """
    data = bytearray(DECOMPRESS_BYTES)
    struct.pack_into(
        "<6I",
        data,
        0,
        filtering.crc,
        filtering.xor,
        filtering.low,
        filtering.high,
        filtering.output_index,
        filtering.drop_bytes,
    )
    if state.bits_valid > 64 * _QWORDS:
        raise AnalyticsProblem(problem.HEADER_TOO_BIG)
    bits, valid = state.bits, state.bits_valid
    for index in range((valid + 63) // 64):
        taken = min(64, valid)
        struct.pack_into("<Q", data, _INPUT + 8 * index, bits & (1 << taken) - 1)
        data[_INPUT_SIZES + index] = taken
        bits >>= taken
        valid -= taken
    number = _FINAL if state.final else 0
    if state.mode is Mode.DONE:
        number = _TERMINATED
    elif state.mode is Mode.HEADER:
        number = _AT_HEADER
    elif state.mode is Mode.STORED:
        number |= _STORED
    struct.pack_into("<H", data, _STATE, number)
    struct.pack_into("<I", data, _INDEX_OFFSET, state.index_offset & 0xFFFFFFFF)
    struct.pack_into("<I", data, _MINI_BLOCK_FILLED, state.mini_block_filled)
    struct.pack_into("<I", data, _STORED_LEFT, state.stored_left)
    struct.pack_into("<HH", data, _MATCH_LEFT, state.match_left, state.match_distance)
    if state.mode is Mode.TOKENS and state.literals is None:
        lengths = state.ll_lengths.ljust(_LL_NIBBLES, b"\0")
        lengths += state.d_lengths.ljust(_D_NIBBLES, b"\0")
        packed = bytes(
            low | high << 4 for low, high in zip(lengths[::2], lengths[1::2], strict=True)
        )
        data[_TABLES : _TABLES + len(_MARK) + len(packed)] = _MARK + packed
    pointer = len(state.history) % HISTORY
    if len(state.history) == HISTORY:
        pointer |= _OVERFLOWED
    struct.pack_into("<H", data, _HISTORY_POINTER, pointer)
    data[_HISTORY : _HISTORY + len(state.history)] = state.history
    return bytes(data[:size]).ljust(size, b"\0")


def carried_tables(old: bytes, new: bytes) -> bytes:
    """`new` with the tables that software put into `old`, which the device keeps."""
    return new[:_FIRST_INDEX] + old[_FIRST_INDEX:_STATE] + new[_STATE:]
