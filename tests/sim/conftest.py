"""Programs as subprocesses in a simulated machine; skipped where it cannot be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from conftest import require

IAACTL = Path(sys.executable).parent / "iaactl"


@dataclass
class Result:
    """What a command did in a simulated machine; `log` has the writes and opens."""

    code: int
    out: str
    err: str
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def writes(self) -> list[dict[str, Any]]:
        """Writes to sysfs, binding included."""
        return [entry for entry in self.log if entry["op"] in ("write", "bind", "unbind")]


class World:
    """Runs shell scripts in simulated machines."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(
        self,
        script: str,
        *,
        machine: str = "spr-2s",
        faults: Sequence[str] = (),
        timeout: float = 120,
        environment: dict[str, str] | None = None,
    ) -> Result:
        """Run `script` with sh; the exit status is that of its last command."""
        log = self._folder / "log.jsonl"
        options = [f"--machine={machine}", f"--log={log}", *(f"--fault={f}" for f in faults)]
        done = subprocess.run(
            [str(IAACTL), "sim", "run", *options, "--", "sh", "-c", script],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
        lines = log.read_text().splitlines() if log.exists() else []
        return Result(done.returncode, done.stdout, done.stderr, [json.loads(x) for x in lines])


@cache
def why_not() -> str:
    """Why there is no simulated machine here, empty if there is."""
    done = subprocess.run(
        [str(IAACTL), "sim", "run", "--", "true"], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stderr.strip()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Simulated machines, or a skip that says why not."""
    reason = why_not()
    if reason:
        require("sim", reason)
    return World(tmp_path)
