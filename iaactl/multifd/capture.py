"""Recorded migrations: what the channels held, checked as a receiver checks them."""

from __future__ import annotations

import lzma
import os
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from iaactl.errors import DocumentError, StreamError
from iaactl.model.device import Frozen
from iaactl.model.migration import PAGE_BYTES, ChannelCounters, Method
from iaactl.multifd import main_stream
from iaactl.multifd.main_stream import MainStream, PageRecord
from iaactl.multifd.memory import Memory
from iaactl.multifd.pipeline import ReceiveOptions, Receiver

Inspect = Callable[[Mapping[str, Memory]], None]

_CHANNEL_MAGIC = 0x11223344
_HELLO_BYTES, _HEADER_BYTES, _STATE_HEADER_BYTES = 64, 1344, 276
_SYNC, _METHODS, _STATE = 0x01, 0x3E, 0x40
_METHOD_OF = {0: Method.NONE, 2: Method.ZLIB, 4: Method.ZSTD, 8: Method.QPL}
# Files are there or not: nothing has to be waited for, but a channel that never ends is a bug.
_PATIENCE_S = 600.0


class CaptureError(Frozen):
    """A defect of the recording."""

    file: str
    channel: int | None
    packet: int | None
    offset: int | None
    reason: str


class BlockSummary(Frozen):
    """A RAM block, as the main stream declares it."""

    name: str
    size_bytes: int


class CaptureSummary(Frozen):
    """What a capture holds. `ratio` is bytes of normal pages by their payload bytes."""

    directory: str
    method: Method
    machine: str | None
    uuid: str
    blocks: tuple[BlockSummary, ...]
    rounds: int
    packets: int
    normal_pages: int
    zero_pages: int
    raw_pages: int
    payload_bytes: int
    wire_bytes: int
    ratio: float
    channels: tuple[ChannelCounters, ...]
    errors: tuple[CaptureError, ...]


def decode_capture(directory: Path, inspect: Inspect | None = None) -> CaptureSummary:
    """Decode the files `*.c2s`, plain or packed by xz, of a recorded migration.

    Roles are found by the first four bytes of each; the method by the packets' flags; the RAM
    blocks in the main stream. `inspect` is called with the memory of every block, by name, as a
    destination would have it at the end; the memory is freed afterwards. Defects of the streams
    are in `errors`, a directory that is no capture raises DocumentError.
    """
    files = _read(directory)
    mains = {name: data for name, data in files.items() if data[:4] == main_stream.MAGIC}
    channels = {name: data for name, data in files.items() if name not in mains}
    if len(mains) != 1 or not channels:
        raise DocumentError(
            f"{directory} is no capture of a multifd migration: {len(mains)} main channels, "
            f"{len(channels)} others",
            hint="a capture has one file NAME.c2s for each connection of one migration",
        )
    (main_name, main_data) = next(iter(mains.items()))
    main = main_stream.parse(main_data)
    if not main.blocks:
        reason = main.error[1] if main.error else "it has no RAM section"
        raise DocumentError(f"{directory}/{main_name} names no RAM block: {reason}")
    errors = []
    if main.error:
        errors.append(
            CaptureError(
                file=main_name, channel=None, packet=None, offset=main.error[0],
                reason=main.error[1],
            )
        )  # fmt: skip
    outlines = [_outline(data) for data in channels.values()]
    method = _method(directory, outlines)
    rounds = max(outline.syncs for outline in outlines)
    if rounds != main.markers and not main.error:
        reason = f"the main channel has {main.markers} markers, the others have {rounds} SYNCs"
        errors.append(
            CaptureError(file=main_name, channel=None, packet=None, offset=None, reason=reason)
        )
    counters, error = _decode(main, list(channels.values()), method, rounds, inspect)
    if error is not None:
        errors.append(_in_file(error, list(channels)))
    return _summary(directory, main, method, rounds, outlines[0].uuid, counters, errors)


def _read(directory: Path) -> dict[str, bytes]:
    try:
        paths = sorted([*directory.glob("*.c2s"), *directory.glob("*.c2s.xz")])
        return {
            path.name: lzma.decompress(path.read_bytes())
            if path.suffix == ".xz"
            else path.read_bytes()
            for path in paths
        }
    except lzma.LZMAError as problem:
        raise DocumentError(f"a file of {directory} cannot be unpacked: {problem}") from None
    except OSError as problem:
        raise DocumentError(f"{directory} cannot be read: {problem}") from None


