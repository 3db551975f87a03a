"""Reads the dsa bus, PCI functions and device nodes from sysfs and /dev; changes nothing.

Reading attributes directly, and not through libaccel-config, is deliberate: the library writes to
`cmd_status` of every device while it merely enumerates, and so wipes the evidence.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from iaactl.model.attributes import Owner, of
from iaactl.model.evidence import BusObject, NodeEvidence, PciEvidence, TreeEvidence, Unreadable

IAA_FUNCTIONS = frozenset({(0x8086, 0x0CFE), (0x8086, 0x1216), (0x8086, 0xB02D)})
"""Vendor and device ids of IAA (SPR/EMR/GNR, DMR, PTL). Source: idxd's PCI id table."""

_DEVICE = re.compile(r"iax[0-9]+")
_MEMBER = re.compile(r"(wq|engine|group)[0-9]+\.[0-9]+")
_OWNERS = {"wq": Owner.WQ, "engine": Owner.ENGINE, "group": Owner.GROUP}
_FLAGS = ("enqcmd", "movdir64b", "hypervisor")
_MODULES = ("idxd", "iaa_crypto")

Enumerate = Callable[[str], Iterable[str]]
"""Subsystem (`dsa`, `pci`) to the real sysfs paths of its devices."""


_MOST_BYTES = 1 << 20


