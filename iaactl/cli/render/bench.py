"""Benchmarks, codecs and captures in the terminal, and progress on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.table import Table as RichTable
from rich.text import Text

from iaactl.bench import tables
from iaactl.bench.campaign import NoProgress, Progress
from iaactl.bench.tables import Table
from iaactl.cli.output import Output
from iaactl.model.codec_report import CodecReport
from iaactl.model.finding import Finding, Severity
from iaactl.model.migration import PAGE_BYTES
from iaactl.model.report import BenchReport, Run, Sample, Variant

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from iaactl.multifd.capture import CaptureSummary

Lines = list[RichTable | Text]
_STYLES = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.NOTICE: "cyan",
    Severity.OK: "green",
    Severity.UNKNOWN: "dim",
}


def _rich(table: Table) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, right in table.columns:
        wrap = name in ("BECAUSE", "BY")
        shown.add_column(name, justify="right" if right else "left", no_wrap=not wrap)
    for row in table.rows:
        cells = [Text(cell, style="bold red" if cell.startswith("NO") else "") for cell in row]
        shown.add_row(*cells)
    return shown


def _titled(table: Table) -> Lines:
    return [Text(""), Text(table.title, style="bold"), _rich(table)] if table.rows else []


def _finding(found: Finding) -> Lines:
    line = Text(f"{found.severity.value}: ", style=_STYLES[found.severity])
    line.append(found.sentence, style="default")
    lines: Lines = [line]
    if found.remedy:
        lines.append(Text(f"  next: {found.remedy}", style="dim"))
    return lines


def _facts(facts: list[tuple[str, str]]) -> RichTable:
    shown = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    shown.add_column(style="dim", no_wrap=True)
    shown.add_column()
    for name, value in facts:
        shown.add_row(name, Text(value))
    return shown


def report_lines(report: BenchReport, *, verbose: bool) -> Lines:
    """What was asked, what was measured, who did it, what follows; -v adds the threads."""
    lines: Lines = [_facts(tables.facts(report))]
    if report.no_speed:
        lines += [Text(""), Text(report.no_speed, style="yellow")]
    if report.interrupted:
        lines += [Text(""), Text("interrupted: what was measured until then", style="yellow")]
    lines += _titled(tables.results(report))
    lines += _titled(tables.use(report))
    lines += _titled(tables.paths(report))
    lines += _titled(tables.choices(report))
    if verbose:
        lines += _titled(tables.threads(report))
    failed = [run for run in report.runs if run.failed and run.failed != "interrupted"]
    if failed or report.left_out or report.advice:
        lines.append(Text(""))
    lines += [Text(f"failed: {run.variant.label}: {run.failed}", "bold red") for run in failed]
    for found in report.advice:
        lines += _finding(found)
    lines += [
        Text(f"not measured: {label}: {reason}", style="dim")
        for label, reason in report.left_out.items()
    ]
    return lines


def codec_lines(report: CodecReport) -> Lines:
    """Compressors, decompressors, zero pages and threads."""
    image = report.image
    facts = [
        ("memory", f"{image.memory_bytes / (1 << 20):.0f} MiB: {image.origin}"),
        ("sample", f"{report.sample_pages:,} pages with content, {report.rounds} rounds, "
                   "CPU time, medians, every page checked"),
        ("machine", f"{report.machine.cpu}, {report.machine.cpus} CPUs, Linux "
                    f"{report.machine.kernel}, iaactl {report.machine.iaactl}"),
        ("libraries", ", ".join(f"{lib.name} {lib.version or ''}".strip()
                                for lib in report.machine.libraries if lib.missing is None)),
    ]  # fmt: skip
    lines: Lines = [_facts(facts)]
    if report.no_speed:
        lines += [Text(""), Text(report.no_speed, style="yellow")]
    if report.interrupted:
        lines += [Text(""), Text("interrupted: what was measured until then", style="yellow")]
    for make in (
        tables.compressors, tables.decompressors, tables.scans, tables.threads_together
    ):  # fmt: skip
        lines += _titled(make(report))
    if report.left_out:
        lines.append(Text(""))
    lines += [
        Text(f"not measured: {name}: {reason}", style="dim")
        for name, reason in report.left_out.items()
    ]
    return lines


def capture_lines(summary: CaptureSummary) -> Lines:
    """What a capture holds, and its defects."""
    facts = [
        ("capture", summary.directory),
        ("method", f"{summary.method}, {len(summary.channels)} channels"),
        ("machine", summary.machine or "not told"),
        ("RAM blocks", ", ".join(f"{b.name} {b.size_bytes:,} bytes" for b in summary.blocks)),
        ("rounds", f"{summary.rounds}"),
        ("packets", f"{summary.packets:,}"),
        ("pages", f"{summary.normal_pages:,} with content, {summary.raw_pages:,} of them raw, "
                  f"{summary.zero_pages:,} zero"),
        ("bytes", f"{summary.wire_bytes:,} on the wire, {summary.payload_bytes:,} of payload, "
                  f"ratio {summary.ratio:.3f}"),
    ]  # fmt: skip
    rows = tuple(
        (str(c.channel), f"{c.packets:,}", f"{c.normal_pages:,}", f"{c.zero_pages:,}",
         f"{c.payload_bytes:,}", f"{c.wire_bytes:,}")
        for c in summary.channels
    )  # fmt: skip
    columns = (("CHANNEL", False), *((name, True) for name in (
        "PACKETS", "NORMAL", "ZERO", "PAYLOAD", "WIRE")))  # fmt: skip
    lines: Lines = [_facts(facts), Text(""), _rich(Table("Channels", columns, rows)), Text("")]
    if not summary.errors:
        lines.append(Text("no defect", style="green"))
    for error in summary.errors:
        where = ", ".join(
            part
            for part in (
                error.file,
                None if error.channel is None else f"channel {error.channel}",
                None if error.packet is None else f"packet {error.packet}",
                f"offset {error.offset}",
            )
            if part
        )
        lines.append(Text(f"{where}: {error.reason}", style="bold red"))
    return lines


class _LineProgress:
    """A line on stderr for each migration that is over."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._of = 0
        self._number = 0

    def begin(self, variant: Variant, number: int, of: int) -> None:
        """Remember which it is."""
        self._number, self._of = number + 1, of

    def sample(self, sample: Sample, round_number: int) -> None:
        """Nothing: a log is not a terminal."""

    def end(self, run: Run) -> None:
        """Say how it ended."""
        took = "" if run.total_ms is None else f" in {run.total_ms / 1000:.2f} s"
        how = run.failed or f"{len(run.rounds)} rounds{took}"
        self._output.step(f"{self._number}/{self._of} {run.variant.label}: {how}")


