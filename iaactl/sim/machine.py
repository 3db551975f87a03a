"""Machines as data: what a TOML file in `machines/` says, as values, and the machine made of it."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iaactl.errors import UsageProblem
from iaactl.sim import kconfig
from iaactl.sim.iommu import BITS, EVERY_UNIT
from iaactl.sim.kernfs import Caller, Directory

if TYPE_CHECKING:
    from iaactl.sim.idxd.wq import WorkQueue

FOLDER = Path(__file__).parent / "machines"
DEFAULT = "spr-2s"


@dataclass(frozen=True)
class Uevent:
    """One event of the kernel. `devpath` is relative to /sys and begins with a slash."""

    action: str
    devpath: str
    subsystem: str
    properties: Mapping[str, str]


@dataclass(frozen=True)
class KernelSpec:
    """What differs between kernel releases, as switches of the driver's behaviour."""

    release: str
    driver_name: bool = True
    """Work queues have `driver_name`, and drivers want it to fit (Linux 6.8)."""
    default_engines: str = "all"
    """Engines that the boot defaults of IAA put into group 0: `none`, `one` or `all`."""
    pasid_before_name: bool = False
    """The user driver looks for a PASID before it compares driver_name (up to about 6.10)."""
    reset_keeps_type: bool = True
    """Disabling a device keeps the type of work queues that are not enabled (after 6.16)."""
    reset_event_log: bool = True
    """Disabling a device sets event_log_size back (after 6.16)."""
    stale_files_hold_minor: bool = False
    """An open file keeps its cdev minor when the work queue is disabled (up to 6.16)."""
    pasid_by_reset: bool = True
    """A dedicated queue gets its PASID by drain, reset, enable; before by disable, enable."""
    iommu_checked_at_load: bool = False
    """pasid_enabled is 0 where the IOMMU cannot do SVA (up to about 6.12)."""
    open_files_shown: bool = True
    """Every open file of a character device has a directory (Linux 6.4)."""
    kernel_wqs_named: bool = True
    """A work queue of type kernel can be named where kernel work queues have a PASID (6.7)."""
    ats_by_capability: bool = True
    """ats_disable is there only with the capability, and read-only like the rest (6.6)."""
    oops_on_reset_without_event_log: bool = False
    """A function-level reset dereferences NULL on a device without event log (6.16)."""
    pri_needed: bool = False
    """Binding a process needs page requests (up to 6.16)."""
    coherent_walk_checked: bool = True
    """Units whose page walk is not coherent do no SVA (7.1; stable 6.12 since .101)."""
    units_compared: bool = False
    """The log says in which capabilities the IOMMU units differ (5.13 to about 6.13)."""
    probe_error_of_device: bool = True
    """A failed probe is logged as an error of the device; before 6.10 as one of the driver."""
    dmesg_restrict: bool = True
    """The kernel log is for those with CAP_SYSLOG, as Debian has it."""
    config: Mapping[str, str] = field(default_factory=dict)
    """Build options that are not as in `kconfig.DEFAULTS`: `y`, `m` or `n`."""
    config_published: bool = True
    """/boot has the build options."""
    cdev_major: int = 243
    mmap_needs_rawio: bool = True
    write_submits: bool = True

    @property
    def banner(self) -> str:
        """What the kernel says first, and /proc/version shows."""
        return f"Linux version {self.release} (simulated) #1 SMP"

    @property
    def options(self) -> Mapping[str, str]:
        """All build options that are told; kernels without boot defaults have no iaa_crypto."""
        options = {**kconfig.DEFAULTS, **self.config}
        if self.default_engines == "none":
            del options["CRYPTO_DEV_IAA_CRYPTO"]
        return options

    def option(self, name: str) -> str:
        """One build option: `y`, `m` or `n`."""
        return self.options[name]


@dataclass(frozen=True)
class WqPreset:
    """A work queue as the host of a virtual machine has set it up. Sizes in entries."""

    index: int
    size: int
    group: int = 0
    dedicated: bool = True
    threshold: int = 0
    priority: int = 1
    block_on_fault: bool = False


