"""Filter and zero-compress operations against plain computations over lists of numbers."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.accelerator import DESTINATION, SOURCE2, Accelerator
from iaactl.iaa import descriptor as d
from iaactl.iaa.aecs import filter_aecs
from iaactl.iaa.completion import AnalyticsError, CompletionRecord, Status
from iaactl.iaa.opcode import Opcode

ROOM = 1 << 16
NONE = 0xFFFFFFFF
LE, BE, RLE = d.Parser
FOUR = (1, 5, 9, 13)


def pack(values: list[int], width: int, big_endian: bool = False) -> bytes:
    """A packed array by way of a string of digits."""
    digits = [f"{value:0{width}b}" for value in values]
    if big_endian:
        text = "".join(digits)
        text += "0" * (-len(text) % 8)
        return bytes(int(text[n : n + 8], 2) for n in range(0, len(text), 8))
    text = "".join(digit[::-1] for digit in digits)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[n : n + 8][::-1], 2) for n in range(0, len(text), 8))


def run(
    opcode: Opcode,
    source: bytes,
    count: int,
    flags: d.FilterFlags,
    *,
    limits: tuple[int, int] | None = None,
    source2: bytes = b"",
    room: int = ROOM,
    operation_flags: int = 0,
) -> tuple[CompletionRecord, bytes]:
    """One filter descriptor on the engine."""
    second = filter_aecs(*limits) if limits else source2
    place = (SOURCE2, len(second))
    work = d.filtering(
        opcode,
        0,
        (0, 0),
        (DESTINATION, room),
        count,
        flags,
        aecs=place if limits else None,
        source2=place if source2 else None,
    )
    work = replace(work, operation_flags=operation_flags)
    return Accelerator().run(work, source, second, room)


@st.composite
def arrays(draw: st.DrawFn, widths: st.SearchStrategy[int]) -> tuple[int, list[int]]:
    width = draw(widths)
    values = st.integers(0, (1 << width) - 1)
    return width, draw(st.lists(values, min_size=1, max_size=60))


WIDTHS = st.integers(1, 32)


@given(arrays(WIDTHS), st.data(), st.booleans(), st.booleans(), st.booleans())
def test_scan(
    array: tuple[int, list[int]], data: st.DataObject, big: bool, big_out: bool, invert: bool
) -> None:
    width, values = array
    low, high = data.draw(st.sampled_from(values)), data.draw(st.sampled_from(values))
    flags = d.FilterFlags(BE if big else LE, width, output_big_endian=big_out, invert=invert)
    record, output = run(
        Opcode.SCAN, pack(values, width, big), len(values), flags, limits=(low, high)
    )
    expected = [(low <= value <= high) ^ invert for value in values]
    assert record.ok, record.explain()
    assert output == pack([int(hit) for hit in expected], 1, big_out)
    assert record.output_bits == len(values) % 8
    ones = [n for n, hit in enumerate(expected) if hit]
    first_last = (ones[0], ones[-1]) if ones else (NONE, 0)
    assert (record.minimum, record.maximum, record.total) == (*first_last, len(ones))


@given(arrays(WIDTHS), st.integers(0, 70), st.integers(0, 70), st.booleans())
def test_extract(array: tuple[int, list[int]], low: int, high: int, big: bool) -> None:
    width, values = array
    flags = d.FilterFlags(BE if big else LE, width, output_big_endian=big)
    source = pack(values, width, big)
    record, output = run(Opcode.EXTRACT, source, len(values), flags, limits=(low, high))
    taken = values[low : high + 1]
    assert record.ok, record.explain()
    assert output == pack(taken, width, big)
    if width > 1:
        assert record.total == sum(taken) & NONE
        assert (record.minimum, record.maximum) == (
            (min(taken), max(taken)) if taken else (NONE, 0)
        )
    assert record.crc == zlib.crc32(source)


@given(arrays(WIDTHS), st.data(), st.booleans())
def test_select_and_expand_undo_each_other(
    array: tuple[int, list[int]], data: st.DataObject, big: bool
) -> None:
    width, values = array
    marks = data.draw(st.lists(st.integers(0, 1), min_size=len(values), max_size=len(values)))
    flags = d.FilterFlags(LE, width, source2_big_endian=big)
    mask = pack(marks, 1, big)
    source = pack(values, width)
    record, chosen = run(Opcode.SELECT, source, len(values), flags, source2=mask)
    assert record.ok, record.explain()
    kept = [value for value, mark in zip(values, marks, strict=True) if mark]
    assert chosen == pack(kept, width)
    if not chosen:
        return
    record, spread = run(Opcode.EXPAND, chosen, len(values), flags, source2=mask)
    assert record.ok, record.explain()
    assert spread == pack([v if m else 0 for v, m in zip(values, marks, strict=True)], width)


@given(arrays(st.integers(4, 32)), st.data())
def test_set_membership_and_find_unique(array: tuple[int, list[int]], data: st.DataObject) -> None:
    width, values = array
    low = data.draw(st.integers(0, width - 1))
    left = data.draw(st.integers(1, min(9, width - low)))
    flags = d.FilterFlags(LE, width, drop_low_bits=low, drop_high_bits=width - low - left)
    source = pack(values, width)
    record, found = run(Opcode.FIND_UNIQUE, source, len(values), flags)
    members = {value >> low & (1 << left) - 1 for value in values}
    assert record.ok, record.explain()
    assert found == pack([int(n in members) for n in range(1 << left)], 1)
    assert record.total == len(members)
    chosen = data.draw(st.sets(st.integers(0, (1 << left) - 1)))
    vector = pack([int(n in chosen) for n in range(1 << left)], 1)
    record, output = run(Opcode.SET_MEMBERSHIP, source, len(values), flags, source2=vector)
    assert record.ok, record.explain()
    hits = [int(value >> low & (1 << left) - 1 in chosen) for value in values]
    assert output == pack(hits, 1)


@pytest.mark.parametrize("width", [8, 16, 32])
def test_rle_burst_as_documented(width: int) -> None:
    counts = [2, 4, 3, 3, 2]
    number = len(counts)
    if width == 32:
        counts = [0, 2, 6, 9, 12, 14]
        number = 6
    source = b"".join(count.to_bytes(width // 8, "little") for count in counts)
    flags = d.FilterFlags(LE, width)
    record, output = run(Opcode.RLE_BURST, source, number, flags, source2=pack([1, 0, 1, 0, 1], 1))
    assert record.ok, record.explain()
    assert output == pack([1, 1, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1], 1)


def test_rle_burst_of_wide_elements() -> None:
    flags = d.FilterFlags(LE, 8, 11)
    record, output = run(Opcode.RLE_BURST, bytes([2, 0, 1]), 3, flags, source2=pack([7, 8, 9], 11))
    assert record.ok
    assert output == pack([7, 7, 9], 11)


@pytest.mark.parametrize(
    ("counts", "error"),
    [
        ((0, 5, 3), AnalyticsError.RUN_LENGTH_COUNT),
        ((0, 65536), 0),
        ((0, 65537), AnalyticsError.RUN_LENGTH_COUNT),
    ],
)
def test_rle_burst_counts_rise_but_not_by_more_than_65536(
    counts: tuple[int, ...], error: int
) -> None:
    source = b"".join(n.to_bytes(4, "little") for n in counts)
    flags = d.FilterFlags(LE, 32)
    record, _ = run(Opcode.RLE_BURST, source, len(counts), flags, source2=b"\xff")
    assert record.error == error
    assert record.ok is not bool(error)


def test_indexes_instead_of_a_sparse_vector() -> None:
    values = [0] * 300
    values[7] = values[299] = 5
    source = bytes(n for n in values[:0]) + b"".join(v.to_bytes(2, "little") for v in values)
    flags = d.FilterFlags(LE, 16, output=d.OutputFormat.BITS_16)
    record, output = run(Opcode.SCAN, source, 300, flags, limits=(5, 5))
    assert output == bytes([7, 0]) + (299).to_bytes(2, "little")
    flags = replace(flags, output=d.OutputFormat.BITS_8)
    record, _ = run(Opcode.SCAN, source, 300, flags, limits=(5, 5))
    assert (record.status, record.error) == (0x0A, AnalyticsError.OUTPUT_WIDTH)
    flags = d.FilterFlags(LE, 16, output=d.OutputFormat.BITS_32, output_big_endian=True)
    record, output = run(Opcode.SCAN, source, 300, flags, limits=(5, 5))
    assert output == (7).to_bytes(4, "big") + (299).to_bytes(4, "big")


def test_arrays_are_widened_but_not_narrowed() -> None:
    source = pack(list(FOUR), 11)
    flags = d.FilterFlags(LE, 11, output=d.OutputFormat.BITS_16)
    _, output = run(Opcode.EXTRACT, source, 4, flags, limits=(0, 3))
    assert output == b"".join(n.to_bytes(2, "little") for n in FOUR)
    flags = replace(flags, output=d.OutputFormat.BITS_8)
    record, _ = run(Opcode.EXTRACT, source, 4, flags, limits=(0, 3))
    assert record.error == AnalyticsError.OUTPUT_WIDTH


def parquet(width: int, *runs: tuple[int, int] | list[int]) -> bytes:
    """Parquet RLE from (count, value) pairs and lists of eight values."""
    data = bytes([width])
    for one in runs:
        header = one[0] << 1 if isinstance(one, tuple) else len(one) // 8 << 1 | 1
        while header > 0x7F:
            data += bytes([header & 0x7F | 0x80])
            header >>= 7
        data += bytes([header])
        if isinstance(one, tuple):
            data += one[1].to_bytes((width + 7) // 8, "little")
        else:
            data += pack(one, width)
    return data


def test_parquet_rle() -> None:
    source = parquet(5, (300, 9), list(range(16)), (2, 31))
    flags = d.FilterFlags(RLE)
    record, output = run(Opcode.EXTRACT, source, 318, flags, limits=(0, 400))
    assert record.ok, record.explain()
    assert output == pack([9] * 300 + list(range(16)) + [31, 31], 5)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (parquet(5, (3, 9))[:-1], AnalyticsError.PARQUET_RLE),
        (parquet(5, list(range(8)))[:-1], AnalyticsError.PARQUET_RLE),
        (parquet(5, (3, 99)), AnalyticsError.PARQUET_RLE),
        (b"\x05" + b"\xff" * 5, AnalyticsError.PARQUET_RLE),
        (b"\x05\x80", AnalyticsError.PARQUET_RLE),
        (b"\x00\x02", AnalyticsError.PARQUET_RLE),
        (b"\x21\x02", AnalyticsError.PARQUET_RLE_WIDTH),
        (parquet(5, (3, 9)), AnalyticsError.TOO_FEW_ELEMENTS),
    ],
)
def test_bad_parquet_rle(source: bytes, error: AnalyticsError) -> None:
    record, _ = run(Opcode.SCAN, source, 20, d.FilterFlags(RLE), limits=(0, 9))
    assert (record.status, record.error) == (Status.ANALYTICS_ERROR, error)


def test_inputs_that_are_too_small() -> None:
    flags = d.FilterFlags(LE, 8)
    record, _ = run(Opcode.SCAN, b"abc", 4, flags, limits=(0, 255))
    assert record.error == AnalyticsError.SOURCE1_TOO_SMALL
    record, _ = run(Opcode.SELECT, b"x" * 9, 9, flags, source2=b"\xff")
    assert record.error == AnalyticsError.SOURCE2_TOO_SMALL
    record, _ = run(Opcode.EXPAND, b"x", 8, flags, source2=b"\xff")
    assert record.error == AnalyticsError.SOURCE1_TOO_SMALL
    record, _ = run(Opcode.EXPAND, b"x" * 9, 9, flags, source2=b"\xff")
    assert record.error == AnalyticsError.SOURCE2_TOO_SMALL
    record, _ = run(Opcode.SET_MEMBERSHIP, b"x", 1, flags, source2=b"\xff")
    assert record.error == AnalyticsError.SOURCE2_TOO_SMALL
    record, _ = run(Opcode.EXTRACT, b"x" * 8, 8, flags, limits=(0, 7), room=7)
    assert record.error == AnalyticsError.OUTPUT_TOO_SMALL


def test_filter_over_a_compressed_stream() -> None:
    values = [n % 50 for n in range(1000)]
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    stream = packer.compress(bytes(values)) + packer.flush()
    flags = d.FilterFlags(LE, 8)
    options = int(d.WHOLE_STREAM)
    record, output = run(Opcode.SCAN, stream, 1000, flags, limits=(10, 20), operation_flags=options)
    assert record.ok, record.explain()
    assert output == pack([int(10 <= value <= 20) for value in values], 1)
    assert record.crc == zlib.crc32(bytes(values))
    record, _ = run(Opcode.SCAN, stream, 1001, flags, limits=(0, 9), operation_flags=options)
    assert record.error == AnalyticsError.TOO_FEW_ELEMENTS


@pytest.mark.parametrize(
    ("opcode", "flags", "status"),
    [
        (Opcode.RLE_BURST, d.FilterFlags(LE, 9), Status.BAD_WIDTH),
        (Opcode.SET_MEMBERSHIP, d.FilterFlags(LE, 16), Status.BAD_WIDTH),
        (Opcode.SELECT, d.FilterFlags(LE, 8, 2), Status.BAD_FILTER_FLAGS),
        (Opcode.EXPAND, d.FilterFlags(LE, 8, drop_low_bits=1), Status.BAD_FILTER_FLAGS),
        (Opcode.SELECT, d.FilterFlags(LE, 8, invert=True), Status.BAD_INVERT),
        (Opcode.RLE_BURST, d.FilterFlags(LE, 8, 2, invert=True), Status.BAD_INVERT),
        (
            Opcode.SET_MEMBERSHIP,
            d.FilterFlags(LE, 8, drop_low_bits=4, drop_high_bits=4),
            Status.BAD_FILTER_FLAGS,
        ),
    ],
)
def test_refused_filter_flags(opcode: Opcode, flags: d.FilterFlags, status: Status) -> None:
    record, _ = run(opcode, b"x" * 8, 4, flags, source2=b"\xff" * 32)
    assert record.status == status


def test_other_refusals() -> None:
    record, _ = run(Opcode.SCAN, b"x", 0, d.FilterFlags(LE, 8), limits=(0, 1))
    assert record.status == Status.BAD_ELEMENT_COUNT
    place = (SOURCE2, 32)
    work = d.filtering(
        Opcode.SCAN, 0, (0, 0), (DESTINATION, 8), 1, d.FilterFlags(LE, 8), aecs=place
    )
    for word in (3, 1 << 27, 1 << 31):
        record, _ = Accelerator().run(replace(work, filter_flags=word), b"x", bytes(32), 8)
        assert record.status == Status.BAD_FILTER_FLAGS


@given(
    st.sampled_from([1, 2, 4]),
    st.lists(st.one_of(st.just(0), st.integers(0, 255)), min_size=1, max_size=200),
)
def test_zero_compression(word: int, values: list[int]) -> None:
    data = b"".join(value.to_bytes(word, "little") for value in values)
    number = {4: 0, 2: 1, 1: 2}[word]
    pair = (Opcode(0x4C + number), Opcode(0x48 + number))
    packed = b""
    for start in range(0, len(values), 128 // word):
        block = values[start : start + 128 // word]
        marks = [int(value != 0) for value in block] + [1] * (128 // word - len(block))
        packed += pack(marks, 1)
        packed += b"".join(value.to_bytes(word, "little") for value in block if value)
    work = d.zero_transform(pair[0], 0, (0, 0), (DESTINATION, ROOM))
    record, output = Accelerator().run(work, data)
    assert record.ok
    assert output == packed
    work = d.zero_transform(pair[1], 0, (0, 0), (DESTINATION, ROOM))
    record, output = Accelerator().run(work, packed)
    assert record.ok
    assert output == data


def test_zero_compression_refusals() -> None:
    def status(opcode: Opcode, source: bytes, room: int = ROOM) -> tuple[int, int]:
        work = d.zero_transform(opcode, 0, (0, 0), (DESTINATION, room))
        record, _ = Accelerator().run(work, source, room=room)
        return record.status, record.error

    assert status(Opcode.ZERO_COMPRESS_16, b"abc") == (Status.BAD_SIZE, 0)
    assert status(Opcode.ZERO_COMPRESS_16, b"abcd", 8) == (0x0A, AnalyticsError.OUTPUT_TOO_SMALL)
    assert status(Opcode.ZERO_DECOMPRESS_16, bytes(6)) == (
        0x0A,
        AnalyticsError.ZERO_DECOMPRESS_HEADER,
    )
    assert status(Opcode.ZERO_DECOMPRESS_16, bytes(7)) == (Status.BAD_SIZE, 0)
    assert status(Opcode.ZERO_DECOMPRESS_16, bytes(8), 127) == (
        0x0A,
        AnalyticsError.OUTPUT_TOO_SMALL,
    )


def test_scan_looks_at_as_many_bits_of_its_limits_as_elements_have() -> None:
    flags = d.FilterFlags(LE, 8)
    record, output = run(Opcode.SCAN, bytes([4, 5, 6]), 3, flags, limits=(0xF05, 0x105))
    assert output == b"\x02"
    assert record.total == 1


def test_output_index_and_dropped_bytes_come_from_the_aecs() -> None:
    values = bytes([9, 9, 5, 9, 5])
    aecs = struct.pack("<6I", 0, 0, 5, 5, 1000, 2).ljust(32, b"\0")
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    stream = packer.compress(values) + packer.flush()
    flags = d.FilterFlags(LE, 8, output=d.OutputFormat.BITS_16)
    work = d.filtering(Opcode.SCAN, 0, (0, 0), (DESTINATION, 64), 3, flags, aecs=(SOURCE2, 32))
    work = replace(work, operation_flags=int(d.WHOLE_STREAM))
    record, output = Accelerator().run(work, stream, aecs)
    assert record.ok, record.explain()
    assert output == struct.pack("<HH", 1000, 1002)
    assert record.crc == zlib.crc32(values)
