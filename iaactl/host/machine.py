"""Facts about this machine that a benchmark must state: CPU, kernel, memory, kinds of nodes."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from iaactl.host.facts.cpu import read_cpu
from iaactl.host.facts.memory import read_memory
from iaactl.host.files import HostFiles
from iaactl.host.reading import Reading
from iaactl.ports import Files

_CPU = re.compile(r"cpu(\d{1,6})")


def cpu_model() -> str:
    """The CPU as the kernel names it."""
    return read_cpu(Reading(HostFiles())).model_name or os.uname().machine


def usable_cpus() -> int:
    """CPUs that this process may run on."""
    return len(os.sched_getaffinity(0))


def cpus_by_socket(files: Files | None = None) -> dict[int, tuple[int, ...]]:
    """CPU numbers of each socket (physical package) that is online."""
    read = Reading(files or HostFiles())
    folder = "/sys/devices/system/cpu"
    found: dict[int, list[int]] = {}
    for name in read.names(folder):
        match = _CPU.fullmatch(name)
        socket = read.number(f"{folder}/{name}/topology/physical_package_id", 10) if match else None
        if match and socket is not None:
            found.setdefault(socket, []).append(int(match[1]))
    return {socket: tuple(sorted(cpus)) for socket, cpus in sorted(found.items())}


def kernel() -> str:
    """Release of the running kernel."""
    return Reading(HostFiles()).text("/proc/sys/kernel/osrelease") or os.uname().release


def available_bytes() -> int | None:
    """Memory that can be taken without swapping, bytes; None where the kernel does not tell."""
    return read_memory(Reading(HostFiles())).available_bytes


def is_character_device(path: str) -> bool:
    """Whether a node belongs to a driver of the kernel; False for files and for what is not."""
    try:
        return stat.S_ISCHR(Path(path).stat().st_mode)
    except OSError:
        return False
