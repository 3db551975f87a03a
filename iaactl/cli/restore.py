"""`iaactl restore [POINT]`: put back what a run changed."""

from __future__ import annotations

import click

from iaactl.cli.output import Output
from iaactl.cli.params import changing_options, json_option
from iaactl.errors import ExitCode


@click.command(
    epilog="""\b
Examples:
  iaactl restore                             the newest run that was cut short, else the newest
  iaactl restore 20260105T101500.000000Z
"""
)
@click.argument("point", required=False, help="Name of a restore point; default: the newest.")
@changing_options
@json_option
@click.pass_obj
def command(
    output: Output,
    point: str | None,
    yes: bool,
    take_over: tuple[str, ...],
    force: tuple[str, ...],
    as_json: bool,
) -> int:
    """Bring devices back to the state a restore point holds.

    Every apply and reset writes one before its first write; `restore` also repairs after a run
    that was killed. Restore points last until a reboot, as the configuration does.
    """
    from iaactl import runtime
    from iaactl.applier import refuse_ungranted
    from iaactl.cli.changing import make_applier, say_result, show_plan

    applier = make_applier(output)
    name, document = applier.read_point(point)
    plan = applier.plan_for(document)
    output.note(f"restore point {name}, made before: {document.title}")
    show_plan(output, plan, as_json=as_json)
    refuse_ungranted(plan, take_over, force)
    if not plan.empty:
        output.confirm("restore this state?", yes=yes)
    with runtime.interruptible():
        result = applier.restore(name, document, take_over=take_over, force=force)
    say_result(output, result, "restored", as_json=as_json)
    return ExitCode.DONE
