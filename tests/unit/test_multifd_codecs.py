"""Page codecs, every pair of those that are here; libraries that are not."""

from __future__ import annotations

import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import multifd
from iaactl.errors import HostError, LibraryMissing, OperationError, UsageProblem
from iaactl.model.migration import Backend, Method
from iaactl.multifd.backends import choose
from iaactl.multifd.codecs import COMPRESSORS, DECOMPRESSORS, PageCodec, available
from multifd import PAGE

GUEST = lzma.decompress((Path(__file__).parents[1] / "data" / "guest-pages-1m.bin.xz").read_bytes())
HERE = {library.name for library in available() if not library.why_not}


def usable(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name.removesuffix("-stream").removesuffix("-default") in HERE]


PAGES = [name for name in usable(COMPRESSORS) if not name.endswith("-stream")]
INTO = [name for name in usable(DECOMPRESSORS) if not name.endswith("-stream")]


def test_what_the_package_needs_is_here() -> None:
    """Other libraries may be missing on a user's machine; here the Makefile installs them."""
    assert {"isal", "libdeflate", "zlib", "zstd"} <= HERE
    for library in available():
        assert bool(library.path) == (not library.why_not)
        assert library.soname.startswith("lib")
    versions = {library.name: library.version for library in available()}
    assert versions["isal"].startswith("2.")
    assert versions["zlib"].startswith("1.")
    assert versions["zstd"].startswith("1.")


@pytest.mark.parametrize("compressor", PAGES)
@pytest.mark.parametrize("decompressor", INTO)
def test_every_decoder_reads_every_encoder(compressor: str, decompressor: str) -> None:
    view = memoryview(GUEST)
    with PageCodec(compressor) as encoder, PageCodec(decompressor) as decoder:
        compressed = encoder.compress(view)
        assert len(compressed.lengths) == compressed.pages == len(GUEST) // PAGE
        assert compressed.raw_pages == list(compressed.lengths).count(PAGE)
        assert compressed.bytes == sum(compressed.lengths) < len(GUEST) / 1.8
        result = decoder.decompress(compressed, view)
        assert result.pages == view
        assert min(compressed.cpu_ns, result.cpu_ns) > 0


@pytest.mark.parametrize("compressor", PAGES)
def test_plain_zlib_reads_every_page(compressor: str) -> None:
    with PageCodec(compressor) as encoder:
        compressed = encoder.compress(memoryview(GUEST))
        for page, length in enumerate(compressed.lengths):
            if length < PAGE:
                start = page * compressed.stride
                piece = bytes(compressed.arena[start : start + length])
                assert multifd.inflate(piece) == GUEST[page * PAGE : (page + 1) * PAGE]


@pytest.mark.parametrize("name", [n for n in usable(COMPRESSORS) if n.endswith("-stream")])
def test_streams(name: str) -> None:
    data = GUEST[: 200 * PAGE]
    with PageCodec(name) as codec:
        for _ in range(2):
            compressed = codec.compress(memoryview(data))
            assert len(compressed.lengths) == 2
            assert codec.decompress(compressed).pages == memoryview(data)


def test_levels() -> None:
    with pytest.raises(UsageProblem, match="zlib-stream has no level 99"):
        PageCodec("zlib-stream", level=99)
    with pytest.raises(UsageProblem, match="libdeflate cannot be made: EINVAL"):
        PageCodec("libdeflate", level=99)


