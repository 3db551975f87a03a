"""Where memory comes from: files good and bad, processes, the mix."""

from __future__ import annotations

import gzip
import lzma
import mmap
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from iaactl.bench.image import Image
from iaactl.bench.memory_file import from_file
from iaactl.bench.memory_mix import SHARES, from_mix
from iaactl.bench.memory_process import Mapping, from_process, guest_ram, parse_maps
from iaactl.errors import DocumentError, HostError, IaactlError

PAGES = b"".join(bytes([n]) * 4096 for n in range(1, 9))
MOST = 1 << 20


def core(*segments: tuple[bytes, int], kind: int = 4) -> bytes:
    """An ELF core: (content, p_filesz - len(content)) a segment, with one PT_NOTE before."""
    count = len(segments) + 1
    start = 64 + 56 * count
    heads = [struct.pack("<IIQQQQQQ", 4, 0, start, 0, 0, 8, 8, 4)]
    body = bytes(8)
    for content, excess in segments:
        size = len(content) + excess
        heads.append(struct.pack("<IIQQQQQQ", 1, 7, start + len(body), 0, 0, size, size, 4096))
        body += content
    header = struct.pack(
        "<4sBBB9sHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, bytes(9), kind, 62, 1, 0, 64, 0, 0, 64, 56,
        count, 0, 0, 0,
    )  # fmt: skip
    return header + b"".join(heads) + body


CORE = core((PAGES[:8192], 0), (PAGES[8192:], 0))
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes, "xz": lzma.compress, "gzip": gzip.compress, "zstd": zstd.compress
}  # fmt: skip


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("content", [PAGES, CORE], ids=["raw", "core"])
def test_raw_and_core_through_every_packer(tmp_path: Path, packer: str, content: bytes) -> None:
    path = tmp_path / "memory"
    path.write_bytes(PACKERS[packer](content))
    image = from_file(path, MOST)
    assert bytes(image.content) == PAGES
    assert ("ELF core of 2 segments" in image.description.origin) is (content is CORE)
    assert (packer in image.description.origin) is (packer != "plain")
    assert image.description.zero_pages == 0


def test_no_more_is_taken_than_asked_for_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    for content in (PAGES, CORE, lzma.compress(bytes(64 << 20))):
        path.write_bytes(content)
        assert from_file(path, 8192).size == 8192
    path.write_bytes(PAGES)
    assert "the first 8KiB" in from_file(path, 8192).description.origin
    assert "the first" not in from_file(path, len(PAGES)).description.origin


def test_the_last_page_is_padded_with_zeros() -> None:
    image = Image(bytearray(b"x" * 4097), "a test")
    assert image.size == 8192
    assert bytes(image.content[4096:]) == b"x" + bytes(4095)
    assert Image(bytearray(8192), "zeros").description.zero_pages == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no memory"),
        (core(), "holds no memory"),
        (CORE[:-5000], "ends inside the segment"),
        (core((PAGES, 1 << 60)), "ends inside the segment"),
        (CORE[:100], "damaged"),
        (core((PAGES, 0), kind=2), "ET_EXEC, not a memory dump"),
        (b"\x7fELF" + bytes(5), "damaged"),
        (b"KDUMP   " + bytes(100), "kdump"),
        (lzma.compress(PAGES)[:-9], "damaged"),
        (gzip.compress(PAGES)[:-9], "damaged"),
        (zstd.compress(PAGES)[:-9], "damaged"),
        (b"\xfd7zXZ\0garbage", "damaged"),
    ],
    ids=[
        "empty",
        "no segment",
        "cut",
        "far beyond",
        "header only",
        "program",
        "magic only",
        "kdump",
        "xz cut",
        "gzip cut",
        "zstd cut",
        "xz magic",
    ],
)
def test_what_is_no_memory_gets_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "memory"
    path.write_bytes(content)
    with pytest.raises(DocumentError, match=words) as caught:
        from_file(path, MOST)
    assert str(path) in caught.value.message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DocumentError, match="cannot be read"):
            from_file(path, MOST)


GARBAGE = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([CORE, *(pack(CORE) for pack in PACKERS.values())]).flatmap(
        lambda good: st.lists(
            st.tuples(st.integers(0, min(len(good), 400) - 1), st.integers(0, 255)), max_size=6
        ).map(lambda edits: _edited(good, edits))
    ),
)


def _edited(good: bytes, edits: list[tuple[int, int]]) -> bytes:
    content = bytearray(good)
    for place, value in edits:
        content[place] = value
    return bytes(content)


