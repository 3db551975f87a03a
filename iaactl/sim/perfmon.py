"""The performance counters of a device, as the event_source bus shows them.

A device without the counters (a virtual one) has no PMU. Source: drivers/dma/idxd/perfmon.c.
"""

from __future__ import annotations

from iaactl.sim.kernfs import Attribute, Directory, Link

BUS = "sys/bus/event_source/devices"
# Types below are the kernel's own; the CPU's uncore PMUs come before those of devices.
_FIRST_TYPE = 120
_FORMAT = {
    "event_category": "config:0-3",
    "event": "config:4-31",
    "filter_wq": "config1:0-31",
    "filter_tc": "config1:32-39",
    "filter_pgsz": "config1:40-43",
    "filter_sz": "config1:44-51",
    "filter_eng": "config1:52-59",
}


def _fixed(text: str) -> Attribute:
    data = f"{text}\n".encode()
    return Attribute(lambda: data)


def publish(root: Directory, name: str, number: int) -> None:
    """Show the PMU of the device `name` with the driver's number for it."""
    directory = root.directory("sys/devices").add(name, Directory())
    directory.add("type", _fixed(str(_FIRST_TYPE + number)))
    directory.add("cpumask", _fixed("0"))
    shown = directory.add("format", Directory())
    for key, bits in _FORMAT.items():
        shown.add(key, _fixed(bits))
    directory.add("power", Directory())
    directory.add("subsystem", Link("../../bus/event_source"))
    directory.add("uevent", Attribute(lambda: b"", lambda data: None))
    root.directory(BUS).add(name, Link(f"../../../devices/{name}"))


def remove(root: Directory, name: str) -> None:
    """The device has gone; nothing when it had no counters."""
    devices = root.directory(BUS)
    if name in devices.children:
        devices.remove(name)
        root.directory("sys/devices").remove(name)
