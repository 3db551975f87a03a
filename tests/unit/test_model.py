"""Names, units, codes and capabilities: the small values everything stands on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iaactl.consumers import may_open
from iaactl.errors import ExitCode
from iaactl.model.attributes import BY_NAME, TABLE, Owner, settable
from iaactl.model.cmd_status import CODES, explain
from iaactl.model.device import Node, WorkQueue
from iaactl.model.facts import User
from iaactl.model.names import natural, parse_device, parse_member, parse_pci
from iaactl.model.units import format_bytes, parse_bytes


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_names_round_trip(device: int, index: int) -> None:
    assert str(parse_device(f"iax{device}")) == f"iax{device}"
    member = parse_member(f"iax{device}/wq{device}.{index}")
    assert str(member) == f"wq{device}.{index}"
    assert (member.device_id, member.index) == (device, index)


@pytest.mark.parametrize("text", ["", "iax", "iax01", "iaa1", "wq1.0", "iax1 ", "dsa-1"])
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(ValueError, match="is not a device name"):
        parse_device(text)


@pytest.mark.parametrize("text", ["", "wq1", "wq1.", "wq1.00", "iax2/wq1.0", "engine", "wq.0"])
def test_what_is_no_member(text: str) -> None:
    with pytest.raises(ValueError, match=r"wq|belong|name"):
        parse_member(text)


def test_pci_addresses() -> None:
    assert parse_pci("6A:02.0") == "0000:6a:02.0"
    assert parse_pci("10000:6a:02.0") == "10000:6a:02.0"
    for text in ("6a:02", "6a:42.0", "6a:02.8", "0000-6a"):
        with pytest.raises(ValueError, match="PCI"):
            parse_pci(text)


def test_natural_order() -> None:
    names = ["iax11", "iax1", "iax3", "wq1.10", "wq1.9"]
    assert sorted(names, key=natural) == ["iax1", "iax3", "iax11", "wq1.9", "wq1.10"]


@given(st.integers(0, 1 << 62))
def test_bytes_round_trip(count: int) -> None:
    assert parse_bytes(format_bytes(count)) == count


@pytest.mark.parametrize(
    ("text", "count"), [("2MiB", 1 << 21), ("64 KiB", 1 << 16), ("4096", 4096), ("1g", 1 << 30)]
)
def test_bytes(text: str, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "MiB", "2XiB", "-1", "1.5MiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="size in bytes"):
        parse_bytes(text)


def test_the_attribute_table_is_about_fields_that_exist() -> None:
    assert len(BY_NAME) == len(TABLE)
    for spec in settable(Owner.WQ):
        assert spec.name in WorkQueue.model_fields
    ranks = [spec.rank for spec in settable(Owner.WQ)]
    assert ranks == sorted(set(ranks))
    order = [spec.name for spec in settable(Owner.WQ)]
    for first, second in [("mode", "threshold"), ("size", "threshold"), ("type", "name")]:
        assert order.index(first) < order.index(second)


def test_every_code_has_a_sentence() -> None:
    for code in (0x80110000, 0x80200000, 0x800C0000, 0x15, 0x22):
        assert explain(code) == CODES[code]
    assert explain(0x1234) == "unknown code 0x1234"
    assert all(code.meaning for code in ExitCode)


@pytest.mark.parametrize(
    ("mode", "uid", "gids", "bypass", "may"),
    [
        (0o600, 1000, (1000,), False, False),
        (0o660, 1000, (1000, 7), False, True),
        (0o640, 1000, (7,), False, False),
        (0o606, 1000, (7,), False, False),
        (0o606, 1000, (1000,), False, True),
        (0o000, 0, (0,), True, True),
        (0o060, 5, (7,), False, False),
    ],
)
def test_who_may_open(mode: int, uid: int, gids: tuple[int, ...], bypass: bool, may: bool) -> None:
    node = Node(path="/dev/iax/wq1.0", uid=5, gid=7, mode=mode)
    assert may_open(node, User(name="u", uid=uid, gids=gids, bypass=bypass)) is may
