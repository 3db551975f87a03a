"""The comparison of page codecs, on codecs of Python."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import pytest

from fakes.reports import machine
from iaactl.bench.codecs import measure, sample
from iaactl.bench.image import Image
from iaactl.errors import HostError, LibraryMissing, OperationError
from iaactl.model.codec_report import CodecReport
from iaactl.multifd.codecs import Compressed, Decompressed, ZeroScan

CONTENT = b"".join(bytes([n % 4]) * 4096 if n % 5 else b"page %06d" % n + bytes(4085)
                   for n in range(64))  # fmt: skip


class FakeCodec:
    """zlib under any name; costs `ns` a call, `spoil` gives back something else."""

    def __init__(self, name: str, ns: int, *, spoil: bool = False) -> None:
        self.unit = 64 if name.endswith("-stream") else 1
        self.ns = ns
        self.spoil = spoil
        self.closed = False

    def compress(self, pages: memoryview) -> Compressed:
        size = 4096 * self.unit
        parts = [zlib.compress(pages[n : n + size]) for n in range(0, len(pages), size)]
        arena = b"".join(part.ljust(size, b"\0") for part in parts)
        return Compressed(lengths=[len(p) for p in parts], arena=memoryview(arena), stride=size,
                          unit_pages=self.unit, pages=len(pages) // 4096, raw_pages=0,
                          cpu_ns=self.ns)  # fmt: skip

    def decompress(self, compressed: Compressed, pages: memoryview | None = None) -> Decompressed:
        out = b"".join(
            zlib.decompress(compressed.arena[n * compressed.stride :][:length])
            for n, length in enumerate(compressed.lengths)
        )
        if self.spoil:
            out = out[:4096] + b"?" + out[4097:]
        return Decompressed(memoryview(out), self.ns * 2)

    def close(self) -> None:
        self.closed = True


class Makers:
    def __init__(self, missing: Sequence[str] = (), spoil: str = "") -> None:
        self.missing = missing
        self.spoil = spoil
        self.made: list[FakeCodec] = []

    def __call__(self, name: str) -> FakeCodec:
        if name in self.missing:
            raise LibraryMissing(f"{name} is not installed")
        ns = {"isal": 500, "libqpl": 1000, "zlib": 4000}.get(name, 2000)
        self.made.append(FakeCodec(name, ns, spoil=name == self.spoil))
        return self.made[-1]


def scan(view: memoryview, variant: str) -> ZeroScan:
    zero = sum(bytes(view[n : n + 4096]) == bytes(4096) for n in range(0, 64 * 4096, 4096))
    return ZeroScan(zero, 64000, variant)


def report(makers: Makers, **more: object) -> CodecReport:
    image = Image(bytearray(CONTENT), "a test")
    found = measure(image, machine(), makers, scan, ("sse2",), rounds=3, **more)  # type: ignore[arg-type]
    assert makers.made
    assert all(codec.closed for codec in makers.made)
    return found


def test_figures_are_relative_to_libqpl_or_zlib() -> None:
    found = report(Makers())
    assert found.reference == "libqpl"
    rows = {row.name: row for row in found.compressors}
    assert "iaa" not in rows
    assert rows["isal"].relative == 2
    assert rows["zlib"].relative == 0.25
    assert rows["zlib-stream"].unit_pages == 64
    speed = rows["libqpl"].bytes_per_s
    assert speed is not None
    assert speed.median == pytest.approx(found.sample_pages * 4096 / 1e-6)
    readers = {(row.name, row.of): row.relative for row in found.decompressors}
    assert readers["isal", "libqpl"] == 2
    assert readers["zstd-stream", "zstd-stream"] == 0.5
    without = report(Makers(missing=["libqpl"]))
    assert without.reference == "zlib"
    assert without.left_out == {"libqpl": "libqpl is not installed"}
    assert {row.name: row.relative for row in without.compressors}["isal"] == 8


def test_zero_pages_are_not_compressed_and_are_found() -> None:
    found = report(Makers())
    assert found.image.zero_pages == 12
    assert found.sample_pages == 52
    (row,) = found.zero_scan
    assert row.zero_pages == 12
    assert row.memory_ns_per_page is not None
    assert row.memory_ns_per_page.median == 1000


def test_a_codec_that_gives_back_another_page_is_named() -> None:
    makers = Makers(spoil="libdeflate")
    with pytest.raises(OperationError, match=r"libdeflate on pages of .* another page 1 of"):
        report(makers)
    assert all(codec.closed for codec in makers.made)


def test_without_speed_there_are_ratios_only() -> None:
    text = report(Makers(), with_iaa=True, no_speed="no device").model_dump_json()
    found = CodecReport.model_validate_json(text)
    assert {"iaa"} <= {row.name for row in found.compressors}
    assert all(row.ratio > 1 for row in found.compressors)
    for rows in (found.compressors, found.decompressors):
        assert all(row.bytes_per_s is None and row.relative is None for row in rows)
    assert all(row.factor is None for row in found.threads)
    assert all(row.zeros_bytes_per_s is None for row in found.zero_scan)


def test_the_sample_is_even_and_bounded() -> None:
    image = Image(bytearray(CONTENT), "a test")
    assert len(sample(image, 10)) // 4096 <= 10
    assert bytes(4096) not in [sample(image, 64)[n : n + 4096] for n in range(0, 52 * 4096, 4096)]
    with pytest.raises(HostError, match="zero pages only"):
        measure(Image(bytearray(8192), "zeros"), machine(), Makers(), scan, ())
