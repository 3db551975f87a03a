"""What the sender puts on the wire, read by the independent decoder; and what others may send."""

from __future__ import annotations

import os
import random
import socket
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import multifd
from iaactl.errors import StreamError
from iaactl.model.migration import Backend, ChannelCounters, Method, ZeroDetection
from iaactl.multifd.memory import Memory
from iaactl.multifd.pipeline import ReceiveOptions, Receiver, Sender, SendOptions
from multifd import PAGE, Packet

BLOCK = "pc.ram"


def page(kind: int, seed: int) -> bytes:
    """Pages of every kind that a guest has: zero, random, text, sparse, nearly random."""
    source = random.Random(seed)
    if kind == 0:
        return bytes(PAGE)
    if kind == 1:
        return source.randbytes(PAGE)
    if kind == 2:
        words = [b"the ", b"best ", b"of ", b"times, ", b"worst "]
        return b"".join(source.choice(words) for _ in range(PAGE))[:PAGE]
    if kind == 3:
        data = bytearray(PAGE)
        for _ in range(source.randrange(1, 40)):
            data[source.randrange(PAGE)] = source.randrange(256)
        return bytes(data)
    mixed = source.randbytes(PAGE - 400)
    return mixed + mixed[:400]


def fill(memory: Memory, pages: Sequence[bytes]) -> None:
    with memory.view() as view:
        view[:] = b"".join(pages)


def sent(
    memory: Memory, options: SendOptions, channels: int, rounds: int, folder: Path
) -> tuple[list[bytes], tuple[ChannelCounters, ...]]:
    """What each channel wrote, into files."""
    files = [(folder / f"channel{n}").open("w+b") for n in range(channels)]
    with Sender(memory, [file.fileno() for file in files], options) as sender:
        for _ in range(rounds):
            sender.round()
        sender.finish()
        counters = sender.counters()
    data = []
    for file in files:
        file.seek(0)
        data.append(file.read())
        file.close()
    return data, counters


def decoded(channels: Sequence[bytes], method: str, size: int) -> bytes:
    """Guest memory after the last round."""
    memory = bytearray(size)
    rounds: list[list[tuple[int, bytes]]] = []
    numbers = []
    for data in channels:
        decoder, number = multifd.Decoder(method), 0
        for packet in multifd.packets(data):
            numbers.append(packet.number)
            if packet.flags == multifd.SYNC:
                assert (packet.block, packet.pages_alloc, packet.payload) == ("", 0, b"")
                number += 1
                continue
            assert packet.flags == multifd.FLAG[method]
            assert (packet.block, packet.pages_alloc) == (BLOCK, 128)
            assert 0 < len(packet.normal) + len(packet.zero) <= 128
            while len(rounds) <= number:
                rounds.append([])
            rounds[number] += zip(packet.normal, decoder.pages(packet), strict=True)
            rounds[number] += ((offset, bytes(PAGE)) for offset in packet.zero)
    assert sorted(numbers) == list(range(len(numbers)))
    for pages in rounds:
        assert len({offset for offset, _ in pages}) == len(pages)
        for offset, content in pages:
            memory[offset : offset + PAGE] = content
    return bytes(memory)


@pytest.mark.parametrize("detection", list(ZeroDetection))
@pytest.mark.parametrize("method", list(Method))
def test_every_method_is_read_by_an_independent_decoder(
    method: Method, detection: ZeroDetection, tmp_path: Path
) -> None:
    pages = [page(n % 5, n) for n in range(700)]
    uuid = bytes(range(16))
    options = SendOptions(method=method, uuid=uuid, zero_detection=detection)
    with Memory(len(pages) * PAGE, prealloc=False) as memory:
        fill(memory, pages)
        memory.mark_all_dirty()
        channels, counters = sent(memory, options, 3, 2, tmp_path)
        with memory.view() as view:
            assert decoded(channels, method.value, memory.size) == view
    for number, data in enumerate(channels):
        assert data[:64] == multifd.hello(number, uuid)
        found = list(multifd.packets(data))
        assert [p.flags for p in found].count(multifd.SYNC) == 2
        assert found[-1].flags == multifd.SYNC
        assert (len(found), len(data)) == (counters[number].packets, counters[number].wire_bytes)
    zero = sum(one.zero_pages for one in counters)
    assert zero == (140 if detection is ZeroDetection.MULTIFD else 0)
    assert sum(one.normal_pages for one in counters) == 700 - zero
    for one in counters:
        paths = one.raw_pages + one.iaa_pages + one.libqpl_pages + one.software_pages
        assert paths == (one.normal_pages if method is Method.QPL else 0)


