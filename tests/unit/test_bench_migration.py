"""The pre-copy loop and campaigns, on an engine of Python over real sockets."""

from __future__ import annotations

import os
from typing import Any

import pytest

from fakes.pipeline import FakeEngine
from fakes.reports import variant
from iaactl.bench.campaign import Outcome, interleaved, run_campaign
from iaactl.bench.destination import LocalDestination
from iaactl.bench.image import Image
from iaactl.bench.migration import thinned
from iaactl.bench.settings import Settings
from iaactl.bench.transport import Transport, connected
from iaactl.errors import HostError, StreamError
from iaactl.model.migration import Backend, Method
from iaactl.model.report import Run, Sample, Variant

PAGES = 64
CONTENT = b"".join(bytes([n % 4]) * 4096 for n in range(PAGES))
SETTINGS = Settings(channels=3, timeout_s=5)


def campaign(
    engine: FakeEngine,
    *variants: Variant,
    settings: Settings = SETTINGS,
    transport: Transport = "unix",
    **more: Any,
) -> Outcome:
    image = Image(bytearray(CONTENT), "a test")
    chosen = variants or (variant("zlib"),)
    outcome = run_campaign(
        engine, image, chosen, settings,
        lambda v: LocalDestination(engine, image.size, v, settings, transport), **more,
    )  # fmt: skip
    assert all(memory.closed for memory in engine.memories)
    return outcome


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_every_page_arrives_and_is_counted(transport: Transport) -> None:
    (run,) = campaign(FakeEngine(), transport=transport).runs
    assert run.ok
    assert run.converged
    assert [r.pages for r in run.rounds] == [PAGES, 0]
    assert (run.pages, run.sender.zero_pages, run.sender.normal_pages) == (64, 16, 48)
    assert run.receiver.normal_pages == 48
    assert run.wire_bytes == sum(r.wire_bytes for r in run.rounds)
    assert run.ratio is not None
    assert run.ratio > 10
    assert run.total_ms is not None
    assert run.downtime_ms is not None
    assert 0 < run.downtime_ms < run.total_ms
    assert [t.channel for t in run.sender.threads] == [0, 1, 2]


def test_a_guest_that_writes_is_migrated_and_equal_at_the_end() -> None:
    writing = Settings(channels=2, dirty_pages_per_s=4000, dirty_pages=8, timeout_s=5)
    (run,) = campaign(FakeEngine(slow_s=0.02), settings=writing).runs
    assert run.ok
    assert run.guest_pages_written > 0
    assert len(run.rounds) >= 2


def test_a_guest_that_is_never_slow_enough_is_stopped_after_the_rounds_allowed() -> None:
    (run,) = campaign(
        FakeEngine(always_dirty=1 << 40), settings=Settings(channels=1, max_rounds=4)
    ).runs
    assert len(run.rounds) == 4
    assert not run.converged
    assert run.ok


@pytest.mark.parametrize(("limit_ms", "rounds"), [(1, 3), (20000, 2)])
def test_the_switch_over_rule_is_remaining_bytes_against_bandwidth_and_limit(
    limit_ms: int, rounds: int
) -> None:
    """A page is left, 197 kB take 50 ms or more: not 4 kB in 1 ms, but in 20 s."""
    settings = Settings(channels=1, max_rounds=3, downtime_limit_ms=limit_ms)
    engine = FakeEngine(always_dirty=1, slow_s=0.05)
    (run,) = campaign(engine, variant("none"), settings=settings).runs
    assert len(run.rounds) == rounds
    assert run.converged is (rounds == 2)


def test_a_page_that_differs_is_found_and_named() -> None:
    (run,) = campaign(FakeEngine(spoil=9)).runs
    assert not run.ok
    assert run.first_difference == 9
    assert run.failed is None


def test_a_channel_that_breaks_is_one_failed_run_and_the_next_goes_on() -> None:
    class Breaking(FakeEngine):
        def sender(self, memory: Any, fds: Any, options: Any) -> Any:
            if options.method is Method.ZSTD:
                import socket

                end = socket.socket(fileno=fds[1])
                end.shutdown(socket.SHUT_RDWR)
                end.detach()
            return super().sender(memory, fds, options)

    broken, fine = campaign(Breaking(), variant("zstd"), variant("zlib")).runs
    assert broken.failed is not None
    assert "channel 1" in broken.failed
    assert broken.total_ms is None
    assert fine.ok


def test_the_receivers_defect_is_told_and_not_what_the_sender_saw_of_it() -> None:
    engine = FakeEngine()
    destination = LocalDestination(engine, 8192, variant("zlib"), SETTINGS, "unix")
    try:
        seen = StreamError("channel 0: closed")
        assert destination.explain(seen) is seen
        os.write(destination.fds[1], b"\0" + bytes(4) + (3).to_bytes(4, "little") + b"bad")
        with pytest.raises(StreamError):
            destination.wait_sync(1)
        assert "channel 1" in destination.explain(seen).message
    finally:
        destination.close()


def test_what_cannot_be_had_raises_or_is_left_out() -> None:
    refused = [(Method.QPL, Backend.IAA)]
    both = (variant("qpl", "iaa"), variant("none"))
    with pytest.raises(HostError, match="iaa cannot be had"):
        campaign(FakeEngine(refuse=refused), *both)
    outcome = campaign(FakeEngine(refuse=refused), *both, leave_out=True, repeat=2)
    assert outcome.left_out == {"qpl/iaa": "iaa cannot be had"}
    assert [run.variant.label for run in outcome.runs] == ["none", "none"]


def test_an_interruption_keeps_what_was_measured() -> None:
    outcome = campaign(FakeEngine(cut=3), variant("none"), variant("zlib"), repeat=2)
    assert outcome.interrupted
    assert [run.failed for run in outcome.runs] == [None, None, "interrupted"]
    assert outcome.runs[2].pages == PAGES
    assert outcome.runs[2].total_ms is None


def test_repetitions_are_interleaved_and_reversed_in_turn() -> None:
    one, two = variant("none"), variant("zlib")
    assert list(interleaved([one, two], 3)) == [
        (0, one), (0, two), (1, two), (1, one), (2, one), (2, two)
    ]  # fmt: skip


def test_without_speed_there_is_no_time_anywhere() -> None:
    (run,) = campaign(FakeEngine(), timed=False).runs
    assert run.ok
    text = run.model_dump_json()
    assert run.samples == ()
    for name in ("total_ms", "downtime_ms", "ms", "cpu_s", "codec_s"):
        assert f'"{name}":null' in text
    assert Run.model_validate_json(text) == run


def test_samples_are_thinned_to_even_distances_with_the_last_one() -> None:
    samples = [Sample(ms=float(n), pages=n, wire_bytes=n) for n in range(1001)]
    kept = thinned(samples, 100)
    assert len(kept) <= 100
    assert kept[0] is samples[0]
    assert kept[-1] is samples[-1]
    assert thinned([]) == ()
    assert thinned(samples[:3]) == tuple(samples[:3])


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_channels_are_connected_pairwise(transport: Transport) -> None:
    with connected(transport, 5) as channels:
        for n, end in enumerate(channels.sending):
            end.send(bytes([n]))
        assert [end.recv(1) for end in channels.receiving] == [bytes([n]) for n in range(5)]
    assert all(end.fileno() == -1 for end in (*channels.sending, *channels.receiving))
