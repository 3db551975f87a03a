"""Beyond single operations: odd addresses, pages nobody touched, all sizes, a full queue."""

from __future__ import annotations

from iaactl.iaa import descriptor as d
from iaactl.iaa.aecs import CompressAecs
from iaactl.iaa.completion import CompletionRecord
from iaactl.selftest.bench import PAGE, Bench
from iaactl.selftest.cases.basic import ECMA, crc64_of, pattern

LARGEST = 8 << 20
"""Bytes; a selftest takes no more memory than this for one buffer, whatever the queue allows."""
SLOW_CHECK = 1 << 16
"""Bytes up to which the result is computed again here; larger ones are checked for completion."""


def unaligned(bench: Bench, size: int) -> None:
    """The same data at odd offsets, the last ones across a page boundary."""
    data = pattern(min(size, SLOW_CHECK))
    want = crc64_of(data)
    for offset in (1, 3, 31, 63, 65, PAGE - 1, PAGE - len(data) // 2 if len(data) < PAGE else 7):
        place = bench.place(data, offset=offset)
        record = bench.submit(d.crc64(bench.record(), place, ECMA))
        bench.expect(f"crc64 at offset {offset}", record.crc64, want)


def untouched(bench: Bench, size: int) -> None:
    """Output and source in pages that only the device touches: each fault must be resolved."""
    pages = max(size // PAGE, 1) + 2
    data = pattern(pages * PAGE)
    aecs = bench.place(CompressAecs.fixed().pack())
    middle = bench.room(2 * len(data))
    for block in {False, bench.block_on_fault}:
        record = bench.submit(
            d.compress(
                bench.record(),
                bench.place(data),
                (middle.address, middle.size),
                aecs,
                block_on_fault=block,
            )
        )
        back = bench.room(len(data))
        bench.submit(
            d.decompress(
                bench.record(),
                (middle.address, record.output_size),
                (back.address, len(data)),
                block_on_fault=block,
            )
        )
        bench.expect("what came back", back.read(len(data)), data)
    nothing = bench.room(PAGE)  # a source that was never written reads as zeros
    record = bench.submit(d.crc64(bench.record(), (nothing.address, PAGE), ECMA))
    bench.expect("crc64 of a page nobody touched", record.crc64, 0)


def sizes(bench: Bench, size: int) -> None:
    """Powers of two and their neighbours, up to what the queue and this test allow."""
    most = min(bench.most_bytes, LARGEST)
    data = pattern(most)
    length = 1
    lengths = {1, most}
    while length < most:
        lengths |= {length - 1 or 1, length, length + 1}
        length *= 4
    source, _ = bench.place(data)
    for length in sorted(lengths):
        record = bench.submit(d.crc64(bench.record(), (source, length), ECMA))
        bench.expect("bytes completed", record.bytes_completed, length)
        if length <= SLOW_CHECK:
            bench.expect(f"crc64 of {length} bytes", record.crc64, crc64_of(data[:length]))


def fill(bench: Bench, size: int) -> None:
    """More descriptors than the queue has entries, without waiting, then all of them again."""
    count = 2 * bench.threshold + 2
    records = bench.room(64 * count)
    jobs = [d.noop(records.address + 64 * n) for n in range(count)]
    taken = bench.portal.fill([job.pack() for job in jobs])
    bench.expect("taken by an empty queue", taken >= min(bench.threshold, count), True)
    # Whatever the queue did not take goes in as entries get free; completions prove all of them.
    for outcome in bench.outcomes(jobs[taken:] or jobs[:1], depth=bench.threshold):
        bench.success(outcome)
    bench.submit(d.drain(bench.record()))  # behind it, everything before has completed
    for index in range(taken):
        record = CompletionRecord.parse(records.read(64, 64 * index))
        bench.expect(f"descriptor {index}", record.ok, True)
