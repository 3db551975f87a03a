"""A selftest as a table: a row a work queue, failures with cause and next command beneath."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from iaactl.selftest.report import SelftestReport


def report_lines(report: SelftestReport) -> list[Table | Text]:
    """The table, then what failed and what was left out."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("WQ", "VERDICT", "BY", "PASSED", "DESCRIPTORS", "FAULTS", "RETRIES"):
        right = column in ("PASSED", "DESCRIPTORS", "FAULTS", "RETRIES")
        table.add_column(column, justify="right" if right else "left", no_wrap=True)
    for queue in report.queues:
        total = len(queue.passed) + len(queue.failures)
        table.add_row(
            queue.wq,
            Text("ok", style="green") if queue.ok else Text("FAILED", style="bold red"),
            queue.way or "-",
            f"{len(queue.passed)}/{total}",
            str(queue.descriptors),
            str(queue.faults_resolved),
            str(queue.retries),
        )
    lines: list[Table | Text] = [table]
    for queue in report.queues:
        for failure in queue.failures:
            lines.append(Text(""))
            lines.append(Text(f"{queue.wq}: {failure.case}: {failure.message}"))
            if failure.hint:
                lines.append(Text(f"  next: {failure.hint}", style="dim"))
    reasons = {queue.not_mapped for queue in report.queues if queue.not_mapped}
    if reasons:
        lines += [Text(""), Text(f"by write(), not the portal: {'; '.join(sorted(reasons))}")]
    skipped = sorted({name for queue in report.queues for name in queue.skipped})
    if skipped:
        lines.append(Text(f"skipped, not among the operations allowed: {', '.join(skipped)}"))
    if report.untested:
        lines.append(Text(""))
        lines += [Text(f"not tested: {left.wq}: {left.reason}") for left in report.untested]
    return lines
