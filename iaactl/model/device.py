"""What is: devices, groups, engines and work queues, with sysfs names as field names.

Integers are in the unit of the attribute table (`iaactl.model.attributes`): sizes and thresholds
of work queues in entries, transfer sizes in bytes. None means that this kernel or device has no
such attribute, or that reading it fails by design.
"""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """Base of all documents: immutable, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Node(Frozen):
    """The device node through which a user work queue is opened."""

    path: str
    uid: int
    gid: int
    mode: int = Field(description="permission bits")
    owner: str | None = None
    group: str | None = None


class WorkQueue(Frozen):
    """One work queue."""

    id: str = Field(description="name in sysfs, e.g. wq1.0")
    device: str
    index: int
    state: str
    driver: str | None = Field(None, description="driver bound to the work queue")
    mode: str | None = None
    type: str | None = None
    name: str | None = None
    driver_name: str | None = None
    size: int | None = Field(None, description="entries")
    group_id: int | None = Field(None, description="-1: in no group")
    priority: int | None = None
    prs_disable: int | None = None
    block_on_fault: int | None = None
    threshold: int | None = Field(None, description="entries")
    max_transfer_size: int | None = Field(None, description="bytes")
    ats_disable: int | None = None
    op_config: str | None = None
    enqcmds_retries: int | None = None
    clients: int | None = Field(None, description="can be negative after a disable under clients")
    occupancy: int | None = Field(None, description="entries")
    cdev_minor: int | None = None
    client_pids: tuple[int, ...] = ()
    node: Node | None = None

    @property
    def enabled(self) -> bool:
        """Whether the work queue accepts descriptors."""
        return self.state == "enabled"

    @property
    def path(self) -> str:
        """Device and work queue as accel-config writes them: `iax1/wq1.0`."""
        return f"{self.device}/{self.id}"

    @property
    def owner(self) -> str:
        """Who uses it: `user`, `iaa_crypto`, `dmaengine`, another driver, or nobody."""
        if self.driver == "crypto":
            return "iaa_crypto"
        return self.driver or ("?" if self.enabled else "")


class Engine(Frozen):
    """One engine; -1 means that it serves no group."""

    id: str
    device: str
    index: int
    group_id: int | None = None


class Group(Frozen):
    """One group: the engines that serve its work queues."""

    id: str
    device: str
    index: int
    engines: tuple[str, ...] = ()
    work_queues: tuple[str, ...] = ()
    traffic_class_a: int | None = None
    traffic_class_b: int | None = None
    desc_progress_limit: int | None = None
    batch_progress_limit: int | None = None


class Device(Frozen):
    """One IAA device of the idxd driver."""

    id: str
    pci: str
    numa_node: int
    socket: int | None = None
    driver: str | None = None
    state: str
    version: int | None = None
    configurable: int | None = None
    pasid_enabled: int | None = None
    max_groups: int = 0
    max_work_queues: int = 0
    max_engines: int = 0
    max_work_queues_size: int = Field(0, description="entries, over all work queues")
    max_transfer_size: int | None = Field(None, description="bytes")
    op_cap: str | None = None
    gen_cap: int | None = None
    iaa_cap: int | None = None
    event_log_size: int | None = Field(None, description="entries")
    clients: int | None = None
    cdev_major: int | None = None
    cmd_status: int | None = None
    errors: str | None = None
    groups: tuple[Group, ...] = ()
    engines: tuple[Engine, ...] = ()
    work_queues: tuple[WorkQueue, ...] = ()

    @property
    def enabled(self) -> bool:
        """Whether the device is enabled."""
        return self.state == "enabled"


class PciFunction(Frozen):
    """One IAA function on the PCI bus, whether or not a driver has it."""

    address: str
    vendor: int
    device: int
    numa_node: int
    socket: int | None = None
    driver: str | None = None
    driver_override: str | None = None
    iommu_group: str | None = None
    idxd_device: str | None = Field(None, description="the iaxN that the driver made of it")


class Host(Frozen):
    """The little about the machine that decides whether a configuration can work."""

    kernel_release: str = ""
    cpu_flags: tuple[str, ...] | None = Field(
        None, description="those of enqcmd, movdir64b, hypervisor that the CPU shows; null: unknown"
    )
    modules: tuple[str, ...] = Field((), description="those of idxd, iaa_crypto that are loaded")
    drivers: tuple[str, ...] = Field((), description="drivers registered on the dsa bus")


class Inventory(Frozen):
    """Everything of IAA on one machine, at one moment."""

    host: Host = Host()
    functions: tuple[PciFunction, ...] = ()
    devices: tuple[Device, ...] = ()

    def work_queues(self) -> Iterator[WorkQueue]:
        """All work queues in natural order."""
        for device in self.devices:
            yield from device.work_queues

    def find(self, name: str) -> Device | None:
        """The device of that name."""
        return next((d for d in self.devices if d.id == name), None)


class Access(Frozen):
    """Who shall be able to open the node of one work queue: names, and permission bits."""

    wq: str
    owner: str = "root"
    group: str = "root"
    mode: int = 0o600
