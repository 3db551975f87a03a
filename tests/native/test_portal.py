"""The native portal: instructions by disassembly, memory in place of a device, sanitizers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from conftest import require

NATIVE = Path(__file__).parents[2] / "iaactl/native"
PROGRAM = Path(__file__).parent / "portal_test.c"


def compiler() -> str:
    gcc = shutil.which("gcc")
    if gcc is None:
        require("native", "gcc is not installed")
    assert gcc is not None
    return gcc


def build(folder: Path, *flags: str) -> Path:
    program = folder / "portal_test"
    sources = [str(NATIVE / "portal.c"), str(NATIVE / "cpu.c"), str(PROGRAM)]
    done = subprocess.run(
        [compiler(), "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread",
         f"-I{NATIVE / 'include'}", *flags, "-o", str(program), *sources],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return program


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
        ("-fsanitize=thread",),
    ],
    ids=["plain", "asan-ubsan", "tsan"],
)
def test_against_a_device_of_threads(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """A thread plays the device behind a FIFO-like file; every outcome of a job is reached."""
    program = build(tmp_path, *flags)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=120)
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("this kernel's address space layout is not one that TSan knows")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all passed" in done.stdout


def test_the_instructions_are_what_they_are_called(tmp_path: Path) -> None:
    """Bytes from the manual: ENQCMD F2 0F 38 F8, MOVDIR64B 66 0F 38 F8, UMWAIT F2 0F AE."""
    binutils = shutil.which("objdump")
    if binutils is None:
        require("native", "objdump is not installed")
    target = tmp_path / "portal.o"
    subprocess.run(
        [compiler(), "-std=gnu11", "-O2", f"-I{NATIVE / 'include'}", "-c", "-o", str(target),
         str(NATIVE / "portal.c")], check=True,
    )  # fmt: skip
    text = subprocess.run(
        ["objdump", "-d", str(target)], capture_output=True, text=True, check=True
    ).stdout
    found = {
        match[2]: match[1].split()
        for match in re.finditer(
            r":\t((?:[0-9a-f]{2} )+)\s*(enqcmd|movdir64b|umwait|umonitor)", text
        )
    }
    assert {"f2", "0f", "38", "f8"} <= set(found["enqcmd"])
    assert {"66", "0f", "38", "f8"} <= set(found["movdir64b"])
    assert {"f2", "0f", "ae"} <= set(found["umwait"])
    assert {"f3", "0f", "ae"} <= set(found["umonitor"])


def test_the_way_in_is_reported_with_the_reason(tmp_path: Path) -> None:
    from iaactl.errors import HostError, PermissionMissing
    from iaactl.host.portal import NativePortal

    with pytest.raises(HostError, match="ENOENT"):
        NativePortal(str(tmp_path / "nothing"), dedicated=False)
    closed = tmp_path / "closed"
    closed.mkdir()
    with pytest.raises(HostError, match="EISDIR"):
        NativePortal(str(closed), dedicated=False)
    assert issubclass(PermissionMissing, HostError)
    plain = tmp_path / "node"
    plain.touch()
    with NativePortal(str(plain), dedicated=False) as portal:
        assert portal.way in ("write", "enqcmd")
        assert portal.why_not_mapped or portal.way != "write"
