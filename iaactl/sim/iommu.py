"""IOMMU units of a simulated machine: their registers, what sysfs shows, and whether SVA works.

The registers say what the hardware can do, not what the kernel makes of it: a kernel that runs
the units in legacy mode shows the same values as one that runs them in scalable mode. Sources:
bits from the VT-d specification (revision 4.1, 11.4.2 and 11.4.3); names and formats of the files
from Linux' Documentation/ABI/testing/sysfs-class-iommu-intel-iommu and its intel driver.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iaactl.sim.kernfs import Attribute, Directory, Link

if TYPE_CHECKING:
    from iaactl.sim.machine import MachineSpec

BITS: Mapping[str, tuple[str, int]] = {
    "fl5lp": ("cap", 60),  # 5-level paging of first-stage tables
    "fl1gp": ("cap", 56),  # pages of 1 GiB in first-stage tables
    "smpwc": ("ecap", 48),  # page walks in scalable mode are coherent
    "flts": ("ecap", 47),  # first-stage translation
    "smts": ("ecap", 43),  # scalable mode
    "pasid": ("ecap", 40),
    "prs": ("ecap", 29),  # page requests
}
"""Capabilities that a machine's units can be described to lack: register and bit."""
EVERY_UNIT = "all"

# A Sapphire Rapids in the log of github.com/intel/intel-device-plugins-for-kubernetes/issues/1836:
# the units of its PCIe ports, which have neither PASID nor page requests.
_PORT_CAP, _PORT_ECAP = 0x19ED008C40780C66, 0x3EE9E86F050DF
# Those of the accelerators have both; the rest of their value is taken to be the same.
_ACCELERATOR_ECAP = _PORT_ECAP | 1 << 40 | 1 << 29
# QEMU 11 with scalable-mode, fsts, svm, device-iotlb, aw-bits=48 and caching-mode. It has no SMPWC.
_QEMU_CAP, _QEMU_ECAP, _QEMU_ADDRESS = 0x1D2008C222F0686, 0x8D9A20F00F4E, 0xFED90000

_FIRST_ADDRESS, _ADDRESS_STEP = 0x9D7FC000, 0x800_0000
_INTEL_VERSION, _QEMU_VERSION = "6:0", "1:0"
# Bit of DRHD flags: the unit covers all of the segment that no other unit names.
_INCLUDE_ALL = 1


@dataclass(frozen=True)
class Unit:
    """One unit. `bus` is the root bus it serves (`0000:6a`), None for whatever is left.

    `address` is that of its registers.
    """

    number: int
    bus: str | None
    address: int
    version: str
    cap: int
    ecap: int

    @property
    def name(self) -> str:
        """`dmar0`."""
        return f"dmar{self.number}"

    @property
    def flags(self) -> int:
        """As in the firmware's description of the unit."""
        return _INCLUDE_ALL if self.bus is None else 0

    @property
    def domains(self) -> int:
        """How many domains it can tell apart (CAP bits 0 to 2)."""
        return 1 << 4 + 2 * (self.cap & 7)

    def has(self, capability: str) -> bool:
        """Whether the registers show one of BITS."""
        register, bit = BITS[capability]
        return bool((self.cap if register == "cap" else self.ecap) >> bit & 1)


def _buses(spec: MachineSpec) -> list[str]:
    return list(dict.fromkeys(f.address.rpartition(":")[0] for f in spec.functions))


def hardware(spec: MachineSpec) -> tuple[Unit, ...]:
    """The units that the firmware describes; none where VT-d is off in the BIOS, or absent.

    On hardware each root bus has its own: first that of a bus of PCIe ports, then those of the
    accelerators, and last the one for the chipset. A virtual machine has one for all.
    """
    if not spec.vtd:
        return ()
    if spec.virtual:
        cap, ecap = _lacking(spec, None, _QEMU_CAP, _QEMU_ECAP)
        return (Unit(0, None, _QEMU_ADDRESS, _QEMU_VERSION, cap, ecap),)
    buses = _buses(spec)
    found = []
    for number, bus in enumerate((_port_bus(buses), *buses, None)):
        accelerator = bus in buses
        values = _PORT_CAP, _ACCELERATOR_ECAP if accelerator else _PORT_ECAP
        cap, ecap = _lacking(spec, bus, *values) if accelerator else values
        address = _FIRST_ADDRESS + number * _ADDRESS_STEP
        found.append(Unit(number, bus, address, _INTEL_VERSION, cap, ecap))
    return tuple(found)


def _port_bus(buses: list[str]) -> str:
    """A root bus of PCIe ports that is no function's."""
    return next(bus for n in range(0x15, 0x100) if (bus := f"0000:{n:02x}") not in buses)


def _lacking(spec: MachineSpec, bus: str | None, cap: int, ecap: int) -> tuple[int, int]:
    """The registers without what the machine is described to lack."""
    lacks = set(spec.unit_lacks.get(EVERY_UNIT, ())) | set(spec.unit_lacks.get(bus or "", ()))
    for name in lacks:
        register, bit = BITS[name]
        if register == "cap":
            cap &= ~(1 << bit)
        else:
            ecap &= ~(1 << bit)
    return cap, ecap


