"""The device itself: registers, tables and commands, without any driver.

Where the specification leaves the device a choice, the rules are those of the emulated device
under which the recordings were made; hardware may decide otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

ENABLE_DEV, DISABLE_DEV, RESET_DEV = "ENABLE_DEV", "DISABLE_DEV", "RESET_DEV"
ENABLE_WQ, DISABLE_WQ, DRAIN_WQ, RESET_WQ = "ENABLE_WQ", "DISABLE_WQ", "DRAIN_WQ", "RESET_WQ"
DRAIN_PASID = "DRAIN_PASID"

CommandFault = Callable[[str, str, int], int | None]
"""Device name, command, operand: an error code to answer with, or None."""


@dataclass
class WqTable:
    """One entry of the work queue configuration table (WQCFG)."""

    size: int = 0
    threshold: int = 0
    dedicated: bool = False
    block_on_fault: bool = False
    priority: int = 0
    pasid_enable: bool = False
    transfer_shift: int = 0
    enabled: bool = False


@dataclass
class GroupTable:
    """One entry of the group configuration table (GRPCFG)."""

    wqs: set[int] = field(default_factory=set)
    engines: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Capabilities:
    """What the capability registers say. Sizes in entries, transfers in bytes."""

    version: int
    gen_cap: int
    op_cap: int
    wqs: int = 8
    entries: int = 128
    engines: int = 8
    groups: int = 4
    shared: bool = True
    dedicated: bool = True
    ats_control: bool = True
    priority: bool = True
    occupancy: bool = True
    op_config: bool = False
    prs_control: bool = False
    progress_limit: bool = False
    iaa_cap: int = 0

    @property
    def block_on_fault(self) -> bool:
        """GENCAP bit 0."""
        return bool(self.gen_cap & 1)

    @property
    def configurable(self) -> bool:
        """GENCAP bit 31."""
        return bool(self.gen_cap >> 31 & 1)

    @property
    def event_log(self) -> bool:
        """GENCAP bits 13 and 14."""
        return bool(self.gen_cap >> 13 & 3)

    @property
    def max_transfer(self) -> int:
        """GENCAP bits 16 to 20, bytes."""
        return 1 << (self.gen_cap >> 16 & 31)

    @property
    def max_batch(self) -> int:
        """GENCAP bits 21 to 24, descriptors."""
        return 1 << (self.gen_cap >> 21 & 15)


class Hardware:
    """One device's command interface. `log` collects [command, operand, error code]."""

    def __init__(self, capabilities: Capabilities) -> None:
        self.cap = capabilities
        self.name = ""
        self.fault: CommandFault | None = None
        self.log: list[list[object]] = []
        self.enabled = False
        self.wqs = [WqTable() for _ in range(capabilities.wqs)]
        self.groups = [GroupTable() for _ in range(capabilities.groups)]

    def command(self, name: str, operand: int = 0) -> int:
        """Run one command; returns the error code of CMDSTS, 0 for success."""
        ordered = None if self.fault is None else self.fault(self.name, name, operand)
        code = self._run(name, operand) if ordered is None else ordered
        self.log.append([name, operand, code])
        return code

    def _run(self, name: str, operand: int) -> int:
        if name == ENABLE_DEV:
            return self._enable_device()
        if name == DISABLE_DEV:
            if not self.enabled:
                return 0x31
            self.enabled = False
            for wq in self.wqs:
                wq.enabled = False
            return 0
        if name == RESET_DEV:
            self.enabled = False
            if self.cap.configurable:
                self.wqs = [WqTable() for _ in self.wqs]
                self.groups = [GroupTable() for _ in self.groups]
            return 0
        if name == ENABLE_WQ:
            return self._enable_wq(self.wqs[operand])
        if name in (DISABLE_WQ, DRAIN_WQ, RESET_WQ):
            return self._wq_bitmap(name, operand)
        return 0

    def _enable_device(self) -> int:
        if self.enabled:
            return 0x10
        if sum(wq.size for wq in self.wqs) > self.cap.entries:
            return 0x14
        for group in self.groups:
            if bool(group.wqs) != bool(group.engines):
                return 0x15
        self.enabled = True
        return 0

    def _enable_wq(self, wq: WqTable) -> int:
        if not self.enabled:
            return 0x20
        if wq.enabled:
            return 0x21
        if not wq.size:
            return 0x22
        if not wq.priority:
            return 0x23
        if not (self.cap.dedicated if wq.dedicated else self.cap.shared):
            return 0x24
        if wq.block_on_fault and not self.cap.block_on_fault:
            return 0x25
        if not wq.dedicated and not wq.pasid_enable:
            return 0x26
        if 1 << wq.transfer_shift > 1 << 31:
            return 0x28
        wq.enabled = True
        return 0

    def _wq_bitmap(self, name: str, operand: int) -> int:
        if not self.enabled:
            return 0x32
        base = (operand >> 16) * 16
        for bit in range(16):
            if not operand >> bit & 1:
                continue
            if name == DISABLE_WQ:
                self.wqs[base + bit].enabled = False
            elif name == RESET_WQ:
                self.wqs[base + bit] = WqTable()
        return 0
