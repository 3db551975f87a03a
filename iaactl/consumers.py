"""The work-queue inventory that a consumer gets: what QEMU and Intel QPL would use, for one user.

QPL takes shared user work queues only, opens `/dev/iax/wqN.M` for reading and writing, and by
default uses the devices of the socket it runs on. Source: QPL's hardware dispatcher, as observed.
"""

from __future__ import annotations

from collections.abc import Iterable

from iaactl.model.device import Device, Frozen, Inventory, Node, WorkQueue
from iaactl.model.facts import User


class ConsumerQueue(Frozen):
    """One enabled shared user work queue, as its consumer sees it."""

    wq: str
    device: str
    pci: str
    socket: int | None
    numa_node: int
    path: str | None
    name: str
    size: int
    threshold: int
    engines: int
    block_on_fault: bool
    max_transfer_size: int | None
    usable: bool
    access: str


def may_open(node: Node, user: User) -> bool:
    """Whether permission bits let the user open the node for reading and writing."""
    if user.bypass:
        return True
    if user.uid == node.uid:
        bits = node.mode >> 6
    elif node.gid in user.gids:
        bits = node.mode >> 3
    else:
        bits = node.mode
    return bits & 0o6 == 0o6


def _access(wq: WorkQueue, user: User) -> tuple[bool, str]:
    if wq.node is None:
        return False, "no device node"
    node = wq.node
    who = f"{node.owner or node.uid}:{node.group or node.gid} {node.mode:04o}"
    if may_open(node, user):
        return True, f"{user.name}: yes"
    return False, f"{user.name}: no, it is {who}"


def consumer_queues(
    devices: Iterable[Device], user: User, *, socket: int | None = None
) -> list[ConsumerQueue]:
    """Enabled shared user work queues by socket and name; only those of `socket` if given."""
    found = []
    for device in devices:
        if socket is not None and device.socket != socket:
            continue
        for wq in device.work_queues:
            if not (wq.enabled and wq.driver == "user" and wq.mode == "shared"):
                continue
            usable, access = _access(wq, user)
            found.append(
                ConsumerQueue(
                    wq=wq.path,
                    device=device.id,
                    pci=device.pci,
                    socket=device.socket,
                    numa_node=device.numa_node,
                    path=None if wq.node is None else wq.node.path,
                    name=wq.name or "",
                    size=wq.size or 0,
                    threshold=wq.threshold or 0,
                    engines=sum(1 for e in device.engines if e.group_id == wq.group_id),
                    block_on_fault=bool(wq.block_on_fault),
                    max_transfer_size=wq.max_transfer_size,
                    usable=usable,
                    access=access,
                )
            )
    return sorted(found, key=lambda q: -1 if q.socket is None else q.socket)


def why_none(inventory: Inventory) -> str:
    """One sentence for a consumer that finds no queue."""
    if not inventory.functions and not inventory.devices:
        return "this machine has no IAA device"
    if not inventory.devices:
        return "no IAA function is bound to the idxd driver"
    if not any(device.enabled for device in inventory.devices):
        return "no IAA device is enabled"
    return "no shared work queue of type user is enabled; QEMU and QPL use only those"
