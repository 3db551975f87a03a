"""Portals of work queues through the native core."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from iaactl.errors import OperationError
from iaactl.native._core import ffi, lib
from iaactl.native.opening import refused
from iaactl.native.system_error import errno_text
from iaactl.ports import Outcome

DESCRIPTOR_BYTES = COMPLETION_BYTES = 64
_WAYS = {
    lib.IAACTL_WAY_WRITE: "write",
    lib.IAACTL_WAY_ENQCMD: "enqcmd",
    lib.IAACTL_WAY_MOVDIR64B: "movdir64b",
}


class MemoryBuffer:
    """A `Buffer`: anonymous private memory, untouched."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._view = ffi.from_buffer(self._memory)
        self.address = int(ffi.cast("uintptr_t", self._view))
        self.size = size

    def read(self, size: int, offset: int = 0) -> bytes:
        """A copy of part of it."""
        return self._memory[offset : offset + size]

    def write(self, data: bytes, offset: int = 0) -> None:
        """Put bytes into it."""
        self._memory[offset : offset + len(data)] = data


class NativePortal:
    """A `Portal` on a device node. `dedicated` is the work queue's mode."""

    def __init__(self, path: str, *, dedicated: bool) -> None:
        holder, reason = ffi.new("struct iaactl_portal **"), ffi.new("int *")
        result = lib.iaactl_portal_open(path.encode(), dedicated, reason, holder)
        if result:
            raise refused(path, -result)
        self._portal: Any = holder[0]
        self._buffers: list[MemoryBuffer] = []
        self.why_not_mapped = int(reason[0])
        self.way = _WAYS[lib.iaactl_portal_way(self._portal)]

    def buffer(self, size: int) -> MemoryBuffer:
        """Fresh, untouched memory that lives as long as the portal."""
        buffer = MemoryBuffer(size)
        self._buffers.append(buffer)
        return buffer

    def run(
        self, descriptors: Sequence[bytes], *, depth: int, timeout_s: float, max_faults: int = 16
    ) -> list[Outcome]:
        """Submit and wait; see the port."""
        jobs = ffi.new("struct iaactl_job[]", len(descriptors))
        for job, descriptor in zip(jobs, descriptors, strict=True):
            ffi.memmove(job.descriptor, descriptor, DESCRIPTOR_BYTES)
        timeout_ns = int(timeout_s * 1e9)
        result = lib.iaactl_portal_run(
            self._portal, jobs, len(descriptors), depth, max_faults, timeout_ns
        )
        if result in (-errno.EPERM, -errno.EINVAL, -errno.ENOMEM) and not any(
            job.error == result for job in jobs
        ):
            raise OperationError(f"descriptors were not submitted: {errno_text(-result)}")
        return [
            self._outcome(job, descriptor)
            for job, descriptor in zip(jobs, descriptors, strict=True)
        ]

    @staticmethod
    def _outcome(job: Any, descriptor: bytes) -> Outcome:
        address = int.from_bytes(descriptor[8:16], "little")
        record = bytes(ffi.buffer(ffi.cast("char *", address), COMPLETION_BYTES))
        return Outcome(record, -job.error, job.retries, job.faults, job.ns)

    def fill(self, descriptors: Sequence[bytes]) -> int:
        """Submit until the queue is full; how many it took."""
        taken = ffi.new("uint32_t *")
        data = ffi.from_buffer(b"".join(descriptors))
        result = lib.iaactl_portal_fill(self._portal, data, len(descriptors), taken)
        if result:
            raise OperationError(f"a descriptor was refused: {errno_text(-result)}", errno=-result)
        return int(taken[0])

    def close(self) -> None:
        """Close, then let the memory go: the device may write to it until then."""
        if self._portal is not None:
            lib.iaactl_portal_close(self._portal)
            self._portal = None
            self._buffers.clear()

    def __enter__(self) -> NativePortal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
