"""A device as the driver keeps it: probing, enabling and disabling of devices and work queues."""

from __future__ import annotations

import errno
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from iaactl.sim import kmsg
from iaactl.sim.idxd import device as hw
from iaactl.sim.idxd import parse
from iaactl.sim.idxd.wq import DISABLED, ENABLED, WorkQueue
from iaactl.sim.kernfs import refuse

if TYPE_CHECKING:
    from iaactl.sim.idxd.kernel import Kernel
    from iaactl.sim.machine import FunctionSpec

DEVICE_ENABLED = 0x80000010
WQ_ENABLED = 0x80000021
NO_GROUP = 0x80030000
NO_NAME = 0x80040000
NO_SVM = 0x80050000
NO_THRESHOLD = 0x80060000
NO_SHARED_SUPPORT = 0x800C0000
NONE_CONFIGURED = 0x800D0000
USER_WITHOUT_SVA = 0x80110000
DRIVER_NAME = 0x80200000

_ALREADY_DISABLED = 0x31
"""The driver tests the bits of this code, not the code: most other errors pass for it."""

DEFAULT_SIZE = 16
EVENT_LOG_LEAST, EVENT_LOG_MOST = 64, 65535
_RESTORED = (
    "group",
    "size",
    "type",
    "dedicated",
    "name",
    "driver_name",
    "threshold",
    "priority",
    "block_on_fault",
    "ats_disable",
    "prs_disable",
    "enqcmds_retries",
    "max_transfer_size",
    "op_config",
)


@dataclass
class Group:
    """One group. Traffic classes -1: nobody has set them."""

    traffic_class_a: int
    traffic_class_b: int
    desc_progress_limit: int = 0
    batch_progress_limit: int = 0
    use_read_buffer_limit: int = 0
    read_buffers_allowed: int = 0
    read_buffers_reserved: int = 0