def test_pages_of_qpl_are_one_final_fixed_block(tmp_path: Path) -> None:
    """The limits of the device that may decompress them: distances below 4096, length below."""
    pages = [page(n % 5, n) for n in range(400)]
    with Memory(len(pages) * PAGE, prealloc=False) as memory:
        fill(memory, pages)
        memory.mark_all_dirty()
        (data,), (counters,) = sent(memory, SendOptions(method=Method.QPL), 1, 1, tmp_path)
    raw = 0
    for packet in multifd.packets(data):
        for offset, piece in zip(
            packet.normal, multifd.split(packet) if packet.normal else [], strict=True
        ):
            if len(piece) == PAGE:
                assert piece == pages[offset // PAGE]
                raw += 1
                continue
            shape = multifd.shape(piece)
            assert shape.blocks == [(True, 1)]
            assert shape.farthest < PAGE
            assert shape.size == PAGE
    assert raw == counters.raw_pages > 0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def receive(
    data: bytes, method: Method, pages: int = 8
) -> tuple[bytes, tuple[ChannelCounters, ...]]:
    """Memory after one channel of `data`."""
    fd = os.memfd_create("channel")
    try:
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        with Memory(pages * PAGE, prealloc=False) as memory:
            options = ReceiveOptions(method=method, timeout_s=5)
            with Receiver(memory, [fd], options) as receiver:
                receiver.start()
                receiver.finish(5)
                counters = receiver.counters()
            with memory.view() as view:
                return bytes(view), counters
    finally:
        os.close(fd)


def encode(method: str, pages: Sequence[bytes]) -> bytes:
    """A payload by another encoder."""
    if method == "qpl":
        pieces = [multifd.deflate(one) for one in pages]
        return multifd.join(
            piece if len(piece) < PAGE else one for piece, one in zip(pieces, pages, strict=True)
        )
    if method == "zlib":
        encoder = zlib.compressobj(1)
        return encoder.compress(b"".join(pages)) + encoder.flush(zlib.Z_SYNC_FLUSH)
    if method == "zstd":
        import zstandard

        chunks = zstandard.ZstdCompressor(level=1).compressobj()
        whole = chunks.compress(b"".join(pages))
        return whole + chunks.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return b"".join(pages)


@pytest.mark.parametrize("method", list(Method))
def test_old_releases_send_stale_offsets_and_sync_on_data(method: Method) -> None:
    """8.2 and before: slots that do not count hold old offsets, SYNC rides on a packet."""
    pages = [page(kind, kind) for kind in (1, 2, 3)]
    packet = Packet(
        multifd.FLAG[method.value], 7, BLOCK, (0, 3 * PAGE, PAGE), (), encode(method.value, pages)
    )
    bare = packet.pack(flags=packet.flags | multifd.SYNC)
    stale = bytearray(bare)
    for slot in range(3, 128):
        struct.pack_into(">Q", stale, 320 + 8 * slot, 0xDEAD_BEEF_0000)
    empty = Packet(multifd.SYNC, 8, "gone.ram", (), (), b"").pack()
    data = multifd.hello(0) + stale + empty
    memory, (counters,) = receive(data, method)
    assert memory[: 4 * PAGE] == pages[0] + pages[2] + bytes(PAGE) + pages[1]
    assert (counters.packets, counters.normal_pages) == (2, 3)


def test_state_of_devices_is_read_over() -> None:
    """QEMU 10.0 with VFIO sends other packets between those of RAM."""
    state = struct.pack(">III256sII", multifd.MAGIC, 1, 0x40 | 1, b"vfio", 3, 10000) + bytes(10000)
    one = page(2, 2)
    packet = Packet(0, 0, BLOCK, (0,), (), one)
    memory, (counters,) = receive(
        multifd.hello(0) + state + packet.pack() + state + multifd.sync(), Method.NONE
    )
    assert memory[:PAGE] == one
    assert counters.packets == 4


@pytest.mark.parametrize(
    ("level", "strategy"),
    [
        (0, zlib.Z_DEFAULT_STRATEGY),
        (1, zlib.Z_FIXED),
        (6, zlib.Z_DEFAULT_STRATEGY),
        (9, zlib.Z_RLE),
    ],
)
@pytest.mark.parametrize("backend", [Backend.SOFTWARE, Backend.AUTO])
def test_streams_of_other_encoders_are_taken(level: int, strategy: int, backend: Backend) -> None:
    one = page(2, level)
    body = multifd.deflate(one, level, strategy)
    if len(body) >= PAGE:  # stored blocks are longer than the page
        one = page(2, level)[: PAGE // 2] * 2
        body = multifd.deflate(one, 1, strategy)
    packet = Packet(8, 0, BLOCK, (0,), (), multifd.join([body]))
    assert receive(multifd.hello(0) + packet.pack() + multifd.sync(), Method.QPL)[0][:PAGE] == one


def test_what_qemu_takes_is_taken() -> None:
    """Trailing bytes, no final block, an empty stored block: all accepted by a real destination."""
    one = page(2, 5)
    encoder = zlib.compressobj(6, zlib.DEFLATED, -15)
    unfinished = encoder.compress(one) + encoder.flush(zlib.Z_SYNC_FLUSH)
    encoder = zlib.compressobj(6, zlib.DEFLATED, -15)
    first = encoder.compress(one[:1000]) + encoder.flush(zlib.Z_FULL_FLUSH)
    two = first + encoder.compress(one[1000:]) + encoder.flush()
    pieces = [unfinished, two, multifd.deflate(one) + b"trailing", multifd.deflate(one)]
    packet = Packet(8, 0, BLOCK, (0, PAGE, 2 * PAGE, 3 * PAGE), (), multifd.join(pieces))
    memory, (counters,) = receive(multifd.hello(0) + packet.pack() + multifd.sync(), Method.QPL)
    assert memory[: 4 * PAGE] == 4 * one
    assert counters.software_pages == 4


def test_zero_pages_clear_what_was_received_before() -> None:
    one = page(1, 1)
    data = multifd.hello(0)
    data += Packet(0, 0, BLOCK, (PAGE,), (0,), one).pack() + multifd.sync(1)
    data += Packet(0, 2, BLOCK, (), (PAGE, 0), b"").pack() + multifd.sync(3)
    memory, (counters,) = receive(data, Method.NONE)
    assert memory == bytes(8 * PAGE)
    assert (counters.normal_pages, counters.zero_pages) == (1, 3)


@given(st.data())
def test_law_what_is_sent_is_received(data: st.DataObject) -> None:
    """For any content, method, channels and rounds of writes the two memories are equal."""
    method = data.draw(st.sampled_from(list(Method)))
    detection = data.draw(st.sampled_from(list(ZeroDetection)))
    channels = data.draw(st.integers(1, 4))
    count = data.draw(st.integers(1, 300))
    pairs = [socket.socketpair() for _ in range(channels)]
    try:
        with Memory(count * PAGE, prealloc=False) as a, Memory(count * PAGE, prealloc=True) as b:
            ends = [[end.fileno() for end in side] for side in zip(*pairs, strict=True)]
            with (
                Receiver(b, ends[1], ReceiveOptions(method=method)) as receiver,
                Sender(a, ends[0], SendOptions(method=method, zero_detection=detection)) as sender,
            ):
                receiver.start()
                rounds = data.draw(st.integers(1, 3))
                for _ in range(rounds):
                    seed = data.draw(st.integers(0, 2**32))
                    source = random.Random(seed)
                    fill(
                        a, [page(source.randrange(5), source.getrandbits(32)) for _ in range(count)]
                    )
                    a.mark_all_dirty()
                    assert sender.round() == count
                receiver.wait_sync(rounds, 10)
                assert a.first_difference(b) is None
                sender.finish()
                receiver.finish(10)
            for one, other in zip(
                sender.counters(),
                sorted(receiver.counters(), key=lambda c: c.channel),
                strict=True,
            ):
                for name in ("channel", "packets", "normal_pages", "zero_pages", "raw_pages",
                             "software_pages", "wire_bytes", "payload_bytes"):  # fmt: skip
                    assert getattr(one, name) == getattr(other, name)
    finally:
        for ours, theirs in pairs:
            ours.close()
            theirs.close()


@given(st.binary(max_size=3000), st.sampled_from(list(Method)))
def test_law_any_bytes_end_in_one_error(data: bytes, method: Method) -> None:
    """Nonsense behind a good hand-shake is refused, never taken."""
    if data:
        with pytest.raises(StreamError, match=r"channel 0, packet 0, byte \d+: "):
            receive(multifd.hello(0) + data, method)
