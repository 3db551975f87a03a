"""The kernel log of the simulated machine, as /dev/kmsg gives it out.

Format and behaviour: Linux' Documentation/ABI/testing/dev-kmsg. One read(2) is one record; a
reader that was overtaken gets EPIPE once. Not so here: a read without O_NONBLOCK at the end of
the log ends the file instead of waiting, which the file server sees to, and a file cannot be
rewound.
"""

from __future__ import annotations

import errno
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from iaactl.sim import permissions
from iaactl.sim.kernfs import Caller, DeviceNode, refuse

ERR, WARNING, NOTICE, INFO = 3, 4, 5, 6
NUMBER = 1, 11
MODE = 0o644
RECORDS = 8192
"""How many records are kept."""

_KERNEL, _USER = 0, 1
_LONGEST_WRITE = 1024 - 32
_POLL_READABLE = 0x41
_PRIORITY = re.compile(rb"<(\d{1,4})>")
# What the kernel's own messages take in time while it boots.
_STEP_US = 13


@dataclass(frozen=True)
class Record:
    """One message. `details` are the lines that name the device it is about."""

    sequence: int
    priority: int
    time_us: int
    text: bytes
    details: tuple[str, ...] = ()

    def shown(self) -> bytes:
        """As a reader gets it."""
        head = f"{self.priority},{self.sequence},{self.time_us},-;".encode()
        details = "".join(f" {line}\n" for line in self.details).encode()
        return head + _escaped(self.text) + b"\n" + details


def _escaped(text: bytes) -> bytes:
    return b"".join(
        b"%c" % c if 32 <= c < 127 and c != 0x5C else b"\\x%02x" % c  # the backslash itself
        for c in text
    )


class KernelLog:
    """All messages since the boot, which took no time but is dated as if it had."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._boot_us: int | None = 0
        self._zero = 0.0
        self._records: deque[Record] = deque(maxlen=RECORDS)
        self._next = 0

    def boot_reaches(self, seconds: float) -> None:
        """The next message of the boot is dated so many seconds after its beginning."""
        self._boot_us = round(seconds * 1e6)

    def boot_ends(self) -> None:
        """From now on messages are dated by the clock."""
        self._zero = self._clock() - (self._boot_us or 0) / 1e6
        self._boot_us = None

    def _now_us(self) -> int:
        if self._boot_us is None:
            return round((self._clock() - self._zero) * 1e6)
        self._boot_us += _STEP_US
        return self._boot_us - _STEP_US

    def _append(self, priority: int, text: bytes, details: tuple[str, ...]) -> None:
        record = Record(self._next, priority, self._now_us(), text, details)
        self._records.append(record)
        self._next += 1

    def printk(self, level: int, text: str, details: tuple[str, ...] = ()) -> None:
        """A message of the kernel."""
        self._append(_KERNEL << 3 | level, text.encode(), details)

    def device(self, level: int, driver: str, subsystem: str, name: str, text: str) -> None:
        """A message about a device, which begins with its driver (or bus) and its name."""
        details = (f"SUBSYSTEM={subsystem}", f"DEVICE=+{subsystem}:{name}")
        self.printk(level, f"{driver} {name}: {text}", details)

    def pci(self, level: int, address: str, text: str) -> None:
        """A message of the idxd driver about a PCI function."""
        self.device(level, "idxd", "pci", address, text)

    def write(self, data: bytes) -> None:
        """A message from outside the kernel: `<priority>text`. EINVAL when it is too long."""
        if len(data) > _LONGEST_WRITE:
            raise refuse(errno.EINVAL)
        priority = _USER << 3 | WARNING
        match = _PRIORITY.match(data)
        if match is not None:
            priority = int(match[1])
            if not priority >> 3:
                priority |= _USER << 3
            data = data[match.end() :]
        self._append(priority, data.removesuffix(b"\n"), ())

    def first(self) -> int:
        """Number of the oldest record that is kept, or of the next one."""
        return self._records[0].sequence if self._records else self._next

    def record(self, sequence: int) -> Record | None:
        """A record that is kept; None while there is none of that number yet."""
        index = sequence - self.first()
        return self._records[index] if index < len(self._records) else None

    def text(self) -> str:
        """All messages, one a line, without numbers and dates."""
        return "".join(f"{r.text.decode('utf-8', 'replace')}\n" for r in self._records)


class Reader:
    """An open file of /dev/kmsg."""

    def __init__(self, log: KernelLog) -> None:
        self._log = log
        self._sequence = log.first()

    def read(self, size: int, caller: Caller) -> bytes:
        """The next record. EAGAIN at the end, EPIPE after losses, EINVAL when it does not fit."""
        if self._sequence < self._log.first():
            self._sequence = self._log.first()
            raise refuse(errno.EPIPE)
        record = self._log.record(self._sequence)
        if record is None:
            raise refuse(errno.EAGAIN)
        self._sequence += 1
        shown = record.shown()
        if len(shown) > size:
            raise refuse(errno.EINVAL)
        return shown

    def write(self, data: bytes, caller: Caller) -> int:
        """Add a record."""
        self._log.write(data)
        return len(data)

    def mmap(self, length: int, caller: Caller) -> None:
        """It cannot be mapped."""
        raise refuse(errno.ENODEV)

    def poll(self, caller: Caller) -> int:
        """Readable while there are records."""
        return _POLL_READABLE if self._log.record(self._sequence) is not None else 0

    def close(self) -> None:
        """Nothing is held."""


def node(log: KernelLog, *, restricted: bool) -> DeviceNode:
    """The device node; `restricted` as the sysctl kernel.dmesg_restrict: EPERM without CAP_SYSLOG.

    The real one lets those write who may not read; here they may not open it either.
    """

    def open_(caller: Caller) -> Reader:
        if restricted and not permissions.capable(caller, permissions.SYSLOG):
            raise refuse(errno.EPERM)
        return Reader(log)

    return DeviceNode(open_, NUMBER, mode=MODE)
