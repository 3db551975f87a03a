"""`iaactl apply PROFILE|PLAN`: configure devices, verified, or put back."""

from __future__ import annotations

from pathlib import Path

import click

from iaactl.cli.output import Output
from iaactl.cli.params import PROFILE, changing_options, json_option
from iaactl.errors import ExitCode


@click.command(
    epilog="""\b
Examples:
  iaactl apply qemu-migration                ask, then do
  iaactl apply ./mine.yaml --yes
  iaactl apply plan.json                     what `iaactl plan -o` saved; refused when stale
  iaactl apply qemu-migration --take-over iaa_crypto
"""
)
@click.argument("profile", type=PROFILE, help="A profile (file, name, preset) or a saved plan.")
@click.option("--check", is_flag=True, help="Only say whether it could be done; exit 6 on changes.")
@changing_options
@json_option
@click.pass_obj
def command(
    output: Output,
    profile: str,
    check: bool,
    yes: bool,
    take_over: tuple[str, ...],
    force: tuple[str, ...],
    as_json: bool,
) -> int:
    """Configure devices as PROFILE says, through libaccel-config.

    Only devices that differ are touched. Every value is read back. If a step fails, everything
    that was changed is put back (exit 1); if that fails too, `iaactl restore` tries again (exit 5).
    """
    from iaactl import runtime
    from iaactl.applier import load_plan, refuse_ungranted
    from iaactl.cli.changing import make_applier, say_result, show_plan
    from iaactl.cli.documents import read_text
    from iaactl.cli.plan import make_plan, refuse_unfit

    saved = profile.endswith(".json")
    if saved:
        plan = load_plan(read_text(Path(profile)), profile)
    else:
        plan = make_plan(profile, runtime.inventory())
    show_plan(output, plan, as_json=as_json)
    refuse_unfit(plan)
    refuse_ungranted(plan, take_over, force)
    if check:
        return ExitCode.DONE if plan.empty else ExitCode.VERDICT_NO
    if not plan.empty and not saved:
        output.confirm("apply these changes?", yes=yes)
    with runtime.interruptible():
        result = make_applier(output).run(plan, take_over=take_over, force=force)
    say_result(output, result, "applied to", as_json=as_json)
    return ExitCode.DONE
