"""All checks together, causes linked, and a verdict for each socket."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from iaactl.doctor import causes
from iaactl.doctor.checks import access, boot, devices, iommu, kernel, platform, queues, software
from iaactl.doctor.symptoms import Sva, shown_at_load, sva
from iaactl.model.codes import SVA_CAUSES, found
from iaactl.model.device import Frozen, Inventory
from iaactl.model.facts import Facts
from iaactl.model.finding import Finding, Severity
from iaactl.model.kernel_release import SvaState, sva_state


class Readiness(StrEnum):
    """What a socket is for QEMU."""

    READY = "ready"
    """A queue was opened by the user and completed a noop."""
    LIKELY = "likely"
    """Queues are enabled and permitted, nothing speaks against them, and nobody tried."""
    NOT_READY = "not ready"


class SocketVerdict(Frozen):
    """One socket: readiness, the queues that count, and else the root cause."""

    socket: int | None
    readiness: Readiness
    queues: tuple[str, ...] = ()
    cause: str | None = Field(None, description="code of the root cause")
    reason: str | None = None


class Diagnosis(Frozen):
    """Data of `iaactl.diagnosis/1`."""

    ready: bool
    sentence: str
    user: str | None = Field(None, description="whose access was looked at; null: nobody's")
    sockets: tuple[SocketVerdict, ...]
    findings: tuple[Finding, ...]
    root_would_add: tuple[str, ...] = ()


def findings_of(facts: Facts, inventory: Inventory) -> list[Finding]:
    """All findings, causes linked, roots first. Pure."""
    absent = list(platform.check_presence(facts, inventory))
    if absent:
        return causes.link(absent, inventory)
    collected: list[Finding] = [
        *platform.check(facts, inventory),
        *kernel.check(facts, inventory),
        *boot.check(facts, inventory),
        *iommu.check(facts, inventory),
        *devices.check(inventory),
        *queues.check(facts, inventory),
        *access.check(facts, inventory),
        *software.check(facts, inventory),
    ]
    collected += _unproven(facts, inventory, collected)
    return causes.link(collected, inventory)


def _unproven(facts: Facts, inventory: Inventory, so_far: Sequence[Finding]) -> list[Finding]:
    """Said only where neither a proof nor a cause was found."""
    suspected = any(
        finding.code in SVA_CAUSES and finding.severity in (Severity.ERROR, Severity.WARNING)
        for finding in so_far
    )
    if suspected or not inventory.devices or sva(inventory, facts) is not Sva.UNKNOWN:
        return []
    device = inventory.devices[0]
    release = facts.kernel.release
    doubt = (
        (f"kernel {release}: may have SVA disabled (IAA-K003), its release alone does not tell",)
        if release and sva_state(release) is SvaState.UNCERTAIN
        else ()
    )
    said = (
        "the IOMMU was fit when the driver was loaded"
        if shown_at_load(facts) and device.pasid_enabled
        else "that proves nothing on this kernel"
    )
    enabled = any(wq.enabled and wq.driver == "user" for wq in inventory.work_queues())
    return [
        found(
            "IAA-K004",
            "host",
            "whether SVA works is not proven: no user work queue was opened",
            f"{device.id}/pasid_enabled = {device.pasid_enabled}: {said}",
            *doubt,
            remedy="open the queues as the user who runs QEMU: sudo iaactl doctor --user NAME"
            if enabled
            else None,
        )
    ]


def diagnose(facts: Facts, inventory: Inventory, socket: int | None = None) -> Diagnosis:
    """The diagnosis of a machine, or of one socket of it."""
    findings = findings_of(facts, inventory)
    verdicts = [
        _verdict(number, facts, inventory, findings)
        for number in queues.by_socket(inventory)
        if socket is None or number == socket
    ]
    ready = bool(verdicts) and all(v.readiness is not Readiness.NOT_READY for v in verdicts)
    return Diagnosis(
        ready=ready,
        sentence=_sentence(verdicts, findings, facts, socket),
        user=facts.user.name if facts.user else None,
        sockets=tuple(verdicts),
        findings=tuple(findings),
        root_would_add=_root_would_add(facts),
    )


_DECISIVE = ("IAA-Q005", "IAA-Q006", "IAA-A001", "IAA-Q001")


def _verdict(
    socket: int | None, facts: Facts, inventory: Inventory, findings: Sequence[Finding]
) -> SocketVerdict:
    proven, permitted = queues.usable(facts, inventory, socket)
    if proven:
        return SocketVerdict(socket=socket, readiness=Readiness.READY, queues=tuple(proven))
    here = causes.places(queues.socket_name(socket), inventory)
    cause = _cause(here, findings, inventory)
    if permitted and cause is None:
        return SocketVerdict(socket=socket, readiness=Readiness.LIKELY, queues=tuple(permitted))
    return SocketVerdict(
        socket=socket,
        readiness=Readiness.NOT_READY,
        cause=cause.code if cause else None,
        reason=cause.sentence if cause else "no work queue can be used",
    )


def _cause(
    here: frozenset[str], findings: Sequence[Finding], inventory: Inventory
) -> Finding | None:
    """The first root cause of what makes a socket unusable; findings come in order of weight.

    `here` are the devices and functions of the socket, empty for the whole machine.
    """

    def touches(finding: Finding) -> bool:
        there = causes.places(finding.subject, inventory)
        return not there or not here or bool(here & there)

    near = [finding for finding in findings if touches(finding)]
    general = [
        f
        for f in near
        if f.code in SVA_CAUSES
        and f.severity in (Severity.ERROR, Severity.WARNING)
        and not f.because_of
    ]
    if general:
        return general[0]
    for code in _DECISIVE:
        effects = [f for f in near if f.code == code]
        if effects:
            return _root(effects[0], near)
    return None


def _root(effect: Finding, findings: Sequence[Finding]) -> Finding:
    seen = {effect.code}
    while effect.because_of:
        candidates = [f for f in findings if f.code in effect.because_of and f.code not in seen]
        if not candidates:
            break
        effect = candidates[0]
        seen.add(effect.code)
    return effect


def _sentence(
    verdicts: Sequence[SocketVerdict],
    findings: Sequence[Finding],
    facts: Facts,
    socket: int | None,
) -> str:
    if not verdicts:
        roots = causes.roots(findings)
        if socket is not None and not any(f.code.startswith("IAA-N") for f in findings):
            return f"Not ready for QEMU: socket {socket} has no IAA device that the driver runs"
        first = roots[0].sentence if roots else "no IAA device has a driver"
        if roots and roots[0].code.startswith("IAA-N"):
            return first[0].upper() + first[1:]
        return f"Not ready for QEMU: {first}"
    parts = []
    good = [v for v in verdicts if v.readiness is Readiness.READY]
    likely = [v for v in verdicts if v.readiness is Readiness.LIKELY]
    bad = [v for v in verdicts if v.readiness is Readiness.NOT_READY]
    who = f" (run by {facts.user.name})" if facts.user else ""
    if good:
        parts.append(f"ready for QEMU{who} on {_sockets(good)}, proven by opening the queues")
    if likely:
        parts.append(f"set up for QEMU{who} on {_sockets(likely)}, not proven by opening a queue")
    reasons: dict[str, list[SocketVerdict]] = {}
    for verdict in bad:
        reason = _SHORT.get(verdict.cause or "", verdict.reason or "")
        reasons.setdefault(reason, []).append(verdict)
    for reason, group in reasons.items():
        everywhere = len(group) == len(verdicts)
        where = "" if everywhere else f" on {_sockets(group)}"
        start = f"not ready for QEMU{where}" if not parts else f"not{where}"
        parts.append(f"{start}: {reason}")
    text = "; ".join(parts)
    return text[0].upper() + text[1:]


_SHORT = {
    "IAA-Q001": "no shared user work queue is enabled",
    "IAA-Q002": "the kernel (iaa_crypto) holds all entries of the devices",
}
"""Reasons that name their socket, said without it."""


def _sockets(verdicts: Sequence[SocketVerdict]) -> str:
    numbers = [v.socket for v in verdicts]
    if numbers == [None]:
        return "this machine"
    known = [str(n) for n in numbers if n is not None]
    return f"socket{'s' if len(known) > 1 else ''} {' and '.join(known)}"


def _root_would_add(facts: Facts) -> tuple[str, ...]:
    """What was not read or tried for want of rights."""
    phrases = []
    if any("kmsg" in path or "/log/" in path or "dmesg" in path for path in facts.denied):
        phrases.append("the kernel log")
    if any("/config" in path and "/sys/" in path for path in facts.denied) or any(
        state.pasid is None for state in facts.pci
    ):
        phrases.append("PASID, ATS and PRI in the devices' configuration space")
    if any("debug" in path for path in facts.denied):
        phrases.append("waiting times of page faults")
    user = facts.user
    if user is not None and not user.bypass and facts.hypervisor_users:
        names = ", ".join(a.name for a in facts.hypervisor_users)
        phrases.append(f"opening the queues as {names} (--user)")
    return tuple(phrases) if user is not None and user.uid != 0 else ()
