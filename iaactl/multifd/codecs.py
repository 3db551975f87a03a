"""Page codecs used directly, without channels: what is here, and what each costs in CPU time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library that the engine can use. `why_not` is empty when it is there.

    `version` is empty where the library has no way to tell it (libdeflate).
    """

    name: str
    soname: str
    version: str
    path: str
    why_not: str


@dataclass(frozen=True, slots=True)
class Compressed:
    """Result of one call over n pages; the memory of `arena` belongs to the codec until its next
    `compress` or `close`.

    `lengths[i]` bytes begin at `arena[i * stride]`, one entry for each unit of `unit_pages` pages.
    A length of 4096 with a unit of one page says that the page did not shrink and stays raw
    (nothing is in the arena then).
    """

    lengths: Sequence[int]
    arena: memoryview
    stride: int
    unit_pages: int
    raw_pages: int
    cpu_ns: int

    @property
    def bytes(self) -> int:
        """Bytes that would be sent, raw pages included, length tables not."""
        return sum(self.lengths)


@dataclass(frozen=True, slots=True)
class Decompressed:
    """Result of one call: the pages, memory of the codec as above, and CPU time."""

    pages: memoryview
    cpu_ns: int


COMPRESSORS = ("isal", "isal-default", "libdeflate", "zlib", "libqpl", "zlib-stream", "zstd-stream")
DECOMPRESSORS = ("libdeflate", "isal", "zlib", "libqpl", "zlib-stream", "zstd-stream")


class PageCodec:
    """One library as the engine drives it, or `iaa` with the nodes of its `queues`.

    Names ending in `-stream` are QEMU's methods zlib and zstd: one stream, flushed every 128
    pages, which is their unit. `level` is for zlib, libdeflate and the streams. Not thread safe;
    each call runs without the GIL. Raises UsageProblem for a name that is not known and
    LibraryMissing for one that is not here.
    """

    def __init__(
        self,
        name: str,
        *,
        level: int = 1,
        queues: Sequence[str] = (),
        block_on_fault: bool = True,
        timeout_s: float = 10.0,
    ) -> None:
        raise NotImplementedError

    def compress(self, pages: memoryview) -> Compressed:
        """Compress n*4096 contiguous bytes, page by page as QEMU does: room 4095."""
        raise NotImplementedError

    def decompress(self, compressed: Compressed, pages: memoryview | None = None) -> Decompressed:
        """The pages again, from the result of any codec of the same kind. `pages` is what was
        compressed; where raw pages are among them they are copied from it, as a receiver would
        from the wire. Raises OperationError when a page does not come out with 4096 bytes."""
        raise NotImplementedError

    def close(self) -> None:
        """Free everything."""
        raise NotImplementedError

    def __enter__(self) -> PageCodec:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def available() -> tuple[Library, ...]:
    """Every library the engine can use, here or not."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class ZeroScan:
    """Result of a scan: pages that are all zero, CPU time, and the instructions it used."""

    zero_pages: int
    cpu_ns: int
    variant: str


def zero_scan(view: memoryview, variant: str | None = None) -> ZeroScan:
    """Count zero pages in n*4096 bytes, by `avx512`, `avx2`, `sse2`, or the best of this CPU."""
    raise NotImplementedError