def _read(path: str) -> str:
    """The text of a small file, in as few system calls as there are. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(handle, 4096)
        while len(data) % 4096 == 0 and 0 < len(data) < _MOST_BYTES:
            more = os.read(handle, 4096)
            if not more:
                break
            data += more
    finally:
        os.close(handle)
    return data.decode(errors="surrogateescape")


def _text(path: Path) -> str | None:
    try:
        return _read(os.fspath(path)).rstrip("\n")
    except OSError:
        return None


def _number(path: Path, base: int = 0) -> int | None:
    try:
        return int(_text(path) or "", base)
    except ValueError:
        return None


def _link(path: Path) -> str | None:
    try:
        return path.readlink().name
    except OSError:
        return None


def _names(directory: Path) -> list[str]:
    try:
        return sorted(path.name for path in directory.iterdir())
    except OSError:
        return []


def _cpus(text: str) -> list[int]:
    cpus: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (not last or last.isdigit()):
            cpus += range(int(first), int(last or first) + 1)
    return cpus


def _name(lookup: Callable[[int], object], field: str, number: int) -> str | None:
    try:
        return str(getattr(lookup(number), field))
    except (KeyError, OverflowError):
        return None


class Sysfs:
    """A `DeviceTree` over the file system below `root` (normally `/`).

    `enumerate_` lists a subsystem's devices; without it the bus directories are listed.
    """

    def __init__(self, root: str | Path = "/", enumerate_: Enumerate | None = None) -> None:
        self._root = Path(root)
        self._enumerate = enumerate_ or self._listed

    def _path(self, absolute: str) -> Path:
        return self._root / absolute.lstrip("/")

    def _listed(self, subsystem: str) -> Iterable[str]:
        bus = self._path(f"/sys/bus/{subsystem}/devices")
        return [str((bus / name).resolve()) for name in _names(bus)]

    def _attributes(self, owner: Owner, path: Path) -> dict[str, str | Unreadable]:
        found: dict[str, str | Unreadable] = {}
        for spec in of(owner):
            try:
                text = _read(f"{path}/{spec.name}")
            except FileNotFoundError:
                continue
            except OSError as error:
                found[spec.name] = Unreadable(error.errno or 0)
            else:
                found[spec.name] = text.removesuffix("\n")
        return found

    def _node(self, wq: str) -> NodeEvidence | None:
        path = f"/dev/iax/{wq}"
        try:
            status = self._path(path).stat()
        except OSError:
            return None
        return NodeEvidence(
            path=path,
            uid=status.st_uid,
            gid=status.st_gid,
            mode=stat.S_IMODE(status.st_mode),
            owner=_name(pwd.getpwuid, "pw_name", status.st_uid),
            group=_name(grp.getgrgid, "gr_name", status.st_gid),
        )

    def _pids(self, path: Path, wq: str) -> tuple[int, ...]:
        cdev = path / f"iax!{wq}"
        files = (name for name in _names(cdev) if name.startswith("file"))
        pids = (_number(cdev / name / "pid", 10) for name in files)
        return tuple(sorted(pid for pid in pids if pid is not None))

    def _device(self, real: str) -> list[BusObject]:
        """A device and its work queues, engines and groups, which are directories in its own."""
        path = Path(real)
        found = [
            BusObject(
                name=path.name,
                path=real,
                attributes=self._attributes(Owner.DEVICE, path),
                driver=_link(path / "driver"),
            )
        ]
        return found + [
            self._member(path, name) for name in _names(path) if _MEMBER.fullmatch(name)
        ]

    def _member(self, device: Path, name: str) -> BusObject:
        path = device / name
        owner = next(owner for kind, owner in _OWNERS.items() if name.startswith(kind))
        is_wq = owner is Owner.WQ
        return BusObject(
            name=name,
            path=str(path),
            attributes=self._attributes(owner, path),
            driver=_link(path / "driver") if is_wq else None,
            parent=device.name,
            node=self._node(name) if is_wq else None,
            client_pids=self._pids(path, name) if is_wq else (),
        )

    def _function(self, real: str) -> PciEvidence | None:
        path = Path(real)
        vendor, device = _number(path / "vendor"), _number(path / "device")
        if vendor is None or device is None or (vendor, device) not in IAA_FUNCTIONS:
            return None
        override = _text(path / "driver_override")
        node = _number(path / "numa_node", 10)
        return PciEvidence(
            address=path.name,
            vendor=vendor,
            device=device,
            class_code=_number(path / "class") or 0,
            numa_node=-1 if node is None else node,
            driver=_link(path / "driver"),
            driver_override=None if override in (None, "", "(null)") else override,
            iommu_group=_link(path / "iommu_group"),
            local_cpus=_text(path / "local_cpulist") or "",
        )

    def _sockets(self, functions: Iterable[PciEvidence]) -> dict[int, int]:
        """NUMA node to socket, by the first CPU of the node whose topology can be read."""
        sockets: dict[int, int] = {}
        for function in functions:
            node = function.numa_node
            if node in sockets:
                continue
            cpus = _text(self._path(f"/sys/devices/system/node/node{node}/cpulist"))
            for cpu in _cpus(cpus or function.local_cpus):
                package = _number(
                    self._path(f"/sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id"), 10
                )
                if package is not None:
                    sockets[node] = package
                    break
        return sockets

    def _cpu_flags(self) -> tuple[str, ...] | None:
        text = _text(self._path("/proc/cpuinfo"))
        line = re.search(r"^flags\s*:\s*(.*)$", text or "", re.MULTILINE)
        if line is None:
            return None
        present = set(line[1].split())
        return tuple(flag for flag in _FLAGS if flag in present)

    def snapshot(self) -> TreeEvidence:
        """Read everything once. Objects that vanish meanwhile are left out."""
        objects = [
            thing
            for real in self._enumerate("dsa")
            if _DEVICE.fullmatch(real.rpartition("/")[2])
            for thing in self._device(real)
        ]
        functions = [thing for real in self._enumerate("pci") if (thing := self._function(real))]
        drivers = tuple(_names(self._path("/sys/bus/dsa/drivers")))
        modules = tuple(m for m in _MODULES if self._path(f"/sys/module/{m}").exists())
        return TreeEvidence(
            objects=tuple(objects),
            functions=tuple(functions),
            drivers=drivers,
            modules=modules,
            sockets=self._sockets(functions),
            cpu_flags=self._cpu_flags(),
            kernel_release=_text(self._path("/proc/sys/kernel/osrelease")) or "",
        )
