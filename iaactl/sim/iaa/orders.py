"""Misbehaviour by order: the n-th descriptor fails, faults, hangs, is slow, or is not accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Operand(Enum):
    """What a descriptor refers to; the value is the operand number in the fault information."""

    SOURCE1 = 0
    DESTINATION = 1
    SOURCE2 = 2
    COMPLETION = 3


@dataclass
class Order:
    """One order. Without `nth` it holds for every descriptor it matches, counted from 1.

    Exactly one of `status` (with `error` for analytics errors), `fault`, `hang`, `slow_s` and
    `full` says what happens. `opcode` restricts it to one operation.
    """

    status: int | None = None
    error: int = 0
    fault: Operand | None = None
    hang: bool = False
    slow_s: float = 0.0
    full: bool = False
    opcode: int | None = None
    nth: int | None = None
    and_later: bool = False
    seen: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        chosen = [self.status is not None, self.fault is not None, self.hang, self.full]
        if sum(chosen) + (self.slow_s > 0) != 1:
            raise ValueError("an order is one of status, fault, hang, slow and full")
        if self.status is not None and not 0 < self.status <= 0xFF:
            raise ValueError(f"a completion status is 1 to 255, not {self.status}")

    def strikes(self, opcode: int) -> bool:
        """Count a descriptor; whether the order holds for it."""
        if self.opcode is not None and self.opcode != opcode:
            return False
        self.seen += 1
        if self.nth is None or self.seen == self.nth:
            return True
        return self.and_later and self.seen > self.nth


class Orders:
    """All orders of one work queue."""

    def __init__(self, orders: Sequence[Order] = ()) -> None:
        self._submission = [order for order in orders if order.full]
        self._execution = [order for order in orders if not order.full]

    def accepts(self, descriptor: bytes) -> bool:
        """Count a submission; false when the queue is to be full, which write(2) shows as EAGAIN.

        Orders of this kind count submissions, all others the descriptors that were accepted.
        """
        opcode = descriptor[7]
        return not [order for order in self._submission if order.strikes(opcode)]

    def take(self, opcode: int) -> Order | None:
        """Count an executed descriptor; the first order that holds for it."""
        struck = [order for order in self._execution if order.strikes(opcode)]
        return struck[0] if struck else None
