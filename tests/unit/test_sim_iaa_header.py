"""Header generation of IAA 2.0, in one pass and in two, judged by zlib."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fakes.accelerator import COMPLETION, DESTINATION, SOURCE, SOURCE2, Accelerator
from iaactl.iaa import descriptor as d
from iaactl.iaa.aecs import CompressAecs, Histogram
from iaactl.iaa.completion import Status
from iaactl.sim.iaa import WqLimits
from iaactl.sim.iaa.header import generate

V2 = WqLimits(iaa_cap=0x1F7)
ONE_PASS, TWO_PASSES, FINAL = 2 << 12, 6 << 12, 1 << 12
END = d.CompressFlags.END_EOB | d.CompressFlags.FLUSH
WRITE_TABLES = 2
ONCE = d.Descriptor(
    0x43, d.POLLED, 0, operation_flags=ONE_PASS | FINAL | END, destination=DESTINATION,
    max_destination_size=1 << 16,
)  # fmt: skip


@given(st.binary(min_size=1, max_size=4096))
def test_one_pass(data: bytes) -> None:
    record, output = Accelerator(V2).run(ONCE, data)
    assert record.ok, record.explain()
    assert zlib.decompress(output, -12) == data
    assert record.crc == zlib.crc32(data)


def test_two_passes() -> None:
    data = random.Random(7).randbytes(3000) + b"abcdefgh" * 2000
    accelerator = Accelerator(V2)
    accelerator.prepare(data, bytes(2 * 1568))
    first = replace(
        ONCE,
        completion_address=COMPLETION,
        source1=SOURCE,
        source1_size=len(data),
        source2=SOURCE2,
        source2_size=1568,
        flags=d.POLLED | d.Flags.WRITE_AECS,
        operation_flags=TWO_PASSES | FINAL | END,
        filter_flags=WRITE_TABLES,
        destination=0,
        max_destination_size=0,
    )
    record = accelerator.submit(first)
    assert record.ok, record.explain()
    assert record.output_size == 0
    second = d.compress(COMPLETION, (SOURCE, len(data)), (DESTINATION, 1 << 16), (SOURCE2, 1568))
    record = accelerator.submit(replace(second, flags=second.flags | d.Flags.AECS_TOGGLE))
    assert record.ok, record.explain()
    stream = accelerator.memory.read(DESTINATION, record.output_size)
    assert zlib.decompress(stream, -12) == data
    assert record.crc == zlib.crc32(data)


def test_what_is_refused() -> None:
    def status(work: d.Descriptor, size: int = 8, limits: WqLimits = V2) -> int:
        return Accelerator(limits).run(work, bytes(size), bytes(2 * 1568))[0].status

    assert status(ONCE, limits=WqLimits()) == Status.BAD_OPERATION_FLAGS
    assert status(ONCE, 4097) == Status.BAD_SIZE
    assert status(replace(ONCE, operation_flags=FINAL)) == Status.BAD_OPERATION_FLAGS
    statistics = replace(ONCE, operation_flags=ONE_PASS | d.CompressFlags.STATISTICS)
    assert status(statistics) == Status.BAD_OPERATION_FLAGS
    assert status(replace(ONCE, operation_flags=TWO_PASSES)) == Status.BAD_OPERATION_FLAGS
    assert status(replace(ONCE, filter_flags=WRITE_TABLES)) == Status.BAD_OPERATION_FLAGS
    word = replace(ONCE, filter_flags=WRITE_TABLES)
    assert status(word, limits=WqLimits()) == Status.RESERVED_FIELD


@given(
    st.lists(st.integers(0, 1 << 40), min_size=286, max_size=286),
    st.lists(st.integers(0, 1 << 40), min_size=30, max_size=30),
)
def test_codes_are_complete_and_headers_valid(ll: list[int], distances: list[int]) -> None:
    ll[256] = ll[256] or 1
    ll_table, d_table, bits, valid = generate(ll, distances, final=True)
    for table, counts in ((ll_table, ll), (d_table, distances)):
        lengths = [entry >> 15 for entry in table]
        assert sum(1 << 15 - length for length in lengths if length) == 1 << 15
        assert all(length for length, count in zip(lengths, counts, strict=True) if count)
    end = ll_table[256]
    length = end >> 15
    bits |= int(f"{end & 0x7FFF:0{length}b}"[::-1], 2) << valid
    stream = bits.to_bytes((valid + length + 7) // 8, "little")
    assert zlib.decompress(stream, -12) == b""


def test_steep_histograms_meet_the_limit() -> None:
    counts = [1, 1]
    while len(counts) < 286:
        counts.append(min(counts[-1] + counts[-2], 1 << 60))
    table, _, _, _ = generate(counts, [1 << n for n in range(30)], final=False)
    lengths = [entry >> 15 for entry in table]
    assert max(lengths) == 15
    assert sum(1 << 15 - n for n in lengths) == 1 << 15


# Sixteen codes of four bits in both alphabets: the lengths go on as they were at the border.
EVEN_LL = [int(symbol < 15 or symbol == 256) for symbol in range(286)]
EVEN_D = [int(symbol < 16) for symbol in range(30)]


def test_the_device_takes_the_headers_of_both_generators() -> None:
    """Repetitions must not cross from literal/length to distance codes, whoever writes them."""
    table, _, bits, valid = generate(EVEN_LL, EVEN_D, final=True)
    end, length = table[256] & 0x7FFF, table[256] >> 15
    assert length == 4
    bits |= int(f"{end:04b}"[::-1], 2) << valid
    work = d.decompress(0, (0, 0), (DESTINATION, 64))
    record, _ = Accelerator().run(work, bits.to_bytes((valid + 4 + 7) // 8, "little"))
    assert record.ok, record.explain()
    aecs = CompressAecs.dynamic(Histogram(tuple(EVEN_LL), tuple(EVEN_D)))
    data = bytes(range(15))
    compress = d.compress(0, (0, 0), (DESTINATION, 1 << 16), (SOURCE2, 1568))
    record, stream = Accelerator().run(compress, data, aecs.pack())
    assert record.ok, record.explain()
    record, output = Accelerator().run(work, stream)
    assert record.ok, record.explain()
    assert output == data
