"""The simulated driver against every recording of the real one: errno, commands, whole state."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import traces
from iaactl.sim.machine import Machine, MachineSpec, load

DATA = Path(__file__).parents[1] / "data"


@cache
def recordings() -> dict[str, dict[str, bytes]]:
    """Text of the recordings by kernel series and flavour, then by name."""
    found: dict[str, dict[str, bytes]] = {}
    for name, text in traces.packed(DATA):
        series, flavour, _ = name.split("-", 2)
        found.setdefault(f"{series}-{flavour}", {})[name] = text
    return found


@cache
def machine(kind: str) -> MachineSpec:
    return load(f"trace-{kind}")


RECORDERS_OWN = [
    f"{machine}-flron-{variant} #{record} wq1.{wq}/iax!wq1.{wq}/dev"
    for machine in ("6.16-v2", "7.3-spr", "7.3-v2")
    for variant, record, wq in (("A", 14, 0), ("B", 13, 3))
]
"""All that differs from the recordings: see `traces._recorders_own` for the reason."""

FLAVOURS = (
    "crypto",
    "legacy",
    "min",
    "nocfg",
    "noenq",
    "noiommu",
    "nosva",
    "spr",
    "tc",
    "v2",
    "v3",
)
KINDS = [f"{series}-{flavour}" for series in ("6.16", "7.3") for flavour in FLAVOURS]
KINDS.append("7.3-nosvm")


def test_every_recording_has_a_machine() -> None:
    assert sorted(recordings()) == sorted(KINDS)
    assert sum(len(files) for files in recordings().values()) == 1052


@pytest.mark.parametrize("kind", KINDS)
def test_agrees_with_the_real_driver(kind: str) -> None:
    total = traces.Agreement()
    for name, text in recordings()[kind].items():
        simulated = Machine(machine(kind), lambda event: None)
        total.add(traces.replay(traces.parse(text), traces.Direct(simulated), name))
    assert total.differences[:10] == []
    assert total.known == [text for text in RECORDERS_OWN if text.startswith(f"{kind}-")]
    assert total.compared > 100
    # Set aside: the recorder's own errors, operations on files that never opened, crashes.
    assert total.set_aside < total.records / 10


def test_the_replay_sees_a_difference() -> None:
    """A state or errno that is wrong by one character is found."""
    name, text = next(iter(recordings()["7.3-spr"].items()))
    wrong = text.replace(b'"wq1.1/state":"disabled\\n"', b'"wq1.1/state":"disablee\\n"', 1)
    assert wrong != text
    simulated = Machine(machine("7.3-spr"), lambda event: None)
    result = traces.replay(traces.parse(wrong), traces.Direct(simulated), name)
    assert result.differences
