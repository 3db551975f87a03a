"""Gives the machine's devices their engine, and hands it the faults that were ordered."""

from __future__ import annotations

from iaactl.sim.faults import Effect, Fault, Faults
from iaactl.sim.iaa.orders import Operand, Order
from iaactl.sim.iaa.portal import Portal
from iaactl.sim.machine import Machine

_OPERANDS = {
    "source1": Operand.SOURCE1,
    "destination": Operand.DESTINATION,
    "source2": Operand.SOURCE2,
    "completion": Operand.COMPLETION,
}


def _order(fault: Fault) -> Order:
    opcode = None if fault.pattern[1] == "*" else int(fault.pattern[1], 0)
    return Order(
        status=fault.number if fault.effect is Effect.STATUS else None,
        fault=_OPERANDS[fault.operand] if fault.effect is Effect.FAULT else None,
        hang=fault.effect is Effect.HANG,
        slow_s=fault.seconds,
        opcode=opcode,
        nth=fault.nth,
        and_later=fault.and_later,
    )


def attach(machine: Machine, faults: Faults) -> None:
    """Let descriptors be executed in their submitter's memory."""
    queues = [wq for device in machine.kernel.devices.values() for wq in device.wqs]
    orders = {wq.sysname: [_order(f) for f in faults.descriptors(wq.sysname)] for wq in queues}
    machine.execute = Portal(orders)
