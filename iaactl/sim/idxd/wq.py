"""A work queue as the driver keeps it: its attributes, and in which order a store refuses what."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from iaactl.sim.idxd import parse
from iaactl.sim.kernfs import Attribute, Directory, refuse

if TYPE_CHECKING:
    from iaactl.sim.idxd.cdev import Cdev
    from iaactl.sim.idxd.driver import Idxd

DISABLED, ENABLED = "disabled", "enabled"
MAX_PRIORITY = 15
DEFAULT_RETRIES, MOST_RETRIES = 32, 64
DEFAULT_TRANSFER = 2 << 20
DEFAULT_BATCH = 32
NAME_BYTES, DRIVER_NAME_BYTES = 1024, 128
_U64 = (1 << 64) - 1


class WorkQueue:
    """One work queue. Sizes in entries, transfers in bytes."""

    kind = "wq"

    def __init__(self, device: Idxd, index: int) -> None:
        self.device = device
        self.index = index
        self.state = DISABLED
        self.group = -1
        self.size = 0
        self.clients = 0
        self.driver: str | None = None
        self.driver_name = b""
        self.cdev: Cdev | None = None
        self.type = b"none"
        self.reset()

    @property
    def sysname(self) -> str:
        """`wq1.0`."""
        return f"wq{self.device.id}.{self.index}"

    @property
    def shared(self) -> bool:
        """The mode."""
        return not self.dedicated

    def reset(self, *, keep_type: bool = False) -> None:
        """What disabling clears: all but size, group and driver_name."""
        self.state = DISABLED
        if not keep_type:
            self.type = b"none"
        self.dedicated = False
        self.name = b""
        self.threshold = 0
        self.priority = 0
        self.block_on_fault = False
        self.ats_disable = False
        self.prs_disable = False
        self.enqcmds_retries = DEFAULT_RETRIES
        self.max_transfer_size = DEFAULT_TRANSFER
        self.max_batch_size = DEFAULT_BATCH
        self.op_config = self.device.cap.op_cap

    @property
    def shared_supported(self) -> bool:
        """Shared mode needs ENQCMD and a PASID for the type; type none has none."""
        host = self.device.host
        if not host.enqcmd:
            return False
        if self.type == b"user":
            return self.device.user_pasid
        return self.type == b"kernel" and self.device.system_pasid

    # -- checks that several stores share -----------------------------------------------------

    def _configurable(self) -> None:
        if not self.device.configurable:
            raise refuse(errno.EPERM)

    def _disabled(self, number: int = errno.EPERM) -> None:
        if self.state == ENABLED:
            raise refuse(number)

    # -- stores, each in the driver's order of checks -----------------------------------------

    def store_group_id(self, data: bytes) -> None:
        value = parse.number(data, signed=True)
        self._configurable()
        self._disabled()
        if not -1 <= value < self.device.cap.groups:
            raise refuse(errno.EINVAL)
        self.group = value

    def store_mode(self, data: bytes) -> None:
        self._configurable()
        self._disabled()
        word = parse.word(data)
        if word == b"dedicated":
            self.dedicated = True
            self.threshold = 0
        elif word == b"shared":
            self.dedicated = False
        else:
            raise refuse(errno.EINVAL)

    def store_size(self, data: bytes) -> None:
        value = parse.number(data)
        self._configurable()
        if self.device.state == ENABLED:
            raise refuse(errno.EPERM)
        # The driver sums in a 32-bit int; the comparison is unsigned and 64 bits wide.
        claimed = sum(wq.size for wq in self.device.wqs) & 0xFFFFFFFF
        if claimed >> 31:
            claimed -= 1 << 32
        if (value + claimed - self.size) & _U64 > self.device.cap.entries:
            raise refuse(errno.EINVAL)
        self.size = value & 0xFFFFFFFF

    def store_priority(self, data: bytes) -> None:
        value = parse.number(data)
        self._configurable()
        self._disabled()
        if value > MAX_PRIORITY:
            raise refuse(errno.EINVAL)
        self.priority = value

    def store_block_on_fault(self, data: bytes) -> None:
        if not self.device.cap.block_on_fault:
            raise refuse(errno.EOPNOTSUPP)
        self._configurable()
        self._disabled(errno.ENXIO)
        value = parse.boolean(data)
        if value and self.prs_disable:
            raise refuse(errno.EOPNOTSUPP)
        self.block_on_fault = value

    def store_threshold(self, data: bytes) -> None:
        value = parse.number(data, base=0, bits=32)
        if value > self.size or value == 0:
            raise refuse(errno.EINVAL)
        self._configurable()
        self._disabled(errno.ENXIO)
        if self.dedicated:
            raise refuse(errno.EINVAL)
        self.threshold = value

    def store_type(self, data: bytes) -> None:
        self._disabled()
        word = parse.word(data)
        if word not in (b"none", b"kernel", b"user"):
            raise refuse(errno.EINVAL)
        if word != self.type:
            self.name = b""
        self.type = word

    def store_name(self, data: bytes) -> None:
        self._disabled()
        name = parse.label(data, NAME_BYTES)
        named = self.device.host.spec.kernel.kernel_wqs_named
        if self.type == b"kernel" and self.device.system_pasid and not named:
            raise refuse(errno.EOPNOTSUPP)
        self.name = name

    def store_driver_name(self, data: bytes) -> None:
        self._disabled()
        self.driver_name = parse.label(data, DRIVER_NAME_BYTES)

    def _power_of_two(self, data: bytes, most: int) -> int:
        self._configurable()
        self._disabled()
        value = parse.number(data, base=0)
        if value == 0:
            raise refuse(errno.EINVAL)
        # Rounding up beyond 2^63 shifts by 64, which x86 takes as a shift by 0.
        rounded = 1 << ((value - 1).bit_length() & 63)
        if rounded > most:
            raise refuse(errno.EINVAL)
        return rounded

    def store_max_transfer_size(self, data: bytes) -> None:
        self.max_transfer_size = self._power_of_two(data, self.device.cap.max_transfer)

    def store_max_batch_size(self, data: bytes) -> None:
        self.max_batch_size = self._power_of_two(data, self.device.cap.max_batch)

    def store_ats_disable(self, data: bytes) -> None:
        self._disabled()
        if self.device.host.spec.kernel.ats_by_capability:
            self._configurable()
        self.ats_disable = parse.boolean(data)

    def store_prs_disable(self, data: bytes) -> None:
        self._disabled()
        if not self.device.cap.prs_control:
            raise refuse(errno.EOPNOTSUPP)
        self.prs_disable = parse.boolean(data)
        if self.prs_disable:
            self.block_on_fault = False

    def store_op_config(self, data: bytes) -> None:
        self._disabled()
        value = parse.mask(data)
        if value & ~self.device.cap.op_cap:
            raise refuse(errno.EINVAL)
        self.op_config = value

    def store_enqcmds_retries(self, data: bytes) -> None:
        if self.dedicated:
            raise refuse(errno.EOPNOTSUPP)
        self.enqcmds_retries = min(parse.integer(data, bits=32), MOST_RETRIES)

    # -- shows that can fail ------------------------------------------------------------------

    def show_cdev_minor(self) -> bytes:
        if self.cdev is None:
            raise refuse(errno.ENXIO)
        return b"%d\n" % self.cdev.minor

    def show_occupancy(self) -> bytes:
        if not self.device.cap.occupancy:
            raise refuse(errno.EOPNOTSUPP)
        return b"0\n"

    def show_enqcmds_retries(self) -> bytes:
        if self.dedicated:
            raise refuse(errno.EOPNOTSUPP)
        return b"%d\n" % self.enqcmds_retries


def _line(value: object) -> bytes:
    return f"{value}\n".encode()


def publish(wq: WorkQueue, directory: Directory) -> None:
    """Add the attributes that this device and kernel have to the work queue's directory."""
    cap, kernel = wq.device.cap, wq.device.host.spec.kernel
    add = directory.add
    add("state", Attribute(lambda: _line(wq.state)))
    add("clients", Attribute(lambda: b"%d\n" % wq.clients))
    add("group_id", Attribute(lambda: b"%d\n" % wq.group, wq.store_group_id))
    add(
        "mode",
        Attribute(lambda: b"dedicated\n" if wq.dedicated else b"shared\n", wq.store_mode),
    )
    add("size", Attribute(lambda: b"%d\n" % wq.size, wq.store_size))
    add("priority", Attribute(lambda: b"%d\n" % wq.priority, wq.store_priority))
    add(
        "block_on_fault",
        Attribute(lambda: b"%d\n" % wq.block_on_fault, wq.store_block_on_fault),
    )
    add("threshold", Attribute(lambda: b"%d\n" % wq.threshold, wq.store_threshold))
    add("type", Attribute(lambda: wq.type + b"\n", wq.store_type))
    add("name", Attribute(lambda: wq.name + b"\n", wq.store_name))
    if kernel.driver_name:
        add("driver_name", Attribute(lambda: wq.driver_name + b"\n", wq.store_driver_name))
    add("cdev_minor", Attribute(wq.show_cdev_minor))
    add(
        "max_transfer_size",
        Attribute(lambda: b"%d\n" % wq.max_transfer_size, wq.store_max_transfer_size),
    )
    if wq.device.spec.kind == "dsa":
        add(
            "max_batch_size",
            Attribute(lambda: b"%d\n" % wq.max_batch_size, wq.store_max_batch_size),
        )
    if cap.ats_control or not kernel.ats_by_capability:
        add("ats_disable", Attribute(lambda: b"%d\n" % wq.ats_disable, wq.store_ats_disable))
    if cap.prs_control:
        add("prs_disable", Attribute(lambda: b"%d\n" % wq.prs_disable, wq.store_prs_disable))
    add("occupancy", Attribute(wq.show_occupancy))
    add("enqcmds_retries", Attribute(wq.show_enqcmds_retries, wq.store_enqcmds_retries))
    if cap.op_config:
        add(
            "op_config", Attribute(lambda: _line(parse.mask_text(wq.op_config)), wq.store_op_config)
        )
