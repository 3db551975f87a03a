"""multifd channels read and written in plain Python, from the format alone: the engine's judge.

Shares nothing with the product: numbers and layouts are written down again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import zstandard

PAGE = 4096
MAGIC = 0x11223344
SYNC = 1
FLAG = {"none": 0, "zlib": 2, "zstd": 4, "qpl": 8}
_HEAD = struct.Struct(">IIIIIIQIIQQQ256s128Q")
assert _HEAD.size == 1344


def hello(channel: int, uuid: bytes = bytes(16), magic: int = MAGIC, version: int = 1) -> bytes:
    """The hand-shake."""
    return struct.pack(">II16sB39x", magic, version, uuid, channel)


@dataclass
class Packet:
    """A packet as on the wire; `zero` and `normal` are offsets."""

    flags: int
    number: int
    block: str
    normal: tuple[int, ...]
    zero: tuple[int, ...]
    payload: bytes
    pages_alloc: int = 128

    def pack(self, **change: int) -> bytes:
        """Bytes; `change` sets header fields to what does not fit the rest."""
        values = {
            "magic": MAGIC,
            "version": 1,
            "flags": self.flags,
            "pages_alloc": self.pages_alloc,
            "normal": len(self.normal),
            "size": len(self.payload),
            "number": self.number,
            "zero": len(self.zero),
            **change,
        }
        offsets = [*self.normal, *self.zero]
        offsets += [0] * (128 - len(offsets))
        return (
            _HEAD.pack(
                *(values[name] for name in values), 0, 0, 0, 0, self.block.encode(), *offsets
            )
            + self.payload
        )


def sync(number: int = 0) -> bytes:
    """A packet that only synchronises."""
    return Packet(SYNC, number, "", (), (), b"", pages_alloc=0).pack()


def packets(data: bytes) -> Iterator[Packet]:
    """Packets of a channel, hand-shake included in `data`."""
    offset = 64
    while offset < len(data):
        values = _HEAD.unpack_from(data, offset)
        magic, version, flags, pages_alloc, normal, size, number, zero = values[:8]
        assert (magic, version) == (MAGIC, 1)
        assert values[8:12] == (0, 0, 0, 0)
        offsets = values[13:]
        assert set(offsets[normal + zero :]) <= {0}
        offset += _HEAD.size
        payload = data[offset : offset + size]
        assert len(payload) == size
        offset += size
        block = values[12].rstrip(b"\0").decode()
        yield Packet(
            flags, number, block, offsets[:normal], offsets[normal : normal + zero], payload,
            pages_alloc,
        )  # fmt: skip


class Decoder:
    """One channel's payloads into pages."""

    def __init__(self, method: str) -> None:
        self.method = method
        self._zlib = zlib.decompressobj()
        self._zstd = zstandard.ZstdDecompressor().decompressobj()

    def pages(self, packet: Packet) -> list[bytes]:
        """Content of the normal pages."""
        if not packet.normal:
            assert packet.payload == b""
            return []
        if self.method == "qpl":
            return [page if len(page) == PAGE else inflate(page) for page in split(packet)]
        if self.method == "zlib":
            assert packet.payload.endswith(b"\0\0\xff\xff")
            data = self._zlib.decompress(packet.payload)
        elif self.method == "zstd":
            data = self._zstd.decompress(packet.payload)
        else:
            data = packet.payload
        assert len(data) == PAGE * len(packet.normal)
        return [data[n : n + PAGE] for n in range(0, len(data), PAGE)]


def split(packet: Packet) -> list[bytes]:
    """The pieces of a payload of method qpl."""
    count = len(packet.normal)
    lengths = struct.unpack_from(f">{count}I", packet.payload)
    pieces, offset = [], 4 * count
    for length in lengths:
        assert 0 < length <= PAGE
        pieces.append(packet.payload[offset : offset + length])
        offset += length
    assert offset == len(packet.payload)
    return pieces


def join(pieces: Iterable[bytes]) -> bytes:
    """The reverse."""
    pieces = list(pieces)
    return struct.pack(f">{len(pieces)}I", *map(len, pieces)) + b"".join(pieces)


def inflate(data: bytes) -> bytes:
    """One raw DEFLATE stream that ends where the data does."""
    decoder = zlib.decompressobj(-15)
    page = decoder.decompress(data) + decoder.flush()
    assert decoder.eof
    assert decoder.unused_data == b""
    assert len(page) == PAGE
    return page


def deflate(page: bytes, level: int = 1, strategy: int = zlib.Z_FIXED) -> bytes:
    """A page as another encoder could send it."""
    encoder = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return encoder.compress(page) + encoder.flush()


@dataclass
class Shape:
    """What a raw DEFLATE stream of fixed blocks is made of."""

    blocks: list[tuple[bool, int]]
    farthest: int
    size: int


_LENGTH_BASE = (*range(3, 11), 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115,
                131, 163, 195, 227, 258)  # fmt: skip
_LENGTH_EXTRA = (*[0] * 8, *[n for n in range(1, 6) for _ in range(4)], 0)
_DISTANCE_BASE = (1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769,
                  1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577)  # fmt: skip
_DISTANCE_EXTRA = (0, 0, *[n for n in range(14) for _ in range(2)])


def shape(data: bytes) -> Shape:
    """Blocks, greatest distance and output size; only fixed blocks can be walked through."""
    bits = int.from_bytes(data, "little")
    at = 0

    def take(count: int) -> int:
        nonlocal at
        value = bits >> at & ((1 << count) - 1)
        at += count
        return value

    def code(count: int) -> int:
        return int(f"{take(count):0{count}b}"[::-1], 2)

    def literal() -> int:
        value = code(7)
        if value < 0b0011000:
            return 256 + value
        value = value << 1 | take(1)
        if value < 0b11000000:
            return value - 0b00110000
        if value < 0b11001000:
            return 280 + value - 0b11000000
        return 144 + (value << 1 | take(1)) - 0b110010000

    found = Shape([], 0, 0)
    final = False
    while not final:
        final = bool(take(1))
        kind = take(2)
        found.blocks.append((final, kind))
        if kind != 1:
            return found
        while (symbol := literal()) != 256:
            if symbol < 256:
                found.size += 1
                continue
            found.size += _LENGTH_BASE[symbol - 257] + take(_LENGTH_EXTRA[symbol - 257])
            symbol = code(5)
            distance = _DISTANCE_BASE[symbol] + take(_DISTANCE_EXTRA[symbol])
            found.farthest = max(found.farthest, distance)
            assert distance <= found.size
    assert (at + 7) // 8 == len(data)
    return found
