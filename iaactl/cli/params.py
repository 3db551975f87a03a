"""Parameter types that complete names from directory listings, and options several commands share.

Completion runs at every TAB: nothing here may import pydantic, pyudev or cffi.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

BUS = Path("/sys/bus/dsa/devices")
_DIGITS = re.compile(r"([0-9]+)")
F = TypeVar("F", bound=Callable[..., Any])


def _key(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in _DIGITS.split(text)]


def _objects(pattern: str) -> list[str]:
    try:
        names = [path.name for path in BUS.iterdir()]
    except OSError:
        return []
    return sorted((n for n in names if re.fullmatch(pattern, n)), key=_key)


class BusName(click.ParamType[str]):
    """A name on the dsa bus; `pattern` says which kinds are completed."""

    name = "name"

    def __init__(self, pattern: str, metavar: str) -> None:
        self._pattern = pattern
        self.name = metavar

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names that exist and begin so."""
        return [CompletionItem(n) for n in _objects(self._pattern) if n.startswith(incomplete)]


DEVICE = BusName(r"iax[0-9]+", "device")
WORK_QUEUE = BusName(r"wq[0-9]+\.[0-9]+", "wq")
OBJECT = BusName(r"(iax[0-9]+|(wq|engine|group)[0-9]+\.[0-9]+)", "name")


class ProfileName(click.ParamType[str]):
    """A profile: file, known name or preset."""

    name = "profile"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Known names, then files."""
        import iaactl

        package = Path(iaactl.__file__).parent
        folders = (
            Path("/etc/iaactl/profiles"),
            package / "_profiles",
            package.parent / "profiles",
        )
        names = {path.stem for folder in folders for path in folder.glob("*.yaml")}
        found = [CompletionItem(n) for n in sorted(names) if n.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


PROFILE = ProfileName()

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def _more_verbose(ctx: click.Context, param: click.Parameter, value: int) -> int:
    ctx.obj.verbose += value
    return value


def changing_options(function: F) -> F:
    """What commands that change devices share: -v, --yes, --take-over and --force."""
    function = click.option(
        "-v",
        "--verbose",
        count=True,
        expose_value=False,
        callback=_more_verbose,
        help="Show each step; -vv each write to the driver.",
    )(function)
    function = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")(
        function
    )
    function = click.option(
        "--force",
        "force",
        multiple=True,
        type=WORK_QUEUE,
        metavar="WQ",
        help="Disable this work queue although clients have it open; repeatable.",
    )(function)
    return click.option(
        "--take-over",
        "take_over",
        multiple=True,
        type=click.Choice(["iaa_crypto"]),
        help="Take work queues away from this kernel user.",
    )(function)
