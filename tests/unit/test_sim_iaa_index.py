"""Indexing: entries judged by zlib, which must decode every mini-block from its bit offset."""

from __future__ import annotations

import random
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.accelerator import COMPLETION, DESTINATION, SOURCE, SOURCE2, Accelerator
from iaactl.iaa import descriptor as d
from iaactl.iaa.aecs import COMPRESS_AECS_BYTES, CompressAecs, Histogram
from iaactl.iaa.completion import AnalyticsError, CompletionRecord, Status
from iaactl.sim.iaa import WqLimits

ROOM = 1 << 16
OPTIONS = int(d.WHOLE_STREAM | d.DecompressFlags.SUPPRESS_OUTPUT)
DATA = st.lists(
    st.one_of(
        st.binary(min_size=1, max_size=90),
        st.builds(lambda byte, n: byte * n, st.binary(min_size=1, max_size=3), st.integers(1, 400)),
    ),
    min_size=1,
    max_size=12,
).map(lambda pieces: b"".join(pieces + pieces[:4]))


def squeeze(data: bytes, size: int, *, dynamic: bool) -> bytes:
    """A stream of mini-blocks from the engine; `size` 1 is 512 bytes, 2 1024, and so on."""
    aecs = CompressAecs.fixed()
    if dynamic:
        work = d.statistics(0, (0, 0), (DESTINATION, 1280))
        work = replace(work, operation_flags=work.operation_flags | size << 6)
        aecs = CompressAecs.dynamic(Histogram.parse(Accelerator().run(work, data)[1]))
    work = d.compress(0, (0, 0), (DESTINATION, ROOM), (SOURCE2, COMPRESS_AECS_BYTES))
    work = replace(work, operation_flags=work.operation_flags | size << 6)
    record, output = Accelerator().run(work, data, aecs.pack())
    assert record.ok, record.explain()
    return output


def index(stream: bytes, size: int, room: int = ROOM) -> tuple[CompletionRecord, list[int]]:
    """The entries."""
    work = d.decompress(0, (0, 0), (DESTINATION, room))
    record, output = Accelerator().run(
        replace(work, operation_flags=OPTIONS | size << 10), stream, room=ROOM
    )
    return record, [int.from_bytes(output[n : n + 8], "little") for n in range(0, len(output), 8)]


