"""Devices and work queues by themselves: what sysfs shows that will surprise somebody."""

from __future__ import annotations

from collections.abc import Iterator

from iaactl.iaa.capability import parse_op_cap
from iaactl.iaa.opcode import Opcode
from iaactl.model.cmd_status import explain
from iaactl.model.codes import found
from iaactl.model.device import Device, Inventory, PciFunction, WorkQueue
from iaactl.model.finding import Finding, Severity


def _function(function: PciFunction, inventory: Inventory) -> Iterator[Finding]:
    held = function.driver_override or (function.driver or "").startswith("vfio")
    if held and function.driver != "idxd":
        override = function.driver_override
        yield found(
            "IAA-O003",
            function.address,
            f"IAA function {function.address} is held for {override or function.driver}, so that "
            "it has no iaxN",
            f"{function.address}/driver: {function.driver or 'none'}",
            *((f"{function.address}/driver_override = {override}",) if override else ()),
        )
    elif function.driver is None:
        loaded = "idxd" in inventory.host.modules
        yield found(
            "IAA-D001",
            function.address,
            f"IAA function {function.address} has no driver",
            f"{function.address}/driver: none",
            remedy=f"echo {function.address} > /sys/bus/pci/drivers/idxd/bind" if loaded else None,
        )
    elif function.driver != "idxd":
        yield found(
            "IAA-D002",
            function.address,
            f"IAA function {function.address} belongs to driver {function.driver}, not idxd",
            f"{function.address}/driver: {function.driver}",
        )


def _device(device: Device) -> Iterator[Finding]:
    if device.state == "halted":
        yield found(
            "IAA-D003",
            device.id,
            f"{device.id} has halted and takes no work until it is reset",
            f"{device.id}/state = halted",
        )
    if device.pasid_enabled == 0:
        yield found(
            "IAA-D004",
            device.id,
            f"{device.id} has no user PASID (SVA is off): no user work queue can be enabled",
            f"{device.id}/pasid_enabled = 0",
        )
    if device.configurable == 0:
        yield found(
            "IAA-D005",
            device.id,
            f"{device.id} is not configurable: its configuration belongs to the host of this "
            "virtual machine",
            f"{device.id}/configurable = 0",
        )
    benign = {0, 0x80200000, 0x800D0000} if not device.enabled else {0, 0x80200000}
    if device.cmd_status is not None and device.cmd_status not in benign:
        yield found(
            "IAA-D006",
            device.id,
            f"the last command on {device.id} failed: {explain(device.cmd_status)}",
            f"{device.id}/cmd_status = {device.cmd_status:#x}",
        )
    yield from _engines(device)
    yield from _half_configured(device)


def _engines(device: Device) -> Iterator[Finding]:
    on = {wq.group_id for wq in device.work_queues if wq.enabled}
    for group in device.groups:
        engines = [e for e in device.engines if e.group_id == group.index]
        if group.index in on and len(engines) < len(device.engines):
            idle = sum(1 for e in device.engines if e.group_id == -1)
            users = any(
                wq.driver == "user" for wq in device.work_queues if wq.group_id == group.index
            )
            if idle:
                yield found(
                    "IAA-D007",
                    f"{device.id}/{group.id}",
                    f"only {len(engines)} of {len(device.engines)} engines of {device.id} serve "
                    f"{group.id}, and {idle} serve nothing",
                    *(f"{e.id}/group_id = {e.group_id}" for e in device.engines),
                    # The kernel's own defaults up to 6.16 leave a device so for iaa_crypto.
                    severity=Severity.WARNING if users else Severity.NOTICE,
                )


def _half_configured(device: Device) -> Iterator[Finding]:
    """A device that is off although somebody began to configure it, and what it would refuse."""
    if device.enabled or device.state != "disabled":
        return
    grouped = [wq for wq in device.work_queues if wq.group_id not in (None, -1)]
    engines = {e.group_id for e in device.engines} - {None, -1}
    queues = {wq.group_id for wq in grouped}
    total = sum(wq.size or 0 for wq in device.work_queues)
    if device.max_work_queues_size and total > device.max_work_queues_size:
        yield found(
            "IAA-D009",
            device.id,
            f"the work queues of {device.id} have {total} entries together; the device has "
            f"{device.max_work_queues_size}",
            *(f"{wq.id}/size = {wq.size}" for wq in device.work_queues if wq.size),
        )
    for group in sorted((queues | engines) - (queues & engines), key=str):
        only, none = ("work queues", "engines") if group in queues else ("engines", "work queues")
        yield found(
            "IAA-D008",
            f"{device.id}/group{device.id.removeprefix('iax')}.{group}",
            f"group {group} of {device.id} has {only} but no {none}",
            f"{device.id}: engines in groups {sorted(engines, key=str)}, "
            f"work queues in groups {sorted(queues, key=str)}",
        )
    begun = [wq for wq in device.work_queues if wq.size or wq.name or wq.type not in (None, "none")]
    if begun or grouped:
        yield found(
            "IAA-W007",
            device.id,
            f"{device.id} is configured but not enabled",
            *(
                f"{wq.id}: size {wq.size}, group_id {wq.group_id}, type {wq.type}"
                for wq in begun or grouped
            ),
        )


