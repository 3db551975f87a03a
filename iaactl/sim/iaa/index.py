"""Indexing: decompression that notes where mini-blocks begin, and insists that they stand alone.

An entry is a bit offset in the stream and, above it, the CRC of everything before. Entries stand
for the end of each block header, the end of each mini-block, and the end of each block.
"""

from __future__ import annotations

from typing import Protocol

from iaactl.sim.iaa import problem
from iaactl.sim.iaa.codes import Short
from iaactl.sim.iaa.inflate import Inflater, Mode, Rules, State, Stop
from iaactl.sim.iaa.problem import AnalyticsProblem
from iaactl.sim.iaa.symbols import END_OF_BLOCK

_MASK32 = 0xFFFFFFFF


class Checksum(Protocol):
    """Takes the output in pieces; the CRC so far."""

    @property
    def crc(self) -> int:
        """CRC of all pieces."""
        ...

    def add(self, piece: bytes) -> None:
        """Continue with a piece."""
        ...


class IndexingInflater(Inflater):
    """One run that keeps no output. `mini_block` is the size of mini-blocks in bytes.

    Only the current mini-block is kept as history, so a match that reaches back farther shows.
    """

    def __init__(
        self, state: State, source: bytes, rules: Rules, mini_block: int, checksum: Checksum
    ) -> None:
        self._filled = state.mini_block_filled
        self._bits_at_start = state.bits_valid + 8 * len(source)
        super().__init__(state, source, rules, 0)
        self.entries: list[int] = []
        self._mini_block = mini_block
        self._checksum = checksum
        self._cut_short = False
        self._coded = True
        self._later = state.mode is Mode.TOKENS

    def run(self) -> Stop:
        """As Inflater.run; the entries are in `entries`."""
        stop = super().run()
        self.state.index_offset = self._end
        self.state.mini_block_filled = self._filled
        return stop

    @property
    def _offset(self) -> int:
        """Bits consumed since the start of the stream."""
        used = self._bits_at_start - self.rules.ignore_end_bits - self._remaining()
        return self.state.index_offset + used

    def _note(self, offset: int) -> None:
        self.entries.append(self._checksum.crc << 32 | offset & _MASK32)

    def _run(self) -> Stop:
        state = self.state
        stop = Stop.END_OF_BLOCK
        if self._filled > self._mini_block:
            raise AnalyticsProblem(problem.BAD_AECS)
        try:
            while state.mode is not Mode.DONE:
                if state.mode is Mode.HEADER:
                    self._header()
                    self._note(self._offset)
                    self._cut_short = bool(self._filled)
                    continue
                self._coded = state.mode is Mode.TOKENS
                if self._segment():
                    self._end_of_block()
        except Short:
            stop = Stop.INPUT
        self._end = self._offset
        return stop

    def _segment(self) -> bool:
        """Decode to the end of the mini-block or of the block; true for the latter."""
        before = self.produced
        self._limit = before + self._mini_block - self._filled
        try:
            ended = self._step()
        except AnalyticsProblem as wrong:
            if wrong.error == problem.REFERENCE_BEFORE_START and self._later:
                raise AnalyticsProblem(problem.DISTANCE_SPANS_MINI_BLOCKS) from None
            raise
        except Short:
            self._account(before)
            if self._filled == self._mini_block:
                self._note(self._offset)
                self._begin_mini_block()
            raise
        self._account(before)
        if self.state.match_left:
            raise AnalyticsProblem(problem.LENGTH_SPANS_MINI_BLOCKS)
        if ended:
            return True
        self._note(self._offset)
        self._begin_mini_block()
        return False

    def _account(self, before: int) -> None:
        produced = self.produced - before
        if produced and self._cut_short:
            # The block before ended within a mini-block, and this one is not empty.
            raise AnalyticsProblem(problem.MINI_BLOCK_SIZE)
        self._checksum.add(bytes(self._out[len(self._out) - produced :]))
        self._filled += produced

    def _begin_mini_block(self) -> None:
        self._out.clear()
        self._start = 0
        self._filled = 0
        self._later = True

    def _end_of_block(self) -> None:
        state = self.state
        if self._filled:
            # It ends where the end-of-block symbol begins; stored blocks have no such symbol.
            end = state.ll_lengths[END_OF_BLOCK] if self._coded else 0
            self._note(self._offset - end)
            if self._filled == self._mini_block:
                self._begin_mini_block()
        self._note(self._offset)
        self._block_ended()
