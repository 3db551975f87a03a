"""Capability registers, against values that hardware and the driver are documented to show."""

from __future__ import annotations

import pytest

from iaactl.iaa.capability import GenCap, IaaCap, WqCap, decode_op_cap, parse_op_cap
from iaactl.iaa.opcode import Opcode

SPR_OP_CAP = "00000000,00000000,00000000,00000000,00000000,007f331c,00000000,0000000d"
SPR_OPCODES = {0, 2, 3, 0x42, 0x43, 0x44, 0x48, 0x49, 0x4C, 0x4D, *range(0x50, 0x57)}


def test_op_cap_in_words() -> None:
    assert parse_op_cap(SPR_OP_CAP) == SPR_OPCODES


def test_op_cap_before_linux_6_1() -> None:
    assert parse_op_cap("0xd 0x7f331c 0 0 ") == SPR_OPCODES


def test_op_cap_names() -> None:
    names = decode_op_cap(SPR_OP_CAP)
    assert names[0] == "noop"
    assert "zero-compress-16" in names
    assert "zero-compress-8" not in names
    assert names[-1] == "expand"


def test_an_unknown_operation_is_shown_as_a_number() -> None:
    assert decode_op_cap("80000000,0,0,0,0,0,0,0") == ("0xff",)


@pytest.mark.parametrize("text", ["xyz", "1,2,z"])
def test_op_cap_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        parse_op_cap(text)


def test_gen_cap_of_sapphire_rapids() -> None:
    cap = GenCap.parse(0x71F10901F0105)
    assert cap.block_on_fault
    assert cap.max_transfer_bytes == 2 << 30
    assert cap.max_batch == 1
    assert cap.configurable
    assert not cap.event_log
    assert not cap.command_capabilities
    assert cap.cache_control_memory
    assert cap.destination_readback


def test_gen_cap_bits() -> None:
    assert GenCap.parse(1 << 13).event_log
    assert GenCap.parse(1 << 14).event_log
    assert GenCap.parse(5 << 21).max_batch == 32
    assert not GenCap.parse(0xFFFFFFFF ^ 1 << 31).configurable


def test_wq_cap_fields() -> None:
    cap = WqCap.parse(128 | 8 << 16 | 1 << 24 | 1 << 48 | 1 << 54)
    assert (cap.total_size, cap.work_queues, cap.config_bytes) == (128, 8, 64)
    assert cap.shared
    assert cap.op_config
    assert not cap.dedicated
    assert not cap.prs_control


def test_iaa_cap_bits() -> None:
    assert IaaCap.parse(0).describe() == ""
    cap = IaaCap.parse(1 | 1 << 8 | 1 << 11)
    assert cap.aecs_format_2
    assert cap.header_generation
    assert cap.crypto_xts
    assert not cap.dictionary
    assert cap.describe() == "aecs format 2, header generation, crypto xts"


def test_every_operation_has_a_sentence() -> None:
    for opcode in Opcode:
        assert opcode.sentence.endswith(".")
        assert opcode.title == opcode.title.lower()
