"""Every code of a finding, in one table: doctor, plan, selftest and the README read it.

A code is stable: it keeps its meaning, and one that is given up is not used again.
"""

from __future__ import annotations

from iaactl.model.codes import (
    access,
    bench,
    devices,
    iommu,
    kernel,
    plan,
    platform,
    queues,
    software,
)
from iaactl.model.codes.entry import Code
from iaactl.model.finding import Finding, Severity

__all__ = ["BY_CODE", "CODES", "SVA_CAUSES", "Code", "found", "remedy_of"]

CODES: tuple[Code, ...] = (
    *platform.CODES,
    *kernel.CODES,
    *iommu.CODES,
    *devices.CODES,
    *queues.CODES,
    *access.CODES,
    *software.CODES,
    *plan.CODES,
    *bench.CODES,
)
BY_CODE: dict[str, Code] = {entry.code: entry for entry in CODES}
SVA_CAUSES = iommu.SVA_CAUSES


def remedy_of(code: str) -> str | None:
    """The usual remedy of a code."""
    return BY_CODE[code].remedy


def found(
    code: str,
    subject: str,
    sentence: str,
    *evidence: str,
    severity: Severity | None = None,
    remedy: str | None = None,
) -> Finding:
    """A finding of that code; severity and remedy are the table's unless given."""
    entry = BY_CODE[code]
    return Finding(
        code=code,
        severity=severity or entry.severity,
        subject=subject,
        sentence=sentence,
        evidence=evidence,
        remedy=remedy or entry.remedy,
    )
