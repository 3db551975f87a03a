"""Whether SVA works, by what was seen: proof first, flags second, versions last."""

from __future__ import annotations

import errno
from enum import StrEnum

from iaactl.model.device import Device, Inventory
from iaactl.model.facts import Facts, Probe
from iaactl.model.finding import Severity
from iaactl.model.kernel_release import pasid_flag_lies

SVA_ERRNOS = frozenset({errno.EOPNOTSUPP, errno.ENODEV, errno.ENOSPC, errno.EINVAL})
"""What open(2) of a node answers when the kernel cannot bind the opener's memory."""
_SVA_STATUS = frozenset({0x80050000, 0x80110000})


TO_BE_SURE = (
    "to be sure: enable a user work queue and open it (iaactl apply, then iaactl selftest); the "
    "errno tells"
)
"""Evidence that is still to be had, beside every finding that says `most likely`."""


class Sva(StrEnum):
    """What is known of SVA for one device, or of all."""

    WORKS = "works"
    BROKEN = "broken"
    UNKNOWN = "unknown"


def probes_of(device: Device, facts: Facts) -> list[Probe]:
    """Probes of a device's work queues."""
    prefix = f"{device.id}/"
    return [probe for probe in facts.probes or () if probe.wq.startswith(prefix)]


def refusals(facts: Facts) -> dict[int, list[Probe]]:
    """Probes that could not open their queue because of SVA, by errno."""
    found: dict[int, list[Probe]] = {}
    for probe in facts.probes or ():
        if probe.errno in SVA_ERRNOS:
            found.setdefault(probe.errno, []).append(probe)
    return found


def sva_of(device: Device, facts: Facts) -> Sva:
    """What is known for one device.

    An open that succeeded is the proof. pasid_enabled 0 is one of the contrary; 1 is one of
    nothing, because kernels since 6.16 always show it and patched ones refuse only the open.
    """
    probes = probes_of(device, facts)
    if any(probe.errno == 0 for probe in probes):
        return Sva.WORKS
    if any(probe.errno in SVA_ERRNOS for probe in probes):
        return Sva.BROKEN
    if device.pasid_enabled == 0 or device.cmd_status in _SVA_STATUS:
        return Sva.BROKEN
    if any(wq.enabled and wq.driver == "user" and wq.clients for wq in device.work_queues):
        return Sva.WORKS  # somebody has it open at this moment
    return Sva.UNKNOWN


def sva(inventory: Inventory, facts: Facts) -> Sva:
    """What is known for the machine: broken if it is for one device."""
    states = {sva_of(device, facts) for device in inventory.devices}
    if Sva.BROKEN in states:
        return Sva.BROKEN
    if Sva.WORKS in states:
        return Sva.WORKS
    return Sva.UNKNOWN


def weight(state: Sva) -> Severity | None:
    """How much a possible cause of SVA being off matters; None: it is disproved."""
    return {Sva.BROKEN: Severity.ERROR, Sva.UNKNOWN: Severity.WARNING, Sva.WORKS: None}[state]


def shown_at_load(facts: Facts) -> bool:
    """Whether pasid_enabled 1 says at least that the IOMMU was fit when the driver was loaded."""
    return not pasid_flag_lies(facts.kernel.release)