@dataclass(frozen=True)
class FunctionSpec:
    """One PCI function that the idxd driver takes."""

    address: str
    kind: str = "iax"
    vendor: int = 0x8086
    device: int = 0x0CFE
    numa_node: int = -1
    version: int = 0x100
    gen_cap: int = 0x71F10901F0105
    op_cap: int = 0x7F331C << 64 | 0xD
    max_engines: int = 8
    max_groups: int = 4
    max_work_queues: int = 8
    max_work_queues_size: int = 128
    capabilities: tuple[str, ...] = ("shared", "dedicated", "ats", "priority", "occupancy")
    iaa_cap: int = 0
    preset_wqs: tuple[WqPreset, ...] = ()
    preset_engines: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    perfmon: bool = True
    """It has performance counters."""
    override: str = ""
    """The driver that the function is kept for (driver_override): `vfio-pci`, or none known."""


@dataclass(frozen=True)
class NodeSpec:
    """One NUMA node: its CPUs as sysfs lists them, and its socket."""

    id: int
    cpulist: str
    socket: int


@dataclass(frozen=True)
class MachineSpec:
    """A whole machine."""

    name: str
    description: str
    kernel: KernelSpec
    functions: tuple[FunctionSpec, ...]
    nodes: tuple[NodeSpec, ...] = ()
    cpu_flags: tuple[str, ...] = ("movdir64b", "enqcmd")
    command_line: str = ""
    iommu: str = "scalable"
    """How the kernel uses the units: `scalable`, `legacy`, `none`, or `sva-disabled` (scalable,
    but it refuses SVA)."""
    vtd: bool = True
    """VT-d is switched on in the BIOS, so that the firmware describes IOMMU units."""
    unit_lacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Capabilities (`iommu.BITS`) that units lack: by root bus (`0000:6a`), or `all` of them."""
    modules: tuple[str, ...] = ("idxd",)
    grub: str | None = None
    """GRUB_CMDLINE_LINUX in /etc/default/grub; None where it is what the machine booted with."""
    sva: bool = True
    tc_override: bool = False
    configured: tuple[str, ...] = ()
    """Devices that were set up after the boot as QEMU's documentation says: iax1, iax3, ..."""
    disabled: bool = False
    """All devices were disabled after boot, as the QEMU documentation finds them."""

    def __post_init__(self) -> None:
        """Raises ValueError for a word that means nothing here."""
        _one_of("iommu", self.iommu, _IOMMU)
        if not self.vtd:
            _one_of("iommu without vtd", self.iommu, ("none",))
        buses = [function.address.rpartition(":")[0] for function in self.functions]
        for bus, capabilities in self.unit_lacks.items():
            _one_of("unit_lacks", bus, (EVERY_UNIT, *buses))
            for capability in capabilities:
                _one_of("unit_lacks", capability, tuple(BITS))
        for option, value in self.kernel.config.items():
            _one_of("config", option, tuple(kconfig.DEFAULTS))
            _one_of(option, value, ("y", "m", "n"))
        _one_of("default_engines", self.kernel.default_engines, ("none", "one", "all"))
        for module in self.modules:
            _one_of("module", module, ("idxd", "iaa_crypto", "vfio_pci"))
        for function in self.functions:
            _one_of("kind", function.kind, ("iax", "dsa"))
            _one_of("override", function.override, ("", "idxd", "vfio-pci"))
            for capability in function.capabilities:
                _one_of("capability", capability, _CAPABILITIES)

    @property
    def passthrough(self) -> bool:
        """The IOMMU leaves addresses of devices as they are, until a process is bound."""
        return "iommu=pt" in self.command_line.split()

    @property
    def virtual(self) -> bool:
        """It is a guest of a hypervisor."""
        return "hypervisor" in self.cpu_flags


