"""Byte offsets of descriptor and completion record, written from the architecture's tables."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iaactl.iaa import descriptor as d
from iaactl.iaa.completion import AnalyticsError, CompletionRecord, Status
from iaactl.iaa.opcode import Opcode

OFFSETS = [
    ("completion_address", 8, "<Q"),
    ("source1", 16, "<Q"),
    ("destination", 24, "<Q"),
    ("source1_size", 32, "<I"),
    ("interrupt_handle", 36, "<H"),
    ("operation_flags", 38, "<H"),
    ("source2", 40, "<Q"),
    ("max_destination_size", 48, "<I"),
    ("source2_size", 52, "<I"),
    ("filter_flags", 56, "<I"),
    ("elements", 60, "<I"),
]
RESULTS = [
    ("status", 0, "<B"),
    ("error", 1, "<B"),
    ("fault_info", 2, "<B"),
    ("bytes_completed", 4, "<I"),
    ("fault_address", 8, "<Q"),
    ("invalid_flags", 16, "<Q"),
    ("output_size", 24, "<I"),
    ("output_bits", 28, "<B"),
    ("xor", 30, "<H"),
    ("crc", 32, "<I"),
    ("minimum", 36, "<I"),
    ("maximum", 40, "<I"),
    ("total", 44, "<I"),
]


@pytest.mark.parametrize(("field", "offset", "form"), OFFSETS)
def test_descriptor_field(field: str, offset: int, form: str) -> None:
    value = (1 << 8 * struct.calcsize(form)) - 2
    changes: dict[str, Any] = {field: value}
    packed = replace(d.Descriptor(0, 0), **changes).pack()
    assert struct.unpack_from(form, packed, offset) == (value,)
    size = struct.calcsize(form)
    assert not any(packed[:offset])
    assert not any(packed[offset + size :])


def test_the_first_two_words() -> None:
    packed = d.Descriptor(0x43, 0x050E, pasid=0x12345, privileged=True).pack()
    assert packed[:8] == bytes.fromhex("45230180 0e050043")


def test_flags_that_real_software_sends() -> None:
    assert d.noop(0x40).flags == 0x0C
    compress = d.compress(0x40, (1, 2), (3, 4), (32, 1568), end=d.CompressFlags.END_EOB)
    assert compress.flags == 0x1000C
    assert compress.operation_flags == 0x06
    assert d.decompress(0x40, (1, 2), (3, 4), block_on_fault=True).flags == 0x0E
    assert d.decompress(0x40, (1, 2), (3, 4)).operation_flags == 0x1F
    assert d.statistics(0x40, (1, 2), (3, 1280)).operation_flags == 0x01


def test_crc64_polynomial_is_eight_bytes_at_56() -> None:
    packed = d.crc64(0, (1, 2), 0x0123456789ABCDEF).pack()
    assert packed[56:] == (0x0123456789ABCDEF).to_bytes(8, "little")
    assert d.crc64(0, (1, 2), 1, options=d.Crc64Flags.INVERT).operation_flags == 0x4000


def test_filter_flags() -> None:
    assert d.FilterFlags(source1_width=32).pack() == 0x7C
    every = d.FilterFlags(
        d.Parser.BIG_ENDIAN, 17, 9, True, d.OutputFormat.BITS_32, True, True, 21, 13
    ).pack()
    assert every == 1 | 16 << 2 | 8 << 7 | 1 << 12 | 3 << 13 | 1 << 15 | 1 << 16 | 21 << 17 | (
        13 << 22
    )
    assert d.FilterFlags(d.Parser.PARQUET_RLE, 12).pack() == 2
    with pytest.raises(ValueError, match="1 to 32 bits"):
        d.FilterFlags(source1_width=33).pack()
    with pytest.raises(ValueError, match="dropped"):
        d.FilterFlags(drop_low_bits=32).pack()


def test_source_2_is_either_input_or_aecs() -> None:
    flags = d.FilterFlags(source1_width=8)
    scan = d.filtering(Opcode.SCAN, 0, (1, 2), (3, 4), 5, flags, aecs=(64, 32))
    assert scan.flags == 0x1000C
    select = d.filtering(Opcode.SELECT, 0, (1, 2), (3, 4), 5, flags, source2=(64, 32))
    assert select.flags == 0x2000C
    with pytest.raises(ValueError, match="share"):
        d.filtering(Opcode.SCAN, 0, (1, 2), (3, 4), 5, flags, aecs=(1, 2), source2=(1, 2))
    with pytest.raises(ValueError, match="no filter"):
        d.filtering(Opcode.NOOP, 0, (1, 2), (3, 4), 5, flags)
    with pytest.raises(ValueError, match="zeros"):
        d.zero_transform(Opcode.SCAN, 0, (1, 2), (3, 4))


@given(st.binary(min_size=64, max_size=64))
def test_descriptor_round_trip(data: bytes) -> None:
    trusted = int.from_bytes(data[:4], "little") & 0x800FFFFF
    data = trusted.to_bytes(4, "little") + data[4:]
    assert d.Descriptor.unpack(data).pack() == data


def test_wrong_lengths_and_values() -> None:
    with pytest.raises(ValueError, match="not 63"):
        d.Descriptor.unpack(bytes(63))
    with pytest.raises(ValueError, match="not 65"):
        CompletionRecord.parse(bytes(65))
    for bad in (d.Descriptor(256), d.Descriptor(0, 1 << 24), d.Descriptor(0, source1=1 << 64)):
        with pytest.raises(ValueError, match=r"fit|bits"):
            bad.pack()


@pytest.mark.parametrize(("field", "offset", "form"), RESULTS)
def test_completion_field(field: str, offset: int, form: str) -> None:
    value = (1 << 8 * struct.calcsize(form)) - 2
    data = bytearray(64)
    struct.pack_into(form, data, offset, value)
    record = CompletionRecord.parse(bytes(data))
    assert getattr(record, field) == value
    assert record.pack() == bytes(data)


def test_crc64_result_is_eight_bytes_at_40() -> None:
    data = bytes(40) + (0x1122334455667788).to_bytes(8, "little") + bytes(16)
    assert CompletionRecord.parse(data).crc64 == 0x1122334455667788


def test_statuses_of_the_architecture() -> None:
    numbers = [0, 1, 3, 4, 0xA, 0xB, 0x10, 0x11, 0x12, 0x13, 0x16, *range(0x19, 0x25)]
    numbers += [0x30, 0x31, 0x32, 0x33, 0x34, 0x35]
    assert [int(status) for status in Status] == numbers
    assert [int(error) for error in AnalyticsError] == list(range(37))


def test_every_code_has_its_own_sentence() -> None:
    sentences = [code.sentence for code in (*Status, *AnalyticsError)]
    assert len(set(sentences)) == len(sentences)
    assert all(sentence.endswith(".") for sentence in sentences)


def record(status: int, error: int = 0, address: int = 0, invalid: int = 0) -> CompletionRecord:
    data = struct.pack("<BBBxIQQ40x", status, error, 0, 0, address, invalid)
    return CompletionRecord.parse(data)


def test_explanations_carry_the_numbers() -> None:
    fault = record(0x83, address=0x7F0000001000)
    assert fault.page_fault
    assert fault.fault_on_write
    assert "writing 0x7f0000001000" in fault.explain()
    assert "reading" in record(0x03).explain()
    assert "error code 0x19" in record(0x0A, 25).explain()
    assert "destination" in record(0x0A, 25).explain()
    assert "not documented" in record(0x3F).explain()
    assert "not documented" in record(0x0A, 200).explain()
    assert "0x200" in record(0x11, invalid=0x200).explain()
    assert record(1).ok
    assert not record(0).done