@given(GARBAGE)
def test_garbage_is_memory_or_one_error(tmp_path_factory: pytest.TempPathFactory,
                                        content: bytes) -> None:  # fmt: skip
    path = tmp_path_factory.getbasetemp() / "garbage"
    path.write_bytes(content)
    try:
        image = from_file(path, 1 << 16)
    except IaactlError as error:
        assert "\n" not in error.message
        return
    assert 0 < image.size <= 1 << 16


@given(st.text(max_size=200))
def test_maps_are_parsed_whatever_they_hold(text: str) -> None:
    for mapping in parse_maps(text):
        assert mapping.size > 0


def test_the_largest_writable_mappings_are_guest_ram() -> None:
    text = (
        "55d0-55e0 r-xp 00000000 08:01 42 /usr/bin/qemu\n"
        "7f0000000000-7f0040000000 rw-p 00000000 00:00 0 \n"
        "7f1000000000-7f1010000000 rw-s 00000000 00:01 7 /memfd:ram (deleted)\n"
        "7f1800000000-7f18fffff000 rwxp 00000000 00:00 0 \n"  # code made by QEMU's TCG
        "7f2000000000-7f2004000000 rw-p 00000000 00:00 0 \n"  # 64 MiB: a heap of malloc
        "7f3000000000-7f30ffffffff r--p 00000000 08:01 9 /usr/lib/locale\n"
        "7ffc00000000-7ffd00000000 rw-p 00000000 00:00 0 [stack]\n"
        "nonsense\n"
    )
    assert guest_ram(parse_maps(text)) == [
        Mapping(0x7F0000000000, 0x7F0040000000, "rw-p", ""),
        Mapping(0x7F1000000000, 0x7F1010000000, "rw-s", "/memfd:ram (deleted)"),
    ]
    assert guest_ram([]) == []


PROGRAM = """
import mmap, sys
ram = mmap.mmap(-1, 64 << 20)
for n in range(0, len(ram), 4096):
    ram[n : n + 4] = (n // 4096 + 1).to_bytes(4, "little")
print("ready", flush=True)
sys.stdin.read()
"""


def test_memory_of_a_running_process() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        image = from_process(child.pid, 32 << 20)
    finally:
        child.communicate()
    assert image.size == 32 << 20
    assert [
        int.from_bytes(image.content[n : n + 4], "little") for n in range(0, 1 << 20, 4096)
    ] == (list(range(1, 257)))
    assert "the first 32MiB" in image.description.origin
    with pytest.raises(HostError, match=f"process {child.pid} cannot be read"):
        from_process(child.pid, MOST)


def test_a_process_without_large_memory(tmp_path: Path) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "maps").write_text("5000-6000 rw-p 00000000 00:00 0\n")
    (folder / "comm").write_text("sleep\n")
    with pytest.raises(HostError, match=r"process 7 \(sleep\) has no memory"):
        from_process(7, MOST, tmp_path)


def test_holes_in_a_mapping_count_as_zero(tmp_path: Path) -> None:
    """A file shorter than its mapping: reading behind its end is an error of the kernel."""
    path = tmp_path / "short"
    path.write_bytes(b"\1" * (8 << 20))
    with path.open("r+b") as file:
        ram = mmap.mmap(file.fileno(), 8 << 20)
    os.truncate(path, 1 << 20)
    image = from_process(os.getpid(), 1 << 32, _only(tmp_path, str(path)))
    assert image.size == 8 << 20
    assert bytes(image.content[: 1 << 20]) == b"\1" * (1 << 20)
    assert not any(image.content[1 << 20 :])
    ram.close()


def _only(folder: Path, name: str) -> Path:
    """A /proc that shows one mapping of this process."""
    own = folder / str(os.getpid())
    own.mkdir()
    lines = Path("/proc/self/maps").read_text().splitlines()
    (own / "maps").write_text("".join(f"{ln}\n" for ln in lines if ln.endswith(name)))
    (own / "comm").write_text("python\n")
    (own / "mem").symlink_to(f"/proc/{os.getpid()}/mem")
    return folder


def test_the_mix_has_the_shares_it_states_and_depends_on_its_seed_only(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"some text of a file. " * 20000)
    image = from_mix(4 << 20, 7, (str(tmp_path),))
    again = from_mix(4 << 20, 7, (str(tmp_path),))
    assert image.description == again.description
    assert image.description.sha256 != from_mix(4 << 20, 8, (str(tmp_path),)).description.sha256
    assert image.description.zero_pages >= int(1024 * SHARES["zero"])
    assert image.description.shares == SHARES
    assert sum(SHARES.values()) == pytest.approx(1)
    for kind, share in SHARES.items():
        assert f"{share:.0%} {kind}" in image.description.origin
