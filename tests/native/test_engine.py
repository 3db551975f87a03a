"""The page engine in C: threads under the sanitizers, and a receiver that gets mutated streams."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from native.test_portal import NATIVE, compiler

HERE = Path(__file__).parent
SANITIZERS = [
    pytest.param((), id="plain"),
    pytest.param(("-fsanitize=address,undefined", "-fno-sanitize-recover=all"), id="asan-ubsan"),
    pytest.param(("-fsanitize=thread",), id="tsan"),
]


def build(folder: Path, program: str, flags: Sequence[str]) -> Path:
    target = folder / program
    sources = [str(path) for path in sorted(NATIVE.glob("*.c")) if path.name != "core.csrc.c"]
    done = subprocess.run(
        [compiler(), "-std=gnu11", "-g", "-O1", "-Wall", "-Wextra", "-Wshadow", "-Werror",
         "-pthread", f"-I{NATIVE / 'include'}", f"-I{HERE}", *flags, "-o", str(target),
         str(HERE / f"{program}.c"), *sources, "-ldl"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return target


def run(program: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, check=False, timeout=300
    )
    if "unexpected memory mapping" in done.stderr:
        pytest.skip("this kernel's address space layout is not one that TSan knows")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("flags", SANITIZERS)
def test_channels_and_a_writer_at_once(tmp_path: Path, flags: tuple[str, ...]) -> None:
    assert "all passed" in run(build(tmp_path, "engine_test", flags))


@pytest.mark.parametrize("flags", SANITIZERS[:2])
def test_mutated_streams(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Short; with more runs, or built with libFuzzer (-DLIBFUZZER), it goes on for hours."""
    assert "3000 inputs, all handled" in run(build(tmp_path, "fuzz_channel", flags), "3000")
