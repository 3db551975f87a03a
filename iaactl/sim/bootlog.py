"""What Linux says about CPU, command line and IOMMU while it boots, for a simulated machine.

Texts as the kernel prints them (arch/x86, drivers/acpi, drivers/iommu); only those are there that
tell something about the way to IAA.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from iaactl.sim import acpi, iommu
from iaactl.sim.kmsg import ERR, INFO, NOTICE, KernelLog
from iaactl.sim.machine import MachineSpec

# The order in which the kernel compares units, and its names for their capabilities.
_COMPARED = {
    "fl5lp": "fl5lp_support",
    "fl1gp": "fl1gp_support",
    "smpwc": "smpwc",
    "flts": "flts",
    "smts": "smts",
    "pasid": "pasid",
    "prs": "prs",
}
_SVM_DISABLED = {
    "fl1gp": "incompatible 1GB page capability",
    "fl5lp": "incompatible paging mode",
}
"""The kernel's words for what keeps a unit from SVA. What it says of SMPWC is not known."""
_INTEL_IOMMU = (
    ("on", "IOMMU enabled"),
    ("off", "IOMMU disabled"),
    ("sm_on", "Enable scalable mode if hardware supports"),
    ("sm_off", "Scalable mode is disallowed"),
)
_PARAMETERS = (
    "console crashkernel default_hugepagesz hugepages hugepagesz intel_iommu iommu no5lvl nosmt"
    " panic quiet ro root rw transparent_hugepage"
)
"""Parameters that the kernel itself knows."""
_TABLE_ADDRESS = 0x777E0000


def _intel_iommu(command_line: str) -> Iterator[tuple[int, str]]:
    """One message for each word of each `intel_iommu=`; a later one wins, as in the kernel."""
    for word in re.findall(r"(?:^|\s)intel_iommu=(\S+)", command_line):
        for part in filter(None, word.split(",")):
            known = next((text for name, text in _INTEL_IOMMU if part.startswith(name)), None)
            yield (NOTICE, f"Unknown option - '{part}'") if known is None else (INFO, known)


def _unknown(command_line: str) -> list[str]:
    """Parameters that nobody in the kernel takes; those with a dot belong to modules."""
    names = [(word, word.partition("=")[0]) for word in command_line.split()]
    known = _PARAMETERS.split()
    return [word for word, name in names if name not in known and "." not in name]


def early(log: KernelLog, spec: MachineSpec) -> None:
    """From the first message to interrupt remapping, before PCI functions are looked for."""
    log.printk(NOTICE, spec.kernel.banner)
    log.printk(INFO, f"Command line: {spec.command_line}")
    if spec.virtual:
        log.printk(INFO, "Hypervisor detected: KVM")
    units = iommu.hardware(spec)
    if units:
        size = len(acpi.dmar(units, acpi.address_bits(spec)))
        last = _TABLE_ADDRESS + size - 1
        log.boot_reaches(0.0137)
        log.printk(INFO, f"ACPI: DMAR 0x{_TABLE_ADDRESS:016X} {size:06X} {acpi.IDENTITY}")
        log.printk(
            INFO, f"ACPI: Reserving DMAR table memory at [mem 0x{_TABLE_ADDRESS:x}-0x{last:x}]"
        )
    log.boot_reaches(0.0371)
    where = "KVM" if spec.virtual else "bare hardware"
    log.printk(INFO, f"Booting paravirtualized kernel on {where}")
    log.printk(NOTICE, f"Kernel command line: {spec.command_line}")
    for level, text in _intel_iommu(spec.command_line):
        log.printk(level, f"DMAR: {text}")
    if unknown := _unknown(spec.command_line):
        quoted = " ".join(unknown)
        log.printk(
            NOTICE,
            f'Unknown kernel command line parameters "{quoted}", will be passed to user space.',
        )
    log.boot_reaches(0.1660)
    if units:
        _units(log, spec, units)
    log.boot_reaches(2.5)
    kind = "Passthrough (set via kernel command line)" if spec.passthrough else "Translated"
    log.printk(INFO, f"iommu: Default domain type: {kind}")


def _units(log: KernelLog, spec: MachineSpec, units: tuple[iommu.Unit, ...]) -> None:
    log.printk(INFO, f"DMAR: Host address width {acpi.address_bits(spec)}")
    for unit in units:
        log.printk(INFO, f"DMAR: DRHD base: {unit.address:#016x} flags: {unit.flags:#x}")
        log.printk(
            INFO,
            f"DMAR: {unit.name}: reg_base_addr {unit.address:x} ver {unit.version}"
            f" cap {unit.cap:x} ecap {unit.ecap:x}",
        )
    log.printk(
        INFO,
        "DMAR-IR: Queued invalidation will be enabled to support x2apic and Intr-remapping.",
    )
    log.printk(INFO, "DMAR-IR: Enabled IRQ remapping in x2apic mode")


def remapping(log: KernelLog, spec: MachineSpec) -> None:
    """The IOMMU driver takes the units into service, or does not."""
    units = iommu.in_use(spec)
    log.boot_reaches(3.1)
    if not units:
        log.printk(INFO, "PCI-DMA: Using software bounce buffering for IO (SWIOTLB)")
        return
    for structure in ("RMRR", "ATSR", "SATC"):
        log.printk(INFO, f"DMAR: No {structure} found")
    if spec.kernel.units_compared:
        for unit in units[1:]:
            for name, text in _COMPARED.items():
                if unit.has(name) != units[0].has(name):
                    log.printk(INFO, f"DMAR: IOMMU feature {text} inconsistent")
    for unit in units:
        log.printk(INFO, f"DMAR: {unit.name}: Using Queued invalidation")
        obstacle = iommu.svm_obstacle(spec, unit)
        if obstacle in _SVM_DISABLED and spec.kernel.option("INTEL_IOMMU_SVM") == "y":
            log.printk(ERR, f"DMAR: {unit.name} SVM disabled, {_SVM_DISABLED[obstacle]}")


def remapped(log: KernelLog, spec: MachineSpec) -> None:
    """After the functions have got their groups; next are the modules."""
    if iommu.in_use(spec):
        log.printk(INFO, "DMAR: Intel(R) Virtualization Technology for Directed I/O")
    log.boot_reaches(8.4)
