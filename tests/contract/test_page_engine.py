"""The page engine's promises to the benchmark, over the one of Python and the native one."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from fakes.pipeline import FakeEngine
from iaactl.bench.engine import Engine, GuestMemory
from iaactl.bench.transport import Channels, connected
from iaactl.errors import OperationError, StreamError
from iaactl.model.migration import Method
from iaactl.multifd.engine import NativeEngine
from iaactl.multifd.pipeline import ReceiveOptions, SendOptions

PAGES = 300


@pytest.fixture(params=[FakeEngine, NativeEngine])
def engine(request: pytest.FixtureRequest) -> Engine:
    made: Engine = request.param()
    return made


@contextmanager
def memories(engine: Engine, count: int = 2) -> Iterator[Sequence[GuestMemory]]:
    found = [engine.memory(PAGES * 4096, prealloc=n % 2 == 0) for n in range(count)]
    try:
        yield found
    finally:
        for memory in found:
            memory.close()


def fill(memory: GuestMemory) -> None:
    """Every third page zero, the others each of its own."""
    with memory.view() as view:
        for page in range(PAGES):
            if page % 3:
                view[page * 4096 : page * 4096 + 8] = page.to_bytes(8, "little")


def test_fresh_memory_is_zero_and_clean(engine: Engine) -> None:
    with memories(engine) as (one, other):
        assert (one.size, one.pages, one.dirty_pages()) == (PAGES * 4096, PAGES, 0)
        with one.view() as view:
            assert not any(view)
        one.mark_all_dirty()
        assert one.dirty_pages() == PAGES
        assert engine.first_difference(one, other) is None
        with other.view() as view:
            view[7 * 4096 + 5] = 1
        assert engine.first_difference(one, other) == 7


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("count", [1, 3])
def test_rounds_syncs_and_counters(engine: Engine, method: Method, count: int) -> None:
    with memories(engine) as (source, target), connected("unix", count) as channels:
        fill(source)
        receiver = engine.receiver(
            target, [end.fileno() for end in channels.receiving], ReceiveOptions(method=method)
        )
        receiver.start()
        sender = engine.sender(
            source, [end.fileno() for end in channels.sending], SendOptions(method=method)
        )
        source.mark_all_dirty()
        assert sender.round() == PAGES
        assert source.dirty_pages() == 0
        receiver.wait_sync(1, 10)
        assert engine.first_difference(source, target) is None
        assert sender.round() == 0
        receiver.wait_sync(2, 10)
        sender.finish()
        receiver.finish(10)
        for side in (sender.counters(), receiver.counters()):
            assert sorted(counter.channel for counter in side) == list(range(count))
            assert sum(counter.zero_pages for counter in side) == PAGES // 3
            assert sum(counter.normal_pages for counter in side) == PAGES - PAGES // 3
            for counter in side:
                paths = (counter.raw_pages, counter.iaa_pages, counter.libqpl_pages,
                         counter.software_pages)  # fmt: skip
                assert sum(paths) == (counter.normal_pages if method is Method.QPL else 0)
        assert sender.backend.reason
        assert receiver.backend.codec
        sender.close()
        receiver.close()
        assert sum(counter.normal_pages for counter in sender.counters()) == PAGES - PAGES // 3


def test_a_sync_that_does_not_come_is_an_error_in_time(engine: Engine) -> None:
    with memories(engine, 1) as (target,), connected("unix", 2) as channels:
        receiver = engine.receiver(
            target, [end.fileno() for end in channels.receiving], ReceiveOptions()
        )
        receiver.start()
        began = time.monotonic()
        with pytest.raises(OperationError) as caught:
            receiver.wait_sync(1, 0.2)
        assert not isinstance(caught.value, StreamError)
        with pytest.raises(OperationError):
            receiver.wait_sync(1 << 30, 0)
        assert time.monotonic() - began < 5
        receiver.close()


def hang_up(channels: Channels) -> None:
    for end in channels.receiving:
        end.shutdown(socket.SHUT_RDWR)


def test_a_peer_that_is_gone_is_an_error_of_the_stream(engine: Engine) -> None:
    with memories(engine, 1) as (source,), connected("unix", 2) as channels:
        fill(source)
        sender = engine.sender(source, [end.fileno() for end in channels.sending], SendOptions())
        hang_up(channels)
        source.mark_all_dirty()
        with pytest.raises(StreamError, match="channel"):
            sender.round()
        sender.close()


def test_a_writer_dirties_only_its_part_until_it_is_stopped(engine: Engine) -> None:
    with memories(engine, 1) as (memory,):
        writer = engine.dirtier(memory, pages_per_s=2000, pattern="sequential", pages=10, seed=3)
        writer.start()
        deadline = time.monotonic() + 10
        while not memory.dirty_pages():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        written = writer.stop()
        with memory.view() as view:
            before = bytes(view)
        assert 0 < memory.dirty_pages() <= min(written, 10)
        assert writer.stop() == written
        time.sleep(0.02)
        with memory.view() as view:
            assert bytes(view) == before
            assert not any(view[10 * 4096 :])
        writer.close()
