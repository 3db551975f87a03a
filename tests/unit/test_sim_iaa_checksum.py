"""Checksums against bit-by-bit computations and published check values."""

from __future__ import annotations

import zlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fakes.accelerator import COMPLETION, SOURCE, Accelerator
from iaactl.iaa import descriptor as d
from iaactl.sim.iaa.checksum import crc32, crc64, reverse_words, xor16

CHECK = b"123456789"


def plain_crc(data: bytes, width: int, polynomial: int, invert: bool, reflect: bool) -> int:
    """A CRC one bit at a time, in a register of its own width."""
    ones = (1 << width) - 1
    register = ones if invert else 0
    for byte in data:
        for n in range(8):
            bit = byte >> (n if reflect else 7 - n) & 1
            top = register >> width - 1
            register = (register << 1 & ones) ^ (polynomial if top ^ bit else 0)
    if reflect:
        register = int(f"{register:0{width}b}"[::-1], 2)
    return register ^ (ones if invert else 0)


@given(st.binary(max_size=200), st.integers(0, 0xFFFFFFFF))
def test_crc32_continues(data: bytes, seed: int) -> None:
    assert crc32(data, 0, castagnoli=False) == plain_crc(data, 32, 0x04C11DB7, True, True)
    assert crc32(data, 0, castagnoli=True) == plain_crc(data, 32, 0x1EDC6F41, True, True)
    for castagnoli in (True, False):
        whole = crc32(data + data, seed, castagnoli=castagnoli)
        half = crc32(data, seed, castagnoli=castagnoli)
        assert crc32(data, half, castagnoli=castagnoli) == whole


def test_published_check_values() -> None:
    assert crc32(CHECK, 0, castagnoli=True) == 0xE3069283
    assert crc32(CHECK, 0, castagnoli=False) == 0xCBF43926
    ecma = 0x42F0E1EBA9EA3693
    assert crc64(CHECK, ecma, invert=False, reflect=False) == 0x6C40DF5F0B497347
    assert crc64(CHECK, ecma, invert=True, reflect=True) == 0x995DC9BBDF1939FA
    assert crc64(CHECK, 0x8BB7 << 48, invert=False, reflect=False) == 0xD0DB << 48
    assert crc64(CHECK, 0x04C11DB7 << 32, invert=True, reflect=True) == 0xCBF43926


@given(st.binary(max_size=50), st.integers(3, 64), st.integers(0), st.booleans(), st.booleans())
def test_crc64_of_any_width(
    data: bytes, width: int, number: int, invert: bool, reflect: bool
) -> None:
    polynomial = number & (1 << width) - 1 | 1
    expected = plain_crc(data, width, polynomial, invert, reflect)
    result = crc64(data, polynomial << 64 - width, invert=invert, reflect=reflect)
    assert result == (expected if reflect else expected << 64 - width)


@given(st.binary(max_size=600), st.integers(0, 0xFFFF))
def test_xor_of_words(data: bytes, seed: int) -> None:
    expected = seed
    for n in range(0, len(data), 2):
        expected ^= int.from_bytes(data[n : n + 2], "little")
    assert xor16(data, seed) == expected


@given(st.binary(max_size=50).filter(lambda data: len(data) % 2 == 0))
def test_reversed_words(data: bytes) -> None:
    reversed_ = reverse_words(data)
    for n in range(0, len(data), 2):
        word = int.from_bytes(data[n : n + 2], "little")
        assert int.from_bytes(reversed_[n : n + 2], "little") == int(f"{word:016b}"[::-1], 2)


def test_crc64_descriptor() -> None:
    accelerator = Accelerator()
    accelerator.prepare(CHECK)
    flags = d.Crc64Flags.INVERT | d.Crc64Flags.MOST_SIGNIFICANT_FIRST
    polynomial = 0x42F0E1EBA9EA3693
    record = accelerator.submit(d.crc64(COMPLETION, (SOURCE, 9), polynomial, options=flags))
    assert record.ok
    assert accelerator.memory.read(COMPLETION + 40, 8) == (0x995DC9BBDF1939FA).to_bytes(8, "little")
    assert (record.crc64, record.crc) == (0x995DC9BBDF1939FA, 0)
    assert record.bytes_completed == 9


@given(st.binary(min_size=1, max_size=3000))
def test_checksums_of_a_decompression(data: bytes) -> None:
    packer = zlib.compressobj(6, zlib.DEFLATED, -12)
    stream = packer.compress(data) + packer.flush()
    for flags in (d.Flags(0), d.Flags.CRC32C):
        work = d.decompress(0, (0, 0), (0x200000000, 4096))
        work = replace(work, flags=work.flags | flags)
        record, output = Accelerator().run(work, stream)
        assert output == data
        assert record.crc == crc32(data, 0, castagnoli=bool(flags))
        assert record.xor == xor16(data, 0)
