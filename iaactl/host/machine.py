"""Facts about this machine that a benchmark must state: CPU, kernel, memory, kinds of nodes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_PROC = Path("/proc")


def cpu_model() -> str:
    """The CPU as the kernel names it."""
    try:
        for line in (_PROC / "cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return os.uname().machine


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0))


def kernel() -> str:
    """Release of the running kernel."""
    return os.uname().release


def available_bytes() -> int | None:
    """Memory that can be taken without swapping, bytes; None where the kernel does not tell."""
    try:
        for line in (_PROC / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return None


def is_character_device(path: str) -> bool:
    """Whether a node belongs to a driver of the kernel; False for files and for what is not."""
    try:
        return stat.S_ISCHR(Path(path).stat().st_mode)
    except OSError:
        return False
