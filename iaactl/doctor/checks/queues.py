"""What QEMU and QPL find on each socket, and what opening the queues showed."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from iaactl.consumers import consumer_queues
from iaactl.model.codes import found
from iaactl.model.device import Device, Inventory
from iaactl.model.facts import Facts, Probe, User
from iaactl.model.finding import Finding, Severity
from iaactl.model.open_errors import explain_open

_ANYBODY = User(name="anybody", uid=0, gids=(0,), bypass=True)
"""Where nobody is named, permission bits are not looked at."""


def check(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """Owners, sockets, probes."""
    yield from _owners(facts, inventory)
    yield from _sockets(inventory)
    for probe in facts.probes or ():
        yield from _probed(probe)
    if inventory.devices and all(d.numa_node == -1 for d in inventory.devices):
        yield found(
            "IAA-Q003",
            "host",
            "the devices do not tell their NUMA node",
            *(f"{d.id}/numa_node = -1" for d in inventory.devices),
        )


def _owners(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    crypto = [wq for wq in inventory.work_queues() if wq.driver == "crypto"]
    if crypto:
        yield found(
            "IAA-O001",
            crypto[0].path,
            f"iaa_crypto owns {len(crypto)} work queue{'s' if len(crypto) > 1 else ''} "
            f"({', '.join(wq.path for wq in crypto[:4])}{', ...' if len(crypto) > 4 else ''})",
            *(f"{wq.id}/driver: crypto, size {wq.size}" for wq in crypto[:8]),
        )
        zswap = facts.zswap
        if zswap.enabled and zswap.swaps and "iaa" in (zswap.compressor or ""):
            yield found(
                "IAA-O002",
                "host",
                f"zswap is on and compresses through {zswap.compressor}",
                f"/sys/module/zswap/parameters/compressor = {zswap.compressor}",
                f"/proc/swaps: {', '.join(zswap.swaps)}",
            )
    for wq in inventory.work_queues():
        if wq.driver == "user" and wq.enabled and (wq.clients or 0) > 0:
            pids = ", ".join(map(str, wq.client_pids))
            yield found(
                "IAA-O004",
                wq.path,
                f"{wq.path} has {wq.clients} client{'s' if wq.clients != 1 else ''}"
                + (f" (pid {pids})" if pids else ""),
                f"{wq.id}/clients = {wq.clients}",
                severity=Severity.OK,
            )


def by_socket(inventory: Inventory) -> dict[int | None, list[Device]]:
    """Devices by socket, sockets in order, those of unknown socket under None.

    A socket whose IAA functions have no device is there, too.
    """
    sockets = {f.socket for f in inventory.functions} | {d.socket for d in inventory.devices}
    ordered = sorted(sockets, key=lambda s: -1 if s is None else s)
    return {s: [d for d in inventory.devices if d.socket == s] for s in ordered}


def socket_name(socket: int | None) -> str:
    """`socket 0`, or `this machine` where the socket is not known."""
    return "this machine" if socket is None else f"socket {socket}"


def _sockets(inventory: Inventory) -> Iterator[Finding]:
    for socket, devices in by_socket(inventory).items():
        name = socket_name(socket)
        enabled = [wq for d in devices for wq in d.work_queues if wq.enabled]
        shared = [wq for wq in enabled if wq.driver == "user" and wq.mode == "shared"]
        if shared:
            yield from _nodes(devices, socket)
            continue
        kernel = [wq for wq in enabled if wq.driver not in (None, "user")]
        dedicated = [wq for wq in enabled if wq.driver == "user"]
        if kernel and not dedicated:
            room = any(
                d.max_work_queues_size > sum(wq.size or 0 for wq in d.work_queues) for d in devices
            )
            if not room:
                yield found(
                    "IAA-Q002",
                    name,
                    f"all entries of the devices of {name} belong to the kernel "
                    f"({kernel[0].owner})",
                    *(f"{wq.path}: {wq.owner}, size {wq.size}" for wq in kernel[:8]),
                )
        what = "only dedicated ones" if dedicated else f"{len(devices)} devices, no such queue"
        yield found(
            "IAA-Q001",
            name,
            f"{name} has no enabled shared user work queue, the only kind that QEMU and QPL use",
            f"{name}: {what}",
        )


def _nodes(devices: list[Device], socket: int | None) -> Iterator[Finding]:
    """Sub-NUMA clustering: nodes of the socket that have devices, but no queue."""
    with_queue = {
        d.numa_node
        for d in devices
        if any(wq.enabled and wq.driver == "user" and wq.mode == "shared" for wq in d.work_queues)
    }
    without = {d.numa_node for d in devices} - with_queue
    if without and -1 not in without:
        nodes = ", ".join(map(str, sorted(without)))
        yield found(
            "IAA-Q004",
            socket_name(socket),
            f"NUMA node {nodes} of {socket_name(socket)} has devices but no work queue for QEMU",
            *(f"{d.id}: node {d.numa_node}" for d in devices if d.numa_node in without),
        )


def _probed(probe: Probe) -> Iterator[Finding]:
    if probe.errno:
        reason = explain_open(probe.errno)
        evidence = f"open({probe.path}) as {probe.user}: {reason.name}"
        if probe.errno in (errno.EACCES, errno.EPERM):
            yield found("IAA-A001", probe.wq, f"{probe.user} may not open {probe.path}", evidence)
            return
        yield found(
            "IAA-Q005",
            probe.wq,
            f"{probe.wq} cannot be opened: {reason.meaning}",
            evidence,
            remedy=reason.remedy,
        )
    elif probe.failure:
        yield found(
            "IAA-Q006",
            probe.wq,
            f"{probe.wq} was opened, but a noop failed: {probe.failure}",
            f"noop by {probe.way}: {probe.failure}",
        )
    else:
        yield found(
            "IAA-Q007",
            probe.wq,
            f"{probe.wq} was opened by {probe.user} and completed a noop",
            f"noop by {probe.way}",
        )


def usable(facts: Facts, inventory: Inventory, socket: int | None) -> tuple[list[str], list[str]]:
    """Queues of a socket that the user can use: proven by a noop, and by permission bits only."""
    user = facts.user or _ANYBODY
    proven = {p.wq for p in facts.probes or () if not p.errno and not p.failure}
    failed = {p.wq for p in facts.probes or ()} - proven
    queues = [queue for queue in consumer_queues(inventory.devices, user) if queue.socket == socket]
    return (
        [queue.wq for queue in queues if queue.wq in proven],
        [queue.wq for queue in queues if queue.usable and queue.wq not in proven | failed],
    )
