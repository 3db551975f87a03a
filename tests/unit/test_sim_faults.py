"""The grammar of --fault, and when an ordered fault strikes."""

from __future__ import annotations

import errno

import pytest

from iaactl.errors import UsageProblem
from iaactl.sim.faults import Effect, Faults, parse

WQ = "/sys/devices/pci0000:6a/0000:6a:02.0/iax1/wq1.0"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "starts with one of"),
        ("write", "names nothing"),
        ("read:size:errno=EIO", "starts with one of"),
        ("write:size", "exactly one of"),
        ("write:size:errno=EIO:kill", "exactly one of"),
        ("write:size:errno=EWRONG", "'EWRONG' is not the name of an errno"),
        ("write:size:errno=5", "'5' is not the name"),
        ("write:size:errno=errorcode", "is not the name"),
        ("write:size:nth=0:errno=EIO", "nth must be a whole number from 1"),
        ("write:size:nth=-1:errno=EIO", "nth must be"),
        ("write:size:nth=x:errno=EIO", "nth must be"),
        ("write:size:from:errno=EIO", "'from' needs nth=N"),
        ("write:size:nth=1:nth=2:errno=EIO", "given twice"),
        ("write:size:colour=red:errno=EIO", "unknown option"),
        ("write::errno=EIO", "names nothing"),
        ("write:/:errno=EIO", "names nothing"),
        ("write:size:error=0x14", "makes no sense with write"),
        ("open:size:kill", "makes no sense with open"),
        ("command:iax1:error=0x14", "is command:DEVICE:COMMAND"),
        ("command:iax1:ENABLE_DEV", "needs error=CODE"),
        ("command:iax1:ENABLE_DEV:error=0", "between 1 and 0xff"),
        ("command:iax1:ENABLE_DEV:error=0x100", "between 1 and 0xff"),
        ("command:iax1:ENABLE_DEV:errno=EIO", "makes no sense with command"),
        ("remove:iax1", "needs after-writes=N"),
        ("remove:iax1:after-writes=0", "after-writes must be"),
        ("remove:iax1:nth=1", "makes no sense with remove"),
        ("descriptor:wq1.0:0x43", "and one of"),
        ("descriptor:wq1.0:compress:hang", "opcode is a number"),
        ("descriptor:wq1.0:0x43:fault=nowhere", "the operand is one of"),
        ("descriptor:wq1.0:0x43:status=0x100", "between 1 and 0xff"),
        ("descriptor:wq1.0:0x43:slow=0", "more than 0"),
        ("descriptor:wq1.0:0x43:slow=nan", "more than 0"),
        ("descriptor:wq1.0:0x43:slow=soon", "needs a number"),
    ],
)
def test_what_is_wrong_is_named(spec: str, words: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        parse(spec)
    assert words in caught.value.message
    assert repr(spec) in caught.value.message


def test_what_is_right_is_understood() -> None:
    fault = parse("write:wq1.0/threshold:nth=2:from:errno=EIO")
    assert (fault.kind, fault.pattern, fault.effect) == (
        "write", ("wq1.0", "threshold"), Effect.ERRNO
    )  # fmt: skip
    assert (fault.number, fault.nth, fault.and_later) == (errno.EIO, 2, True)
    # The colons of PCI addresses belong to the path.
    fault = parse("write:0000:6a:02.0/remove:errno=EBUSY")
    assert fault.pattern == ("0000:6a:02.0", "remove")
    assert parse("write:*:nth=7:kill").effect is Effect.KILL
    assert parse("write:*:kill-after").effect is Effect.KILL_AFTER
    assert parse("command:iax3:ENABLE_DEV:error=20").number == 0x14
    assert parse("remove:iax5:after-writes=9").nth == 9


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("size", True),
        ("wq1.0/size", True),
        ("wq*/size", True),
        ("iax1/*/size", True),
        ("*", True),
        ("sys/devices/*/*/iax1/wq1.0/size", True),
        ("/sys/*/size", False),  # a star is one component
        ("wq1.1/size", False),
        ("siz", False),
        ("wq1.0", False),
        ("a/sys/devices/*/*/iax1/wq1.0/size", False),
    ],
)
def test_patterns_are_the_end_of_a_path(pattern: str, fits: bool) -> None:
    faults = Faults([parse(f"write:{pattern}:errno=EIO")])
    assert (faults.strike("write", f"{WQ}/size") is not None) is fits
    assert faults.strike("open", f"{WQ}/size") is None


@pytest.mark.parametrize(
    ("option", "struck"),
    [
        ("", [True] * 4),
        (":nth=2", [False, True, False, False]),
        (":nth=2:from", [False, True, True, True]),
    ],
)
def test_matches_are_counted(option: str, struck: list[bool]) -> None:
    faults = Faults([parse(f"write:size{option}:errno=EIO")])
    seen = []
    for _ in range(4):
        assert faults.strike("write", f"{WQ}/mode") is None
        seen.append(faults.strike("write", f"{WQ}/size") is not None)
    assert seen == struck


def test_every_fault_counts_for_itself_and_the_first_one_wins() -> None:
    faults = Faults([parse("write:size:nth=1:errno=EIO"), parse("write:*:nth=1:from:errno=EBUSY")])
    first = faults.strike("write", f"{WQ}/size")
    second = faults.strike("write", f"{WQ}/size")
    assert first is not None
    assert second is not None
    assert (first.number, second.number) == (errno.EIO, errno.EBUSY)


def test_commands_and_removals() -> None:
    faults = Faults(
        [parse("command:iax*:ENABLE_*:nth=2:error=0x14"), parse("remove:iax5:after-writes=3")]
    )
    assert faults.command("iax1", "DISABLE_WQ") is None
    assert faults.command("iax1", "ENABLE_DEV") is None
    assert faults.command("iax3", "ENABLE_WQ") == 0x14
    assert faults.command("iax3", "ENABLE_WQ") is None
    assert [faults.removals() for _ in range(4)] == [[], [], ["iax5"], []]
