"""Whether this kernel and these devices can run what a target asks: findings, before any write."""

from __future__ import annotations

from collections.abc import Iterator

from iaactl.iaa.capability import GenCap
from iaactl.model.codes import found
from iaactl.model.device import Device, Host
from iaactl.model.finding import Finding
from iaactl.planner.state import Key, differences, state_of
from iaactl.planner.target import Target


def _device(target: Target) -> Iterator[Finding]:
    device = target.device
    if device.state not in ("enabled", "disabled"):
        yield found(
            "IAA-P010",
            device.id,
            f"{device.id} is {device.state}; it takes no configuration until it is reset",
            f"{device.id}/state = {device.state}",
        )
    if device.configurable == 0 and differences(state_of(device), target.state):
        yield found(
            "IAA-P003",
            device.id,
            f"{device.id} is not configurable: its configuration belongs to the host of this "
            "virtual machine",
            f"{device.id}/configurable = 0",
        )


def _capabilities(target: Target) -> Iterator[Finding]:
    device = target.device
    have = state_of(device)
    for key in target.state:
        if key not in have and key.attribute != "enqcmds_retries":
            yield found(
                "IAA-P009",
                f"{device.id}/{key.object}",
                f"{device.id} has no attribute {key}: this device or kernel lacks it",
                remedy=f"remove `{key.attribute}` from the profile",
            )
    can_block = device.gen_cap is None or GenCap.parse(device.gen_cap).block_on_fault
    for name, wq in target.wqs.items():
        if wq.block_on_fault and not can_block:
            yield found(
                "IAA-P009",
                f"{device.id}/{name}",
                f"{device.id} cannot block on page faults",
                f"{device.id}/gen_cap = {device.gen_cap:#x}",
                remedy="write `block_on_fault: false`",
            )
        limit = device.max_transfer_size
        if wq.max_transfer_size and limit and wq.max_transfer_size > limit:
            yield found(
                "IAA-P009",
                f"{device.id}/{name}",
                f"max_transfer_size {wq.max_transfer_size} of {name} is more than the "
                f"{limit} bytes of {device.id}",
            )
        for attribute in ("traffic_class_a", "traffic_class_b"):
            key = Key(f"group{device.id[3:]}.{target.state[Key(name, 'group_id')]}", attribute)
            if key in target.state and (device.version or 0) <= 0x200:
                yield found(
                    "IAA-P009",
                    f"{device.id}/{key.object}",
                    f"traffic classes of {device.id} cannot be set (IAA 3.0 only)",
                    remedy=f"remove `{attribute}`",
                )


def _platform(target: Target, host: Host) -> Iterator[Finding]:
    device = target.device
    on = {name: wq for name, wq in target.wqs.items() if wq.state == "enabled"}
    users = [name for name, wq in on.items() if wq.type == "user"]
    if users and device.pasid_enabled == 0:
        yield found(
            "IAA-P006",
            device.id,
            f"{device.id} has no user PASID (SVA is off), so no work queue of type user can be "
            "enabled",
            f"{device.id}/pasid_enabled = 0",
        )
    shared = [name for name, wq in on.items() if wq.mode == "shared"]
    if shared and host.cpu_flags is not None and "enqcmd" not in host.cpu_flags:
        yield found(
            "IAA-P007",
            device.id,
            f"this CPU has no ENQCMD, so no shared work queue can be enabled on {device.id}",
            "/proc/cpuinfo: no flag enqcmd",
        )
    for name, wq in on.items():
        if host.drivers and wq.driver not in host.drivers:
            crypto = wq.driver == "crypto"
            yield found(
                "IAA-P008",
                f"{device.id}/{name}",
                f"no driver `{wq.driver}` is registered for {name}",
                f"/sys/bus/dsa/drivers: {' '.join(host.drivers)}",
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
        yield found(
            "IAA-P011",
            device.id,
            f"{len(idle)} of {len(device.engines)} engines of {device.id} serve no group",
            *idle,
        )
    for access in target.access:
        if device.version == 0x100 and (access.owner, access.group) != ("root", "root"):
            yield found(
                "IAA-P020",
                f"{device.id}/{access.wq}",
                f"{access.wq} will be open to {access.owner}:{access.group}; on IAA 1.0 an "
                "untrusted user of a queue can disturb the others (INTEL-SA-01084)",
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
            found(
                "IAA-P003",
                device.id,
                f"{device.id} is not configurable: its configuration belongs to the host of this "
                "virtual machine",
                f"{device.id}/configurable = 0",
            )
        ]
    return []
