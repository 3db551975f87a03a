"""What apply, reset and restore have in common: show the plan, ask, run, say what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iaactl.cli.output import Output

if TYPE_CHECKING:
    from iaactl.applier import Applier, ApplyResult
    from iaactl.model.plan import Plan


def make_applier(output: Output) -> Applier:
    """An applier that reports steps with -v and writes with -vv."""
    from iaactl import runtime
    from iaactl.cli.render.plan import step_text

    return runtime.applier(audit=output.audit, progress=lambda step: output.step(step_text(step)))


def show_plan(output: Output, plan: Plan, *, as_json: bool) -> None:
    """The diff on stdout, or on nothing with --json, where the result is the document."""
    if not as_json:
        from iaactl.cli.render.plan import plan_lines

        output.show(*plan_lines(plan))


def say_result(output: Output, result: ApplyResult, verb: str, *, as_json: bool) -> None:
    """The last line, or the JSON document."""
    if as_json:
        output.document("iaactl.result/1", result.model_dump(mode="json"))
        return
    if not result.changed_devices:
        return
    names = ", ".join(result.changed_devices)
    output.show(f"{verb} {names}: {result.steps} steps, every value read back")
    if result.restore_point and verb != "restored":
        output.note(f"to take it back: iaactl restore {result.restore_point}")
