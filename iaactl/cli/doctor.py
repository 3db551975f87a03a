"""`iaactl doctor`: the cause, not the symptom, and the next command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from iaactl.cli.output import Output
from iaactl.cli.params import json_option
from iaactl.errors import DocumentError, ExitCode, UsageProblem

if TYPE_CHECKING:
    from iaactl.model.device import Inventory
    from iaactl.model.facts import Facts


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  iaactl doctor                              this machine, as this user
  sudo iaactl doctor --user libvirt-qemu     as the user who runs QEMU
  iaactl doctor --collect host.tar.gz        save the facts, redacted
  iaactl doctor --root host.tar.gz           look at them on another machine
  iaactl doctor explain IAA-I003             the story behind a code
""",
)
@click.option("--all", "everything", is_flag=True, help="Show the checks that passed, too.")
@click.option(
    "--user",
    "user_name",
    metavar="NAME",
    help="Look at access, and open the queues, as this user; opening as another takes root.",
)
@click.option(
    "--socket",
    type=click.IntRange(0),
    help="Only this socket decides the verdict.",
)
@click.option("--no-probe", is_flag=True, help="Do not open any work queue.")
@click.option(
    "--root",
    metavar="DIR|FILE",
    type=click.Path(path_type=Path),
    help="Look at a collection, or at any directory laid out like a root file system, instead of "
    "this machine.",
)
@click.option(
    "--collect",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the facts of this machine as FILE (.tar.gz), without host name, serial numbers, "
    "MAC addresses and secrets.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    everything: bool,
    user_name: str | None,
    socket: int | None,
    no_probe: bool,
    root: Path | None,
    collect: Path | None,
    as_json: bool,
) -> int:
    """Find out why IAA does not work for QEMU here, and what to do next.

    Changes nothing and needs no root; what root would add is said. Each enabled user work queue
    is opened and runs one noop, the only proof that it can be used. Root causes come first, what
    follows from them is folded beneath. Exit 0 when QEMU can use a queue on each socket that has
    IAA devices (on --socket's), 6 when not. Where no queue could be opened (--root, --no-probe),
    0 means that queues are set up and nothing speaks against them; the verdict says so.
    """
    if ctx.invoked_subcommand is not None:
        return ExitCode.DONE
    output: Output = ctx.obj
    if root is not None and (collect is not None or no_probe):
        raise UsageProblem(
            "--root looks at another machine's files; --collect and --no-probe are about this one"
        )
    if root is not None:
        facts, inventory = _tree(root, user_name)
    else:
        facts, inventory = _live(output, user_name, probe=not no_probe, collect=collect)
    from iaactl.doctor.diagnosis import diagnose

    diagnosis = diagnose(facts, inventory, socket)
    if as_json:
        output.document("iaactl.diagnosis/1", diagnosis.model_dump(mode="json"))
    else:
        from iaactl.cli.render.diagnosis import diagnosis_lines

        output.show(*diagnosis_lines(diagnosis, everything=everything or bool(output.verbose)))
    return ExitCode.DONE if diagnosis.ready else ExitCode.VERDICT_NO


def _live(
    output: Output, user_name: str | None, *, probe: bool, collect: Path | None
) -> tuple[Facts, Inventory]:
    from iaactl import runtime

    user = runtime.user(user_name)
    if collect is None:
        inventory = runtime.inventory()
        return runtime.live_facts(inventory, user, probe=probe, files=runtime.files()), inventory
    recording = runtime.recording()
    inventory = runtime.inventory_of(recording)
    facts = runtime.live_facts(inventory, user, probe=probe, files=recording)
    runtime.save_collection(recording, facts, collect)
    output.note(
        f"saved {collect}; read it before you give it away, then: iaactl doctor --root {collect}"
    )
    return facts, inventory


def _tree(root: Path, user_name: str | None) -> tuple[Facts, Inventory]:
    from iaactl import runtime

    files = runtime.files_of(root)
    inventory = runtime.inventory_of(files)
    facts = runtime.tree_facts(files, inventory)
    if user_name is not None and (facts.user is None or facts.user.name != user_name):
        user = runtime.account_in(files, user_name)
        if user is None:
            raise DocumentError(
                f"{root} has no account {user_name}",
                hint="collect on the host with `--user NAME`, or add etc/passwd and etc/group",
            )
        facts = facts.model_copy(update={"user": user, "probes": None})
    return facts, inventory


@command.command(epilog="\b\nExample:\n  iaactl doctor explain IAA-K003")
@click.argument(
    "code", metavar="CODE", help="A code, e.g. IAA-I002; without the IAA- is fine, too."
)
@json_option
@click.pass_obj
def explain(output: Output, code: str, as_json: bool) -> None:
    """Tell the story behind a code: what it means, what causes it, what to do, sources."""
    from iaactl.model.codes import BY_CODE

    name = code.upper() if code.upper().startswith("IAA-") else f"IAA-{code.upper()}"
    if name not in BY_CODE:
        import difflib

        near = difflib.get_close_matches(name, BY_CODE, n=3)
        raise UsageProblem(
            f"there is no code {code}",
            hint=f"did you mean {', '.join(near)}? " if near else "the README lists all codes",
        )
    entry = BY_CODE[name]
    if as_json:
        import dataclasses

        output.document("iaactl.code/1", dataclasses.asdict(entry))
        return
    from iaactl.cli.render.diagnosis import code_lines

    output.show(*code_lines(entry))
