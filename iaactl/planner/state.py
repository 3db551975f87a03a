"""The configuration of one device as a flat map `wq1.0/size -> "128"`, to compare and to plan with.

Values are the text that a write of the same value would carry. Only what can be set is in the
map, and the states of device and work queues; counters and capabilities are not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from iaactl.model.attributes import BY_NAME, Kind, Owner, settable
from iaactl.model.device import Device, Engine, Frozen, Group, WorkQueue
from iaactl.model.plan import Change

FrozenT = TypeVar("FrozenT", bound=Frozen)


class Key(NamedTuple):
    """One attribute of one object; `object` is its sysfs name."""

    object: str
    attribute: str

    @property
    def is_wq(self) -> bool:
        """Whether the object is a work queue."""
        return self.object.startswith("wq")

    def __str__(self) -> str:
        return f"{self.object}/{self.attribute}"


State = dict[Key, str]

_NAMES = {owner: tuple(a.name for a in settable(owner)) for owner in Owner}


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _attributes(
    owner: Owner, thing: Device | Group | Engine | WorkQueue
) -> Iterable[tuple[Key, str]]:
    for name in _NAMES[owner]:
        value = getattr(thing, name)
        if value is not None:
            yield Key(thing.id, name), _text(value)


def state_of(device: Device) -> State:
    """What can be set of `device`, as it is now. Attributes it does not have are left out."""
    state: State = {Key(device.id, "state"): device.state}
    state.update(_attributes(Owner.DEVICE, device))
    for group in device.groups:
        state.update(_attributes(Owner.GROUP, group))
    for engine in device.engines:
        state.update(_attributes(Owner.ENGINE, engine))
    for wq in device.work_queues:
        state[Key(wq.id, "state")] = wq.state
        state.update(_attributes(Owner.WQ, wq))
    return state


def differences(now: State, wanted: State) -> dict[Key, tuple[str | None, str]]:
    """Keys of `wanted` whose value now is another one, with both values."""
    return {key: (now.get(key), value) for key, value in wanted.items() if now.get(key) != value}


def applied(device: Device, changes: Iterable[Change]) -> Device:
    """`device` as it will be once these changes are made."""
    by_object: dict[str, dict[str, object]] = {}
    for change in changes:
        kind = change.object.rstrip("0123456789.")
        owner = Owner(kind) if kind in ("wq", "engine", "group") else Owner.DEVICE
        spec = BY_NAME[(owner, change.attribute)]
        number = spec.kind in (Kind.INTEGER, Kind.SWITCH)
        value: object = int(change.after) if number else change.after
        by_object.setdefault(change.object, {})[change.attribute] = value

    def new(thing: FrozenT) -> FrozenT:
        return thing.model_copy(update=by_object.get(getattr(thing, "id", ""), {}))

    return new(device).model_copy(
        update={
            "groups": tuple(map(new, device.groups)),
            "engines": tuple(map(new, device.engines)),
            "work_queues": tuple(map(new, device.work_queues)),
        }
    )
