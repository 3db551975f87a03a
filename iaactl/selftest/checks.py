"""Results computed without the device, in the plainest way."""

from __future__ import annotations


def xor16(data: bytes) -> int:
    """XOR of all little-endian 16-bit words; an odd last byte counts as a word with zero above."""
    padded = data + b"\0" * (len(data) % 2)
    value = 0
    for at in range(0, len(padded), 2):
        value ^= padded[at] | padded[at + 1] << 8
    return value


def bits(flags: list[bool]) -> bytes:
    """A bit vector, least significant bit first, padded to whole bytes."""
    value = sum(1 << index for index, flag in enumerate(flags) if flag)
    return value.to_bytes((len(flags) + 7) // 8, "little")