class _BarProgress:
    """One line that says which migration runs and how far it is."""

    def __init__(self, bar: Bar, *, timed: bool) -> None:
        self._bar = bar
        self._timed = timed
        self._task = bar.add_task("", total=None, detail="")

    def begin(self, variant: Variant, number: int, of: int) -> None:
        """Start a bar."""
        self._bar.reset(
            self._task, description=f"{number + 1}/{of} {variant.label}", total=None, detail=""
        )

    def sample(self, sample: Sample, round_number: int) -> None:
        """Move it."""
        wire = f", {sample.wire_bytes / (1 << 20):.0f} MiB on the wire"
        rate = ""
        if self._timed and sample.ms:
            rate = f", {sample.pages * PAGE_BYTES / 1e6 / sample.ms:.2f} GB/s"
        self._bar.update(
            self._task, completed=sample.pages, detail=f"round {round_number}{wire}{rate}"
        )

    def end(self, run: Run) -> None:
        """Nothing more: the table tells."""


@contextmanager
def progress(output: Output, *, timed: bool) -> Iterator[Progress]:
    """Progress on stderr: a moving line on a terminal; elsewhere, with -v, a line a migration."""
    if output.quiet:
        yield NoProgress()
        return
    if not sys.stderr.isatty():
        yield _LineProgress(output)
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _BarProgress(bar, timed=timed)
