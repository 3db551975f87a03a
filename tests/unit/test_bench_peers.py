"""Two hosts: agreement, migrations, and peers that are wrong, gone or silent."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.pipeline import FakeEngine
from fakes.reports import variant
from iaactl.bench.campaign import Outcome, run_campaign
from iaactl.bench.control import (
    Control,
    Hello,
    Open,
    Ready,
    Refusal,
    Start,
    Started,
    Sync,
    Welcome,
)
from iaactl.bench.image import Image
from iaactl.bench.listener import Host, Service, listening
from iaactl.bench.remote import Peer
from iaactl.bench.settings import Settings
from iaactl.errors import IaactlError, OperationError, PeerError, StreamError
from iaactl.model.migration import Backend
from iaactl.model.report import Variant

SETTINGS = Settings(channels=3, timeout_s=1)
CONTENT = b"".join(bytes([n % 4]) * 4096 for n in range(64))


class Listening:
    """A service in a thread; `failed` is what it raised."""

    def __init__(self, engine: FakeEngine, most_bytes: int) -> None:
        self.socket = listening("127.0.0.1", 0)
        self.port: int = self.socket.getsockname()[1]
        self.failed: IaactlError | None = None
        self.said: list[str] = []
        host = Host(most_bytes, Backend.AUTO, "a CPU", timed=True)
        self.service = Service(engine, SETTINGS, host, self.socket, self.said.append)
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        try:
            self.service.serve()
        except IaactlError as error:
            self.failed = error


@contextmanager
def listener(engine: FakeEngine | None = None, most_bytes: int = 1 << 30) -> Iterator[Listening]:
    there = Listening(engine or FakeEngine(), most_bytes)
    there.thread.start()
    try:
        yield there
    finally:
        there.thread.join(20)
        there.socket.close()
        assert not there.thread.is_alive()


def campaign(peer: Peer, engine: FakeEngine, *variants: Variant) -> Outcome:
    return run_campaign(
        engine, Image(bytearray(CONTENT), "a test"), variants, SETTINGS, peer.destination, repeat=2
    )


def test_migrations_to_another_host_are_compared_by_digest_and_counted_on_both_sides() -> None:
    there = FakeEngine()
    with listener(there) as other:
        peer = Peer("127.0.0.1", other.port, len(CONTENT), SETTINGS)
        assert peer.welcome.host == "a CPU"
        outcome = campaign(peer, FakeEngine(), variant("zlib"), variant("none", prealloc=False))
        peer.leave()
        peer.close()
    assert other.failed is None
    assert other.service.migrations == 4
    assert [run.ok for run in outcome.runs] == [True] * 4
    for run in outcome.runs:
        assert run.receiver.normal_pages == run.sender.normal_pages == 48
        assert run.downtime_ms is not None
    assert len(there.memories) == 4
    assert all(memory.closed for memory in there.memories)
    assert "256KiB, 3 channels" in other.said[0]


def test_a_wrong_page_on_the_other_host_is_found_by_its_digest() -> None:
    with listener() as other:
        peer = Peer("127.0.0.1", other.port, len(CONTENT), SETTINGS)
        outcome = campaign(peer, FakeEngine(spoil=5), variant("none"))
        peer.leave()
        peer.close()
    assert other.failed is None
    assert [(run.verified, run.first_difference) for run in outcome.runs] == [(False, None)] * 2


def test_more_memory_than_lent_is_refused_with_the_way_out() -> None:
    with (
        listener(most_bytes=1 << 16) as other,
        pytest.raises(PeerError, match="256KiB of memory are asked for, and 64KiB are lent") as e,
    ):
        Peer("127.0.0.1", other.port, len(CONTENT), SETTINGS)
    assert e.value.hint == "start the listening side with --size 256KiB"
    assert isinstance(other.failed, PeerError)


def test_another_protocol_is_refused_on_the_listening_side() -> None:
    with listener() as other:
        control = Control(socket.create_connection(("127.0.0.1", other.port)), "there")
        # With a field that this release does not know: the number is what is told all the same.
        new = {"kind": "hello", "protocol": 99, "version": "9.9", "novelty": True}
        control._end.sendall(json.dumps(new).encode() + b"\n")
        with pytest.raises(PeerError, match=r"protocol 99 .*iaactl 9\.9.* protocol 1"):
            control.receive(Welcome, timeout_s=5)
        control.close()
    assert isinstance(other.failed, PeerError)


@contextmanager
def answering(*lines: bytes) -> Iterator[int]:
    """A host that answers every connection's first line with these, then closes."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        end, _ = server.accept()
        end.recv(1 << 16)
        for line in lines:
            end.sendall(line)
        end.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        thread.join()
        server.close()


def _welcome(**changes: object) -> bytes:
    plain = Welcome(protocol=1, version="1", backend=Backend.AUTO, host="x", timed=True)
    return plain.model_copy(update=changes).model_dump_json().encode() + b"\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (_welcome(protocol=2, version="7.7"), r"protocol 2 .*iaactl 7\.7"),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak the protocol"),
        (b'{"kind": "welcome"}\n', "does not speak the protocol"),
        (b"[1]\n", "does not speak the protocol"),
        (b"", "closed there"),
        (b"x" * (1 << 19), "does not speak the protocol"),
        (Refusal(message="no room", hint="less").model_dump_json().encode() + b"\n", "no room"),
    ],
    ids=["protocol", "HTTP", "fields", "list", "closed", "endless", "refusal"],
)
def test_what_is_no_listening_iaactl_gets_one_sentence(line: bytes, words: str) -> None:
    with answering(line) as port, pytest.raises(PeerError, match=words) as caught:
        Peer("127.0.0.1", port, 4096, SETTINGS)
    assert f"127.0.0.1:{port}" in caught.value.message