@dataclass(frozen=True)
class _Outline:
    """A channel from header to header, without looking at pages."""

    uuid: bytes
    method: int | None
    syncs: int


def _outline(data: bytes) -> _Outline:
    """As far as it makes sense: the decoder says what is wrong."""
    offset, method, syncs = _HELLO_BYTES, None, 0
    while offset + _STATE_HEADER_BYTES <= len(data):
        magic, _, flags = struct.unpack_from(">III", data, offset)
        if magic != _CHANNEL_MAGIC:
            break
        if flags & _STATE:
            offset += _STATE_HEADER_BYTES + struct.unpack_from(">I", data, offset + 272)[0]
            continue
        normal, size = struct.unpack_from(">II", data, offset + 16)
        (zero,) = struct.unpack_from(">I", data, offset + 32)
        if normal + zero and method is None:
            method = flags & _METHODS
        syncs += flags & _SYNC
        offset += _HEADER_BYTES + size
    return _Outline(data[8:24].ljust(16, b"\0"), method, syncs)


def _method(directory: Path, outlines: Sequence[_Outline]) -> Method:
    bits = next((outline.method for outline in outlines if outline.method is not None), 0)
    if bits not in _METHOD_OF:
        raise DocumentError(f"{directory} has packets of a method that is not known ({bits:#x})")
    return _METHOD_OF[bits]


@contextmanager
def _as_file(data: bytes) -> Iterator[int]:
    """An open descriptor that reads `data`."""
    fd = os.memfd_create("channel", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(data)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def _decode(
    main: MainStream,
    channels: Sequence[bytes],
    method: Method,
    rounds: int,
    inspect: Inspect | None,
) -> tuple[tuple[ChannelCounters, ...], StreamError | None]:
    """Let a receiver have the channels, and the main channel's pages in between."""
    error = None
    with ExitStack() as stack:
        memories = {
            name: stack.enter_context(Memory(size, prealloc=False))
            for name, size in main.blocks.items()
        }
        fds = [stack.enter_context(_as_file(data)) for data in channels]
        receiver = stack.enter_context(
            Receiver.recorded(memories, fds, ReceiveOptions(method=method))
        )
        receiver.start()
        try:
            for number in range(1, rounds + 1):
                receiver.wait_sync(number, _PATIENCE_S)
                _apply(main.rounds[number - 1 : number], memories)
                receiver.release(number)
            receiver.finish(_PATIENCE_S)
            _apply(main.rounds[rounds:], memories)
        except StreamError as problem:
            error = problem
        counters = receiver.counters()
        receiver.close()
        if inspect is not None:
            inspect(memories)
    return tuple(sorted(counters, key=lambda one: one.channel)), error


def _apply(rounds: Sequence[Sequence[PageRecord]], memories: Mapping[str, Memory]) -> None:
    for records in rounds:
        for record in records:
            with memories[record.block].view() as view:
                view[record.offset : record.offset + PAGE_BYTES] = record.data or bytes(PAGE_BYTES)


def _in_file(error: StreamError, names: Sequence[str]) -> CaptureError:
    facts = error.facts
    connection, offset = facts["connection"], facts["offset"]
    channel, packet = facts["channel"], facts["packet"]
    assert isinstance(connection, int)
    assert isinstance(offset, int)
    return CaptureError(
        file=names[connection],
        channel=channel if isinstance(channel, int) else None,
        packet=packet if isinstance(packet, int) else None,
        offset=offset,
        reason=str(facts["reason"]),
    )


def _summary(
    directory: Path,
    main: MainStream,
    method: Method,
    rounds: int,
    uuid: bytes,
    channels: tuple[ChannelCounters, ...],
    errors: Sequence[CaptureError],
) -> CaptureSummary:
    normal = sum(one.normal_pages for one in channels)
    payload = sum(one.payload_bytes for one in channels)
    return CaptureSummary(
        directory=str(directory),
        method=method,
        machine=main.machine,
        uuid=str(UUID(bytes=uuid)),
        blocks=tuple(BlockSummary(name=n, size_bytes=size) for n, size in main.blocks.items()),
        rounds=rounds,
        packets=sum(one.packets for one in channels),
        normal_pages=normal,
        zero_pages=sum(one.zero_pages for one in channels),
        raw_pages=sum(one.raw_pages for one in channels),
        payload_bytes=payload,
        wire_bytes=sum(one.wire_bytes for one in channels),
        ratio=normal * PAGE_BYTES / payload if payload else 1.0,
        channels=channels,
        errors=tuple(errors),
    )
