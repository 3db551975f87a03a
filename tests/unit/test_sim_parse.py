"""How the simulated kernel reads text: numbers, booleans, words, masks, names."""

from __future__ import annotations

import errno

import pytest

from iaactl.sim.idxd import parse


@pytest.mark.parametrize(
    ("text", "base", "value"),
    [
        (b"16", 10, 16),
        (b"16\n", 10, 16),
        (b"+5", 10, 5),
        (b"16\0x", 10, 16),
        (b"010", 10, 10),
        (b"010", 0, 8),
        (b"0X1f\n", 0, 31),
        (b"0", 0, 0),
    ],
)
def test_numbers(text: bytes, base: int, value: int) -> None:
    assert parse.integer(text, base=base) == value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"", errno.EINVAL),
        (b"\n", errno.EINVAL),
        (b" 1", errno.EINVAL),
        (b"1\n\n", errno.EINVAL),
        (b"1\r", errno.EINVAL),
        (b"0x10", errno.EINVAL),
        (b"-1", errno.EINVAL),
        (b"4294967296", errno.ERANGE),
        (b"4294967296x", errno.EINVAL),  # 32 bits are looked at last, 64 first
        (b"18446744073709551616x", errno.ERANGE),
    ],
)
def test_numbers_that_are_none(text: bytes, number: int) -> None:
    with pytest.raises(OSError) as refused:
        parse.integer(text, bits=32)
    assert refused.value.errno == number


def test_signed_numbers_end_at_their_lowest() -> None:
    assert parse.integer(b"-0", signed=True) == 0
    assert parse.integer(b"-9223372036854775808", signed=True) == -(1 << 63)
    with pytest.raises(OSError) as refused:
        parse.integer(b"9223372036854775808", signed=True)
    assert refused.value.errno == errno.ERANGE


@pytest.mark.parametrize("text", [b"1", b"10", b"yes", b"TRUE", b"enable", b"on", b"ON\n"])
def test_true(text: bytes) -> None:
    assert parse.boolean(text) is True


@pytest.mark.parametrize("text", [b"0", b"0x1", b"no", b"False", b"disable", b"off", b"offside"])
def test_false(text: bytes) -> None:
    assert parse.boolean(text) is False


@pytest.mark.parametrize("text", [b"", b"2", b"o", b"ox", b" 1", b"\n", b"-1", b"\0001"])
def test_neither(text: bytes) -> None:
    with pytest.raises(OSError):
        parse.boolean(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"d\n", 0xD),
        (b"1,00000000", 1 << 32),
        (b"1 2", 1 << 32 | 2),
        (b" ,1, ,\n", 1),
        (b"\n", 0),
        (b"5\nzz", 5),
        (b"0x12345678", 0x12345678),  # the x is swallowed, the 0 is a group of its own
        (b",".join([b"1"] * 8), sum(1 << 32 * n for n in range(8))),
    ],
)
def test_masks(text: bytes, value: int) -> None:
    assert parse.mask(text) == value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"123456789", errno.EOVERFLOW),
        (b",".join([b"1"] * 9), errno.EOVERFLOW),
        (b"0x1", errno.EINVAL),
        (b"g", errno.EINVAL),
        (b"123456789,g", errno.EINVAL),  # the last group is read first
        (b"g,123456789", errno.EOVERFLOW),
    ],
)
def test_masks_that_are_none(text: bytes, number: int) -> None:
    with pytest.raises(OSError) as refused:
        parse.mask(text)
    assert refused.value.errno == number


def test_a_mask_is_printed_as_it_is_read() -> None:
    value = 0x7F331C << 64 | 0xD
    assert parse.mask_text(value).endswith("007f331c,00000000,0000000d")
    assert parse.mask(parse.mask_text(value).encode()) == value


def test_names() -> None:
    assert parse.label(b" a b \n", 64) == b"a b"
    assert parse.label(b"\n", 64) == b""
    assert parse.label(b"x\xa0", 64) == b"x"
    assert parse.label(b"1234\n", 5) == b"1234"
    for text in (b"12345\n", b"\0a"):
        with pytest.raises(OSError) as refused:
            parse.label(text, 5)
        assert refused.value.errno == errno.EINVAL
