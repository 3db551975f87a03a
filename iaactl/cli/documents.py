"""Documents that commands exchange: inventories and plans as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from iaactl.consumers import ConsumerQueue
from iaactl.errors import DocumentError
from iaactl.model.device import Device, Engine, Frozen, Group, Inventory, WorkQueue
from iaactl.model.plan import Plan


class ObjectDocument(Frozen):
    """Data of `iaactl.object/1`: one object, and which kind it is."""

    kind: Literal["Device", "WorkQueue", "Engine", "Group"]
    object: Device | WorkQueue | Engine | Group


class WorkQueuesDocument(Frozen):
    """Data of `iaactl.work-queues/1`: what one user's QEMU could use."""

    user: str
    work_queues: tuple[ConsumerQueue, ...]


class VerdictDocument(Frozen):
    """Data of `iaactl.verdict/1`."""

    profile: str
    ok: bool
    plan: Plan


class ProfileEntry(Frozen):
    """One line of `profile list`."""

    name: str
    path: str
    description: str


class MachineEntry(Frozen):
    """One line of `sim machines`."""

    name: str
    description: str


class ErrorDocument(Frozen):
    """Data of `iaactl.error/1`, printed on stderr; `facts` depend on the kind of error."""

    kind: str
    message: str
    hint: str | None = None
    exit_code: int
    facts: dict[str, Any] = {}


def read_text(path: Path) -> str:
    """The text of a file; `-` is stdin. Raises DocumentError."""
    import sys

    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text()
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise DocumentError(f"{path} is not UTF-8 text") from None


def load_inventory(path: Path) -> Inventory:
    """An inventory from the JSON that `iaactl list --json` printed."""
    text = read_text(path)
    try:
        document = json.loads(text)
        if document.get("schema") != "iaactl.inventory/1":
            raise ValueError(f"schema is {document.get('schema')!r}, not 'iaactl.inventory/1'")
        return Inventory.model_validate_json(json.dumps(document["data"]))
    except (ValueError, KeyError, AttributeError, ValidationError, RecursionError) as error:
        first = str(error).split("\n")[0]
        raise DocumentError(
            f"{path} is not an inventory: {first}", hint="make one: `iaactl list --json > FILE`"
        ) from None