_IOMMU = ("scalable", "legacy", "sva-disabled", "none")
_CAPABILITIES = (
    *("shared", "dedicated", "ats", "priority", "occupancy", "op_config", "prs"),
    "progress_limit",
)


def _one_of(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, not {value!r}")


def names() -> list[str]:
    """The machines that come with iaactl; the default first."""
    found = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return sorted(found, key=lambda name: (name != DEFAULT, name.startswith("trace-"), name))


def _merged(path: Path, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The tables of a file over those of the file it is `like`."""
    if path in seen:
        raise ValueError(f"{path.name} is like itself")
    own = tomllib.loads(path.read_text())
    like = own.pop("like", None)
    if like is None:
        return own
    base = _merged(path.parent / f"{like}.toml", (*seen, path))
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            base[key] = base[key] | value
        else:
            base[key] = value
    return base


def _function(table: dict[str, Any], common: dict[str, Any]) -> FunctionSpec:
    values = common | table
    values["op_cap"] = int(str(values.pop("op_cap", "0x7f331c000000000000000d")), 16)
    values["capabilities"] = tuple(values.get("capabilities", FunctionSpec.capabilities))
    values["preset_wqs"] = tuple(WqPreset(**wq) for wq in values.get("preset_wqs", ()))
    engines = values.get("preset_engines", {})
    values["preset_engines"] = {group: tuple(indexes) for group, indexes in engines.items()}
    return FunctionSpec(**values)


def load(name: str) -> MachineSpec:
    """A machine by name, or from a TOML file. Raises UsageProblem naming what is wrong."""
    path = Path(name) if name.endswith(".toml") or "/" in name else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise UsageProblem(
            f"there is no machine {name}", hint=f"`iaactl sim machines` lists them: {names()[0]}, …"
        )
    try:
        data = _merged(path)
        common = data.pop("function_defaults", {})
        return MachineSpec(
            name=path.stem,
            kernel=KernelSpec(**data.pop("kernel")),
            functions=tuple(_function(f, common) for f in data.pop("functions")),
            nodes=tuple(NodeSpec(**node) for node in data.pop("nodes", ())),
            cpu_flags=tuple(data.pop("cpu_flags", MachineSpec.cpu_flags)),
            modules=tuple(data.pop("modules", MachineSpec.modules)),
            configured=tuple(data.pop("configured", ())),
            unit_lacks={bus: tuple(c) for bus, c in data.pop("unit_lacks", {}).items()},
            **data,
        )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UsageProblem(f"machine {path} is not usable: {error}") from None


class Machine:
    """A machine that has booted: the tree it shows, and the hooks of whoever runs it.

    All access to `root` happens while `lock` is held.
    """

    def __init__(self, spec: MachineSpec, emit: Callable[[Uevent], None]) -> None:
        from iaactl.sim.idxd.kernel import Kernel

        self.spec = spec
        self.lock = threading.RLock()
        self.root = Directory()
        self.kernel = Kernel(spec, self.root, emit)
        self.kernel.boot()

    @property
    def command_fault(self) -> Callable[[str, str, int], int | None] | None:
        """Device name, command and operand to an error code that the device shall answer with."""
        return self.kernel.command_fault

    @command_fault.setter
    def command_fault(self, fault: Callable[[str, str, int], int | None] | None) -> None:
        self.kernel.command_fault = fault

    @property
    def execute(self) -> Callable[[WorkQueue, bytes, Caller], None] | None:
        """Called with each 64-byte descriptor submitted by write(2); None refuses them."""
        return self.kernel.execute

    @execute.setter
    def execute(self, execute: Callable[[WorkQueue, bytes, Caller], None] | None) -> None:
        self.kernel.execute = execute

    def insmod(self, module: str, **parameters: bool) -> None:
        """Load `idxd` (parameters sva, tc_override) or `iaa_crypto`.

        Raises OSError as init_module(2).
        """
        self.kernel.insmod(module, **parameters)

    def rmmod(self, module: str) -> None:
        """Unload a module; raises OSError as delete_module(2)."""
        self.kernel.rmmod(module)
