"""The compress AECS (analytics engine configuration and state) and the statistics output.

1568 bytes: seeds of the checksums, an accumulator with bits that precede the output (the block
header), and the Huffman codes. Source: IAA architecture, AECS format for compress.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from iaactl.iaa.huffman import (
    D_CODES,
    END_OF_BLOCK,
    LL_CODES,
    NO_BITS,
    Bits,
    Code,
    canonical,
    dynamic_header,
    fixed_codes,
    fixed_header,
    lengths_from,
)

COMPRESS_AECS_BYTES = 1568
HISTOGRAM_BYTES = 1280
FILTER_AECS_BYTES = 32
DECOMPRESS_AECS_BYTES = 5376
ACCUMULATOR_BYTES = 256

_VALID_BITS = 28
_ACCUMULATOR = 32
_LL = 288
_D = 1440
_D_IN_HISTOGRAM = _D - _LL


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often each symbol occurs: 286 literal/length, 30 distance symbols."""

    ll: tuple[int, ...]
    d: tuple[int, ...]

    @classmethod
    def parse(cls, data: bytes) -> Histogram:
        """From the 1280 bytes of a statistics operation; raises ValueError for other lengths."""
        if len(data) != HISTOGRAM_BYTES:
            raise ValueError(f"a histogram has {HISTOGRAM_BYTES} bytes, not {len(data)}")
        return cls(
            struct.unpack_from(f"<{LL_CODES}I", data),
            struct.unpack_from(f"<{D_CODES}I", data, _D_IN_HISTOGRAM),
        )


@dataclass(frozen=True, slots=True)
class CompressAecs:
    """What a compress operation starts from."""

    header: Bits
    ll: Sequence[Code]
    d: Sequence[Code]
    crc_seed: int = 0
    xor_seed: int = 0

    @classmethod
    def fixed(cls, *, final: bool = True) -> CompressAecs:
        """One block with the fixed codes of RFC 1951."""
        return cls(fixed_header(final=final), *fixed_codes())

    @classmethod
    def dynamic(cls, histogram: Histogram, *, final: bool = True) -> CompressAecs:
        """One block with codes made for this histogram; the end-of-block always gets a code."""
        ll = list(histogram.ll)
        ll[END_OF_BLOCK] = ll[END_OF_BLOCK] or 1
        ll_lengths = lengths_from(ll)
        d_lengths = lengths_from(histogram.d)
        header = dynamic_header(ll_lengths, d_lengths, final=final)
        return cls(header, canonical(ll_lengths), canonical(d_lengths))

    @classmethod
    def literals(cls, histogram: Histogram) -> CompressAecs:
        """Codes for literals alone, no header; for operations with LITERALS_ONLY."""
        lengths = lengths_from(histogram.ll[:END_OF_BLOCK]) + [0] * (LL_CODES - END_OF_BLOCK)
        return cls(NO_BITS, canonical(lengths), [Code(0, 0)] * D_CODES)

    def pack(self) -> bytes:
        """The 1568 bytes; raises ValueError when the header is too long for the accumulator."""
        if self.header.count > 8 * ACCUMULATOR_BYTES:
            raise ValueError(f"a block header of {self.header.count} bits is too long")
        if len(self.ll) != LL_CODES or len(self.d) != D_CODES:
            raise ValueError(f"{LL_CODES} literal/length and {D_CODES} distance codes are needed")
        data = bytearray(COMPRESS_AECS_BYTES)
        struct.pack_into("<II", data, 0, self.crc_seed, self.xor_seed)
        struct.pack_into("<I", data, _VALID_BITS, self.header.count)
        accumulator = self.header.value.to_bytes(ACCUMULATOR_BYTES, "little")
        data[_ACCUMULATOR : _ACCUMULATOR + ACCUMULATOR_BYTES] = accumulator
        struct.pack_into(f"<{LL_CODES}I", data, _LL, *map(_entry, self.ll))
        struct.pack_into(f"<{D_CODES}I", data, _D, *map(_entry, self.d))
        return bytes(data)


def filter_aecs(low: int, high: int) -> bytes:
    """The 32 bytes that scan (lowest and highest value) and extract (first, last index) take."""
    return struct.pack("<8xII16x", low, high)


def _entry(code: Code) -> int:
    return code.value | code.length << 15
