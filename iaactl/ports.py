"""What the use cases need of the outside world; adapters in `iaactl.host` provide it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from iaactl.model.device import Access
from iaactl.model.evidence import TreeEvidence


@dataclass(frozen=True, slots=True)
class Status:
    """What stat(2) says of a file; names only where the file system's own users are known."""

    uid: int
    gid: int
    mode: int
    directory: bool = False
    owner: str | None = None
    group: str | None = None


class Files(Protocol):
    """A root file system, for reading only. Paths are absolute; every method raises OSError."""

    def text(self, path: str) -> str:
        """A file's text, at most 4 MiB, bytes that are no UTF-8 as surrogates."""

    def data(self, path: str) -> bytes:
        """A file's bytes, at most 4 MiB."""

    def names(self, path: str) -> list[str]:
        """Sorted names in a directory."""

    def link(self, path: str) -> str:
        """The text of a symbolic link."""

    def real(self, path: str) -> str:
        """The path without symbolic links; parts that do not exist stay as they are."""

    def status(self, path: str) -> Status:
        """Owner and permission bits of what the path leads to."""


class DeviceTree(Protocol):
    """Reads the machine. Never changes anything, needs no privilege."""

    def snapshot(self) -> TreeEvidence:
        """Everything about IAA, read now."""


class Configurator(Protocol):
    """Changes devices, each call one operation of the driver.

    Every method raises `AttributeRefused` or `DeviceCommandFailed` with the errno when the driver
    refuses, and `Unsupported` when the installed library cannot express the operation.
    """

    def check(self, attributes: Sequence[tuple[str, str]]) -> None:
        """Raise `Unsupported` if one of these (kind of object, attribute) cannot be written."""

    def write(self, device: str, name: str, attribute: str, value: str) -> None:
        """Write one attribute of a device, group, engine or work queue."""

    def enable_device(self, device: str) -> None:
        """Enable a device."""

    def disable_device(self, device: str) -> None:
        """Disable a device; its work queues are disabled already."""

    def enable_wq(self, device: str, name: str) -> None:
        """Enable a work queue with the driver that its `driver_name` or type asks for."""

    def disable_wq(self, device: str, name: str) -> None:
        """Disable a work queue, also under its clients: the caller has asked."""


class NodeAccess(Protocol):
    """Grants access to device nodes so that it survives the node's removal and return."""

    def grant(self, accesses: Sequence[Access]) -> None:
        """Add or replace the rule of each work queue named, and apply it to nodes that exist."""

    def revoke(self, wqs: Sequence[str]) -> None:
        """Take the rules of these work queues away; their nodes go back to root, 0600."""

    def rules(self) -> dict[str, Access]:
        """The rules in force that this product wrote, by work queue."""


class RestorePoints(Protocol):
    """Keeps what a run is about to change, so that a later run can put it back."""

    def save(self, document: str) -> str:
        """Store durably before anything is written; returns the name to restore by."""

    def load(self, name: str | None) -> tuple[str, str]:
        """Name and text of a restore point; None means the newest."""

    def close(self, name: str) -> None:
        """Mark as no longer needed for recovery; it stays readable by name."""

    def open_points(self) -> list[str]:
        """Names of runs that neither finished nor put back what they did, oldest first."""


class Lock(Protocol):
    """Keeps two runs from configuring at the same time."""

    def hold(self) -> AbstractContextManager[None]:
        """Hold the lock; raises `Busy` naming the holder."""


@dataclass(frozen=True, slots=True)
class BusEvent:
    """One udev event of a PCI function or an object of the dsa bus."""

    action: str
    subsystem: str
    name: str


class Events(Protocol):
    """Follows udev."""

    def follow(self) -> Iterator[BusEvent]:
        """Events as they come, without end."""


Audit = Callable[[str, str, str | None, str | None], None]
"""Called for every operation: verb, object or attribute path, value before, value after."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one submitted descriptor.

    `record` is the completion record, 64 bytes, all zero when none was written; `errno` is 0, or
    why there is none (EAGAIN queue full until the deadline, ETIMEDOUT, another of write(2)).
    """

    record: bytes
    errno: int
    retries: int
    faults: int
    elapsed_ns: int


class Buffer(Protocol):
    """Memory that a device may read and write; page aligned, zero filled."""

    @property
    def address(self) -> int:
        """Where it begins."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read(self, size: int, offset: int = 0) -> bytes:
        """A copy of part of it."""

    def write(self, data: bytes, offset: int = 0) -> None:
        """Put bytes into it."""


class Portal(Protocol):
    """One open work queue. Belongs to the process that opened it; not for use after a fork."""

    @property
    def way(self) -> str:
        """How descriptors go in: `enqcmd`, `movdir64b` or `write`."""

    @property
    def why_not_mapped(self) -> int:
        """Errno of mapping the portal, 0 when it is mapped, ENOSYS when the CPU lacks the
        instruction."""

    def buffer(self, size: int) -> Buffer:
        """Fresh memory that nobody has touched, so that its pages are faulted in by the device.

        It lives until the portal is closed, as long as the device may write to it.
        """

    def run(
        self, descriptors: Sequence[bytes], *, depth: int, timeout_s: float, max_faults: int = 16
    ) -> list[Outcome]:
        """Submit all, at most `depth` in flight, and wait for all completions or the deadline."""

    def fill(self, descriptors: Sequence[bytes]) -> int:
        """Submit without waiting until the queue is full; how many it took.

        Raises OperationError for any other refusal.
        """

    def close(self) -> None:
        """Close; what is in flight is drained by the kernel."""
