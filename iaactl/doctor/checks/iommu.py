"""VT-d: is it on, in scalable mode, and is the unit in front of each device fit for SVA."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from iaactl.doctor.symptoms import TO_BE_SURE, Sva, refusals, shown_at_load, sva, sva_of, weight
from iaactl.model.codes import found
from iaactl.model.command_line import iommu_arguments
from iaactl.model.device import Device, Inventory
from iaactl.model.facts import Facts, IommuUnit, PciState
from iaactl.model.finding import Finding, Severity
from iaactl.model.kernel_release import parse_release
from iaactl.model.vtd import CAP_FL1GP, CAP_FL5LP, NEEDED, WANTED, insisted_on, missing


def _log(facts: Facts, *words: str) -> list[str]:
    lines = facts.kernel.log.lines if facts.kernel.log else ()
    return [line for line in lines if any(word in line for word in words)]


def check(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """The IOMMU as a whole, then the unit of each device, then what the log complains about."""
    if facts.iommu.units == ():
        yield from _off(facts, inventory)
    else:
        yield from _legacy(facts, inventory)
        yield from _units(facts, inventory)
    inconsistent = _log(facts, "IOMMU feature pasid inconsistent", "feature prs inconsistent")
    if inconsistent:
        yield found(
            "IAA-I005",
            "host",
            "the IOMMU units differ in what they can do; the unit in front of a device counts",
            inconsistent[0],
            severity=Severity.NOTICE if sva(inventory, facts) is Sva.BROKEN else Severity.OK,
        )
    complaints = _log(facts, "Page request without PASID", "Invalid page request")
    if complaints:
        yield found(
            "IAA-I007", "host", "the IOMMU complains about page requests of devices", complaints[0]
        )
    reserved = _log(facts, "fault reason 0x3a")
    if reserved:
        yield found(
            "IAA-I008", "host", "the IOMMU found a reserved field set in its tables", reserved[0]
        )


def _off(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    if sva(inventory, facts) is Sva.WORKS or "hypervisor" in (facts.cpu.flags or ()):
        return  # a virtual machine has its own code
    evidence = ["/sys/class/iommu: no dmar unit"]
    table = facts.iommu.dmar_table
    if table is False:
        yield found(
            "IAA-I001",
            "host",
            "the IOMMU is off: the firmware gives no DMAR table, so VT-d is off in the BIOS",
            *evidence,
            "/sys/firmware/acpi/tables/DMAR: missing",
            remedy="BIOS: Socket Configuration > IIO Configuration > Intel VT for Directed I/O: "
            "Enable; then boot with `intel_iommu=on,sm_on`",
        )
        return
    if table:
        evidence.append("/sys/firmware/acpi/tables/DMAR: there, so VT-d is on in the BIOS")
    line = facts.kernel.command_line
    if line is not None:
        evidence.append(f"/proc/cmdline: {line or '(empty)'}")
    yield found(
        "IAA-I001",
        "host",
        "the IOMMU is off: the kernel runs no VT-d unit",
        *evidence,
    )


def _legacy(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    state = sva(inventory, facts)
    refused = refusals(facts).get(errno.ENOSPC, [])
    line = facts.kernel.command_line
    arguments = iommu_arguments(line or "")
    default = (facts.kernel.config or {}).get("INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON")
    asked = arguments.scalable or (arguments.scalable is None and default == "y")
    if state is Sva.WORKS or (asked and not refused):
        return
    if refused and _lacks_pasid(facts, inventory):
        return  # the same errno, and the unit's registers say why
    evidence = [f"open({probe.path}): ENOSPC" for probe in refused[:1]]
    if line is not None:
        evidence.append(f"/proc/cmdline: {line or '(empty)'}")
    if default is not None:
        word = "not set" if default == "n" else default
        evidence.append(
            f"{facts.kernel.config_path}: CONFIG_INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON is {word}"
        )
    evidence += _log(facts, "Unable to turn on user SVA")[:1]
    if refused:
        yield found(
            "IAA-I002",
            "host",
            "the IOMMU is in legacy mode: the kernel has no PASID table for a device",
            *evidence,
        )
    elif line is not None and state is Sva.BROKEN and not _other_cause(facts, inventory):
        sure = default == "n" or arguments.scalable is False
        yield found(
            "IAA-I002",
            "host",
            f"the IOMMU is {'' if sure else 'most likely '}not in scalable mode: "
            "`intel_iommu=on,sm_on` is not on the command line",
            *evidence,
            *(() if sure else ("to be sure: journalctl -k -b | grep -iE 'dmar|svm|idxd'",)),
        )
    elif line is not None and state is Sva.UNKNOWN and default == "n":
        if shown_at_load(facts) and inventory.devices:
            return  # this kernel looked at the IOMMU when the driver was loaded
        yield found(
            "IAA-I002",
            "host",
            "the IOMMU is most likely not in scalable mode: `intel_iommu=on,sm_on` is not on the "
            "command line, and this kernel has it off by default",
            *evidence,
            f"{TO_BE_SURE}: ENOSPC",
            severity=Severity.WARNING,
        )


def _units_of(facts: Facts, inventory: Inventory) -> Iterator[tuple[Device, IommuUnit]]:
    units = {unit.name: unit for unit in facts.iommu.units or ()}
    for device in inventory.devices:
        unit = units.get(facts.iommu.unit_of.get(device.pci, ""))
        if unit is not None:
            yield device, unit


def _lacks_pasid(facts: Facts, inventory: Inventory) -> bool:
    return any(
        unit.ecap is not None and missing(unit.ecap, NEEDED)
        for _, unit in _units_of(facts, inventory)
    )


def _other_cause(facts: Facts, inventory: Inventory) -> bool:
    """Whether something else than the mode explains that SVA is off."""
    sva_parameter = (facts.kernel.modules or {}).get("idxd")
    off = sva_parameter is not None and sva_parameter.parameters.get("sva", "Y").strip() == "N"
    lines = _log(facts, "SVM disabled", "pasid allocation failed: -95", "forced SVA off")
    return bool(off or lines or _lacks_pasid(facts, inventory)) or bool(
        refusals(facts).get(errno.EOPNOTSUPP)
    )


def _units(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    flags = facts.cpu.flags or frozenset()
    explained = False
    for device, unit in _units_of(facts, inventory):
        severity = weight(sva_of(device, facts))
        where = f"/sys/class/iommu/{unit.name}/intel-iommu"
        mine = [
            line
            for line in _log(facts, "SVM disabled")
            if f"{unit.name} " in line or "dmar" not in line
        ]
        if severity is None:
            if unit.ecap is not None:
                yield _fit(device, unit, where)
            continue
        if unit.cap is not None and "la57" in flags and not unit.cap >> CAP_FL5LP & 1:
            explained = True
            yield found(
                "IAA-I003",
                device.id,
                f"the CPU uses 5-level paging, which {unit.name} in front of {device.id} cannot "
                "walk",
                "/proc/cpuinfo: flag la57",
                f"{where}/cap = {unit.cap:x}: bit {CAP_FL5LP} (FL5LP) is 0",
                *(line for line in mine if "paging mode" in line),
            )
        pages = [line for line in mine if "1GB page" in line]
        if unit.cap is not None and not unit.cap >> CAP_FL1GP & 1 and "pdpe1gb" in flags:
            explained = True
            yield found(
                "IAA-I004",
                device.id,
                f"{unit.name} in front of {device.id} cannot do pages of 1 GiB, which the CPU uses",
                f"{where}/cap = {unit.cap:x}: bit {CAP_FL1GP} (FL1GP) is 0",
                *pages,
            )
        if unit.ecap is None:
            continue
        lacking = missing(unit.ecap, NEEDED)
        wanted = missing(unit.ecap, WANTED)
        insisted = missing(unit.ecap, insisted_on(parse_release(facts.kernel.release)))
        if lacking:
            explained = True
            yield found(
                "IAA-I006",
                device.id,
                f"{unit.name} in front of {device.id} lacks {', '.join(lacking + wanted)}",
                f"{where}/ecap = {unit.ecap:x}",
            )
        elif insisted or (wanted and severity is Severity.ERROR):
            explained = True
            yield found(
                "IAA-I006",
                device.id,
                f"{unit.name} in front of {device.id} lacks {', '.join(insisted or wanted)}, which "
                "this kernel most likely insists on",
                f"{where}/ecap = {unit.ecap:x}",
                f"{TO_BE_SURE}: ENODEV",
                severity=severity,
            )
        else:
            yield _fit(device, unit, where)
    yield from _switches(facts, inventory)
    if refusals(facts).get(errno.ENODEV) and not explained:
        probe = refusals(facts)[errno.ENODEV][0]
        yield found(
            "IAA-I009",
            "host",
            "the kernel cannot bind a process's memory for a device (ENODEV), and nothing that "
            "could be read says why",
            f"open({probe.path}): ENODEV",
            *_log(facts, "SVM disabled", "Unable to turn on")[:2],
        )


def _switches(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """What a refusal with EINVAL means, by the switches in the devices' configuration space."""
    states = {state.address: state for state in facts.pci}
    for probe in refusals(facts).get(errno.EINVAL, []):
        device = inventory.find(probe.wq.partition("/")[0])
        if device is None:
            continue
        state = states.get(device.pci, PciState(address=device.pci))
        switches = {"ATS": state.ats, "PASID": state.pasid}
        off = [name for name, on in switches.items() if on is False]
        refused = f"open({probe.path}): EINVAL"
        if off:
            yield found(
                "IAA-I011",
                device.id,
                f"{' and '.join(off)} not switched on for {device.id}",
                refused,
                *(f"{device.pci}/config: {name} is off" for name in off),
            )
        elif None in switches.values():
            yield found(
                "IAA-I011",
                device.id,
                f"ATS or PASID is most likely not switched on for {device.id}",
                refused,
                "to be sure: run `iaactl doctor` as root, which can read both",
            )
        else:
            yield found(
                "IAA-I009",
                device.id,
                f"the kernel cannot bind a process's memory for {device.id} (EINVAL), and nothing "
                "that could be read says why",
                refused,
                f"{device.pci}/config: ATS and PASID are on",
            )


def _fit(device: Device, unit: IommuUnit, where: str) -> Finding:
    return found(
        "IAA-I010",
        device.id,
        f"{unit.name} in front of {device.id} has what SVA needs",
        f"{where}/ecap = {unit.ecap:x}",
    )
