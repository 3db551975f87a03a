"""Which finding explains which: root causes first, consequences with the names of their causes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from iaactl.model.codes import BY_CODE
from iaactl.model.device import Inventory
from iaactl.model.finding import Finding, Severity

_ORDER = (
    Severity.ERROR, Severity.WARNING, Severity.UNKNOWN, Severity.NOTICE, Severity.OK,
)  # fmt: skip
_EXPLAINING = (Severity.ERROR, Severity.WARNING)
_DEVICE = re.compile(r"iax\d+")


def places(subject: str, inventory: Inventory) -> frozenset[str]:
    """Devices and PCI addresses that a subject is about; empty: the whole machine."""
    named = _DEVICE.match(subject)
    if named:
        addresses = {d.pci for d in inventory.devices if d.id == named[0]}
        return frozenset({named[0], *addresses})
    if subject.startswith("socket "):
        number = subject.removeprefix("socket ")
        devices = {d.id for d in inventory.devices if str(d.socket) == number}
        functions = {f.address for f in inventory.functions if str(f.socket) == number}
        return frozenset(devices | functions)
    if any(function.address == subject for function in inventory.functions):
        return frozenset({subject, *(d.id for d in inventory.devices if d.pci == subject)})
    return frozenset()


def _explains(cause: Finding, effect: Finding, inventory: Inventory) -> bool:
    if cause is effect or cause.code not in BY_CODE[effect.code].explained_by:
        return False
    weighty = cause.severity in _EXPLAINING or (
        cause.code == "IAA-Q002" and effect.severity is Severity.NOTICE
    )
    if not weighty:
        return False
    ours, theirs = places(cause.subject, inventory), places(effect.subject, inventory)
    return not ours or not theirs or bool(ours & theirs)


def link(findings: Sequence[Finding], inventory: Inventory) -> list[Finding]:
    """The same findings with `because_of` filled in, roots before their consequences.

    A consequence that several findings explain names them all. Order: severity of the root, then
    the order in which the checks came.
    """
    linked = [
        effect.model_copy(
            update={
                "because_of": tuple(
                    dict.fromkeys(
                        cause.code
                        for cause in findings
                        if effect.severity is not Severity.OK
                        and _explains(cause, effect, inventory)
                    )
                )
            }
        )
        for effect in findings
    ]
    return sorted(linked, key=lambda f: (_ORDER.index(f.severity), bool(f.because_of)))


def roots(findings: Sequence[Finding]) -> list[Finding]:
    """Findings that no other explains."""
    return [finding for finding in findings if not finding.because_of]


def consequences(root: Finding, findings: Sequence[Finding]) -> list[Finding]:
    """Findings that have this root among their causes, directly or through others."""
    reached = {root.code}
    while True:
        more = {f.code for f in findings if reached & set(f.because_of)} - reached
        if not more:
            break
        reached |= more
    return [f for f in findings if f.because_of and f.code in reached and f is not root]