def inflate(bits: int, count: int) -> bytes:
    """What zlib makes of a bit string."""
    return zlib.decompressobj(-12).decompress(bits.to_bytes((count + 7) // 8, "little"))


@given(DATA, st.sampled_from([1, 2]), st.booleans())
@settings(deadline=None, max_examples=60)
def test_every_mini_block_begins_where_its_entry_says(
    data: bytes, size: int, dynamic: bool
) -> None:
    stream = squeeze(data, size, dynamic=dynamic)
    record, entries = index(stream, size)
    assert record.ok, record.explain()
    assert record.crc == zlib.crc32(data)
    mini_block = 256 << size
    blocks = -(-len(data) // mini_block)
    # After the header, after each mini-block, after the block; software adds the very first.
    assert len(entries) == blocks + 2
    bits, total = int.from_bytes(stream, "little"), 8 * len(stream)
    header_bits = entries[0] & 0xFFFFFFFF
    header = bits & (1 << header_bits) - 1
    for n, entry in enumerate(entries[:-1]):
        offset, crc = entry & 0xFFFFFFFF, entry >> 32
        assert crc == zlib.crc32(data[: n * mini_block])
        rest = inflate(header | bits >> offset << header_bits, header_bits + total - offset)
        assert rest == data[n * mini_block :]
    end = entries[-1] & 0xFFFFFFFF
    assert total - 8 < end <= total
    assert entries[-1] >> 32 == zlib.crc32(data)


def test_a_full_last_mini_block_is_noted_once() -> None:
    _, entries = index(squeeze(b"ab" * 512, 1, dynamic=False), 1)
    assert len(entries) == 1 + 2 + 1
    # The end-of-block symbol of the fixed code has seven bits.
    assert (entries[3] & 0xFFFFFFFF) - (entries[2] & 0xFFFFFFFF) == 7


def raw(*parts: bytes, strategy: int = zlib.Z_FIXED) -> bytes:
    """One block for each part, which know of each other but for zlib's empty blocks between."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -12, 9, strategy)
    stream = b"".join(
        packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) for part in parts[:-1]
    )
    return stream + packer.compress(parts[-1]) + packer.flush()


BLOCK = random.Random(5).randbytes(512)


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (raw(b"x" * 1024), AnalyticsError.LENGTH_SPANS_MINI_BLOCKS),
        (raw(BLOCK + BLOCK), AnalyticsError.DISTANCE_SPANS_MINI_BLOCKS),
        (raw(BLOCK[:100], BLOCK[100:200]), AnalyticsError.MINI_BLOCK_SIZE),
        (raw(BLOCK, BLOCK), AnalyticsError.DISTANCE_SPANS_MINI_BLOCKS),
        (raw(BLOCK, BLOCK[::-1]), AnalyticsError.NONE),
        (raw(BLOCK[:100], b""), AnalyticsError.NONE),
    ],
)
def test_what_does_not_stand_alone(stream: bytes, error: AnalyticsError) -> None:
    record, entries = index(stream, 1)
    assert record.error == error
    assert record.ok is not bool(error)
    assert bool(entries) is record.ok


def test_stored_blocks_have_entries_too() -> None:
    packer = zlib.compressobj(0, zlib.DEFLATED, -12)
    stream = packer.compress(BLOCK + BLOCK[:10]) + packer.flush()
    record, entries = index(stream, 1)
    assert record.ok
    assert [entry & 0xFFFFFFFF for entry in entries] == [40, 40 + 4096, 40 + 4176, 40 + 4176]


def test_refusals() -> None:
    record, _ = index(raw(BLOCK), 1, room=8 * 2)
    assert (record.status, record.error) == (0x0A, AnalyticsError.OUTPUT_TOO_SMALL)
    assert index(raw(BLOCK), 1, room=8 * 3)[0].ok
    work = d.decompress(0, (0, 0), (DESTINATION, ROOM))
    plain = replace(work, operation_flags=int(d.WHOLE_STREAM) | 1 << 10)
    assert Accelerator().run(plain, raw(BLOCK))[0].status == Status.BAD_OPERATION_FLAGS


def test_an_aecs_with_more_in_a_mini_block_than_it_holds() -> None:
    aecs = bytearray(5376)
    aecs[1076] = 1
    aecs[1088:1090] = (513).to_bytes(2, "little")
    work = d.decompress(0, (0, 0), (DESTINATION, ROOM))
    work = replace(
        work,
        flags=work.flags | d.Flags.READ_AECS,
        operation_flags=OPTIONS | 1 << 10,
        source2=SOURCE2,
        source2_size=5376,
    )
    packer = zlib.compressobj(0, zlib.DEFLATED, -12)
    stream = packer.compress(BLOCK) + packer.flush()
    record, _ = Accelerator().run(work, stream, bytes(aecs))
    assert (record.status, record.error) == (0x0A, AnalyticsError.AECS)


@given(
    st.binary(max_size=40),
    st.sampled_from([1, 2, 4, 5]),
    st.lists(st.tuples(st.integers(24, 1260), st.integers(0, 255)), max_size=6),
    st.integers(0, 0x7FFF).map(lambda flags: flags | 1),
    st.sampled_from([0, 0x1F7]),
)
@settings(max_examples=300)
def test_garbage_in_the_aecs_is_answered_with_a_known_status(
    source: bytes, state: int, changes: list[tuple[int, int]], options: int, iaa_cap: int
) -> None:
    aecs = bytearray(2 * 5376)
    aecs[1076] = state
    for offset, value in changes:
        aecs[offset] = value
    limits = WqLimits(frozenset(range(256)), iaa_cap=iaa_cap)
    work = d.decompress(0, (0, 0), (DESTINATION, 64))
    work = replace(
        work,
        flags=work.flags | d.Flags.READ_AECS | d.Flags.WRITE_AECS,
        operation_flags=options,
        source2=SOURCE2,
        source2_size=5376,
    )
    record, _ = Accelerator(limits).run(work, source, bytes(aecs))
    Status(record.code)
    AnalyticsError(record.error)
    assert record.bytes_completed <= len(source)
    assert record.output_size <= 64


@given(DATA, st.integers(10, 400), st.booleans())
@settings(deadline=None, max_examples=40)
def test_offsets_go_on_from_job_to_job(data: bytes, step: int, dynamic: bool) -> None:
    """The AECS carries bit offset, CRC and what the current mini-block holds already."""
    stream = squeeze(data, 1, dynamic=dynamic)
    _, expected = index(stream, 1)
    aecs = bytearray(2 * 5376)
    aecs[1076] = 1  # at a block header
    aecs[180:182] = (80).to_bytes(2, "little")  # behind a header of ten bytes
    accelerator = Accelerator()
    accelerator.prepare(stream, bytes(aecs))
    flags = d.POLLED | d.Flags.READ_AECS | d.Flags.WRITE_AECS
    entries: list[int] = []
    for start in range(0, len(stream), step):
        last = start + step >= len(stream)
        options = OPTIONS if last else OPTIONS & ~int(d.DecompressFlags.CHECK_FOR_EOB)
        work = d.decompress(
            COMPLETION, (SOURCE + start, min(step, len(stream) - start)), (DESTINATION, ROOM)
        )
        record = accelerator.submit(
            replace(
                work,
                flags=flags,
                operation_flags=options | 1 << 10,
                source2=SOURCE2,
                source2_size=5376,
            )
        )
        assert record.ok, record.explain()
        output = accelerator.memory.read(DESTINATION, record.output_size)
        entries += [int.from_bytes(output[n : n + 8], "little") for n in range(0, len(output), 8)]
        flags ^= d.Flags.AECS_TOGGLE
    assert entries == [entry + 80 for entry in expected]
