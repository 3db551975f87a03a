"""One run at a time: an advisory lock that dies with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from iaactl.errors import Busy, PermissionMissing


class FileLock:
    """A `Lock` by flock(2) on a file that holds the pid of the holder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock; raises Busy with the holder's pid, PermissionMissing for non-root."""
        try:
            self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise PermissionMissing(
                f"the lock {self._path} cannot be taken: {error.strerror}",
                hint="changing devices needs root: run the command with sudo",
            ) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                raise Busy(
                    f"another iaactl (pid {holder}) is changing devices",
                    hint="wait until it has finished, then run the command again",
                    pid=holder,
                ) from None
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(handle)
