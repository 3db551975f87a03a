"""Pages of method qpl through simulated work queues: faults, full and broken queues, none lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sim.conftest import World

CLIENT = Path(__file__).parent / "pages_client.py"
Q1, Q3 = "/dev/iax/wq1.0", "/dev/iax/wq3.0"


def migrate(
    world: World,
    *queues: str,
    faults: Sequence[str] = (),
    channels: int = 2,
    pages: int = 256,
    block: bool = False,
    timeout_s: float = 10,
    side: str = "both",
    near: str = "",
) -> dict[str, Any]:
    """What the client says, after an apply of the documented profile."""
    options = [channels, pages, "fault" if block else "-", timeout_s, side, *queues]
    result = world.run(
        "iaactl apply qemu-migration --yes >/dev/null 2>&1; "
        f"{sys.executable} {CLIENT} {' '.join(map(str, options))}",
        faults=faults,
        environment={"QUEUES_NEAR": near},
    )
    assert result.code == 0, result.err
    answer: dict[str, Any] = json.loads(result.out)
    submitted = [e for e in result.log if e["op"] == "submit" and not e["errno"]]
    answer["submitted"] = len(submitted)
    answer["nodes"] = {entry["path"] for entry in submitted}
    return answer


def total(answer: dict[str, Any], end: str, field: str) -> int:
    return sum(int(channel[field]) for channel in answer[end])


def check(answer: dict[str, Any], pages: int = 256) -> None:
    """Verified, and no page is unaccounted for."""
    assert answer["pages"] == [pages, 0]
    assert answer["difference"] is None
    for end in ("sender", "receiver"):
        assert total(answer, end, "zero_pages") == pages // 4
        for one in answer[end]:
            assert one["normal_pages"] == sum(
                one[f"{path}_pages"] for path in ("raw", "iaa", "libqpl", "software")
            )
        assert total(answer, end, "normal_pages") == pages * 3 // 4


def test_every_page_goes_through_the_queues(world: World) -> None:
    answer = migrate(world, Q1, Q3, block=True)
    check(answer)
    assert [one["backend"] for one in answer["backends"]] == ["iaa", "iaa"]
    for end in ("sender", "receiver"):
        assert total(answer, end, "raw_pages") == 64  # random pages do not shrink
        assert total(answer, end, "iaa_pages") == 128
        for field in ("software_pages", "busy_retries", "faults", "job_failures"):
            assert total(answer, end, field) == 0
    assert answer["submitted"] == 192 + 128
    assert len(answer["nodes"]) == 2


@pytest.mark.parametrize(
    ("near", "used"), [(Q3, {Q3}), (f"{Q1} {Q3}", {Q1, Q3}), ("/dev/iax/wq5.0", {Q1, Q3})]
)
def test_packets_go_to_the_queues_of_the_socket(world: World, near: str, used: set[str]) -> None:
    """Where the socket has none, to all of them, and none to software because of that."""
    answer = migrate(world, Q1, Q3, block=True, near=near)
    check(answer)
    assert answer["nodes"] == used
    assert total(answer, "sender", "software_pages") == 0


@pytest.mark.parametrize("side", ["sender", "receiver"])
def test_either_end_may_do_it_in_software(world: World, side: str) -> None:
    """The device's streams are read by libdeflate, those of ISA-L by the device."""
    answer = migrate(world, Q1, side=side)
    check(answer)
    other = "receiver" if side == "sender" else "sender"
    assert total(answer, side, "iaa_pages") == 128
    assert total(answer, other, "iaa_pages") == 0
    assert total(answer, other, "software_pages") == 128


def test_faults_are_touched_and_submitted_again(world: World) -> None:
    faults = [
        "descriptor:wq1.0:0x43:fault=source1:nth=3",
        "descriptor:wq1.0:0x43:fault=destination:nth=5",
        "descriptor:wq3.0:0x42:fault=destination:nth=4",
        "descriptor:wq3.0:0x42:fault=source1:nth=8",
    ]
    answer = migrate(world, Q1, Q3, faults=faults)
    check(answer)
    assert total(answer, "sender", "faults") == 2
    assert total(answer, "receiver", "faults") == 2
    assert total(answer, "sender", "iaa_pages") == 128
    assert total(answer, "receiver", "iaa_pages") == 128
    assert answer["submitted"] == 192 + 128 + 4


