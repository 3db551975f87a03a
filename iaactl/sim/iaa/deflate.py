"""Compression: matches within a 4 KiB window, symbols counted or coded with given tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from iaactl.sim.iaa import problem
from iaactl.sim.iaa.checksum import reverse_bits
from iaactl.sim.iaa.problem import AnalyticsProblem
from iaactl.sim.iaa.symbols import (
    D_CODES,
    DISTANCE_SYMBOL,
    DISTANCES,
    END_OF_BLOCK,
    HISTORY,
    LENGTH_SYMBOL,
    LENGTHS,
    LL_CODES,
    LONGEST,
    SHORTEST,
)

_WINDOW = HISTORY - 1
_TRIES = 8
_GOOD_ENOUGH = 64
_SPILL = 4096

NOTHING, EOB, EOB_STORED, EOB_FINAL_STORED = range(4)


def tokens(data: bytes, *, literals_only: bool, mini_block: int = 0) -> Iterator[int]:
    """Literals as 0 to 255, matches as length << 16 | distance.

    Greedy, newest candidate first. No match leaves or crosses a mini-block, where there are some.
    """
    if literals_only:
        yield from data
        return
    size = len(data)
    newest: dict[bytes, int] = {}
    older = [-1] * size
    position = 0
    while position < size:
        start = 0
        end = size
        if mini_block:
            start = position // mini_block * mini_block
            end = min(size, start + mini_block)
        start = max(start, position - _WINDOW)
        longest = min(LONGEST, end - position)
        best, distance = 0, 0
        key = data[position : position + SHORTEST]
        if longest >= SHORTEST:
            candidate = newest.get(key, -1)
            tries = _TRIES
            while candidate >= start and tries:
                tries -= 1
                if not best or data[candidate + best] == data[position + best]:
                    length = _common(data, candidate, position, longest)
                    if length > best:
                        best, distance = length, position - candidate
                        if best >= _GOOD_ENOUGH or best == longest:
                            break
                candidate = older[candidate]
        if best >= SHORTEST:
            yield best << 16 | distance
            stop = position + best
        else:
            yield data[position]
            stop = position + 1
        while position < stop:
            key = data[position : position + SHORTEST]
            older[position] = newest.get(key, -1)
            newest[key] = position
            position += 1


def _common(data: bytes, one: int, two: int, longest: int) -> int:
    """Length of the common prefix of two places, up to `longest`."""
    a, b = data[one : one + longest], data[two : two + longest]
    if a == b:
        return longest
    differ = int.from_bytes(a, "little") ^ int.from_bytes(b, "little")
    return ((differ & -differ).bit_length() - 1) // 8


def count(data: bytes, *, literals_only: bool, mini_block: int = 0) -> tuple[list[int], list[int]]:
    """How often each literal/length and distance symbol occurs; the end-of-block once."""
    ll = [0] * LL_CODES
    d = [0] * D_CODES
    for token in tokens(data, literals_only=literals_only, mini_block=mini_block):
        if token < END_OF_BLOCK:
            ll[token] += 1
        else:
            ll[END_OF_BLOCK + 1 + LENGTH_SYMBOL[token >> 16]] += 1
            d[DISTANCE_SYMBOL[token & 0xFFFF]] += 1
    ll[END_OF_BLOCK] = 1
    return ll, d


@dataclass
class Encoded:
    """A bit string: whole bytes, and fewer than eight bits after them."""

    data: bytes
    rest: int
    rest_bits: int


def encode(
    data: bytes,
    ll: Sequence[int],
    d: Sequence[int],
    head: int,
    head_bits: int,
    *,
    end: int,
    literals_only: bool,
    mini_block: int = 0,
) -> Encoded:
    """Code `data` after the bits of `head`; `ll` and `d` are table entries as in the AECS.

    Raises AnalyticsProblem when a symbol has no code.
    """
    ll_codes = [_entry(entry) for entry in ll]
    d_codes = [_entry(entry) for entry in d]
    output = bytearray()
    bits, valid = head, head_bits
    for token in tokens(data, literals_only=literals_only, mini_block=mini_block):
        if token < END_OF_BLOCK:
            code, length = ll_codes[token]
            if not length:
                raise AnalyticsProblem(problem.INVALID_HUFFMAN_CODE)
            bits |= code << valid
            valid += length
        else:
            match, distance = token >> 16, token & 0xFFFF
            symbol = LENGTH_SYMBOL[match]
            code, length = ll_codes[END_OF_BLOCK + 1 + symbol]
            first, extra = LENGTHS[symbol]
            bits |= (code | (match - first) << length) << valid
            symbol = DISTANCE_SYMBOL[distance]
            d_code, d_length = d_codes[symbol]
            if not length or not d_length:
                raise AnalyticsProblem(problem.INVALID_HUFFMAN_CODE)
            valid += length + extra
            first, extra = DISTANCES[symbol]
            bits |= (d_code | (distance - first) << d_length) << valid
            valid += d_length + extra
        if valid > _SPILL:
            whole = valid // 8
            output += (bits & (1 << 8 * whole) - 1).to_bytes(whole, "little")
            bits >>= 8 * whole
            valid -= 8 * whole
    if end != NOTHING:
        code, length = ll_codes[END_OF_BLOCK]
        if not length:
            raise AnalyticsProblem(problem.INVALID_HUFFMAN_CODE)
        bits |= code << valid
        valid += length
    if end in (EOB_STORED, EOB_FINAL_STORED):
        bits |= (end == EOB_FINAL_STORED) << valid
        valid = (valid + 3 + 7) // 8 * 8
        bits |= 0xFFFF0000 << valid
        valid += 32
    whole = valid // 8
    output += (bits & (1 << 8 * whole) - 1).to_bytes(whole, "little")
    return Encoded(bytes(output), bits >> 8 * whole, valid - 8 * whole)


def _entry(entry: int) -> tuple[int, int]:
    """Bit-reversed code and its length."""
    length = entry >> 15 & 0xF
    return reverse_bits(entry & (1 << length) - 1, length), length
