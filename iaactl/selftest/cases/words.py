"""Zero compression, and filters over arrays of bytes."""

from __future__ import annotations

from iaactl.iaa import descriptor as d
from iaactl.iaa.aecs import filter_aecs
from iaactl.iaa.opcode import Opcode
from iaactl.selftest.bench import Bench
from iaactl.selftest.cases.basic import pattern
from iaactl.selftest.checks import bits

LOW, HIGH = 0x61, 0x6D
BYTES = d.FilterFlags(source1_width=8)
_PAIRS = {
    1: (Opcode.ZERO_COMPRESS_8, Opcode.ZERO_DECOMPRESS_8),
    2: (Opcode.ZERO_COMPRESS_16, Opcode.ZERO_DECOMPRESS_16),
    4: (Opcode.ZERO_COMPRESS_32, Opcode.ZERO_DECOMPRESS_32),
}


def _zero(bench: Bench, size: int, width: int) -> None:
    """There and back: what comes out is what went in, and zeros made it smaller."""
    there, back = _PAIRS[width]
    count = max(size // width, 1)
    words = [
        b"\0" * width if n % 3 else (n % 255 + 1).to_bytes(width, "little") for n in range(count)
    ]
    data = b"".join(words)
    middle, end = bench.room(2 * len(data) + 64), bench.room(len(data))
    record = bench.submit(
        d.zero_transform(
            there,
            bench.record(),
            bench.place(data),
            (middle.address, middle.size),
            block_on_fault=bench.block_on_fault,
        )
    )
    if count > 256:
        bench.expect("shrunk", record.output_size < len(data), True)
    bench.submit(
        d.zero_transform(
            back,
            bench.record(),
            (middle.address, record.output_size),
            (end.address, len(data)),
            block_on_fault=bench.block_on_fault,
        )
    )
    bench.expect("what came back", end.read(len(data)), data)


def zero_8(bench: Bench, size: int) -> None:
    """Bytes."""
    _zero(bench, size, 1)


def zero_16(bench: Bench, size: int) -> None:
    """16-bit words."""
    _zero(bench, size, 2)


def zero_32(bench: Bench, size: int) -> None:
    """32-bit words."""
    _zero(bench, size, 4)


def scan(bench: Bench, size: int) -> None:
    """One bit for each byte: is it between LOW and HIGH?"""
    data = pattern(size)
    output = bench.room(size // 8 + 64)
    record = bench.submit(
        d.filtering(
            Opcode.SCAN,
            bench.record(),
            bench.place(data),
            (output.address, output.size),
            size,
            BYTES,
            aecs=bench.place(filter_aecs(LOW, HIGH)),
            block_on_fault=bench.block_on_fault,
        )
    )
    want = bits([LOW <= byte <= HIGH for byte in data])
    bench.expect("the bit vector", output.read(record.output_size), want)


def extract(bench: Bench, size: int) -> None:
    """The second quarter of the elements."""
    data = pattern(size)
    first, last = size // 4, max(size // 2 - 1, size // 4)
    output = bench.room(size)
    record = bench.submit(
        d.filtering(
            Opcode.EXTRACT,
            bench.record(),
            bench.place(data),
            (output.address, size),
            size,
            BYTES,
            aecs=bench.place(filter_aecs(first, last)),
            block_on_fault=bench.block_on_fault,
        )
    )
    bench.expect("the elements", output.read(record.output_size), data[first : last + 1])


def select(bench: Bench, size: int) -> None:
    """Every third element, by a bit vector as second source."""
    data = pattern(size)
    chosen = [index % 3 == 0 for index in range(size)]
    output = bench.room(size)
    record = bench.submit(
        d.filtering(
            Opcode.SELECT,
            bench.record(),
            bench.place(data),
            (output.address, size),
            size,
            BYTES,
            source2=bench.place(bits(chosen)),
            block_on_fault=bench.block_on_fault,
        )
    )
    bench.expect("the elements", output.read(record.output_size), data[::3])
