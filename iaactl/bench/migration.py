"""One pre-copy migration: rounds over dirty pages until the rest fits the downtime limit.

Round 1 sends every page, each further one those written to meanwhile. After a round the rest is
sent with the guest standing still if remaining guest bytes <= wire bandwidth of the round x
downtime limit: QEMU's rule, with QEMU's pessimism for methods that compress. QEMU asks it every
100 ms, also amid a round; here it is asked between rounds, so that every page is sent while the
guest runs at least once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from iaactl.bench.destination import Destination
from iaactl.bench.engine import Engine, GuestMemory, Sender
from iaactl.bench.settings import Settings
from iaactl.model.migration import PAGE_BYTES, ChannelCounters, Choice
from iaactl.model.report import Round, Run, Sample, Side, ThreadUse, Variant

Observe = Callable[[Sample, int], None]
"""Called from another thread with sums so far and the number of the round."""

_SAMPLE_S = 0.05
_MOST_SAMPLES = 200


def side(counters: Sequence[ChannelCounters], choice: Choice | None, *, timed: bool) -> Side:
    """Sums over channels; without times where there are none to tell."""

    def total(name: str) -> int:
        return sum(getattr(counter, name) for counter in counters)

    return Side(
        raw_pages=total("raw_pages"),
        zero_pages=total("zero_pages"),
        iaa_pages=total("iaa_pages"),
        libqpl_pages=total("libqpl_pages"),
        software_pages=total("software_pages"),
        normal_pages=total("normal_pages"),
        packets=total("packets"),
        busy_retries=total("busy_retries"),
        faults=total("faults"),
        job_failures=total("job_failures"),
        cpu_s=total("cpu_ns") / 1e9 if timed else None,
        codec_s=total("codec_ns") / 1e9 if timed else None,
        threads=tuple(
            ThreadUse(
                channel=counter.channel,
                cpu_s=counter.cpu_ns / 1e9 if timed else None,
                codec_s=counter.codec_ns / 1e9 if timed else None,
                pages=counter.normal_pages + counter.zero_pages,
                wire_bytes=counter.wire_bytes,
            )
            for counter in sorted(counters, key=lambda counter: counter.channel)
        ),
        choice=choice,
    )


def thinned(samples: Sequence[Sample], most: int = _MOST_SAMPLES) -> tuple[Sample, ...]:
    """At most `most` samples at even distances, the last one among them."""
    step = -(-len(samples) // most) or 1
    kept = list(samples[::step])
    if samples and kept[-1] is not samples[-1]:
        kept[-1:] = [samples[-1]]
    return tuple(kept)


class _Sampler:
    """Reads the sender's counters while it works."""

    def __init__(self, migration: Migration, sender: Sender, observe: Observe) -> None:
        self._migration = migration
        self._sender = sender
        self._observe = observe
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="samples")
        self.take()
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            self.take()

    def take(self) -> None:
        counters = self._sender.counters()
        sample = Sample(
            ms=self._migration.elapsed_ms(),
            pages=sum(c.normal_pages + c.zero_pages for c in counters),
            wire_bytes=sum(c.wire_bytes for c in counters),
        )
        self._migration.samples.append(sample)
        self._observe(sample, len(self._migration.rounds) + 1)

    def close(self) -> None:
        self._over.set()
        self._thread.join()


