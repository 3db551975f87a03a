"""The engine judged by programs that know the device: accel-config's iaa_test, and libqpl.

Both are unmodified and submit by write(2). iaa_test computes what each operation must give by
itself. libqpl does every operation in software, too, and the client compares the two.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from conftest import require
from sim import suites
from sim.conftest import World

SUITE = "sid"
TESTS = "usr/libexec/accel-config/test"
CLIENT = Path(__file__).parent / "qpl_client.c"

# Operation, and the arguments beside it for each size, as the package's own runner gives them.
PLAIN = {
    "noop": ["-o 0x0"],
    "crc64": ["-o 0x44 -1 0x8000", "-o 0x44 -1 0x4000"],
    "zero-compress": ["-o 0x4d", "-o 0x4c"],
    "zero-decompress": ["-o 0x49", "-o 0x48"],
    "compress": ["-o 0x43"],
    "decompress": ["-o 0x42"],
}
# Operation, filter flags, and size in bytes for each element.
FILTERS = {
    "scan": ("0x50", "0x7c", 4),
    "set-membership": ("0x51", "0x38", 2),
    "extract": ("0x52", "0x7c", 4),
    "select": ("0x53", "0x7c", 4),
    "rle-burst-8": ("0x54", "0x1c", 1),
    "rle-burst-16": ("0x54", "0x3c", 2),
    "rle-burst-32": ("0x54", "0x7c", 4),
    "find-unique": ("0x55", "0x38", 2),
    "expand": ("0x56", "0x7c", 4),
}
# Burst counts are long: few elements make much output.
FILTER_SIZES = {"rle-burst-8": (512, 4096), "rle-burst-16": (32, 128), "rle-burst-32": (64, 256)}


@cache
def suite() -> tuple[Path | None, str]:
    """The unpacked suite, or why there is none."""
    try:
        return suites.unpack(SUITE), ""
    except suites.SuiteUnavailable as reason:
        return None, str(reason)


@pytest.fixture
def root() -> Path:
    found, reason = suite()
    if found is None:
        pytest.skip(f"{SUITE}: {reason}")
    return found


def arguments(name: str) -> list[str]:
    if name in PLAIN:
        return [f"{one} -l {size}" for one in PLAIN[name] for size in (4096, 65536)]
    opcode, flags, width = FILTERS[name]
    sizes = FILTER_SIZES.get(name, (512, 65536))
    return [f"-o {opcode} -2 {flags} -l {size} -3 {size // width}" for size in sizes]


@pytest.mark.parametrize("name", [*PLAIN, *FILTERS])
def test_iaa_test_of_accel_config(world: World, root: Path, name: str) -> None:
    if shutil.which("accel-config") is None:
        require("sim", "accel-config is not installed")
    program = shlex.join(suites.command(root, f"../../{TESTS}/iaa_test"))
    runs = [f"{one} -f {bof}" for one in arguments(name) for bof in ("0x0", "0x1")]
    script = "\n".join(f"{program} -w 1 -t 20000 {one} || echo FAILED: {one}" for one in runs)
    done = world.run(
        f"accel-config load-config -c {root / TESTS}/configs/2g2q_user_2.conf -e 2>&1 || exit 3\n"
        f"exec 2>&1\n{script}"
    )
    assert done.code == 0, done.out
    assert "FAILED" not in done.out, done.out


@pytest.fixture
def client(tmp_path: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        require("sim", "there is no C compiler")
    program = tmp_path / "qpl_client"
    command = [str(compiler), "-O1", "-Wall", "-Wextra", "-o", str(program), str(CLIENT), "-ldl"]
    subprocess.run(command, check=True)
    return program


@pytest.mark.parametrize(
    "part", ["deflate", "chunks", "index", "huffman", "crc64", "zero", "filter"]
)
def test_libqpl_gets_from_the_engine_what_it_computes_in_software(
    world: World, root: Path, client: Path, part: str
) -> None:
    command = [*suites.command(root, "iaactl")[:-1], str(client), part]
    done = world.run(f"iaactl apply qemu-migration --yes >&2 && {shlex.join(command)}")
    assert done.code == 0, done.out + done.err
    assert ", 0 differ" in done.out
