"""Who may open the nodes, and whether that lasts."""

from __future__ import annotations

from collections.abc import Iterator

from iaactl.consumers import may_open
from iaactl.model.codes import found
from iaactl.model.device import Inventory, Node, WorkQueue
from iaactl.model.facts import Facts, Line
from iaactl.model.finding import Finding


def _who(node: Node) -> str:
    return f"{node.owner or node.uid}:{node.group or node.gid} {node.mode:04o}"


def _named_by(wq: WorkQueue, rules: tuple[Line, ...]) -> bool:
    """Whether a rule speaks of this node or of all nodes of work queues."""
    return any(
        wq.id in rule.text or "iax/wq*" in rule.text or "iax/*" in rule.text
        or ('SUBSYSTEM=="dsa"' in rule.text and "wq" not in rule.text)
        for rule in rules
    )  # fmt: skip


def check(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """Permission bits for the user and for the accounts that run QEMU here."""
    probed = {probe.wq for probe in facts.probes or ()}
    for wq in inventory.work_queues():
        node = wq.node
        if node is None or not wq.enabled or wq.driver != "user":
            continue
        user = facts.user
        if user is not None and not may_open(node, user) and wq.path not in probed:
            yield found(
                "IAA-A001",
                wq.path,
                f"{user.name} may not open {node.path}",
                f"{node.path}: {_who(node)}",
            )
        for account in facts.hypervisor_users:
            if (user is None or account.uid != user.uid) and not may_open(node, account):
                yield found(
                    "IAA-A002",
                    wq.path,
                    f"{account.name}, who runs QEMU here, may not open {node.path}",
                    f"{node.path}: {_who(node)}",
                    remedy="grant it with `access` in the profile, then "
                    f"`sudo iaactl doctor --user {account.name}`",
                )
        if node.mode & 0o006:
            yield found(
                "IAA-S004",
                wq.path,
                f"every user of this machine may submit to {wq.path}",
                f"{node.path}: {_who(node)}",
            )
        given = bool(node.uid or node.gid or node.mode & 0o066)
        if given and facts.udev_rules is not None and not _named_by(wq, facts.udev_rules):
            yield found(
                "IAA-A003",
                wq.path,
                f"the access to {node.path} is lost when {wq.id} is enabled again: no udev rule "
                "gives it",
                f"{node.path}: {_who(node)}",
                f"udev rules for the dsa subsystem: {len(facts.udev_rules)}",
            )
    user = facts.user
    unmapped = [p for p in facts.probes or () if not p.errno and p.way == "write"]
    if unmapped and user is not None and not user.raw_io:
        yield found(
            "IAA-A004",
            unmapped[0].wq,
            f"{user.name} lacks CAP_SYS_RAWIO, so descriptors go through write(2)",
            f"{unmapped[0].path}: submitted by write()",
        )
