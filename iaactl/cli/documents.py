"""Documents that commands exchange: inventories and plans as files."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from iaactl.errors import DocumentError
from iaactl.model.device import Inventory


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
