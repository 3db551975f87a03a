"""Which of two methods ends sooner at which speed of the link.

The model: a migration takes as long as the slower of two things that overlap, computing and
sending: time(link) = max(codec_s, wire_bytes / link). It leaves out what a round that takes longer
adds in pages written meanwhile, so it favours no method on an idle guest and the slower one on a
busy guest. The published runs fit it: QPL on IAA against zstd, 4 channels, cross at about 0.8 GB/s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cost:
    """What one variant needs: seconds where the link is no limit, and bytes on the wire."""

    label: str
    codec_s: float
    wire_bytes: float

    def seconds(self, link_bytes_per_s: float) -> float:
        """Time at a speed of the link; the speed is above zero."""
        return max(self.codec_s, self.wire_bytes / link_bytes_per_s)


@dataclass(frozen=True, slots=True)
class Crossover:
    """Below `link_bytes_per_s` `slow_link` ends sooner, above it `fast_link`."""

    slow_link: str
    fast_link: str
    link_bytes_per_s: float


def crossover(one: Cost, other: Cost) -> Crossover | None:
    """The speed at which two methods take equally long; None where one is never behind."""
    fast, small = (one, other) if one.codec_s < other.codec_s else (other, one)
    if fast.codec_s == small.codec_s or fast.wire_bytes <= small.wire_bytes:
        return None
    return Crossover(small.label, fast.label, fast.wire_bytes / small.codec_s)


def winners(costs: Sequence[Cost]) -> list[tuple[Cost, float]]:
    """Who ends first from slow to fast links: each with the speed from which on it does.

    The first entry begins at 0. Ties go to the one with fewer bytes.
    """
    left = sorted(costs, key=lambda cost: (cost.wire_bytes, cost.codec_s))
    if not left:
        return []
    found = [(left[0], 0.0)]
    while True:
        best, start = found[-1]
        # Only who computes faster can overtake; the first of them is the one that crosses lowest.
        faster = [cost for cost in left if cost.codec_s < best.codec_s]
        if not faster:
            return found
        following = min(faster, key=lambda c: (c.wire_bytes / best.codec_s, c.codec_s))
        found.append((following, max(start, following.wire_bytes / best.codec_s)))
