"""All variants, all repetitions: interleaved, so that what disturbs the machine meets all alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from iaactl.bench.destination import Destination
from iaactl.bench.engine import Engine
from iaactl.bench.image import Image
from iaactl.bench.migration import Migration
from iaactl.bench.settings import Settings
from iaactl.errors import HostError, IaactlError, PeerError
from iaactl.model.report import Run, Sample, Variant

MakeDestination = Callable[[Variant], Destination]


class Progress(Protocol):
    """Told what goes on; `sample` from another thread."""

    def begin(self, variant: Variant, number: int, of: int) -> None:
        """The number-th of all migrations starts."""

    def sample(self, sample: Sample, round_number: int) -> None:
        """Sums so far of the migration that runs."""

    def end(self, run: Run) -> None:
        """It is over."""


class NoProgress:
    """Nobody wants to know."""

    def begin(self, variant: Variant, number: int, of: int) -> None:
        """Nothing."""

    def sample(self, sample: Sample, round_number: int) -> None:
        """Nothing."""

    def end(self, run: Run) -> None:
        """Nothing."""


@dataclass(slots=True)
class Outcome:
    """What a campaign measured before it ended, and how it ended."""

    runs: list[Run] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False
    lost_peer: PeerError | None = None


def interleaved(variants: Sequence[Variant], repeat: int) -> Iterator[tuple[int, Variant]]:
    """Each variant once a repetition, the order reversed in every other one."""
    for repetition in range(repeat):
        order = variants if repetition % 2 == 0 else variants[::-1]
        for variant in order:
            yield repetition, variant


def run_campaign(
    engine: Engine,
    image: Image,
    variants: Sequence[Variant],
    settings: Settings,
    make_destination: MakeDestination,
    *,
    repeat: int = 1,
    timed: bool = True,
    leave_out: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Migrate `image` once for each variant and repetition.

    A migration that fails is recorded and the next one goes on. What this machine cannot do at all
    raises HostError, or with `leave_out` leaves the variant out. Ctrl-C and a peer that is gone end
    it with what was measured so far.
    """
    told = progress or NoProgress()
    outcome = Outcome()
    source = engine.memory(image.size, prealloc=True)
    try:
        for number, (repetition, variant) in enumerate(interleaved(variants, repeat)):
            if variant.label in outcome.left_out:
                continue
            told.begin(variant, number, len(variants) * repeat)
            migration = Migration(
                engine,
                source,
                variant,
                settings,
                repetition=repetition,
                timed=timed,
                observe=told.sample,
            )
            failed = None
            try:
                with source.view() as view:
                    view[:] = image.content
                destination = make_destination(variant)
                try:
                    migration.run(destination)
                except IaactlError as error:
                    raise destination.explain(error) from error
                finally:
                    destination.close()
            except HostError as error:
                if not leave_out:
                    raise
                outcome.left_out[variant.label] = error.message
                continue
            except IaactlError as error:
                failed = error.message
                if isinstance(error, PeerError):
                    outcome.lost_peer = error
            except KeyboardInterrupt:
                failed = "interrupted"
                outcome.interrupted = True
            run = migration.result(failed)
            told.end(run)
            outcome.runs.append(run)
            if outcome.interrupted or outcome.lost_peer:
                break
    except KeyboardInterrupt:
        outcome.interrupted = True
    finally:
        source.close()
    return outcome
