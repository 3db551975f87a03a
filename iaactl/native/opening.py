"""The exception for a work queue's node that cannot be opened."""

from __future__ import annotations

import errno

from iaactl.errors import HostError, PermissionMissing
from iaactl.model.open_errors import explain_open
from iaactl.native.system_error import errno_text


def refused(path: str, number: int) -> HostError:
    """The exception for a node that open(2) refused with errno `number`."""
    reason = explain_open(number)
    kind = PermissionMissing if number in (errno.EACCES, errno.EPERM) else HostError
    return kind(
        f"{path} cannot be opened: {errno_text(number)}",
        hint=f"{reason.meaning}; {reason.remedy}" if reason.remedy else reason.meaning,
        errno=number,
        path=path,
    )
