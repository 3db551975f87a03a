"""Huffman codes for DEFLATE: fixed tables, tables from a histogram, and block headers in bits.

Codes are numbers as in RFC 1951, most significant bit first; a length of zero means no code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LL_CODES = 286
D_CODES = 30
END_OF_BLOCK = 256
_LONGEST_CODE = 15
_LONGEST_CL_CODE = 7
_CL_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


@dataclass(frozen=True, slots=True)
class Code:
    """One code; `length` in bits, 0 to 15."""

    value: int
    length: int


@dataclass(frozen=True, slots=True)
class Bits:
    """A bit string, first bit in bit 0 of `value`; `count` bits are valid."""

    value: int
    count: int

    def __add__(self, other: Bits) -> Bits:
        return Bits(self.value | other.value << self.count, self.count + other.count)


NO_BITS = Bits(0, 0)


def fixed_header(*, final: bool) -> Bits:
    """The three bits that begin a block with fixed codes."""
    return Bits(final | 1 << 1, 3)


def fixed_ll_lengths() -> list[int]:
    """Literal/length code lengths of fixed blocks, all 288 that shape the code."""
    return [8] * 144 + [9] * 112 + [7] * 24 + [8] * 8


def fixed_codes() -> tuple[list[Code], list[Code]]:
    """The fixed literal/length (286) and distance (30) codes."""
    return canonical(fixed_ll_lengths())[:LL_CODES], canonical([5] * 32)[:D_CODES]


def canonical(lengths: Sequence[int]) -> list[Code]:
    """Codes of RFC 1951, 3.2.2, for lengths; raises ValueError when there are too many."""
    first = 0
    start = [0] * (_LONGEST_CODE + 2)
    for length in range(1, _LONGEST_CODE + 1):
        start[length] = first
        first = (first + sum(1 for other in lengths if other == length)) << 1
    if first > 1 << (_LONGEST_CODE + 1):
        raise ValueError("the code lengths are over-subscribed")
    codes = []
    for length in lengths:
        codes.append(Code(start[length] if length else 0, length))
        start[length] += 1
    return codes


def lengths_from(histogram: Sequence[int], longest: int = _LONGEST_CODE) -> list[int]:
    """Optimal code lengths of at most `longest` bits (package-merge).

    Always at least two codes, so that the set is complete, as decoders ask for: where fewer
    symbols occur, the first unused ones get a code.
    """
    counts = list(histogram)
    for symbol, count in enumerate(counts):
        if sum(1 for other in counts if other) >= 2:
            break
        counts[symbol] = count or 1
    # A package is its weight and the symbols in it; every occurrence adds a bit to the length.
    leaves = sorted((count, (symbol,)) for symbol, count in enumerate(counts) if count)
    packages: list[tuple[int, tuple[int, ...]]] = []
    for _ in range(longest):
        pairs = zip(packages[::2], packages[1::2], strict=False)
        merged = [(a[0] + b[0], a[1] + b[1]) for a, b in pairs]
        packages = sorted(leaves + merged, key=lambda package: package[0])
    lengths = [0] * len(counts)
    for _, symbols in packages[: 2 * len(leaves) - 2]:
        for symbol in symbols:
            lengths[symbol] += 1
    return lengths


def dynamic_header(ll_lengths: Sequence[int], d_lengths: Sequence[int], *, final: bool) -> Bits:
    """Header of a block with these code lengths, as in RFC 1951, 3.2.7.

    No repetition crosses from the literal/length to the distance codes: RFC 1951 allows it, the
    device refuses it (errors 4 and 6).
    """
    hlit = max(257, _used(ll_lengths))
    hdist = max(1, _used(d_lengths))
    runs = _runs(ll_lengths[:hlit]) + _runs(d_lengths[:hdist])
    counts = [0] * 19
    for symbol, _, _ in runs:
        counts[symbol] += 1
    cl_lengths = lengths_from(counts, _LONGEST_CL_CODE)
    in_order = [cl_lengths[symbol] for symbol in _CL_ORDER]
    hclen = max(4, _used(in_order))
    header = Bits(final | 2 << 1, 3)
    header += Bits(hlit - 257, 5) + Bits(hdist - 1, 5) + Bits(hclen - 4, 4)
    for length in in_order[:hclen]:
        header += Bits(length, 3)
    codes = canonical(cl_lengths)
    for symbol, extra, extra_bits in runs:
        header += reversed_code(codes[symbol]) + Bits(extra, extra_bits)
    return header


def reversed_code(code: Code) -> Bits:
    """A code as it stands in the stream, first bit lowest."""
    text = f"{code.value:0{code.length}b}" if code.length else "0"
    return Bits(int(text[::-1], 2), code.length)


def _used(lengths: Sequence[int]) -> int:
    return max((n + 1 for n, length in enumerate(lengths) if length), default=0)


def _runs(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Run-length form: code-length symbol, value and number of its extra bits."""
    runs: list[tuple[int, int, int]] = []
    position = 0
    while position < len(lengths):
        length = lengths[position]
        count = 1
        while position + count < len(lengths) and lengths[position + count] == length:
            count += 1
        position += count
        if length:
            runs.append((length, 0, 0))
            count -= 1
        while count >= 3:
            if length:
                taken = min(count, 6)
                runs.append((16, taken - 3, 2))
            elif count <= 10:
                taken = count
                runs.append((17, taken - 3, 3))
            else:
                taken = min(count, 138)
                runs.append((18, taken - 11, 7))
            count -= taken
        runs += [(length, 0, 0)] * count
    return runs
