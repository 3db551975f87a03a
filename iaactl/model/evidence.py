"""What the adapters saw, as text and errno, before anybody interprets it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An attribute that exists but whose read failed."""

    errno: int


@dataclass(frozen=True, slots=True)
class NodeEvidence:
    """A device node below /dev: numeric owner and permission bits, with names where known."""

    path: str
    uid: int
    gid: int
    mode: int
    owner: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class BusObject:
    """One object of the `dsa` bus.

    `attributes` holds the text of each readable attribute without its trailing newline, an
    `Unreadable` where the read failed; an attribute that does not exist has no key.
    """

    name: str
    path: str
    attributes: dict[str, str | Unreadable]
    driver: str | None = None
    parent: str | None = None
    node: NodeEvidence | None = None
    client_pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PciEvidence:
    """One PCI function with its configuration as sysfs shows it."""

    address: str
    vendor: int
    device: int
    class_code: int
    numa_node: int
    driver: str | None
    driver_override: str | None
    iommu_group: str | None
    local_cpus: str = ""


@dataclass(frozen=True, slots=True)
class TreeEvidence:
    """One reading of the machine."""

    objects: tuple[BusObject, ...]
    functions: tuple[PciEvidence, ...]
    drivers: tuple[str, ...]
    modules: tuple[str, ...]
    sockets: dict[int, int] = field(default_factory=dict)
    cpu_flags: tuple[str, ...] | None = None
    kernel_release: str = ""
