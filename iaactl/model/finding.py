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
