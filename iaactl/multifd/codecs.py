"""Page codecs used directly, without channels: what is here, and what each costs in CPU time."""

from __future__ import annotations

import errno
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from iaactl.errors import HostError, OperationError, UsageProblem
from iaactl.model.migration import PACKET_PAGES, PAGE_BYTES
from iaactl.multifd.backends import CodecPlan, missing
from iaactl.multifd.libraries import Library, available
from iaactl.native._core import ffi, lib
from iaactl.native.system_error import errno_text

__all__ = [
    "COMPRESSORS",
    "DECOMPRESSORS",
    "Compressed",
    "Decompressed",
    "Library",
    "PageCodec",
    "ZeroScan",
    "available",
    "zero_scan",
]


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
    pages: int
    raw_pages: int
    cpu_ns: int

    @property
    def bytes(self) -> int:
        """Bytes that would be sent, raw pages included, length tables not."""
        return sum(self.lengths)


@dataclass(frozen=True, slots=True)
class Decompressed:
    """Result of one call: the pages, memory of the codec until its next `decompress` or `close`,
    and CPU time."""

    pages: memoryview
    cpu_ns: int


COMPRESSORS = (
    "isal", "isal-default", "libdeflate", "zlib", "libqpl", "iaa", "zlib-stream", "zstd-stream"
)  # fmt: skip
DECOMPRESSORS = tuple(name for name in COMPRESSORS if name != "isal-default")
_STREAMS = {"zlib-stream": lib.IAACTL_METHOD_ZLIB, "zstd-stream": lib.IAACTL_METHOD_ZSTD}


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
        queue_cpus: Mapping[str, Collection[int]] | None = None,
        block_on_fault: bool = False,
        timeout_s: float = 10.0,
    ) -> None:
        if name not in COMPRESSORS:
            raise UsageProblem(f"{name} is no codec", hint=f"codecs are {', '.join(COMPRESSORS)}")
        if name == "iaa" and not queues:
            raise UsageProblem("codec iaa needs work queues", hint="such as /dev/iax/wq1.0")
        self.name = name
        self._level = level
        self._plans = {
            decompress: CodecPlan(
                name, "zlib", decompress, level=level, queues=tuple(queues),
                queue_cpus=queue_cpus or {}, block_on_fault=block_on_fault, timeout_s=timeout_s,
            )
            for decompress in (False, True)
        }  # fmt: skip
        self._handles: dict[bool, Any] = {}
        self._arena: Any = None
        self._pages: Any = None
        # What is not here is known at once.
        if name in _STREAMS:
            self._fresh_stream(decompress=False)
        else:
            self._codec(decompress=False)

    @property
    def unit_pages(self) -> int:
        """Pages that one length stands for."""
        return PACKET_PAGES if self.name in _STREAMS else 1

    def compress(self, pages: memoryview) -> Compressed:
        """Compress n*4096 contiguous bytes, page by page as QEMU does: room 4095.

        Streams begin anew with each call.
        """
        count = _whole_pages(pages)
        units = -(-count // self.unit_pages)
        stride = lib.IAACTL_PAYLOAD_MOST if self.name in _STREAMS else PAGE_BYTES
        self._arena = ffi.new("uint8_t[]", units * stride + lib.IAACTL_READ_AHEAD)
        lengths = ffi.new("uint32_t[]", units)
        batch = ffi.new("struct iaactl_batch *")
        source = ffi.from_buffer("uint8_t[]", pages)
        if self.name in _STREAMS:
            stream = self._fresh_stream(decompress=False)
            result = lib.iaactl_batch_stream_compress(
                stream, source, count, self._arena, lengths, batch
            )
        else:
            codec = self._codec(decompress=False)
            result = lib.iaactl_batch_compress(codec, source, count, self._arena, lengths, batch)
        if result:
            raise self._failed("compress", -result, int(batch.where))
        return Compressed(
            lengths=ffi.unpack(lengths, units),
            arena=memoryview(ffi.buffer(self._arena)),
            stride=stride,
            unit_pages=self.unit_pages,
            pages=count,
            raw_pages=int(batch.raw),
            cpu_ns=int(batch.cpu_ns),
        )

    def decompress(self, compressed: Compressed, pages: memoryview | None = None) -> Decompressed:
        """The pages again, from the result of any codec of the same kind. `pages` is what was
        compressed; where raw pages are among them they are copied from it, as a receiver would
        from the wire. Raises OperationError when a page does not come out with 4096 bytes."""
        if self.name not in DECOMPRESSORS:
            raise UsageProblem(f"{self.name} does not decompress", hint="isal does")
        if compressed.unit_pages != self.unit_pages:
            raise UsageProblem(f"{self.name} does not decompress units of that kind")
        if compressed.raw_pages and pages is None:
            raise UsageProblem("raw pages are among them: what was compressed is needed")
        if pages is not None and _whole_pages(pages) != compressed.pages:
            raise UsageProblem("these are not the pages that were compressed")
        count = compressed.pages
        self._pages = ffi.new("uint8_t[]", count * PAGE_BYTES)
        lengths = ffi.new("uint32_t[]", list(compressed.lengths))
        batch = ffi.new("struct iaactl_batch *")
        arena = ffi.from_buffer("uint8_t[]", compressed.arena)
        if self.name in _STREAMS:
            stream = self._fresh_stream(decompress=True)
            result = lib.iaactl_batch_stream_decompress(
                stream, arena, lengths, count, self._pages, batch
            )
        else:
            codec = self._codec(decompress=True)
            raw = ffi.NULL if pages is None else ffi.from_buffer("uint8_t[]", pages)
            result = lib.iaactl_batch_decompress(
                codec, arena, lengths, count, raw, self._pages, batch
            )
        if result:
            raise self._failed("decompress", -result, int(batch.where))
        return Decompressed(memoryview(ffi.buffer(self._pages)), int(batch.cpu_ns))

    def close(self) -> None:
        """Free everything."""
        for decompress in list(self._handles):
            self._forget(decompress)
        self._arena = self._pages = None

    def _forget(self, decompress: bool) -> None:
        handle = self._handles.pop(decompress, None)
        if handle is not None and self.name in _STREAMS:
            lib.iaactl_stream_destroy(handle)
        elif handle is not None:
            lib.iaactl_codec_destroy(handle)

    def _codec(self, *, decompress: bool) -> Any:
        if decompress not in self._handles:
            plan = self._plans[decompress]
            settings = ffi.new("struct iaactl_codec_settings *")
            keep = plan.fill(settings)
            holder, queue = ffi.new("struct iaactl_codec **"), ffi.new("uint32_t *")
            result = lib.iaactl_codec_create(settings, queue, holder)
            del keep
            if result:
                raise plan.failure(-result, int(queue[0]))
            self._handles[decompress] = holder[0]
        return self._handles[decompress]

    def _fresh_stream(self, *, decompress: bool) -> Any:
        self._forget(decompress)
        holder = ffi.new("struct iaactl_stream **")
        result = lib.iaactl_stream_create(_STREAMS[self.name], self._level, decompress, holder)
        if result == -errno.ENOSYS:
            raise missing(self.name)
        if result:
            raise UsageProblem(f"{self.name} has no level {self._level}: {errno_text(-result)}")
        self._handles[decompress] = holder[0]
        return holder[0]

    def _failed(self, verb: str, number: int, where: int) -> OperationError:
        if number == errno.ETIMEDOUT:
            queue = self._plans[False].queues[where]
            return OperationError(
                f"{queue} did not complete a job in time", hint="`iaactl selftest` says more"
            )
        return OperationError(
            f"{self.name} does not {verb} page {where}: {errno_text(number)}", page=where
        )

    def __enter__(self) -> PageCodec:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _whole_pages(view: memoryview) -> int:
    if not view.nbytes or view.nbytes % PAGE_BYTES:
        raise UsageProblem(f"{view.nbytes} bytes are not whole pages of {PAGE_BYTES}")
    return view.nbytes // PAGE_BYTES


@dataclass(frozen=True, slots=True)
class ZeroScan:
    """Result of a scan: pages that are all zero, CPU time, and the instructions it used."""

    zero_pages: int
    cpu_ns: int
    variant: str


_VARIANTS = {
    "sse2": lib.IAACTL_ZERO_SSE2,
    "avx2": lib.IAACTL_ZERO_AVX2,
    "avx512": lib.IAACTL_ZERO_AVX512,
}
_VARIANT_NAMES = {number: name for name, number in _VARIANTS.items()}


def zero_scan(view: memoryview, variant: str | None = None) -> ZeroScan:
    """Count zero pages in n*4096 bytes, by `avx512`, `avx2`, `sse2`, or the best of this CPU.

    The memory must be aligned to 64 bytes, as that of a `Memory` is.
    """
    if variant is not None and variant not in _VARIANTS:
        raise UsageProblem(f"{variant} is no way to look for zero", hint=", ".join(_VARIANTS))
    count = _whole_pages(view)
    cpu_ns, found, chosen = ffi.new("uint64_t *"), ffi.new("uint64_t *"), ffi.new("int *")
    wanted = lib.IAACTL_ZERO_BEST if variant is None else _VARIANTS[variant]
    memory = ffi.from_buffer("uint8_t[]", view)
    result = lib.iaactl_zero_scan(memory, count, wanted, cpu_ns, chosen, found)
    if result == -errno.ENOSYS:
        raise HostError(f"this CPU has no {variant}")
    if result:
        raise UsageProblem("memory to scan must be aligned to 64 bytes")
    return ZeroScan(int(found[0]), int(cpu_ns[0]), _VARIANT_NAMES[int(chosen[0])])
