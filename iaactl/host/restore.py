"""Restore points as files: the state of devices before a run changed them.

They live below /run, because what they describe does not survive a reboot either. A point whose
run was killed keeps the suffix `.open`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from iaactl.errors import DocumentError, HostError, PermissionMissing

OPEN, CLOSED = ".open.json", ".json"
KEPT = 20


class RestoreFiles:
    """`RestorePoints` in one directory; the newest 20 closed points are kept."""

    def __init__(
        self,
        directory: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._directory = directory
        self._now = now

    def save(self, document: str) -> str:
        """Write durably under the time of day; the name is what `restore` takes."""
        name = self._now().strftime("%Y%m%dT%H%M%S.%fZ")
        path = self._directory / f"{name}{OPEN}"
        try:
            self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            with os.fdopen(handle, "w") as file:
                file.write(document)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise PermissionMissing(
                f"no restore point can be written to {self._directory}: {error.strerror}",
                hint="nothing was changed; run the command with sudo, or make room in /run",
            ) from error
        return name

    def _file(self, name: str) -> Path | None:
        for suffix in (OPEN, CLOSED):
            path = self._directory / f"{name}{suffix}"
            if path.exists():
                return path
        return None

    def names(self) -> list[str]:
        """All points, oldest first."""
        try:
            files = [path.name for path in self._directory.iterdir()]
        except OSError:
            return []
        points = (f.removesuffix(CLOSED).removesuffix(".open") for f in files if f.endswith(CLOSED))
        return sorted(points)

    def open_points(self) -> list[str]:
        """Points of runs that neither finished nor put back what they did, oldest first."""
        return [name for name in self.names() if (self._directory / f"{name}{OPEN}").exists()]

    def load(self, name: str | None) -> tuple[str, str]:
        """A point by name or path; None means the newest open one, else the newest."""
        if name is None:
            candidates = self.open_points() or self.names()
            if not candidates:
                raise HostError(
                    f"there is no restore point in {self._directory}",
                    hint="restore points are written by apply and reset, and last until a reboot",
                )
            name = candidates[-1]
        path = Path(name) if "/" in name else self._file(name)
        if path is None:
            known = ", ".join(self.names()[-5:]) or "none"
            raise DocumentError(f"there is no restore point {name}", hint=f"known: {known}")
        try:
            return name, path.read_text()
        except OSError as error:
            raise DocumentError(f"restore point {path} cannot be read: {error.strerror}") from error

    def close(self, name: str) -> None:
        """Rename to a closed point and forget the oldest closed ones."""
        path = self._directory / f"{name}{OPEN}"
        if path.exists():
            path.rename(self._directory / f"{name}{CLOSED}")
        still_open = set(self.open_points())
        closed = [point for point in self.names() if point not in still_open]
        for old in closed[:-KEPT]:
            (self._directory / f"{old}{CLOSED}").unlink(missing_ok=True)
