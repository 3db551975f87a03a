"""PCI functions of the simulated machine: sysfs directories, configuration space, the PCI bus."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING

from iaactl.sim import kmsg
from iaactl.sim.idxd import parse
from iaactl.sim.idxd.device import Capabilities, Hardware
from iaactl.sim.kernfs import Attribute, Binary, Directory, Link, refuse

if TYPE_CHECKING:
    from iaactl.sim.idxd.driver import Idxd
    from iaactl.sim.idxd.kernel import Kernel
    from iaactl.sim.machine import FunctionSpec

CLASS = 0x088000
REGISTERS_BYTES, PORTAL_BYTES_PER_WQ = 64 << 10, 16 << 10
FIRST_BAR = 0x2_0000_0000_00
CONFIG_BYTES = 4096


def _capability(config: bytearray, at: int, kind: int, following: int, body: bytes) -> None:
    config[at : at + 2] = bytes((kind, following))
    config[at + 2 : at + 2 + len(body)] = body


def _extended(config: bytearray, at: int, kind: int, following: int, body: bytes) -> None:
    struct.pack_into("<I", config, at, kind | 1 << 16 | following << 20)
    config[at + 4 : at + 4 + len(body)] = body


def config_space(spec: FunctionSpec, bars: tuple[int, int]) -> bytearray:
    """4096 bytes: header, root complex integrated endpoint, MSI-X, ATS, PRI, PASID.

    Source: PCI Express base specification for the layouts; the set of capabilities is that of
    which the idxd driver needs each one.
    """
    config = bytearray(CONFIG_BYTES)
    struct.pack_into("<HHHH", config, 0x00, spec.vendor, spec.device, 0x0546, 0x0010)
    struct.pack_into("<I", config, 0x08, CLASS << 8)
    for index, address in enumerate(bars):
        # 64-bit, prefetchable memory
        struct.pack_into("<Q", config, 0x10 + 8 * index, address | 0xC)
    struct.pack_into("<HH", config, 0x2C, spec.vendor, 0x0000)
    config[0x34] = 0x40
    flr, tlp_prefix = 1 << 28, 1 << 21 | 1 << 22
    express = struct.pack("<HIHHIHH", 0x0092, flr | 0x8000, 0x2930, 0, 0, 0, 0)
    _capability(config, 0x40, 0x10, 0x80, express.ljust(58, b"\0"))
    struct.pack_into("<I", config, 0x40 + 0x24, tlp_prefix)
    vectors = spec.max_work_queues + 1
    msix = struct.pack("<HII", 0x8000 | vectors - 1, 0x2000, 0x3000)
    _capability(config, 0x80, 0x11, 0x00, msix)
    _extended(config, 0x100, 0x0F, 0x110, struct.pack("<HH", 0x0060, 0x8000))
    _extended(config, 0x110, 0x13, 0x120, struct.pack("<HHII", 0x0001, 0x0100, 512, 512))
    _extended(config, 0x120, 0x1B, 0x000, struct.pack("<HH", 0x1404, 0x0005))
    return config


def _only_checked(data: bytes) -> None:
    """A write to the `uevent` of the bus or driver: nobody listens to events of those."""
    parse.action(data)


def _identity(data: bytes) -> tuple[int, int]:
    """Vendor and device, the first two of the hexadecimal numbers written to new_id. EINVAL."""
    fields = parse.text(data).split()
    try:
        vendor, device, *rest = (int(field, 16) for field in fields)
    except ValueError:
        raise refuse(errno.EINVAL) from None
    if len(rest) > 5:
        raise refuse(errno.EINVAL)
    return vendor, device


class PciFunction:
    """One function; its hardware outlives drivers."""

    def __init__(self, bus: PciBus, spec: FunctionSpec, number: int) -> None:
        self.bus = bus
        self.spec = spec
        flags = {
            "shared": "shared",
            "dedicated": "dedicated",
            "ats": "ats_control",
            "priority": "priority",
            "occupancy": "occupancy",
            "op_config": "op_config",
            "prs": "prs_control",
            "progress_limit": "progress_limit",
        }
        have = {field: key in spec.capabilities for key, field in flags.items()}
        self.hardware = Hardware(
            Capabilities(
                version=spec.version,
                gen_cap=spec.gen_cap,
                op_cap=spec.op_cap,
                wqs=spec.max_work_queues,
                entries=spec.max_work_queues_size,
                engines=spec.max_engines,
                groups=spec.max_groups,
                iaa_cap=spec.iaa_cap,
                **have,
            )
        )
        self.idxd: Idxd | None = None
        self.driver: str | None = None
        self.override = spec.override
        self.enabled = 0
        self.number = number
        domain_bus = spec.address.rpartition(":")[0]
        self.path = f"/devices/pci{domain_bus}/{spec.address}"
        self.directory = Directory()

    def publish(self) -> None:
        """Make the function's directory with all that lspci and libudev look at."""
        spec, add = self.spec, self.directory.add
        window = FIRST_BAR + (self.number << 20)
        portal = PORTAL_BYTES_PER_WQ * spec.max_work_queues
        bars = (window, window + (512 << 10))
        sizes = (REGISTERS_BYTES, portal)

        def fixed(text: str, mode: int | None = None) -> Attribute:
            data = f"{text}\n".encode()
            return Attribute(lambda: data, mode=mode)

        add("vendor", fixed(f"{spec.vendor:#06x}"))
        add("device", fixed(f"{spec.device:#06x}"))
        add("subsystem_vendor", fixed(f"{spec.vendor:#06x}"))
        add("subsystem_device", fixed("0x0000"))
        add("revision", fixed("0x00"))
        add("class", fixed(f"{CLASS:#08x}"))
        add("config", Binary(config_space(spec, bars), mode=0o644))
        lines = []
        for bar, size in zip(bars, sizes, strict=True):
            lines += [f"0x{bar:016x} 0x{bar + size - 1:016x} 0x000000000014220c"]
            lines += ["0x0000000000000000 0x0000000000000000 0x0000000000000000"]
        lines += ["0x0000000000000000 0x0000000000000000 0x0000000000000000"] * 9
        add("resource", fixed("\n".join(lines)))
        add("irq", fixed("0"))
        add("numa_node", fixed(str(spec.numa_node)))
        add("local_cpulist", fixed(self.bus.cpulist(spec.numa_node)))
        add("enable", Attribute(self._show_enable, self._store_enable))
        add("broken_parity_status", fixed("0"))
        add("modalias", fixed(self._modalias()))
        add("driver_override", Attribute(self._show_override, self._store_override))
        add("reset", Attribute(store=self._store_reset))
        add("remove", Attribute(store=self._store_remove))
        add("subsystem", Link("../" * self.path.count("/") + "bus/pci"))
        add("power", Directory())
        if self.bus.kernel.spec.iommu != "none":
            up = "../" * self.path.count("/")
            add("iommu_group", Link(f"{up}kernel/iommu_groups/{self.number}"))
            group = self.bus.iommu_groups.directory(str(self.number))
            group.add("type", fixed("identity" if self.bus.kernel.spec.passthrough else "DMA-FQ"))
            members = group.add("devices", Directory())
            members.add(spec.address, Link(f"../../../..{self.path}"))
            self.bus.kernel.iommu.attach(spec.address, self.path, self.directory)
            text = f"Adding to iommu group {self.number}"
            self.bus.kernel.log.device(kmsg.INFO, "pci", "pci", spec.address, text)
        add("uevent", Attribute(self._show_uevent, self._store_uevent))

    def _modalias(self) -> str:
        spec = self.spec
        return f"pci:v{spec.vendor:08X}d{spec.device:08X}sv{spec.vendor:08X}sd00000000bc08sc80i00"

    def _show_uevent(self) -> bytes:
        spec = self.spec
        lines = [f"DRIVER={self.driver}"] if self.driver else []
        lines += [
            f"PCI_CLASS={CLASS:X}",
            f"PCI_ID={spec.vendor:04X}:{spec.device:04X}",
            f"PCI_SUBSYS_ID={spec.vendor:04X}:0000",
            f"PCI_SLOT_NAME={spec.address}",
            f"MODALIAS={self._modalias()}",
        ]
        return ("\n".join(lines) + "\n").encode()

    def _store_uevent(self, data: bytes) -> None:
        kernel = self.bus.kernel
        kernel.announce(parse.action(data), self.path, self.directory, SYNTH_UUID="0")

    def _show_enable(self) -> bytes:
        """How many times the function was enabled; a driver does it once."""
        return b"%d\n" % (self.enabled + (self.driver is not None))

    def _store_enable(self, data: bytes) -> None:
        value = parse.number(data, base=0)
        if self.driver is not None:
            raise refuse(errno.EBUSY)
        if not value and not self.enabled:
            raise refuse(errno.EIO)
        self.enabled += 1 if value else -1

    def _show_override(self) -> bytes:
        return f"{self.override or '(null)'}\n".encode()

    def _store_override(self, data: bytes) -> None:
        self.override = parse.word(data).decode("latin-1")

    def _store_reset(self, data: bytes) -> None:
        if parse.number(data, base=0) != 1:
            raise refuse(errno.EINVAL)
        if self.idxd is not None:
            self.idxd.function_level_reset()

    def _store_remove(self, data: bytes) -> None:
        if parse.number(data, base=0):
            self.bus.remove(self)


