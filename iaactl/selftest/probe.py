"""The one proof that a queue can be used: open it as its user, and run a noop."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Sequence

from iaactl.errors import IaactlError
from iaactl.iaa import descriptor
from iaactl.model.device import Inventory, WorkQueue
from iaactl.model.facts import Probe, User
from iaactl.selftest.bench import Bench
from iaactl.selftest.runner import OpenPortal

NOOP_TIMEOUT_S = 1.0


def candidates(inventory: Inventory) -> list[WorkQueue]:
    """Enabled user work queues; not a dedicated one with a client, which could only say so."""
    return [
        wq
        for wq in inventory.work_queues()
        if wq.enabled and wq.driver == "user" and not (wq.mode == "dedicated" and wq.clients)
    ]


def _base(wq: WorkQueue, user: User) -> Probe:
    path = wq.node.path if wq.node else f"/dev/iax/{wq.id}"
    return Probe(wq=wq.path, path=path, user=user.name)


def probe(wq: WorkQueue, user: User, open_portal: OpenPortal) -> Probe:
    """Open, noop, close, with the rights that this process has now; `user` is only named."""
    base = _base(wq, user)
    try:
        portal = open_portal(base.path, wq.mode == "dedicated")
    except IaactlError as error:
        number = error.facts.get("errno")
        return base.model_copy(update={"errno": number if isinstance(number, int) else errno.EIO})
    try:
        bench = Bench(
            portal,
            timeout_s=NOOP_TIMEOUT_S,
            depth=1,
            block_on_fault=bool(wq.block_on_fault),
            most_bytes=4096,
            threshold=1,
        )
        bench.submit(descriptor.noop(bench.record()))
    except IaactlError as error:
        return base.model_copy(update={"way": portal.way, "failure": error.message})
    finally:
        portal.close()
    return base.model_copy(update={"way": portal.way})


def tell(
    queues: Sequence[WorkQueue], user: User, open_portal: OpenPortal, say: Callable[[str], None]
) -> None:
    """Probe one queue after the other and say each result as a line, an empty one before it."""
    for wq in queues:
        say("")
        say(probe(wq, user, open_portal).model_dump_json())


def heard(lines: Iterable[str], queues: Sequence[WorkQueue], user: User) -> tuple[Probe, ...]:
    """Results out of what `tell` said; a queue that was begun and never told hangs."""
    results: list[Probe] = []
    begun = 0
    for line in lines:
        if line:
            results.append(Probe.model_validate_json(line))
        else:
            begun += 1
    if begun > len(results):
        hanging = _base(queues[len(results)], user)
        results.append(hanging.model_copy(update={"failure": "it never answered", "hung": True}))
    return tuple(results)
