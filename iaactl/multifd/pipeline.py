"""Sending and receiving ends of a migration's page channels, each channel a native thread."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from iaactl.errors import HostError, OperationError, UsageProblem
from iaactl.model.migration import Backend, ChannelCounters, Choice, Method, ZeroDetection
from iaactl.multifd.backends import CodecPlan, choose, missing
from iaactl.multifd.defects import new_defect, stream_error
from iaactl.multifd.memory import Memory
from iaactl.native._core import ffi, lib
from iaactl.native.system_error import errno_text

_METHODS = {
    Method.NONE: lib.IAACTL_METHOD_NONE,
    Method.ZLIB: lib.IAACTL_METHOD_ZLIB,
    Method.ZSTD: lib.IAACTL_METHOD_ZSTD,
    Method.QPL: lib.IAACTL_METHOD_QPL,
}
_SLICE_MS = 100  # how long Ctrl-C may wait for a native call
_BLOCK_BYTES = 255  # of a RAM block's name on the wire, without its NUL
_CHANNELS = 255


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How to send.

    `max_bandwidth_bytes_per_s` counts wire bytes of all channels together, in windows of 100 ms
    as in QEMU; 0 is no limit. `queues` are the nodes of shared work queues, e.g. /dev/iax/wq1.0:
    each channel opens all of them and spreads its jobs over those of the socket it runs on, which
    `queue_cpus` tells: the CPUs of each queue's socket by path; without, over all. `timeout_s` is
    how long a peer may take no byte, and how long a device may take for a job.
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
    queue_cpus: Mapping[str, Collection[int]] = field(default_factory=dict)
    block_on_fault: bool = False
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
    queue_cpus: Mapping[str, Collection[int]] = field(default_factory=dict)
    block_on_fault: bool = False
    timeout_s: float = 10.0


class Sender:
    """Sends dirty pages of `memory` over connected sockets, pipes or files, one channel each.

    Channel n uses `fds[n]`; they stay the caller's to close. Threads start here, and the
    hand-shake is sent. Raises UsageProblem for options that make no sense, LibraryMissing or
    HostError when the backend asked for cannot be had here (`auto` takes another and says so).
    """

    def __init__(self, memory: Memory, fds: Sequence[int], options: SendOptions) -> None:
        _check(fds, options.block, options.uuid, options.timeout_s)
        _check_levels(options)
        self._plan, self._choice = choose(
            options.method,
            options.backend,
            decompress=False,
            queues=options.queues,
            queue_cpus=options.queue_cpus,
            block_on_fault=options.block_on_fault,
            timeout_s=options.timeout_s,
        )
        settings = ffi.new("struct iaactl_send_settings *")
        settings.method = _METHODS[options.method]
        settings.level = options.zlib_level if options.method is Method.ZLIB else options.zstd_level
        settings.detect_zero = options.zero_detection is ZeroDetection.MULTIFD
        settings.bytes_per_s = options.max_bandwidth_bytes_per_s
        settings.timeout_ns = int(options.timeout_s * 1e9)
        settings.block = options.block.encode()
        ffi.memmove(settings.uuid, options.uuid, 16)
        keep = self._plan.fill(settings.codec) if self._plan else []
        holder, queue = ffi.new("struct iaactl_sender **"), ffi.new("uint32_t *")
        result = lib.iaactl_sender_create(
            memory.handle, list(fds), len(fds), settings, queue, holder
        )
        del keep
        if result:
            raise _not_created("sender", result, options.method, self._plan, int(queue[0]))
        self._handle: Any = holder[0]
        self._memory = memory
        self._channels = len(fds)
        self._counters: tuple[ChannelCounters, ...] = ()
        self._running, self._reading = threading.Lock(), threading.Lock()

    def round(self) -> int:
        """Take the dirty bitmap, send those pages, then SYNC on every channel; pages sent.

        Blocks without the GIL. Ctrl-C gets through within 100 ms: the channels then go on until
        `close`, or until the next `round`, which first completes the one interrupted and counts
        both. Raises StreamError when a channel fails; the sender is then only good for `close`.
        """
        with self._running:
            handle = self._open()
            sent = 0
            result = lib.iaactl_sender_begin(handle)
            if result == -errno.EBUSY:
                sent = self._wait()
                result = lib.iaactl_sender_begin(handle)
            if result == -errno.EPROTO:
                raise self._failure()
            if result:
                raise OperationError(f"no round can begin: {errno_text(-result)}")
            return sent + self._wait()

    def _wait(self) -> int:
        pages = ffi.new("uint64_t *")
        while True:
            result = lib.iaactl_sender_wait(self._open(), _SLICE_MS, pages)
            if not result:
                return int(pages[0])
            if result == -errno.ECANCELED:
                raise OperationError("the round was cancelled")
            if result != -errno.EAGAIN:
                raise self._failure()

    def _failure(self) -> OperationError:
        defect = new_defect()
        lib.iaactl_sender_defect(self._open(), defect)
        return stream_error(defect, self._plan.queues if self._plan else ())

    def _open(self) -> Any:
        if self._handle is None:
            raise OperationError("the sender was closed")
        return self._handle

    def counters(self) -> tuple[ChannelCounters, ...]:
        """One for each channel; may be called from another thread while a round runs."""
        with self._reading:
            if self._handle is not None:
                self._counters = _counters(
                    self._channels, lambda n, to: lib.iaactl_sender_counters(self._handle, n, to)
                )
        return self._counters

    @property
    def backend(self) -> Choice:
        """Who compresses, and why."""
        return self._choice

    def finish(self) -> None:
        """Shut the writing side of every socket down and join the threads; counters stay."""
        with self._running:
            result = lib.iaactl_sender_finish(self._open())
        if result == -errno.EPROTO:
            raise self._failure()
        if result:
            raise OperationError("the sender was finished in the middle of a round")

    def cancel(self) -> None:
        """Give up what runs, from any thread: whoever waits gets an OperationError."""
        with self._reading:
            if self._handle is not None:
                lib.iaactl_sender_cancel(self._handle)

    def close(self) -> None:
        """Cancel what runs, join the threads, free everything; counters stay."""
        self.counters()
        self.cancel()
        with self._running, self._reading:
            if self._handle is not None:
                lib.iaactl_sender_destroy(self._handle)
                self._handle = None

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
        self._setup({options.block: memory}, fds, options, hold=False, any_uuid=False)

    @classmethod
    def recorded(
        cls, blocks: Mapping[str, Memory], fds: Sequence[int], options: ReceiveOptions
    ) -> Receiver:
        """For a recording: several RAM blocks, any UUID, and channels that wait behind every SYNC
        for `release`, as those of a destination wait for the main stream."""
        receiver = cls.__new__(cls)
        receiver._setup(blocks, fds, options, hold=True, any_uuid=True)
        return receiver

    def _setup(
        self,
        blocks: Mapping[str, Memory],
        fds: Sequence[int],
        options: ReceiveOptions,
        *,
        hold: bool,
        any_uuid: bool,
    ) -> None:
        for name in blocks:
            _check(fds, name, options.uuid, options.timeout_s)
        self._plan, self._choice = choose(
            options.method,
            options.backend,
            decompress=True,
            queues=options.queues,
            queue_cpus=options.queue_cpus,
            block_on_fault=options.block_on_fault,
            timeout_s=options.timeout_s,
        )
        settings = ffi.new("struct iaactl_receive_settings *")
        settings.method = _METHODS[options.method]
        settings.hold = hold
        settings.any_uuid = any_uuid
        settings.timeout_ns = int(options.timeout_s * 1e9)
        ffi.memmove(settings.uuid, options.uuid, 16)
        keep = self._plan.fill(settings.codec) if self._plan else []
        table = ffi.new("struct iaactl_block[]", len(blocks))
        for entry, (name, memory) in zip(table, blocks.items(), strict=True):
            entry.name = name.encode()
            entry.memory = memory.handle
        holder, queue = ffi.new("struct iaactl_receiver **"), ffi.new("uint32_t *")
        result = lib.iaactl_receiver_create(
            table, len(blocks), list(fds), len(fds), settings, queue, holder
        )
        del keep
        if result:
            raise _not_created("receiver", result, options.method, self._plan, int(queue[0]))
        self._handle: Any = holder[0]
        self._memories = tuple(blocks.values())
        self._channels = len(fds)
        self._counters: tuple[ChannelCounters, ...] = ()
        self._running, self._reading = threading.Lock(), threading.Lock()

    def start(self) -> None:
        """Start the threads."""
        result = lib.iaactl_receiver_start(self._open())
        if result:
            raise OperationError(f"the receiver does not start: {errno_text(-result)}")

    def wait_sync(self, n: int, timeout_s: float) -> None:
        """Until every channel passed its n-th SYNC, counted from 1. A channel applies no page
        behind a SYNC before all channels have reached it. Raises OperationError at the time-out.
        """
        result = self._slices(
            timeout_s, lambda ms: lib.iaactl_receiver_wait_sync(self._open(), n, ms)
        )
        if result == -errno.ENODATA:
            raise OperationError(f"all channels ended before SYNC {n}")
        if result:
            raise OperationError(f"not every channel has passed SYNC {n} in {timeout_s:g} s")

    def release(self, n: int) -> None:
        """Let the channels of a recording go on behind their n-th SYNC."""
        lib.iaactl_receiver_release(self._open(), n)

    def _slices(self, timeout_s: float, wait: Callable[[int], int]) -> int:
        deadline = time.monotonic() + timeout_s
        while True:
            left_ms = max(0, int((deadline - time.monotonic()) * 1000))
            with self._running:
                result = wait(min(left_ms, _SLICE_MS))
            if result == -errno.ECANCELED:
                raise OperationError("the receiver was cancelled")
            if result == -errno.EPROTO:
                defect = new_defect()
                lib.iaactl_receiver_defect(self._open(), defect)
                raise stream_error(defect, self._plan.queues if self._plan else ())
            if result != -errno.EAGAIN or not left_ms:
                return result

    def _open(self) -> Any:
        if self._handle is None:
            raise OperationError("the receiver was closed")
        return self._handle

    def finish(self, timeout_s: float) -> None:
        """Until every channel has ended at a packet border. Raises OperationError at the
        time-out."""
        result = self._slices(timeout_s, lambda ms: lib.iaactl_receiver_wait_end(self._open(), ms))
        if result:
            raise OperationError(f"not every channel has ended in {timeout_s:g} s")

    def syncs(self) -> tuple[int, ...]:
        """SYNCs that each channel has reached."""
        counters, syncs = ffi.new("struct iaactl_counters *"), ffi.new("uint64_t *")
        reached = []
        for n in range(self._channels):
            lib.iaactl_receiver_counters(self._open(), n, syncs, counters)
            reached.append(int(syncs[0]))
        return tuple(reached)

    def counters(self) -> tuple[ChannelCounters, ...]:
        """One for each fd, `channel` from the hand-shake, -1 before it."""
        with self._reading:
            if self._handle is not None:
                self._counters = _counters(
                    self._channels,
                    lambda n, to: lib.iaactl_receiver_counters(self._handle, n, ffi.NULL, to),
                )
        return self._counters

    @property
    def backend(self) -> Choice:
        """Who decompresses, and why."""
        return self._choice

    def cancel(self) -> None:
        """Give up what runs, from any thread: whoever waits gets an OperationError."""
        with self._reading:
            if self._handle is not None:
                lib.iaactl_receiver_cancel(self._handle)

    def close(self) -> None:
        """Cancel what runs, join the threads, free everything; counters stay."""
        self.counters()
        self.cancel()
        with self._running, self._reading:
            if self._handle is not None:
                lib.iaactl_receiver_destroy(self._handle)
                self._handle = None

    def __enter__(self) -> Receiver:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _check(fds: Sequence[int], block: str, uuid: bytes, timeout_s: float) -> None:
    if not 1 <= len(fds) <= _CHANNELS:
        raise UsageProblem(f"a migration has 1 to {_CHANNELS} channels, not {len(fds)}")
    if not 1 <= len(block.encode()) <= _BLOCK_BYTES:
        raise UsageProblem(f"the name of a RAM block has 1 to {_BLOCK_BYTES} bytes: {block!r}")
    if len(uuid) != 16:
        raise UsageProblem(f"a UUID has 16 bytes, not {len(uuid)}")
    if timeout_s <= 0:
        raise UsageProblem(f"a time limit is more than nothing: {timeout_s:g} s")


def _check_levels(options: SendOptions) -> None:
    if not 0 <= options.zlib_level <= 9:
        raise UsageProblem(f"zlib has levels 0 to 9, not {options.zlib_level}")
    if not 0 <= options.zstd_level <= 20:
        raise UsageProblem(f"zstd has levels 0 to 20, not {options.zstd_level}")
    if not 0 <= options.max_bandwidth_bytes_per_s < 2**63:
        raise UsageProblem(f"no bandwidth: {options.max_bandwidth_bytes_per_s} bytes/s")


def _not_created(
    what: str, result: int, method: Method, plan: CodecPlan | None, queue: int
) -> Exception:
    """Why a create function failed; the descriptors of the caller are the likely cause of the
    errors that no codec has."""
    if result == -errno.EBADF:
        return UsageProblem(f"the {what} got a file descriptor that is not open")
    if plan is not None:
        return plan.failure(-result, queue)
    if result == -errno.ENOSYS:
        return missing(method.value)
    return HostError(f"the {what} cannot be made: {errno_text(-result)}", errno=-result)


def _counters(channels: int, read: Callable[[int, Any], int]) -> tuple[ChannelCounters, ...]:
    found = []
    for n in range(channels):
        counters = ffi.new("struct iaactl_counters *")
        read(n, counters)
        found.append(
            ChannelCounters(**{f: int(getattr(counters, f)) for f in ChannelCounters.model_fields})
        )
    return tuple(found)