class PciBus:
    """The PCI bus, as far as the functions of this machine go."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.functions = {
            spec.address: PciFunction(self, spec, number)
            for number, spec in enumerate(kernel.spec.functions)
        }
        self.present: list[str] = []
        self.folders: dict[str, Directory] = {}
        self._added_ids: set[tuple[int, int]] = set()
        self.iommu_groups = kernel.root.directory("sys/kernel/iommu_groups")
        base = kernel.root.directory("sys/bus/pci")
        self.links = base.directory("devices")
        self.drivers = base.directory("drivers")
        base.add("rescan", Attribute(store=self._store_rescan))
        base.add("drivers_probe", Attribute(store=self._store_probe))
        base.add("uevent", Attribute(store=_only_checked))

    def cpulist(self, node: int) -> str:
        """CPUs near a NUMA node."""
        lists = [n.cpulist for n in self.kernel.spec.nodes if node in (-1, n.id)]
        return ",".join(lists) or "0-1"

    def publish(self) -> None:
        """Show all functions that are not there yet."""
        for address, function in self.functions.items():
            if address in self.present:
                continue
            self.present.append(address)
            function.directory = Directory()
            function.publish()
            parent = self.kernel.root.directory(f"sys{function.path.rpartition('/')[0]}")
            parent.add(address, function.directory)
            self.links.add(address, Link(f"../../..{function.path}"))
            self.kernel.announce("add", function.path, function.directory)
            self._offer(function)

    def _offer(self, function: PciFunction) -> None:
        """Give the function to the driver that wants it, if it is there."""
        driver = function.override or "idxd"
        if driver in self.folders and function.driver is None:
            self._attach(function, driver)

    def _store_rescan(self, data: bytes) -> None:
        if parse.number(data, base=0):
            self.publish()

    def remove(self, function: PciFunction) -> None:
        """Hot removal."""
        if function.driver is not None:
            self._detach(function)
        path = function.path
        self.kernel.root.directory(f"sys{path.rpartition('/')[0]}").remove(function.spec.address)
        self.links.remove(function.spec.address)
        if self.kernel.spec.iommu != "none":
            self.iommu_groups.remove(str(function.number))
            self.kernel.iommu.detach(function.spec.address)
        self.present.remove(function.spec.address)
        function.override, function.enabled = "", 0
        self.kernel.announce("remove", path, function.directory)

    # -- the drivers on this bus --------------------------------------------------------------

    def add_driver(self, name: str) -> None:
        """Register `idxd` or `vfio-pci`, and give it its functions, in the order of addresses.

        vfio-pci takes only functions that are kept for it; without the virtual machine that has
        them they do nothing.
        """
        folder = self.drivers.add(name, Directory())
        folder.add("module", Link(f"../../../../module/{name.replace('-', '_')}"))
        folder.add("bind", Attribute(store=lambda data: self._store_bind(name, data)))
        folder.add("unbind", Attribute(store=lambda data: self._store_unbind(name, data)))
        folder.add("new_id", Attribute(store=self._store_new_id))
        folder.add("remove_id", Attribute(store=self._store_remove_id))
        folder.add("uevent", Attribute(store=_only_checked))
        self.folders[name] = folder
        for address in sorted(self.present):
            self._offer(self.functions[address])

    def remove_driver(self) -> None:
        """Let idxd's functions go and unregister it."""
        for address in self.present:
            if self.functions[address].driver == "idxd":
                self._detach(self.functions[address])
        self.drivers.remove("idxd")
        del self.folders["idxd"]

    def _attach(self, function: PciFunction, driver: str) -> None:
        function.driver = driver
        up = "../" * function.path.count("/")
        function.directory.add("driver", Link(f"{up}bus/pci/drivers/{driver}"))
        self.folders[driver].add(function.spec.address, Link(f"../../../..{function.path}"))
        if driver == "idxd":
            self.kernel.add_device(function)
        self.kernel.announce("bind", function.path, function.directory)

    def _detach(self, function: PciFunction) -> None:
        driver = function.driver
        assert driver is not None
        if driver == "idxd":
            self.kernel.remove_device(function)
        function.driver = None
        function.directory.remove("driver")
        self.folders[driver].remove(function.spec.address)
        self.kernel.announce("unbind", function.path, function.directory)

    def _named(self, data: bytes) -> PciFunction:
        address = parse.word(data).decode("latin-1")
        if address not in self.present:
            raise refuse(errno.ENODEV)
        return self.functions[address]

    def _store_probe(self, data: bytes) -> None:
        self._offer(self._named(data))

    def _store_new_id(self, data: bytes) -> None:
        """All functions of this bus are in the driver's own table: a new one matches none."""
        identity = _identity(data)
        known = {(f.spec.vendor, f.spec.device) for f in self.functions.values()}
        if identity in known | self._added_ids:
            raise refuse(errno.EEXIST)
        self._added_ids.add(identity)

    def _store_remove_id(self, data: bytes) -> None:
        identity = _identity(data)
        if identity not in self._added_ids:
            raise refuse(errno.ENODEV)
        self._added_ids.discard(identity)

    def _store_bind(self, driver: str, data: bytes) -> None:
        function = self._named(data)
        if function.driver is not None:
            raise refuse(errno.EBUSY)
        if (function.override or "idxd") != driver:
            raise refuse(errno.ENODEV)
        self._attach(function, driver)

    def _store_unbind(self, driver: str, data: bytes) -> None:
        function = self._named(data)
        if function.driver != driver:
            raise refuse(errno.ENODEV)
        self._detach(function)
