"""`iaactl verify PROFILE`: drift between a profile and the machine."""

from __future__ import annotations

import click

from iaactl.cli.output import Output
from iaactl.cli.params import PROFILE, json_option
from iaactl.errors import ExitCode


@click.command(
    epilog="""\b
Examples:
  iaactl verify qemu-migration
  iaactl verify /etc/iaactl/profiles/host.yaml --json || alert
"""
)
@click.argument("profile", type=PROFILE, help="A file, a known name, or a preset.")
@json_option
@click.pass_obj
def command(output: Output, profile: str, as_json: bool) -> int:
    """Check that devices are as PROFILE says; exit 6 and show the drift where they are not."""
    from iaactl import runtime
    from iaactl.cli.plan import make_plan, refuse_unfit

    plan = make_plan(profile, runtime.inventory())
    if as_json:
        output.document(
            "iaactl.verdict/1",
            {"profile": profile, "ok": plan.empty, "plan": plan.model_dump(mode="json")},
        )
    refuse_unfit(plan)
    if not as_json:
        from iaactl.cli.render.plan import plan_lines

        if plan.empty:
            names = ", ".join(part.device for part in plan.devices)
            output.show(f"{names}: as {plan.title} says")
        else:
            output.show(*plan_lines(plan)[:-1])
            output.show("drift; `iaactl apply` would set it right")
    return ExitCode.DONE if plan.empty else ExitCode.VERDICT_NO
