"""Memory of a real QEMU, through /proc and as a core of dump-guest-memory; its CPU stands still."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import require
from iaactl.bench.memory_file import from_file
from iaactl.bench.memory_process import from_process

LOADED = random.Random(7).randbytes(4 << 20)
AT = 0x1000000


class Guest:
    """A QEMU of 64 MiB with LOADED at AT."""

    def __init__(self, folder: Path) -> None:
        qemu = shutil.which("qemu-system-x86_64")
        if qemu is None:
            require("qemu", "qemu-system-x86_64 is not installed")
        assert qemu is not None
        (folder / "content").write_bytes(LOADED)
        self.monitor = folder / "qmp"
        self.process = subprocess.Popen(
            [qemu, "-m", "64", "-S", "-display", "none", "-nodefaults", "-machine", "q35",
             "-accel", "tcg", "-qmp", f"unix:{self.monitor},server=on,wait=off",
             "-device", f"loader,file={folder / 'content'},addr={AT:#x},force-raw=on"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._qmp("query-status")

    def _qmp(self, command: str, **arguments: Any) -> None:
        deadline = time.monotonic() + 30
        with socket.socket(socket.AF_UNIX) as end:
            while True:
                try:
                    end.connect(str(self.monitor))
                    break
                except OSError:
                    assert self.process.poll() is None, self.process.stderr
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            end.settimeout(30)
            with end.makefile("rw") as lines:
                lines.readline()
                for name, more in (("qmp_capabilities", {}), (command, arguments)):
                    lines.write(json.dumps({"execute": name, "arguments": more}) + "\n")
                    lines.flush()
                    while True:
                        answer = json.loads(lines.readline())
                        assert "error" not in answer, answer
                        if "return" in answer:
                            break

    def dump(self, path: Path) -> None:
        self._qmp("dump-guest-memory", paging=False, protocol=f"file:{path}")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    found = Guest(tmp_path)
    try:
        yield found
    finally:
        found.close()


def test_guest_ram_is_found_in_the_process_and_not_the_emulators_code(guest: Guest) -> None:
    image = from_process(guest.process.pid, 1 << 30)
    assert bytes(image.content[AT : AT + len(LOADED)]) == LOADED
    assert image.size < 256 << 20  # the code buffer of TCG alone has up to 1 GiB


def test_a_core_of_dump_guest_memory_is_read(guest: Guest, tmp_path: Path) -> None:
    guest.dump(tmp_path / "core")
    image = from_file(tmp_path / "core", 1 << 30)
    assert "ELF core" in image.description.origin
    assert LOADED in bytes(image.content)
    assert image.size >= 64 << 20