def _wq(device: Device, wq: WorkQueue) -> Iterator[Finding]:
    if wq.clients is not None and wq.clients < 0:
        yield found(
            "IAA-W001",
            wq.path,
            f"{wq.path} counts {wq.clients} clients: it was disabled under clients that closed "
            "it later",
            f"{wq.id}/clients = {wq.clients}",
        )
    if wq.enabled and wq.driver is None:
        yield found(
            "IAA-W002",
            wq.path,
            f"{wq.path} is enabled but no driver has it; only disabling {device.id} helps",
            f"{wq.id}/state = enabled",
            f"{wq.id}/driver: none",
            remedy=f"iaactl reset {device.id}",
        )
    blocks = wq.mode == "shared" and wq.type == "none" and wq.group_id not in (None, -1)
    waiting = any(
        other is not wq and not other.enabled and other.group_id not in (None, -1)
        for other in device.work_queues
    )
    refused = device.cmd_status == 0x800C0000
    if device.enabled and not wq.enabled and blocks and (waiting or refused):
        yield found(
            "IAA-W003",
            wq.path,
            f"{wq.path} is disabled, shared, of no type and in a group: until that changes no "
            f"other work queue of {device.id} can be enabled",
            f"{wq.id}: mode shared, type none, group_id {wq.group_id}",
        )
    if wq.driver == "user" and wq.mode == "dedicated":
        yield found(
            "IAA-W004",
            wq.path,
            f"{wq.path} is dedicated: QEMU and Intel QPL use shared work queues only",
            f"{wq.id}/mode = dedicated",
        )
    if wq.enabled and wq.driver == "user":
        yield from _user_wq(wq)
    elif not wq.enabled and wq.group_id not in (None, -1) and wq.type == "user":
        yield from _refused_at_enable(wq)


def _user_wq(wq: WorkQueue) -> Iterator[Finding]:
    if wq.block_on_fault == 0:
        yield found(
            "IAA-W005",
            wq.path,
            f"{wq.path} ends an operation at a page fault (block_on_fault is 0)",
            f"{wq.id}/block_on_fault = 0",
        )
    if wq.op_config:
        try:
            allowed = parse_op_cap(wq.op_config)
        except ValueError:
            return
        lacking = {Opcode.COMPRESS, Opcode.DECOMPRESS} - allowed
        if lacking:
            yield found(
                "IAA-W008",
                wq.path,
                f"{wq.path} does not allow {' and '.join(sorted(o.title for o in lacking))}",
                f"{wq.id}/op_config = {wq.op_config}",
            )


def _refused_at_enable(wq: WorkQueue) -> Iterator[Finding]:
    if wq.driver_name == "":
        yield found(
            "IAA-W006",
            wq.path,
            f"{wq.path} is configured without driver_name and cannot be enabled",
            f"{wq.id}/driver_name: empty",
        )
    if wq.priority == 0 or wq.size == 0:
        what = "priority" if wq.priority == 0 else "size"
        yield found(
            "IAA-W010",
            wq.path,
            f"{wq.path} has {what} 0 and cannot be enabled",
            f"{wq.id}/{what} = 0",
        )


def _alike(inventory: Inventory) -> Iterator[Finding]:
    """QPL believes that all queues are as the first one."""
    seen: dict[tuple[int | None, int | None], str] = {}
    for wq in inventory.work_queues():
        if wq.enabled and wq.driver == "user" and wq.mode == "shared":
            seen.setdefault((wq.block_on_fault, wq.max_transfer_size), wq.path)
    if len(seen) > 1:
        yield found(
            "IAA-W009",
            "host",
            "shared user work queues differ in block_on_fault or max_transfer_size; QPL takes the "
            "first device's for all",
            *(
                f"{path}: block_on_fault {block}, max_transfer_size {size}"
                for (block, size), path in seen.items()
            ),
        )


def check(inventory: Inventory) -> list[Finding]:
    """All findings about devices, work queues and PCI functions, in the inventory's order."""
    findings: list[Finding] = []
    for function in inventory.functions:
        findings += _function(function, inventory)
    for device in inventory.devices:
        findings += _device(device)
        for wq in device.work_queues:
            findings += _wq(device, wq)
    findings += _alike(inventory)
    return findings
