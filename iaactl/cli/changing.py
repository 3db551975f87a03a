"""What apply, reset and restore have in common: show the plan, ask, run, say what was done."""

from __future__ import annotations

from collections.abc import Sequence
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


def refuse_ungranted(plan: Plan, take_over: Sequence[str], force: Sequence[str]) -> None:
    """Stop before the question when the command line lacks an option the plan needs."""
    from iaactl.applier import ungranted
    from iaactl.errors import Busy

    missing = ungranted(plan, take_over, force)
    if missing:
        options = " ".join(dict.fromkeys(consent.option for consent in missing))
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise Busy(
            f"{missing[0].sentence}{more}; nothing was done",
            hint=f"to do it all the same, add {options}",
            consents=[consent.model_dump() for consent in missing],
        )


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
