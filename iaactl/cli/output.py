"""stdout is the answer, stderr the rest: consoles, JSON documents, errors and confirmations."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from iaactl import __version__
from iaactl.errors import IaactlError, UsageProblem

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPED_WIDTH = 100


def envelope(schema: str, data: object) -> dict[str, object]:
    """The versioned document that every `--json` prints."""
    return {"schema": schema, "iaactl": __version__, "data": data}


class Output:
    """Where one command prints. Made once a run, from the global options."""

    def __init__(self, *, verbose: int = 0, quiet: bool = False, color: str = "auto") -> None:
        self.verbose = verbose
        self.quiet = quiet
        self._color = color

    def _console(self, *, stderr: bool) -> Console:
        from rich.console import Console

        stream = sys.stderr if stderr else sys.stdout
        terminal = {"always": True, "never": False}.get(self._color)
        if self._color == "auto" and not stream.isatty():
            terminal = False  # FORCE_COLOR and the like must not reach a pipe by accident
        return Console(
            file=stream,
            force_terminal=terminal,
            no_color=True if self._color == "never" or os.environ.get("NO_COLOR") else None,
            width=None if stream.isatty() else PIPED_WIDTH,
            highlight=False,
            soft_wrap=False,
        )

    def show(self, *things: RenderableType) -> None:
        """Print the answer."""
        console = self._console(stderr=False)
        for thing in things:
            console.print(thing)

    def note(self, text: str) -> None:
        """Tell something beside the answer, on stderr."""
        if not self.quiet:
            print(text, file=sys.stderr)  # noqa: T201

    def warn(self, text: str, hint: str | None = None) -> None:
        """A warning on stderr, also when quiet."""
        print(f"warning: {text}", file=sys.stderr)  # noqa: T201
        if hint:
            print(f"hint: {hint}", file=sys.stderr)  # noqa: T201

    def document(self, schema: str, data: object) -> None:
        """Print exactly one JSON document."""
        print(json.dumps(envelope(schema, data), indent=2))  # noqa: T201

    def step(self, text: str) -> None:
        """A step, with -v."""
        if self.verbose == 1:  # with -vv each operation is shown instead
            print(text, file=sys.stderr)  # noqa: T201

    def audit(self, verb: str, path: str, before: str | None, after: str | None) -> None:
        """One operation on the driver, with -vv."""
        if self.verbose > 1:
            values = "" if after is None else f" {before!r} -> {after!r}"
            print(f"{verb} {path}{values}", file=sys.stderr)  # noqa: T201

    def confirm(self, question: str, *, yes: bool) -> None:
        """Go on only with `--yes` or a yes typed on a terminal."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise UsageProblem(
                "there is no terminal to confirm on",
                hint="look at the plan first, then add --yes",
            )
        click.confirm(question, abort=True, err=True)


def _print_hint(hint: str | None) -> None:
    if hint:
        print(f"hint: {hint}", file=sys.stderr)  # noqa: T201


def report_error(error: IaactlError, *, as_json: bool) -> None:
    """One error on stderr: text, or a JSON document."""
    if as_json:
        data: dict[str, Any] = {
            "kind": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "exit_code": int(error.exit_code),
            "facts": error.facts,
        }
        print(json.dumps(envelope("iaactl.error/1", data), default=str), file=sys.stderr)  # noqa: T201
        return
    print(f"error: {error.message}", file=sys.stderr)  # noqa: T201
    for problem in _problems(error.facts.get("problems")):
        print(f"  {problem}", file=sys.stderr)  # noqa: T201
    _print_hint(error.hint)


def _problems(problems: object) -> Sequence[str]:
    if not isinstance(problems, list):
        return ()
    lines = []
    for problem in problems:
        if isinstance(problem, dict) and "place" in problem:
            where = f"{problem['line']}:{problem['column']}: " if problem.get("line") else ""
            lines.append(f"{where}{problem['place']}: {problem['message']}")
    return lines


def report_bug(*, as_json: bool) -> None:
    """A traceback, and where to send it."""
    if as_json:
        data = {"kind": "bug", "message": traceback.format_exc(), "exit_code": 70}
        print(json.dumps(envelope("iaactl.error/1", data)), file=sys.stderr)  # noqa: T201
        return
    traceback.print_exc()
    print("error: this is a bug in iaactl; please report it with the lines above", file=sys.stderr)  # noqa: T201
