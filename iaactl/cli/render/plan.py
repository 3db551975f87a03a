"""Plans as diffs: `+ ~ -` first, colour second."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from iaactl.cli.render.inventory import findings_text
from iaactl.model.attributes import BY_NAME, Owner
from iaactl.model.names import natural
from iaactl.model.plan import Action, Change, Consent, DevicePlan, Plan, Step

_STYLE = {"+": "green", "-": "red", "~": "yellow", "!": "bold yellow"}
_OWNERS = {"wq": Owner.WQ, "engine": Owner.ENGINE, "group": Owner.GROUP}


def _owner(name: str) -> Owner:
    return next((owner for kind, owner in _OWNERS.items() if name.startswith(kind)), Owner.DEVICE)


def _line(sign: str, text: str) -> Text:
    return Text(f"  {sign} {text}", style=_STYLE[sign])


def _value(change: Change, value: str | None) -> str:
    if value is None:
        return "none"
    return value if value else "(empty)"


def _sign(change: Change) -> str:
    if change.attribute == "group_id":
        return "+" if change.before == "-1" else "-" if change.after == "-1" else "~"
    empty = ("0", "", "none", None)
    if change.attribute == "state":
        return "+" if change.after == "enabled" else "-"
    if change.before in empty and change.after not in empty:
        return "+"
    if change.after in empty and change.before not in empty:
        return "-"
    return "~"


def _engines(changes: list[Change]) -> Iterator[Text]:
    """Engines that go from one group to another, together."""
    moves: dict[tuple[str | None, str], list[str]] = {}
    for change in changes:
        moves.setdefault((change.before, change.after), []).append(change.object)
    for (before, after), names in moves.items():
        names.sort(key=natural)
        what = names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]} ({len(names)})"
        old = "no group" if before in (None, "-1") else f"group {before}"
        new = "no group" if after == "-1" else f"group {after}"
        sign = "+" if old == "no group" else "-" if new == "no group" else "~"
        yield _line(sign, f"{what}: {old} -> {new}")


def _object(name: str, changes: list[Change]) -> Iterator[Text]:
    width = max(len(change.attribute) for change in changes)
    for change in changes:
        unit = getattr(BY_NAME.get((_owner(name), change.attribute)), "unit", "")
        before, after = _value(change, change.before), _value(change, change.after)
        text = f"{name:<9} {change.attribute:<{width}}  {before} -> {after} {unit}"
        yield _line(_sign(change), text.rstrip())


def _generic(part: DevicePlan) -> DevicePlan:
    """The plan with `N` for the device's number, to see which devices get the same."""
    number = part.device.lstrip("abcdefghijklmnopqrstuvwxyz")

    def name(text: str) -> str:
        head, dot, index = text.partition(".")
        return f"{head.removesuffix(number)}N{dot}{index}"

    return part.model_copy(
        update={
            "device": "",
            "pci": "",
            "numa_node": 0,
            "changes": tuple(c.model_copy(update={"object": name(c.object)}) for c in part.changes),
            "steps": (),
            "access": tuple(a.model_copy(update={"wq": name(a.wq)}) for a in part.access),
        }
    )


def _alike(parts: tuple[DevicePlan, ...]) -> list[list[DevicePlan]]:
    """Plans in groups of the same changes, in the order of the first of each."""
    groups: dict[str, list[DevicePlan]] = {}
    for part in parts:
        groups.setdefault(_generic(part).model_dump_json(), []).append(part)
    return list(groups.values())


def _devices(parts: list[DevicePlan]) -> Iterator[Text]:
    first = parts[0]
    shown = first if len(parts) == 1 else _generic(first)
    if len(parts) == 1:
        yield Text.assemble((first.device, "bold"), f"  {first.pci}  node {first.numa_node}")
    else:
        for node in sorted({part.numa_node for part in parts}):
            names = " ".join(part.device for part in parts if part.numa_node == node)
            yield Text.assemble((names, "bold"), f"  node {node}")
        yield Text(f"  on each of these {len(parts)} devices (N is its number):", style="dim")
    yield from _engines([c for c in shown.changes if c.object.startswith("engine")])
    rest: dict[str, list[Change]] = {}
    for change in shown.changes:
        if not change.object.startswith("engine"):
            rest.setdefault(change.object, []).append(change)
    for name, changes in rest.items():
        yield from _object(name, changes)
    for access in shown.access:
        yield _line("+", f"{access.wq:<9} access  {access.owner}:{access.group} {access.mode:04o}")


def _interruptions(plan: Plan) -> str | None:
    off = [s.object for p in plan.changed for s in p.steps if s.action is Action.DISABLE_DEVICE]
    wqs = [s.object for p in plan.changed for s in p.steps if s.action is Action.DISABLE_WQ]
    names = off or wqs
    if not names:
        return None
    kind = "devices" if off else "work queues"
    what = ", ".join(names) if len(names) <= 4 else f"{len(names)} {kind}"
    return f"{what} will be disabled for the duration"


def consent_lines(consents: tuple[Consent, ...]) -> list[Text]:
    """What the plan takes from whom, and the option that allows it."""
    lines = []
    groups: dict[tuple[str, str], list[Consent]] = {}
    for consent in consents:
        same = consent.sentence.replace(consent.object, "")
        groups.setdefault((consent.kind, same), []).append(consent)
    for group in groups.values():
        lines.append(_line("!", group[0].sentence))
        if len(group) > 1:
            others = ", ".join(consent.object for consent in group[1:])
            lines.append(Text(f"    likewise {others}"))
        options = " ".join(dict.fromkeys(consent.option for consent in group))
        lines.append(Text(f"    needs {options}", style="dim"))
    return lines


def plan_lines(plan: Plan) -> list[Text]:
    """A plan as it is shown before it is applied."""
    lines: list[Text] = findings_text(plan.findings)
    if lines and plan.devices:
        lines.append(Text(""))
    if plan.empty:
        if plan.devices:
            names = ", ".join(part.device for part in plan.devices)
            lines.append(Text(f"nothing to do: {names} already as wanted"))
        return lines
    for parts in _alike(plan.changed):
        lines += [*_devices(parts), Text("")]
    if plan.consents:
        lines += [*consent_lines(plan.consents), Text("")]
    changes = sum(len(p.changes) + len(p.access) for p in plan.changed)
    steps = sum(len(p.steps) for p in plan.changed)
    count = len(plan.changed)
    summary = f"{changes} changes on {count} device{'s' if count != 1 else ''}, {steps} steps"
    interruption = _interruptions(plan)
    lines.append(Text(f"{summary}; {interruption}" if interruption else summary, style="bold"))
    return lines


def step_text(step: Step) -> str:
    """One step as -v shows it."""
    name = step.object if step.object == step.device else f"{step.device}/{step.object}"
    if step.action is Action.WRITE:
        return f"{name}: {step.attribute} = {step.value!r}"
    return f"{name}: {step.action.value.partition('-')[0]}"
