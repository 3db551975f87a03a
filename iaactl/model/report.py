"""What a migration benchmark was asked, what it measured, and what follows: `iaactl.bench/1`.

Every time is None in a report whose queues are not devices: what executes descriptors in the place
of hardware says nothing about hardware, so there is nothing to print (`no_speed` says why).
Counters of a side are sums over its channels; a page is 4096 bytes of guest memory.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from iaactl.model.device import Frozen
from iaactl.model.finding import Finding
from iaactl.model.migration import Backend, Choice, Method, ZeroDetection


class Variant(Frozen):
    """One of the things compared: a method on the wire, who computes it, how memory is set up."""

    method: Method
    backend: Backend | None = Field(None, description="only of method qpl")
    prealloc: bool = Field(description="the destination's memory is touched before the start")

    @property
    def label(self) -> str:
        """`zstd`, `qpl/iaa`, `none, no prealloc`."""
        name = f"{self.method}/{self.backend}" if self.backend else str(self.method)
        return name if self.prealloc else f"{name}, no prealloc"


class MemoryImage(Frozen):
    """Where the guest's memory came from, and what is in it."""

    origin: str = Field(description="a sentence: the file, process or mix")
    memory_bytes: int
    zero_pages: int
    shares: dict[str, float] = Field({}, description="kind of content -> part of all pages")
    sha256: str


class Scenario(Frozen):
    """The settings that all variants of a run have in common."""

    image: MemoryImage
    channels: int
    transport: Literal["tcp", "unix", "two-hosts"]
    peer: str | None = Field(None, description="the other host, of a run between two")
    max_bandwidth_bytes_per_s: int = Field(description="0: no limit")
    downtime_limit_ms: int
    max_rounds: int
    zlib_level: int
    zstd_level: int
    zero_page_detection: ZeroDetection
    dirty_pages_per_s: int
    dirty_pattern: str
    dirty_memory_bytes: int = Field(description="part of the memory that is written to")
    seed: int
    repeat: int
    socket: int | None = None
    user: str


class Library(Frozen):
    """A codec library; `missing` says why it is not there."""

    name: str
    version: str | None = None
    path: str | None = None
    missing: str | None = None


class Queue(Frozen):
    """A work queue that pages went through."""

    wq: str
    path: str
    socket: int | None
    size_entries: int
    is_device: bool = Field(description="the node is a character device")
    way: str | None = Field(None, description="enqcmd, movdir64b or write: how descriptors go in")


class Machine(Frozen):
    """What the figures were measured on."""

    cpu: str
    cpus: int = Field(description="CPUs this process may use")
    kernel: str
    iaactl: str
    libraries: tuple[Library, ...]
    queues: tuple[Queue, ...]
    devices_per_socket: dict[str, int] = Field(description="enabled IAA devices")
    queues_left_out: str | None = Field(None, description="why there is no queue to use")


class ThreadUse(Frozen):
    """One channel's thread."""

    channel: int
    cpu_s: float | None
    codec_s: float | None
    pages: int
    wire_bytes: int


class Side(Frozen):
    """Sender or receiver: who did the pages, and what it took."""

    raw_pages: int = 0
    zero_pages: int = 0
    iaa_pages: int = 0
    libqpl_pages: int = 0
    software_pages: int = 0
    normal_pages: int = 0
    packets: int = 0
    busy_retries: int = 0
    faults: int = 0
    job_failures: int = 0
    cpu_s: float | None = None
    codec_s: float | None = None
    threads: tuple[ThreadUse, ...] = ()
    choice: Choice | None = Field(None, description="who (de)compressed, and why")


class Round(Frozen):
    """One pass over the dirty pages; the last one runs while the guest stands still."""

    pages: int
    wire_bytes: int
    dirty_after: int = Field(description="pages written to meanwhile")
    ms: float | None


class Sample(Frozen):
    """Sums since the start, taken while it ran."""

    ms: float
    pages: int
    wire_bytes: int


class Run(Frozen):
    """One migration of one variant."""

    variant: Variant
    repetition: int
    converged: bool = Field(description="the rest fitted the downtime limit before the last round")
    verified: bool = Field(description="both memories hold the same bytes at the end")
    first_difference: int | None = Field(None, description="page number")
    total_ms: float | None
    downtime_ms: float | None
    rounds: tuple[Round, ...]
    pages: int = Field(description="sent over all rounds, zero pages included")
    guest_pages_written: int = Field(description="by the dirtying thread")
    wire_bytes: int
    payload_bytes: int
    ratio: float | None = Field(description="bytes of the pages that are not zero / their payload")
    sender: Side
    receiver: Side
    samples: tuple[Sample, ...] = ()
    failed: str | None = Field(None, description="the error that ended it")

    @property
    def ok(self) -> bool:
        """Ended, and the memories are equal."""
        return self.verified and self.failed is None


class Spread(Frozen):
    """Median, smallest and largest over the repetitions."""

    median: float
    low: float
    high: float


class VariantResult(Frozen):
    """What the repetitions of one variant say together; times are None without speed."""

    variant: Variant
    runs: int
    failed: int
    total_ms: Spread | None
    downtime_ms: Spread | None
    rounds: Spread
    wire_bytes: Spread
    ratio: Spread | None
    pages_per_s: Spread | None
    guest_bytes_per_s: Spread | None
    wire_bytes_per_s: Spread | None
    sender_cpu_s: Spread | None
    receiver_cpu_s: Spread | None


class BenchReport(Frozen):
    """Data of `iaactl.bench/1`."""

    scenario: Scenario
    machine: Machine
    results: tuple[VariantResult, ...]
    runs: tuple[Run, ...]
    left_out: dict[str, str] = Field({}, description="variant -> why it was not measured")
    advice: tuple[Finding, ...] = ()
    no_speed: str | None = Field(None, description="why there are no times in this report")
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Something was measured, and every migration ended with equal memories."""
        return bool(self.runs) and all(run.ok for run in self.runs)
