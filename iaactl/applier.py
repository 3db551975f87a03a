"""Runs a plan step by step, reads back, and puts the old state back when a step fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from pydantic import ValidationError

from iaactl.errors import (
    ApplyFailed,
    ApplyIncomplete,
    Busy,
    DocumentError,
    HostError,
    IaactlError,
    OperationError,
    StalePlan,
)
from iaactl.inventory import build
from iaactl.model.device import Access, Device, Frozen, Inventory
from iaactl.model.finding import Severity
from iaactl.model.plan import Action, Consent, Plan, Step
from iaactl.planner import fingerprint, plan_restore
from iaactl.planner.state import Key, state_of
from iaactl.ports import Configurator, DeviceTree, Lock, NodeAccess, RestorePoints

Progress = Callable[[Step], None]


class RestoreDocument(Frozen):
    """What a restore point holds: devices and access rules as they were, and why it was made."""

    title: str
    devices: tuple[Device, ...]
    access: tuple[Access, ...] = ()


class ApplyResult(Frozen):
    """What a run did."""

    title: str
    changed_devices: tuple[str, ...]
    steps: int
    restore_point: str | None


def ungranted(plan: Plan, take_over: Sequence[str], force: Sequence[str]) -> list[Consent]:
    """The consents of a plan that the command line has not given."""
    return [
        consent
        for consent in plan.consents
        if not (
            (consent.kind == "take-over" and "iaa_crypto" in take_over)
            or (
                consent.kind == "force"
                and any(
                    consent.object in (name, f"{consent.object.partition('/')[0]}/{name}")
                    for name in force
                )
            )
        )
    ]


def refuse_ungranted(plan: Plan, take_over: Sequence[str], force: Sequence[str]) -> None:
    """Raise Busy, with the options that would allow it, when a plan needs consent it has not."""
    missing = ungranted(plan, take_over, force)
    if missing:
        options = " ".join(dict.fromkeys(consent.option for consent in missing))
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise Busy(
            f"{missing[0].sentence}{more}; nothing was done",
            hint=f"to do it all the same, add {options}",
            consents=[consent.model_dump() for consent in missing],
        )


class Applier:
    """Changes devices through a Configurator, one run at a time."""

    def __init__(
        self,
        tree: DeviceTree,
        configurator: Callable[[], AbstractContextManager[Configurator]],
        access: NodeAccess,
        restore: RestorePoints,
        lock: Lock,
        *,
        shield: Callable[[], AbstractContextManager[None]] = nullcontext,
        progress: Progress = lambda step: None,
    ) -> None:
        self._tree = tree
        self._configurator = configurator
        self._access = access
        self._restore = restore
        self._lock = lock
        self._shield = shield
        self._progress = progress

    def _inventory(self) -> Inventory:
        return build(self._tree.snapshot())

    def run(
        self, plan: Plan, *, take_over: Sequence[str] = (), force: Sequence[str] = ()
    ) -> ApplyResult:
        """Do what the plan says, or leave everything as it was.

        Raises StalePlan, Busy, HostError before the first write; ApplyFailed when a step failed
        and the old state is back; ApplyIncomplete when it is not.
        """
        self._refuse_errors(plan)
        if plan.empty:
            return ApplyResult(title=plan.title, changed_devices=(), steps=0, restore_point=None)
        with self._lock.hold():
            inventory = self._inventory()
            self._refuse_stale(plan, inventory)
            refuse_ungranted(plan, take_over, force)
            base = [d for d in inventory.devices if d.id in {p.device for p in plan.changed}]
            rules = self._access.rules()
            steps = [step for part in plan.changed for step in part.steps]
            with self._configurator() as configurator:
                configurator.check(
                    [(s.object, s.attribute) for s in steps if s.attribute is not None]
                )
                document = RestoreDocument(
                    title=plan.title, devices=tuple(base), access=tuple(rules.values())
                )
                point = self._restore.save(document.model_dump_json(indent=1))
                try:
                    self._perform(configurator, steps)
                    self._grant(plan, rules)
                    self._verify(plan)
                except BaseException as error:
                    with self._shield():
                        self._put_back(base, rules, point, error)
                    raise
            self._restore.close(point)
        return ApplyResult(
            title=plan.title,
            changed_devices=tuple(part.device for part in plan.changed),
            steps=len(steps),
            restore_point=point,
        )

    # -- before the first write ---------------------------------------------------------------

    def _refuse_errors(self, plan: Plan) -> None:
        errors = [f for f in plan.findings if f.severity is Severity.ERROR]
        if errors:
            first = errors[0]
            more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise HostError(
                f"{plan.title} does not fit this machine: {first.sentence}{more}",
                hint=first.remedy,
                findings=[f.model_dump(mode="json") for f in errors],
            )

    def _refuse_stale(self, plan: Plan, inventory: Inventory) -> None:
        if fingerprint(inventory, plan.depends_on) != plan.fingerprint:
            raise StalePlan(
                "the devices have changed since this plan was made; nothing was done",
                hint="make a new plan: `iaactl plan PROFILE -o FILE`",
            )

    # -- doing --------------------------------------------------------------------------------

    def _perform(self, configurator: Configurator, steps: Sequence[Step]) -> None:
        for step in steps:
            self._progress(step)
            if step.action is Action.WRITE:
                assert step.attribute is not None
                assert step.value is not None
                configurator.write(step.device, step.object, step.attribute, step.value)
            elif step.action is Action.ENABLE_DEVICE:
                configurator.enable_device(step.device)
            elif step.action is Action.DISABLE_DEVICE:
                configurator.disable_device(step.device)
            elif step.action is Action.ENABLE_WQ:
                configurator.enable_wq(step.device, step.object)
            else:
                configurator.disable_wq(step.device, step.object)

    def _grant(self, plan: Plan, rules: dict[str, Access]) -> None:
        for part in plan.changed:
            granted = {access.wq for access in part.access}
            if part.steps:
                prefix = f"wq{part.device[3:]}."
                self._access.revoke(
                    [wq for wq in rules if wq.startswith(prefix) and wq not in granted]
                )
            self._access.grant(part.access)

    def _verify(self, plan: Plan) -> None:
        """Compare the machine with every change of the plan, after all of it is done."""
        inventory = self._inventory()
        for part in plan.changed:
            device = inventory.find(part.device)
            state = {} if device is None else state_of(device)
            for change in part.changes:
                now = state.get(Key(change.object, change.attribute))
                if now != change.after:
                    raise OperationError(
                        f"{part.device}/{change.object}/{change.attribute} is `{now}` after all "
                        f"steps, not `{change.after}`",
                        object=change.object,
                        attribute=change.attribute,
                    )

    # -- putting back -------------------------------------------------------------------------

    def _restore_devices(self, base: Sequence[Device], rules: dict[str, Access]) -> list[str]:
        """One attempt to reach `base`; what failed, in sentences."""
        plan = plan_restore(base, self._inventory(), title="put back")
        failures = [f.sentence for f in plan.findings if f.severity is Severity.ERROR]
        with self._configurator() as configurator:
            for part in plan.changed:
                try:
                    self._perform(configurator, part.steps)
                except IaactlError as error:
                    failures.append(f"{error.message} ({error.hint})" if error.hint else str(error))
                except OSError as error:
                    failures.append(str(error))
        try:
            current = self._access.rules()
            self._access.revoke([wq for wq in current if wq not in rules])
            self._access.grant([a for wq, a in rules.items() if current.get(wq) != a])
        except (IaactlError, OSError) as error:
            failures.append(str(error))
        return failures

    def _differing(self, base: Sequence[Device]) -> list[str]:
        plan = plan_restore(base, self._inventory(), title="put back")
        gone = [f.subject for f in plan.findings if f.severity is Severity.ERROR]
        return gone + [part.device for part in plan.changed]

    def _put_back(
        self, base: Sequence[Device], rules: dict[str, Access], point: str, cause: BaseException
    ) -> None:
        """Undo what was done. Returns only for an interruption; otherwise raises the outcome."""
        reason = cause.message if isinstance(cause, IaactlError) else str(cause) or repr(cause)
        facts = dict(cause.facts) if isinstance(cause, IaactlError) else {}
        failures: list[str] = []
        for _ in range(2):  # a refusal can be transient, e.g. while clients drain
            failures = self._restore_devices(base, rules)
            left = self._differing(base)
            if not left:
                break
        else:
            why = f"; putting back failed too: {failures[0]}" if failures else ""
            raise ApplyIncomplete(
                f"{reason}{why}; {', '.join(left)} could not be put back",
                hint=f"repair the cause, then run `iaactl restore {point}`",
                restore_point=point,
                devices=left,
                failures=failures,
                cause=facts,
            ) from cause
        self._restore.close(point)
        if isinstance(cause, IaactlError | OSError):
            raise ApplyFailed(
                f"{reason}; every change was put back",
                hint=cause.hint if isinstance(cause, IaactlError) else None,
                **facts,
            ) from cause

    # -- restore points -----------------------------------------------------------------------

    def read_point(self, name: str | None) -> tuple[str, RestoreDocument]:
        """A restore point by name, None for the one to restore next."""
        name, text = self._restore.load(name)
        try:
            return name, RestoreDocument.model_validate_json(text)
        except ValidationError as error:
            raise DocumentError(
                f"restore point {name} does not validate", problems=error.errors(include_url=False)
            ) from None

    def plan_for(self, document: RestoreDocument) -> Plan:
        """What brings the devices of a restore point back."""
        return plan_restore(document.devices, self._inventory(), title="restore")

    def restore(
        self,
        name: str,
        document: RestoreDocument,
        *,
        take_over: Sequence[str] = (),
        force: Sequence[str] = (),
    ) -> ApplyResult:
        """Bring devices back to a restore point; on failure the point stays open."""
        with self._lock.hold():
            plan = self.plan_for(document)
            refuse_ungranted(plan, take_over, force)
            steps = [step for part in plan.changed for step in part.steps]
            with self._configurator() as configurator:
                configurator.check(
                    [(s.object, s.attribute) for s in steps if s.attribute is not None]
                )
            rules = {access.wq: access for access in document.access}
            with self._shield():
                failures = self._restore_devices(document.devices, rules)
                left = self._differing(document.devices)
            if left:
                raise ApplyIncomplete(
                    f"{', '.join(left)} could not be brought back"
                    + (f": {failures[0]}" if failures else ""),
                    hint=f"repair the cause, then run `iaactl restore {name}` again",
                    restore_point=name,
                    devices=left,
                    failures=failures,
                )
            self._restore.close(name)
        return ApplyResult(
            title=plan.title,
            changed_devices=tuple(part.device for part in plan.changed),
            steps=len(steps),
            restore_point=name,
        )


def load_plan(text: str, source: str) -> Plan:
    """A plan from the JSON that `iaactl plan -o` wrote. Raises DocumentError."""
    try:
        document = json.loads(text)
        if document.get("schema") != "iaactl.plan/1":
            raise ValueError(f"schema is {document.get('schema')!r}, not 'iaactl.plan/1'")
        return Plan.model_validate_json(json.dumps(document["data"]))
    except (ValueError, KeyError, AttributeError, ValidationError, RecursionError) as error:
        first = str(error).split("\n")[0]
        raise DocumentError(
            f"{source} is not a plan: {first}", hint="make one: `iaactl plan PROFILE -o FILE`"
        ) from None
