"""A `Portal` whose device is the simulated engine, working on this process's own memory."""

from __future__ import annotations

from collections.abc import Sequence

from iaactl.host.portal import MemoryBuffer
from iaactl.ports import Outcome
from iaactl.sim.iaa import Orders, WqLimits, execute
from iaactl.sim.iaa.memory import own_memory


class EnginePortal:
    """Executes what is submitted at once; `errno` makes every submission fail with it."""

    def __init__(
        self,
        orders: Orders | None = None,
        limits: WqLimits | None = None,
        *,
        errno: int = 0,
        room: int = 1 << 30,
    ) -> None:
        self.orders = orders
        self.limits = limits or WqLimits(operations=frozenset(range(256)))
        self.errno = errno
        self.left = room
        self.way = "write"
        self.why_not_mapped = 0
        self.closed = False
        self._buffers: list[MemoryBuffer] = []

    def buffer(self, size: int) -> MemoryBuffer:
        buffer = MemoryBuffer(size)
        self._buffers.append(buffer)
        return buffer

    def _one(self, descriptor: bytes) -> Outcome:
        if self.errno:
            return Outcome(bytes(64), self.errno, 0, 0, 0)
        memory = own_memory()
        address = int.from_bytes(descriptor[8:16], "little")
        memory.write(address, bytes(64))
        execute(descriptor, memory, self.limits, self.orders)
        return Outcome(memory.read(address, 64), 0, 0, 0, 1000)

    def run(
        self, descriptors: Sequence[bytes], *, depth: int, timeout_s: float, max_faults: int = 16
    ) -> list[Outcome]:
        return [self._one(descriptor) for descriptor in descriptors]

    def fill(self, descriptors: Sequence[bytes]) -> int:
        taken = descriptors[: self.left]
        for descriptor in taken:
            self._one(descriptor)
        return len(taken)

    def close(self) -> None:
        self.closed = True
        self._buffers.clear()
