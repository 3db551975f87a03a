"""The engine judged by programs that know the device: accel-config's iaa_test, and libqpl.

Both are unmodified and submit by write(2). iaa_test computes what each operation must give by
itself. libqpl does every operation in software, too, and the client compares the two.
"""

from __future__ import annotations

import random
import shlex
import shutil
import subprocess
import zlib
from collections.abc import Callable
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
    # On the device indeed: the software path submits nothing.
    assert any(entry["op"] == "submit" for entry in done.log)


def test_libqpl_on_the_device_and_zlib_understand_each_other(
    world: World, root: Path, client: Path
) -> None:
    """Fixed and dynamic Huffman, whole guest pages and odd sizes, both ways."""
    command = shlex.join([*suites.command(root, "iaactl")[:-1], str(client)])
    folder = world._folder
    makers: dict[str, Callable[[int], bytes]] = {
        "text": lambda size: (b"guest page %d; " * size)[:size],
        "random": random.Random(7).randbytes,
        "zeros": bytes,
    }
    sizes = (1, 100, 4096, 65536)
    data = {f"{size}-{kind}": make(size) for size in sizes for kind, make in makers.items()}
    script = ["set -e", "iaactl apply qemu-migration --yes >/dev/null 2>&1"]
    for name, content in data.items():
        (folder / f"{name}.in").write_bytes(content)
        # The device remembers 4 KiB, so zlib may not look further back.
        deflater = zlib.compressobj(6, zlib.DEFLATED, -12)
        (folder / f"{name}.z").write_bytes(deflater.compress(content) + deflater.flush())
        script += [
            f"{command} pack-fixed < {name}.in > {name}.fixed",
            f"{command} pack-dynamic < {name}.in > {name}.dynamic",
            f"{command} unpack < {name}.z > {name}.out",
        ]
    done = world.run("\n".join(script))
    assert done.code == 0, done.out + done.err
    assert len([entry for entry in done.log if entry["op"] == "submit"]) >= 3 * len(data)
    for name, content in data.items():
        for way in ("fixed", "dynamic"):
            inflater = zlib.decompressobj(-15)
            assert inflater.decompress((folder / f"{name}.{way}").read_bytes()) == content
            assert inflater.eof
        assert (folder / f"{name}.out").read_bytes() == content
