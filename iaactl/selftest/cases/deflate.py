"""Compress and decompress, judged by zlib in both directions."""

from __future__ import annotations

import random
import zlib

from iaactl.iaa import descriptor as d
from iaactl.iaa.aecs import CompressAecs, Histogram
from iaactl.iaa.completion import AnalyticsError, CompletionRecord, Status
from iaactl.selftest.bench import PAGE, Bench, CaseFailed
from iaactl.selftest.cases.basic import pattern
from iaactl.selftest.checks import xor16

HISTOGRAM_BYTES = 1280


def _room(size: int) -> int:
    return 2 * size + 256


def _compressed(bench: Bench, data: bytes, aecs: CompressAecs) -> bytes:
    destination = bench.room(_room(len(data)))
    record = bench.submit(
        d.compress(
            bench.record(),
            bench.place(data),
            (destination.address, destination.size),
            bench.place(aecs.pack()),
            block_on_fault=bench.block_on_fault,
        )
    )
    _checksums(bench, record, data)
    return destination.read(record.output_size)


def _checksums(bench: Bench, record: CompletionRecord, data: bytes) -> None:
    bench.expect("CRC", f"{record.crc:#010x}", f"{zlib.crc32(data):#010x}")
    bench.expect("XOR checksum", f"{record.xor:#06x}", f"{xor16(data):#06x}")


def _inflated(bench: Bench, stream: bytes, data: bytes) -> None:
    inflater = zlib.decompressobj(-15)
    try:
        result = inflater.decompress(stream) + inflater.flush()
    except zlib.error as error:
        raise CaseFailed(
            f"zlib cannot inflate the device's output: {error}",
            hint="a wrong result is a hardware fault: do not use this device",
        ) from None
    bench.expect("the inflated output", result, data)
    bench.expect("end of stream", inflater.eof, True)


def compress(bench: Bench, size: int) -> None:
    """One final block with the fixed codes."""
    data = pattern(size)
    _inflated(bench, _compressed(bench, data, CompressAecs.fixed()), data)


def dynamic(bench: Bench, size: int) -> None:
    """Histograms by the device, codes made of them here, one final block."""
    data = pattern(size)
    histogram = bench.room(HISTOGRAM_BYTES)
    bench.submit(
        d.statistics(
            bench.record(),
            bench.place(data),
            (histogram.address, histogram.size),
            block_on_fault=bench.block_on_fault,
        )
    )
    counted = Histogram.parse(histogram.read(HISTOGRAM_BYTES))
    _inflated(bench, _compressed(bench, data, CompressAecs.dynamic(counted)), data)


def _stream(data: bytes, level: int, strategy: int) -> bytes:
    # The device remembers 4 KiB, so matches may not reach further back.
    deflater = zlib.compressobj(level, zlib.DEFLATED, -12, 8, strategy)
    return deflater.compress(data) + deflater.flush()


def decompress(bench: Bench, size: int) -> None:
    """Stored, fixed and dynamic blocks of zlib."""
    data = pattern(size)
    choices = [(0, zlib.Z_DEFAULT_STRATEGY), (6, zlib.Z_FIXED), (1, 0), (6, 0), (9, 0)]
    for level, strategy in choices:
        stream = _stream(data, level, strategy)
        destination = bench.room(size)
        record = bench.submit(
            d.decompress(
                bench.record(),
                bench.place(stream),
                (destination.address, size),
                block_on_fault=bench.block_on_fault,
            )
        )
        bench.expect("output size", record.output_size, size)
        bench.expect("the output", destination.read(size), data)
        _checksums(bench, record, data)


def incompressible(bench: Bench, size: int) -> None:
    """Random data grows and is still right; without room the device says so, and nothing else."""
    data = random.Random(size).randbytes(size)
    _inflated(bench, _compressed(bench, data, CompressAecs.fixed()), data)
    if size < 64:
        return
    destination = bench.room(size)
    (outcome,) = bench.outcomes(
        [
            d.compress(
                bench.record(),
                bench.place(data),
                (destination.address, size // 2),
                bench.place(CompressAecs.fixed().pack()),
                block_on_fault=bench.block_on_fault,
            )
        ]
    )
    if outcome.errno:
        bench.success(outcome)
    record = CompletionRecord.parse(outcome.record)
    overflow = (Status.ANALYTICS_ERROR, AnalyticsError.OUTPUT_TOO_SMALL)
    bench.expect("status of an overflow", (record.code, record.error), overflow)
    bench.expect(
        "memory behind the output", destination.read(size - size // 2, size // 2).strip(b"\0"), b""
    )


def pages(bench: Bench, size: int) -> None:
    """Guest pages as a migration sends them: one descriptor each, many in flight."""
    count = max(2 * bench.depth, 16)
    source = [pattern(PAGE * (n + 1))[-PAGE:] for n in range(count)]
    aecs = bench.place(CompressAecs.fixed().pack())
    rooms = [bench.room(2 * PAGE) for _ in source]
    jobs = [
        d.compress(
            bench.record(),
            bench.place(page),
            (room.address, room.size),
            aecs,
            block_on_fault=bench.block_on_fault,
        )
        for page, room in zip(source, rooms, strict=True)
    ]
    sizes = [bench.success(outcome).output_size for outcome in bench.outcomes(jobs)]
    backs = [bench.room(PAGE) for _ in source]
    jobs = [
        d.decompress(
            bench.record(),
            (room.address, length),
            (back.address, PAGE),
            block_on_fault=bench.block_on_fault,
        )
        for room, length, back in zip(rooms, sizes, backs, strict=True)
    ]
    for outcome, back, page in zip(bench.outcomes(jobs), backs, source, strict=True):
        bench.success(outcome)
        bench.expect("a page that went there and back", back.read(PAGE), page)
