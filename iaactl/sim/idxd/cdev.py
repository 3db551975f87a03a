"""Character devices of user work queues: opening, submitting by write(2), closing."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from iaactl.sim import kmsg
from iaactl.sim.idxd import device as hw
from iaactl.sim.idxd.wq import ENABLED, WorkQueue
from iaactl.sim.kernfs import Attribute, Caller, DeviceNode, Directory, Link, refuse

if TYPE_CHECKING:
    from iaactl.sim.idxd.kernel import Kernel

DESCRIPTOR_BYTES = 64
PAGE = 4096
POLL_READABLE, POLL_INVALID = 0x41, 0x20
"""POLLIN with POLLRDNORM, POLLNVAL."""
COMPLETION_ALIGNMENT = {"iax": 64, "dsa": 32}


class Cdev:
    """The character device of one enabled user work queue."""

    kind = "idxd_cdev"

    def __init__(self, kernel: Kernel, wq: WorkQueue, minor: int) -> None:
        self.kernel = kernel
        self.wq = wq
        self.minor = minor
        self.files: list[OpenFile] = []
        self.gone = False
        self.directory = Directory()

    @property
    def sysname(self) -> str:
        """`iax!wq1.0`."""
        return f"{self.wq.device.spec.kind}!{self.wq.sysname}"

    def open(self, caller: Caller) -> OpenFile:
        """open(2): binds the process's address space, if the IOMMU lets it."""
        wq = self.wq
        if self.gone:
            raise refuse(errno.ENXIO)
        if wq.dedicated and wq.clients > 0:
            raise refuse(errno.EBUSY)
        obstacle = self.kernel.sva_bind_error(wq.device.spec.address)
        if wq.device.user_pasid and obstacle:
            self._complain(f"pasid allocation failed: {-obstacle}")
            raise refuse(obstacle)
        pasid = self.kernel.pasid_of(caller)
        if self.kernel.spec.kernel.open_files_shown and any(f.pasid == pasid for f in self.files):
            self._complain("PASID entry already exist in xarray.", kmsg.WARNING)
        if wq.dedicated and not wq.device.restart_wq(wq):
            self._complain(f"wq set pasid failed: {-errno.ENXIO}")
            raise refuse(errno.ENXIO)
        wq.clients += 1
        return OpenFile(self, caller, pasid)

    def _complain(self, text: str, level: int = kmsg.ERR) -> None:
        self.kernel.log.pci(level, self.wq.device.spec.address, text)


