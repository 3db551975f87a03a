"""Checksums the engine computes: CRC-32 in two flavours, XOR of 16-bit words, CRC-64."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache

_MASK32 = 0xFFFFFFFF
_MASK64 = (1 << 64) - 1
_CRC32C_REVERSED = 0x82F63B78


def _crc32c_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CRC32C_REVERSED if crc & 1 else 0)
        table.append(crc)
    return table


_TABLE = _crc32c_table()


def crc32(data: bytes, seed: int, *, castagnoli: bool) -> int:
    """CRC-32 of gzip, or CRC-32C, continued from the checksum `seed` of what came before."""
    if not castagnoli:
        return zlib.crc32(data, seed)
    crc = seed ^ _MASK32
    table = _TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ _MASK32


def xor16(data: bytes, seed: int) -> int:
    """XOR of little-endian 16-bit words; an odd last byte counts as a word with high byte zero."""
    padded = data + b"\0" * (len(data) % 2)
    result = seed & 0xFFFF
    # Fold halves of the data onto each other: far fewer steps than one for each word.
    while len(padded) > 64:
        half = (len(padded) // 4) * 2
        low, high = padded[:half], padded[half:]
        mixed = int.from_bytes(low, "little") ^ int.from_bytes(high, "little")
        padded = mixed.to_bytes(len(high), "little")
    for (word,) in struct.iter_unpack("<H", padded):
        result ^= word
    return result


@lru_cache(maxsize=16)
def _crc64_table(polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        crc = byte << 56
        for _ in range(8):
            crc = (crc << 1 ^ (polynomial if crc >> 63 else 0)) & _MASK64
        table.append(crc)
    return table


@lru_cache(maxsize=16)
def _crc64_table_reflected(polynomial: int) -> list[int]:
    reflected = reverse_bits(polynomial, 64)
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (reflected if crc & 1 else 0)
        table.append(crc)
    return table


def crc64(data: bytes, polynomial: int, *, invert: bool, reflect: bool) -> int:
    """CRC with a polynomial of up to 64 bits that stands at the high end, leading one left out.

    `invert` inverts the bits the CRC has, before and after; `reflect` takes bit 0 of each byte
    as most significant and leaves the result at the low end, bit-reversed.
    """
    inversion = 0
    if invert and polynomial:
        lowest = (polynomial & -polynomial).bit_length() - 1
        inversion = _MASK64 >> lowest << lowest
    if not reflect:
        crc = inversion
        table = _crc64_table(polynomial)
        for byte in data:
            crc = (crc << 8 & _MASK64) ^ table[crc >> 56 ^ byte]
        return crc ^ inversion
    inversion = reverse_bits(inversion, 64)
    crc = inversion
    table = _crc64_table_reflected(polynomial)
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ inversion


def reverse_bits(value: int, width: int) -> int:
    """`value` with its `width` bits in the opposite order."""
    return int(f"{value:0{width}b}"[::-1], 2) if width else 0


@lru_cache(maxsize=1)
def _reversed_bytes() -> bytes:
    return bytes(reverse_bits(n, 8) for n in range(256))


def reverse_words(data: bytes) -> bytes:
    """The bits of each 16-bit word in opposite order; an odd end is padded with a zero byte."""
    padded = bytearray(data + b"\0" * (len(data) % 2)).translate(_reversed_bytes())
    padded[::2], padded[1::2] = padded[1::2], padded[::2]
    return bytes(padded)
