"""Crossover, medians, advice and plausibility: pure functions of figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import reports as make
from iaactl.bench.advice import advise, costs, link
from iaactl.bench.crossover import Cost, crossover, winners
from iaactl.bench.plausibility import implausible
from iaactl.bench.summary import cost, link_bound, spread, summarize
from iaactl.model.finding import Finding, Severity
from iaactl.model.migration import Backend, Choice
from iaactl.model.report import Run

COSTS = st.builds(
    Cost,
    st.text("abcdef", min_size=1, max_size=3),
    st.floats(1e-3, 1e4),
    st.floats(1e3, 1e12),
)
LINKS = st.floats(1e5, 1e11)
NEARLY = 1 + 1e-9


@given(COSTS, COSTS, LINKS)
def test_on_each_side_of_the_crossover_the_named_one_is_not_slower(
    one: Cost, other: Cost, speed: float
) -> None:
    found = crossover(one, other)
    if found is None:
        # One of them is never behind.
        assert (one.codec_s <= other.codec_s and one.wire_bytes <= other.wire_bytes) or (
            other.codec_s <= one.codec_s and other.wire_bytes <= one.wire_bytes
        )
        return
    fast, small = (one, other) if one.codec_s < other.codec_s else (other, one)
    assert (found.fast_link, found.slow_link) == (fast.label, small.label)
    if speed < found.link_bytes_per_s:
        assert small.seconds(speed) <= fast.seconds(speed) * NEARLY
    else:
        assert fast.seconds(speed) <= small.seconds(speed) * NEARLY
    at = found.link_bytes_per_s
    assert fast.seconds(at) == pytest.approx(small.seconds(at))


@given(st.lists(COSTS, min_size=1, max_size=7), LINKS)
def test_the_ranking_names_who_ends_first_at_every_speed(found: list[Cost], speed: float) -> None:
    ranking = winners(found)
    assert ranking[0][1] == 0
    starts = [start for _, start in ranking]
    assert starts == sorted(starts)
    best = [who for who, start in ranking if start <= speed][-1]
    assert best.seconds(speed) <= min(c.seconds(speed) for c in found) * NEARLY


def test_the_published_runs_cross_where_the_reference_says() -> None:
    """QPL on IAA, 4 channels, 5.219 s and 48.9 Gbit/s; zstd 39.544 s, 4.366 Gbit/s."""
    iaa = Cost("iaa", 5.219, 48.899e9 / 8 * 5.219)
    zstd = Cost("zstd", 39.544, 4.366e9 / 8 * 39.544)
    found = crossover(iaa, zstd)
    assert found is not None
    assert (found.slow_link, found.fast_link) == ("zstd", "iaa")
    assert found.link_bytes_per_s == pytest.approx(0.8e9, rel=0.02)


def test_medians_with_least_and_most_and_failed_runs_only_counted() -> None:
    good = [make.run(ms=ms) for ms in (900.0, 1000.0, 1300.0)]
    bad = make.run(ms=None, failed="channel 1: reset", verified=False)
    (result,) = summarize([*good, bad])
    assert result.total_ms is not None
    assert (result.total_ms.median, result.total_ms.low, result.total_ms.high) == (1000, 900, 1300)
    assert (result.runs, result.failed) == (4, 1)
    assert result.pages_per_s is not None
    assert result.pages_per_s.median == make.PAGES
    assert spread([]) is None
    (empty,) = summarize([bad])
    assert empty.total_ms is None
    assert empty.rounds.median == 0


def test_a_run_held_back_by_the_limit_is_costed_by_its_busiest_thread() -> None:
    limited = make.scenario(max_bandwidth_bytes_per_s=105 << 20)
    run = make.run(sender=make.side(cpu_s=0.25), receiver=make.side(cpu_s=0.4))
    assert link_bound(run, limited)
    found = cost(run.variant, [run], limited)
    assert found is not None
    assert found.codec_s == 0.4
    free = cost(run.variant, [run], make.scenario())
    assert free is not None
    assert free.codec_s == 1.0
    assert cost(make.variant("none"), [run], limited) is None


def codes(runs: list[Run], devices: int = 0, **changes: object) -> dict[str, Finding]:
    scenario, machine = make.scenario(**changes), make.machine(devices)
    return {f.code: f for f in advise(scenario, machine, summarize(runs), runs)}


ZSTD = make.run(make.variant("zstd"), ms=2000.0, wire_bytes=60 << 20)
QPL = make.variant("qpl", "software")
NONE = make.run(make.variant("none"), ms=500.0, wire_bytes=250 << 20, ratio=1.0)


def test_the_winner_is_named_and_a_tie_is_called_one() -> None:
    found = codes([ZSTD, NONE])
    assert "none ends first without a bandwidth limit: 500 ms" in found["IAA-R001"].sentence
    assert "zstd takes 4.00 times as long" in found["IAA-R001"].sentence
    near = make.run(make.variant("none"), ms=1990.0)
    assert "tie" in codes([ZSTD, near])["IAA-R001"].sentence
    limited = codes([ZSTD, NONE], max_bandwidth_bytes_per_s=1_250_000_000)
    assert "at 10 Gbit/s" in limited["IAA-R001"].sentence
    assert "IAA-R001" not in codes([ZSTD])


def test_the_crossover_is_told_in_speeds_of_links() -> None:
    sentence = codes([ZSTD, NONE])["IAA-R002"].sentence
    at = (250 << 20) / 2.0
    assert f"zstd up to {link(at)}, none from {link(at)} on" in sentence
    fast = make.run(make.variant("qpl", "iaa"), ms=400.0, wire_bytes=50 << 20)
    assert "qpl/iaa ends first at every speed" in codes([ZSTD, NONE, fast])["IAA-R002"].sentence
    assert link(125e6) == "1 Gbit/s"
    assert link(12.5e6) == "100 Mbit/s"


def iaa(path: str = "iaa", ms: float = 1000.0, *, prealloc: bool = True, **changes: int) -> Run:
    choice = Choice(backend=Backend.IAA, codec="IAA", reason="asked for")
    mine = make.side(path=path, choice=choice, **changes)
    return make.run(make.variant("qpl", "iaa", prealloc=prealloc), ms=ms, sender=mine,
                    receiver=mine)  # fmt: skip


def test_prealloc_is_measured_or_published_and_says_which() -> None:
    measured = codes([iaa(), iaa(ms=4400.0, prealloc=False)])["IAA-R003"]
    assert "qpl/iaa 4.40 times" in measured.sentence
    assert "published" not in measured.sentence
    assert "-mem-prealloc" in (measured.remedy or "")
    published = codes([iaa()])["IAA-R003"]
    assert "published, not measured here" in published.sentence
    assert published.severity is Severity.NOTICE
    assert codes([iaa(prealloc=False)])["IAA-R003"].severity is Severity.WARNING
    assert "IAA-R003" not in codes([ZSTD])


def test_who_wins_is_asked_among_those_with_preallocated_memory() -> None:
    cold = [run.model_copy(update={"variant": run.variant.model_copy(update={"prealloc": False})})
            for run in (NONE, ZSTD)]  # fmt: skip
    found = codes([ZSTD, NONE, *cold])
    for code in ("IAA-R001", "IAA-R002"):
        assert "no prealloc" not in found[code].sentence
    assert "none, no prealloc ends first" in codes([ZSTD, cold[0]])["IAA-R001"].sentence


def test_channels_are_held_against_the_devices_of_the_socket() -> None:
    assert codes([iaa()], devices=4)["IAA-R004"].severity is Severity.OK
    found = codes([iaa()], devices=2)["IAA-R004"]
    assert found.remedy == "--channels 2"
    assert "published" in found.sentence
    assert "IAA-R004" not in codes([ZSTD])


def test_pages_that_iaa_left_to_software_are_told() -> None:
    one = iaa(software_pages=20000, iaa_pages=45536, busy_retries=9000)
    found = codes([one], devices=4)["IAA-R005"]
    assert "30.5%" in found.sentence
    assert found.severity is Severity.WARNING
    assert "9000 retries" in found.evidence[0]
    few = codes([iaa(software_pages=100, iaa_pages=65436)], devices=4)["IAA-R005"]
    assert few.severity is Severity.NOTICE
    assert "IAA-R005" not in codes([iaa()], devices=4)


def test_a_guest_that_outruns_the_link_and_a_wrong_page_are_told() -> None:
    stuck = make.run(converged=False)
    assert "zstd: the guest wrote faster" in codes([stuck])["IAA-R006"].sentence
    wrong = make.run(verified=False, first_difference=77)
    assert codes([wrong])["IAA-R007"].severity is Severity.ERROR
    assert "page 77" in codes([wrong])["IAA-R007"].sentence


@pytest.mark.parametrize(
    ("run", "devices", "code"),
    [
        (iaa(ms=20.0), 1, "IAA-R101"),  # 13 GB/s from one device
        (iaa(ms=3000.0), 1, "IAA-R101"),  # 0.09 GB/s
        (make.run(QPL, sender=make.side(cpu_s=0.1)), 0, "IAA-R102"),
        (make.run(QPL, receiver=make.side(cpu_s=9.0)), 0, "IAA-R102"),
        (make.run(ratio=0.97), 0, "IAA-R103"),
        (make.run(QPL, ratio=3.4), 0, "IAA-R104"),
    ],
)
def test_each_gate_has_figures_that_do_not_pass_it(run: Run, devices: int, code: str) -> None:
    found = [f.code for f in implausible(make.scenario(), make.machine(devices), [run])]
    assert found == [code]


def test_what_passes_the_gates_is_left_alone() -> None:
    fine = [iaa(ms=100.0), make.run(), make.run(make.variant("qpl", "software"), ratio=1.9), NONE]
    assert implausible(make.scenario(), make.machine(1), fine) == []
    # Below the gate because of the limit, and so no wonder.
    limited = make.scenario(max_bandwidth_bytes_per_s=(100 << 20) // 3)
    assert implausible(limited, make.machine(1), [iaa(ms=3000.0)]) == []


def test_the_cost_of_a_page_fault_is_held_against_what_the_iommu_takes() -> None:
    touched = iaa(ms=100.0)
    slow = iaa(ms=500.0, prealloc=False, faults=1000)
    slow = slow.model_copy(update={"receiver": slow.receiver.model_copy(update={"codec_s": 1.6})})
    (found,) = implausible(make.scenario(), make.machine(1), [touched, slow])
    assert found.code == "IAA-R105"
    assert "600.0 us" in found.sentence


def test_without_times_there_is_no_advice_about_them() -> None:
    counted = [
        make.run(v, ms=None, sender=make.side().model_copy(update={"cpu_s": None, "codec_s": None}),
                 receiver=make.side().model_copy(update={"cpu_s": None, "codec_s": None}))
        for v in (make.variant("qpl", "iaa"), make.variant("zstd"))
    ]  # fmt: skip
    assert costs(make.scenario(), counted) == []
    assert set(codes(counted)) == set()
