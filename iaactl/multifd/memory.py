"""Guest memory with a dirty bitmap, and a thread that dirties it as a guest would."""

from __future__ import annotations

from types import TracebackType
from typing import Literal

Pattern = Literal["sequential", "random", "hot"]


class Memory:
    """Anonymous private memory of `size_bytes` (a multiple of 4096), all zero, no page dirty.

    Like QEMU's guest RAM it asks for huge pages. `prealloc` faults every page in at once, as
    `-mem-prealloc` does. Raises UsageProblem for a bad size and HostError when there is no memory.
    """

    def __init__(self, size_bytes: int, *, prealloc: bool) -> None:
        raise NotImplementedError

    @property
    def address(self) -> int:
        """Where it begins."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Bytes."""
        raise NotImplementedError

    @property
    def pages(self) -> int:
        """Pages of 4096 bytes."""
        raise NotImplementedError

    def view(self) -> memoryview:
        """Writable bytes. Writing through it marks nothing dirty. `close` refuses while any
        view, or slice of one, is alive: call `release()` on it."""
        raise NotImplementedError

    def mark_all_dirty(self) -> None:
        """Every page is to be sent in the next round."""
        raise NotImplementedError

    def dirty_pages(self) -> int:
        """Pages that wait for the next round."""
        raise NotImplementedError

    def clear(self) -> None:
        """All zero again as when fresh: pages given back, nothing dirty, nothing received."""
        raise NotImplementedError

    def first_difference(self, other: Memory) -> int | None:
        """Index of the first page that differs from `other` (of the same size), None if equal."""
        raise NotImplementedError

    def close(self) -> None:
        """Give the memory back; engines over it must be closed before."""
        raise NotImplementedError

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Dirtier:
    """A native thread that writes pages `first_page` .. `first_page + pages - 1` of `memory`.

    A write changes a few words of the page, so that it compresses about as before, and sets the
    dirty bit after the last of them. `hot` sends nine of ten writes to the first tenth of the
    pages, `random` picks any page, `sequential` walks round and round. `pages_per_s` 0 means as
    fast as it can. The sequence of pages and words is a function of `seed`.
    """

    def __init__(
        self,
        memory: Memory,
        *,
        pages_per_s: int,
        pattern: Pattern,
        first_page: int = 0,
        pages: int | None = None,
        seed: int = 0,
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start writing."""
        raise NotImplementedError

    def pause(self) -> None:
        """Stop writing; nothing is written after this returns, and all bits are set."""
        raise NotImplementedError

    def resume(self) -> None:
        """Write again. Time spent paused is not made up for."""
        raise NotImplementedError

    def stop(self) -> int:
        """End the thread; how many pages were written in all. Further calls say the same."""
        raise NotImplementedError

    @property
    def written(self) -> int:
        """Pages written so far."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop, and free what it held. The memory must still be there."""
        raise NotImplementedError

    def __enter__(self) -> Dirtier:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
