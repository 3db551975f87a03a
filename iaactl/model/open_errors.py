"""What open(2) of /dev/iax/wqN.M means when it fails.

Source: recordings of Linux 6.12, 6.16 and 7.3 with the IOMMU off, in legacy mode, without single
capabilities, and with SVA disabled.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

from iaactl.model.codes import remedy_of


@dataclass(frozen=True, slots=True)
class OpenError:
    """An errno in the words of this driver."""

    name: str
    meaning: str
    remedy: str | None = None


_KNOWN = {
    errno.EACCES: (
        "the node belongs to another user",
        "`iaactl list --wqs --user NAME` shows who may open it; a profile grants it with `access`",
    ),
    errno.EPERM: (
        "a security module or the cgroup's device rules refuse it",
        "in a container: pass the device to it; else look for SELinux or AppArmor denials",
    ),
    errno.EBUSY: (
        "a dedicated work queue has one client at a time, and it has one now",
        "use a shared work queue",
    ),
    errno.ENODEV: (
        "the kernel cannot bind this process's memory (SVA): IOMMU off or not capable",
        "`iaactl doctor` names the cause",
    ),
    errno.ENOSPC: (
        "the device has no PASID table: the IOMMU is in legacy mode or lacks PASID",
        remedy_of("IAA-I002"),
    ),
    errno.EINVAL: (
        "the kernel cannot bind this process's memory (SVA): ATS or PASID is not switched on for "
        "the device",
        "`iaactl doctor` as root shows which; look in the BIOS for ATS and PASID of the IIO",
    ),
    errno.EOPNOTSUPP: (
        "this kernel has SVA disabled on x86 (a stable patch of late 2025)",
        remedy_of("IAA-K003"),
    ),
    errno.ENOENT: (
        "the work queue is not enabled, or not of type user",
        "`iaactl list` shows the queues",
    ),
    errno.ENXIO: (
        "the node is left over from a work queue that is gone",
        "`iaactl list` shows the queues that are enabled now",
    ),
}


def explain_open(number: int) -> OpenError:
    """The meaning of an errno; unknown ones say their name only."""
    name = "EOPNOTSUPP" if number == errno.EOPNOTSUPP else errno.errorcode.get(number, str(number))
    if number not in _KNOWN:
        return OpenError(name, f"open() says {name}")
    return OpenError(name, *_KNOWN[number])