def in_use(spec: MachineSpec) -> tuple[Unit, ...]:
    """The units that the kernel has taken into service, and shows."""
    return () if spec.iommu == "none" else hardware(spec)


def unit_of(spec: MachineSpec, address: str) -> Unit | None:
    """The unit that translates for the PCI function at `address`; None without an IOMMU."""
    bus = address.rpartition(":")[0]
    units = in_use(spec)
    return next((u for u in units if u.bus == bus), units[-1] if units else None)


# -- shared virtual addressing --------------------------------------------------------------------


def _pasids(spec: MachineSpec, unit: Unit) -> bool:
    """Whether the kernel can give PASIDs to devices behind the unit."""
    scalable = spec.iommu != "legacy" and unit.has("smts")
    return scalable and unit.has("pasid") and spec.kernel.option("PCI_PASID") == "y"


def svm_obstacle(spec: MachineSpec, unit: Unit) -> str | None:
    """Which capability keeps a unit with PASIDs from walking the CPU's page tables."""
    if not _pasids(spec, unit):
        return None
    if not unit.has("fl1gp"):
        return "fl1gp"
    if "la57" in spec.cpu_flags and not unit.has("fl5lp"):
        return "fl5lp"
    if spec.kernel.coherent_walk_checked and not unit.has("smpwc"):
        return "smpwc"
    return None


def sva_error(spec: MachineSpec, address: str) -> int:
    """The errno of binding a process's address space to the function at `address`, 0 if it works.

    The order is the kernel's, as recorded for each case by itself.
    """
    unit = unit_of(spec, address)
    if unit is None:
        return errno.ENODEV
    if spec.iommu == "sva-disabled":
        return errno.EOPNOTSUPP
    if not _pasids(spec, unit):
        return errno.ENOSPC
    if svm_obstacle(spec, unit):
        return errno.ENODEV
    if spec.kernel.option("INTEL_IOMMU_SVM") != "y":
        return errno.ENODEV
    if spec.kernel.option("PCI_ATS") != "y":
        return errno.EINVAL
    page_requests = unit.has("prs") and spec.kernel.option("PCI_PRI") == "y"
    if spec.kernel.pri_needed and not page_requests:
        return errno.ENODEV
    return 0 if unit.has("flts") else errno.EINVAL


def system_pasid_error(spec: MachineSpec, address: str) -> int:
    """The errno of giving the function's own DMA a PASID, for kernel work queues; 0 if it works."""
    unit = unit_of(spec, address)
    if unit is None:
        return errno.EPERM
    return 0 if _pasids(spec, unit) else errno.ENOSPC


# -- sysfs ----------------------------------------------------------------------------------------


class Iommu:
    """The units as the kernel publishes them: class `iommu`, and the devices behind each."""

    def __init__(self, spec: MachineSpec, root: Directory) -> None:
        self._spec = spec
        self._devices: dict[str, Directory] = {}
        listed = root.directory("sys/class/iommu")
        for unit in in_use(spec):
            below = f"devices/virtual/iommu/{unit.name}"
            directory = root.directory(f"sys/{below}")
            self._publish(unit, directory)
            listed.add(unit.name, Link(f"../../{below}"))

    def _publish(self, unit: Unit, directory: Directory) -> None:
        def used() -> bytes:
            # A domain for each device, and the one that is reserved.
            return b"%d\n" % (1 + len(self._devices[unit.name].children))

        self._devices[unit.name] = directory.add("devices", Directory())
        registers = directory.add("intel-iommu", Directory())
        for name, text in (
            ("address", f"{unit.address:x}"),
            ("cap", f"{unit.cap:x}"),
            ("ecap", f"{unit.ecap:x}"),
            ("version", unit.version),
            ("domains_supported", str(unit.domains)),
        ):
            registers.add(name, _fixed(text))
        registers.add("domains_used", Attribute(used))
        directory.add("power", Directory())
        directory.add("subsystem", Link("../../../../class/iommu"))
        directory.add("uevent", Attribute(lambda: b"", lambda data: None))

    def attach(self, address: str, path: str, directory: Directory) -> None:
        """Link a function's `directory` at `path` below /sys and its unit; nothing without one."""
        unit = unit_of(self._spec, address)
        if unit is not None:
            up = "../" * (path.count("/") - 1)
            directory.add("iommu", Link(f"{up}virtual/iommu/{unit.name}"))
            self._devices[unit.name].add(address, Link(f"../../../..{path[len('/devices') :]}"))

    def detach(self, address: str) -> None:
        """The function has gone."""
        unit = unit_of(self._spec, address)
        if unit is not None:
            self._devices[unit.name].remove(address)


def _fixed(text: str) -> Attribute:
    data = f"{text}\n".encode()
    return Attribute(lambda: data)