class Migration:
    """One migration of `source`, which must hold the guest's memory already.

    `run` does it; `result` tells what came of it, also of one that failed or was interrupted.
    """

    def __init__(
        self,
        engine: Engine,
        source: GuestMemory,
        variant: Variant,
        settings: Settings,
        *,
        repetition: int = 0,
        timed: bool = True,
        observe: Observe = lambda sample, round_number: None,
    ) -> None:
        self._engine = engine
        self._source = source
        self._variant = variant
        self._settings = settings
        self._repetition = repetition
        self._timed = timed
        self._observe = observe
        self._began: float | None = None
        self._sent: tuple[ChannelCounters, ...] = ()
        self._received: tuple[ChannelCounters, ...] = ()
        self._choices: tuple[Choice | None, Choice | None] = (None, None)
        self._written = 0
        self._total_ms = self._downtime_ms = 0.0
        self._converged = self._verified = False
        self._difference: int | None = None
        self.rounds: list[Round] = []
        self.samples: list[Sample] = []

    def elapsed_ms(self) -> float:
        """Since the first page was sent."""
        return 0.0 if self._began is None else (time.perf_counter() - self._began) * 1000

    def _round(self, sender: Sender) -> float:
        """Send what is dirty; wire bytes a second."""
        before = sum(c.wire_bytes for c in sender.counters())
        began = time.perf_counter()
        pages = sender.round()
        seconds = max(time.perf_counter() - began, 1e-9)
        wire = sum(c.wire_bytes for c in sender.counters()) - before
        self.rounds.append(
            Round(
                pages=pages,
                wire_bytes=wire,
                dirty_after=self._source.dirty_pages(),
                ms=seconds * 1000 if self._timed else None,
            )
        )
        return wire / seconds

    def _precopy(self, sender: Sender) -> None:
        limit_s = self._settings.downtime_limit_ms / 1000
        while len(self.rounds) + 1 < self._settings.max_rounds:
            bandwidth = self._round(sender)
            if self._source.dirty_pages() * PAGE_BYTES <= bandwidth * limit_s:
                self._converged = True
                return

    def run(self, destination: Destination) -> None:
        """Migrate, and compare every page. Raises StreamError and the like; `destination` stays
        open and is the caller's."""
        settings = self._settings
        with ExitStack() as undo:
            sender = self._engine.sender(
                self._source, destination.fds, settings.sending(self._variant)
            )
            undo.callback(sender.close)
            undo.callback(self._keep, sender, destination)
            self._choices = (sender.backend, destination.backend)
            dirtier = None
            if settings.dirty_pages_per_s and settings.dirty_pages:
                dirtier = self._engine.dirtier(
                    self._source,
                    pages_per_s=settings.dirty_pages_per_s,
                    pattern=settings.dirty_pattern,
                    pages=settings.dirty_pages,
                    seed=settings.seed + self._repetition,
                )
                undo.callback(dirtier.close)
            self._source.mark_all_dirty()
            self._began = time.perf_counter()
            sampler = _Sampler(self, sender, self._observe)
            undo.callback(sampler.close)
            if dirtier is not None:
                dirtier.start()
            self._precopy(sender)
            stopped = time.perf_counter()
            if dirtier is not None:
                self._written = dirtier.stop()
            self._round(sender)
            destination.wait_sync(len(self.rounds))
            ended = time.perf_counter()
            self._downtime_ms = (ended - stopped) * 1000
            self._total_ms = (ended - self._began) * 1000
            sampler.take()
            sender.finish()
            destination.finish()
            self._verified, self._difference = destination.compare(self._source)

    def _keep(self, sender: Sender, destination: Destination) -> None:
        self._sent = sender.counters()
        self._received = destination.counters()

    def result(self, failed: str | None = None) -> Run:
        """What came of it; `failed` is the error that ended it."""
        sender = side(self._sent, self._choices[0], timed=self._timed)
        payload = sum(counter.payload_bytes for counter in self._sent)
        over = self._timed and failed is None
        return Run(
            variant=self._variant,
            repetition=self._repetition,
            converged=self._converged,
            verified=self._verified,
            first_difference=self._difference,
            total_ms=self._total_ms if over else None,
            downtime_ms=self._downtime_ms if over else None,
            rounds=tuple(self.rounds),
            pages=sender.normal_pages + sender.zero_pages,
            guest_pages_written=self._written,
            wire_bytes=sum(counter.wire_bytes for counter in self._sent),
            payload_bytes=payload,
            ratio=sender.normal_pages * PAGE_BYTES / payload if payload else None,
            sender=sender,
            receiver=side(self._received, self._choices[1], timed=self._timed),
            samples=thinned(self.samples) if self._timed else (),
            failed=failed,
        )
