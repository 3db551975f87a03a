"""Enumerates and follows the `dsa` and `pci` subsystems through libudev."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyudev

from iaactl.errors import LibraryMissing
from iaactl.ports import BusEvent

SUBSYSTEMS = ("dsa", "pci")


def _context() -> pyudev.Context:
    try:
        return pyudev.Context()
    except ImportError as error:
        raise LibraryMissing("libudev cannot be loaded", hint="install libudev1") from error


def enumerate_devices(subsystem: str) -> Iterable[str]:
    """The sysfs paths of a subsystem's devices, in libudev's order; of `dsa` only IAA devices."""
    found = _context().list_devices(subsystem=subsystem)
    if subsystem == "dsa":
        found = found.match_sys_name("iax*")
    return [device.sys_path for device in found]


class UdevEvents:
    """`Events` from systemd-udevd, after its rules have run."""

    def follow(self) -> Iterator[BusEvent]:
        """Block for events of the dsa and pci subsystems, without end."""
        monitor = pyudev.Monitor.from_netlink(_context(), source="udev")
        for subsystem in SUBSYSTEMS:
            monitor.filter_by(subsystem)
        for device in iter(monitor.poll, None):
            yield BusEvent(str(device.action), str(device.subsystem), device.sys_name)
