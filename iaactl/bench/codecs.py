"""Page codecs alone: each over the same pages, in turn, CPU time, every page checked.

The order is reversed in every other round, so that a machine that gets slower or faster favours
none. Only pages with content are compressed; zero pages never reach a codec in a migration.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from iaactl.bench.image import Image
from iaactl.bench.summary import spread
from iaactl.errors import HostError, OperationError
from iaactl.model.codec_report import (
    CodecReport,
    CompressorRow,
    DecompressorRow,
    ThreadsRow,
    ZeroScanRow,
)
from iaactl.model.migration import PAGE_BYTES
from iaactl.model.report import Machine
from iaactl.multifd.codecs import COMPRESSORS, DECOMPRESSORS, Compressed, Decompressed, ZeroScan

_ZERO = bytes(PAGE_BYTES)
# Beyond every cache that a core has to itself, and most of those that it shares.
_ZEROS_BYTES = 128 << 20
_REFERENCES = ("libqpl", "zlib")


class Codec(Protocol):
    """What is measured; promises are those of `iaactl.multifd.codecs.PageCodec`."""

    def compress(self, pages: memoryview) -> Compressed:
        """Compress page by page, or as a stream."""

    def decompress(self, compressed: Compressed, pages: memoryview | None = None) -> Decompressed:
        """The pages again."""

    def close(self) -> None:
        """Free everything."""


MakeCodec = Callable[[str], Codec]
"""Name to codec; raises HostError where it cannot be had."""
Scan = Callable[[memoryview, str], ZeroScan]
Say = Callable[[str], None]


def sample(image: Image, most_pages: int) -> bytes:
    """Pages with content, at even distances over the memory, `most_pages` at most."""
    content = image.content
    starts = [
        start
        for start in range(0, image.size, PAGE_BYTES)
        if bytes(content[start : start + PAGE_BYTES]) != _ZERO
    ]
    step = max(1, -(-len(starts) // most_pages))
    return b"".join(content[start : start + PAGE_BYTES] for start in starts[::step])


@dataclass(slots=True)
class _Measured:
    """One codec so far; seconds of CPU, a round each."""

    codec: Codec
    compress_s: list[float] = field(default_factory=list)
    decompress_s: dict[str, list[float]] = field(default_factory=dict)
    ratio: float = 0.0
    raw_part: float = 0.0
    unit_pages: int = 1


def _check(pages: memoryview, out: memoryview, who: str) -> None:
    if bytes(out) != pages:
        wrong = next(
            index
            for index in range(len(pages) // PAGE_BYTES)
            if out[index * PAGE_BYTES : (index + 1) * PAGE_BYTES]
            != pages[index * PAGE_BYTES : (index + 1) * PAGE_BYTES]
        )
        raise OperationError(
            f"{who} gave back another page {wrong} of the sample than was compressed",
            hint="do not migrate with this library; the report of it is welcome",
        )


def _is_stream(name: str) -> bool:
    return name.endswith("-stream")


class _Bench:
    """Codecs that are here, over one sample."""

    def __init__(self, pages: memoryview, make: MakeCodec, names: Sequence[str]) -> None:
        self.pages = pages
        self.left_out: dict[str, str] = {}
        self.found: dict[str, _Measured] = {}
        with ExitStack() as undo:
            for name in names:
                try:
                    self.found[name] = _Measured(make(name))
                except HostError as error:
                    self.left_out[name] = error.message
                else:
                    undo.callback(self.found[name].codec.close)
            self._undo = undo.pop_all()
        self.reference = next((name for name in _REFERENCES if name in self.found), "")

    def close(self) -> None:
        self._undo.close()

    def _decoders(self, of: str) -> list[str]:
        """Who reads the output of a codec: streams themselves, of pages those of the reference are
        read by all, the others by one that is not the writer."""
        if _is_stream(of):
            return [of]
        page_wise = [n for n in DECOMPRESSORS if n in self.found and not _is_stream(n)]
        if of == self.reference or of == "iaa":
            return page_wise
        return [next((name for name in page_wise if name != of), of)]

    def one(self, name: str) -> None:
        """Compress once with one codec, decompress with its readers, check."""
        mine = self.found[name]
        packed = mine.codec.compress(self.pages)
        mine.compress_s.append(packed.cpu_ns / 1e9)
        mine.ratio = len(self.pages) / packed.bytes
        mine.raw_part = packed.raw_pages * PAGE_BYTES / len(self.pages)
        mine.unit_pages = packed.unit_pages
        readers = self._decoders(name)
        for reader in readers if len(mine.compress_s) % 2 else readers[::-1]:
            out = self.found[reader].codec.decompress(packed, self.pages)
            _check(self.pages, out.pages, f"{reader} on pages of {name}")
            mine.decompress_s.setdefault(reader, []).append(out.cpu_ns / 1e9)


@dataclass(slots=True)
class _Scans:
    """Scans with one kind of instructions."""

    memory_ns_per_page: list[float] = field(default_factory=list)
    zeros_s: list[float] = field(default_factory=list)
    zero_pages: int = 0

    def add(self, scan: Scan, variant: str, content: memoryview, zeros: mmap.mmap) -> None:
        """One scan of the memory and one of zeros."""
        result = scan(content, variant)
        self.zero_pages = result.zero_pages
        self.memory_ns_per_page.append(result.cpu_ns / (content.nbytes // PAGE_BYTES))
        self.zeros_s.append(scan(memoryview(zeros), variant).cpu_ns / 1e9)


def _speeds(size: int, seconds: Sequence[float]) -> list[float]:
    return [size / s for s in seconds if s > 0]


def _relative(mine: Sequence[float], reference: Sequence[float]) -> float | None:
    """Median over the rounds of the quotient within a round."""
    found = spread([r / m for m, r in zip(mine, reference, strict=False) if m > 0])
    return found.median if found else None


def _compressors(bench: _Bench, *, timed: bool) -> tuple[CompressorRow, ...]:
    size = len(bench.pages)
    first = bench.found[bench.reference].compress_s if bench.reference else []
    return tuple(
        CompressorRow(
            name=name,
            unit_pages=mine.unit_pages,
            ratio=mine.ratio,
            raw_part=mine.raw_part,
            bytes_per_s=spread(_speeds(size, mine.compress_s)) if timed else None,
            relative=_relative(mine.compress_s, first) if timed else None,
        )
        for name, mine in bench.found.items()
        if mine.compress_s
    )


def _decompressors(bench: _Bench, *, timed: bool) -> tuple[DecompressorRow, ...]:
    size = len(bench.pages)
    rows = []
    reference = bench.found.get(bench.reference)
    base = reference.decompress_s.get(bench.reference, []) if reference else []
    for of, mine in bench.found.items():
        if of not in (bench.reference, "iaa") and not _is_stream(of):
            continue
        for reader, seconds in mine.decompress_s.items():
            rows.append(
                DecompressorRow(
                    name=reader,
                    of=of,
                    bytes_per_s=spread(_speeds(size, seconds)) if timed else None,
                    relative=_relative(seconds, base) if timed else None,
                )
            )
    return tuple(rows)


def _two_threads(pages: memoryview, make: MakeCodec, name: str, rounds: int) -> list[float]:
    """Real time of two threads that each do what one did before, as a factor of throughput."""
    factors = []
    with ExitStack() as undo:
        pair = [make(name), make(name)]
        for codec in pair:
            undo.callback(codec.close)
        pool = undo.enter_context(ThreadPoolExecutor(2))
        for _ in range(rounds):
            began = time.perf_counter()
            pair[0].compress(pages)
            alone = time.perf_counter() - began
            began = time.perf_counter()
            for future in [pool.submit(codec.compress, pages) for codec in pair]:
                future.result()
            together = time.perf_counter() - began
            factors.append(2 * alone / together)
    return factors


def measure(
    image: Image,
    machine: Machine,
    make: MakeCodec,
    scan: Scan,
    scan_variants: Sequence[str],
    *,
    with_iaa: bool = False,
    rounds: int = 5,
    most_pages: int = 4096,
    no_speed: str | None = None,
    say: Say = lambda text: None,
) -> CodecReport:
    """Measure every codec that can be had. Ctrl-C ends it with what was measured so far.

    Raises HostError when the memory is all zero, OperationError when a page comes out wrong.
    """
    data = sample(image, most_pages)
    if not data:
        raise HostError(
            "the memory holds zero pages only: there is nothing to compress",
            hint="give memory with content: --memory FILE",
        )
    pages = memoryview(data)
    timed = no_speed is None
    names = [name for name in COMPRESSORS if with_iaa or name != "iaa"]
    scans: dict[str, _Scans] = {}
    zeros = mmap.mmap(-1, _ZEROS_BYTES)
    zeros[:] = bytes(_ZEROS_BYTES)  # written, or every page were the one zero page of the kernel
    threads: dict[str, list[float]] = {}
    interrupted = False
    bench = _Bench(pages, make, names)
    try:
        order = list(bench.found)
        for number in range(rounds):
            for name in order if number % 2 == 0 else order[::-1]:
                say(f"round {number + 1} of {rounds}: {name}")
                bench.one(name)
            for variant in scan_variants if number % 2 == 0 else scan_variants[::-1]:
                scans.setdefault(variant, _Scans()).add(scan, variant, image.content, zeros)
        for name in dict.fromkeys(n for n in ("isal", bench.reference) if n in bench.found):
            say(f"two threads: {name}")
            threads[name] = _two_threads(pages, make, name, rounds)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        bench.close()
    return CodecReport(
        image=image.description,
        sample_pages=len(data) // PAGE_BYTES,
        rounds=rounds,
        reference=bench.reference,
        machine=machine,
        compressors=_compressors(bench, timed=timed),
        decompressors=_decompressors(bench, timed=timed),
        zero_scan=tuple(
            ZeroScanRow(
                variant=variant,
                zero_pages=found.zero_pages,
                memory_ns_per_page=spread(found.memory_ns_per_page) if timed else None,
                zeros_bytes_per_s=spread(_speeds(_ZEROS_BYTES, found.zeros_s)) if timed else None,
            )
            for variant, found in scans.items()
        ),
        threads=tuple(
            ThreadsRow(name=name, factor=spread(factors) if timed else None)
            for name, factors in threads.items()
        ),
        left_out=bench.left_out,
        no_speed=no_speed,
        interrupted=interrupted,
    )
