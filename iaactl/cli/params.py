"""Parameter types that complete names from directory listings, and options several commands share.

Completion runs at every TAB: nothing here may import pydantic, pyudev or cffi.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

BUS = "/sys/bus/dsa/devices"
_DIGITS = re.compile(r"([0-9]+)")
F = TypeVar("F", bound=Callable[..., Any])


def _key(text: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in _DIGITS.split(text)]


def _objects(pattern: str) -> list[str]:
    try:
        names = os.listdir(BUS)
    except OSError:
        return []
    return sorted((n for n in names if re.fullmatch(pattern, n)), key=_key)


class BusName(click.ParamType):
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


class ProfileName(click.ParamType):
    """A profile: file, known name or preset."""

    name = "profile"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Known names, then files."""
        import iaactl

        package = os.path.dirname(iaactl.__file__)
        folders = (
            "/etc/iaactl/profiles",
            os.path.join(package, "_profiles"),
            os.path.join(os.path.dirname(package), "profiles"),
        )
        names: set[str] = set()
        for folder in folders:
            if os.path.isdir(folder):
                names |= {f[:-5] for f in os.listdir(folder) if f.endswith(".yaml")}
        found = [CompletionItem(n) for n in sorted(names) if n.startswith(incomplete)]
        return found or [CompletionItem(incomplete, type="file")]


PROFILE = ProfileName()

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")


def consent_options(function: F) -> F:
    """--take-over and --force, which name what may be taken from whom."""
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
