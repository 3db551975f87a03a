"""Tables of devices and work queues, and one object in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from iaactl.iaa.capability import GenCap, decode_op_cap
from iaactl.model.attributes import BY_NAME, Kind, Owner
from iaactl.model.cmd_status import explain
from iaactl.model.device import Device, Engine, Group, Inventory, WorkQueue
from iaactl.model.finding import Finding, Severity
from iaactl.model.units import format_bytes

if TYPE_CHECKING:
    from iaactl.consumers import ConsumerQueue

_STATE_STYLE = {"enabled": "green", "disabled": "dim", "halted": "red"}
_SIGN = {Severity.ERROR: "!!", Severity.WARNING: "!", Severity.NOTICE: "-"}
_SIGN_STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTICE: "dim"}


def _table(*columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=True,
            overflow="ellipsis" if column == "LABEL" else "fold",
        )
    return table


def _state(state: str) -> Text:
    return Text(state, style=_STATE_STYLE.get(state, ""))


def _or_dash(value: object) -> str:
    return "-" if value is None or value == "" else str(value)


def _shown(wq: WorkQueue, *, everything: bool) -> bool:
    used = wq.enabled or bool(wq.size) or bool(wq.name) or wq.group_id not in (None, -1)
    return everything or used or bool(wq.clients)


def _clients(wq: WorkQueue) -> str:
    if not wq.clients:
        return "" if not wq.enabled else "0"
    pids = f" (pid {', '.join(map(str, wq.client_pids))})" if wq.client_pids else ""
    return f"{wq.clients}{pids}"


def devices_table(inventory: Inventory, *, everything: bool) -> Table:
    """Devices with their work queues beneath; unused work queues only with `everything`.

    Both kinds of row share columns: what a device has in PCI, a work queue has in MODE and TYPE.
    """
    table = _table(
        "NAME", "STATE", "NODE", "SKT", "PCI / MODE", "GRP", "ENG", "SIZE", "PRI", "TYPE", "LABEL",
        "OWNER", "CLIENTS",
        right=("NODE", "SKT", "GRP", "ENG", "SIZE", "PRI"),
    )  # fmt: skip
    for device in inventory.devices:
        used = sum(wq.size or 0 for wq in device.work_queues)
        grouped = sum(1 for e in device.engines if e.group_id not in (None, -1))
        table.add_row(
            Text(device.id, style="bold"),
            _state(device.state),
            str(device.numa_node),
            _or_dash(device.socket),
            device.pci,
            "",
            f"{grouped}/{len(device.engines)}",
            f"{used}/{device.max_work_queues_size}",
        )
        for wq in device.work_queues:
            if not _shown(wq, everything=everything):
                continue
            engines = sum(1 for e in device.engines if e.group_id == wq.group_id != -1)
            table.add_row(
                f" {wq.id}",
                _state(wq.state),
                "",
                "",
                f"  {wq.mode or '-'}",
                _or_dash(None if wq.group_id == -1 else wq.group_id),
                str(engines),
                _or_dash(wq.size),
                _or_dash(wq.priority),
                _or_dash(wq.type),
                _or_dash(wq.name),
                _or_dash(wq.owner),
                _clients(wq),
            )
    for function in inventory.functions:
        if function.idxd_device is None:
            table.add_row(
                Text("(none)", style="yellow"),
                Text(function.driver or "no driver"),
                str(function.numa_node),
                _or_dash(function.socket),
                function.address,
            )
    return table


def consumers_table(queues: Iterable[ConsumerQueue]) -> Table:
    """The work queues that QEMU and QPL can use, socket by socket."""
    table = _table(
        "SOCKET", "NODE", "WQ", "PATH", "SIZE", "THRESHOLD", "ENGINES", "LABEL", "ACCESS",
        right=("SOCKET", "NODE", "SIZE", "THRESHOLD", "ENGINES"),
    )  # fmt: skip
    for queue in queues:
        table.add_row(
            _or_dash(queue.socket),
            str(queue.numa_node),
            queue.wq,
            _or_dash(queue.path),
            _or_dash(queue.size),
            _or_dash(queue.threshold),
            str(queue.engines),
            _or_dash(queue.name),
            Text(queue.access, style="green" if queue.usable else "yellow"),
        )
    return table


def findings_text(findings: Sequence[Finding]) -> list[Text]:
    """Findings as lines: sign, code, sentence, and the remedy beneath; alike ones together."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        same = finding.sentence.replace(finding.subject, "")
        for part in finding.subject.split("/"):
            same = same.replace(part, "")
        groups.setdefault((finding.code, same), []).append(finding)
    lines: list[Text] = []
    for group in groups.values():
        first = group[0]
        line = Text(f"{_SIGN.get(first.severity, '?'):<2} ", _SIGN_STYLE.get(first.severity, ""))
        line.append(f"{first.code}  ", style="dim")
        line.append(first.sentence, style="default")
        lines.append(line)
        if len(group) > 1:
            others = ", ".join(finding.subject for finding in group[1:])
            lines.append(Text(f"             likewise {others}"))
        if first.remedy:
            remedies = list(dict.fromkeys(finding.remedy or "" for finding in group))
            lines.append(Text(f"             next: {remedies[0]}", style="dim"))
    return lines


def _value(owner: Owner, name: str, value: object) -> str:
    spec = BY_NAME[(owner, name)]
    if value is None:
        return "-"
    if spec.kind is Kind.HEX and isinstance(value, int):
        return f"{value:#x}"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "-"
    if spec.unit == "bytes" and isinstance(value, int):
        return f"{value} ({format_bytes(value)})"
    return f"{value} {spec.unit}".rstrip() if value != "" else "(empty)"


def object_table(thing: Device | WorkQueue | Engine | Group) -> Table:
    """All attributes of one object under their sysfs names, decoded where that helps."""
    owner = {
        Device: Owner.DEVICE,
        WorkQueue: Owner.WQ,
        Engine: Owner.ENGINE,
        Group: Owner.GROUP,
    }[type(thing)]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    if isinstance(thing, Device):
        table.add_row("pci", thing.pci)
        table.add_row("socket", _or_dash(thing.socket))
        table.add_row("driver", _or_dash(thing.driver))
    elif isinstance(thing, WorkQueue):
        table.add_row("device", thing.device)
        table.add_row("driver", _or_dash(thing.driver))
        table.add_row("owner", _or_dash(thing.owner))
        if thing.node:
            node = thing.node
            who = f"{node.owner or node.uid}:{node.group or node.gid} {node.mode:04o}"
            table.add_row("node", f"{node.path}  {who}")
        if thing.client_pids:
            table.add_row("client_pids", " ".join(map(str, thing.client_pids)))
    for spec in (s for s in BY_NAME.values() if s.owner is owner):
        value = getattr(thing, spec.name, None)
        if value is not None:
            table.add_row(spec.name, _value(owner, spec.name, value))
    if isinstance(thing, Device):
        _decoded(table, thing)
    return table


def _decoded(table: Table, device: Device) -> None:
    if device.cmd_status is not None:
        table.add_row("  cmd_status", f"means: {explain(device.cmd_status)}")
    if device.op_cap:
        names = ", ".join(decode_op_cap(device.op_cap))
        table.add_row("  op_cap", f"operations: {names}")
    if device.gen_cap is not None:
        table.add_row("  gen_cap", f"means: {GenCap.parse(device.gen_cap).describe()}")
