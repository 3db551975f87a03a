"""noop, drain, crc64."""

from __future__ import annotations

from iaactl.iaa import descriptor as d
from iaactl.selftest.bench import Bench

ECMA = 0x42F0E1EBA9EA3693
"""Polynomial of CRC-64/ECMA-182, without its leading one."""


def crc64_of(data: bytes, polynomial: int = ECMA) -> int:
    """CRC-64 of data, bit by bit: slow, and plainly right."""
    table = []
    for byte in range(256):
        value = byte << 56
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> 63 else 0)
            value &= (1 << 64) - 1
        table.append(value)
    crc = 0
    for byte in data:
        crc = (crc << 8 & (1 << 64) - 1) ^ table[crc >> 56 ^ byte]
    return crc


def pattern(size: int) -> bytes:
    """Bytes that compress somewhat and repeat nowhere near a page: text with numbers in it."""
    text = bytearray()
    number = 1
    while len(text) < size:
        text += b"page %d of guest memory; " % number
        number = number * 48271 % 2147483647
    return bytes(text[:size])


def noop(bench: Bench, size: int) -> None:
    """A few by themselves, then as many in flight as the depth allows."""
    bench.submit(d.noop(bench.record()))
    for outcome in bench.outcomes([d.noop(bench.record()) for _ in range(4 * bench.depth)]):
        bench.success(outcome)


def drain(bench: Bench, size: int) -> None:
    """Two checksums, then a drain: when it is done, so are they."""
    source = bench.place(pattern(size))
    work = [d.crc64(bench.record(), source, ECMA) for _ in range(2)]
    for outcome in bench.outcomes([*work, d.drain(bench.record())], depth=3):
        bench.success(outcome)


def crc64(bench: Bench, size: int) -> None:
    """The checksum, most significant bit first."""
    data = pattern(size)
    record = bench.submit(d.crc64(bench.record(), bench.place(data), ECMA))
    bench.expect("bytes completed", record.bytes_completed, size)
    bench.expect("crc64", f"{record.crc64:#018x}", f"{crc64_of(data):#018x}")
