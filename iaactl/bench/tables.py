"""A report's tables as text cells, for the terminal and the HTML page alike.

Without speed the columns of times are not there: an empty column would ask to be filled in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iaactl.model.codec_report import CodecReport
from iaactl.model.migration import PAGE_BYTES
from iaactl.model.report import BenchReport, Side, Spread


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` are (header, whether it is a number), `rows` as many cells each."""

    title: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]


def number(value: float) -> str:
    """Three digits, more where they stand before the point, with thin grouping by commas."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _range(found: Spread | None, scale: float = 1.0) -> str:
    return "-" if found is None else f"{number(found.low / scale)}..{number(found.high / scale)}"


def _decimals(found: Spread | None, scale: float = 1.0) -> str:
    return "-" if found is None else f"{found.median / scale:.2f}"


def _median(found: Spread | None, scale: float = 1.0) -> str:
    return "-" if found is None else number(found.median / scale)


def results(report: BenchReport) -> Table:
    """One row a variant: how long, how much."""
    timed = report.no_speed is None
    columns: list[tuple[str, bool]] = [("METHOD", False)]
    if timed:
        columns += [("TOTAL s", True), ("MIN..MAX", True), ("DOWN ms", True)]
    columns += [("ROUNDS", True), ("WIRE MiB", True), ("RATIO", True)]
    if timed:
        columns += [("GB/s", True)]
    columns += [("SAME", False)]
    rows = []
    for result in report.results:
        row = [result.variant.label]
        if timed:
            row += [
                _median(result.total_ms, 1000),
                _range(result.total_ms, 1000),
                _median(result.downtime_ms),
            ]
        row += [
            _median(result.rounds),
            _median(result.wire_bytes, 1 << 20),
            "-" if result.ratio is None else f"{result.ratio.median:.3f}",
        ]
        if timed:
            row += [_decimals(result.guest_bytes_per_s, 1e9)]
        good = result.runs - result.failed
        row += ["yes" if not result.failed else f"NO: {good} of {result.runs}"]
        rows.append(tuple(row))
    return Table("Migrations", tuple(columns), tuple(rows))


def use(report: BenchReport) -> Table:
    """One row a variant: pages a second and the CPU time of both sides; no rows without speed."""
    gibibytes = report.scenario.image.memory_bytes / (1 << 30)
    columns = (
        ("METHOD", False), ("PAGES/s", True), ("CPU s SEND", True), ("CPU s RECEIVE", True),
        ("BOTH A GiB OF MEMORY", True),
    )  # fmt: skip
    rows = [
        (
            result.variant.label,
            _median(result.pages_per_s),
            _decimals(result.sender_cpu_s),
            _decimals(result.receiver_cpu_s),
            number((result.sender_cpu_s.median + result.receiver_cpu_s.median) / gibibytes)
            if result.sender_cpu_s and result.receiver_cpu_s
            else "-",
        )
        for result in report.results
        if report.no_speed is None
    ]
    return Table("CPU time", columns, tuple(rows))


_PATHS: tuple[tuple[str, Callable[[Side], int]], ...] = (
    ("IAA", lambda side: side.iaa_pages),
    ("LIBQPL", lambda side: side.libqpl_pages),
    ("SOFTWARE", lambda side: side.software_pages),
    ("RAW", lambda side: side.raw_pages),
    ("ZERO", lambda side: side.zero_pages),
    ("RETRIES", lambda side: side.busy_retries),
    ("FAULTS", lambda side: side.faults),
    ("FAILED", lambda side: side.job_failures),
)


def paths(report: BenchReport) -> Table:
    """Who did the pages, summed over the repetitions; a row a variant and side."""
    rows = []
    for result in report.results:
        mine = [run for run in report.runs if run.variant == result.variant]
        for name, sides in (
            ("send", [run.sender for run in mine]),
            ("receive", [run.receiver for run in mine]),
        ):
            counts = [f"{sum(count(side) for side in sides):,}" for _, count in _PATHS]
            rows.append((result.variant.label, name, *counts))
    columns = (("METHOD", False), ("SIDE", False), *((name, True) for name, _ in _PATHS))
    return Table("Pages by path, all repetitions", columns, tuple(rows))


def choices(report: BenchReport) -> Table:
    """Which library or device worked, and why it was taken."""
    rows: list[tuple[str, ...]] = []
    for result in report.results:
        run = next(run for run in report.runs if run.variant == result.variant)
        for name, side in (("send", run.sender), ("receive", run.receiver)):
            if side.choice is not None:
                choice = side.choice
                rows.append((result.variant.label, name, choice.codec, choice.reason))
    columns = (("METHOD", False), ("SIDE", False), ("BY", False), ("BECAUSE", False))
    return Table("Who compressed", columns, tuple(rows))


def threads(report: BenchReport) -> Table:
    """CPU seconds of each channel's thread, in the first good run of each variant."""
    rows: list[tuple[str, ...]] = []
    for result in report.results:
        run = next((r for r in report.runs if r.variant == result.variant and r.ok), None)
        for name, side in (("send", run.sender), ("receive", run.receiver)) if run else ():
            rows += [
                (
                    result.variant.label,
                    f"{name} {use.channel}",
                    f"{use.pages:,}",
                    number(use.wire_bytes / (1 << 20)),
                    "-" if use.cpu_s is None else f"{use.cpu_s:.3f}",
                    "-" if use.codec_s is None else f"{use.codec_s:.3f}",
                )
                for use in side.threads
            ]
    columns: tuple[tuple[str, bool], ...] = (
        ("METHOD", False), ("THREAD", False), ("PAGES", True), ("WIRE MiB", True),
        ("CPU s", True), ("IN CODEC s", True),
    )  # fmt: skip
    if report.no_speed is not None:
        columns = columns[:4]
        rows = [row[:4] for row in rows]
    return Table("Threads", columns, tuple(rows))


