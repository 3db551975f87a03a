"""Live migration as QEMU's multifd channels do it: methods, who compresses, and what was counted.

Source: QEMU's documentation of multifd and its query-migrate; the packet limits are those of its
wire format for targets with pages of 4 KiB.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from iaactl.model.device import Frozen

PAGE_BYTES = 4096
PACKET_PAGES = 128


class Method(StrEnum):
    """What travels on the wire: `multifd-compression` of QEMU."""

    NONE = "none"
    ZLIB = "zlib"
    ZSTD = "zstd"
    QPL = "qpl"


class Backend(StrEnum):
    """Who compresses and decompresses pages of method qpl; the wire is the same for all."""

    AUTO = "auto"
    IAA = "iaa"
    LIBQPL = "libqpl"
    SOFTWARE = "software"


class ZeroDetection(StrEnum):
    """`zero-page-detection` of QEMU; `legacy` needs the main stream and is not offered."""

    MULTIFD = "multifd"
    NONE = "none"


class Choice(Frozen):
    """Who does the work of method qpl, and why; for other methods the library of the method."""

    backend: Backend | None = Field(description="null for the methods none, zlib and zstd")
    codec: str = Field(description="library or device of this end, with its version")
    reason: str


class ChannelCounters(Frozen):
    """What one channel did so far. Sending and receiving ends count the same things.

    For method qpl `normal_pages` is the sum of `raw_pages`, `iaa_pages`, `libqpl_pages` and
    `software_pages`; for the others those are zero.
    """

    channel: int
    packets: int = Field(description="packets, those that only synchronise included")
    normal_pages: int = Field(description="pages with content on the wire")
    zero_pages: int = Field(description="pages sent as an offset only")
    raw_pages: int = Field(description="method qpl: pages that did not shrink, sent as they are")
    iaa_pages: int = Field(description="method qpl: pages (de)compressed by a device")
    libqpl_pages: int = Field(description="method qpl: pages (de)compressed by libqpl in software")
    software_pages: int = Field(description="method qpl: pages by any other library")
    wire_bytes: int = Field(description="all bytes of the channel, hand-shake and headers included")
    payload_bytes: int = Field(description="bytes behind the packet headers")
    cpu_ns: int = Field(description="CPU time of the channel's thread")
    codec_ns: int = Field(description="CPU time of the thread inside (de)compression")
    busy_retries: int = Field(description="submissions repeated because every queue was full")
    faults: int = Field(description="page faults of the device, resolved by touching the page")
    job_failures: int = Field(
        description="jobs a device refused or failed: sent raw, decompressed by software"
    )
