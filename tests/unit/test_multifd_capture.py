"""Migrations recorded from QEMU 10.2.2, page for page; and recordings that are damaged."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import multifd
from iaactl.errors import DocumentError
from iaactl.model.migration import Method
from iaactl.multifd import main_stream
from iaactl.multifd.capture import CaptureSummary, decode_capture
from iaactl.multifd.memory import Memory
from multifd import PAGE, Packet

DATA = Path(__file__).parents[1] / "data" / "captures.tar.xz"
SETS = ("none", "zlib", "zstd", "qpl")


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captures")
    with tarfile.open(DATA) as tar:
        tar.extractall(folder)  # ours: nothing in it leads outside
    return folder / "captures"


def expected(folder: Path) -> dict[int, str]:
    lines = (folder / "expected.tsv").read_text().splitlines()
    pairs = (line.split("\t") for line in lines if not line.startswith("#"))
    return {int(offset, 16): digest for offset, digest in pairs}


def decode(folder: Path) -> tuple[CaptureSummary, dict[str, bytes]]:
    memories: dict[str, bytes] = {}

    def keep(blocks: Mapping[str, Memory]) -> None:
        for name, memory in blocks.items():
            with memory.view() as view:
                memories[name] = bytes(view)

    return decode_capture(folder, keep), memories


@pytest.mark.parametrize("method", SETS)
def test_every_page_has_its_hash(captures: Path, method: str) -> None:
    folder = captures / f"syn10-{method}-2ch"
    summary, memories = decode(folder)
    assert summary.errors == ()
    wanted, zero = expected(folder), hashlib.sha256(bytes(PAGE)).hexdigest()
    assert len(wanted) > 100
    ram = memories["pc.ram"]
    for offset in range(0, len(ram), PAGE):
        digest = hashlib.sha256(ram[offset : offset + PAGE]).hexdigest()
        assert digest == wanted.get(offset, zero), hex(offset)


@pytest.mark.parametrize("method", SETS)
def test_the_summary_is_what_qemu_counted(captures: Path, method: str) -> None:
    folder = captures / f"syn10-{method}-2ch"
    summary, _ = decode(folder)
    meta = json.loads((folder / "meta.json").read_text())
    ram = meta["query_migrate"]["ram"]
    assert summary.method == Method(method)
    assert summary.machine == "pc-q35-10.2"
    assert summary.wire_bytes == ram["multifd-bytes"]
    assert summary.normal_pages == ram["normal"]
    assert summary.zero_pages == ram["duplicate"]
    assert sum(block.size_bytes for block in summary.blocks) == ram["total"]
    assert [one.channel for one in summary.channels] == [0, 1]
    assert summary.rounds == 3
    assert (summary.raw_pages > 0) == (method == "qpl")
    assert (summary.ratio == 1) == (method == "none")


def test_packed_files_are_read(captures: Path, tmp_path: Path) -> None:
    source = captures / "syn10-qpl-2ch"
    for path in source.glob("*.c2s"):
        (tmp_path / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes(), preset=0))
    packed, plain = decode(tmp_path), decode(source)
    assert packed[1] == plain[1]
    assert packed[0].wire_bytes == plain[0].wire_bytes


def copy(captures: Path, target: Path, method: str = "qpl") -> Path:
    folder = target / "copy"
    shutil.copytree(captures / f"syn10-{method}-2ch", folder)
    return folder


def test_a_cut_channel_is_named_with_file_packet_and_offset(captures: Path, tmp_path: Path) -> None:
    folder = copy(captures, tmp_path)
    data = (folder / "conn2.c2s").read_bytes()
    (folder / "conn2.c2s").write_bytes(data[:200_000])
    summary, memories = decode(folder)
    (lacking,) = [e for e in summary.errors if e.file == "conn2.c2s"]
    assert lacking.channel == 1
    assert lacking.packet
    assert lacking.offset == 200_000
    assert "the channel ends after" in lacking.reason
    assert len(memories["pc.ram"]) == 32 << 20


def test_a_damaged_page_is_named(captures: Path, tmp_path: Path) -> None:
    folder = copy(captures, tmp_path)
    path = folder / "conn2.c2s"
    data = bytearray(path.read_bytes())
    offset, packet = 64, 0
    while True:
        normal, size = struct.unpack_from(">II", data, offset + 16)
        if normal:
            break
        offset, packet = offset + 1344 + size, packet + 1
    length = struct.unpack_from(">I", data, offset + 1344)[0]
    assert length < PAGE
    data[offset + 1344 + 4 * normal] ^= 0x06  # the type of its block
    path.write_bytes(data)
    summary, _ = decode(folder)
    (error,) = summary.errors
    assert (error.file, error.channel, error.packet) == ("conn2.c2s", 1, packet)
    assert error.offset == offset + 1344 + 4 * normal
    assert "do not decompress to the 4096" in error.reason


def test_a_lost_sync_is_found(captures: Path, tmp_path: Path) -> None:
    folder = copy(captures, tmp_path)
    for name in ("conn1.c2s", "conn2.c2s"):
        data = (folder / name).read_bytes()
        assert data[-1344:][8:12] == b"\0\0\0\1"
        (folder / name).write_bytes(data[:-1344])
    summary, _ = decode(folder)
    (error,) = summary.errors
    assert error.reason == "the main channel has 3 markers, the others have 2 SYNCs"


def test_what_is_no_capture(captures: Path, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="0 main channels, 0 others"):
        decode_capture(tmp_path)
    folder = copy(captures, tmp_path)
    (folder / "conn0.c2s").write_bytes(b"QEVM\0\0\0\3\7")
    with pytest.raises(DocumentError, match="names no RAM block: the main channel ends"):
        decode_capture(folder)
    (folder / "conn0.c2s").unlink()
    (folder / "conn0.c2s.xz").write_bytes(b"no xz")
    with pytest.raises(DocumentError, match="cannot be unpacked"):
        decode_capture(folder)


def name(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def ram_section(kind: int, body: bytes) -> bytes:
    start = struct.pack(">BI", kind, 2)
    if kind == 1:
        start += name("ram") + struct.pack(">II", 0, 4)
    return start + body + struct.pack(">QBI", 0x10, 0x7E, 2)


def recorded(folder: Path, *, flush: bool, uuid: bytes = b"u" * 16) -> None:
    """An older release: zero pages on the main channel, two rounds, two channels. A page travels
    in the first round and is zero in the second; the other way round for its neighbour."""
    marker = struct.pack(">Q", 0x200) if flush else b""
    sizes = struct.pack(">Q", 4 * PAGE | 0x4) + name("pc.ram") + struct.pack(">Q", 4 * PAGE)
    main = b"QEVM\0\0\0\3" + ram_section(1, sizes + marker)
    zero_one = struct.pack(">Q", PAGE | 0x2) + name("pc.ram") + b"\0"
    # CONTINUE: of the same block, without its name.
    main += ram_section(2, zero_one + struct.pack(">Q", 3 * PAGE | 0x22) + b"\0" + marker)
    main += ram_section(3, struct.pack(">Q", 0x2) + name("pc.ram") + b"\0" + marker)
    main += b"\4device state"
    (folder / "a.c2s").write_bytes(main)
    one, two = b"\1" * PAGE, b"\2" * PAGE
    first = multifd.hello(0, uuid) + multifd.sync(0)
    first += Packet(0, 1, "pc.ram", (0,), (), one).pack() + multifd.sync(2)
    first += multifd.sync(3)
    second = multifd.hello(1, uuid) + multifd.sync(4) + multifd.sync(5)
    second += Packet(0, 6, "pc.ram", (PAGE,), (), two).pack() + multifd.sync(7)
    (folder / "b.c2s").write_bytes(second)
    (folder / "c.c2s").write_bytes(first)


@pytest.mark.parametrize("flush", [True, False], ids=["flush", "end-of-section"])
def test_zero_pages_of_the_main_channel_come_in_their_round(tmp_path: Path, flush: bool) -> None:
    recorded(tmp_path, flush=flush)
    summary, memories = decode(tmp_path)
    assert summary.errors == ()
    assert summary.rounds == 3
    assert memories["pc.ram"] == bytes(PAGE) + b"\2" * PAGE + bytes(2 * PAGE)
    assert summary.uuid.replace("-", "") == (b"u" * 16).hex()


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (b"\x55", "a record of type 0x55 is not known"),
        (b"\1\0\0\0\7" + name("vfio") + bytes(8), "section 'vfio' cannot be read"),
        (b"\2\0\0\0\7", "section 7 was never started"),
        (b"\2\0\0\0\2" + struct.pack(">Q", 0x40), "a word with the flags 0x40 is not known"),
        (
            b"\2\0\0\0\2" + struct.pack(">Q", 4 * PAGE | 2) + name("pc.ram") + b"\0",
            "a page at 0x4000 is outside the RAM block 'pc.ram'",
        ),
        (b"\2\0\0\0\2" + struct.pack(">Q", 2) + name("vga") + b"\0", "outside the RAM block 'vga'"),
        (b"\2\0\0\0\2" + struct.pack(">Q", 8) + name("pc.ram") + b"12", "4094 bytes too early"),
        (b"\x07\0\0\0\xff", "bytes too early"),
    ],
)
def test_what_stops_the_main_channel_is_said(tail: bytes, reason: str) -> None:
    sizes = struct.pack(">Q", 4 * PAGE | 0x4) + name("pc.ram") + struct.pack(">Q", 4 * PAGE)
    found = main_stream.parse(b"QEVM\0\0\0\3" + ram_section(1, sizes) + tail)
    assert found.blocks == {"pc.ram": 4 * PAGE}
    assert found.error is not None
    assert reason in found.error[1]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"QEVM\0\0\0\2", "version 2"),
        (b"nope", "no main channel"),
        (
            b"QEVM\0\0\0\3\1\0\0\0\2" + name("ram") + bytes(8)
            + struct.pack(">Q", PAGE | 4) + name("b") + struct.pack(">Q", 2 * PAGE),
            "the RAM block 'b' has 8192 bytes of 4096",
        ),
    ],
)  # fmt: skip
def test_heads_that_are_none(head: bytes, reason: str) -> None:
    found = main_stream.parse(head)
    assert found.error is not None
    assert reason in found.error[1]
