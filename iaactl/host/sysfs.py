"""Reads the dsa bus, PCI functions and device nodes from sysfs and /dev; changes nothing.

Reading attributes directly, and not through libaccel-config, is deliberate: the library writes to
`cmd_status` of every device while it merely enumerates, and so wipes the evidence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from iaactl.host.reading import Reading
from iaactl.model.attributes import Owner, of
from iaactl.model.evidence import BusObject, NodeEvidence, PciEvidence, TreeEvidence, Unreadable
from iaactl.ports import Files

IAA_FUNCTIONS = frozenset({(0x8086, 0x0CFE), (0x8086, 0x1216), (0x8086, 0xB02D)})
"""Vendor and device ids of IAA (SPR/EMR/GNR, DMR, PTL). Source: idxd's PCI id table."""

_DEVICE = re.compile(r"iax[0-9]+")
_MEMBER = re.compile(r"(wq|engine|group)[0-9]+\.[0-9]+")
_CPU_RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?")
_MOST_CPUS = 8192  # NR_CPUS of distribution kernels
_OWNERS = {"wq": Owner.WQ, "engine": Owner.ENGINE, "group": Owner.GROUP}
_FLAGS = ("enqcmd", "movdir64b", "hypervisor")
_MODULES = ("idxd", "iaa_crypto")

Enumerate = Callable[[str], Iterable[str]]
"""Subsystem (`dsa`, `pci`) to the real sysfs paths of its devices."""


def _cpus(text: str) -> list[int]:
    cpus: list[int] = []
    for part in text.split(","):
        match = _CPU_RANGE.fullmatch(part.strip())
        if match:
            cpus += range(int(match[1]), min(int(match[2] or match[1]), _MOST_CPUS) + 1)
    return cpus


class Sysfs:
    """A `DeviceTree` over a root file system.

    `enumerate_` lists a subsystem's devices; without it the bus directories are listed.
    """

    def __init__(self, files: Files, enumerate_: Enumerate | None = None) -> None:
        self._files = files
        self._read = Reading(files)
        self._enumerate = enumerate_ or self._listed

    def _listed(self, subsystem: str) -> Iterable[str]:
        bus = f"/sys/bus/{subsystem}/devices"
        found = []
        for name in self._read.names(bus):
            try:
                found.append(self._files.real(f"{bus}/{name}"))
            except OSError:
                continue  # a link that leads nowhere
        return found

    def _attributes(self, owner: Owner, path: str) -> dict[str, str | Unreadable]:
        found: dict[str, str | Unreadable] = {}
        for spec in of(owner):
            try:
                text = self._files.text(f"{path}/{spec.name}")
            except FileNotFoundError:
                continue
            except OSError as error:
                found[spec.name] = Unreadable(error.errno or 0)
            else:
                found[spec.name] = text.removesuffix("\n")
        return found

    def _node(self, wq: str) -> NodeEvidence | None:
        path = f"/dev/iax/{wq}"
        status = self._read.status(path)
        if status is None:
            return None
        return NodeEvidence(
            path=path,
            uid=status.uid,
            gid=status.gid,
            mode=status.mode,
            owner=status.owner,
            group=status.group,
        )

    def _pids(self, path: str, wq: str) -> tuple[int, ...]:
        cdev = f"{path}/iax!{wq}"
        files = (name for name in self._read.names(cdev) if name.startswith("file"))
        pids = (self._read.number(f"{cdev}/{name}/pid", 10) for name in files)
        return tuple(sorted(pid for pid in pids if pid is not None))

    def _driver(self, path: str) -> str | None:
        return self._read.link_name(f"{path}/driver")

    def _device(self, path: str) -> list[BusObject]:
        """A device and its work queues, engines and groups, which are directories in its own."""
        found = [
            BusObject(
                name=path.rpartition("/")[2],
                path=path,
                attributes=self._attributes(Owner.DEVICE, path),
                driver=self._driver(path),
            )
        ]
        return found + [
            self._member(path, name) for name in self._read.names(path) if _MEMBER.fullmatch(name)
        ]

    def _member(self, device: str, name: str) -> BusObject:
        path = f"{device}/{name}"
        owner = next(owner for kind, owner in _OWNERS.items() if name.startswith(kind))
        is_wq = owner is Owner.WQ
        return BusObject(
            name=name,
            path=path,
            attributes=self._attributes(owner, path),
            driver=self._driver(path) if is_wq else None,
            parent=device.rpartition("/")[2],
            node=self._node(name) if is_wq else None,
            client_pids=self._pids(path, name) if is_wq else (),
        )

    def _function(self, path: str) -> PciEvidence | None:
        read = self._read
        vendor, device = read.number(f"{path}/vendor"), read.number(f"{path}/device")
        if vendor is None or device is None or (vendor, device) not in IAA_FUNCTIONS:
            return None
        override = read.text(f"{path}/driver_override")
        node = read.number(f"{path}/numa_node", 10)
        return PciEvidence(
            address=path.rpartition("/")[2],
            vendor=vendor,
            device=device,
            class_code=read.number(f"{path}/class") or 0,
            numa_node=-1 if node is None else node,
            driver=self._driver(path),
            driver_override=None if override in (None, "", "(null)") else override,
            iommu_group=read.link_name(f"{path}/iommu_group"),
            local_cpus=read.text(f"{path}/local_cpulist") or "",
        )

    def _sockets(self, functions: Iterable[PciEvidence]) -> dict[int, int]:
        """NUMA node to socket, by the first CPU of the node whose topology can be read."""
        sockets: dict[int, int] = {}
        for function in functions:
            node = function.numa_node
            if node in sockets:
                continue
            cpus = self._read.text(f"/sys/devices/system/node/node{node}/cpulist")
            for cpu in _cpus(cpus or function.local_cpus):
                package = self._read.number(
                    f"/sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", 10
                )
                if package is not None:
                    sockets[node] = package
                    break
        return sockets

    def _cpu_flags(self) -> tuple[str, ...] | None:
        line = re.search(
            r"^flags\s*:\s*(.*)$", self._read.text("/proc/cpuinfo") or "", re.MULTILINE
        )
        if line is None:
            return None
        present = set(line[1].split())
        return tuple(flag for flag in _FLAGS if flag in present)

    def snapshot(self) -> TreeEvidence:
        """Read everything once. Objects that vanish meanwhile are left out."""
        objects = [
            thing
            for path in self._enumerate("dsa")
            if _DEVICE.fullmatch(path.rpartition("/")[2])
            for thing in self._device(path)
        ]
        functions = [thing for path in self._enumerate("pci") if (thing := self._function(path))]
        return TreeEvidence(
            objects=tuple(objects),
            functions=tuple(functions),
            drivers=tuple(self._read.names("/sys/bus/dsa/drivers")),
            modules=tuple(m for m in _MODULES if self._read.status(f"/sys/module/{m}")),
            sockets=self._sockets(functions),
            cpu_flags=self._cpu_flags(),
            kernel_release=self._read.text("/proc/sys/kernel/osrelease") or "",
        )