def test_nobody_there_and_no_such_address() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    server.close()
    with pytest.raises(PeerError, match="cannot connect"):
        Peer("127.0.0.1", port, 4096, SETTINGS)
    with pytest.raises(OperationError, match="cannot listen on"):
        listening("192.0.2.1", 0)


def test_a_silent_peer_is_given_up() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(PeerError, match=r"said nothing for 0\.3 s"):
        Peer("127.0.0.1", server.getsockname()[1], 4096, Settings(timeout_s=0.3))
    server.close()


def hello(port: int, channels: int) -> Control:
    control = Control(socket.create_connection(("127.0.0.1", port)), "there")
    control.send(Hello(protocol=1, version="1", memory_bytes=8192, channels=channels))
    control.receive(Welcome, timeout_s=5)
    return control


def test_a_sender_that_vanishes_before_its_channels_ends_the_service() -> None:
    with listener() as other:
        control = hello(other.port, 2)
        control.send(Start(method=variant("none").method, prealloc=True))
        ends = [socket.create_connection(("127.0.0.1", other.port))]
        with pytest.raises(PeerError):
            control.receive(Sync, timeout_s=5)
            control.receive(Sync, timeout_s=5)
        control.close()
        ends[0].close()
    assert other.failed is not None
    assert "opened 1 of 2 channels" in other.failed.message


def test_a_sender_that_vanishes_between_migrations_ends_the_service() -> None:
    with listener() as other:
        hello(other.port, 2).close()
    assert isinstance(other.failed, PeerError)
    assert "closed there" in other.failed.message


def test_a_sender_that_vanishes_amid_a_migration_ends_the_service() -> None:
    engine = FakeEngine()
    with listener(engine) as other:
        peer = Peer("127.0.0.1", other.port, len(CONTENT), SETTINGS)
        destination = peer.destination(variant("none"))
        peer.close()
        destination.close()
    assert isinstance(other.failed, PeerError)
    assert all(memory.closed for memory in engine.memories)


def test_a_receiver_that_vanishes_amid_a_campaign_ends_it_with_what_was_measured() -> None:
    class Vanishing(FakeEngine):
        def receiver(self, memory, fds, options):  # type: ignore[no-untyped-def]
            if len(self.memories) == 2:
                raise OperationError("the host caught fire")
            return super().receiver(memory, fds, options)

    with listener(Vanishing()) as other:
        peer = Peer("127.0.0.1", other.port, len(CONTENT), SETTINGS)
        outcome = campaign(peer, FakeEngine(), variant("none"))
        peer.close()
    assert outcome.lost_peer is not None
    assert outcome.runs[0].ok
    assert "the host caught fire" in (outcome.runs[1].failed or "")
    assert len(outcome.runs) == 2


def test_a_channel_that_breaks_here_ends_the_campaign_for_the_hosts_are_out_of_step() -> None:
    class Breaking(FakeEngine):
        def sender(self, memory, fds, options):  # type: ignore[no-untyped-def]
            sender = super().sender(memory, fds, options)

            def broken() -> int:
                raise StreamError("channel 0: cut", channel=0)

            sender.round = broken  # type: ignore[method-assign]
            return sender

    with listener() as other:
        peer = Peer("127.0.0.1", other.port, len(CONTENT), SETTINGS)
        outcome = campaign(peer, Breaking(), variant("none"))
        peer.close()
    assert outcome.lost_peer is not None
    (run,) = outcome.runs
    assert "channel 0: cut" in (run.failed or "")
    assert other.failed is not None


def test_a_stranger_on_the_port_does_not_get_a_channel() -> None:
    """127.0.0.2 is another host as far as addresses tell."""
    with listener() as other:
        control = hello(other.port, 1)
        control.send(Start(method=variant("none").method, prealloc=True))
        stranger = socket.create_connection(
            ("127.0.0.1", other.port), source_address=("127.0.0.2", 0)
        )
        assert stranger.recv(1) == b""
        stranger.close()
        with socket.create_connection(("127.0.0.1", other.port)):
            control.receive(Ready, timeout_s=5)
            control.send(Open())
            control.receive(Started, timeout_s=5)
        control.close()


@given(st.binary(max_size=400))
def test_any_line_is_a_message_or_one_error(line: bytes) -> None:
    ours, theirs = socket.socketpair()
    # Options of TCP are not for this socket; the protocol above is the same.
    control = Control.__new__(Control)
    control._end, control._name, control._read = ours, "there", b""
    theirs.sendall(line + b"\n")
    theirs.close()
    try:
        control.receive(Hello, Sync, timeout_s=5)
    except PeerError as error:
        assert "\n" not in error.message
    else:
        assert json.loads(line.partition(b"\n")[0])["kind"] in ("hello", "sync")
    finally:
        control.close()
