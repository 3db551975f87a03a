"""Channels that are wrong, end, stall, or are too many: one error each, all else untouched."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import multifd
from iaactl.errors import OperationError, StreamError, UsageProblem
from iaactl.model.migration import Method
from iaactl.multifd.memory import Memory
from iaactl.multifd.pipeline import ReceiveOptions, Receiver, Sender, SendOptions
from multifd import PAGE, Packet

BLOCK = "pc.ram"
PAGES = 8
ONE = bytes(range(256)) * 16
NONE = Packet(0, 5, BLOCK, (0,), (), ONE)
QPL = Packet(8, 5, BLOCK, (0,), (PAGE,), multifd.join([multifd.deflate(ONE)]))


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@contextmanager
def connected(channels: int) -> Iterator[tuple[list[socket.socket], list[socket.socket]]]:
    pairs = [socket.socketpair() for _ in range(channels)]
    try:
        yield [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    finally:
        for pair in pairs:
            for end in pair:
                end.close()


def refused(data: list[bytes], method: Method, *, uuid: bytes = bytes(16)) -> StreamError:
    """The error of a receiver whose channels get this, and then end. Memory is all zero where no
    good page was received, all threads are gone, the sockets are still ours."""
    before = threads()
    with connected(len(data)) as (peers, ends), Memory(PAGES * PAGE, prealloc=False) as memory:
        options = ReceiveOptions(method=method, uuid=uuid, timeout_s=5)
        with Receiver(memory, [end.fileno() for end in ends], options) as receiver:
            receiver.start()
            for peer, part in zip(peers, data, strict=True):
                peer.sendall(part)
                peer.shutdown(socket.SHUT_WR)
            with pytest.raises(StreamError) as caught:
                receiver.finish(5)
            with pytest.raises(StreamError) as again:
                receiver.wait_sync(99, 5)
            assert again.value.message == caught.value.message
        for end in ends:
            assert os.fstat(end.fileno())
        with memory.view() as view:
            assert view[2 * PAGE :] == bytes((PAGES - 2) * PAGE)
    assert threads() == before
    return caught.value


H = multifd.hello(0)
HELLOS = [
    (b"", "the channel ends after 0 bytes of 64", 0),
    (H[:63], "the channel ends after 63 bytes of 64", 63),
    (multifd.hello(0, magic=0x5145564D), "the magic is 0x5145564d, not 0x11223344", 0),
    (multifd.hello(0, version=2), "the version is 2, not 1", 0),
    (multifd.hello(0, uuid=b"x" * 16), "the UUID is that of another virtual machine", 0),
    (multifd.hello(1), "the channel says it is number 1, but there are 1 channels", 0),
    (multifd.hello(255), "number 255, but there are 1", 0),
]


@pytest.mark.parametrize(("data", "reason", "offset"), HELLOS)
def test_hand_shakes(data: bytes, reason: str, offset: int) -> None:
    error = refused([data], Method.NONE)
    assert reason in error.message
    assert error.message.startswith(f"connection 0, packet 0, byte {offset}: ")
    assert error.facts["channel"] is None


P = 64  # where the first packet begins
HEADERS = [
    (NONE.pack(magic=1), "the magic is 0x00000001", P),
    (NONE.pack(version=9), "the version is 9, not 1", P),
    (NONE.pack(flags=0x80), "the flags 0x80 are not known", P),
    (NONE.pack(flags=2), "the packet is of method zlib, expected is none", P),
    (NONE.pack(flags=0x10), "of method uadk, expected is none", P),
    (NONE.pack(pages_alloc=129), "the packet has room for 129 pages, more than 128", P),
    (NONE.pack(normal=129), "the packet has 129 normal pages and room for 128", P),
    (NONE.pack(normal=2**32 - 1), "the packet has 4294967295 normal pages", P),
    (NONE.pack(zero=128), "the packet has 128 zero pages and room for 127", P),
    (NONE.pack(zero=2**32 - 1), "the packet has 4294967295 zero pages", P),
    (NONE.pack(size=PAGE - 1), "the payload has 4095 bytes, but its pages make 4096", P),
    (NONE.pack(size=2**32 - 1), "the payload has 4294967295 bytes, but its pages make 4096", P),
    (Packet(0, 5, "pc.rom", (0,), (), ONE).pack(), "the RAM block is not known here", P),
    (Packet(0, 5, BLOCK + "x", (0,), (), ONE).pack(), "the RAM block is not known here", P),
    (Packet(0, 5, "p" * 256, (0,), (), ONE).pack(), "the RAM block is not known here", P),
    (
        Packet(0, 5, BLOCK, (PAGES * PAGE,), (), ONE).pack(),
        "a page at 0x8000 is outside the RAM block, whose last page is at 0x7000",
        P,
    ),
    (Packet(0, 5, BLOCK, (2**64 - PAGE,), (), ONE).pack(), "at 0xfffffffffffff000 is outside", P),
    (Packet(0, 5, BLOCK, (), (2**63,), b"").pack(), "at 0x8000000000000000 is outside", P),
    (Packet(0, 5, BLOCK, (1,), (), ONE).pack(), "a page at 0x1 is at no page border", P),
    (Packet(0, 5, BLOCK, (), (), b"x").pack(), "the payload has 1 bytes, but its pages make 0", P),
    (NONE.pack()[:7], "the channel ends after 7 bytes of 12", P + 7),
    (NONE.pack()[:500], "the channel ends after 488 bytes of 1332", P + 500),
    (NONE.pack()[:-1], "the channel ends after 4095 bytes of 4096", P + 1344 + 4095),
]


@pytest.mark.parametrize(("data", "reason", "offset"), HEADERS)
def test_headers(data: bytes, reason: str, offset: int) -> None:
    error = refused([H + data], Method.NONE)
    assert reason in error.message
    assert error.message.startswith(f"channel 0, packet 0, byte {offset}: ")
    assert error.facts["offset"] == offset


def qpl(payload: bytes, **change: int) -> bytes:
    return Packet(8, 5, BLOCK, (0, PAGE), (), payload).pack(**change)


GOOD = multifd.deflate(ONE)
D = P + 1344  # where its payload begins
T = D + 8  # and the data behind the table of two
PAYLOADS = [
    (qpl(b"12345678"), "the payload has 8 bytes, but its pages make 10", P),
    (qpl(bytes(8 + 2 * PAGE + 1)), "the payload has 8201 bytes, more than 8200", P),
    (qpl(b"", size=2**32 - 1), "the payload has 4294967295 bytes, more than 8200", P),
    (qpl(struct.pack(">II", 0, 5) + b"12345"), "page 0 of the packet has 0 bytes of data", D),
    (qpl(struct.pack(">II", 1, 4097) + bytes(4098)), "page 1 of the packet has 4097 bytes", D),
    (qpl(struct.pack(">II", 1, 2**32 - 1) + b"xx"), "page 1 of the packet has 4294967295", D),
    (qpl(struct.pack(">II", 1, 2) + b"xxxx"), "the payload has 12 bytes, but its pages make 11", D),
    (qpl(struct.pack(">II", 3, 2) + b"xxxx"), "the payload has 12 bytes, but its pages make 13", D),
    (
        qpl(multifd.join([GOOD, b"\x07" * 40])),
        "40 bytes of data do not decompress to the 4096 of the page at 0x1000",
        T + len(GOOD),
    ),
    (qpl(multifd.join([GOOD[:-3], GOOD])), "the page at 0x0", T),
    (qpl(multifd.join([multifd.deflate(ONE[:-1]), GOOD])), "the page at 0x0", T),
    (qpl(multifd.join([multifd.deflate(ONE + b"x"), GOOD])), "the page at 0x0", T),
    # The first page's stream would go on in the bytes of the second.
    (qpl(multifd.join([GOOD[:20], GOOD[20:]])), "20 bytes of data do not decompress", T),
]


@pytest.mark.parametrize(("data", "reason", "offset"), PAYLOADS)
def test_payloads_of_qpl(data: bytes, reason: str, offset: int) -> None:
    error = refused([H + data], Method.QPL)
    assert reason in error.message
    assert error.facts["offset"] == offset


@pytest.mark.parametrize(
    ("method", "flag"), [(Method.ZLIB, 2), (Method.ZSTD, 4)], ids=["zlib", "zstd"]
)
def test_payloads_of_streams(method: Method, flag: int) -> None:
    def packet(payload: bytes, **change: int) -> bytes:
        return H + Packet(flag, 5, BLOCK, (0,), (), payload).pack(**change)

    import zlib

    import zstandard

    ended = zlib.compress(ONE, 1) if flag == 2 else zstandard.compress(ONE)
    for payload in (b"", b"nonsense", ended[:-9]):
        error = refused([packet(payload)], method)
        assert "the stream does not decompress at page 0 of the packet" in error.message
        assert error.facts["offset"] == D
    most = 2 * 128 * PAGE
    error = refused([packet(bytes(100), size=most + 1)], method)
    assert f"the payload has {most + 1} bytes, more than {most}" in error.message
    # What belongs to the packet makes two pages, where one is announced.
    if flag == 2:
        encoder = zlib.compressobj(1)
        body = encoder.compress(ONE + ONE[::-1]) + encoder.flush(zlib.Z_SYNC_FLUSH)
        assert "bytes follow the last page" in refused([packet(body)], method).message


def test_a_window_of_a_sender_s_wish_is_not_allocated() -> None:
    """A zstd frame that asks for 2 GiB of history is refused before it is allocated."""
    frame = bytes.fromhex("28b52ffd") + bytes([0x00, (31 - 10) << 3]) + bytes(20)
    error = refused([H + Packet(4, 0, BLOCK, (0,), (), frame).pack()], Method.ZSTD)
    assert "does not decompress" in error.message


def test_the_packet_at_fault_is_counted() -> None:
    error = refused([H + 3 * NONE.pack() + NONE.pack(flags=4)], Method.NONE)
    assert error.message.startswith(f"channel 0, packet 3, byte {64 + 3 * (1344 + PAGE)}: ")
    assert error.facts["packet"] == 3


def test_a_channel_id_may_come_once() -> None:
    error = refused([multifd.hello(1), multifd.hello(1)], Method.NONE)
    assert "channel 1 is there twice" in error.message


def test_pages_that_no_sync_follows() -> None:
    """A sender that died between two packets: not the end of a migration."""
    error = refused([H + multifd.sync() + 2 * NONE.pack()], Method.NONE)
    assert "the channel ends after 2 pages that no SYNC follows" in error.message
    assert error.facts["packet"] == 3


def test_a_channel_that_lacks_a_sync() -> None:
    """The others would wait for it for ever."""
    whole = multifd.sync() + multifd.sync()
    error = refused([multifd.hello(0) + whole, multifd.hello(1) + multifd.sync()], Method.NONE)
    assert "channel 1" in error.message
    assert "the channel ends after 1 SYNCs, another has 2" in error.message


def test_waiting_for_a_sync_that_never_comes() -> None:
    with (
        connected(1) as ((peer,), (end,)),
        Memory(PAGE, prealloc=False) as memory,
        Receiver(memory, [end.fileno()], ReceiveOptions()) as receiver,
    ):
        receiver.start()
        peer.sendall(multifd.hello(0) + multifd.sync())
        receiver.wait_sync(1, 5)
        with pytest.raises(OperationError, match=r"not every channel has passed SYNC 2 in 0.2"):
            receiver.wait_sync(2, 0.2)
        with pytest.raises(OperationError, match=r"not every channel has ended in 0.2 s"):
            receiver.finish(0.2)
        peer.close()
        with pytest.raises(OperationError, match="all channels ended before SYNC 2"):
            receiver.wait_sync(2, 5)
        receiver.finish(5)


@pytest.mark.parametrize("sent", [b"", H, H + NONE.pack()[:2000]], ids=["nothing", "hello", "half"])
def test_a_peer_that_stalls_is_given_up(sent: bytes) -> None:
    with connected(2) as (peers, ends), Memory(PAGES * PAGE, prealloc=False) as memory:
        options = ReceiveOptions(timeout_s=0.3)
        with Receiver(memory, [end.fileno() for end in ends], options) as receiver:
            receiver.start()
            peers[0].sendall(sent)
            began = time.monotonic()
            with pytest.raises(StreamError, match=r"the peer moved no byte in 0\.3 s"):
                receiver.finish(5)
            assert 0.2 < time.monotonic() - began < 3


def sender_over(end: socket.socket, memory: Memory, **options: float) -> Sender:
    return Sender(memory, [end.fileno()], SendOptions(**options))  # type: ignore[arg-type]


def test_a_receiver_that_stalls_is_given_up() -> None:
    with connected(1) as ((end,), _), Memory(4096 * PAGE, prealloc=True) as memory:
        memory.mark_all_dirty()
        with memory.view() as view:
            view[:] = ONE * 4096
        with sender_over(end, memory, timeout_s=0.3) as sender:
            with pytest.raises(StreamError, match=r"channel 0, packet \d+, byte \d+: the peer mov"):
                sender.round()
            with pytest.raises(StreamError, match="the peer moved no byte"):
                sender.round()
            with pytest.raises(StreamError, match="the peer moved no byte"):
                sender.finish()


def test_a_receiver_that_vanishes() -> None:
    with connected(1) as ((end,), (peer,)), Memory(4096 * PAGE, prealloc=True) as memory:
        with memory.view() as view:
            view[:] = ONE * 4096
        memory.mark_all_dirty()
        timer = threading.Timer(0.1, peer.close)
        with sender_over(end, memory, timeout_s=5) as sender:
            timer.start()
            with pytest.raises(StreamError, match="the peer closed the connection"):
                sender.round()
        timer.join()


def test_closing_in_the_middle_is_quick_and_leaves_nothing() -> None:
    """From the thread that is not in `round`, as a reader of the keyboard would."""
    before = threads()
    with connected(2) as (ours, theirs), ExitStack() as stack:
        memory = stack.enter_context(Memory(4096 * PAGE, prealloc=True))
        copy = stack.enter_context(Memory(4096 * PAGE, prealloc=False))
        with memory.view() as view:
            view[:] = ONE * 4096
        memory.mark_all_dirty()
        receiver = Receiver(copy, [end.fileno() for end in theirs], ReceiveOptions())
        receiver.start()
        options = SendOptions(max_bandwidth_bytes_per_s=1_000_000)
        sender = Sender(memory, [end.fileno() for end in ours], options)
        ends: list[str] = []

        def rounds() -> None:
            try:
                sender.round()
            except OperationError as problem:
                ends.append(problem.message)

        thread = threading.Thread(target=rounds)
        began = time.monotonic()
        thread.start()
        time.sleep(0.3)
        assert any(one.wire_bytes for one in sender.counters())
        sender.close()
        thread.join()
        sender.close()
        receiver.close()
        assert ends == ["the round was cancelled"]
        assert time.monotonic() - began < 3
        assert any(one.wire_bytes for one in sender.counters())
        with pytest.raises(OperationError, match="the sender was closed"):
            sender.round()
    assert threads() == before


CTRL_C = """
import os, signal, socket, threading, time
from iaactl.multifd.memory import Memory
from iaactl.multifd.pipeline import ReceiveOptions, Receiver, Sender, SendOptions
ours, theirs = socket.socketpair()
a, b = Memory(64 << 20, prealloc=False), Memory(64 << 20, prealloc=False)
with a.view() as view:
    view[:] = bytes(range(256)) * (len(view) // 256)
a.mark_all_dirty()
receiver = Receiver(b, [theirs.fileno()], ReceiveOptions())
receiver.start()
sender = Sender(a, [ours.fileno()], SendOptions(max_bandwidth_bytes_per_s=100_000_000))
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
began = time.monotonic()
try:
    sender.round()
except KeyboardInterrupt:
    assert time.monotonic() - began < 0.5, time.monotonic() - began
    part = sender.counters()[0].normal_pages
    print(0 < part < 16384)
print(sender.round() == 16384)  # the rest of the round that was interrupted, and an empty one
receiver.wait_sync(2, 10)
print(a.first_difference(b))
sender.close()
receiver.close()
"""


def test_ctrl_c_gets_through_and_the_round_can_be_completed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CTRL_C], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split() == ["True", "True", "None"], done.stderr


def test_usage() -> None:
    with Memory(PAGE, prealloc=False) as memory:
        for options, words in (
            (SendOptions(zlib_level=10), "zlib has levels 0 to 9"),
            (SendOptions(zstd_level=21), "zstd has levels 0 to 20"),
            (SendOptions(block="b" * 256), "1 to 255 bytes"),
            (SendOptions(uuid=b""), "a UUID has 16 bytes"),
            (SendOptions(timeout_s=0), "a time limit is more than nothing"),
            (SendOptions(max_bandwidth_bytes_per_s=-1), "no bandwidth"),
        ):
            with pytest.raises(UsageProblem, match=words):
                Sender(memory, [0], options)
        with pytest.raises(UsageProblem, match="1 to 255 channels, not 0"):
            Sender(memory, [], SendOptions())
        with pytest.raises(UsageProblem, match="not open"):
            Sender(memory, [999], SendOptions())
        with pytest.raises(UsageProblem, match="not open"):
            Receiver(memory, [999], ReceiveOptions())


def test_pipes_keep_their_flags() -> None:
    reading, writing = os.pipe()
    with Memory(PAGE, prealloc=False) as a, Memory(PAGE, prealloc=False) as b:
        with a.view() as view:
            view[:] = ONE
        a.mark_all_dirty()
        receiver = Receiver(b, [reading], ReceiveOptions())
        receiver.start()
        with Sender(a, [writing], SendOptions()) as sender:
            assert not os.get_blocking(writing)
            sender.round()
            sender.finish()
        assert os.get_blocking(writing)
        os.close(writing)
        receiver.finish(5)
        receiver.close()
        assert os.get_blocking(reading)
        assert a.first_difference(b) is None
    os.close(reading)
