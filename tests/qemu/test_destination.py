"""A real QEMU takes the engine's channels: its main stream recorded, the channels made here.

The destination is the QEMU of a newer suite, which knows the machine type of the recordings. It has
the methods that Debian builds in: not qpl.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from conftest import require
from iaactl.model.migration import Method, ZeroDetection
from iaactl.multifd.capture import decode_capture
from iaactl.multifd.memory import Memory
from iaactl.multifd.pipeline import Sender, SendOptions
from sim import suites

DATA = Path(__file__).parents[1] / "data" / "captures.tar.xz"
BIOS_BYTES = 64 << 10
ROUNDS = 3
PATIENCE_S = 60


class Qemu:
    """A destination that waits for a migration, spoken to by QMP."""

    def __init__(self, root: Path, folder: Path) -> None:
        bios = folder / "bios.bin"
        bios.write_bytes(bytes(BIOS_BYTES))
        self.port = folder / "migration"
        qmp = folder / "qmp"
        command = [
            *suites.command(root, "qemu-system-x86_64"), "-L", str(root / "usr/share/qemu"),
            "-L", str(root / "usr/share/seabios"), "-machine", "pc-q35-10.2", "-accel", "tcg",
            "-m", "32", "-nodefaults", "-display", "none", "-serial", "null", "-S",
            "-bios", str(bios), "-qmp", f"unix:{qmp},server=on,wait=off", "-incoming", "defer",
        ]  # fmt: skip
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log)
        self.socket = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.socket.connect(str(qmp))
                break
            except OSError:
                assert self.process.poll() is None, self.output()
                assert time.monotonic() < deadline
                time.sleep(0.02)
        self.file = self.socket.makefile("r")
        self.file.readline()
        self.ask("qmp_capabilities")

    def output(self) -> str:
        self.log.seek(0)
        return self.log.read()

    def ask(self, command: str, **arguments: Any) -> Any:
        request = json.dumps({"execute": command, "arguments": arguments})
        self.socket.sendall(request.encode())
        while True:
            line = self.file.readline()
            assert line, self.output()
            answer = json.loads(line)
            if "event" in answer:
                continue
            assert "return" in answer, answer
            return answer["return"]

    def listen(self, method: Method, channels: int) -> None:
        self.ask(
            "migrate-set-capabilities", capabilities=[{"capability": "multifd", "state": True}]
        )
        self.ask(
            "migrate-set-parameters",
            **{"multifd-channels": channels, "multifd-compression": method.value},
        )
        self.ask("migrate-incoming", uri=f"unix:{self.port}")

    def memory(self, size: int, folder: Path) -> bytes:
        target = folder / "memory"
        self.ask("pmemsave", val=0, size=size, filename=str(target))
        return target.read_bytes()

    def close(self) -> None:
        self.file.close()
        self.socket.close()
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture
def qemu(tmp_path: Path) -> Iterator[Qemu]:
    try:
        root = suites.unpack("sid+qemu")
    except suites.SuiteUnavailable as reason:
        require("qemu", str(reason))
    machine = Qemu(root, tmp_path)
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captures")
    with tarfile.open(DATA) as tar:
        tar.extractall(folder)
    return folder / "captures" / "syn10-none-2ch"


def channels(blocks: Mapping[str, bytes], method: Method, detection: ZeroDetection) -> list[bytes]:
    """A channel for each RAM block, all pages in the second of three rounds, as was recorded."""
    made = []
    for number, (name, content) in enumerate(blocks.items()):
        fd = os.memfd_create("channel")
        with Memory(len(content), prealloc=False) as memory:
            with memory.view() as view:
                view[:] = content
            options = SendOptions(method=method, block=name, zero_detection=detection)
            with Sender(memory, [fd], options) as sender:
                for round_ in range(ROUNDS):
                    if round_ == 1:
                        memory.mark_all_dirty()
                    sender.round()
                sender.finish()
        os.lseek(fd, 0, os.SEEK_SET)
        with os.fdopen(fd, "rb") as file:
            data = bytearray(file.read())
        data[24] = number  # each was the first channel of a migration of its own
        made.append(bytes(data))
    return made


def send(path: Path, parts: list[bytes]) -> None:
    """All connections at once, the main one first; each is written as its reader allows."""
    ends = []
    for _ in parts:
        end = socket.socket(socket.AF_UNIX)
        end.connect(str(path))
        end.setblocking(False)
        ends.append(end)
    left = {end: memoryview(part) for end, part in zip(ends, parts, strict=True)}
    deadline = time.monotonic() + PATIENCE_S
    while left:
        assert time.monotonic() < deadline
        for end, data in list(left.items()):
            try:
                sent = end.send(data)
            except BlockingIOError:
                continue
            if sent == len(data):
                end.shutdown(socket.SHUT_WR)
                del left[end]
            else:
                left[end] = data[sent:]
        time.sleep(0.001)


@pytest.mark.parametrize("detection", list(ZeroDetection))
@pytest.mark.parametrize("method", [Method.NONE, Method.ZLIB, Method.ZSTD])
def test_qemu_takes_what_the_engine_sends(
    qemu: Qemu, recorded: Path, tmp_path: Path, method: Method, detection: ZeroDetection
) -> None:
    blocks: dict[str, bytes] = {}

    def keep(memories: Mapping[str, Memory]) -> None:
        for name, memory in memories.items():
            with memory.view() as view:
                blocks[name] = bytes(view)

    decode_capture(recorded, keep)
    made = channels(blocks, method, detection)
    qemu.listen(method, len(made))
    send(qemu.port, [(recorded / "conn0.c2s").read_bytes(), *made])
    deadline = time.monotonic() + PATIENCE_S
    while (status := qemu.ask("query-migrate").get("status")) not in ("completed", "failed"):
        assert time.monotonic() < deadline, qemu.output()
        time.sleep(0.05)
    assert status == "completed", qemu.output()
    size = len(blocks["pc.ram"])
    low = qemu.memory(0xA0000, tmp_path)
    assert low == blocks["pc.ram"][:0xA0000]
    whole = qemu.memory(size, tmp_path)
    assert whole[1 << 20 :] == blocks["pc.ram"][1 << 20 :]
    wanted = {
        int(offset, 16): digest
        for offset, digest in (
            line.split("\t")
            for line in (recorded / "expected.tsv").read_text().splitlines()
            if not line.startswith("#")
        )
    }
    high = [offset for offset in wanted if offset >= 1 << 20]
    assert len(high) > 90
    for offset in high:
        assert hashlib.sha256(whole[offset : offset + 4096]).hexdigest() == wanted[offset]
