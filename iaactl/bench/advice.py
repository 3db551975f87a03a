"""What the figures say to somebody who has to choose: pure functions of a report's parts.

Published figures are called published. They are Intel's, of QEMU with QPL, 4 IAA devices on each
side, 64 GiB (cover letter of "Live Migration With IAA" v7, 3 June 2024).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iaactl.bench.crossover import Cost, winners
from iaactl.bench.plausibility import implausible, used_software
from iaactl.bench.summary import cost
from iaactl.model.codes import found
from iaactl.model.finding import Finding, Severity
from iaactl.model.migration import Backend, Method
from iaactl.model.report import Machine, Run, Scenario, Side, Variant, VariantResult

_QUEUE_FULL = 0.05
# Runs of one variant differ by more than this on a quiet machine.
_TIE = 1.03


def link(bytes_per_s: float) -> str:
    """A speed of a link as links are sold: decimal bits a second."""
    bits = bytes_per_s * 8
    return f"{bits / 1e9:.3g} Gbit/s" if bits >= 1e9 else f"{bits / 1e6:.3g} Mbit/s"


def _seconds(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.0f} ms"


def _fair(variants: Sequence[Variant]) -> set[Variant]:
    """Those to compare with each other: where both were measured, with preallocated memory."""
    return {
        variant
        for variant in variants
        if variant.prealloc or variant.model_copy(update={"prealloc": True}) not in variants
    }


def _winner(scenario: Scenario, results: Sequence[VariantResult]) -> Iterator[Finding]:
    fair = _fair([r.variant for r in results])
    timed = [
        (r.total_ms.median, r) for r in results if r.total_ms is not None and r.variant in fair
    ]
    if len(timed) < 2:
        return
    timed.sort(key=lambda pair: pair[0])
    (best_ms, best), (next_ms, second) = timed[0], timed[1]
    limit = scenario.max_bandwidth_bytes_per_s
    where = f"at {link(limit)}" if limit else "without a bandwidth limit"
    assert best.total_ms is not None
    assert second.total_ms is not None
    close = best.total_ms.high >= second.total_ms.low or next_ms < best_ms * _TIE
    cpu = best.sender_cpu_s
    used = f", {cpu.median:.2f} s of CPU on the sender" if cpu else ""
    yield found(
        "IAA-R001",
        best.variant.label,
        f"{best.variant.label} ends first {where}: {_seconds(best_ms)}{used}; "
        + (
            f"{second.variant.label} at {_seconds(next_ms)} is too near to tell: call it a tie"
            if close
            else f"{second.variant.label} takes {next_ms / best_ms:.2f} times as long"
        ),
        *tuple(f"{r.variant.label}: {_seconds(ms)}" for ms, r in timed),
        severity=Severity.OK,
    )


def _ranges(ranking: Sequence[tuple[Cost, float]]) -> str:
    parts = []
    for index, (best, start) in enumerate(ranking):
        if index + 1 < len(ranking):
            parts.append(f"{best.label} up to {link(ranking[index + 1][1])}")
        else:
            parts.append(f"{best.label} from {link(start)} on" if start else best.label)
    return ", ".join(parts)


def _crossovers(costs: Sequence[Cost]) -> Iterator[Finding]:
    ranking = winners(costs)
    if len(costs) < 2 or not ranking:
        return
    if len(ranking) == 1:
        sentence = f"{ranking[0][0].label} ends first at every speed of the link"
    else:
        sentence = f"by speed of the link the first to end is: {_ranges(ranking)}"
    yield found(
        "IAA-R002",
        "link",
        sentence,
        "time(link) = max(time without a limit, bytes on the wire / link)",
        *(f"{c.label}: {c.codec_s:.3f} s, {c.wire_bytes / 1e6:.1f} MB" for c in costs),
        severity=Severity.OK,
    )


def _prealloc(results: Sequence[VariantResult]) -> Iterator[Finding]:
    measured = {r.variant: r.total_ms.median for r in results if r.total_ms is not None}
    pairs = []
    for variant, ms in measured.items():
        other = measured.get(variant.model_copy(update={"prealloc": False}))
        if variant.prealloc and other is not None and ms:
            pairs.append((variant, other / ms))
    if pairs:
        text = "; ".join(f"{v.label} {factor:.2f} times" for v, factor in pairs)
        worth_it = max(factor for _, factor in pairs) > 1.1
        yield found(
            "IAA-R003",
            "prealloc",
            f"without preallocated memory on the destination it takes: {text}",
            severity=Severity.OK,
            remedy="start the destination QEMU with -mem-prealloc" if worth_it else None,
        )
    elif any(v.backend is Backend.IAA and not v.prealloc for v in measured):
        yield _published_prealloc(Severity.WARNING)
    elif any(v.method is Method.QPL for v in measured):
        yield _published_prealloc(Severity.NOTICE)


def _published_prealloc(severity: Severity) -> Finding:
    return found(
        "IAA-R003",
        "prealloc",
        "published, not measured here: without -mem-prealloc on the destination, QPL on IAA took "
        "30.0 s instead of 5.2 s and 92 ms instead of 31 ms of downtime (4 channels)",
        severity=severity,
        remedy="start the destination QEMU with -mem-prealloc; --compare-prealloc measures it",
    )


def _channels(scenario: Scenario, machine: Machine) -> Iterator[Finding]:
    per_socket = machine.devices_per_socket
    if not per_socket or not machine.queues:
        return
    chosen = None if scenario.socket is None else str(scenario.socket)
    devices = per_socket.get(chosen, 0) if chosen is not None else max(per_socket.values())
    if not devices:
        return
    text = (
        f"published: about one channel an IAA device of the socket is enough ({devices} here, "
        f"{scenario.channels} used); 8 channels on 4 devices took 1.9 times the CPU and no less "
        "time than 4"
    )
    fitting = scenario.channels == devices
    yield found(
        "IAA-R004",
        "channels",
        text,
        f"enabled devices by socket: {dict(sorted(per_socket.items()))}",
        severity=Severity.OK if fitting else Severity.NOTICE,
        remedy=None if fitting else f"--channels {devices}",
    )


def _paths(runs: Sequence[Run]) -> Iterator[Finding]:
    told: set[tuple[str, str]] = set()

    def once(run: Run, who: str, side: Side) -> Iterator[Finding]:
        part = used_software(side)
        label = run.variant.label
        if part > 0 and (label, who) not in told:
            told.add((label, who))
            yield found(
                "IAA-R005",
                label,
                f"{label}: the {who} did {part:.1%} of the pages in software because queues were "
                "full or a job failed",
                f"{side.busy_retries} retries of full queues, {side.job_failures} failed jobs",
                f"{side.iaa_pages} pages on IAA",
                severity=Severity.WARNING if part > _QUEUE_FULL else Severity.NOTICE,
            )

    for run in runs:
        yield from once(run, "sender", run.sender)
        yield from once(run, "receiver", run.receiver)


def _slow_guest(runs: Sequence[Run], scenario: Scenario) -> Iterator[Finding]:
    stuck = sorted({run.variant.label for run in runs if run.failed is None and not run.converged})
    if stuck:
        yield found(
            "IAA-R006",
            ", ".join(stuck),
            f"{', '.join(stuck)}: the guest wrote faster than it was sent; after "
            f"{scenario.max_rounds} rounds it was stopped all the same, so the downtime is above "
            f"the limit of {scenario.downtime_limit_ms} ms",
            severity=Severity.WARNING,
        )


def _wrong(runs: Sequence[Run]) -> Iterator[Finding]:
    for run in runs:
        if run.failed is None and not run.verified:
            yield found(
                "IAA-R007",
                run.variant.label,
                f"{run.variant.label}: page {run.first_difference} differs on the destination",
                f"repetition {run.repetition}",
                severity=Severity.ERROR,
            )


def costs(scenario: Scenario, runs: Sequence[Run]) -> list[Cost]:
    """What each variant needs, in the order in which they first ran; none without times.

    Of a variant measured both ways only the one with preallocated memory.
    """
    variants: list[Variant] = list(dict.fromkeys(run.variant for run in runs))
    fair = _fair(variants)
    return [known for v in variants if v in fair and (known := cost(v, runs, scenario)) is not None]


def advise(
    scenario: Scenario, machine: Machine, results: Sequence[VariantResult], runs: Sequence[Run]
) -> tuple[Finding, ...]:
    """Findings in the order in which they matter: what is wrong, what wins, what to doubt."""
    good = [run for run in runs if run.ok]
    return (
        *_wrong(runs),
        *_winner(scenario, results),
        *_crossovers(costs(scenario, runs)),
        *_paths(good),
        *_slow_guest(runs, scenario),
        *_prealloc(results),
        *_channels(scenario, machine),
        *implausible(scenario, machine, runs),
    )
