"""Devices and work queues by themselves: what sysfs shows that will surprise somebody."""

from __future__ import annotations

from collections.abc import Iterator

from iaactl.model.cmd_status import explain
from iaactl.model.device import Device, Inventory, PciFunction, WorkQueue
from iaactl.model.finding import Finding, Severity, finding


def _function(function: PciFunction, inventory: Inventory) -> Iterator[Finding]:
    if function.driver is None:
        loaded = "idxd" in inventory.host.modules
        yield finding(
            "IAA-D001",
            Severity.WARNING,
            function.address,
            f"IAA function {function.address} has no driver",
            (f"{function.address}/driver: none",),
            f"echo {function.address} > /sys/bus/pci/drivers/idxd/bind"
            if loaded
            else "modprobe idxd",
        )
    elif function.driver != "idxd":
        yield finding(
            "IAA-D002",
            Severity.NOTICE,
            function.address,
            f"IAA function {function.address} belongs to driver {function.driver}, not idxd",
            (f"{function.address}/driver: {function.driver}",),
        )


def _device(device: Device) -> Iterator[Finding]:
    if device.state == "halted":
        yield finding(
            "IAA-D003",
            Severity.ERROR,
            device.id,
            f"{device.id} has halted and takes no work until it is reset",
            (f"{device.id}/state = halted",),
            "the kernel log says why; newer kernels reset a halted device by themselves",
        )
    if device.pasid_enabled == 0:
        yield finding(
            "IAA-D004",
            Severity.WARNING,
            device.id,
            f"{device.id} has no user PASID (SVA is off): no user work queue can be enabled",
            (f"{device.id}/pasid_enabled = 0",),
            "enable VT-d in the BIOS and boot with `intel_iommu=on,sm_on`",
        )
    if device.configurable == 0:
        yield finding(
            "IAA-D005",
            Severity.NOTICE,
            device.id,
            f"{device.id} is not configurable: its configuration belongs to the host of this "
            "virtual machine",
            (f"{device.id}/configurable = 0",),
        )
    benign = {0, 0x80200000, 0x800D0000} if not device.enabled else {0, 0x80200000}
    if device.cmd_status is not None and device.cmd_status not in benign:
        yield finding(
            "IAA-D006",
            Severity.NOTICE,
            device.id,
            f"the last command on {device.id} failed: {explain(device.cmd_status)}",
            (f"{device.id}/cmd_status = {device.cmd_status:#x}",),
        )
    on = {wq.group_id for wq in device.work_queues if wq.enabled}
    for group in device.groups:
        engines = [e for e in device.engines if e.group_id == group.index]
        if group.index in on and len(engines) < len(device.engines):
            idle = sum(1 for e in device.engines if e.group_id == -1)
            if idle:
                yield finding(
                    "IAA-D007",
                    Severity.WARNING,
                    f"{device.id}/{group.id}",
                    f"only {len(engines)} of {len(device.engines)} engines of {device.id} serve "
                    f"{group.id}, and {idle} serve nothing",
                    tuple(f"{e.id}/group_id = {e.group_id}" for e in device.engines),
                    "put all engines into the group that has the work queues",
                )


def _wq(device: Device, wq: WorkQueue) -> Iterator[Finding]:
    if wq.clients is not None and wq.clients < 0:
        yield finding(
            "IAA-W001",
            Severity.NOTICE,
            wq.path,
            f"{wq.path} counts {wq.clients} clients: it was disabled under clients that closed "
            "it later",
            (f"{wq.id}/clients = {wq.clients}",),
        )
    if wq.enabled and wq.driver is None:
        yield finding(
            "IAA-W002",
            Severity.WARNING,
            wq.path,
            f"{wq.path} is enabled but no driver has it; only disabling {device.id} helps",
            (f"{wq.id}/state = enabled", f"{wq.id}/driver: none"),
            f"iaactl reset {device.id}",
        )
    blocks = wq.mode == "shared" and wq.type == "none" and wq.group_id not in (None, -1)
    if device.enabled and not wq.enabled and blocks:
        yield finding(
            "IAA-W003",
            Severity.WARNING,
            wq.path,
            f"{wq.path} is disabled, shared, of no type and in a group: until that changes no "
            f"other work queue of {device.id} can be enabled",
            (f"{wq.id}: mode shared, type none, group_id {wq.group_id}",),
            "iaactl apply sets it right; by hand: give it a type, or group_id -1",
        )
    if wq.driver == "user" and wq.mode == "dedicated":
        yield finding(
            "IAA-W004",
            Severity.NOTICE,
            wq.path,
            f"{wq.path} is dedicated: QEMU and Intel QPL use shared work queues only",
            (f"{wq.id}/mode = dedicated",),
        )


def check(inventory: Inventory) -> list[Finding]:
    """All findings about devices, work queues and PCI functions, in the inventory's order."""
    found: list[Finding] = []
    for function in inventory.functions:
        found += _function(function, inventory)
    for device in inventory.devices:
        found += _device(device)
        for wq in device.work_queues:
            found += _wq(device, wq)
    return found
