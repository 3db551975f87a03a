"""The plans: to a profile, to nothing (reset), and back to a snapshot (restore)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

from iaactl.model.attributes import BY_NAME, Owner
from iaactl.model.device import Access, Device, Inventory, WorkQueue
from iaactl.model.finding import Finding, Severity
from iaactl.model.names import natural
from iaactl.model.plan import Action, Change, Consent, DevicePlan, Plan, Step
from iaactl.model.profile import Profile
from iaactl.planner.fit import fit, reset_problems
from iaactl.planner.state import Key, State, differences, state_of
from iaactl.planner.steps import device_steps
from iaactl.planner.target import resolve


def fingerprint(inventory: Inventory, names: Iterable[str]) -> str:
    """SHA-256 over what a plan for these devices depends on; counters are left out."""
    facts = []
    for name in sorted(names, key=natural):
        device = inventory.find(name)
        state = {} if device is None else {str(k): v for k, v in state_of(device).items()}
        owners = [] if device is None else [[q.id, q.driver or ""] for q in device.work_queues]
        facts.append([name, None if device is None else device.pci, state, owners])
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _changes(device: Device, different: dict[Key, tuple[str | None, str]]) -> list[Change]:
    def order(key: Key) -> tuple[int, tuple[str | int, ...], int]:
        kinds = ("group", "engine", "wq")
        rank = next((n for n, kind in enumerate(kinds) if key.object.startswith(kind)), 3)
        spec = BY_NAME.get((Owner.WQ, key.attribute)) if key.is_wq else None
        state_last = 99 if key.attribute == "state" else (spec.rank if spec else 0)
        return rank, natural(key.object), state_last

    return [
        Change(object=key.object, attribute=key.attribute, before=different[key][0], after=after)
        for key in sorted(different, key=order)
        for after in (different[key][1],)
    ]


def _clients_sentence(wq: WorkQueue) -> str:
    who = ", ".join(f"pid {pid}" for pid in wq.client_pids)
    return f"{wq.path} is open in {wq.clients} clients{f' ({who})' if who else ''}"


def _consents(device: Device, steps: Sequence[Step]) -> list[Consent]:
    """What disabling these work queues takes from whom."""
    off = {step.object for step in steps if step.action is Action.DISABLE_WQ}
    found: list[Consent] = []
    for wq in device.work_queues:
        if wq.id not in off:
            continue
        if wq.owner == "iaa_crypto":
            found.append(
                Consent(
                    kind="take-over",
                    object=wq.path,
                    sentence=f"{wq.path} belongs to iaa_crypto: taking it takes hardware "
                    "compression from zswap and other kernel users, and once the last such "
                    "queue is gone iaa_crypto must be reloaded to take one again",
                    option="--take-over iaa_crypto",
                )
            )
        elif (wq.clients or 0) > 0:
            found.append(
                Consent(
                    kind="force",
                    object=wq.path,
                    sentence=f"{_clients_sentence(wq)}: disabling it under them fails their "
                    "jobs, and the driver miscounts when they close it later",
                    option=f"--force {wq.id}",
                )
            )
    return found


def _device_plan(
    device: Device, wanted: State, access: Iterable[Access] = ()
) -> tuple[DevicePlan, list[Consent]]:
    steps = device_steps(device, wanted)
    changes = _changes(device, differences(state_of(device), wanted)) if steps else []
    plan = DevicePlan(
        device=device.id,
        pci=device.pci,
        numa_node=device.numa_node,
        changes=tuple(changes),
        steps=tuple(steps),
        access=tuple(_missing_access(device, access, bool(steps))),
    )
    return plan, _consents(device, steps)


def _missing_access(device: Device, wanted: Iterable[Access], touched: bool) -> list[Access]:
    nodes = {wq.id: wq.node for wq in device.work_queues}
    missing = []
    for access in wanted:
        node = nodes.get(access.wq)
        have = node and (node.owner or str(node.uid), node.group or str(node.gid), node.mode)
        if touched or have != (access.owner, access.group, access.mode):
            missing.append(access)
    return missing


def _plan(
    title: str,
    inventory: Inventory,
    plans: list[DevicePlan],
    consents: list[Consent],
    findings: list[Finding],
) -> Plan:
    names = tuple(plan.device for plan in plans)
    return Plan(
        title=title,
        fingerprint=fingerprint(inventory, names),
        depends_on=names,
        devices=tuple(plans),
        consents=tuple(consents),
        findings=tuple(findings),
    )


def plan_profile(profile: Profile, inventory: Inventory, *, title: str) -> Plan:
    """What brings the machine to `profile`; with a finding of severity error, no steps at all."""
    targets, findings = resolve(profile, inventory)
    for target in targets:
        findings += fit(target, inventory.host)
    if any(finding.severity is Severity.ERROR for finding in findings):
        return _plan(title, inventory, [], [], findings)
    plans: list[DevicePlan] = []
    consents: list[Consent] = []
    for target in sorted(targets, key=lambda t: natural(t.device.id)):
        plan, taken = _device_plan(target.device, target.state, target.access)
        plans.append(plan)
        consents += taken
    return _plan(title, inventory, plans, consents, findings)


def _blank(device: Device) -> State:
    """The state the driver leaves after a device was disabled, as far as every release agrees."""
    wanted: State = {Key(device.id, "state"): "disabled"}
    for engine in device.engines:
        wanted[Key(engine.id, "group_id")] = "-1"
    for wq in device.work_queues:
        wanted[Key(wq.id, "state")] = "disabled"
        wanted[Key(wq.id, "size")] = "0"
        wanted[Key(wq.id, "group_id")] = "-1"
    return wanted


def plan_reset(devices: Sequence[Device], inventory: Inventory) -> Plan:
    """Disable `devices` and take their configuration away."""
    plans: list[DevicePlan] = []
    consents: list[Consent] = []
    findings: list[Finding] = []
    for device in devices:
        findings += reset_problems(device)
        plan, taken = _device_plan(device, _blank(device))
        plans.append(plan)
        consents += taken
    if findings:
        plans, consents = [], []
    return _plan("reset", inventory, plans, consents, findings)


def plan_restore(base: Sequence[Device], inventory: Inventory, *, title: str) -> Plan:
    """Bring devices back to exactly what a snapshot says; a device that is gone is a finding."""
    plans: list[DevicePlan] = []
    consents: list[Consent] = []
    findings: list[Finding] = []
    for old in base:
        device = inventory.find(old.id)
        if device is None or device.pci != old.pci:
            findings.append(
                Finding(
                    code="IAA-P030",
                    severity=Severity.ERROR,
                    subject=old.id,
                    sentence=f"{old.id} ({old.pci}) is no longer there, so its old state cannot "
                    "be put back",
                )
            )
            continue
        plan, taken = _device_plan(device, state_of(old))
        plans.append(plan)
        consents += taken
    return _plan(title, inventory, plans, consents, findings)
