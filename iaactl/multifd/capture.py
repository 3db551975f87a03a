"""Recorded migrations: what the channels held, checked as a receiver checks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from iaactl.model.device import Frozen
from iaactl.model.migration import ChannelCounters, Method
from iaactl.multifd.memory import Memory


class CaptureError(Frozen):
    """A defect of the recording."""

    file: str
    channel: int | None
    packet: int | None
    offset: int
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


def decode_capture(
    directory: Path, inspect: Callable[[Mapping[str, Memory]], None] | None = None
) -> CaptureSummary:
    """Decode the files `*.c2s`, plain or packed by xz, of a recorded migration.

    Roles are found by the first four bytes of each; the method by the packets' flags; the RAM
    blocks in the main stream. `inspect` is called with the memory of every block, by name, as a
    destination would have it at the end; the memory is freed afterwards. Defects of the streams
    are in `errors`, a directory that is no capture raises DocumentError.
    """
    raise NotImplementedError