@given(st.binary(min_size=1, max_size=PAGE), st.sampled_from(PAGES), st.sampled_from(INTO))
def test_law_any_page_survives(data: bytes, compressor: str, decompressor: str) -> None:
    page = (data * (PAGE // len(data) + 1))[:PAGE]
    with PageCodec(compressor) as encoder, PageCodec(decompressor) as decoder:
        compressed = encoder.compress(memoryview(page))
        assert 0 < compressed.lengths[0] <= PAGE
        assert decoder.decompress(compressed, memoryview(page)).pages == memoryview(page)


def test_wrong_uses() -> None:
    page = memoryview(bytes(PAGE))
    with pytest.raises(UsageProblem, match="lz4 is no codec"):
        PageCodec("lz4")
    with pytest.raises(UsageProblem, match="needs work queues"):
        PageCodec("iaa")
    with pytest.raises(HostError, match="/nonexistent cannot be opened: ENOENT"):
        PageCodec("iaa", queues=["/nonexistent"])
    with PageCodec("zlib") as codec, PageCodec("zlib-stream") as stream:
        with pytest.raises(UsageProblem, match="1 bytes are not whole pages"):
            codec.compress(memoryview(b"x"))
        with pytest.raises(UsageProblem, match="not whole pages"):
            codec.compress(memoryview(b""))
        with pytest.raises(UsageProblem, match="units of that kind"):
            stream.decompress(codec.compress(page))
        raw = memoryview(os.urandom(PAGE))
        with pytest.raises(UsageProblem, match="raw pages are among them"):
            codec.decompress(codec.compress(raw))
        with pytest.raises(UsageProblem, match="not the pages"):
            codec.decompress(codec.compress(raw), memoryview(bytes(2 * PAGE)))
    with PageCodec("isal-default") as codec:
        compressed = codec.compress(page)
        with pytest.raises(UsageProblem, match="does not decompress"):
            codec.decompress(compressed)


@pytest.mark.parametrize("name", INTO)
def test_damage_is_found(name: str) -> None:
    with PageCodec("zlib") as encoder, PageCodec(name) as decoder:
        compressed = encoder.compress(memoryview(GUEST[: 3 * PAGE]))
        start = compressed.stride
        compressed.arena[start] ^= 0x06
        with pytest.raises(OperationError, match=f"{name} does not decompress page 1"):
            decoder.decompress(compressed, memoryview(GUEST[: 3 * PAGE]))


def choice(backend: Backend, *, decompress: bool = False, queues: tuple[str, ...] = ()) -> object:
    return choose(
        Method.QPL, backend, decompress=decompress, queues=queues, block_on_fault=False, timeout_s=1
    )[1]


def test_auto_says_what_it_took_and_why() -> None:
    plan, taken = choose(
        Method.QPL, Backend.AUTO, decompress=False, queues=(), block_on_fault=False, timeout_s=1
    )
    assert plan is not None
    assert plan.name == "isal"
    assert (taken.backend, taken.codec[:4]) == (Backend.SOFTWARE, "isal")
    assert taken.reason.startswith("no work queues were given; isal")
    _, taken = choose(
        Method.QPL, Backend.AUTO, decompress=True, queues=("/nonexistent/wq",),
        block_on_fault=False, timeout_s=1,
    )  # fmt: skip
    assert taken.backend is Backend.SOFTWARE
    assert taken.codec.startswith("libdeflate")
    assert "/nonexistent/wq cannot be opened: ENOENT" in taken.reason
    with pytest.raises(UsageProblem, match="backend iaa needs work queues"):
        choice(Backend.IAA)
    with pytest.raises(HostError, match="/nonexistent/wq cannot be opened"):
        choice(Backend.IAA, queues=("/nonexistent/wq",))
    for method in (Method.NONE, Method.ZLIB, Method.ZSTD):
        none, taken = choose(
            method, Backend.AUTO, decompress=True, queues=(), block_on_fault=False, timeout_s=1
        )
        assert (none, taken.backend) == (None, None)
        assert taken.codec.startswith(method.value)


def test_libqpl_is_used_or_missed_by_name() -> None:
    if "libqpl" in HERE:
        choice(Backend.LIBQPL)
        return
    with pytest.raises(LibraryMissing, match=r"libqpl\.so\.1 cannot be used: .*No such file") as e:
        choice(Backend.LIBQPL)
    assert e.value.hint == "install the package libqpl1"


WITHOUT = """
import ctypes, sys
sys.path.insert(0, {tests!r})
from iaactl.model.migration import Backend, Method
from iaactl.multifd.backends import choose
from iaactl.multifd.codecs import PageCodec, available
gone = [library.name for library in available() if library.why_not]
print(*sorted(gone))
for decompress in (False, True):
    _, taken = choose(Method.QPL, Backend.AUTO, decompress=decompress, queues=(),
                      block_on_fault=False, timeout_s=1)
    print(taken.codec, "|", taken.reason)
"""


def test_without_the_fast_libraries_zlib_does_it_and_that_is_said(tmp_path: Path) -> None:
    """The loader finds files that are no libraries under the two names."""
    for name in ("libisal.so.2", "libdeflate.so.0"):
        (tmp_path / name).write_text("no library")
    program = WITHOUT.format(tests=str(Path(__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False,
        env={"LD_LIBRARY_PATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    gone, *choices = done.stdout.splitlines()
    assert {"isal", "libdeflate"} <= set(gone.split()), done.stderr
    for line in choices:
        assert line.startswith("zlib 1.")
        assert "is not here (" in line
        assert "zlib is slower" in line