class OpenFile:
    """One open file of a character device; stays one after its work queue was disabled."""

    def __init__(self, cdev: Cdev, caller: Caller, pasid: int) -> None:
        self.cdev = cdev
        self.caller = caller
        self.pasid = pasid
        kernel = cdev.kernel
        self.number = kernel.take_file_number()
        cdev.files.append(self)
        kernel.open_files += 1
        directory = Directory()
        directory.add("pid", Attribute(lambda: b"%d\n" % caller.pid))
        directory.add("cr_faults", Attribute(lambda: b"0\n"))
        directory.add("cr_fault_failures", Attribute(lambda: b"0\n"))
        self.name = f"file{self.number}"
        self.shown = kernel.spec.kernel.open_files_shown
        if self.shown:
            kernel.add_child(cdev, self.name, directory, "idxd_file")

    def _authorised(self, caller: Caller) -> None:
        if caller.pid != self.caller.pid:
            raise refuse(errno.EPERM)

    def read(self, size: int, caller: Caller) -> bytes:
        """There is nothing to read."""
        raise refuse(errno.EINVAL)

    def mmap(self, length: int, caller: Caller) -> None:
        """The portal is one page. All users but root are taken to lack CAP_SYS_RAWIO."""
        if self.cdev.kernel.spec.kernel.mmap_needs_rawio and caller.uid:
            raise refuse(errno.EPERM)
        self._authorised(caller)
        if length > PAGE:
            raise refuse(errno.EINVAL)

    def poll(self, caller: Caller) -> int:
        """Readable while the device reports a software error; invalid for another process."""
        if caller.pid != self.caller.pid:
            return POLL_INVALID
        return POLL_READABLE if self.cdev.wq.device.software_error & 1 else 0

    def write(self, data: bytes, caller: Caller) -> int:
        """Submit whole descriptors; returns the bytes taken.

        EOPNOTSUPP while nobody executes descriptors, or where the kernel has no write().
        """
        kernel = self.cdev.kernel
        count = len(data) // DESCRIPTOR_BYTES
        if not kernel.spec.kernel.write_submits:
            raise refuse(errno.EINVAL)
        self._authorised(caller)
        if not count:
            return 0
        if kernel.execute is None:
            raise refuse(errno.EOPNOTSUPP)
        if self.cdev.gone or self.cdev.wq.state != ENABLED:
            raise refuse(errno.ENODEV)
        alignment = COMPLETION_ALIGNMENT[self.cdev.wq.device.spec.kind]
        done = 0
        for start in range(0, count * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES):
            descriptor = data[start : start + DESCRIPTOR_BYTES]
            try:
                if int.from_bytes(descriptor[8:16], "little") % alignment:
                    raise refuse(errno.EINVAL)
                kernel.execute(self.cdev.wq, descriptor, caller)
            except OSError:
                if done:
                    return done
                raise
            done += DESCRIPTOR_BYTES
        return done

    def close(self) -> None:
        """The last close. It acts on the work queue as it is now, even if it was reused since."""
        kernel, wq = self.cdev.kernel, self.cdev.wq
        kernel.open_files -= 1
        self.cdev.files.remove(self)
        if self.shown:
            kernel.remove_child(self.cdev, self.name)
        kernel.give_file_number(self.number)
        if wq.shared:
            wq.device.command(hw.DRAIN_PASID, self.pasid)
        elif wq.device.user_pasid:
            wq.device.restart_wq(wq)
        wq.clients -= 1
        holds = kernel.spec.kernel.stale_files_hold_minor
        if self.cdev.gone and holds and not self.cdev.files:
            kernel.release_minor(self.cdev)


def add_cdev(kernel: Kernel, wq: WorkQueue) -> None:
    """Make the character device of a work queue that was just enabled."""
    minor = kernel.take_minor()
    cdev = Cdev(kernel, wq, minor)
    wq.cdev = cdev
    major = kernel.spec.kernel.cdev_major
    number = f"{major}:{minor}"
    cdev.directory.add("dev", Attribute(lambda: f"{number}\n".encode()))
    path = kernel.path_of(wq).removeprefix("/")
    kernel.root.directory("sys/dev/char").add(number, Link(f"../../{path}/{cdev.sysname}"))
    node = DeviceNode(cdev.open, (major, minor))
    kernel.root.directory(f"dev/{wq.device.spec.kind}").add(wq.sysname, node)
    kernel.add_child(wq, cdev.sysname, cdev.directory, "idxd_cdev", (major, minor), known_as=cdev)


def remove_cdev(kernel: Kernel, wq: WorkQueue) -> None:
    """Take node and character device away; open files stay open and become stale."""
    cdev = wq.cdev
    if cdev is None:
        return
    wq.cdev = None
    cdev.gone = True
    number = f"{kernel.spec.kernel.cdev_major}:{cdev.minor}"
    kernel.root.directory("sys/dev/char").remove(number)
    devices = kernel.root.directory("dev")
    folder = kernel.root.directory(f"dev/{wq.device.spec.kind}")
    folder.remove(wq.sysname)
    if not folder.children:
        devices.remove(wq.device.spec.kind)
    kernel.remove_child(wq, cdev.sysname)
    if not cdev.files or not kernel.spec.kernel.stale_files_hold_minor:
        kernel.release_minor(cdev)
