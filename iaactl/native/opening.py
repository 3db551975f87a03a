"""What the errno of opening a work queue's node means, and what to do about it."""

from __future__ import annotations

import errno

from iaactl.errors import HostError, PermissionMissing
from iaactl.native.system_error import errno_text

_HINTS = {
    errno.EACCES: "the node belongs to another user: `iaactl list --wqs --user NAME` shows who may "
    "open it; a profile grants it with `access`",
    errno.EBUSY: "a dedicated work queue has one client at a time, and it has one now",
    errno.ENODEV: "the kernel cannot bind this process's memory (SVA): IOMMU off or not capable",
    errno.ENOSPC: "the IOMMU is in legacy mode: boot with `intel_iommu=on,sm_on`",
    errno.EOPNOTSUPP: "this kernel has SVA disabled on x86 (a stable patch of late 2025); "
    "no boot option brings it back, a newer kernel does",
    errno.ENOENT: "the work queue is not enabled, or not of type user",
}


def refused(path: str, number: int) -> HostError:
    """The exception for a node that open(2) refused with errno `number`."""
    kind = PermissionMissing if number in (errno.EACCES, errno.EPERM) else HostError
    return kind(
        f"{path} cannot be opened: {errno_text(number)}",
        hint=_HINTS.get(number),
        errno=number,
        path=path,
    )
