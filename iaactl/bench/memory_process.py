"""Guest memory of a running QEMU, read through /proc; nothing in the process is changed.

The guest goes on while it is read, so a page can be half old, half new: for compression ratios that
does not matter.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from iaactl.bench.image import Image
from iaactl.errors import HostError, PermissionMissing
from iaactl.model.migration import PAGE_BYTES
from iaactl.model.units import format_bytes

PROC = Path("/proc")
_CHUNK = 4 << 20
_LEAST = 1 << 20


@dataclass(frozen=True, slots=True)
class Mapping:
    """A line of /proc/PID/maps: addresses, permission letters, what is mapped."""

    start: int
    end: int
    permissions: str
    name: str

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


def parse_maps(text: str) -> list[Mapping]:
    """Mappings of /proc/PID/maps; lines that are not of its form are left out."""
    found = []
    for line in text.splitlines():
        fields = line.split(None, 5)
        start, dash, end = fields[0].partition("-") if len(fields) >= 5 else ("", "", "")
        try:
            mapping = Mapping(
                int(start, 16), int(end, 16), fields[1], fields[5] if len(fields) > 5 else ""
            )
        except (ValueError, IndexError):
            continue
        if dash and mapping.size > 0:
            found.append(mapping)
    return found


def guest_ram(mappings: list[Mapping]) -> list[Mapping]:
    """What can be guest RAM: the largest writable mapping, and those at least an eighth of it.

    QEMU maps each RAM block as a whole, anonymous or from memfd, shm or hugetlbfs. The code that
    its emulator makes takes as much, and is executable. Largest first.
    """
    writable = [
        m
        for m in mappings
        if m.permissions.startswith("rw-") and m.size >= _LEAST and not m.name.startswith("[")
    ]
    writable.sort(key=lambda m: (-m.size, m.start))
    return [m for m in writable if m.size >= writable[0].size // 8]


def _refused(pid: int, error: OSError) -> HostError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionMissing(
            f"memory of process {pid} may not be read: {error.strerror}",
            hint="run it as root, or as the user of that QEMU with kernel.yama.ptrace_scope=0",
        )
    return HostError(
        f"process {pid} cannot be read: {error.strerror}",
        hint="`pgrep -a qemu` lists the QEMU processes",
    )


def _copy(memory: int, mapping: Mapping, content: bytearray, most_bytes: int) -> None:
    """Append a mapping; pages that cannot be read (holes of a file) count as zero."""
    position, end = mapping.start, mapping.start + min(mapping.size, most_bytes - len(content))
    while position < end:
        length = min(_CHUNK, end - position)
        try:
            chunk = os.pread(memory, length, position)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EFAULT):
                raise
            chunk = b""
        if not chunk:
            length = min(PAGE_BYTES, end - position)
            try:
                chunk = os.pread(memory, length, position)
            except OSError:
                chunk = b""
            chunk = chunk or bytes(length)
        content += chunk
        position += len(chunk)


def from_process(pid: int, most_bytes: int, proc: Path = PROC) -> Image:
    """The largest RAM of a process, `most_bytes` at most. Raises HostError, PermissionMissing."""
    try:
        maps = (proc / str(pid) / "maps").read_text(errors="replace")
        name = (proc / str(pid) / "comm").read_text(errors="replace").strip()
        ram = guest_ram(parse_maps(maps))
        if not ram:
            raise HostError(
                f"process {pid} ({name}) has no memory that could be a guest's",
                hint="`pgrep -a qemu` lists the QEMU processes",
            )
        content = bytearray()
        memory = os.open(proc / str(pid) / "mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for mapping in ram:
                if len(content) < most_bytes:
                    _copy(memory, mapping, content, most_bytes)
        finally:
            os.close(memory)
    except OSError as error:
        raise _refused(pid, error) from error
    total = sum(mapping.size for mapping in ram)
    part = "" if len(content) >= total else f", the first {format_bytes(most_bytes)}"
    return Image(content, f"process {pid} ({name}), {total / (1 << 20):.0f} MiB of RAM{part}")
