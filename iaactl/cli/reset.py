"""`iaactl reset [DEVICE...]`: back to unconfigured."""

from __future__ import annotations

import click

from iaactl.cli.output import Output
from iaactl.cli.params import DEVICE, changing_options, json_option
from iaactl.errors import DeviceNotFound, ExitCode


@click.command(
    epilog="""\b
Examples:
  iaactl reset iax1
  iaactl reset --all --yes
"""
)
@click.argument("devices", type=DEVICE, nargs=-1, help="Names of devices, e.g. iax1.")
@click.option("-a", "--all", "everything", is_flag=True, help="All IAA devices.")
@changing_options
@json_option
@click.pass_obj
def command(
    output: Output,
    devices: tuple[str, ...],
    everything: bool,
    yes: bool,
    take_over: tuple[str, ...],
    force: tuple[str, ...],
    as_json: bool,
) -> int:
    """Disable devices and take their configuration away, as after loading an old driver."""
    from iaactl import runtime
    from iaactl.applier import refuse_ungranted
    from iaactl.cli.changing import make_applier, say_result, show_plan
    from iaactl.cli.plan import refuse_unfit
    from iaactl.planner import plan_reset

    if bool(devices) == everything:
        raise click.UsageError("name devices, or give --all")
    inventory = runtime.inventory()
    chosen = list(inventory.devices) if everything else []
    for name in devices:
        device = inventory.find(name)
        if device is None:
            known = ", ".join(d.id for d in inventory.devices) or "none"
            raise DeviceNotFound(
                f"there is no device {name}", hint=f"IAA devices here: {known}", name=name
            )
        chosen.append(device)
    plan = plan_reset(chosen, inventory)
    show_plan(output, plan, as_json=as_json)
    refuse_unfit(plan)
    refuse_ungranted(plan, take_over, force)
    if not plan.empty:
        output.confirm("reset these devices?", yes=yes)
    with runtime.interruptible():
        result = make_applier(output).run(plan, take_over=take_over, force=force)
    say_result(output, result, "reset", as_json=as_json)
    return ExitCode.DONE
