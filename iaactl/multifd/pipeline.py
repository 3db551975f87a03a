"""Sending and receiving ends of a migration's page channels, each channel a native thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType

from iaactl.model.migration import Backend, ChannelCounters, Choice, Method, ZeroDetection
from iaactl.multifd.memory import Memory


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How to send.

    `max_bandwidth_bytes_per_s` counts wire bytes of all channels together, in windows of 100 ms
    as in QEMU; 0 is no limit. `queues` are the nodes of shared work queues, e.g. /dev/iax/wq1.0:
    each channel opens all of them and spreads its jobs. `timeout_s` is how long a peer may take
    no byte, and how long a device may take for a job.
    """

    method: Method = Method.NONE
    backend: Backend = Backend.AUTO
    zlib_level: int = 1
    zstd_level: int = 1
    zero_detection: ZeroDetection = ZeroDetection.MULTIFD
    max_bandwidth_bytes_per_s: int = 0
    block: str = "pc.ram"
    uuid: bytes = bytes(16)
    queues: Sequence[str] = ()
    block_on_fault: bool = True
    timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class ReceiveOptions:
    """How to receive; fields as in SendOptions.

    `timeout_s` is how long a peer may send no byte, at a packet border too; a channel that waits
    for the others at a SYNC is not counted.
    """

    method: Method = Method.NONE
    backend: Backend = Backend.AUTO
    block: str = "pc.ram"
    uuid: bytes = bytes(16)
    queues: Sequence[str] = ()
    block_on_fault: bool = True
    timeout_s: float = 10.0


class Sender:
    """Sends dirty pages of `memory` over connected sockets, pipes or files, one channel each.

    Channel n uses `fds[n]`; they stay the caller's to close. Threads start here, and the
    hand-shake is sent. Raises UsageProblem for options that make no sense, LibraryMissing or
    HostError when the backend asked for cannot be had here (`auto` takes another and says so).
    """

    def __init__(self, memory: Memory, fds: Sequence[int], options: SendOptions) -> None:
        raise NotImplementedError

    def round(self) -> int:
        """Take the dirty bitmap, send those pages, then SYNC on every channel; pages sent.

        Blocks without the GIL. Ctrl-C gets through within 100 ms: the channels then go on until
        `close`, or until the next `round`, which first completes the one interrupted and counts
        both. Raises StreamError when a channel fails; the sender is then only good for `close`.
        """
        raise NotImplementedError

    def counters(self) -> tuple[ChannelCounters, ...]:
        """One for each channel; may be called from another thread while a round runs."""
        raise NotImplementedError

    @property
    def backend(self) -> Choice:
        """Who compresses, and why."""
        raise NotImplementedError

    def finish(self) -> None:
        """Shut the writing side of every socket down and join the threads; counters stay."""
        raise NotImplementedError

    def close(self) -> None:
        """Cancel what runs, join the threads, free everything. Takes no longer than a packet."""
        raise NotImplementedError

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Receiver:
    """Receives into `memory`, which must be fresh: pages not yet received count as zero.

    One thread for each of `fds`, in any order of channel ids; as many channels as there are fds.
    Every method may raise StreamError, naming channel, packet number, byte offset and reason; the
    receiver is then only good for `counters` and `close`.
    """

    def __init__(self, memory: Memory, fds: Sequence[int], options: ReceiveOptions) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Start the threads."""
        raise NotImplementedError

    def wait_sync(self, n: int, timeout_s: float) -> None:
        """Until every channel passed its n-th SYNC, counted from 1. A channel applies no page
        behind a SYNC before all channels have reached it. Raises OperationError at the time-out.
        """
        raise NotImplementedError

    def finish(self, timeout_s: float) -> None:
        """Until every channel has ended at a packet border. Raises OperationError at the
        time-out."""
        raise NotImplementedError

    def counters(self) -> tuple[ChannelCounters, ...]:
        """One for each fd, `channel` from the hand-shake, -1 before it."""
        raise NotImplementedError

    @property
    def backend(self) -> Choice:
        """Who decompresses, and why."""
        raise NotImplementedError

    def close(self) -> None:
        """Cancel what runs, join the threads, free everything."""
        raise NotImplementedError

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
