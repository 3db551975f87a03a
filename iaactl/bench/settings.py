"""What a migration is run with, beside the variant: the numbers that QEMU's parameters set."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from iaactl.model.migration import Backend, Method, ZeroDetection
from iaactl.model.report import Variant
from iaactl.multifd.memory import Pattern
from iaactl.multifd.pipeline import ReceiveOptions, SendOptions


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of a benchmark. Defaults are QEMU's where it has the option, but for the bandwidth:
    its default of 128 MiB/s would measure nothing but itself.

    `queues` are nodes of shared work queues, `queue_cpus` the CPUs of their sockets.
    `dirty_pages_per_s` 0 is an idle guest; `dirty_pages` is how many pages, from the first on, are
    written to. `timeout_s` is how long a peer or a device may do nothing.
    """

    channels: int = 2
    max_bandwidth_bytes_per_s: int = 0
    downtime_limit_ms: int = 300
    max_rounds: int = 30
    zlib_level: int = 1
    zstd_level: int = 1
    zero_detection: ZeroDetection = ZeroDetection.MULTIFD
    dirty_pages_per_s: int = 0
    dirty_pattern: Pattern = "hot"
    dirty_pages: int = 0
    seed: int = 0
    queues: Sequence[str] = ()
    queue_cpus: Mapping[str, Collection[int]] = field(default_factory=dict)
    block_on_fault: bool = True
    timeout_s: float = 10.0

    def sending(self, variant: Variant) -> SendOptions:
        """Options of the sending end."""
        return SendOptions(
            method=variant.method,
            backend=variant.backend or Backend.AUTO,
            zlib_level=self.zlib_level,
            zstd_level=self.zstd_level,
            zero_detection=self.zero_detection,
            max_bandwidth_bytes_per_s=self.max_bandwidth_bytes_per_s,
            queues=self.queues,
            queue_cpus=self.queue_cpus,
            block_on_fault=self.block_on_fault,
            timeout_s=self.timeout_s,
        )

    def receiving(self, method: Method, backend: Backend) -> ReceiveOptions:
        """Options of the receiving end."""
        return ReceiveOptions(
            method=method,
            backend=backend,
            queues=self.queues,
            queue_cpus=self.queue_cpus,
            block_on_fault=self.block_on_fault,
            timeout_s=self.timeout_s,
        )
