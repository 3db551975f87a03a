"""Version, configuration, modules and security of the kernel."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from iaactl.doctor.symptoms import TO_BE_SURE, Sva, refusals, sva, weight
from iaactl.iaa.capability import GenCap
from iaactl.model.codes import found
from iaactl.model.command_line import words
from iaactl.model.device import Inventory
from iaactl.model.facts import Facts
from iaactl.model.finding import Finding, Severity
from iaactl.model.kernel_release import (
    SvaState,
    disable_may_crash,
    lacks_sa_01084_fix,
    parse_release,
    sva_state,
)

_FOR_USERS = (
    "INTEL_IOMMU", "INTEL_IOMMU_SVM", "PCI_ATS", "PCI_PRI", "PCI_PASID", "INTEL_IDXD_SVM",
)  # fmt: skip
_OFF = ("0", "n", "N", "off", "false")


def check(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """All of the kernel's findings."""
    yield from _configuration(facts, inventory)
    yield from _module(facts, inventory)
    yield from _parameter(facts, inventory)
    yield from _disabled(facts, inventory)
    yield from _versions(facts, inventory)


def _configuration(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    config, path = facts.kernel.config, facts.kernel.config_path
    if config is None:
        return
    loaded = "idxd" in (facts.kernel.modules or {})
    lacking = [] if loaded or config.get("INTEL_IDXD") != "n" else ["INTEL_IDXD"]
    state = sva(inventory, facts)
    if state is not Sva.WORKS:
        lacking += [option for option in _FOR_USERS if config.get(option) == "n"]
    if not lacking:
        return
    what = "the idxd driver" if "INTEL_IDXD" in lacking else "user work queues"
    yield found(
        "IAA-K001",
        "kernel",
        f"this kernel is built without {', '.join(f'CONFIG_{o}' for o in lacking)}, which {what} "
        f"{'needs' if what.endswith('driver') else 'need'}",
        *(f"{path}: CONFIG_{option} is not set" for option in lacking),
    )


def _module(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    kernel = facts.kernel
    unbound = [f for f in inventory.functions if f.driver != "idxd"]
    if kernel.modules is None or "idxd" in kernel.modules or not unbound:
        return
    yield found(
        "IAA-K007",
        "kernel",
        f"the idxd driver is not loaded, so none of the {len(inventory.functions)} IAA functions "
        "has a device",
        "/sys/module/idxd: missing",
    )
    blockers = [str(line) for line in kernel.blacklisted if line.text.split()[1] == "idxd"]
    for argument in words(kernel.command_line or ""):
        key, _, value = argument.partition("=")
        if key in ("module_blacklist", "modprobe.blacklist") and "idxd" in value.split(","):
            blockers.append(f"/proc/cmdline: {argument}")
    if blockers:
        yield found("IAA-K009", "kernel", "idxd is kept from being loaded", *blockers)
    if kernel.module_file == "" and not kernel.builtin:
        yield found(
            "IAA-K010",
            "kernel",
            f"the idxd module is not installed for kernel {kernel.release}",
            f"/lib/modules/{kernel.release}/modules.dep: no idxd.ko",
        )


def _parameter(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    kernel = facts.kernel
    evidence = []
    module = (kernel.modules or {}).get("idxd")
    now = module.parameters.get("sva", "").strip() if module else ""
    if now in _OFF:
        evidence.append(f"/sys/module/idxd/parameters/sva = {now}")
    evidence += [
        f"/proc/cmdline: {argument}"
        for argument in words(kernel.command_line or "")
        if argument.partition("=")[0] == "idxd.sva" and argument.partition("=")[2] in _OFF
    ]
    evidence += [
        str(line)
        for line in kernel.module_options
        if line.text.split()[1] == "idxd"
        and any(f"sva={word}" in line.text.split() for word in _OFF)
    ]
    if kernel.log:
        evidence += [line for line in kernel.log.lines if "forced SVA off" in line][:1]
    if not evidence or now in ("Y", "1"):
        return
    yield found(
        "IAA-K002",
        "kernel",
        "SVA is switched off by the parameter `sva` of the idxd module",
        *evidence,
        severity=Severity.ERROR if now in _OFF else weight(sva(inventory, facts)),
    )


def _disabled(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """The three states of SVA on x86: what opening a queue shows, then what the release says."""
    release = facts.kernel.release
    likely = sva_state(release)
    refused = refusals(facts).get(errno.EOPNOTSUPP, [])
    logged = [
        line
        for line in (facts.kernel.log.lines if facts.kernel.log else ())
        if "pasid allocation failed: -95" in line
    ]
    state = sva(inventory, facts)
    told = f"kernel {release}" if release else "kernel release unknown"
    if refused or (logged and state is not Sva.WORKS):
        evidence = [f"open({probe.path}): EOPNOTSUPP" for probe in refused[:1]] + logged[:1]
        known = {
            SvaState.DISABLED: "a release with the patch that disables SVA on x86",
            SvaState.FIXED: "a release that should have the fix",
        }.get(likely, "its release alone would not tell")
        yield found(
            "IAA-K003",
            "kernel",
            "this kernel has SVA disabled: work queues can be enabled, but not opened",
            *evidence,
            f"{told}: {known}",
        )
        return
    if state is Sva.WORKS:
        if likely in (SvaState.UNSAFE, SvaState.UNCERTAIN, SvaState.DISABLED):
            yield found(
                "IAA-S002",
                "kernel",
                f"SVA works, and {told} is probably from before the fix for CVE-2025-71202",
                told,
            )
        return
    if state is Sva.UNKNOWN and likely is SvaState.DISABLED and inventory.devices:
        yield found(
            "IAA-K003",
            "kernel",
            f"{told} most likely has SVA disabled: work queues can be enabled, but not opened",
            f"{told}: a release with the patch that disables SVA on x86",
            f"{TO_BE_SURE}: EOPNOTSUPP",
            severity=Severity.WARNING,
        )


def _versions(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    kernel = facts.kernel
    release = parse_release(kernel.release)
    newest = max((device.version or 0 for device in inventory.devices), default=0)
    needed = (6, 3, 0) if newest >= 0x200 else (5, 18, 0)
    if release is not None and release < needed:
        yield found(
            "IAA-K006",
            "kernel",
            f"kernel {kernel.release} is too old: IAA{' 2.0' if newest >= 0x200 else ''} in user "
            f"space needs {needed[0]}.{needed[1]}",
            f"/proc/sys/kernel/osrelease: {kernel.release}",
        )
    without_log = [
        device
        for device in inventory.devices
        if device.gen_cap is not None and not GenCap.parse(device.gen_cap).event_log
    ]
    if without_log and disable_may_crash(kernel.release):
        yield found(
            "IAA-K008",
            "kernel",
            f"kernel {kernel.release} may crash when {without_log[0].id} or its like is disabled",
            f"/proc/sys/kernel/osrelease: {kernel.release}",
            f"{without_log[0].id}/gen_cap = {without_log[0].gen_cap:#x}: no event log",
        )
    if kernel.log and any("No in-kernel DMA with PASID" in line for line in kernel.log.lines):
        yield found(
            "IAA-K005",
            "kernel",
            "the kernel's own work queues have no PASID; user work queues do not need that",
            next(line for line in kernel.log.lines if "No in-kernel DMA with PASID" in line),
        )
    if facts.security.vfio_denylist_disabled:
        yield found(
            "IAA-S003",
            "kernel",
            "vfio-pci's denylist, which keeps IAA 1.0 from virtual machines, is switched off",
            "/sys/module/vfio_pci/parameters/disable_denylist = Y",
        )
    granted = [
        wq
        for device in inventory.devices
        if device.version is not None and device.version < 0x200
        for wq in device.work_queues
        if wq.node is not None and wq.node.mode & 0o066 and (wq.node.uid or wq.node.gid)
    ]
    if granted:
        node = granted[0].node
        assert node is not None
        who = f"{node.owner or node.uid}:{node.group or node.gid} {node.mode:04o}"
        yield found(
            "IAA-S001",
            granted[0].path,
            f"{granted[0].path} is open to others than root; on IAA 1.0 whoever can submit can "
            "disturb the others (INTEL-SA-01084)",
            f"{node.path}: {who}",
        )
        if lacks_sa_01084_fix(kernel.release):
            yield found(
                "IAA-S005",
                "kernel",
                f"kernel {kernel.release} is from before the fix for INTEL-SA-01084, unless the "
                "distribution took it in",
                f"/proc/sys/kernel/osrelease: {kernel.release}",
            )
