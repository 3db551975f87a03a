"""Whether this kernel and these devices can run what a target asks: findings, before any write."""

from __future__ import annotations

from collections.abc import Iterator

from iaactl.iaa.capability import GenCap
from iaactl.model.device import Device, Host
from iaactl.model.finding import Finding, Severity, finding
from iaactl.planner.state import Key, differences, state_of
from iaactl.planner.target import Target


def _device(target: Target) -> Iterator[Finding]:
    device = target.device
    if device.state not in ("enabled", "disabled"):
        yield finding(
            "IAA-P010",
            Severity.ERROR,
            device.id,
            f"{device.id} is {device.state}; it takes no configuration until it is reset",
            evidence=(f"{device.id}/state = {device.state}",),
        )
    if device.configurable == 0 and differences(state_of(device), target.state):
        yield finding(
            "IAA-P003",
            Severity.ERROR,
            device.id,
            f"{device.id} is not configurable: its configuration belongs to the host of this "
            "virtual machine",
            evidence=(f"{device.id}/configurable = 0",),
            remedy="configure the work queue on the host, or use it as `iaactl list` shows it",
        )


def _capabilities(target: Target) -> Iterator[Finding]:
    device = target.device
    have = state_of(device)
    for key in target.state:
        if key not in have and key.attribute != "enqcmds_retries":
            yield finding(
                "IAA-P009",
                Severity.ERROR,
                f"{device.id}/{key.object}",
                f"{device.id} has no attribute {key}: this device or kernel lacks it",
                remedy=f"remove `{key.attribute}` from the profile",
            )
    can_block = device.gen_cap is None or GenCap.parse(device.gen_cap).block_on_fault
    for name, wq in target.wqs.items():
        if wq.block_on_fault and not can_block:
            yield finding(
                "IAA-P009",
                Severity.ERROR,
                f"{device.id}/{name}",
                f"{device.id} cannot block on page faults",
                evidence=(f"{device.id}/gen_cap = {device.gen_cap:#x}",),
                remedy="write `block_on_fault: false`",
            )
        limit = device.max_transfer_size
        if wq.max_transfer_size and limit and wq.max_transfer_size > limit:
            yield finding(
                "IAA-P009",
                Severity.ERROR,
                f"{device.id}/{name}",
                f"max_transfer_size {wq.max_transfer_size} of {name} is more than the "
                f"{limit} bytes of {device.id}",
            )
        for attribute in ("traffic_class_a", "traffic_class_b"):
            key = Key(f"group{device.id[3:]}.{target.state[Key(name, 'group_id')]}", attribute)
            if key in target.state and (device.version or 0) <= 0x200:
                yield finding(
                    "IAA-P009",
                    Severity.ERROR,
                    f"{device.id}/{key.object}",
                    f"traffic classes of {device.id} cannot be set (IAA 3.0 only)",
                    remedy=f"remove `{attribute}`",
                )


def _platform(target: Target, host: Host) -> Iterator[Finding]:
    device = target.device
    on = {name: wq for name, wq in target.wqs.items() if wq.state == "enabled"}
    users = [name for name, wq in on.items() if wq.type == "user"]
    if users and device.pasid_enabled == 0:
        yield finding(
            "IAA-P006",
            Severity.ERROR,
            device.id,
            f"{device.id} has no user PASID (SVA is off), so no work queue of type user can be "
            "enabled",
            evidence=(f"{device.id}/pasid_enabled = 0",),
            remedy="enable VT-d in the BIOS and boot with `intel_iommu=on,sm_on`; "
            "check that the module parameter idxd.sva is not 0",
        )
    shared = [name for name, wq in on.items() if wq.mode == "shared"]
    if shared and host.cpu_flags is not None and "enqcmd" not in host.cpu_flags:
        yield finding(
            "IAA-P007",
            Severity.ERROR,
            device.id,
            f"this CPU has no ENQCMD, so no shared work queue can be enabled on {device.id}",
            evidence=("/proc/cpuinfo: no flag enqcmd",),
            remedy="use `mode: dedicated` where one process is enough, or enable ENQCMD in the "
            "BIOS; Intel QPL and QEMU need shared work queues",
        )
    for name, wq in on.items():
        if host.drivers and wq.driver not in host.drivers:
            crypto = wq.driver == "crypto"
            yield finding(
                "IAA-P008",
                Severity.ERROR,
                f"{device.id}/{name}",
                f"no driver `{wq.driver}` is registered for {name}",
                evidence=(f"/sys/bus/dsa/drivers: {' '.join(host.drivers)}",),
                remedy="modprobe iaa_crypto" if crypto else "check `driver_name`",
            )


def _notices(target: Target) -> Iterator[Finding]:
    device = target.device
    idle = [
        key.object
        for key, value in target.state.items()
        if key.object.startswith("engine") and value == "-1"
    ]
    if idle:
        yield finding(
            "IAA-P011",
            Severity.NOTICE,
            device.id,
            f"{len(idle)} of {len(device.engines)} engines of {device.id} serve no group",
            evidence=tuple(idle),
        )
    for access in target.access:
        if device.version == 0x100 and (access.owner, access.group) != ("root", "root"):
            yield finding(
                "IAA-P020",
                Severity.WARNING,
                f"{device.id}/{access.wq}",
                f"{access.wq} will be open to {access.owner}:{access.group}; on IAA 1.0 an "
                "untrusted user of a queue can disturb the others (INTEL-SA-01084)",
                remedy="grant it to trusted processes only",
            )


def fit(target: Target, host: Host) -> list[Finding]:
    """All findings about one target; any of severity error means that it cannot work."""
    return [
        *_device(target),
        *_capabilities(target),
        *_platform(target, host),
        *_notices(target),
    ]


def reset_problems(device: Device) -> list[Finding]:
    """Why a device cannot be reset, if so."""
    if device.configurable == 0:
        return [
            finding(
                "IAA-P003",
                Severity.ERROR,
                device.id,
                f"{device.id} is not configurable: its configuration belongs to the host of this "
                "virtual machine",
                evidence=(f"{device.id}/configurable = 0",),
            )
        ]
    return []
