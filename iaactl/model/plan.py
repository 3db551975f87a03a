"""What would be done: changes for people, steps for the applier, and what they depend on."""

from __future__ import annotations

from enum import StrEnum

from iaactl.model.device import Access as NodeAccess
from iaactl.model.device import Frozen
from iaactl.model.finding import Finding


class Action(StrEnum):
    """The kinds of step."""

    DISABLE_WQ = "disable-wq"
    DISABLE_DEVICE = "disable-device"
    WRITE = "write"
    ENABLE_DEVICE = "enable-device"
    ENABLE_WQ = "enable-wq"


class Change(Frozen):
    """One difference between what is and what is wanted; None means that it did not exist."""

    object: str
    attribute: str
    before: str | None
    after: str


class Step(Frozen):
    """One operation on one object; `value` and `attribute` only for writes.

    `object` is a sysfs name (`wq1.0`); `value` is the text to write, without newline.
    """

    action: Action
    device: str
    object: str
    attribute: str | None = None
    value: str | None = None


class Consent(Frozen):
    """Something the plan takes away from somebody, which the command must name to be allowed."""

    kind: str
    object: str
    sentence: str
    option: str


class DevicePlan(Frozen):
    """All that happens to one device."""

    device: str
    pci: str
    numa_node: int
    changes: tuple[Change, ...] = ()
    steps: tuple[Step, ...] = ()
    access: tuple[NodeAccess, ...] = ()


class Plan(Frozen):
    """An ordered plan. `fingerprint` is that of the devices named in `depends_on`."""

    title: str
    fingerprint: str
    depends_on: tuple[str, ...]
    devices: tuple[DevicePlan, ...]
    consents: tuple[Consent, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing at all is to be done."""
        return not any(d.steps or d.access for d in self.devices)

    @property
    def changed(self) -> tuple[DevicePlan, ...]:
        """The devices to which something happens."""
        return tuple(d for d in self.devices if d.steps or d.access)
