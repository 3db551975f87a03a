"""The firmware's table of IOMMU units (ACPI table DMAR), as /sys/firmware/acpi/tables shows it.

Layout: VT-d specification, chapter 8: a header, and for each unit a structure that names the root
buses it serves. Linux makes the file readable for root only.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from iaactl.sim.iommu import Unit

if TYPE_CHECKING:
    from iaactl.sim.machine import MachineSpec

PATH = "sys/firmware/acpi/tables"
MODE = 0o400

IDENTITY = "(v01 INTEL  SIMULATE 00000001 INTL 20091013)"
"""The header's revision and names, as the kernel logs them."""

_DRHD = 0
_SCOPE_SUBHIERARCHY = 2
_INTERRUPT_REMAPPING = 1


def _unit(unit: Unit) -> bytes:
    scope = b""
    segment = 0
    if unit.bus is not None:
        segment, bus = (int(part, 16) for part in unit.bus.split(":"))
        scope = struct.pack("<BBHBBBB", _SCOPE_SUBHIERARCHY, 8, 0, 0, bus, 0, 0)
    length = 16 + len(scope)
    return struct.pack("<HHBBHQ", _DRHD, length, unit.flags, 0, segment, unit.address) + scope


def address_bits(spec: MachineSpec) -> int:
    """Width of DMA addresses: of Sapphire Rapids, or of QEMU with aw-bits=48."""
    return 48 if spec.virtual else 52


def dmar(units: tuple[Unit, ...], width: int) -> bytes:
    """The table for machines whose DMA addresses have at most `width` bits."""
    body = struct.pack("<BB10x", width - 1, _INTERRUPT_REMAPPING)
    body += b"".join(_unit(unit) for unit in units)
    table = bytearray(
        struct.pack(
            "<4sIBB6s8sI4sI",
            b"DMAR",
            36 + len(body),
            1,
            0,
            b"INTEL ",
            b"SIMULATE",
            1,
            b"INTL",
            0x20091013,
        )
        + body
    )
    table[9] = -sum(table) & 0xFF
    return bytes(table)