def facts(report: BenchReport) -> list[tuple[str, str]]:
    """What was asked and where it ran, as names and values."""
    scenario, machine = report.scenario, report.machine
    limit = scenario.max_bandwidth_bytes_per_s
    dirty = "idle guest"
    if scenario.dirty_pages_per_s:
        dirty = (
            f"{number(scenario.dirty_pages_per_s)} pages/s, {scenario.dirty_pattern}, in "
            f"{scenario.dirty_memory_bytes / (1 << 20):.0f} MiB"
        )
    image = scenario.image
    where = {"two-hosts": f"to {scenario.peer}", "tcp": "loopback TCP", "unix": "unix sockets"}
    return [
        ("memory", f"{image.memory_bytes / (1 << 20):.0f} MiB, {image.zero_pages:,} of "
                   f"{image.memory_bytes // PAGE_BYTES:,} pages zero: {image.origin}"),
        ("channels", f"{scenario.channels}, {where[scenario.transport]}, "
                     + (f"at most {limit / 1e6:.0f} MB/s" if limit else "no bandwidth limit")),
        ("guest", f"{dirty}; downtime limit {scenario.downtime_limit_ms} ms, at most "
                  f"{scenario.max_rounds} rounds, zero pages: {scenario.zero_page_detection}"),
        ("machine", f"{machine.cpu}, {machine.cpus} CPUs, Linux {machine.kernel}, "
                    f"iaactl {machine.iaactl}"),
        ("libraries", ", ".join(
            f"{lib.name} {lib.version or ''}".strip() for lib in machine.libraries
            if lib.missing is None) or "none"),
        ("queues", ", ".join(f"{queue.wq} by {queue.way or 'no way in'}"
                             for queue in machine.queues)
                   or (machine.queues_left_out or "none")),
    ]  # fmt: skip


def compressors(report: CodecReport) -> Table:
    """One row a way to compress."""
    timed = report.no_speed is None
    columns: list[tuple[str, bool]] = [("COMPRESS", False), ("RATIO", True), ("RAW", True)]
    if timed:
        columns += [("GB/s", True), ("ns/PAGE", True), (f"x {report.reference}", True)]
    rows = []
    for row in report.compressors:
        cells = [
            row.name,
            f"{row.ratio:.3f}",
            f"{row.raw_part:.1%}" if row.unit_pages == 1 else "-",
        ]
        if timed:
            cells += _speed(row.bytes_per_s, row.relative)
        rows.append(tuple(cells))
    return Table("Compress, one thread", tuple(columns), tuple(rows))


def _speed(found: Spread | None, relative: float | None) -> list[str]:
    if found is None:
        return ["-", "-", "-"]
    return [
        f"{found.median / 1e9:.3f}",
        f"{PAGE_BYTES / found.median * 1e9:,.0f}",
        "-" if relative is None else f"{relative:.2f}",
    ]


def decompressors(report: CodecReport) -> Table:
    """One row a reader and writer."""
    timed = report.no_speed is None
    columns: list[tuple[str, bool]] = [("DECOMPRESS", False), ("PAGES OF", False)]
    if timed:
        columns += [("GB/s", True), ("ns/PAGE", True), (f"x {report.reference}", True)]
    rows = [
        (row.name, row.of, *(_speed(row.bytes_per_s, row.relative) if timed else ()))
        for row in report.decompressors
    ]
    return Table("Decompress, one thread", tuple(columns), tuple(rows))


def scans(report: CodecReport) -> Table:
    """Looking for zero pages."""
    timed = report.no_speed is None
    columns: list[tuple[str, bool]] = [("ZERO PAGES", False), ("FOUND", True)]
    if timed:
        columns += [("ns/PAGE", True), ("GB/s ON ZEROS", True)]
    rows = []
    for row in report.zero_scan:
        cells = [row.variant, f"{row.zero_pages:,}"]
        if timed:
            cells += [_median(row.memory_ns_per_page), _median(row.zeros_bytes_per_s, 1e9)]
        rows.append(tuple(cells))
    return Table("Zero pages, one thread", tuple(columns), tuple(rows))


def threads_together(report: CodecReport) -> Table:
    """Two threads against one; no rows without speed."""
    rows = tuple(
        (row.name, "-" if row.factor is None else f"{row.factor.median:.2f}", _range(row.factor))
        for row in report.threads
        if report.no_speed is None
    )
    columns = (("TWO THREADS", False), ("TIMES ONE", True), ("MIN..MAX", True))
    return Table("Two threads against one, real time", columns, rows)
