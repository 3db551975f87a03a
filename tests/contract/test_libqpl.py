"""Our declaration of libqpl's job against the header of the real one, compiled; and used."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from conftest import require
from native.test_portal import NATIVE, compiler
from sim import suites

# Ours, theirs.
FIELDS = {
    "next_in": "next_in_ptr",
    "available_in": "available_in",
    "total_in": "total_in",
    "next_out": "next_out_ptr",
    "available_out": "available_out",
    "total_out": "total_out",
    "operation": "op",
    "flags": "flags",
    "crc": "crc",
    "level": "level",
    "huffman_table": "huffman_table",
    "dictionary": "dictionary",
    "mini_block_size": "mini_block_size",
    "index_table": "idx_array",
    "decompress_end": "decomp_end_processing",
    "polynomial": "crc64_poly",
    "next_source2": "next_src2_ptr",
    "elements": "num_input_elements",
    "parser": "parser",
    "sum": "sum_value",
    "numa": "numa_id",
    "internal": "data_ptr",
}
CONSTANTS = {
    "QPL_PATH_SOFTWARE": "qpl_path_software",
    "QPL_OPERATION_DECOMPRESS": "qpl_op_decompress",
    "QPL_OPERATION_COMPRESS": "qpl_op_compress",
    "QPL_JOB_FIRST": "QPL_FLAG_FIRST",
    "QPL_JOB_LAST": "QPL_FLAG_LAST",
    "QPL_JOB_OMIT_VERIFY": "QPL_FLAG_OMIT_VERIFY",
    "QPL_LEVEL_DEFAULT": "qpl_default_level",
}
FUNCTIONS = ("get_job_size", "init_job", "execute_job", "fini_job", "get_library_version")


@pytest.fixture(scope="module")
def headers() -> Path:
    try:
        return suites.unpack("sid") / "usr/include"
    except suites.SuiteUnavailable as reason:
        require("contract", str(reason))
        raise AssertionError from None


def program(fields: dict[str, str]) -> str:
    lines = ["#include <stddef.h>", "#include <qpl/qpl.h>"]
    lines += [f"#define qpl_{name} ours_{name}" for name in FUNCTIONS]
    lines.append('#include "qpl_abi.h"')
    lines += [f"#undef qpl_{name}" for name in FUNCTIONS]
    for ours, theirs in fields.items():
        ours, theirs = f"struct iaactl_qpl_job, {ours}", f"qpl_job, {theirs}"
        lines.append(f'_Static_assert(offsetof({ours}) == offsetof({theirs}), "{theirs}");')
    for ours, theirs in CONSTANTS.items():
        lines.append(f'_Static_assert((int){ours} == (int){theirs}, "{theirs}");')
    size = "sizeof(struct iaactl_qpl_job) == sizeof(qpl_job)"
    lines.append(f'_Static_assert({size}, "size");')
    # The same shape: as many arguments, of types that are passed alike.
    lines.append("int main(void) {")
    lines.append("  qpl_status (*a)(qpl_path_t, uint32_t *) = qpl_get_job_size;")
    lines.append("  qpl_status (*b)(qpl_path_t, qpl_job *) = qpl_init_job;")
    lines.append("  qpl_status (*c)(qpl_job *) = qpl_execute_job, (*d)(qpl_job *) = qpl_fini_job;")
    lines.append("  const char *(*e)(void) = qpl_get_library_version;")
    lines.append("  return sizeof(qpl_status) != 4 || sizeof(qpl_path_t) != 4 || !a || !b || !c ||")
    lines.append("         !d || !e; }")
    return "\n".join(lines) + "\n"


def compiles(
    folder: Path, headers: Path, fields: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    source = folder / "abi.c"
    source.write_text(program(fields))
    return subprocess.run(
        [compiler(), "-std=gnu11", "-fsyntax-only", f"-I{headers}", f"-I{NATIVE / 'include'}",
         str(source)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_job_is_laid_out_as_in_the_header(tmp_path: Path, headers: Path) -> None:
    done = compiles(tmp_path, headers, FIELDS)
    assert done.returncode == 0, done.stderr


def test_a_wrong_field_would_be_found(tmp_path: Path, headers: Path) -> None:
    done = compiles(tmp_path, headers, {**FIELDS, "crc": "xor_checksum"})
    assert done.returncode != 0
    assert "xor_checksum" in done.stderr


USE = """
import sys
sys.path.insert(0, {tests!r})
import lzma
from pathlib import Path
from iaactl.model.migration import Backend, Method
from iaactl.multifd.backends import choose
from iaactl.multifd.codecs import PageCodec
import multifd
data = lzma.decompress(Path({data!r}).read_bytes())
qpl = PageCodec("libqpl")
mine = {{name: PageCodec(name) for name in ("isal", "libdeflate", "zlib")}}
result = qpl.compress(memoryview(data))
for page, length in enumerate(result.lengths):
    if length < 4096:
        piece = bytes(result.arena[page * 4096 : page * 4096 + length])
        shape = multifd.shape(piece)
        assert (shape.blocks, shape.size) == ([(True, 1)], 4096) and shape.farthest < 4096
for name, codec in mine.items():
    assert codec.decompress(result, memoryview(data)).pages == memoryview(data), name
    assert qpl.decompress(codec.compress(memoryview(data)), memoryview(data)).pages == \\
        memoryview(data), name
_, taken = choose(Method.QPL, Backend.LIBQPL, decompress=False, queues=(), block_on_fault=False,
                  timeout_s=1)
print(taken.codec, result.raw_pages, len(data) // result.bytes)
"""


def test_libqpl_and_ours_read_each_other(headers: Path) -> None:
    """libqpl 1.9 as QEMU drives it, loaded beside this Python with the libraries of its suite."""
    tests = Path(__file__).parents[1]
    program = USE.format(tests=str(tests), data=str(tests / "data" / "guest-pages-1m.bin.xz"))
    done = subprocess.run(
        [*suites.python(headers.parents[1]), "-c", program],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("libqpl 1."), done.stdout
