"""Memory, huge pages, compressed swap: what a destination needs, and who else uses IAA."""

from __future__ import annotations

import re

from iaactl.host.reading import Reading
from iaactl.model.facts import Memory, Zswap

_LINE = re.compile(r"^(\w+(?:\(\w+\))?):\s+(\d{1,18})( kB)?$", re.MULTILINE)


def read_memory(read: Reading) -> Memory:
    """/proc/meminfo, in bytes and pages."""
    text = read.text("/proc/meminfo") or ""
    values = {m[1]: int(m[2]) * (1024 if m[3] else 1) for m in _LINE.finditer(text)}
    return Memory(
        total_bytes=values.get("MemTotal"),
        available_bytes=values.get("MemAvailable"),
        huge_pages=values.get("HugePages_Total"),
        huge_pages_free=values.get("HugePages_Free"),
        huge_page_bytes=values.get("Hugepagesize"),
    )


def read_zswap(read: Reading) -> Zswap:
    """zswap's switch and compressor, active swap, and IAA among the kernel's algorithms."""
    enabled = read.text("/sys/module/zswap/parameters/enabled")
    crypto = read.text("/proc/crypto")
    drivers = re.findall(r"^driver\s*:\s*(\S*iaa\S*)$", crypto or "", re.MULTILINE)
    swaps = (read.text("/proc/swaps") or "").splitlines()[1:]
    return Zswap(
        enabled=None if enabled is None else enabled.strip() in ("Y", "1"),
        compressor=read.text("/sys/module/zswap/parameters/compressor"),
        swaps=tuple(line.split()[0] for line in swaps if line.strip()),
        algorithms=None if crypto is None else tuple(drivers),
    )
