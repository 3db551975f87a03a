"""The page engine in C: threads under the sanitizers, and a receiver that gets mutated streams."""

from __future__ import annotations

import re
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


def test_wide_vectors_are_only_where_the_cpu_was_asked(tmp_path: Path) -> None:
    """The package runs on any x86-64 CPU: nothing else may use what some of them lack."""
    allowed = {"ymm": {"zero_avx2", "zero_avx512"}, "zmm": {"zero_avx512"}}
    for source in sorted(NATIVE.glob("*.c")):
        if source.name == "core.csrc.c":
            continue
        target = tmp_path / f"{source.stem}.o"
        subprocess.run(
            [compiler(), "-std=gnu11", "-O3", f"-I{NATIVE / 'include'}", "-c", "-o", str(target),
             str(source)], check=True,
        )  # fmt: skip
        text = subprocess.run(
            ["objdump", "-d", str(target)], capture_output=True, text=True, check=True
        ).stdout
        found: dict[str, set[str]] = {"ymm": set(), "zmm": set()}
        function = ""
        for line in text.splitlines():
            if match := re.fullmatch(r"[0-9a-f]+ <([\w.]+)>:", line):
                function = match[1].partition(".")[0]
            for register in found:
                if f"%{register}" in line:
                    found[register].add(function)
        if source.name == "zero.c":
            assert found["zmm"], "the test sees what it looks for"
        for register, functions in found.items():
            assert functions <= allowed[register], (source.name, register)
