"""A page engine in Python: real sockets and threads, a format of its own, no speed.

`spoil` changes a page on its way; `refuse` holds (method, backend) pairs that cannot be had;
`slow_s` is how long a round takes at least; `always_dirty` is what every memory says of its dirty
pages; `cut` interrupts the first round of the n-th sender, counted from 1, at its end.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from collections.abc import Sequence

from iaactl.errors import HostError, OperationError, StreamError
from iaactl.model.migration import PAGE_BYTES, Backend, ChannelCounters, Choice, Method
from iaactl.multifd.memory import Pattern
from iaactl.multifd.pipeline import ReceiveOptions, SendOptions

_HEAD = struct.Struct("<BII")
_PAGE, _ZERO_PAGE, _SYNC = range(3)
_ZERO = bytes(PAGE_BYTES)


class FakeMemory:
    def __init__(self, size_bytes: int, always_dirty: int | None = None) -> None:
        self._always_dirty = always_dirty
        self.data = bytearray(size_bytes)
        self.size = size_bytes
        self.pages = size_bytes // PAGE_BYTES
        self.dirty: set[int] = set()
        self.lock = threading.Lock()
        self.closed = False

    def view(self) -> memoryview:
        return memoryview(self.data)

    def mark_all_dirty(self) -> None:
        self.dirty = set(range(self.pages))

    def dirty_pages(self) -> int:
        return len(self.dirty) if self._always_dirty is None else self._always_dirty

    def take(self) -> list[int]:
        with self.lock:
            taken, self.dirty = sorted(self.dirty), set()
        return taken

    def close(self) -> None:
        self.closed = True


class FakeDirtier:
    def __init__(self, memory: FakeMemory, pages_per_s: int, pages: int) -> None:
        self._memory = memory
        self._rate = pages_per_s
        self._pages = pages
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._written = 0

    def _write(self) -> None:
        while not self._over.wait(1 / self._rate):
            page = self._written % self._pages
            with self._memory.lock:
                self._memory.data[page * PAGE_BYTES] = self._written & 0xFF
                self._memory.dirty.add(page)
            self._written += 1

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> int:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        return self._written

    def close(self) -> None:
        self.stop()


def counters(channel: int, **counts: int) -> ChannelCounters:
    """Counters of a channel, zero where nothing is said."""
    zero = dict.fromkeys(ChannelCounters.model_fields, 0)
    return ChannelCounters(**{**zero, **counts, "channel": channel})


def _counted(total: list[dict[str, int]], method: Method) -> tuple[ChannelCounters, ...]:
    found = []
    for channel, counts in enumerate(total):
        more = dict(counts)
        if method is Method.QPL:
            more["software_pages"] = more.get("normal_pages", 0)
        found.append(counters(channel, **more))
    return tuple(found)


def _choice(method: Method, backend: Backend) -> Choice:
    qpl = method is Method.QPL
    chosen = Backend.SOFTWARE if backend is Backend.AUTO else backend
    return Choice(backend=chosen if qpl else None, codec="zlib", reason="a fake")


class FakeSender:
    def __init__(
        self, engine: FakeEngine, memory: FakeMemory, fds: Sequence[int], options: SendOptions
    ) -> None:
        if (options.method, options.backend) in engine.refuse:
            raise HostError(f"{options.backend} cannot be had", hint="buy one")
        self._engine = engine
        self._memory = memory
        self._fds = list(fds)
        self._options = options
        self._totals: list[dict[str, int]] = [{} for _ in fds]
        self.backend = _choice(options.method, options.backend)

    def _add(self, channel: int, **counts: int) -> None:
        for name, count in counts.items():
            self._totals[channel][name] = self._totals[channel].get(name, 0) + count

    def _write(self, channel: int, data: bytes) -> None:
        self._add(channel, wire_bytes=len(data), cpu_ns=1000)
        try:
            while data:
                data = data[os.write(self._fds[channel], data) :]
        except OSError as error:
            raise StreamError(f"channel {channel}: {error.strerror}", channel=channel) from None

    def _page(self, channel: int, page: int) -> None:
        with self._memory.lock:
            content = bytes(self._memory.data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])
        if content == _ZERO:
            self._write(channel, _HEAD.pack(_ZERO_PAGE, page, 0))
            self._add(channel, zero_pages=1)
            return
        if page == self._engine.spoil:
            content = content[:-1] + bytes([content[-1] ^ 1])
        packed = content if self._options.method is Method.NONE else zlib.compress(content, 1)
        self._write(channel, _HEAD.pack(_PAGE, page, len(packed)) + packed)
        self._add(channel, normal_pages=1, payload_bytes=len(packed), codec_ns=1000)

    def round(self) -> int:
        time.sleep(self._engine.slow_s)
        pages = self._memory.take()
        for page in pages:
            self._page(page % len(self._fds), page)
        for channel in range(len(self._fds)):
            self._write(channel, _HEAD.pack(_SYNC, 0, 0))
        if self._engine.senders == self._engine.cut:
            raise KeyboardInterrupt
        return len(pages)

    def counters(self) -> tuple[ChannelCounters, ...]:
        return _counted(self._totals, self._options.method)

    def finish(self) -> None:
        import socket

        for fd in self._fds:
            end = socket.socket(fileno=os.dup(fd))
            end.shutdown(socket.SHUT_WR)
            end.close()

    def close(self) -> None:
        pass


class FakeReceiver:
    def __init__(self, memory: FakeMemory, fds: Sequence[int], options: ReceiveOptions) -> None:
        self._memory = memory
        self._options = options
        self._totals: list[dict[str, int]] = [{} for _ in fds]
        self._files = [os.fdopen(os.dup(fd), "rb") for fd in fds]
        self._syncs = [0] * len(fds)
        self._changed = threading.Condition()
        self._failed: StreamError | None = None
        self._threads = [
            threading.Thread(target=self._receive, args=(channel,)) for channel in range(len(fds))
        ]
        self.backend = _choice(options.method, options.backend)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def _receive(self, channel: int) -> None:
        counts = self._totals[channel]
        file = self._files[channel]
        try:
            while head := file.read(_HEAD.size):
                kind, page, length = _HEAD.unpack(head)
                if kind == _SYNC:
                    with self._changed:
                        self._syncs[channel] += 1
                        self._changed.notify_all()
                    continue
                content = file.read(length)
                name = "normal_pages" if kind == _PAGE else "zero_pages"
                counts[name] = counts.get(name, 0) + 1
                if kind == _PAGE and self._options.method is not Method.NONE:
                    content = zlib.decompress(content)
                place = slice(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
                self._memory.data[place] = content if kind == _PAGE else _ZERO
        except (OSError, struct.error, zlib.error, ValueError) as error:
            with self._changed:
                self._failed = StreamError(f"channel {channel}: {error}", channel=channel)
                self._changed.notify_all()

    def wait_sync(self, n: int, timeout_s: float) -> None:
        with self._changed:
            there = self._changed.wait_for(
                lambda: self._failed is not None or min(self._syncs) >= n, timeout_s
            )
            if self._failed is not None:
                raise self._failed
            if not there:
                raise OperationError("not there in time")

    def finish(self, timeout_s: float) -> None:
        for thread in self._threads:
            thread.join(timeout_s)
        if self._failed is not None:
            raise self._failed

    def counters(self) -> tuple[ChannelCounters, ...]:
        return _counted(self._totals, self._options.method)

    def close(self) -> None:
        import socket

        for file in self._files:
            end = socket.socket(fileno=os.dup(file.fileno()))
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            finally:
                end.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        for file in self._files:
            file.close()


class FakeEngine:
    def __init__(
        self,
        *,
        spoil: int | None = None,
        refuse: Sequence[tuple[Method, Backend]] = (),
        slow_s: float = 0,
        always_dirty: int | None = None,
        cut: int = 0,
    ) -> None:
        self.spoil = spoil
        self.refuse = refuse
        self.slow_s = slow_s
        self.always_dirty = always_dirty
        self.cut = cut
        self.senders = 0
        self.memories: list[FakeMemory] = []

    def memory(self, size_bytes: int, *, prealloc: bool) -> FakeMemory:
        self.memories.append(FakeMemory(size_bytes, self.always_dirty))
        return self.memories[-1]

    def first_difference(self, one: FakeMemory, other: FakeMemory) -> int | None:
        for page in range(one.pages):
            place = slice(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
            if one.data[place] != other.data[place]:
                return page
        return None

    def dirtier(
        self, memory: FakeMemory, *, pages_per_s: int, pattern: Pattern, pages: int, seed: int
    ) -> FakeDirtier:
        return FakeDirtier(memory, pages_per_s, pages)

    def sender(self, memory: FakeMemory, fds: Sequence[int], options: SendOptions) -> FakeSender:
        self.senders += 1
        return FakeSender(self, memory, fds, options)

    def receiver(
        self, memory: FakeMemory, fds: Sequence[int], options: ReceiveOptions
    ) -> FakeReceiver:
        return FakeReceiver(memory, fds, options)
