"""Between the character device and the engine: descriptors submitted by write(2) get executed.

A descriptor is complete when write(2) returns, unless an order has it hang. What the device would
report in its software-error register is kept in `errors`, newest last.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from iaactl.sim.iaa.engine import SoftwareError, execute
from iaactl.sim.iaa.limits import WqLimits
from iaactl.sim.iaa.memory import Memory, ProcessMemory
from iaactl.sim.iaa.orders import Order, Orders
from iaactl.sim.kernfs import Caller, refuse

if TYPE_CHECKING:
    from iaactl.sim.idxd.wq import WorkQueue

_KEPT_ERRORS = 64
_OPCODES = 256


class Portal:
    """The hook for `Machine.execute`, with the orders of each work queue by name (`wq1.0`)."""

    def __init__(
        self,
        orders: dict[str, list[Order]] | None = None,
        memory: Callable[[int], Memory] = ProcessMemory,
    ) -> None:
        self._orders = {name: Orders(some) for name, some in (orders or {}).items()}
        self._memory = memory
        self.errors: deque[SoftwareError] = deque(maxlen=_KEPT_ERRORS)

    def __call__(self, wq: WorkQueue, descriptor: bytes, caller: Caller) -> None:
        """Execute one descriptor in the caller's memory.

        Raises OSError EAGAIN where the queue is full by order, and EOPNOTSUPP for a device of
        another kind, which this engine is not.
        """
        if wq.device.spec.kind != "iax":
            raise refuse(errno.EOPNOTSUPP)
        orders = self._orders.get(wq.sysname)
        if orders and not orders.accepts(descriptor):
            raise refuse(errno.EAGAIN)
        memory = self._memory(caller.pid)
        error = execute(descriptor, memory, limits_of(wq), orders)
        if error:
            self.errors.append(error)
            wq.device.software_error = register(error, wq.index)


def register(error: SoftwareError, wq: int) -> int:
    """SWERR, 256 bits: valid, descriptor and queue valid, error, queue, operation, address."""
    first = 0b1101 | error.error << 8 | wq << 16 | error.opcode << 32
    return first | error.address << 128


def limits_of(wq: WorkQueue) -> WqLimits:
    """What the work queue, as configured, allows."""
    return WqLimits(
        operations=frozenset(n for n in range(_OPCODES) if wq.op_config >> n & 1),
        max_transfer_bytes=wq.max_transfer_size,
        block_on_fault=wq.block_on_fault,
        iaa_cap=wq.device.cap.iaa_cap,
    )
