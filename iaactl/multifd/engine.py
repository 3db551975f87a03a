"""The page engine as one object that makes memories, dirtiers and ends of migrations."""

from __future__ import annotations

from collections.abc import Sequence

from iaactl.multifd.memory import Dirtier, Memory, Pattern
from iaactl.multifd.pipeline import ReceiveOptions, Receiver, Sender, SendOptions


class NativeEngine:
    """Makes what the classes of this package are; has no state."""

    def memory(self, size_bytes: int, *, prealloc: bool) -> Memory:
        """See `Memory`."""
        return Memory(size_bytes, prealloc=prealloc)

    def first_difference(self, one: Memory, other: Memory) -> int | None:
        """See `Memory.first_difference`."""
        return one.first_difference(other)

    def dirtier(
        self, memory: Memory, *, pages_per_s: int, pattern: Pattern, pages: int, seed: int
    ) -> Dirtier:
        """See `Dirtier`; writes the first `pages` pages."""
        return Dirtier(
            memory, pages_per_s=pages_per_s, pattern=pattern, first_page=0, pages=pages, seed=seed
        )

    def sender(self, memory: Memory, fds: Sequence[int], options: SendOptions) -> Sender:
        """See `Sender`."""
        return Sender(memory, fds, options)

    def receiver(self, memory: Memory, fds: Sequence[int], options: ReceiveOptions) -> Receiver:
        """See `Receiver`."""
        return Receiver(memory, fds, options)
