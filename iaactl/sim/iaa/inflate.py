"""Decompression that can stop at any point and be continued: at the end of input or output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from iaactl.sim.iaa import problem
from iaactl.sim.iaa.codes import (
    FIXED_D,
    FIXED_LL,
    Short,
    Table,
    dynamic_header,
    table_of,
)
from iaactl.sim.iaa.problem import AnalyticsProblem
from iaactl.sim.iaa.symbols import D_CODES, DISTANCES, END_OF_BLOCK, HISTORY, LENGTHS, LL_CODES

# Bits the input accumulator of the AECS holds; a longer header cannot be cut in two.
ACCUMULATOR_BITS = 32 * 64
_REFILL_BELOW = 48  # the longest token: 15 + 5 + 15 + 13 bits
_HEADER_BYTES = 320  # more than any block header
_DRAIN = 1 << 20


class Mode(Enum):
    """What the decoder expects next."""

    HEADER = auto()
    TOKENS = auto()
    STORED = auto()
    DONE = auto()


class Stop(Enum):
    """Why a run ended."""

    INPUT = auto()
    OUTPUT = auto()
    END_OF_BLOCK = auto()


@dataclass
class State:
    """All that a later run needs. Bits are in stream order, first bit lowest."""

    mode: Mode = Mode.HEADER
    final: bool = False
    ll_lengths: bytes = b""
    d_lengths: bytes = b""
    literals: Table | None = None
    stored_left: int = 0
    match_left: int = 0
    match_distance: int = 0
    history: bytes = b""
    bits: int = 0
    bits_valid: int = 0
    index_offset: int = 0
    mini_block_filled: int = 0


@dataclass(frozen=True)
class Rules:
    """When to stop and what to insist on."""

    stop: bool = False
    check: bool = False
    final_only: bool = False
    ignore_end_bits: int = 0


class Inflater:
    """One run over one source. `limit` is the most output, None for any amount.

    With `sink`, which goes without a limit only, the output goes there in pieces and is not kept.
    """

    def __init__(
        self,
        state: State,
        source: bytes,
        rules: Rules,
        limit: int | None,
        sink: Callable[[bytes], None] | None = None,
    ) -> None:
        self.state = state
        self.rules = rules
        self.consumed = 0
        self._limit = limit
        self._sink = sink
        self._carried = (state.bits_valid + 7) // 8
        pad = 8 * self._carried - state.bits_valid
        self._data = (state.bits << pad).to_bytes(self._carried, "little") + source
        self._source_bytes = len(source)
        self._position = 0
        self._bits = 0
        self._valid = 0
        self._ignored = 0
        self._out = bytearray(state.history)
        self._start = len(state.history)
        self._drained = 0
        self._ended_block = False
        if self._data:
            self._refill()
            # Bits to be ignored may leave less than the padding.
            self._skip(min(pad, self._valid))

    @property
    def output(self) -> bytes:
        """What was produced and not given to the sink."""
        return bytes(self._out[self._start :])

    @property
    def produced(self) -> int:
        """Bytes produced."""
        return self._drained + len(self._out) - self._start

    def run(self) -> Stop:
        """Decode; leaves `state` ready for the next run and sets `consumed`.

        Raises AnalyticsProblem, with the bytes consumed, when the stream is wrong.
        """
        try:
            stop = self._run()
            if stop is Stop.INPUT and self._remaining() > ACCUMULATOR_BITS:
                raise AnalyticsProblem(problem.HEADER_TOO_BIG)
            if stop is Stop.INPUT and self.rules.check and not self._ended_block:
                raise AnalyticsProblem(problem.EOB_MISSING)
        except AnalyticsProblem as wrong:
            self._drain(0)
            wrong.consumed = self._position_in_source()
            raise
        self._finish(stop)
        return stop

    def _run(self) -> Stop:
        while self.state.mode is not Mode.DONE:
            try:
                if not self._step():
                    return Stop.OUTPUT
            except Short:
                return Stop.INPUT
            if self.state.mode is Mode.HEADER:
                self._block_ended()
        return Stop.END_OF_BLOCK

    def _block_ended(self) -> None:
        counts = self.state.final or not self.rules.final_only
        self._ended_block = counts
        if self.rules.stop and counts:
            self.state.mode = Mode.DONE

    def _step(self) -> bool:
        """A block header, or the rest of a block; false when the output is full."""
        if self.state.mode is Mode.TOKENS:
            return self._tokens()
        if self.state.mode is Mode.STORED:
            return self._stored()
        self._header()
        return True

    # -- input --------------------------------------------------------------------------------

    def _refill(self) -> None:
        chunk = self._data[self._position : self._position + 8]
        if not chunk:
            return
        self._bits |= int.from_bytes(chunk, "little") << self._valid
        self._valid += 8 * len(chunk)
        self._position += len(chunk)
        if self._position == len(self._data) and self.rules.ignore_end_bits:
            self._ignored = min(self.rules.ignore_end_bits, self._valid)
            self._valid -= self._ignored
            self._bits &= (1 << self._valid) - 1

    def _remaining(self) -> int:
        """Bits not consumed."""
        later = 8 * (len(self._data) - self._position)
        if later and not self._ignored:
            later -= self.rules.ignore_end_bits
        return max(0, self._valid + later)

    def _skip(self, count: int) -> None:
        while count > self._valid:
            count -= self._valid
            self._bits = self._valid = 0
            before = self._position
            self._refill()
            if self._position == before:
                raise Short
        self._bits >>= count
        self._valid -= count

    def _ahead(self) -> tuple[int, int]:
        """Many bits to look at, and how many there are."""
        more = self._data[self._position : self._position + _HEADER_BYTES]
        valid = min(self._valid + 8 * len(more), self._remaining())
        bits = self._bits | int.from_bytes(more, "little") << self._valid
        return bits & (1 << valid) - 1, valid

    # -- blocks -------------------------------------------------------------------------------

    def _header(self) -> None:
        bits, valid = self._ahead()
        if valid < 3:
            raise Short
        state = self.state
        kind = bits >> 1 & 3
        if kind == 3:
            raise AnalyticsProblem(problem.BLOCK_TYPE)
        if kind == 0:
            # Padding is counted in the bits as they came, before any were ignored at the end.
            pad = (self._valid + self._ignored - 3) % 8
            if valid < 3 + pad + 32:
                raise Short
            length = bits >> 3 + pad & 0xFFFF
            if length ^ bits >> 3 + pad + 16 & 0xFFFF != 0xFFFF:
                raise AnalyticsProblem(problem.STORED_LENGTH)
            self._skip(3 + pad + 32)
            state.stored_left = length
            state.mode = Mode.STORED
        elif kind == 1:
            self._skip(3)
            state.ll_lengths, state.d_lengths = FIXED_LL, FIXED_D
            state.mode = Mode.TOKENS
        else:
            ll, d, used = dynamic_header(bits >> 3, valid - 3)
            table_of(ll, problem.BAD_LL_LENGTHS)
            table_of(d, problem.BAD_D_LENGTHS)
            self._skip(3 + used)
            state.ll_lengths, state.d_lengths = ll, d
            state.mode = Mode.TOKENS
        state.literals = None
        state.final = bool(bits & 1)
        self._ended_block = False

    def _stored(self) -> bool:
        state = self.state
        while state.stored_left:
            if self._remaining() < 8:
                raise Short
            room = self._room(state.stored_left)
            if not room:
                return False
            # Give whole bytes back, then copy from the data itself.
            self._position -= (self._valid + self._ignored) // 8
            self._bits = self._valid = 0
            there = self._remaining_bytes()
            taken = min(room, state.stored_left, there)
            self._out += self._data[self._position : self._position + taken]
            self._position += taken
            self._ignored = 0
            state.stored_left -= taken
            self._drain(_DRAIN)
            self._refill()
        state.mode = Mode.HEADER
        return True

    def _remaining_bytes(self) -> int:
        bits = 8 * (len(self._data) - self._position) - self.rules.ignore_end_bits
        return max(0, bits // 8)

    def _room(self, wanted: int) -> int:
        """Bytes of `wanted` that may still be produced."""
        if self._limit is None:
            return wanted
        return min(wanted, self._limit - self.produced)

    def _tables(self) -> tuple[Table, Table]:
        state = self.state
        if state.literals is not None:
            return state.literals, Table([])
        return (
            table_of(state.ll_lengths, problem.BAD_LL_LENGTHS),
            table_of(state.d_lengths, problem.BAD_D_LENGTHS),
        )

    def _tokens(self) -> bool:
        """Decode to the end of the block; false when the output is full."""
        state = self.state
        if state.match_left and not self._copy(state.match_left, state.match_distance):
            return False
        state.match_left = 0
        ll, d = self._tables()
        ll_entries, ll_mask = ll.entries, ll.mask
        out = self._out
        # A sink and a limit do not go together, so the length that means full stays the same.
        full = -1 if self._limit is None else self._start + self._limit
        sinking = self._sink is not None
        while True:
            if self._valid < _REFILL_BELOW:
                self._refill()
            bits, valid = self._bits, self._valid
            entry = ll_entries[bits & ll_mask]
            used = entry & 15
            if not used and valid >= ll.bits:
                raise AnalyticsProblem(problem.BAD_LL_CODE)
            if not used or used > valid:
                raise Short
            symbol = entry >> 4
            if symbol < END_OF_BLOCK:
                if len(out) == full:
                    return False
                out.append(symbol)
                self._bits = bits >> used
                self._valid = valid - used
                self._ended_block = False
                if sinking and len(out) > _DRAIN:
                    self._drain(_DRAIN)
                continue
            if symbol == END_OF_BLOCK:
                self._bits = bits >> used
                self._valid = valid - used
                state.mode = Mode.HEADER
                return True
            if symbol >= LL_CODES:
                # 286 and 287, which only the fixed code has.
                raise AnalyticsProblem(problem.BAD_LL_CODE)
            first, extra = LENGTHS[symbol - END_OF_BLOCK - 1]
            length = first + (bits >> used & (1 << extra) - 1)
            used += extra
            entry = d.entries[bits >> used & d.mask]
            d_used = entry & 15
            if not d_used and valid >= used + d.bits:
                raise AnalyticsProblem(problem.BAD_D_CODE)
            if not d_used or used + d_used > valid:
                raise Short
            used += d_used
            if entry >> 4 >= D_CODES:
                raise AnalyticsProblem(problem.BAD_D_CODE)
            first, extra = DISTANCES[entry >> 4]
            distance = first + (bits >> used & (1 << extra) - 1)
            used += extra
            if used > valid:
                raise Short
            if distance > HISTORY:
                raise AnalyticsProblem(problem.MATCH_DISTANCE)
            if distance > len(out):
                raise AnalyticsProblem(problem.REFERENCE_BEFORE_START)
            if len(out) == full:
                return False
            self._bits = bits >> used
            self._valid = valid - used
            self._ended_block = False
            if not self._copy(length, distance):
                return False

    def _copy(self, length: int, distance: int) -> bool:
        """Repeat earlier output; false, with the rest noted in the state, when there is no room."""
        out = self._out
        fits = self._room(length)
        start = len(out) - distance
        if distance >= fits:
            out += out[start : start + fits]
        else:
            piece = out[start:]
            out += (piece * (fits // distance + 1))[:fits]
        self._drain(_DRAIN)
        self.state.match_left = length - fits
        self.state.match_distance = distance
        return fits == length

    def _drain(self, above: int) -> None:
        """Hand output to the sink when there is more than `above`; history stays."""
        if self._sink is None or len(self._out) - self._start <= above:
            return
        self._sink(bytes(self._out[self._start :]))
        self._drained += len(self._out) - self._start
        keep = min(len(self._out), HISTORY)
        del self._out[: len(self._out) - keep]
        self._start = keep

    # -- ending -------------------------------------------------------------------------------

    def _position_in_source(self) -> int:
        unused = (self._valid + self._ignored) // 8
        return max(0, min(self._position - unused - self._carried, self._source_bytes))

    def _finish(self, stop: Stop) -> None:
        state = self.state
        if stop is Stop.INPUT:
            more = self._data[self._position :]
            left = self._remaining()
            bits = self._bits | int.from_bytes(more, "little") << self._valid
            state.bits, state.bits_valid = bits & (1 << left) - 1, left
            self.consumed = self._source_bytes
        else:
            self.consumed = self._position_in_source()
            # What is left of the byte in use, and carried bytes that were not reached.
            boundary = self._carried + self.consumed
            more = self._data[self._position : boundary]
            bits = self._bits | int.from_bytes(more, "little") << self._valid
            left = self._valid + self._ignored + 8 * (boundary - self._position)
            left = max(0, min(left, self._valid + 8 * len(more)))
            state.bits, state.bits_valid = bits & (1 << left) - 1, left
        if self._sink is not None:
            self._drain(0)
        state.history = bytes(self._out[-HISTORY:])
