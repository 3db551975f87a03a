"""Names of devices, work queues and PCI functions: parse, format, natural order."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DEVICE = re.compile(r"(?P<kind>iax|dsa)(?P<id>0|[1-9][0-9]*)")
_MEMBER = re.compile(
    r"(?P<kind>wq|engine|group)(?P<device>0|[1-9][0-9]*)\.(?P<index>0|[1-9][0-9]*)"
)
_PCI = re.compile(
    r"(?:(?P<domain>[0-9a-fA-F]{4,8}):)?(?P<bus>[0-9a-fA-F]{2}):(?P<dev>[01][0-9a-fA-F])\.(?P<fn>[0-7])"
)
_DIGITS = re.compile(r"([0-9]+)")


@dataclass(frozen=True, slots=True)
class DeviceName:
    """`iax1`: the driver's kind of device and the id it shares with DSA devices."""

    kind: str
    id: int

    def __str__(self) -> str:
        return f"{self.kind}{self.id}"


@dataclass(frozen=True, slots=True)
class MemberName:
    """`wq1.0`, `engine1.3`, `group1.0`: kind, id of the device, index within the device."""

    kind: str
    device_id: int
    index: int

    def __str__(self) -> str:
        return f"{self.kind}{self.device_id}.{self.index}"


def parse_device(text: str) -> DeviceName:
    """`iax1` or `dsa0`. Raises ValueError naming the text."""
    match = _DEVICE.fullmatch(text)
    if match is None:
        near = (
            f"; the kernel calls IAA devices iaxN, e.g. iax{text[3:]}" if text[:3] == "iaa" else ""
        )
        raise ValueError(f"`{text}` is not a device name such as iax1{near}")
    return DeviceName(match["kind"], int(match["id"]))


def parse_member(text: str) -> MemberName:
    """`wq1.0`, or with its device in front as accel-config writes it, `iax1/wq1.0`."""
    prefix, slash, name = text.rpartition("/")
    match = _MEMBER.fullmatch(name)
    if match is None:
        raise ValueError(f"`{text}` is not a name such as wq1.0 or iax1/wq1.0")
    member = MemberName(match["kind"], int(match["device"]), int(match["index"]))
    if slash and parse_device(prefix).id != member.device_id:
        raise ValueError(f"`{text}`: {name} does not belong to {prefix}")
    return member


def parse_pci(text: str) -> str:
    """A PCI address in full, lower case: `6a:02.0` gives `0000:6a:02.0`."""
    match = _PCI.fullmatch(text)
    if match is None:
        raise ValueError(f"`{text}` is not a PCI address such as 0000:6a:02.0")
    domain = match["domain"] or "0000"
    return f"{domain}:{match['bus']}:{match['dev']}.{match['fn']}".lower()


def natural(text: str) -> tuple[str | int, ...]:
    """Sort key in which wq1.10 follows wq1.9."""
    return tuple(int(part) if part.isdigit() else part for part in _DIGITS.split(text))
