"""Which lines of the kernel log matter here, and what they say without time and priority."""

from __future__ import annotations

import re

RELEVANT = re.compile(
    r"idxd|\biaa|\biax|dmar|iommu|pasid|\bsva\b|\bsvm\b|vfio|Linux version|Lockdown"
    r"|5-level|ENQCMD|MOVDIR64B",
    re.IGNORECASE,
)
"""Nothing else is kept, or leaves the machine."""

_RECORD = re.compile(r"^\d+,\d+,\d+,[^;]*;")  # /dev/kmsg
_PREFIX = re.compile(r"^(?:\S.*? kernel: )?(?:<\d+>)?(?:\[[^\]]*\]\s*)*")  # dmesg, syslog


def messages(text: str) -> tuple[str, ...]:
    """Relevant messages of a log in any of its formats, those of the last boot only."""
    lines = [_message(line) for line in text.splitlines() if RELEVANT.search(line)]
    starts = [n for n, line in enumerate(lines) if line.startswith("Linux version")]
    return tuple(lines[starts[-1] if starts else 0 :])


def _message(line: str) -> str:
    line = line.encode(errors="replace").decode()
    return _PREFIX.sub("", _RECORD.sub("", line, count=1), count=1).strip()
