"""Guest memory with a dirty bitmap, and a thread that dirties it as a guest would."""

from __future__ import annotations

import errno
import weakref
from types import TracebackType
from typing import Any, Literal

from iaactl.errors import HostError, OperationError, UsageProblem
from iaactl.model.migration import PAGE_BYTES
from iaactl.native._core import ffi, lib
from iaactl.native.system_error import errno_text

Pattern = Literal["sequential", "random", "hot"]
_PATTERNS: dict[Pattern, int] = {
    "sequential": lib.IAACTL_DIRTY_SEQUENTIAL,
    "random": lib.IAACTL_DIRTY_RANDOM,
    "hot": lib.IAACTL_DIRTY_HOT,
}
_MOST_PAGES_PER_S = 1_000_000_000


class Memory:
    """Anonymous private memory of `size_bytes` (a multiple of 4096), all zero, no page dirty.

    Like QEMU's guest RAM it asks for huge pages. `prealloc` faults every page in at once, as
    `-mem-prealloc` does. Raises UsageProblem for a bad size and HostError when there is no memory.
    """

    def __init__(self, size_bytes: int, *, prealloc: bool) -> None:
        if size_bytes <= 0 or size_bytes % PAGE_BYTES:
            raise UsageProblem(
                f"memory has whole pages of {PAGE_BYTES} bytes, at least one, not {size_bytes} B"
            )
        holder = ffi.new("struct iaactl_memory **")
        result = lib.iaactl_memory_create(size_bytes, prealloc, holder)
        if result:
            raise HostError(
                f"{size_bytes} bytes of memory cannot be had: {errno_text(-result)}",
                hint="take a smaller memory, or free some",
                errno=-result,
            )
        self._handle: Any = holder[0]
        self._base = lib.iaactl_memory_base(self._handle)
        self._size = size_bytes
        self._views: list[weakref.ref[Any]] = []

    @property
    def handle(self) -> Any:
        """The native object, for the engines of this package. Raises OperationError when closed."""
        if self._handle is None:
            raise OperationError("the guest memory was closed")
        return self._handle

    @property
    def address(self) -> int:
        """Where it begins."""
        return int(ffi.cast("uintptr_t", self._base))

    @property
    def size(self) -> int:
        """Bytes."""
        return self._size

    @property
    def pages(self) -> int:
        """Pages of 4096 bytes."""
        return self._size // PAGE_BYTES

    def view(self) -> memoryview:
        """Writable bytes. Writing through it marks nothing dirty. `close` refuses while any
        view, or slice of one, is alive: call `release()` on it."""
        assert self.handle is not None
        buffer = ffi.buffer(self._base, self._size)
        self._views = [view for view in self._views if view() is not None]
        self._views.append(weakref.ref(buffer))
        return memoryview(buffer)

    def mark_all_dirty(self) -> None:
        """Every page is to be sent in the next round."""
        lib.iaactl_memory_mark_all_dirty(self.handle)

    def dirty_pages(self) -> int:
        """Pages that wait for the next round."""
        return int(lib.iaactl_memory_dirty_pages(self.handle))

    def clear(self) -> None:
        """All zero again as when fresh: pages given back, nothing dirty, nothing received."""
        result = lib.iaactl_memory_clear(self.handle)
        if result:
            raise OperationError(f"guest memory cannot be cleared: {errno_text(-result)}")

    def first_difference(self, other: Memory) -> int | None:
        """Index of the first page that differs from `other` (of the same size), None if equal."""
        page = ffi.new("uint64_t *")
        result = lib.iaactl_memory_difference(self.handle, other.handle, page)
        if result == -errno.EINVAL:
            raise UsageProblem(f"memories of {self.size} and {other.size} bytes do not compare")
        return None if page[0] == self.pages else int(page[0])

    def close(self) -> None:
        """Give the memory back; engines over it must be closed before."""
        if self._handle is None:
            return
        if any(view() is not None for view in self._views):
            raise OperationError(
                "the guest memory is still looked at", hint="release() every view of it"
            )
        lib.iaactl_memory_destroy(self._handle)
        self._handle = None

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
        count = memory.pages - first_page if pages is None else pages
        if first_page < 0 or count <= 0 or first_page + count > memory.pages:
            raise UsageProblem(
                f"pages {first_page} to {first_page + count - 1} cannot be dirtied: the memory has "
                f"{memory.pages} pages"
            )
        if pages_per_s < 0 or pages_per_s > _MOST_PAGES_PER_S:
            raise UsageProblem(f"a dirty rate is 0 to {_MOST_PAGES_PER_S} pages/s: {pages_per_s}")
        holder = ffi.new("struct iaactl_dirtier **")
        result = lib.iaactl_dirtier_create(
            memory.handle, first_page, count, pages_per_s, _PATTERNS[pattern], seed % 2**64, holder
        )
        if result:
            raise HostError(f"the dirtying thread cannot be made: {errno_text(-result)}")
        self._handle: Any = holder[0]
        self._memory = memory
        self._written = 0

    def start(self) -> None:
        """Start writing."""
        result = lib.iaactl_dirtier_start(self._open())
        if result == -errno.EALREADY:
            raise OperationError("the dirtying thread was started before")
        if result:
            raise HostError(f"the dirtying thread does not start: {errno_text(-result)}")

    def pause(self) -> None:
        """Stop writing; nothing is written after this returns, and all bits are set."""
        lib.iaactl_dirtier_pause(self._open())

    def resume(self) -> None:
        """Write again. Time spent paused is not made up for."""
        lib.iaactl_dirtier_resume(self._open())

    def stop(self) -> int:
        """End the thread; how many pages were written in all. Further calls say the same."""
        if self._handle is not None:
            lib.iaactl_dirtier_stop(self._handle)
        return self.written

    @property
    def written(self) -> int:
        """Pages written so far."""
        if self._handle is not None:
            self._written = int(lib.iaactl_dirtier_written(self._handle))
        return self._written

    def close(self) -> None:
        """Stop, and free what it held. The memory must still be there."""
        if self._handle is not None:
            self.stop()
            lib.iaactl_dirtier_destroy(self._handle)
            self._handle = None

    def _open(self) -> Any:
        if self._handle is None:
            raise OperationError("the dirtying thread was closed")
        return self._handle

    def __enter__(self) -> Dirtier:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
