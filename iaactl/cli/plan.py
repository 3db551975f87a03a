"""`iaactl plan PROFILE`: what applying a profile would change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from iaactl.cli.output import Output, envelope
from iaactl.cli.params import PROFILE, json_option
from iaactl.errors import ExitCode, HostError

if TYPE_CHECKING:
    from iaactl.model.device import Inventory
    from iaactl.model.plan import Plan


def make_plan(profile_name: str, inventory: Inventory) -> Plan:
    """The plan for a profile given by file, name or preset."""
    from iaactl.planner import plan_profile
    from iaactl.profiles.load import load

    return plan_profile(load(profile_name), inventory, title=f"profile {profile_name}")


def refuse_unfit(plan: Plan, *, here: bool = True) -> None:
    """Raise HostError when the profile cannot work on the machine.

    `here`: the plan is for this machine, so that the cause behind a symptom can be looked for.
    """
    from iaactl.model.finding import Severity

    errors = [f for f in plan.findings if f.severity is Severity.ERROR]
    if errors:
        sentence = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        cause = root_cause(errors[0].code) if here else None
        raise HostError(
            f"{plan.title} cannot work on this machine: {sentence}, first {errors[0].sentence}",
            hint=cause or errors[0].remedy,
            findings=[f.model_dump(mode="json") for f in errors],
        )


def root_cause(code: str) -> str | None:
    """What explains a finding of that code on this machine, as a hint; no queue is opened."""
    from iaactl import runtime
    from iaactl.doctor.causes import roots
    from iaactl.doctor.diagnosis import findings_of
    from iaactl.model.codes import BY_CODE
    from iaactl.model.finding import Severity

    causes = BY_CODE[code].explained_by
    if not causes:
        return None
    inventory = runtime.inventory()
    facts = runtime.live_facts(inventory, runtime.user(None), probe=False, files=runtime.files())
    for finding in roots(findings_of(facts, inventory)):
        if finding.code in causes and finding.severity in (Severity.ERROR, Severity.WARNING):
            next_step = f": {finding.remedy}" if finding.remedy else ""
            return f"{finding.sentence} ({finding.code}){next_step}"
    return None


@click.command(
    epilog="""\b
Examples:
  iaactl plan qemu-migration
  iaactl plan ./mine.yaml -o plan.json && iaactl apply plan.json
  iaactl plan 2n4d8e1w-s --inventory host.json
"""
)
@click.argument("profile", type=PROFILE, help="A file, a known name, or a preset (1n4d8e1w-s-n1).")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the plan, for `iaactl apply FILE`.",
)
@click.option(
    "--inventory",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Plan for a document of `list --json` instead of this machine.",
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 6 when there are changes.")
@json_option
@click.pass_obj
def command(
    output: Output,
    profile: str,
    out: Path | None,
    file: Path | None,
    detailed_exitcode: bool,
    as_json: bool,
) -> int:
    """Show what applying PROFILE would change; nothing is changed.

    Every difference is a line that begins with +, ~ or -. Lines with ! name what the plan would
    take from its present user, and the option that allows it.
    """
    import json

    from iaactl import runtime
    from iaactl.cli.documents import load_inventory

    inventory = load_inventory(file) if file else runtime.inventory()
    plan = make_plan(profile, inventory)
    document = plan.model_dump(mode="json")
    if as_json:
        output.document("iaactl.plan/1", document)
    else:
        from iaactl.cli.render.plan import plan_lines

        output.show(*plan_lines(plan))
    refuse_unfit(plan, here=file is None)
    if out is not None:
        out.write_text(json.dumps(envelope("iaactl.plan/1", document), indent=1) + "\n")
        output.note(f"saved; apply it with `iaactl apply {out}`")
    return ExitCode.VERDICT_NO if detailed_exitcode and not plan.empty else ExitCode.DONE
