"""`iaactl show NAME`: one object in full."""

from __future__ import annotations

import click

from iaactl.cli.output import Output
from iaactl.cli.params import OBJECT, json_option


@click.command(
    epilog="""\b
Examples:
  iaactl show iax1
  iaactl show wq1.0
  iaactl show 6a:02.0
"""
)
@click.argument("name", type=OBJECT, help="iax1, wq1.0, engine1.3, group1.0 or a PCI address.")
@json_option
@click.pass_obj
def command(output: Output, name: str, as_json: bool) -> None:
    """Show one object with every attribute, capabilities and cmd_status decoded."""
    from iaactl import runtime
    from iaactl.inventory import named

    inventory = runtime.inventory()
    thing = named(inventory, name)
    if as_json:
        data = {"kind": type(thing).__name__, "object": thing.model_dump(mode="json")}
        output.document("iaactl.object/1", data)
        return
    from iaactl.cli.render.inventory import findings_text, object_table
    from iaactl.doctor.checks.devices import check

    output.show(object_table(thing))
    mine = {thing.id, f"{getattr(thing, 'device', '')}/{thing.id}"}
    lines = findings_text([f for f in check(inventory) if f.subject in mine])
    if lines:
        output.show("", *lines)
