"""Errno numbers in words."""

from __future__ import annotations

import errno as errno_names
import os


def errno_text(number: int) -> str:
    """`EPERM (Operation not permitted)` for 1; the number itself where there is no name."""
    name = errno_names.errorcode.get(number)
    if number == errno_names.EOPNOTSUPP:
        name = "EOPNOTSUPP"  # ENOTSUP is the same number, but not the kernel's word
    return f"{name} ({os.strerror(number)})" if name else f"errno {number}"
