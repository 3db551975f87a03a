"""Header generation of IAA 2.0: code tables for a histogram, and the block header for them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from iaactl.sim.iaa.checksum import reverse_bits
from iaactl.sim.iaa.symbols import CL_ORDER

_LONGEST = 15
_LONGEST_CL = 7
_FEWEST_LL, _FEWEST_D, _FEWEST_CL = 257, 1, 4


def generate(
    ll_counts: Sequence[int], d_counts: Sequence[int], *, final: bool
) -> tuple[list[int], list[int], int, int]:
    """Entries for the literal/length and distance tables, and the header: bits and their number.

    Entries are as in the AECS: code in bits 0 to 14, length in 15 to 18.
    """
    ll = _lengths(ll_counts, _LONGEST)
    d = _lengths(d_counts, _LONGEST)
    bits, valid = _header(ll, d, final)
    return _entries(ll), _entries(d), bits, valid


def _lengths(counts: Sequence[int], longest: int) -> list[int]:
    """Lengths of a complete code, no longer than `longest`; two symbols get one in any case."""
    used = [symbol for symbol, count in enumerate(counts) if count]
    spare = (symbol for symbol, count in enumerate(counts) if not count)
    while len(used) < 2:
        used.append(next(spare))
    # A tree is its weight, a number that makes the order definite, and the depth of each leaf.
    heap = [(counts[symbol], symbol, [(symbol, 0)]) for symbol in used]
    heapq.heapify(heap)
    serial = len(counts)
    while len(heap) > 1:
        one, two = heapq.heappop(heap), heapq.heappop(heap)
        leaves = [(symbol, depth + 1) for symbol, depth in one[2] + two[2]]
        heapq.heappush(heap, (one[0] + two[0], serial, leaves))
        serial += 1
    lengths = [0] * len(counts)
    for symbol, depth in heap[0][2]:
        lengths[symbol] = min(depth, longest)
    used.sort(key=lambda symbol: counts[symbol])
    _complete(lengths, used, longest)
    return lengths


def _complete(lengths: list[int], rarest_first: Sequence[int], longest: int) -> None:
    """After lengths were cut: lengthen others until the codes fit, then use up what is left."""
    whole = 1 << longest
    taken = sum(whole >> lengths[symbol] for symbol in rarest_first)
    while taken > whole:
        short = [symbol for symbol in rarest_first if lengths[symbol] < longest]
        symbol = max(short, key=lambda one: lengths[one])
        lengths[symbol] += 1
        taken -= whole >> lengths[symbol]
    while taken < whole:
        symbol = next(s for s in reversed(rarest_first) if whole >> lengths[s] <= whole - taken)
        taken += whole >> lengths[symbol]
        lengths[symbol] -= 1


def _codes(lengths: Sequence[int]) -> list[int]:
    """Canonical codes, first bit highest."""
    codes = [0] * len(lengths)
    code = 0
    for length in range(1, _LONGEST + 1):
        for symbol, other in enumerate(lengths):
            if other == length:
                codes[symbol] = code
                code += 1
        code <<= 1
    return codes


def _entries(lengths: Sequence[int]) -> list[int]:
    return [code | length << 15 for code, length in zip(_codes(lengths), lengths, strict=True)]


def _header(ll: Sequence[int], d: Sequence[int], final: bool) -> tuple[int, int]:
    hlit = max(_FEWEST_LL, _used(ll))
    hdist = max(_FEWEST_D, _used(d))
    # The device's decoder takes no repetition across the border of the two alphabets.
    items = _run_lengths(ll[:hlit]) + _run_lengths(d[:hdist])
    counts = [0] * len(CL_ORDER)
    for symbol, _, _ in items:
        counts[symbol] += 1
    cl = _lengths(counts, _LONGEST_CL)
    ordered = [cl[symbol] for symbol in CL_ORDER]
    hclen = max(_FEWEST_CL, _used(ordered))
    fields = [(int(final) | 2 << 1, 3), (hlit - _FEWEST_LL, 5), (hdist - 1, 5)]
    fields += [(hclen - _FEWEST_CL, 4)] + [(length, 3) for length in ordered[:hclen]]
    codes = _codes(cl)
    for symbol, extra, extra_bits in items:
        fields.append((reverse_bits(codes[symbol], cl[symbol]), cl[symbol]))
        fields.append((extra, extra_bits))
    bits = valid = 0
    for value, width in fields:
        bits |= value << valid
        valid += width
    return bits, valid


def _used(lengths: Sequence[int]) -> int:
    return max((n + 1 for n, length in enumerate(lengths) if length), default=0)


def _run_lengths(lengths: Sequence[int]) -> list[tuple[int, int, int]]:
    """Symbols 0 to 18 with the value and number of their extra bits."""
    items: list[tuple[int, int, int]] = []
    position = 0
    while position < len(lengths):
        length = lengths[position]
        run = 1
        while position + run < len(lengths) and lengths[position + run] == length and run < 138:
            run += 1
        if length == 0 and run >= 11:
            items.append((18, run - 11, 7))
        elif length == 0 and run >= 3:
            items.append((17, run - 3, 3))
        elif length and run >= 4:
            run = min(run, 7)
            items += [(length, 0, 0), (16, run - 4, 2)]
        else:
            run = 1
            items.append((length, 0, 0))
        position += run
    return items
