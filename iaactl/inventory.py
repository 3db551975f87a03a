"""PCI, sysfs and /dev evidence becomes the Inventory."""

from __future__ import annotations

import re
from typing import Any

from iaactl.errors import DeviceNotFound
from iaactl.model.attributes import BY_NAME, Kind, Owner
from iaactl.model.device import (
    Device,
    Engine,
    Group,
    Host,
    Inventory,
    Node,
    PciFunction,
    WorkQueue,
)
from iaactl.model.evidence import BusObject, TreeEvidence, Unreadable
from iaactl.model.names import natural, parse_member

_PCI_IN_PATH = re.compile(r"/([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])/")


_MOST_DIGITS = 64  # of a number that an attribute could hold; Python refuses some longer ones


def _integer(text: str, base: int) -> int | None:
    try:
        return int(text, base) if len(text) <= _MOST_DIGITS else None
    except ValueError:
        return None


def _values(owner: Owner, thing: BusObject) -> dict[str, Any]:
    """Attributes of one object by name, converted as the attribute table says."""
    values: dict[str, Any] = {}
    for name, raw in thing.attributes.items():
        spec = BY_NAME.get((owner, name))
        if spec is None or isinstance(raw, Unreadable):
            continue
        if spec.kind in (Kind.INTEGER, Kind.SWITCH):
            values[name] = _integer(raw, 10)
        elif spec.kind is Kind.HEX:
            values[name] = _integer(raw, 16)
        elif spec.kind is Kind.NAMES:
            values[name] = tuple(raw.split())
        else:
            values[name] = raw
    return values


def _wq(device: str, thing: BusObject) -> WorkQueue:
    values = _values(Owner.WQ, thing)
    values.setdefault("state", "unknown")
    node = thing.node
    return WorkQueue(
        id=thing.name,
        device=device,
        index=parse_member(thing.name).index,
        driver=thing.driver,
        client_pids=thing.client_pids,
        node=None
        if node is None
        else Node(
            path=node.path,
            uid=node.uid,
            gid=node.gid,
            mode=node.mode,
            owner=node.owner,
            group=node.group,
        ),
        **values,
    )


def _device(thing: BusObject, members: list[BusObject], sockets: dict[int, int]) -> Device:
    values = _values(Owner.DEVICE, thing)
    values.setdefault("state", "unknown")
    node = values.pop("numa_node", None)
    numa_node = -1 if node is None else node
    for limit in ("max_groups", "max_work_queues", "max_engines", "max_work_queues_size"):
        if values.get(limit) is None:
            values.pop(limit, None)
    match = _PCI_IN_PATH.search(f"{thing.path}/")
    of_kind = {
        kind: sorted((m for m in members if m.name.startswith(kind)), key=lambda m: natural(m.name))
        for kind in ("group", "engine", "wq")
    }
    return Device(
        id=thing.name,
        pci=match[1] if match else "",
        numa_node=numa_node,
        socket=sockets.get(numa_node),
        driver=thing.driver,
        groups=tuple(
            Group(
                id=m.name,
                device=thing.name,
                index=parse_member(m.name).index,
                **_values(Owner.GROUP, m),
            )
            for m in of_kind["group"]
        ),
        engines=tuple(
            Engine(
                id=m.name,
                device=thing.name,
                index=parse_member(m.name).index,
                **_values(Owner.ENGINE, m),
            )
            for m in of_kind["engine"]
        ),
        work_queues=tuple(_wq(thing.name, m) for m in of_kind["wq"]),
        **values,
    )


def build(evidence: TreeEvidence) -> Inventory:
    """The Inventory that this evidence shows; objects of DSA devices are left out."""
    members: dict[str, list[BusObject]] = {}
    for thing in evidence.objects:
        if thing.parent is not None:
            members.setdefault(thing.parent, []).append(thing)
    devices = [
        _device(thing, members.get(thing.name, []), evidence.sockets)
        for thing in evidence.objects
        if thing.name.startswith("iax")
    ]
    devices.sort(key=lambda d: natural(d.id))
    by_address = {device.pci: device.id for device in devices}
    functions = [
        PciFunction(
            address=function.address,
            vendor=function.vendor,
            device=function.device,
            numa_node=function.numa_node,
            socket=evidence.sockets.get(function.numa_node),
            driver=function.driver,
            driver_override=function.driver_override,
            iommu_group=function.iommu_group,
            idxd_device=by_address.get(function.address),
        )
        for function in sorted(evidence.functions, key=lambda f: f.address)
    ]
    return Inventory(
        host=Host(
            kernel_release=evidence.kernel_release,
            cpu_flags=evidence.cpu_flags,
            modules=evidence.modules,
            drivers=evidence.drivers,
        ),
        functions=tuple(functions),
        devices=tuple(devices),
    )


def named(inventory: Inventory, name: str) -> Device | WorkQueue | Engine | Group:
    """The object of that name (`iax1`, `wq1.0`, `iax1/wq1.0`, `engine1.3`, a PCI address).

    Raises DeviceNotFound with the names that exist.
    """
    short = name.rpartition("/")[2]
    for device in inventory.devices:
        if name in (device.id, device.pci, device.pci.removeprefix("0000:")):
            return device
        members: tuple[WorkQueue | Engine | Group, ...] = (
            *device.work_queues,
            *device.engines,
            *device.groups,
        )
        for thing in members:
            if thing.id == short and name in (short, f"{device.id}/{short}"):
                return thing
    known = ", ".join(device.id for device in inventory.devices)
    hint = f"IAA devices here: {known}" if known else "`iaactl list` shows what there is"
    raise DeviceNotFound(f"there is no {name} on this machine", hint=hint, name=name)
