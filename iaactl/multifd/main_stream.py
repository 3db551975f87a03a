"""The main channel of a recorded migration, as far as RAM goes: blocks, zero pages, markers.

Only what precedes the state of devices can be read without knowing every device; all of RAM does.
Numbers are big-endian. Source: the format as QEMU 7.2 to 11.1 write it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntFlag

from iaactl.model.migration import PAGE_BYTES

MAGIC = b"QEVM"
_VERSION = 3
_EOF, _START, _PART, _END, _FULL = 0, 1, 2, 3, 4
_CONFIGURATION, _COMMAND, _FOOTER = 7, 8, 0x7E
_FLAGS = PAGE_BYTES - 1


class _Word(IntFlag):
    """Low bits of a word of the ram section."""

    ZERO = 0x002
    MEM_SIZE = 0x004
    PAGE = 0x008
    EOS = 0x010
    CONTINUE = 0x020
    FLUSH = 0x200


@dataclass(frozen=True, slots=True)
class PageRecord:
    """A page on the main channel: zero (`data` is None) or its 4096 bytes."""

    block: str
    offset: int
    data: bytes | None


@dataclass
class MainStream:
    """What was read. `rounds[n]` holds the page records that precede marker n + 1."""

    machine: str | None = None
    blocks: dict[str, int] = field(default_factory=dict)
    rounds: list[list[PageRecord]] = field(default_factory=list)
    error: tuple[int, str] | None = None

    @property
    def markers(self) -> int:
        """How often the channels are to be in step."""
        return len(self.rounds) - 1


class _Stop(Exception):
    """Nothing behind this offset can be read."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def take(self, size: int) -> bytes:
        piece = self.data[self.offset : self.offset + size]
        if len(piece) < size:
            raise _Stop(self.offset, f"the main channel ends {size - len(piece)} bytes too early")
        self.offset += size
        return piece

    def number(self, layout: str) -> int:
        return int(struct.unpack(f">{layout}", self.take(struct.calcsize(layout)))[0])

    def name(self) -> str:
        return self.take(self.number("B")).decode(errors="replace")


class _Parser:
    def __init__(self, data: bytes) -> None:
        self.reader = _Reader(data)
        self.found = MainStream()
        self.block = ""
        self.ram: int | None = None
        # Machine types up to 8.0 have no FLUSH: there the end of each section is the marker.
        self.at_flush: list[list[PageRecord]] = [[]]
        self.at_end: list[list[PageRecord]] = [[]]
        self.flushes = False

    def parse(self) -> MainStream:
        try:
            self.header()
            while self.record():
                pass
        except _Stop as stop:
            self.found.error = (stop.offset, stop.reason)
        self.found.rounds = self.at_flush if self.flushes else self.at_end
        return self.found

    def header(self) -> None:
        if self.reader.take(4) != MAGIC:
            raise _Stop(0, "this is no main channel")
        version = self.reader.number("I")
        if version != _VERSION:
            raise _Stop(4, f"version {version} of the main channel is not known")

    def record(self) -> bool:
        at = self.reader.offset
        kind = self.reader.number("B")
        if kind == _CONFIGURATION:
            name = self.reader.take(self.reader.number("I"))
            self.found.machine = name.decode(errors="replace")
        elif kind == _COMMAND:
            self.reader.number("H")
            self.reader.take(self.reader.number("H"))
        elif kind in (_START, _PART, _END):
            self.section(kind)
        elif kind == _FOOTER:
            self.reader.number("I")
        elif kind in (_FULL, _EOF):
            return False
        else:
            raise _Stop(at, f"a record of type {kind:#04x} is not known")
        return True

    def section(self, kind: int) -> None:
        at = self.reader.offset
        number = self.reader.number("I")
        if kind == _START:
            name = self.reader.name()
            self.reader.take(8)
            if name != "ram":
                raise _Stop(at, f"section {name!r} cannot be read")
            self.ram = number
        if number != self.ram:
            raise _Stop(at, f"section {number} was never started")
        while self.word():
            pass

    def word(self) -> bool:
        at = self.reader.offset
        word = self.reader.number("Q")
        address, flags = word & ~_FLAGS, _Word(word & _FLAGS)
        kind = flags & ~_Word.CONTINUE
        if kind == _Word.EOS:
            self.at_end.append([])
            return False
        if kind == _Word.MEM_SIZE:
            self.memory(address)
        elif kind == _Word.FLUSH:
            self.flushes = True
            self.at_flush.append([])
        elif kind in (_Word.ZERO, _Word.PAGE):
            if not flags & _Word.CONTINUE:
                self.block = self.reader.name()
            size = self.found.blocks.get(self.block, 0)
            if address > size - PAGE_BYTES:
                raise _Stop(at, f"a page at {address:#x} is outside the RAM block {self.block!r}")
            if kind == _Word.ZERO:
                self.reader.take(1)
                self.note(PageRecord(self.block, address, None))
            else:
                self.note(PageRecord(self.block, address, self.reader.take(PAGE_BYTES)))
        else:
            raise _Stop(at, f"a word with the flags {flags:#x} is not known")
        return True

    def note(self, record: PageRecord) -> None:
        self.at_flush[-1].append(record)
        self.at_end[-1].append(record)

    def memory(self, total: int) -> None:
        while total > 0:
            at = self.reader.offset
            name = self.reader.name()
            size = self.reader.number("Q")
            if not size or size % PAGE_BYTES or size > total:
                raise _Stop(at, f"the RAM block {name!r} has {size} bytes of {total}")
            self.found.blocks[name] = size
            total -= size


def parse(data: bytes) -> MainStream:
    """Read up to the state of the first device. Never raises: what stops it is in `error`."""
    return _Parser(data).parse()
