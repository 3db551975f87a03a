"""A benchmark's report from its parts: what was asked, where it ran, what came of it, advice."""

from __future__ import annotations

from collections.abc import Mapping

from iaactl.bench.advice import advise
from iaactl.bench.campaign import Outcome
from iaactl.bench.settings import Settings
from iaactl.bench.summary import summarize
from iaactl.bench.transport import Transport
from iaactl.model.migration import PAGE_BYTES
from iaactl.model.report import BenchReport, Machine, MemoryImage, Scenario


def scenario_of(
    image: MemoryImage,
    settings: Settings,
    *,
    user: str,
    repeat: int,
    socket: int | None,
    transport: Transport,
    peer: str | None,
) -> Scenario:
    """What was asked; with a peer the transport between two hosts is always TCP."""
    return Scenario(
        image=image,
        channels=settings.channels,
        transport=transport if peer is None else "two-hosts",
        peer=peer,
        max_bandwidth_bytes_per_s=settings.max_bandwidth_bytes_per_s,
        downtime_limit_ms=settings.downtime_limit_ms,
        max_rounds=settings.max_rounds,
        zlib_level=settings.zlib_level,
        zstd_level=settings.zstd_level,
        zero_page_detection=settings.zero_detection,
        dirty_pages_per_s=settings.dirty_pages_per_s,
        dirty_pattern=settings.dirty_pattern,
        dirty_memory_bytes=settings.dirty_pages * PAGE_BYTES,
        seed=settings.seed,
        repeat=repeat,
        socket=socket,
        user=user,
    )


def report_of(
    scenario: Scenario,
    machine: Machine,
    outcome: Outcome,
    left_out: Mapping[str, str],
    no_speed: str | None,
) -> BenchReport:
    """The report; `no_speed` says why the runs hold no times, if so."""
    results = summarize(outcome.runs)
    return BenchReport(
        scenario=scenario,
        machine=machine,
        results=results,
        runs=tuple(outcome.runs),
        left_out={**left_out, **outcome.left_out},
        advice=advise(scenario, machine, results, outcome.runs),
        no_speed=no_speed,
        interrupted=outcome.interrupted,
    )
