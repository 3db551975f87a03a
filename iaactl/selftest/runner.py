"""Runs cases through the portal of each work queue. Never configures anything."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from iaactl.errors import IaactlError
from iaactl.iaa.capability import parse_op_cap
from iaactl.model.device import Device, WorkQueue
from iaactl.ports import Portal
from iaactl.selftest.bench import Bench
from iaactl.selftest.cases import BY_NAME, CASES, Case
from iaactl.selftest.report import Failure, QueueReport

OpenPortal = Callable[[str, bool], Portal]
"""Path of the node and whether the queue is dedicated, to an open portal."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What to run. Size in bytes, timeout in seconds for each submission."""

    cases: Sequence[Case] = CASES
    size: int = 4096
    count: int = 1
    depth: int = 8
    timeout_s: float = 5.0


def chosen(names: Sequence[str]) -> list[Case]:
    """Cases by name; `all` or nothing means every one."""
    if not names or "all" in names:
        return list(CASES)
    return [BY_NAME[name] for name in dict.fromkeys(names)]


def _failure(case: str, error: IaactlError) -> Failure:
    status, number = error.facts.get("status"), error.facts.get("errno")
    return Failure(
        case=case,
        message=error.message,
        hint=error.hint,
        status=status if isinstance(status, int) else None,
        errno=number if isinstance(number, int) else None,
    )


def _why(number: int) -> str | None:
    if number == 0:
        return None
    reasons = {
        errno.ENOSYS: "this CPU has neither ENQCMD nor MOVDIR64B to submit with",
        errno.EPERM: "mapping needs CAP_SYS_RAWIO on this device (INTEL-SA-01084)",
        errno.ENODEV: "the node cannot be mapped",
    }
    return reasons.get(number, errno.errorcode.get(number, str(number)))


def allowed(device: Device, wq: WorkQueue) -> frozenset[int]:
    """Opcodes that both the device and the queue allow; everything where that is not known."""
    texts = [text for text in (device.op_cap, wq.op_config) if text]
    sets = [parse_op_cap(text) for text in texts]
    return frozenset.intersection(*sets) if sets else frozenset(range(256))


def _bench(portal: Portal, wq: WorkQueue, settings: Settings, say: Say) -> Bench:
    return Bench(
        portal,
        timeout_s=settings.timeout_s,
        depth=settings.depth,
        block_on_fault=bool(wq.block_on_fault),
        most_bytes=wq.max_transfer_size or 1 << 21,
        threshold=(wq.threshold if wq.mode == "shared" else wq.size) or 16,
        say=say,
    )


def test_queue(
    device: Device, wq: WorkQueue, open_portal: OpenPortal, settings: Settings, say: Say
) -> QueueReport:
    """All cases on one queue, each whether or not the ones before it passed."""
    path = wq.node.path if wq.node else f"/dev/iax/{wq.id}"
    try:
        portal = open_portal(path, wq.mode == "dedicated")
    except IaactlError as error:
        return QueueReport(wq=wq.path, path=path, failures=(_failure("open", error),))
    operations = allowed(device, wq)
    passed, skipped, failures = [], [], []
    try:
        bench = _bench(portal, wq, settings, say)
        say(f"{wq.path}: alloc wq {wq.index} {wq.mode} size {wq.size}, by {portal.way}")
        for case in settings.cases:
            if not operations.issuperset(case.needs):
                skipped.append(case.name)
                continue
            say(f"{wq.path}: preparing descriptor for {case.name}")
            try:
                for _ in range(settings.count):
                    case.run(bench, settings.size)
            except IaactlError as error:
                failures.append(_failure(case.name, error))
                say(f"{wq.path}: {case.name}: {error.message}")
                if failures[-1].errno == errno.ETIMEDOUT:
                    break  # the queue hangs: every further case would only wait as long
            else:
                passed.append(case.name)
        return QueueReport(
            wq=wq.path,
            path=path,
            way=portal.way,
            not_mapped=_why(portal.why_not_mapped),
            passed=tuple(passed),
            skipped=tuple(skipped),
            failures=tuple(failures),
            descriptors=bench.descriptors,
            faults_resolved=bench.faults,
            retries=bench.retries,
        )
    finally:
        portal.close()


def test_together(
    queues: Sequence[tuple[Device, WorkQueue]],
    open_portal: OpenPortal,
    settings: Settings,
) -> list[tuple[str, Failure]]:
    """All queues at the same time, each in a thread with a portal of its own."""
    case = BY_NAME["pages"]

    def one(pair: tuple[Device, WorkQueue]) -> tuple[str, Failure] | None:
        device, wq = pair
        if not allowed(device, wq).issuperset(case.needs):
            return None
        try:
            portal = open_portal(f"/dev/iax/{wq.id}", wq.mode == "dedicated")
        except IaactlError as error:
            return wq.path, _failure("together", error)
        try:
            case.run(_bench(portal, wq, settings, lambda text: None), settings.size)
        except IaactlError as error:
            return wq.path, _failure("together", error)
        finally:
            portal.close()
        return None

    with ThreadPoolExecutor(max_workers=len(queues)) as threads:
        return [failed for failed in threads.map(one, queues) if failed is not None]
