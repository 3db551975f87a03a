"""What the page codecs cost, alone and in one thread: `iaactl.codecs/1`.

Times are CPU time of the thread that works, speeds bytes of guest memory a CPU second. `relative`
is a speed by that of the report's `reference`, from the same run.
"""

from __future__ import annotations

from pydantic import Field

from iaactl.model.device import Frozen
from iaactl.model.report import Machine, MemoryImage, Spread


class CompressorRow(Frozen):
    """One way to compress pages."""

    name: str
    unit_pages: int = Field(description="1: each page on its own; else a stream, flushed so often")
    ratio: float
    raw_part: float = Field(description="part of the pages that did not shrink")
    bytes_per_s: Spread | None
    relative: float | None


class DecompressorRow(Frozen):
    """One way to decompress what `of` compressed."""

    name: str
    of: str
    bytes_per_s: Spread | None
    relative: float | None


class ZeroScanRow(Frozen):
    """Looking for zero pages, by the instructions used.

    Over the memory itself nearly every page ends with its first bytes, so what counts is the time
    a page; over zeros every byte is read, so what counts is bytes a second, from DRAM.
    """

    variant: str
    zero_pages: int = Field(description="found in the memory")
    memory_ns_per_page: Spread | None
    zeros_bytes_per_s: Spread | None


class ThreadsRow(Frozen):
    """Two threads with a codec each, against one: 2 is perfect. Real time, not CPU time."""

    name: str
    factor: Spread | None


class CodecReport(Frozen):
    """Data of `iaactl.codecs/1`."""

    image: MemoryImage
    sample_pages: int = Field(description="pages that were compressed, none of them zero")
    rounds: int
    reference: str = Field(description="what `relative` is relative to")
    machine: Machine
    compressors: tuple[CompressorRow, ...]
    decompressors: tuple[DecompressorRow, ...]
    zero_scan: tuple[ZeroScanRow, ...]
    threads: tuple[ThreadsRow, ...]
    left_out: dict[str, str] = Field({}, description="codec -> why it was not measured")
    no_speed: str | None = Field(None, description="why there are no times in this report")
    interrupted: bool = False
