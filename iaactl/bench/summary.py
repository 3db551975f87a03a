"""Repetitions of a variant put together: medians with the smallest and the largest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median

from iaactl.bench.crossover import Cost
from iaactl.model.migration import PAGE_BYTES
from iaactl.model.report import Run, Scenario, Side, Spread, Variant, VariantResult

# A sender that fills this part of its limit waits for the link, not for its codec.
_LINK_BOUND = 0.9


def spread(values: Sequence[float]) -> Spread | None:
    """Median, least and most; None of nothing."""
    if not values:
        return None
    return Spread(median=median(values), low=min(values), high=max(values))


def _rate(amount: float, ms: float | None) -> float | None:
    return amount / (ms / 1000) if ms else None


def _over(runs: Iterable[Run], value: Callable[[Run], float | None]) -> Spread | None:
    return spread([found for run in runs if (found := value(run)) is not None])


def _certain(found: Spread | None) -> Spread:
    return found or Spread(median=0, low=0, high=0)


def summarize(runs: Sequence[Run]) -> tuple[VariantResult, ...]:
    """One result a variant, in the order of their first runs; of failed runs only the number."""
    grouped: dict[Variant, list[Run]] = {}
    for run in runs:
        grouped.setdefault(run.variant, []).append(run)
    results = []
    for variant, mine in grouped.items():
        good = [run for run in mine if run.ok]
        results.append(
            VariantResult(
                variant=variant,
                runs=len(mine),
                failed=len(mine) - len(good),
                total_ms=_over(good, lambda run: run.total_ms),
                downtime_ms=_over(good, lambda run: run.downtime_ms),
                rounds=_certain(_over(good, lambda run: len(run.rounds))),
                wire_bytes=_certain(_over(good, lambda run: run.wire_bytes)),
                ratio=_over(good, lambda run: run.ratio),
                pages_per_s=_over(good, lambda run: _rate(run.pages, run.total_ms)),
                guest_bytes_per_s=_over(
                    good, lambda run: _rate(run.pages * PAGE_BYTES, run.total_ms)
                ),
                wire_bytes_per_s=_over(good, lambda run: _rate(run.wire_bytes, run.total_ms)),
                sender_cpu_s=_over(good, lambda run: run.sender.cpu_s),
                receiver_cpu_s=_over(good, lambda run: run.receiver.cpu_s),
            )
        )
    return tuple(results)


def _busiest(side: Side) -> float:
    return max((max(t.cpu_s or 0, t.codec_s or 0) for t in side.threads), default=0.0)


def link_bound(run: Run, scenario: Scenario) -> bool:
    """Whether the bandwidth limit, not the codec, decided how long it took."""
    rate = _rate(run.wire_bytes, run.total_ms)
    limit = scenario.max_bandwidth_bytes_per_s
    return bool(limit and rate and rate >= _LINK_BOUND * limit)


def cost(variant: Variant, runs: Iterable[Run], scenario: Scenario) -> Cost | None:
    """What the variant needs at any speed of the link; None without times.

    Where the limit held it back, the codec's time is that of the busiest thread of either side.
    """
    mine = [run for run in runs if run.variant == variant and run.ok and run.total_ms is not None]
    if not mine:
        return None
    seconds = [
        max(_busiest(run.sender), _busiest(run.receiver))
        if link_bound(run, scenario)
        else (run.total_ms or 0) / 1000
        for run in mine
    ]
    return Cost(variant.label, median(seconds), median(run.wire_bytes for run in mine))
