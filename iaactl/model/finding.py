"""What is wrong, why, and what to type next."""

from __future__ import annotations

from enum import StrEnum

from iaactl.model.device import Frozen


class Severity(StrEnum):
    """How much a finding matters; an error means that what was asked cannot work."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"
    OK = "ok"
    UNKNOWN = "unknown"


class Finding(Frozen):
    """One observation with a stable code."""

    code: str
    severity: Severity
    subject: str
    sentence: str
    evidence: tuple[str, ...] = ()
    because_of: tuple[str, ...] = ()
    remedy: str | None = None


def finding(
    code: str,
    severity: Severity,
    subject: str,
    sentence: str,
    evidence: tuple[str, ...] = (),
    remedy: str | None = None,
) -> Finding:
    """A finding, in the order in which a check thinks of its parts."""
    return Finding(
        code=code,
        severity=severity,
        subject=subject,
        sentence=sentence,
        evidence=evidence,
        remedy=remedy,
    )
