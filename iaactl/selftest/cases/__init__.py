"""Cases by name. A case is a function of a bench and a size in bytes that raises CaseFailed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iaactl.iaa.opcode import Opcode
from iaactl.selftest.bench import Bench
from iaactl.selftest.cases import basic, deflate, pressure, words

Run = Callable[[Bench, int], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its name on the command line, the operations it needs, and what it proves."""

    name: str
    needs: tuple[Opcode, ...]
    sentence: str
    run: Run


CASES: tuple[Case, ...] = (
    Case("noop", (Opcode.NOOP,), "a descriptor completes", basic.noop),
    Case("drain", (Opcode.DRAIN,), "earlier descriptors complete first", basic.drain),
    Case("crc64", (Opcode.CRC64,), "a CRC with the ECMA polynomial", basic.crc64),
    Case("compress", (Opcode.COMPRESS,), "fixed Huffman, inflated by zlib", deflate.compress),
    Case(
        "dynamic",
        (Opcode.COMPRESS,),
        "statistics pass, then dynamic Huffman, inflated by zlib",
        deflate.dynamic,
    ),
    Case("decompress", (Opcode.DECOMPRESS,), "streams of zlib at every level", deflate.decompress),
    Case(
        "incompressible",
        (Opcode.COMPRESS,),
        "random data, with and without room for it",
        deflate.incompressible,
    ),
    Case(
        "pages",
        (Opcode.COMPRESS, Opcode.DECOMPRESS),
        "4-KiB pages there and back, many in flight",
        deflate.pages,
    ),
    Case("zero-compress-8", (Opcode.ZERO_COMPRESS_8,), "zero bytes left out", words.zero_8),
    Case("zero-compress-16", (Opcode.ZERO_COMPRESS_16,), "zero 16-bit words", words.zero_16),
    Case("zero-compress-32", (Opcode.ZERO_COMPRESS_32,), "zero 32-bit words", words.zero_32),
    Case("scan", (Opcode.SCAN,), "which bytes lie in a range", words.scan),
    Case("extract", (Opcode.EXTRACT,), "a range of elements", words.extract),
    Case("select", (Opcode.SELECT,), "elements by a bit vector", words.select),
    Case(
        "unaligned", (Opcode.CRC64,), "buffers at odd addresses, across pages", pressure.unaligned
    ),
    Case(
        "untouched",
        (Opcode.COMPRESS, Opcode.DECOMPRESS),
        "output into pages that were never touched",
        pressure.untouched,
    ),
    Case("sizes", (Opcode.CRC64,), "1 byte to the queue's largest transfer", pressure.sizes),
    Case("fill", (Opcode.NOOP,), "the queue filled to its threshold and beyond", pressure.fill),
)
BY_NAME = {case.name: case for case in CASES}