def test_a_fault_that_never_ends_is_bounded(world: World) -> None:
    answer = migrate(world, Q1, faults=["descriptor:wq1.0:0x42:fault=destination"], pages=64)
    check(answer, 64)
    assert total(answer, "receiver", "faults") == 32 * 16
    assert total(answer, "receiver", "job_failures") == 32
    assert total(answer, "receiver", "software_pages") == 32


def test_full_queues_are_tried_three_times_more_then_software_does_it(world: World) -> None:
    answer = migrate(world, Q1, Q3, faults=["submit:/dev/iax/*:errno=EAGAIN"])
    check(answer)
    assert total(answer, "sender", "busy_retries") == 3 * 192
    assert total(answer, "receiver", "busy_retries") == 3 * 128
    assert total(answer, "sender", "software_pages") == 128
    assert total(answer, "sender", "raw_pages") == 64
    assert total(answer, "receiver", "software_pages") == 128
    assert total(answer, "sender", "job_failures") == 0
    assert answer["submitted"] == 0


def test_one_full_queue_of_two_delays_nothing(world: World) -> None:
    answer = migrate(world, Q1, Q3, faults=["submit:wq1.0:errno=EAGAIN"])
    check(answer)
    assert total(answer, "sender", "iaa_pages") == 128
    assert total(answer, "sender", "busy_retries") == 0


def test_a_queue_that_fills_up_in_between(world: World) -> None:
    answer = migrate(world, Q1, faults=["submit:wq1.0:errno=EAGAIN:nth=40:from"], channels=1)
    check(answer)
    assert total(answer, "sender", "iaa_pages") > 0
    assert total(answer, "sender", "software_pages") > 0
    assert total(answer, "receiver", "iaa_pages") == 0


def test_a_queue_that_is_gone_shows(world: World) -> None:
    answer = migrate(world, Q1, Q3, faults=["submit:wq1.0:errno=ENODEV"])
    check(answer)
    assert total(answer, "sender", "iaa_pages") == 128
    assert total(answer, "sender", "job_failures") > 0
    alone = migrate(world, Q1, faults=["submit:wq1.0:errno=ENODEV"])
    check(alone)
    assert total(alone, "sender", "job_failures") == 192
    assert total(alone, "sender", "software_pages") == 128


def test_a_failed_compression_is_sent_raw(world: World) -> None:
    answer = migrate(world, Q1, Q3, faults=["descriptor:wq1.0:0x43:status=0x21"])
    check(answer)
    assert total(answer, "sender", "job_failures") == 96
    assert total(answer, "sender", "iaa_pages") < 128
    assert total(answer, "receiver", "raw_pages") == total(answer, "sender", "raw_pages") > 64


def test_a_failed_decompression_is_done_by_software(world: World) -> None:
    answer = migrate(world, Q1, Q3, faults=["descriptor:wq3.0:0x42:status=0x20"])
    check(answer)
    assert total(answer, "receiver", "job_failures") == 64
    assert total(answer, "receiver", "software_pages") == 64
    assert total(answer, "receiver", "iaa_pages") == 64


@pytest.mark.parametrize(("opcode", "end"), [("0x43", "sender"), ("0x42", "receiver")])
def test_a_hung_queue_ends_in_an_error_that_names_it(world: World, opcode: str, end: str) -> None:
    answer = migrate(world, Q1, Q3, faults=[f"descriptor:wq3.0:{opcode}:hang:nth=7"], timeout_s=1)
    assert f"{Q3} did not complete a job in 1 s" in answer["error"]
    assert answer["error"].startswith("channel ")


def test_nobody_waits_for_a_hung_queue_when_cancelled(world: World) -> None:
    faults = ["descriptor:wq1.0:0x43:hang:nth=7"]
    answer = migrate(world, Q1, faults=faults, timeout_s=60, side="cancelled")
    assert answer["error"] == "the round was cancelled"
    assert answer["seconds"] < 10


def test_auto_says_why_a_queue_is_not_used(world: World) -> None:
    answer = migrate(world, Q1, Q3, faults=["open:wq3.0:errno=EACCES"])
    check(answer)
    for one in answer["backends"]:
        assert one["backend"] == "software"
        assert f"{Q3} cannot be opened: EACCES" in one["reason"]
    assert answer["submitted"] == 0
