"""A host as a directory laid out like its root file system, healthy until a test breaks it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from iaactl import runtime
from iaactl.doctor.diagnosis import Diagnosis, diagnose
from iaactl.host.files import DirectoryFiles
from iaactl.model.facts import Facts, Probe, User
from iaactl.model.finding import Finding, Severity

ROOT = User(name="root", uid=0, gids=(0,), bypass=True, raw_io=True)
QEMU = User(name="libvirt-qemu", uid=64055, gids=(108,))

# What a unit of a Sapphire Rapids with all that SVA needs may show.
CAP = 1 << 60 | 1 << 56 | 0xC9DE008CEE690462
ECAP = 1 << 48 | 1 << 47 | 1 << 43 | 1 << 40 | 1 << 29 | 0x9A20F05F
FLAGS = "fpu pae pdpe1gb la57 movdir64b enqcmd waitpkg"
CONFIG = (
    "IRQ_REMAP", "INTEL_IOMMU", "INTEL_IOMMU_SVM", "PCI_ATS", "PCI_PRI", "PCI_PASID",
    "INTEL_IDXD_SVM", "IOMMU_SVA", "X86_5LEVEL",
)  # fmt: skip
DEVICE = {
    "version": "0x100", "state": "enabled", "configurable": "1", "pasid_enabled": "1",
    "max_groups": "4", "max_work_queues": "8", "max_engines": "8", "max_work_queues_size": "128",
    "max_transfer_size": "2147483648", "gen_cap": "0x71f10901f0105", "clients": "0",
    "op_cap": ",".join(["00000000"] * 5 + ["007f331c", "00000000", "0000000d"]),
    "cmd_status": "0x0", "cdev_major": "243",
}  # fmt: skip
WQ = {
    "state": "enabled", "mode": "shared", "type": "user", "name": "qemu", "driver_name": "user",
    "size": "128", "group_id": "0", "priority": "10", "threshold": "128", "block_on_fault": "1",
    "max_transfer_size": "2097152", "ats_disable": "0", "clients": "0", "cdev_minor": "0",
}  # fmt: skip
IDLE = WQ | {
    "state": "disabled", "type": "none", "name": "", "driver_name": "", "size": "0",
    "group_id": "-1", "priority": "0", "threshold": "0", "block_on_fault": "0",
}  # fmt: skip


class HostTree:
    """A two-socket host with one IAA device, one unit and one shared user queue a socket."""

    def __init__(self, folder: Path, *, release: str = "6.19.3") -> None:
        self.folder = folder
        self.release = release
        self.devices = {"iax1": ("0000:6a:02.0", 0), "iax3": ("0000:e7:02.0", 1)}
        self.write("proc/sys/kernel/osrelease", release)
        self.cmdline("BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro intel_iommu=on,sm_on")
        self.cpu()
        self.config()
        self.write("sys/module/idxd/parameters/sva", "Y")
        self.write("sys/firmware/acpi/tables/DMAR", "")
        for driver in ("idxd", "user", "dmaengine"):
            (folder / f"sys/bus/dsa/drivers/{driver}").mkdir(parents=True)
        (folder / "sys/bus/dsa/devices").mkdir(parents=True)
        (folder / "sys/bus/pci/devices").mkdir(parents=True)
        (folder / "sys/class/iommu").mkdir(parents=True)
        self.write("etc/udev/rules.d/70-iaactl.rules", 'SUBSYSTEM=="dsa", KERNEL=="iax/wq*"')
        for number, (name, (address, socket)) in enumerate(self.devices.items()):
            self._device(name, address, socket, f"dmar{number}")

    # -- files ---------------------------------------------------------------------------------

    def write(self, path: str, text: str) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{text}\n")

    def link(self, path: str, target: str) -> None:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def remove(self, path: str) -> None:
        place = self.folder / path
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()

    # -- what tests turn -----------------------------------------------------------------------

    def cmdline(self, text: str) -> None:
        self.write("proc/cmdline", text)

    def cpu(self, flags: str = FLAGS, vendor: str = "GenuineIntel", model: int = 143) -> None:
        self.write(
            "proc/cpuinfo",
            f"processor\t: 0\nvendor_id\t: {vendor}\ncpu family\t: 6\nmodel\t\t: {model}\n"
            f"model name\t: a processor\nflags\t\t: {flags}\n",
        )

    def config(self, **different: str) -> None:
        values = dict.fromkeys(CONFIG, "y") | {"INTEL_IDXD": "m"} | different
        lines = [
            f"# CONFIG_{name} is not set" if value == "n" else f"CONFIG_{name}={value}"
            for name, value in values.items()
        ]
        self.write(f"boot/config-{self.release}", "\n".join(lines))

    def log(self, *lines: str) -> None:
        stamped = [f"[   12.3456{n:02}] {line}" for n, line in enumerate(lines)]
        self.write("dmesg.txt", "\n".join([f"[    0.0] Linux version {self.release}", *stamped]))

    def unit(self, name: str, *, cap: int = CAP, ecap: int = ECAP) -> None:
        self.write(f"sys/class/iommu/{name}/intel-iommu/cap", f"{cap:x}")
        self.write(f"sys/class/iommu/{name}/intel-iommu/ecap", f"{ecap:x}")

    def no_iommu(self) -> None:
        self.remove("sys/class/iommu")
        (self.folder / "sys/class/iommu").mkdir()
        for address, _ in self.devices.values():
            self.remove(f"sys/bus/pci/devices/{address}/iommu")

    def device(self, device: str, /, **values: str) -> None:
        self._attributes(f"sys/bus/dsa/devices/{device}", values)

    def wq(self, wq: str, /, **values: str) -> None:
        """Change a work queue; `driver` is a link, empty for none."""
        path = f"sys/bus/dsa/devices/{wq}"
        driver = values.pop("driver", None)
        if driver == "":
            (self.folder / path / "driver").unlink(missing_ok=True)
        elif driver:
            self.link(f"{path}/driver", f"../../drivers/{driver}")
        self._attributes(path, values)

    def all_wqs(self, **values: str) -> None:
        for name in self.devices:
            self.wq(f"wq{name[3:]}.0", **values)

    def idle(self) -> None:
        """Nothing configured, as the driver leaves a device after a reset."""
        for name in self.devices:
            self.device(name, state="disabled")
            self.wq(f"wq{name[3:]}.0", driver="", **IDLE)
            for index in range(8):
                self.wq(f"engine{name[3:]}.{index}", group_id="-1")

    # -- looking at it -------------------------------------------------------------------------

    def facts(self, **changes: object) -> Facts:
        files = DirectoryFiles(self.folder)
        return runtime.tree_facts(files, runtime.inventory_of(files)).model_copy(update=changes)

    def diagnosis(
        self,
        *,
        probes: Mapping[str, int | str] | int | None = None,
        user: User | None = ROOT,
        **changes: object,
    ) -> Diagnosis:
        """`probes`: errno of the open (0: works) or a failure of the noop, by queue or for all."""
        files = DirectoryFiles(self.folder)
        inventory = runtime.inventory_of(files)
        tried: Sequence[Probe] | None = None
        if isinstance(probes, int):
            probes = {wq.path: probes for wq in inventory.work_queues() if wq.driver == "user"}
        if probes is not None:
            who = (user or ROOT).name
            tried = [
                Probe(
                    wq=wq,
                    path=f"/dev/iax/{wq.rpartition('/')[2]}",
                    user=who,
                    errno=result if isinstance(result, int) else 0,
                    failure=result if isinstance(result, str) else None,
                    way="write",
                )
                for wq, result in probes.items()
            ]
        facts = runtime.tree_facts(files, inventory).model_copy(
            update={"user": user, "probes": None if tried is None else tuple(tried), **changes}
        )
        return diagnose(facts, inventory)

    def _attributes(self, path: str, values: Mapping[str, str]) -> None:
        for attribute, value in values.items():
            self.write(f"{path}/{attribute}", value)

    def _device(self, name: str, address: str, socket: int, unit: str) -> None:
        number = name[3:]
        real = f"sys/devices/pci0000:{address[5:7]}/{address}"
        values = {"vendor": "0x8086", "device": "0x0cfe", "class": "0x088000"}
        self._attributes(real, values | {"numa_node": str(socket), "driver_override": "(null)"})
        self.link(f"{real}/driver", "../../../bus/pci/drivers/idxd")
        self.link(f"{real}/iommu", f"../../virtual/iommu/{unit}")
        self.link(f"sys/bus/pci/devices/{address}", f"../../../devices/{real[12:]}")
        self._attributes(f"{real}/{name}", DEVICE | {"numa_node": str(socket)})
        self.link(f"{real}/{name}/driver", "../../../../bus/dsa/drivers/idxd")
        self._attributes(f"{real}/{name}/wq{number}.0", WQ)
        self.link(f"{real}/{name}/wq{number}.0/driver", "../../../../../bus/dsa/drivers/user")
        members = [f"wq{number}.0", *(f"engine{number}.{n}" for n in range(8)), f"group{number}.0"]
        for member in members[1:9]:
            self.write(f"{real}/{name}/{member}/group_id", "0")
        self.write(f"{real}/{name}/group{number}.0/engines", " ".join(members[1:9]))
        for thing in (name, *(f"{name}/{member}" for member in members)):
            leaf = thing.rpartition("/")[2]
            self.link(f"sys/bus/dsa/devices/{leaf}", f"../../../devices/{real[12:]}/{thing}")
        node = self.folder / f"dev/iax/wq{number}.0"
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch(mode=0o600)
        self.unit(unit)
        self.write(f"sys/devices/system/node/node{socket}/cpulist", str(socket))
        topology = f"sys/devices/system/cpu/cpu{socket}/topology/physical_package_id"
        self.write(topology, str(socket))


def first(diagnosis: Diagnosis) -> str:
    """The code that stands first: the root cause."""
    return diagnosis.findings[0].code


def alarms(diagnosis: Diagnosis) -> list[Finding]:
    """What a healthy host must not show."""
    return [f for f in diagnosis.findings if f.severity in (Severity.ERROR, Severity.WARNING)]
