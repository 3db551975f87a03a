"""`iaactl list`: what is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from iaactl.cli.output import Output
from iaactl.cli.params import json_option

if TYPE_CHECKING:
    from iaactl.model.device import Inventory


@click.command(
    epilog="""\b
Examples:
  iaactl list
  iaactl list --wqs --user libvirt-qemu      what QEMU could open, per socket
  iaactl list --json > host.json             for `iaactl plan --inventory host.json`
"""
)
@click.option("-a", "--all", "everything", is_flag=True, help="Show unused work queues as well.")
@click.option("--wqs", is_flag=True, help="Only the work queues that QEMU and QPL can use.")
@click.option("--user", "user_name", metavar="NAME", help="With --wqs: access of this user.")
@click.option("--socket", type=int, help="With --wqs: only those of this socket.")
@click.option("--watch", is_flag=True, help="Follow udev events and show the table again.")
@click.option(
    "--inventory",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Show a document of `list --json` instead of this machine.",
)
@json_option
@click.pass_obj
def command(
    output: Output,
    everything: bool,
    wqs: bool,
    user_name: str | None,
    socket: int | None,
    watch: bool,
    file: Path | None,
    as_json: bool,
) -> None:
    """Show devices, their work queues, and who owns them.

    Reading changes nothing and needs no privilege. With --json the whole inventory is printed.
    """
    from iaactl import runtime
    from iaactl.cli.documents import load_inventory

    if (user_name or socket is not None) and not wqs:
        raise click.UsageError("--user and --socket go with --wqs")
    if watch and (as_json or file):
        raise click.UsageError(
            "--watch shows tables of this machine; leave --json, --inventory out"
        )
    inventory = load_inventory(file) if file else runtime.inventory()

    def show(inventory: Inventory) -> None:
        if wqs:
            _wqs(output, inventory, user_name, socket, as_json=as_json)
        else:
            _devices(output, inventory, everything=everything, as_json=as_json)

    show(inventory)
    if watch:
        for event in runtime.events().follow():
            output.show("", f"{event.action} {event.subsystem} {event.name}")
            show(runtime.inventory())


def _devices(output: Output, inventory: Inventory, *, everything: bool, as_json: bool) -> None:
    if as_json:
        output.document("iaactl.inventory/1", inventory.model_dump(mode="json"))
        return
    from iaactl.cli.render.inventory import devices_table, findings_text
    from iaactl.doctor.checks.devices import check

    if not inventory.functions and not inventory.devices:
        output.note(
            "no IAA device on this machine (PCI 8086:0cfe and its successors)\n"
            "hint: `iaactl sim run` opens a shell in a simulated machine that has eight"
        )
        return
    output.show(devices_table(inventory, everything=everything))
    findings = findings_text(check(inventory))
    if findings:
        output.show("", *findings)


def _wqs(
    output: Output, inventory: Inventory, name: str | None, socket: int | None, *, as_json: bool
) -> None:
    from iaactl import runtime
    from iaactl.consumers import consumer_queues, why_none

    user = runtime.user(name)
    queues = consumer_queues(inventory.devices, user, socket=socket)
    if as_json:
        data = {"user": user.name, "work_queues": [q.model_dump(mode="json") for q in queues]}
        output.document("iaactl.work-queues/1", data)
        return
    if not queues:
        output.note(why_none(inventory))
        return
    from iaactl.cli.render.inventory import consumers_table

    output.show(consumers_table(queues))
