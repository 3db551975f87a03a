"""The simulated kernel: modules, the numbers it hands out, and the tree it publishes."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from iaactl.sim import acpi, algorithms, bootlog, iommu, kmsg, modules, perfmon
from iaactl.sim.idxd import parse
from iaactl.sim.idxd.bus import Bus, CryptoDriver, DeviceDriver, DmaDriver, UserDriver
from iaactl.sim.idxd.cdev import Cdev
from iaactl.sim.idxd.driver import Idxd
from iaactl.sim.idxd.publish import publish_device, publish_engine, publish_group
from iaactl.sim.idxd.wq import WorkQueue, publish
from iaactl.sim.kernfs import Attribute, Binary, Caller, Directory, Link, refuse
from iaactl.sim.pci import PciBus, PciFunction

if TYPE_CHECKING:
    from iaactl.sim.machine import MachineSpec, Uevent

_FIRST_USER_PASID_AFTER = 2
"""PASID 1 and 2 went to the devices' kernel work queues on the recorded machine."""


class _Numbers:
    """Hands out the lowest free number, as the kernel's ida does."""

    def __init__(self, first: int = 0) -> None:
        self._first = first
        self._taken: set[int] = set()

    def take(self) -> int:
        number = self._first
        while number in self._taken:
            number += 1
        self._taken.add(number)
        return number

    def give(self, number: int) -> None:
        self._taken.discard(number)


