"""Huffman tables and block headers: judged by zlib, and by the layout of the AECS."""

from __future__ import annotations

import struct
import zlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iaactl.iaa.aecs import CompressAecs, Histogram, filter_aecs
from iaactl.iaa.huffman import (
    Bits,
    Code,
    canonical,
    dynamic_header,
    fixed_codes,
    lengths_from,
    reversed_code,
)


def literals(data: bytes, aecs: CompressAecs) -> bytes:
    """A raw DEFLATE stream of one block that holds `data` as literals."""
    bits = aecs.header
    for byte in (*data, 256):
        bits += reversed_code(aecs.ll[byte])
    return bits.value.to_bytes((bits.count + 7) // 8, "little")


def histogram_of(data: bytes) -> Histogram:
    counts = Counter(data)
    ll = tuple(counts[n] for n in range(256)) + (1,) + (0,) * 29
    return Histogram(ll, (0,) * 30)


def test_fixed_codes_of_rfc_1951() -> None:
    ll, d = fixed_codes()
    assert ll[0] == Code(0b00110000, 8)
    assert ll[143] == Code(0b10111111, 8)
    assert ll[144] == Code(0b110010000, 9)
    assert ll[255] == Code(0b111111111, 9)
    assert ll[256] == Code(0, 7)
    assert ll[279] == Code(0b0010111, 7)
    assert ll[285] == Code(0b11000101, 8)
    assert d[29] == Code(29, 5)


def test_the_example_of_rfc_1951() -> None:
    codes = canonical([3, 3, 3, 3, 3, 2, 4, 4])
    assert [code.value for code in codes] == [2, 3, 4, 5, 6, 0, 14, 15]


def test_over_subscribed_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="over-subscribed"):
        canonical([1, 1, 1])


def test_aecs_layout() -> None:
    data = CompressAecs(
        Bits(0x5A5, 11),
        [Code(0x1234, 13)] + [Code(0, 0)] * 284 + [Code(0x7FFF, 15)],
        [Code(3, 2)] + [Code(0, 0)] * 28 + [Code(1, 1)],
        crc_seed=0x11223344,
        xor_seed=0x5566,
    ).pack()
    assert len(data) == 1568
    assert data[:8] == bytes.fromhex("44332211 66550000")
    assert data[8:28] == bytes(20)
    assert data[28:34] == bytes.fromhex("0b000000 a505")
    assert struct.unpack_from("<I", data, 288) == (0x1234 | 13 << 15,)
    assert struct.unpack_from("<I", data, 288 + 285 * 4) == (0x7FFF | 15 << 15,)
    assert data[288 + 1144 : 1440] == bytes(8)
    assert struct.unpack_from("<I", data, 1440) == (3 | 2 << 15,)
    assert struct.unpack_from("<I", data, 1440 + 29 * 4) == (1 | 1 << 15,)
    assert data[1560:] == bytes(8)


def test_header_of_a_final_fixed_block() -> None:
    data = CompressAecs.fixed().pack()
    assert (data[28], data[32]) == (3, 0b011)
    assert CompressAecs.fixed(final=False).pack()[32] == 0b010


def test_histogram_layout() -> None:
    data = bytearray(1280)
    struct.pack_into("<I", data, 285 * 4, 7)
    struct.pack_into("<I", data, 1144 + 8, 8)
    struct.pack_into("<I", data, 1144 + 8 + 29 * 4, 9)
    histogram = Histogram.parse(bytes(data))
    assert (histogram.ll[285], histogram.d[0], histogram.d[29]) == (7, 8, 9)
    with pytest.raises(ValueError, match="1280"):
        Histogram.parse(bytes(1279))


def test_filter_aecs_layout() -> None:
    assert filter_aecs(1, 2) == bytes(8) + bytes.fromhex("01000000 02000000") + bytes(16)


def test_too_long_a_header_is_refused() -> None:
    ll, d = fixed_codes()
    with pytest.raises(ValueError, match="too long"):
        CompressAecs(Bits(0, 2049), ll, d).pack()
    with pytest.raises(ValueError, match="286"):
        CompressAecs(Bits(0, 3), ll[:-1], d).pack()


@given(st.binary(max_size=500))
def test_fixed_literals_inflate(data: bytes) -> None:
    assert zlib.decompress(literals(data, CompressAecs.fixed()), -15) == data


@given(st.binary(max_size=2000))
@settings(deadline=None)
def test_dynamic_literals_inflate(data: bytes) -> None:
    assert zlib.decompress(literals(data, CompressAecs.dynamic(histogram_of(data))), -15) == data


@given(st.lists(st.integers(0, 1 << 31), min_size=2, max_size=286))
@settings(deadline=None)
def test_lengths_are_complete_and_limited(counts: list[int]) -> None:
    lengths = lengths_from(counts)
    assert max(lengths) <= 15
    assert sum(1 << (15 - n) for n in lengths if n) == 1 << 15
    assert all(length for count, length in zip(counts, lengths, strict=True) if count)


def test_lengths_are_optimal_where_no_limit_bites() -> None:
    counts = [45, 13, 12, 16, 9, 5]
    lengths = lengths_from(counts)
    assert sum(c * n for c, n in zip(counts, lengths, strict=True)) == 224


def test_fibonacci_counts_meet_the_limit() -> None:
    counts = [1, 1]
    while len(counts) < 30:
        counts.append(counts[-1] + counts[-2])
    assert max(lengths_from(counts)) == 15
    assert max(lengths_from(counts[:19], 7)) == 7


@given(
    st.lists(st.integers(0, 5), min_size=286, max_size=286),
    st.lists(st.integers(0, 3), min_size=30, max_size=30),
)
@settings(deadline=None, max_examples=40)
def test_dynamic_headers_are_valid(ll: list[int], d: list[int]) -> None:
    ll[256] = 1
    ll_lengths, d_lengths = lengths_from(ll), lengths_from(d)
    bits = dynamic_header(ll_lengths, d_lengths, final=True)
    bits += reversed_code(canonical(ll_lengths)[256])
    assert bits.count - canonical(ll_lengths)[256].length <= 2048
    assert zlib.decompress(bits.value.to_bytes((bits.count + 7) // 8, "little"), -15) == b""
