"""What the benchmark needs of a page engine; `iaactl.multifd` is one, tests have a small one.

Promises are those of `iaactl.multifd.memory` and `iaactl.multifd.pipeline`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from iaactl.model.migration import ChannelCounters, Choice
from iaactl.multifd.memory import Pattern
from iaactl.multifd.pipeline import ReceiveOptions, SendOptions


class GuestMemory(Protocol):
    """Memory with a dirty bitmap."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def pages(self) -> int:
        """Pages of 4096 bytes."""

    def view(self) -> memoryview:
        """Writable bytes; must be released before `close`."""

    def mark_all_dirty(self) -> None:
        """Every page is to be sent."""

    def dirty_pages(self) -> int:
        """Pages that wait."""

    def close(self) -> None:
        """Give it back."""


class Dirtier(Protocol):
    """A thread that writes to guest memory."""

    def start(self) -> None:
        """Start writing."""

    def stop(self) -> int:
        """End it; nothing is written after this returns. Pages written in all."""

    def close(self) -> None:
        """Stop and free."""


class Sender(Protocol):
    """The sending end."""

    def round(self) -> int:
        """Send the dirty pages, then SYNC; pages sent."""

    def counters(self) -> tuple[ChannelCounters, ...]:
        """Sums so far."""

    @property
    def backend(self) -> Choice:
        """Who compresses, and why."""

    def finish(self) -> None:
        """No more will be sent."""

    def close(self) -> None:
        """Cancel and free."""


class Receiver(Protocol):
    """The receiving end."""

    def start(self) -> None:
        """Start receiving."""

    def wait_sync(self, n: int, timeout_s: float) -> None:
        """Until everything before the n-th SYNC is in place."""

    def finish(self, timeout_s: float) -> None:
        """Until every channel has ended."""

    def counters(self) -> tuple[ChannelCounters, ...]:
        """Sums so far."""

    @property
    def backend(self) -> Choice:
        """Who decompresses, and why."""

    def close(self) -> None:
        """Cancel and free."""


Memory = Any
"""A `GuestMemory` that the same engine made; no engine can work with another's."""


class Engine(Protocol):
    """Makes all of these."""

    def memory(self, size_bytes: int, *, prealloc: bool) -> GuestMemory:
        """Fresh memory."""

    def first_difference(self, one: Memory, other: Memory) -> int | None:
        """Index of the first page in which memories of this engine differ."""

    def dirtier(
        self, memory: Memory, *, pages_per_s: int, pattern: Pattern, pages: int, seed: int
    ) -> Dirtier:
        """Writes the first `pages` of `memory`."""

    def sender(self, memory: Memory, fds: Sequence[int], options: SendOptions) -> Sender:
        """A sender over memory of this engine."""

    def receiver(self, memory: Memory, fds: Sequence[int], options: ReceiveOptions) -> Receiver:
        """A receiver into memory of this engine."""
