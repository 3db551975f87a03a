"""The command group, loaded lazily, and the one place where an exception becomes an exit code.

The table below holds each command's short help, so that `--help` and shell completion import one
command at most: neither needs pydantic, pyudev or cffi.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from iaactl import __version__
from iaactl.cli.output import Output, report_bug, report_error
from iaactl.errors import ExitCode, IaactlError

COMMANDS: dict[str, tuple[str, str]] = {
    "list": ("iaactl.cli.list", "Show devices, engines, groups and work queues."),
    "show": ("iaactl.cli.show", "Show one device, work queue, engine or group in full."),
    "plan": ("iaactl.cli.plan", "Show what applying a profile would change."),
    "apply": ("iaactl.cli.apply", "Configure devices as a profile says, or as a plan says."),
    "verify": ("iaactl.cli.verify", "Check that devices are as a profile says."),
    "reset": ("iaactl.cli.reset", "Disable devices and take their configuration away."),
    "restore": ("iaactl.cli.restore", "Put back what an earlier run changed."),
    "doctor": ("iaactl.cli.doctor", "Find out why IAA does not work here, and what to do next."),
    "selftest": ("iaactl.cli.selftest", "Prove work queues with real operations."),
    "migrate-bench": (
        "iaactl.cli.migrate_bench",
        "Measure live migration on IAA and in software, side by side.",
    ),
    "profile": ("iaactl.cli.profile", "List, validate, import and export profiles."),
    "schema": ("iaactl.cli.schema", "Print the JSON Schema of a --json document."),
    "sim": ("iaactl.cli.sim", "Run commands in a simulated machine with IAA devices."),
    "completion": ("iaactl.cli.completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are modules with an attribute `command`, imported when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed and put back, 2 usage, 3 invalid file, 4 not possible "
    "here, 5 could not be put back, 6 the verdict is no, 70 bug, 130 interrupted.",
)
@click.version_option(__version__, "-V", "--version", prog_name="iaactl")
@click.option("-v", "--verbose", count=True, help="Show each step; -vv each write to the driver.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no notes on stderr.")
@click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colour the output; NO_COLOR is respected too.",
)
@click.pass_context
def cli(ctx: click.Context, verbose: int, quiet: bool, color: str) -> None:
    """Configure Intel IAA accelerators for live migration, and prove that they work.

    \b
    Start with:
      iaactl list                      what is there
      iaactl plan qemu-migration       what would change
      iaactl apply qemu-migration      change it, verified, or put back
    Without hardware:
      iaactl sim run                   a shell in a machine with eight IAA devices
    """
    ctx.obj = Output(verbose=verbose, quiet=quiet, color=color)


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    as_json = "--json" in argv
    try:
        result: Any = cli.main(args=list(argv), prog_name="iaactl", standalone_mode=False)
        sys.stdout.flush()
        return int(result) if isinstance(result, int) else ExitCode.DONE
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        print("aborted; nothing was changed", file=sys.stderr)  # noqa: T201
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return ExitCode.USAGE
    except IaactlError as error:
        report_error(error, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)  # noqa: T201
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception:  # noqa: BLE001 - the one place where a bug is reported
        report_bug(as_json=as_json)
        return ExitCode.BUG
