"""One code of a finding: what it says, the story behind it, and what may be its cause."""

from __future__ import annotations

from dataclasses import dataclass

from iaactl.model.finding import Severity


@dataclass(frozen=True, slots=True)
class Code:
    """An entry of the table of codes.

    `severity` is the usual one; a check may know better. `explained_by` are codes whose finding,
    where there is one, is the reason for this. `remedy` is a command or a precise setting, used
    where a check has none of its own. `story` is for `doctor explain`, in whole sentences.
    """

    code: str
    severity: Severity
    title: str
    story: str
    sources: tuple[str, ...] = ()
    explained_by: tuple[str, ...] = ()
    remedy: str | None = None
