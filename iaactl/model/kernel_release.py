"""What a kernel's release tells about SVA and known faults, and how sure that is.

Distributions take patches into old releases, so that a release is supporting evidence only: what
opening a queue shows comes first. Sources are with the codes IAA-K003, IAA-S002 and IAA-K008.
"""

from __future__ import annotations

import re
from enum import StrEnum

_RELEASE = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?(?:-(\d{1,6}))?")

Release = tuple[int, int, int]


class SvaState(StrEnum):
    """What a release makes likely for SVA on x86."""

    FIXED = "fixed"
    """Works, with the fix for CVE-2025-71202."""
    DISABLED = "disabled"
    """Carries the patch that turns SVA off."""
    UNSAFE = "unsafe"
    """From before that patch: works, with stale translations."""
    UNCERTAIN = "uncertain"
    """A series into which the patch went at a release that is not known."""


def parse_release(text: str | None) -> Release | None:
    """Version, patch level and sublevel of `uname -r`; None for anything else."""
    match = _RELEASE.match(text or "")
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None


def _abi(text: str) -> int:
    """The number after the dash, with which Ubuntu counts its builds: 22 in 6.17.0-22-generic."""
    match = _RELEASE.match(text)
    return int(match[4] or 0) if match else 0


def sva_state(text: str | None) -> SvaState:
    """What the release makes likely."""
    release = parse_release(text)
    if release is None or text is None:
        return SvaState.UNCERTAIN
    series = release[:2]
    if series >= (6, 19) or release >= (6, 18, 7):
        return SvaState.FIXED
    if series == (6, 12):
        return SvaState.DISABLED if release[2] >= 64 else SvaState.UNSAFE
    if series == (6, 17) and release[2] == 0 and "-generic" in text:
        return SvaState.DISABLED if _abi(text) >= 22 else SvaState.UNSAFE
    if series in ((6, 16), (6, 17)) or (6, 13) <= series <= (6, 15):
        return SvaState.UNSAFE
    # Long-term series got the patch at releases that are not recorded here, 6.18 before .7 too.
    return SvaState.UNCERTAIN


def pasid_flag_lies(text: str | None) -> bool:
    """Whether `pasid_enabled` is 1 whatever the IOMMU can do (6.16 and later; unknown: yes)."""
    release = parse_release(text)
    return release is None or release >= (6, 16, 0)


def disable_may_crash(text: str | None) -> bool:
    """Whether disabling a device without event log may dereference a null pointer (6.12.80 on)."""
    release = parse_release(text)
    return release is not None and release[:2] == (6, 12) and release[2] >= 80


def lacks_sa_01084_fix(text: str | None) -> bool:
    """Whether the release is before 6.8.10, in which mapping a portal became privileged."""
    release = parse_release(text)
    return release is not None and release < (6, 8, 10)
