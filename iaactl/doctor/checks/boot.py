"""The kernel's command line, and the boot loader's files that should have made it."""

from __future__ import annotations

from collections.abc import Iterator

from iaactl.doctor.symptoms import Sva, sva, weight
from iaactl.model.codes import found
from iaactl.model.command_line import iommu_arguments, words
from iaactl.model.device import Inventory
from iaactl.model.facts import Facts
from iaactl.model.finding import Finding, Severity

_INTENDED = ("/etc/default/", "/etc/kernel/", "/boot/")
_WATCHED = ("intel_iommu", "iommu", "no5lvl")


def check(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """What is wrong with the arguments themselves; whether the IOMMU works is told elsewhere."""
    line = facts.kernel.command_line
    if line is None:
        return
    state = sva(inventory, facts)
    severity = weight(state)
    arguments = iommu_arguments(line)
    if arguments.off_by:
        yield found(
            "IAA-B002",
            "kernel",
            f"the command line switches the IOMMU off: {arguments.off_by}",
            f"/proc/cmdline: {line}",
        )
    if severity is not None:
        if arguments.stray:
            yield found(
                "IAA-B001",
                "kernel",
                f"`{arguments.stray[0]}` stands alone on the command line, where it does nothing",
                f"/proc/cmdline: {line}",
                severity=severity,
            )
        if arguments.scalable is False:
            yield found(
                "IAA-B003",
                "kernel",
                "the command line keeps the IOMMU in legacy mode (sm_off)",
                f"/proc/cmdline: {line}",
                severity=severity,
            )
        if arguments.misspelt:
            yield found(
                "IAA-B005",
                "kernel",
                f"`{arguments.misspelt[0]}` on the command line is no argument; it is `no5lvl`",
                f"/proc/cmdline: {line}",
            )
    yield from _not_booted(facts, state)


def _not_booted(facts: Facts, state: Sva) -> Iterator[Finding]:
    running = set(words(facts.kernel.command_line or ""))
    for entry in facts.boot:
        wanted = [
            argument
            for argument in entry.arguments
            if argument.partition("=")[0] in _WATCHED and argument not in running
        ]
        if not wanted or not entry.line.path.startswith(_INTENDED):
            continue
        generated = "grub.cfg" in entry.line.path or "/entries/" in entry.line.path
        yield found(
            "IAA-B004",
            "kernel",
            f"{entry.line.path} has `{' '.join(wanted)}`, but the running kernel was booted "
            "without it",
            f"{entry.line.path}:{entry.line.number}: {' '.join(wanted)}",
            f"/proc/cmdline: {facts.kernel.command_line}",
            severity=Severity.NOTICE if state is Sva.WORKS else Severity.WARNING,
            remedy="reboot into this entry" if generated else None,
        )
        return  # the first file is the one to mend; the others follow from it
