"""A diagnosis for people: the verdict, then root causes with what follows from each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from iaactl.doctor.causes import consequences, roots
from iaactl.doctor.diagnosis import Diagnosis
from iaactl.model.codes import Code
from iaactl.model.finding import Finding, Severity

_STYLE = {
    Severity.ERROR: "bold red",
    Severity.WARNING: "yellow",
    Severity.NOTICE: "cyan",
    Severity.UNKNOWN: "magenta",
    Severity.OK: "green",
}
_SERIOUS = (Severity.ERROR, Severity.WARNING, Severity.UNKNOWN)
_MOST_EVIDENCE = 6


def _alike(findings: Sequence[Finding]) -> Iterable[list[Finding]]:
    """Findings that say the same of different objects, together."""
    groups: dict[tuple[str, str, Severity], list[Finding]] = {}
    for finding in findings:
        same = finding.sentence
        for name in (finding.subject, *finding.subject.split("/")):
            same = same.replace(name, "")
        same = "".join(c for c in same if not c.isdigit())
        groups.setdefault((finding.code, same, finding.severity), []).append(finding)
    return groups.values()


def _subjects(findings: Sequence[Finding]) -> str:
    names = [finding.subject for finding in findings]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _rows(table: Table, group: list[Finding], *, evidence: bool) -> None:
    first = group[0]
    table.add_row(
        Text(first.severity, _STYLE[first.severity]), Text(first.code, "dim"), Text(first.sentence)
    )
    if len(group) > 1:
        table.add_row("", "", Text(f"likewise {_subjects(group[1:])}", "dim"))
    if evidence:
        for text in first.evidence[:_MOST_EVIDENCE]:
            table.add_row("", "", Text(text, "dim"))
        more = len(first.evidence) - _MOST_EVIDENCE
        if more > 0:
            table.add_row("", "", Text(f"and {more} more", "dim"))


def _remedy(table: Table, finding: Finding) -> None:
    if finding.remedy and finding.severity is not Severity.OK:
        style = "bold" if finding.severity in _SERIOUS else ""
        table.add_row("", "", Text(f"next: {finding.remedy}", style))


def _folded(table: Table, found: Sequence[Finding]) -> None:
    for group in _alike(found):
        also = f"; likewise {_subjects(group[1:])}" if len(group) > 1 else ""
        table.add_row("", Text(group[0].code, "dim"), Text(f"so: {group[0].sentence}{also}", "dim"))


def _nothing_there(findings: Sequence[Finding]) -> list[Text]:
    """Without a device there is no fault to explain: what it is, and what would be needed."""
    lines = [Text(f"{f.sentence[0].upper()}{f.sentence[1:]}.") for f in findings[1:] if f.sentence]
    if findings[0].remedy:
        lines.append(Text(f"next: {findings[0].remedy}"))
    return lines


def diagnosis_lines(diagnosis: Diagnosis, *, everything: bool) -> list[Table | Text]:
    """The verdict first; notices and what passed are short, or left out."""
    verdict = Text(f"{diagnosis.sentence}.", "bold green" if diagnosis.ready else "bold yellow")
    findings = diagnosis.findings
    if findings and findings[0].code.startswith("IAA-N"):
        return [verdict, *_nothing_there(findings)]
    shown = [f for f in findings if everything or f.severity is not Severity.OK]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    folded: set[int] = set()
    for group in _alike(roots(shown)):
        followers = {id(f): f for root in group for f in consequences(root, shown)}
        fresh = [f for key, f in followers.items() if key not in folded]
        folded |= set(followers)
        serious = group[0].severity in _SERIOUS
        table.add_row()
        _rows(table, group, evidence=serious or everything)
        _remedy(table, group[0])
        _folded(table, fresh)
    lines: list[Table | Text] = [verdict, table]
    if diagnosis.root_would_add:
        lines += [
            Text(""),
            Text(f"root would add: {'; '.join(diagnosis.root_would_add)}"),
        ]
    passed = sum(1 for f in findings if f.severity is Severity.OK)
    last = []
    if passed and not everything:
        last.append(f"{passed} check{'s' if passed > 1 else ''} passed (--all)")
    if any(f.severity is not Severity.OK for f in findings):
        last.append("the story behind a code: iaactl doctor explain CODE")
    if last:
        lines += [Text(""), Text("; ".join(last), "dim")]
    return lines


def code_lines(entry: Code) -> list[Text]:
    """One entry of the table of codes."""
    lines: list[Text] = [
        Text.assemble((entry.code, "bold"), f"  {entry.title}  ", (f"({entry.severity})", "dim")),
        Text(""),
        Text(entry.story),
    ]
    if entry.remedy:
        lines += [Text(""), Text(f"next: {entry.remedy}", "bold")]
    if entry.explained_by:
        lines += [Text(""), Text(f"can be explained by: {', '.join(entry.explained_by)}")]
    if entry.sources:
        lines += [Text(""), Text("sources:"), *(Text(f"  {source}") for source in entry.sources)]
    return lines
