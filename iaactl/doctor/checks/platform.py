"""Processor, virtual machine, container."""

from __future__ import annotations

from collections.abc import Iterator

from iaactl.doctor.symptoms import TO_BE_SURE, Sva, sva, weight
from iaactl.model.codes import found
from iaactl.model.device import Inventory
from iaactl.model.facts import Cpu, Facts
from iaactl.model.finding import Finding, Severity

_FIRST_MODEL = 143  # Sapphire Rapids
_MODELS = frozenset({143, 207, 173, 174, 175, 182, 221})
"""Family 6: Sapphire, Emerald, Granite Rapids (two), Sierra and Grand Ridge, Clearwater Forest."""


def _describe(cpu: Cpu) -> str:
    return cpu.model_name or cpu.vendor or "unknown"


def can_have_iaa(cpu: Cpu) -> bool | None:
    """Whether processors of this model have IAA; None where that is not known."""
    if cpu.vendor is None:
        return None
    if cpu.vendor != "GenuineIntel":
        return False
    if cpu.family is None or cpu.model is None:
        return None
    if cpu.family == 6:
        return cpu.model in _MODELS if cpu.model <= max(_MODELS) else None
    return None


def check_presence(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """Whether there is anything to look at."""
    if inventory.functions or inventory.devices:
        return
    if not facts.pci_listed:
        yield found("IAA-N002", "host", "this tree does not tell whether there is an IAA device")
        return
    fitting = can_have_iaa(facts.cpu)
    in_guest = "hypervisor" in (facts.cpu.flags or ())
    sentence = "this machine has no IAA device"
    remedy = None
    if fitting and in_guest:
        sentence = "this virtual machine has no IAA device; its host must pass one through"
        remedy = "look on the host: `iaactl list` there"
    elif fitting:
        sentence = "this machine shows no IAA device, although processors of its model have them"
        remedy = (
            "look in the BIOS (Socket Configuration > IIO Configuration > IOAT: IAX), and whether "
            "this model (SKU) has IAA or needs Intel On Demand"
        )
    yield found("IAA-N001", "host", sentence, "no PCI function 8086:0cfe", remedy=remedy)
    if fitting is False:
        yield found(
            "IAA-C003",
            "cpu",
            f"the processor is {_describe(facts.cpu)}; IAA is in Intel Xeons since Sapphire Rapids",
            f"/proc/cpuinfo: {facts.cpu.vendor}, family {facts.cpu.family}, "
            f"model {facts.cpu.model}",
        )


def check(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """Instructions, virtual IOMMU, container."""
    flags = facts.cpu.flags
    log = facts.kernel.log.lines if facts.kernel.log else ()
    if flags is not None:
        loaded = "idxd" in (facts.kernel.modules or {})
        if "movdir64b" not in flags and not loaded:
            yield found(
                "IAA-C001",
                "cpu",
                "the CPU has no MOVDIR64B, without which the idxd driver does not load",
                "/proc/cpuinfo: no flag movdir64b",
                *(line for line in log if "without MOVDIR64B" in line),
            )
        elif "enqcmd" not in flags:
            yield found(
                "IAA-C002",
                "cpu",
                "the CPU does not offer ENQCMD, so no shared work queue can be enabled",
                "/proc/cpuinfo: no flag enqcmd",
                *[line for line in log if "ENQCMD(S) support" in line][:1],
            )
    yield from _virtual(facts, inventory)
    yield from _container(facts, inventory)


def _virtual(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    if "hypervisor" not in (facts.cpu.flags or ()) or facts.iommu.units != ():
        return
    severity = weight(sva(inventory, facts))
    if severity is None:
        return
    likely = "" if sva(inventory, facts) is Sva.BROKEN else "most likely "
    evidence = ["/proc/cpuinfo: flag hypervisor", "/sys/class/iommu: no dmar unit"]
    if facts.perfmon == ():
        evidence.append("/sys/bus/event_source/devices: no iaxN (no performance monitor)")
    if likely:
        evidence.append(TO_BE_SURE)
    yield found(
        "IAA-V001",
        "host",
        "this virtual machine has no virtual IOMMU with PASIDs, so user work queues "
        f"{likely}cannot work in it",
        *evidence,
        severity=severity,
    )


def _container(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    security = facts.security
    enabled = [wq.path for wq in inventory.work_queues() if wq.enabled and wq.driver == "user"]
    nodes = [wq for wq in inventory.work_queues() if wq.node is not None]
    if security.container and enabled and not nodes:
        yield found(
            "IAA-E001",
            "host",
            f"this is a container ({security.container}) without the nodes of the host's "
            f"{len(enabled)} user work queues",
            "/dev/iax: missing",
        )
    known = {
        "lockdown": security.lockdown,
        "lsm": security.lsm,
        "selinux": None
        if security.selinux_enforcing is None
        else ("enforcing" if security.selinux_enforcing else "permissive"),
        "container": security.container or None,
    }
    told = tuple(f"{name}: {value}" for name, value in known.items() if value)
    if told:
        yield found(
            "IAA-E002", "host", "lockdown, security modules and container were read", *told,
            severity=Severity.OK,
        )  # fmt: skip
