"""An address space with buffers at fixed places, and the simulated engine working on it."""

from __future__ import annotations

from dataclasses import replace

from iaactl.iaa.completion import CompletionRecord
from iaactl.iaa.descriptor import Descriptor
from iaactl.sim.iaa import FlatMemory, Orders, WqLimits, execute
from iaactl.sim.iaa.engine import SoftwareError

SOURCE = 0x100000000
DESTINATION = 0x200000000
SOURCE2 = 0x300000000
COMPLETION = 0x400000000


class Accelerator:
    """Maps buffers on demand and runs descriptors made by the product."""

    def __init__(self, limits: WqLimits | None = None, orders: Orders | None = None) -> None:
        self.limits = limits or WqLimits(operations=frozenset(range(256)))
        self.orders = orders
        self.slept: list[float] = []
        self.software_error: SoftwareError | None = None
        self.memory = FlatMemory()

    def prepare(
        self, source: bytes, source2: bytes = b"", room: int = 1 << 16, *, record: bool = True
    ) -> None:
        """A fresh address space with these operands."""
        self.memory = FlatMemory()
        self.memory.map(SOURCE, source)
        self.memory.map(DESTINATION, bytes(room))
        self.memory.map(SOURCE2, source2)
        if record:
            self.memory.map(COMPLETION, bytes(64))

    def submit(self, descriptor: Descriptor) -> CompletionRecord:
        """Run one descriptor; the completion record as it then stands in memory."""
        data = descriptor.pack()
        self.software_error = execute(
            data, self.memory, self.limits, self.orders, self.slept.append
        )
        try:
            return CompletionRecord.parse(self.memory.read(COMPLETION, 64))
        except Exception:
            return CompletionRecord.parse(bytes(64))

    def run(
        self, descriptor: Descriptor, source: bytes, source2: bytes = b"", room: int = 1 << 16
    ) -> tuple[CompletionRecord, bytes]:
        """Place the operands, run, and return the record and the output."""
        self.prepare(source, source2, room)
        record = self.submit(
            replace(
                descriptor,
                completion_address=COMPLETION,
                source1=SOURCE,
                source1_size=len(source),
            )
        )
        return record, self.memory.read(DESTINATION, record.output_size)
