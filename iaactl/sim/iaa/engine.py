"""Executes one descriptor: checks, operands, operation, results, completion record.

The order of writes is the device's: destination, AECS, record, and the status byte of the record
by itself at the very end. Nothing a descriptor says makes it raise; what cannot be reported in a
completion record is returned, as the device would put it into its software-error register.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from iaactl.sim.iaa import operations, problem
from iaactl.sim.iaa import request as r
from iaactl.sim.iaa.limits import WqLimits
from iaactl.sim.iaa.memory import Fault, Memory
from iaactl.sim.iaa.operations import Result
from iaactl.sim.iaa.orders import Operand, Order, Orders
from iaactl.sim.iaa.problem import AnalyticsProblem, Problem
from iaactl.sim.iaa.request import Request

_COMPLETION_BYTES = 64
_RECORD = struct.Struct("<BBBxIQQIBxHIIII16x")


@dataclass(frozen=True)
class SoftwareError:
    """What the device reports in SWERR: the error, the operation, and the address."""

    error: int
    opcode: int
    address: int


class _OperandFault(Exception):
    """A fault at an operand that nobody resolves."""

    def __init__(self, fault: Fault, operand: Operand, status: int) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.operand = operand
        self.status = status


def execute(
    descriptor: bytes,
    memory: Memory,
    wq: WqLimits,
    orders: Orders | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> SoftwareError | None:
    """Carry out 64 bytes of descriptor in `memory`.

    Returns None when all that is to be known stands in memory, else the software error.
    Raises ValueError only for a descriptor of another length.
    """
    if len(descriptor) != r.DESCRIPTOR_BYTES:
        raise ValueError(f"a descriptor has {r.DESCRIPTOR_BYTES} bytes, not {len(descriptor)}")
    request = Request.parse(descriptor)
    order = orders.take(request.opcode) if orders else None
    if order and order.hang:
        return None
    if order and order.slow_s:
        sleep(order.slow_s)
    valid = bool(request.flags & r.COMPLETION_VALID)
    if valid and request.completion % _COMPLETION_BYTES:
        return SoftwareError(problem.COMPLETION_ALIGNMENT, request.opcode, request.completion)
    record, wanted = _outcome(request, memory, wq, order)
    if not valid:
        status = record[0]
        failed = status != problem.SUCCESS
        return SoftwareError(status, request.opcode, request.source1) if failed else None
    if not wanted and record[0] == problem.SUCCESS:
        return None
    try:
        if order and order.fault is Operand.COMPLETION:
            raise Fault(request.completion, True)
        memory.write(request.completion + 1, record[1:])
        memory.write(request.completion, record[:1])
    except Fault as fault:
        return SoftwareError(problem.COMPLETION_TRANSLATION, request.opcode, fault.address)
    return None


def _outcome(
    request: Request, memory: Memory, wq: WqLimits, order: Order | None
) -> tuple[bytes, bool]:
    """The completion record, and whether it is to be written on success, too."""
    wanted = bool(request.flags & r.REQUEST_COMPLETION)
    try:
        request.check(wq)
        if order and order.status is not None:
            return _record(order.status, error=order.error), wanted
        result = _perform(request, memory, wq, order)
    except AnalyticsProblem as wrong:
        # Big-endian words are padded to be read, which is not input.
        consumed = min(wrong.consumed, request.source1_size)
        return _record(wrong.status, error=wrong.error, consumed=consumed), wanted
    except Problem as wrong:
        return _record(wrong.status, invalid_flags=wrong.invalid_flags), wanted
    except _OperandFault as met:
        status = met.status | (problem.WRITE_FAULT if met.fault.write else 0)
        consumed = met.fault.done if met.operand is Operand.SOURCE1 else 0
        record = _record(
            status,
            fault_info=met.operand.value << 1,
            fault_address=met.fault.address,
            consumed=consumed,
        )
        return record, wanted
    record = _record(
        result.status,
        error=result.error,
        consumed=result.consumed,
        output_size=len(result.output),
        output_bits=result.output_bits,
        xor=result.xor,
        crc=result.crc,
        aggregates=result.aggregates,
    )
    return record, wanted


def _perform(request: Request, memory: Memory, wq: WqLimits, order: Order | None) -> Result:
    access = _Access(request, memory, order)

    def source() -> bytes:
        return access.read(Operand.SOURCE1, request.source1, request.source1_size)

    def second() -> bytes:
        address = request.source2
        if request.read_source2 == r.AECS:
            address = request.aecs_to_read
        return access.read(Operand.SOURCE2, address, request.source2_size)

    result = operations.execute(request, wq, source, second)
    if result.output:
        access.write(Operand.DESTINATION, request.destination, result.output)
    if result.aecs:
        access.write(Operand.SOURCE2, request.aecs_to_write, result.aecs)
    return result


class _Access:
    """Memory with the faults of the descriptor's own kind, real or ordered.

    With block on fault the system resolves an ordered fault; an address that is not there at all
    it cannot resolve.
    """

    def __init__(self, request: Request, memory: Memory, order: Order | None) -> None:
        self._memory = memory
        self._blocks = request.block_on_fault
        self._ordered = order.fault if order else None

    def read(self, operand: Operand, address: int, size: int) -> bytes:
        self._order(operand, address, write=False)
        try:
            return self._memory.read(address, size)
        except Fault as fault:
            raise self._unresolved(fault, operand) from None

    def write(self, operand: Operand, address: int, data: bytes) -> None:
        self._order(operand, address, write=True)
        try:
            self._memory.write(address, data)
        except Fault as fault:
            raise self._unresolved(fault, operand) from None

    def _order(self, operand: Operand, address: int, *, write: bool) -> None:
        if self._ordered is operand and not self._blocks:
            raise _OperandFault(Fault(address, write), operand, problem.PAGE_FAULT)

    def _unresolved(self, fault: Fault, operand: Operand) -> _OperandFault:
        status = problem.PAGE_FAULT_UNRESOLVED if self._blocks else problem.PAGE_FAULT
        return _OperandFault(fault, operand, status)


def _record(
    status: int,
    *,
    error: int = 0,
    fault_info: int = 0,
    consumed: int = 0,
    fault_address: int = 0,
    invalid_flags: int = 0,
    output_size: int = 0,
    output_bits: int = 0,
    xor: int = 0,
    crc: int = 0,
    aggregates: tuple[int, int, int] = (0, 0, 0),
) -> bytes:
    return _RECORD.pack(
        status,
        error,
        fault_info,
        consumed,
        fault_address & (1 << 64) - 1,
        invalid_flags,
        output_size,
        output_bits,
        xor,
        crc,
        *aggregates,
    )
