"""The ports over a simulated machine in this process: no FUSE, no library, only the driver."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from iaactl.applier import Applier
from iaactl.errors import AttributeRefused, DeviceCommandFailed, DocumentError
from iaactl.inventory import build
from iaactl.model.attributes import Owner, of
from iaactl.model.device import Access, Inventory
from iaactl.model.evidence import BusObject, PciEvidence, TreeEvidence, Unreadable
from iaactl.native.system_error import errno_text
from iaactl.sim.kernfs import Attribute, Directory, Link, find
from iaactl.sim.machine import Machine, load

_KINDS = {"wq": Owner.WQ, "engine": Owner.ENGINE, "group": Owner.GROUP}


def boot(name: str) -> Machine:
    """A simulated machine of that name."""
    return Machine(load(name), lambda event: None)


def _sockets(machine: Machine) -> dict[int, int]:
    """Socket by NUMA node; where the nodes are not told (-1), the first."""
    nodes = machine.spec.nodes
    sockets = {node.id: node.socket for node in nodes}
    return sockets | ({-1: nodes[0].socket} if nodes else {})


class MachineTree:
    """A `DeviceTree` that reads the simulated kernel's nodes."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def _object(
        self, name: str, directory: Directory, owner: Owner, parent: str | None
    ) -> BusObject:
        attributes: dict[str, str | Unreadable] = {}
        for spec in of(owner):
            node = directory.children.get(spec.name)
            if isinstance(node, Attribute):
                try:
                    attributes[spec.name] = node.show().decode("latin-1").removesuffix("\n")
                except OSError as error:
                    attributes[spec.name] = Unreadable(error.errno or 0)
        driver = directory.children.get("driver")
        return BusObject(
            name=name,
            path="",
            attributes=attributes,
            driver=driver.target.rpartition("/")[2] if isinstance(driver, Link) else None,
            parent=parent,
        )

    def snapshot(self) -> TreeEvidence:
        objects = []
        kernel = self.machine.kernel
        for name, device in kernel.devices.items():
            directory = kernel.directory_of(device)
            top = self._object(name, directory, Owner.DEVICE, None)
            objects.append(
                BusObject(name, f"/sys{kernel.path_of(device)}", top.attributes, top.driver)
            )
            for child, node in directory.children.items():
                owner = _KINDS.get(child.partition(".")[0].rstrip("0123456789"))
                if owner is not None and isinstance(node, Directory):
                    objects.append(self._object(child, node, owner, name))
        functions = [
            PciEvidence(f.spec.address, f.spec.vendor, f.spec.device, 0, f.spec.numa_node, f.driver,
                        None, None)
            for f in kernel.pci.functions.values()
            if f.spec.kind == "iax"
        ]  # fmt: skip
        return TreeEvidence(
            objects=tuple(objects),
            functions=tuple(functions),
            drivers=tuple(kernel.bus.drivers),
            modules=tuple(self.machine.spec.modules),
            sockets=_sockets(self.machine),
            cpu_flags=self.machine.spec.cpu_flags,
        )

    def inventory(self) -> Inventory:
        return build(self.snapshot())


class MachineConfigurator:
    """A `Configurator` that writes to the simulated kernel's nodes; counts what it does.

    `before` is called ahead of every operation and may raise OSError in its place.
    """

    def __init__(
        self, machine: Machine, before: Callable[[int], None] = lambda number: None
    ) -> None:
        self.machine = machine
        self.before = before
        self.operations: list[str] = []

    def __call__(self) -> contextlib.AbstractContextManager[MachineConfigurator]:
        return contextlib.nullcontext(self)

    def check(self, attributes: Sequence[tuple[str, str]]) -> None:
        return

    def _store(self, path: str, text: str) -> None:
        self.operations.append(f"{path} = {text!r}")
        self.before(len(self.operations))
        node = find(self.machine.root, f"sys/bus/dsa/{path}")
        assert isinstance(node, Attribute)
        node.store(text.encode())

    def write(self, device: str, name: str, attribute: str, value: str) -> None:
        try:
            self._store(f"devices/{name}/{attribute}", value)
        except OSError as error:
            number = error.errno or 0
            raise AttributeRefused(
                f"{name}/{attribute} = {value!r}: {errno_text(number)}", errno=number
            ) from error

    def _bind(self, driver: str, verb: str, name: str) -> None:
        try:
            self._store(f"drivers/{driver}/{verb}", name)
        except OSError as error:
            number = error.errno or 0
            raise DeviceCommandFailed(
                f"{verb} {name}: {errno_text(number)}", errno=number
            ) from error

    def enable_device(self, device: str) -> None:
        self._bind("idxd", "bind", device)

    def disable_device(self, device: str) -> None:
        self._bind("idxd", "unbind", device)

    def enable_wq(self, device: str, name: str) -> None:
        wq = self.machine.kernel.bus.objects[name]
        driver = getattr(wq, "driver_name", b"").decode()
        kind = getattr(wq, "type", b"").decode()
        self._bind(driver or ("user" if kind == "user" else "dmaengine"), "bind", name)

    def disable_wq(self, device: str, name: str) -> None:
        driver = getattr(self.machine.kernel.bus.objects[name], "driver", None)
        self._bind(driver or "user", "unbind", name)


class MemoryRestorePoints:
    """`RestorePoints` in memory."""

    def __init__(self) -> None:
        self.points: dict[str, str] = {}
        self.open: list[str] = []

    def save(self, document: str) -> str:
        name = f"point{len(self.points)}"
        self.points[name] = document
        self.open.append(name)
        return name

    def load(self, name: str | None) -> tuple[str, str]:
        if name is None:
            name = (self.open or list(self.points))[-1]
        if name not in self.points:
            raise DocumentError(f"there is no restore point {name}")
        return name, self.points[name]

    def close(self, name: str) -> None:
        if name in self.open:
            self.open.remove(name)

    def open_points(self) -> list[str]:
        return list(self.open)


class MemoryLock:
    """A `Lock` that nobody else holds."""

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        yield


class MemoryAccess:
    """`NodeAccess` in memory."""

    def __init__(self) -> None:
        self.granted: dict[str, Access] = {}

    def grant(self, accesses: Sequence[Access]) -> None:
        self.granted |= {access.wq: access for access in accesses}

    def revoke(self, wqs: Sequence[str]) -> None:
        for wq in wqs:
            self.granted.pop(wq, None)

    def rules(self) -> dict[str, Access]:
        return dict(self.granted)


def make_applier(
    machine: Machine, before: Callable[[int], None] = lambda number: None
) -> tuple[Applier, MachineConfigurator, MemoryRestorePoints]:
    """An applier over a machine, with the parts that tests look into."""
    configurator = MachineConfigurator(machine, before)
    points = MemoryRestorePoints()
    applier = Applier(MachineTree(machine), configurator, MemoryAccess(), points, MemoryLock())
    return applier, configurator, points
