"""`iaactl sim ...`: a simulated machine with IAA devices, for trying out and for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from iaactl.cli.output import Output
from iaactl.cli.params import json_option

_FAULTS = """\b
Faults (--fault, repeatable):
  write:PATTERN[:nth=N[:from]]:errno=NAME    a write to an attribute fails without effect
  write:PATTERN[:nth=N[:from]]:kill          SIGKILL to the writer before it takes effect
  write:PATTERN[:nth=N[:from]]:kill-after    SIGKILL to the writer after it took effect
  open:PATTERN[:nth=N[:from]]:errno=NAME     opening a file fails
  submit:PATTERN[:nth=N[:from]]:errno=NAME   a write to a device node fails
  command:DEVICE:COMMAND[:nth=N[:from]]:error=CODE
                                             the device refuses a command with CODE
  descriptor:WQ:OPCODE[:nth=N[:from]]:status=CODE
                                             a descriptor completes with this status
  descriptor:WQ:OPCODE[:nth=N[:from]]:fault=OPERAND
                                             page fault on source1, destination, source2 or
                                             completion, where it does not block on faults
  descriptor:WQ:OPCODE[:nth=N[:from]]:hang   it never completes; slow=SECONDS: it takes long
  remove:DEVICE:after-writes=N               hot removal after the N-th write to any attribute
PATTERN is the end of a path, with shell wildcards in each component: `threshold`,
`wq1.0/threshold`, `drivers/user/bind`, `*`. Every match counts; without nth each one fails,
with nth only the N-th, with nth=N:from that one and all later ones.

\b
Examples:
  iaactl sim run
  iaactl sim run -- accel-config list -i
  iaactl sim run --machine no-sva -- iaactl list
  iaactl sim run --fault write:wq1.0/threshold:errno=EIO -- iaactl apply qemu-migration
  iaactl sim run --fault command:iax3:ENABLE_DEV:error=0x14 --log writes.jsonl -- sh script.sh
"""


class MachineName(click.ParamType[str]):
    """A machine that comes with iaactl, or a TOML file."""

    name = "machine"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names that begin so, and files."""
        from iaactl.sim.machine import names

        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


class FaultSpec(click.ParamType[Any]):
    """One `--fault`, parsed strictly."""

    name = "spec"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The parsed fault; a specification that is wrong is a usage error."""
        from iaactl.errors import UsageProblem
        from iaactl.sim.faults import Fault, parse

        if isinstance(value, Fault):
            return value
        try:
            return parse(str(value))
        except UsageProblem as error:
            self.fail(error.message, param, ctx)


@click.group()
def command() -> None:
    """Run commands in a simulated machine with IAA devices.

    No hardware and no driver are needed, and nothing on this system changes.
    """


@command.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=_FAULTS,
)
@click.option(
    "--machine",
    type=MachineName(),
    default="spr-2s",
    show_default=True,
    metavar="NAME|FILE.toml",
    help="The machine; `iaactl sim machines` lists them.",
)
@click.option(
    "--fault",
    "faults",
    type=FaultSpec(),
    multiple=True,
    metavar="SPEC",
    help="Let something fail; see below. May be given more than once.",
)
@click.option(
    "--log",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one JSON line for each write to sysfs and each open of a device.",
)
@click.argument(
    "arguments",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[-- COMMAND...]",
    help="What to run, with its arguments; default: a shell.",
)
@click.pass_context
def run(
    ctx: click.Context,
    machine: str,
    faults: tuple[Any, ...],
    log: Path | None,
    arguments: tuple[str, ...],
) -> None:
    """Run COMMAND, or a shell, where the simulated devices are.

    The command and its children see the machine's /sys, /dev/iax, kernel log (/dev/kmsg) and
    /boot, its settings of GRUB, and its CPUs, command line, release and modules in /proc; the
    rest of the system as it is (the rest of /sys for reading only), an empty /etc/udev/rules.d
    and /etc/modprobe.d, and no network but the loopback interface. Everything goes with the
    command; its exit status is passed on, 128 + n when signal n ended it. uname(2) and syslog(2)
    still answer for the running kernel.

    Runs as any user who may make user namespaces and open /dev/fuse, and is root inside.
    """
    from iaactl.sim import machine as machines
    from iaactl.sim.world import Run
    from iaactl.sim.world import run as run_world

    ctx.exit(run_world(Run(machines.load(machine), arguments, faults, log)))


@command.command(epilog="\b\nExample:\n  iaactl sim machines")
@json_option
@click.pass_obj
def machines(output: Output, as_json: bool) -> None:
    """List the simulated machines."""
    from rich.table import Table
    from rich.text import Text

    from iaactl.sim.machine import load, names

    known = [(name, load(name).description) for name in names()]
    if as_json:
        data = [{"name": name, "description": description} for name, description in known]
        output.document("iaactl.machines/1", data)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    for name, description in known:
        table.add_row(Text(name), Text(description))
    output.show(table)