class Kernel:
    """All that the kernel keeps about IAA. Not thread safe; the machine holds the lock."""

    def __init__(self, spec: MachineSpec, root: Directory, emit: Callable[[Uevent], None]) -> None:
        self.spec = spec
        self.root = root
        self._emit = emit
        self.command_fault: Callable[[str, str, int], int | None] | None = None
        self.execute: Callable[[WorkQueue, bytes, Caller], None] | None = None
        self.sva = True
        self.tc_override = False
        self.open_files = 0
        self._minors = _Numbers()
        self._files = _Numbers()
        self._ids = _Numbers()
        self._pasids: dict[int, int] = {}
        self._pasid_numbers = _Numbers(_FIRST_USER_PASID_AFTER + 1)
        self._paths: dict[int, str] = {}
        self._directories: dict[int, Directory] = {}
        self.devices: dict[str, Idxd] = {}
        self.log = kmsg.KernelLog()
        self.iommu = iommu.Iommu(spec, root)
        self.pci = PciBus(self)
        self.bus: Bus

    # -- what the platform offers -------------------------------------------------------------

    @property
    def enqcmd(self) -> bool:
        """The CPU has ENQCMD."""
        return "enqcmd" in self.spec.cpu_flags

    def user_pasid(self, address: str) -> bool:
        """What pasid_enabled shows for the device of the PCI function at `address`."""
        if not self.sva or self.spec.kernel.option("INTEL_IDXD_SVM") != "y":
            return False
        if not self.spec.kernel.iommu_checked_at_load:
            return True
        return self.sva_bind_error(address) in (0, errno.EOPNOTSUPP)

    def system_pasid(self, address: str) -> bool:
        """Kernel work queues of that device can be shared."""
        return self.user_pasid(address) and not iommu.system_pasid_error(self.spec, address)

    def sva_bind_error(self, address: str) -> int:
        """The errno of binding a process's address space to that device, 0 if it works."""
        return iommu.sva_error(self.spec, address)

    # -- numbers ------------------------------------------------------------------------------

    def take_minor(self) -> int:
        """A minor for a character device."""
        return self._minors.take()

    def release_minor(self, cdev: Cdev) -> None:
        """The character device is gone, and on some kernels its last file."""
        self._minors.give(cdev.minor)

    def take_file_number(self) -> int:
        """The K of fileK, over all work queues of the machine."""
        return self._files.take()

    def give_file_number(self, number: int) -> None:
        """The file is closed."""
        self._files.give(number)

    def pasid_of(self, caller: Caller) -> int:
        """The PASID of the caller's address space, which keeps it to its end, never seen here."""
        if caller.pid not in self._pasids:
            self._pasids[caller.pid] = self._pasid_numbers.take()
        return self._pasids[caller.pid]

    # -- the tree -----------------------------------------------------------------------------

    def path_of(self, thing: object) -> str:
        """Path below /sys of a device or work queue, with a leading slash."""
        return self._paths[id(thing)]

    def directory_of(self, thing: object) -> Directory:
        """The directory of a device or work queue."""
        return self._directories[id(thing)]

    def publish_generic(
        self,
        directory: Directory,
        devtype: str,
        *,
        depth: int,
        device_number: tuple[int, int, str] | None = None,
        path: str = "",
    ) -> None:
        """`uevent`, `power` and `subsystem`, which every object of the bus has."""
        directory.add("subsystem", Link("../" * depth + "bus/dsa"))
        directory.add("power", Directory())

        def show() -> bytes:
            lines = []
            if device_number is not None:
                major, minor, name = device_number
                lines = [f"MAJOR={major}", f"MINOR={minor}", f"DEVNAME={name}"]
            lines.append(f"DEVTYPE={devtype}")
            driver = directory.children.get("driver")
            if isinstance(driver, Link):
                lines.append(f"DRIVER={driver.target.rpartition('/')[2]}")
            lines.append("MODALIAS=idxd:t0")
            return ("\n".join(lines) + "\n").encode()

        def store(data: bytes) -> None:
            self.announce(parse.action(data), path, directory, SYNTH_UUID="0")

        directory.add("uevent", Attribute(show, store))

    def add_child(
        self,
        parent: object,
        name: str,
        directory: Directory,
        devtype: str,
        number: tuple[int, int] | None = None,
        *,
        known_as: object = None,
    ) -> None:
        """Publish an object below another and put it on the bus.

        Objects that are `known_as` something have a path and a directory, and can be parents.
        """
        path = f"{self.path_of(parent)}/{name}"
        named = None if number is None else (*number, name.replace("!", "/"))
        self.publish_generic(
            directory, devtype, depth=path.count("/"), device_number=named, path=path
        )
        self.directory_of(parent).add(name, directory)
        thing = directory if known_as is None else known_as
        self._paths[id(thing)], self._directories[id(thing)] = path, directory
        self.bus.add(thing, name, path)
        self.announce("add", path, directory)

    def remove_child(self, parent: object, name: str) -> None:
        """The opposite of `add_child`; the parent's directory may be gone with all in it.

        Those who hold an object below it open keep that object on the bus.
        """
        thing = self.bus.objects[name]
        path, directory = self.path_of(thing), self.directory_of(thing)
        self.bus.remove(name)
        del self._paths[id(thing)], self._directories[id(thing)]
        self.announce("remove", path, directory)
        above = self._directories.get(id(parent))
        if above is not None:
            above.remove(name)

    def announce(self, action: str, path: str, directory: Directory, **more: str) -> None:
        """Send a uevent with the properties that the object's `uevent` file shows."""
        from iaactl.sim.machine import Uevent

        attribute = directory.children.get("uevent")
        lines = attribute.show().decode().splitlines() if isinstance(attribute, Attribute) else []
        properties = dict(line.split("=", 1) for line in lines)
        subsystem = directory.children.get("subsystem")
        name = subsystem.target.rpartition("/")[2] if isinstance(subsystem, Link) else "dsa"
        self._emit(Uevent(action, path, name, properties | more))

    # -- devices ------------------------------------------------------------------------------

    def add_device(self, function: PciFunction) -> None:
        """Probe a PCI function: the driver makes a device of it."""
        spec = function.spec
        number = self._ids.take()
        self.log.pci(kmsg.INFO, spec.address, "enabling device (0140 -> 0142)")
        self._log_pasids(spec.address)
        device = Idxd(self, spec, number, function.hardware)
        device.hw.fault = self._ordered_error
        if spec.kind == "iax":
            device.load_defaults(self.spec.kernel.default_engines)
        function.idxd = device
        self.devices[device.sysname] = device
        if self.spec.kernel.option("INTEL_IDXD_PERFMON") == "y":
            if spec.perfmon:
                perfmon.publish(self.root, device.sysname, number)
            else:
                text = f"Failed to initialize perfmon. No PMU support: {-errno.ENODEV}"
                self.log.pci(kmsg.WARNING, spec.address, text)
        path = f"{function.path}/{device.sysname}"
        directory = function.directory.add(device.sysname, Directory())
        self._paths[id(device)], self._directories[id(device)] = path, directory
        self.publish_generic(directory, spec.kind, depth=path.count("/"), path=path)
        publish_device(device, directory)
        self.bus.add(device, device.sysname, path)
        self.announce("add", path, directory)
        self.bus.offer(device)
        for wq in device.wqs:
            part = Directory()
            publish(wq, part)
            self.add_child(device, wq.sysname, part, "wq", known_as=wq)
            self.bus.offer(wq)
        for index in range(device.cap.engines):
            part = Directory()
            publish_engine(device, index, part)
            self.add_child(device, f"engine{number}.{index}", part, "engine")
        for index in range(device.cap.groups):
            part = Directory()
            publish_group(device, index, part)
            self.add_child(device, f"group{number}.{index}", part, "group")
        self.log_identity(device)

    def _log_pasids(self, address: str) -> None:
        """What the driver has to say about PASIDs when it takes a function."""
        if not self.sva:
            self.log.pci(kmsg.WARNING, address, "User forced SVA off via module param.")
        elif self.spec.kernel.option("INTEL_IDXD_SVM") != "y":
            return
        elif not self.user_pasid(address):
            self.log.pci(kmsg.WARNING, address, "Unable to turn on user SVA feature.")
        elif error := iommu.system_pasid_error(self.spec, address):
            self.log.pci(kmsg.WARNING, address, f"No in-kernel DMA with PASID. {-error}")

    def log_identity(self, device: Idxd) -> None:
        """The driver has taken a function into service, for the first time or after a reset."""
        text = f"Intel(R) Accelerator Device (v{device.cap.version:x})"
        self.log.pci(kmsg.INFO, device.spec.address, text)

    def _ordered_error(self, device: str, command: str, operand: int) -> int | None:
        fault = self.command_fault
        return None if fault is None else fault(device, command, operand)

    def remove_device(self, function: PciFunction) -> None:
        """Take the device of a PCI function away; what is enabled is released first."""
        device = function.idxd
        assert device is not None
        for wq in device.wqs:
            self.remove_child(device, wq.sysname)
        if device.driver is not None:
            self.bus.release(device)
        path, directory = self.path_of(device), self.directory_of(device)
        for name in list(directory.children):
            if name in self.bus.objects:
                self.remove_child(device, name)
        self.bus.remove(device.sysname)
        del self._paths[id(device)], self._directories[id(device)]
        self.announce("remove", path, directory)
        perfmon.remove(self.root, device.sysname)
        function.directory.remove(device.sysname)
        del self.devices[device.sysname]
        self._ids.give(device.id)
        function.idxd = None

    # -- modules ------------------------------------------------------------------------------

    def boot(self) -> None:
        """Publish the PCI functions and load the machine's modules, those that can be."""
        self.root.directory("sys/dev/char")
        self.root.directory("dev").add(
            "kmsg", kmsg.node(self.log, restricted=self.spec.kernel.dmesg_restrict)
        )
        self.root.directory("proc").add("crypto", Attribute(self._show_algorithms))
        self._publish_firmware()
        bootlog.early(self.log, self.spec)
        bootlog.remapping(self.log, self.spec)
        self.pci.publish()
        bootlog.remapped(self.log, self.spec)
        for module in self.spec.modules:
            try:
                self._load(module)
            except OSError as error:
                if error.errno not in (errno.ENODEV, errno.ENOENT):
                    raise
        if self.spec.disabled:
            for device in self.devices.values():
                if device.driver is not None:
                    self.bus.release(device)
        for name in self.spec.configured:
            self._configure(self.devices[name])
        self.log.boot_ends()

    def _configure(self, device: Idxd) -> None:
        """Set a device up as in the QEMU documentation, as a service does after the boot."""
        if device.driver is not None:
            self.bus.release(device)
        for engine in range(device.cap.engines):
            device.store_engine_group(engine, b"0")
        wq = device.wqs[0]
        wq.store_group_id(b"0")
        wq.store_mode(b"shared")
        wq.store_type(b"user")
        wq.store_name(b"app1")
        wq.store_driver_name(b"user")
        entries = b"%d" % device.cap.entries
        wq.store_size(entries)
        wq.store_threshold(entries)
        wq.store_priority(b"10")
        wq.store_block_on_fault(b"1")
        self.bus.bind(device, "idxd")
        self.bus.bind(wq, "user")

    def _load(self, module: str) -> None:
        """Load a module as the machine's configuration has it."""
        if module == "idxd":
            self.insmod(module, sva=self.spec.sva, tc_override=self.spec.tc_override)
        else:
            self.insmod(module)

    def _show_algorithms(self) -> bytes:
        loaded = "iaa_crypto" in self.root.directory("sys/module").children
        driver = self.bus.drivers.get("crypto") if loaded else None
        iaa = isinstance(driver, CryptoDriver) and driver.registered_once
        return algorithms.listing(iaa=iaa).encode()

    def _publish_firmware(self) -> None:
        units = iommu.hardware(self.spec)
        if units:
            table = acpi.dmar(units, acpi.address_bits(self.spec))
            tables = self.root.directory(acpi.PATH)
            tables.add("DMAR", Binary(bytearray(table), mode=acpi.MODE))

    def insmod(self, module: str, *, sva: bool = True, tc_override: bool = False) -> None:
        """Load a module; the parameters are idxd's.

        Raises ENOENT unknown, EEXIST loaded, ENODEV where it refuses to load.
        """
        shown = self.root.directory("sys/module")
        if module not in ("idxd", "iaa_crypto", "vfio_pci"):
            raise refuse(errno.ENOENT)
        if module in shown.children:
            raise refuse(errno.EEXIST)
        if module == "vfio_pci":
            modules.add(shown, module)
            self.pci.add_driver("vfio-pci")
            return
        if module == "iaa_crypto":
            if "idxd" not in shown.children:
                raise refuse(errno.ENOENT)
            modules.add(shown, module)
            self.bus.register(CryptoDriver(self))
            return
        if "movdir64b" not in self.spec.cpu_flags:
            self.log.printk(kmsg.WARNING, "idxd driver failed to load without MOVDIR64B.")
            raise refuse(errno.ENODEV)
        if not self.enqcmd:
            self.log.printk(kmsg.WARNING, "Platform does not have ENQCMD(S) support.")
        self.sva, self.tc_override = sva, tc_override
        modules.add(shown, "idxd_bus")
        self._publish_idxd_module(modules.add(shown, "idxd"))
        self.bus = Bus(self)
        for driver in (DeviceDriver(self), DmaDriver(self), UserDriver(self)):
            self.bus.register(driver)
        self.pci.add_driver("idxd")

    def _publish_idxd_module(self, directory: Directory) -> None:
        parameters = directory.add("parameters", Directory())

        def flag(name: str) -> Attribute:
            def store(data: bytes) -> None:
                setattr(self, name, parse.boolean(data))

            return Attribute(lambda: b"Y\n" if getattr(self, name) else b"N\n", store)

        parameters.add("sva", flag("sva"))
        parameters.add("tc_override", flag("tc_override"))

    def rmmod(self, module: str) -> None:
        """Unload a module. Raises ENOENT not loaded, EAGAIN in use."""
        shown = self.root.directory("sys/module")
        if module not in shown.children:
            raise refuse(errno.ENOENT)
        if module == "iaa_crypto":
            driver = self.bus.drivers["crypto"]
            assert isinstance(driver, CryptoDriver)
            if driver.taken:
                raise refuse(errno.EAGAIN)
            self.bus.unregister("crypto")
        elif module == "vfio_pci":
            raise refuse(errno.EAGAIN)  # a virtual machine is taken to use it
        else:
            if self.open_files or "iaa_crypto" in shown.children:
                raise refuse(errno.EAGAIN)
            self.pci.remove_driver()
            for name in ("user", "dmaengine", "idxd"):
                self.bus.unregister(name)
            self.root.directory("sys/bus").remove("dsa")
        modules.remove(shown, module)
        if module == "idxd":
            modules.remove(shown, "idxd_bus")