class Idxd:
    """One device of the driver, and the engines, groups and work queues of it."""

    def __init__(
        self, host: Kernel, spec: FunctionSpec, number: int, hardware: hw.Hardware
    ) -> None:
        self.host = host
        self.spec = spec
        self.kind = spec.kind
        self.id = number
        self.hw = hardware
        self.cap = hardware.cap
        hardware.name = self.sysname
        self.state = DISABLED
        self.driver: str | None = None
        self.cmd_status = 0
        self.software_error = 0
        self.configurable = self.cap.configurable
        self.user_pasid = host.user_pasid(spec.address)
        self.system_pasid = host.system_pasid(spec.address)
        self.fixed_classes = self.cap.version <= 0x200 and not host.tc_override
        self.event_log_size = EVENT_LOG_LEAST
        self.read_buffer_limit = 0
        self.groups = [self._fresh_group() for _ in range(self.cap.groups)]
        self.engines = [-1] * self.cap.engines
        self.wqs = [WorkQueue(self, index) for index in range(self.cap.wqs)]
        hardware.command(hw.RESET_DEV)
        self._load_preset()

    @property
    def sysname(self) -> str:
        """`iax1`."""
        return f"{self.spec.kind}{self.id}"

    @property
    def clients(self) -> int:
        """Sum over the work queues; each can be negative."""
        return sum(wq.clients for wq in self.wqs)

    def _fresh_group(self) -> Group:
        return Group(1, 1) if self.fixed_classes else Group(-1, -1)

    # -- boot ---------------------------------------------------------------------------------

    def _load_preset(self) -> None:
        """A device that is not configurable comes with the host's configuration."""
        if self.configurable:
            return
        for preset in self.spec.preset_wqs:
            wq, table = self.wqs[preset.index], self.hw.wqs[preset.index]
            wq.size = table.size = preset.size
            wq.dedicated = table.dedicated = preset.dedicated
            wq.threshold = table.threshold = preset.threshold
            wq.priority = table.priority = preset.priority
            table.block_on_fault = preset.block_on_fault
            table.pasid_enable = not preset.dedicated
            wq.group = preset.group
            if preset.group != -1:
                self.hw.groups[preset.group].wqs.add(preset.index)
        for group, engines in self.spec.preset_engines.items():
            for engine in engines:
                self.engines[engine] = int(group)
                self.hw.groups[int(group)].engines.add(engine)

    def load_defaults(self, engines: str) -> None:
        """The driver's own configuration for IAA: one dedicated queue for iaa_crypto."""
        if engines == "none" or not self.configurable or self.spec.kind != "iax":
            return
        wq = self.wqs[0]
        wq.dedicated = True
        wq.size = self.cap.entries
        wq.priority = 10
        wq.type = b"kernel"
        wq.group = 0
        wq.name = b"iaa_crypto"
        wq.driver_name = b"crypto"
        for index in range(self.cap.engines if engines == "all" else 1):
            self.engines[index] = 0

    # -- writing the configuration ------------------------------------------------------------

    def write_configuration(self) -> None:
        """Check what the driver checks, then fill the device's tables.

        Raises EINVAL, EOPNOTSUPP with or without a cmd_status.
        """
        grouped = [wq for wq in self.wqs if wq.group != -1]
        for wq in grouped:
            if wq.shared and not wq.shared_supported:
                self.cmd_status = NO_SHARED_SUPPORT
                self._warn("No shared wq support but configured.")
                raise refuse(errno.EINVAL)
        if not grouped:
            self.cmd_status = NONE_CONFIGURED
            raise refuse(errno.EINVAL)
        if all(group == -1 for group in self.engines):
            raise refuse(errno.EINVAL)
        for wq in grouped:
            if wq.size == 0 and wq.type != b"none":
                wq.size = DEFAULT_SIZE
            table = self.hw.wqs[wq.index]
            table.size = wq.size & 0xFFFF
            table.threshold = wq.threshold
            table.priority = wq.priority
            # Single bits are only ever set: what a refused enable left stays until a reset.
            table.dedicated |= wq.dedicated
            table.block_on_fault |= wq.block_on_fault
            table.pasid_enable |= wq.shared
            table.transfer_shift = wq.max_transfer_size.bit_length() - 1
        for group in self.groups:
            if group.traffic_class_a == -1:
                group.traffic_class_a = 0
            if group.traffic_class_b == -1:
                group.traffic_class_b = 1
        for index, entry in enumerate(self.hw.groups):
            entry.wqs = {wq.index for wq in grouped if wq.group == index}
            entry.engines = {n for n, group in enumerate(self.engines) if group == index}

    def _warn(self, text: str, level: int = kmsg.WARNING) -> None:
        self.host.log.pci(level, self.spec.address, text)

    # -- commands -----------------------------------------------------------------------------

    def command(self, name: str, operand: int = 0) -> int:
        """Give a command; every one overwrites cmd_status."""
        self.cmd_status = self.hw.command(name, operand)
        return self.cmd_status

    # -- the device ---------------------------------------------------------------------------

    def probe(self) -> None:
        """Bind to the idxd driver: configure and enable. Raises ENXIO."""
        if self.state != DISABLED:
            self.cmd_status = DEVICE_ENABLED
            raise refuse(errno.ENXIO)
        if self.configurable:
            try:
                self.write_configuration()
            except OSError:
                raise refuse(errno.ENXIO) from None
        if self.hw.enabled or self.command(hw.ENABLE_DEV) not in (0, 0x10):
            self.event_log_size = EVENT_LOG_LEAST
            raise refuse(errno.ENXIO)
        self.state = ENABLED
        self.cmd_status = 0

    def remove(self) -> None:
        """Unbind from the idxd driver; work queues that are still enabled are released first."""
        for wq in self.wqs:
            if wq.state == ENABLED:
                text = f"Active wq {wq.index} on disable {wq.sysname}."
                self.host.log.device(kmsg.WARNING, "idxd", "dsa", self.sysname, text)
            if wq.state == ENABLED and wq.driver is not None:
                self.host.bus.release(wq)
        code = self.command(hw.DISABLE_DEV)
        if not code or code & _ALREADY_DISABLED:
            self.clear()
        if self.configurable:
            self.command(hw.RESET_DEV)
            self.clear()
            if self.host.spec.kernel.reset_event_log:
                self.event_log_size = EVENT_LOG_LEAST

    def clear(self) -> None:
        """What disabling the device leaves of the driver's view."""
        self.state = DISABLED
        if not self.configurable:
            for wq in self.wqs:
                wq.state = DISABLED
            return
        self.groups = [self._fresh_group() for _ in self.groups]
        self.engines = [-1] * len(self.engines)
        for wq in self.wqs:
            keep = self.host.spec.kernel.reset_keeps_type and wq.state != ENABLED
            wq.reset(keep_type=keep)
            wq.size = 0
            wq.group = -1

    def function_level_reset(self) -> None:
        """The PCI function is reset: the driver stops the device and tries to bring it back.

        Engines and groups come back, and of the work queues those that a user driver had
        enabled; where there is none, the device stays off and unbound. A device that was off is
        enabled if what is configured for it allows that.
        """
        kernel = self.host.spec.kernel
        users = [wq for wq in self.wqs if wq.state == ENABLED and wq.driver == "user"]
        saved = [(wq, dict(vars(wq))) for wq in users]
        engines, groups, log = list(self.engines), list(self.groups), self.event_log_size
        if self.state == ENABLED:
            self.host.bus.release(self)
        if self.configurable and kernel.oops_on_reset_without_event_log and not self.cap.event_log:
            raise refuse(errno.EIO)
        self.host.log_identity(self)
        self.engines, self.groups, self.event_log_size = engines, groups, log
        for wq, values in saved:
            for name in _RESTORED:
                setattr(wq, name, values[name])
        self.host.bus.reattach(self, "idxd")
        if self.driver is None:
            self._warn(f"HALT: {self.sysname} config fails", kmsg.ERR)
        else:
            for wq in users:
                self.host.bus.reattach(wq, "user")

    # -- work queues --------------------------------------------------------------------------

    def enable_wq(self, wq: WorkQueue) -> None:
        """The part of binding a work queue that all its drivers share."""
        if wq.state != DISABLED:
            self.cmd_status = WQ_ENABLED
            raise refuse(errno.EBUSY)
        if wq.group == -1:
            self.cmd_status = NO_GROUP
            raise refuse(errno.ENXIO)
        if not wq.name:
            self.cmd_status = NO_NAME
            raise refuse(errno.ENXIO)
        if wq.shared:
            if not wq.shared_supported:
                self.cmd_status = NO_SVM
                raise refuse(errno.ENXIO)
            if not wq.threshold:
                self.cmd_status = NO_THRESHOLD
                raise refuse(errno.ENXIO)
        if self.configurable:
            self.write_configuration()
        if self.command(hw.ENABLE_WQ, wq.index) not in (0, 0x21):
            raise refuse(errno.ENXIO)
        wq.state = ENABLED
        wq.clients = 0

    def disable_wq(self, wq: WorkQueue) -> None:
        """Drain and reset; open files of it become stale."""
        if wq.clients:
            self._warn(f"Clients has claim on wq {wq.index}: {wq.clients}")
        operand = 1 << wq.index % 16 | wq.index // 16 << 16
        self.command(hw.DRAIN_WQ, operand)
        if wq.state == ENABLED:
            self.command(hw.RESET_WQ, operand)
            wq.reset()
        wq.type = b"none"
        wq.clients = 0

    def restart_wq(self, wq: WorkQueue) -> bool:
        """Stop and start a dedicated work queue, which is how it gets and loses a PASID.

        False when the device refuses.
        """
        operand = 1 << wq.index % 16 | wq.index // 16 << 16
        if wq.state == ENABLED:
            if self.host.spec.kernel.pasid_by_reset:
                self.command(hw.DRAIN_WQ, operand)
                kept = replace(self.hw.wqs[wq.index], enabled=False)
                self.command(hw.RESET_WQ, operand)
                self.hw.wqs[wq.index] = kept
            elif self.command(hw.DISABLE_WQ, operand):
                return False
            wq.state = DISABLED
        if self.command(hw.ENABLE_WQ, wq.index) not in (0, 0x21):
            return False
        wq.state = ENABLED
        return True

    # -- stores of devices, groups and engines ------------------------------------------------

    def store_cmd_status(self, data: bytes) -> None:
        self.cmd_status = 0

    def store_event_log_size(self, data: bytes) -> None:
        value = parse.number(data)
        if self.state == ENABLED or not self.configurable:
            raise refuse(errno.EPERM)
        if not EVENT_LOG_LEAST <= value <= EVENT_LOG_MOST:
            raise refuse(errno.EINVAL)
        self.event_log_size = value

    def store_engine_group(self, index: int, data: bytes) -> None:
        value = parse.number(data, signed=True)
        if not self.configurable:
            raise refuse(errno.EPERM)
        if not -1 <= value < self.cap.groups:
            raise refuse(errno.EINVAL)
        self.engines[index] = value

    def store_traffic_class(self, index: int, name: str, data: bytes) -> None:
        value = parse.number(data, signed=True)
        if not self.configurable or self.state == ENABLED or self.fixed_classes:
            raise refuse(errno.EPERM)
        if not 0 <= value <= 7:
            raise refuse(errno.EINVAL)
        setattr(self.groups[index], name, value)

    def store_progress_limit(self, index: int, name: str, data: bytes) -> None:
        value = parse.number(data, signed=True, bits=32)
        if not 0 <= value <= 3:
            raise refuse(errno.EINVAL)
        setattr(self.groups[index], name, value)
