"""Facts about a machine and its users that are not about one IAA device: what was read, no verdict.

`None` always means that nobody knows: the file was missing, unreadable or of no use.
"""

from __future__ import annotations

from pydantic import Field

from iaactl.model.device import Frozen


class User(Frozen):
    """Who wants to open the queues. `bypass`: may open any file (CAP_DAC_OVERRIDE)."""

    name: str
    uid: int
    gids: tuple[int, ...]
    bypass: bool = False
    raw_io: bool = Field(False, description="has CAP_SYS_RAWIO, which mapping a portal needs")


class Line(Frozen):
    """A line of a file that means something here."""

    path: str
    number: int = Field(description="from 1")
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.text}"


class Cpu(Frozen):
    """The first CPU of /proc/cpuinfo."""

    vendor: str | None = None
    family: int | None = None
    model: int | None = None
    model_name: str | None = None
    flags: frozenset[str] | None = None


class Module(Frozen):
    """A loaded (or built-in) kernel module and its parameters."""

    name: str
    parameters: dict[str, str] = {}


class KernelLog(Frozen):
    """What the kernel has said, as lines without priority and time; `source` is the file."""

    source: str
    lines: tuple[str, ...]


class Kernel(Frozen):
    """The running kernel."""

    release: str | None = None
    command_line: str | None = None
    config: dict[str, str] | None = Field(None, description="option to value, CONFIG_ left out")
    config_path: str | None = None
    modules: dict[str, Module] | None = None
    module_file: str | None = Field(
        None, description="where idxd.ko is; empty: searched, not there"
    )
    builtin: bool | None = Field(None, description="idxd is built into the kernel")
    module_options: tuple[Line, ...] = Field((), description="`options` of modprobe.d")
    blacklisted: tuple[Line, ...] = Field((), description="`blacklist`, `install` of modprobe.d")
    log: KernelLog | None = None


class BootEntry(Frozen):
    """Kernel arguments that a file of the boot loader holds for a later boot."""

    line: Line
    arguments: tuple[str, ...]


class IommuUnit(Frozen):
    """One DMA remapping unit of Intel VT-d with its capability registers."""

    name: str
    address: str | None = None
    cap: int | None = None
    ecap: int | None = None


class Iommu(Frozen):
    """DMA remapping: units the kernel runs, and which one an IAA function stands behind."""

    units: tuple[IommuUnit, ...] | None = None
    unit_of: dict[str, str] = Field({}, description="PCI address to unit")
    dmar_table: bool | None = Field(None, description="the firmware describes VT-d to the kernel")


class PciState(Frozen):
    """Extended capabilities of one IAA function's configuration space, None where not readable."""

    address: str
    ats: bool | None = None
    pasid: bool | None = None
    pri: bool | None = None


class Security(Frozen):
    """What may stand between a user and a node."""

    lockdown: str | None = None
    lsm: str | None = None
    selinux_enforcing: bool | None = None
    container: str | None = Field(None, description="kind of container; empty: none seen")
    cgroup: str | None = None
    vfio_denylist_disabled: bool | None = None


class Library(Frozen):
    """A shared library as its users would find it; `path` None means that they do not."""

    name: str
    path: str | None = None
    version: str | None = None
    searched: str = Field("", description="why it was not found")


class QemuBinary(Frozen):
    """A QEMU system emulator; `qpl` None means that it could not be told."""

    path: str
    version: str | None = None
    qpl: bool | None = None
    evidence: str = ""


class Software(Frozen):
    """Programs and libraries that use IAA; None for what was not looked for."""

    libraries: tuple[Library, ...] | None = None
    qemu: tuple[QemuBinary, ...] | None = None
    accel_config: str | None = Field(None, description="version of the program, empty: not there")


class Memory(Frozen):
    """Memory and huge pages of the machine; sizes in bytes."""

    total_bytes: int | None = None
    available_bytes: int | None = None
    huge_pages: int | None = None
    huge_pages_free: int | None = None
    huge_page_bytes: int | None = None


class Zswap(Frozen):
    """Compressed swap and its compressor."""

    enabled: bool | None = None
    compressor: str | None = None
    swaps: tuple[str, ...] = Field((), description="active swap devices")
    algorithms: tuple[str, ...] | None = Field(None, description="IAA drivers in /proc/crypto")


class AccelConfigFile(Frozen):
    """The configuration that accel-config's service loads at boot; `text` is its JSON."""

    path: str
    text: str


class Probe(Frozen):
    """What happened when a user opened one work queue and sent it a noop."""

    wq: str
    path: str
    user: str
    errno: int = Field(0, description="of opening it; 0: it opened")
    way: str | None = None
    failure: str | None = Field(None, description="why the noop failed, None if it completed")
    hung: bool = False


class Facts(Frozen):
    """Everything that a diagnosis reads besides the Inventory."""

    cpu: Cpu = Cpu()
    kernel: Kernel = Kernel()
    boot: tuple[BootEntry, ...] = ()
    iommu: Iommu = Iommu()
    pci: tuple[PciState, ...] = ()
    pci_listed: bool = Field(False, description="the PCI bus could be listed")
    security: Security = Security()
    software: Software = Software()
    memory: Memory = Memory()
    zswap: Zswap = Zswap()
    perfmon: tuple[str, ...] | None = Field(None, description="IAA devices with a PMU")
    fault_latency: str | None = Field(None, description="svm_prq line of dmar_perf_latency")
    udev_rules: tuple[Line, ...] | None = Field(None, description="rules for the dsa subsystem")
    accel_config_file: AccelConfigFile | None = None
    user: User | None = None
    hypervisor_users: tuple[User, ...] = Field((), description="accounts that QEMU runs as here")
    probes: tuple[Probe, ...] | None = Field(None, description="None: nothing was probed")
    denied: tuple[str, ...] = Field((), description="files this user may not read")
