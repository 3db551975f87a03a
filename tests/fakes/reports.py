"""Parts of benchmark reports with plain defaults, for tests that care about a few numbers."""

from __future__ import annotations

from typing import Any

from iaactl.bench.advice import advise
from iaactl.bench.summary import summarize
from iaactl.model.migration import Backend, Choice, Method, ZeroDetection
from iaactl.model.report import (
    BenchReport,
    Library,
    Machine,
    MemoryImage,
    Queue,
    Round,
    Run,
    Sample,
    Scenario,
    Side,
    ThreadUse,
    Variant,
)

PAGES = 65536


def variant(method: str = "zstd", backend: str | None = None, *, prealloc: bool = True) -> Variant:
    return Variant(
        method=Method(method), backend=Backend(backend) if backend else None, prealloc=prealloc
    )


def scenario(**changes: Any) -> Scenario:
    image = MemoryImage(
        origin="a <mix> of files", memory_bytes=PAGES * 4096, zero_pages=6000, sha256="0" * 64
    )
    plain = Scenario(
        image=image, channels=4, transport="tcp", max_bandwidth_bytes_per_s=0,
        downtime_limit_ms=300, max_rounds=30, zlib_level=1, zstd_level=1,
        zero_page_detection=ZeroDetection.MULTIFD, dirty_pages_per_s=0, dirty_pattern="hot",
        dirty_memory_bytes=0, seed=1, repeat=2, user="root",
    )  # fmt: skip
    return plain.model_copy(update=changes)


def machine(devices: int = 0, *, is_device: bool = True) -> Machine:
    return Machine(
        cpu="Some CPU", cpus=2, kernel="6.1", iaactl="0.1.0",
        libraries=(Library(name="zlib", version="1.3", path="/lib/libz.so.1"),),
        queues=tuple(
            Queue(wq=f"iax{n}/wq{n}.0", path=f"/dev/iax/wq{n}.0", socket=0, size_entries=128,
                  is_device=is_device)
            for n in range(1, 2 * devices, 2)
        ),
        devices_per_socket={"0": devices} if devices else {},
    )  # fmt: skip


def side(pages: int = PAGES, *, cpu_s: float = 1.0, path: str = "software", **changes: Any) -> Side:
    plain = Side(
        normal_pages=pages, cpu_s=cpu_s, codec_s=cpu_s,
        choice=Choice(backend=None, codec="zlib <1.3>", reason="one"),
        threads=(ThreadUse(channel=0, cpu_s=cpu_s, codec_s=cpu_s, pages=pages, wire_bytes=9000),),
    )  # fmt: skip
    return plain.model_copy(update={f"{path}_pages": pages, **changes})


def run(of: Variant | None = None, *, ms: float | None = 1000.0, **changes: Any) -> Run:
    plain = Run(
        variant=of or variant(), repetition=0, converged=True, verified=True, total_ms=ms,
        downtime_ms=None if ms is None else 20.0,
        rounds=(Round(pages=PAGES, wire_bytes=100 << 20, dirty_after=0, ms=ms),),
        pages=PAGES, guest_pages_written=0, wire_bytes=100 << 20, payload_bytes=99 << 20, ratio=2.0,
        sender=side(), receiver=side(cpu_s=0.5),
        samples=tuple(Sample(ms=n * 100.0, pages=n * 6500, wire_bytes=n << 20) for n in range(11)),
    )  # fmt: skip
    return plain.model_copy(update=changes)


def report(*runs: Run, devices: int = 0, **changes: Any) -> BenchReport:
    asked, where = scenario(), machine(devices)
    results = summarize(runs)
    plain = BenchReport(
        scenario=asked, machine=where, results=results, runs=runs,
        advice=advise(asked, where, results, runs),
    )  # fmt: skip
    return plain.model_copy(update=changes)
