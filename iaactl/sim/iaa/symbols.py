"""DEFLATE symbols: which length and distance symbol stands for what (RFC 1951, 3.2.5)."""

from __future__ import annotations

END_OF_BLOCK = 256
LL_CODES = 286
D_CODES = 30
SHORTEST, LONGEST = 3, 258
HISTORY = 4096
CL_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)


def _lengths() -> list[tuple[int, int]]:
    """First length and number of extra bits of symbols 257 to 285."""
    table = []
    first = SHORTEST
    for symbol in range(28):
        extra = max(0, symbol // 4 - 1)
        table.append((first, extra))
        first += 1 << extra
    table.append((LONGEST, 0))
    return table


def _distances() -> list[tuple[int, int]]:
    """First distance and number of extra bits of symbols 0 to 29."""
    table = []
    first = 1
    for symbol in range(D_CODES):
        extra = max(0, symbol // 2 - 1)
        table.append((first, extra))
        first += 1 << extra
    return table


LENGTHS = _lengths()
DISTANCES = _distances()


def _symbol_of(table: list[tuple[int, int]], top: int) -> list[int]:
    result = [0] * (top + 1)
    for symbol, (first, extra) in enumerate(table):
        for value in range(first, min(first + (1 << extra), top + 1)):
            result[value] = symbol
    return result


# Later symbols win, so length 258 is symbol 285 and not 284 with all extra bits set.
LENGTH_SYMBOL = _symbol_of(LENGTHS, LONGEST)
DISTANCE_SYMBOL = _symbol_of(DISTANCES, HISTORY)
