"""Zero-compress and zero-decompress: a bit mask before each 128 bytes, zeros left out.

32-bit words have a 4-byte mask, 16-bit words 8, bytes 16. Mask bits of words beyond the end are
ones, so decompression stops where the words do.
"""

from __future__ import annotations

from iaactl.sim.iaa import problem
from iaactl.sim.iaa.problem import AnalyticsProblem

_BLOCK = 128


def compress(data: bytes, word: int) -> bytes:
    """Leave zero words of `word` bytes out; the length must be a multiple of it."""
    mask_bits = _BLOCK // word
    zero = bytes(word)
    output = bytearray()
    for start in range(0, len(data), _BLOCK):
        words = [data[n : n + word] for n in range(start, min(start + _BLOCK, len(data)), word)]
        mask = (1 << mask_bits) - 1
        for n, value in enumerate(words):
            if value == zero:
                mask ^= 1 << n
        output += mask.to_bytes(mask_bits // 8, "little")
        output += b"".join(value for value in words if value != zero)
    return bytes(output)


def decompress(data: bytes, word: int, limit: int) -> bytes:
    """Put zero words back in; the length must be a multiple of `word`.

    Raises AnalyticsProblem for a cut mask or too much output.
    """
    mask_bits = _BLOCK // word
    mask_bytes = mask_bits // 8
    zero = bytes(word)
    output = bytearray()
    position = 0
    while position < len(data):
        if position + mask_bytes > len(data):
            raise AnalyticsProblem(problem.ZERO_DECOMPRESS_HEADER, consumed=position)
        mask = int.from_bytes(data[position : position + mask_bytes], "little")
        position += mask_bytes
        for n in range(mask_bits):
            if not mask >> n & 1:
                output += zero
                continue
            if position == len(data):
                break
            output += data[position : position + word]
            position += word
        if len(output) > limit:
            raise AnalyticsProblem(problem.OUTPUT_TOO_SMALL, consumed=position)
    return bytes(output)
