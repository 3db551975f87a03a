"""The record of what was done to the simulated machine: one JSON object a line.

Members: `seq` (running number), `op` (write, bind, unbind, open, close, submit, remove), `pid`
(as the world's /proc shows it), `path` (resolved, as in the world), `value` (text of a write) or
`bytes` (length of a submission) and `errno` (its symbolic name, null on success). Opens are
recorded for device nodes, and for every file whose open was refused.
"""

from __future__ import annotations

import errno as errno_names
import json
import os


def symbolic(number: int) -> str:
    """`EIO` for 5; the number as text where it has no name."""
    return errno_names.errorcode.get(number, str(number))


class Journal:
    """Appends to an open file descriptor, or keeps count only when there is none."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor
        self._sequence = 0

    def record(
        self,
        operation: str,
        path: str,
        pid: int,
        *,
        value: bytes | None = None,
        length: int | None = None,
        error: int = 0,
    ) -> None:
        """Append one record; `error` is an errno or 0, `length` is in bytes."""
        self._sequence += 1
        if self._descriptor is None:
            return
        entry: dict[str, object] = {
            "seq": self._sequence,
            "op": operation,
            "pid": pid,
            "path": path,
        }
        if value is not None:
            entry["value"] = value.decode("utf-8", "backslashreplace")
        if length is not None:
            entry["bytes"] = length
        entry["errno"] = symbolic(error) if error else None
        os.write(self._descriptor, json.dumps(entry).encode() + b"\n")
