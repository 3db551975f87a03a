"""Reads single facts from a file system; what is not there is None, what may not be read is kept.

Missing is not the same as forbidden: `denied` collects the paths that exist but that this user may
not read, so that a report can say what root would add.
"""

from __future__ import annotations

from iaactl.ports import Files, Status

_MOST_DIGITS = 64  # of a number that anything here could mean


class Reading:
    """Forgiving access to `Files`."""

    def __init__(self, files: Files) -> None:
        self.files = files
        self.denied: list[str] = []

    def _noted(self, path: str, error: OSError) -> None:
        if isinstance(error, PermissionError) and path not in self.denied:
            self.denied.append(path)

    def text(self, path: str) -> str | None:
        """The text of a file without its last newlines, None where it cannot be read."""
        try:
            return self.files.text(path).rstrip("\n")
        except (OSError, ValueError) as error:
            if isinstance(error, OSError):
                self._noted(path, error)
            return None

    def data(self, path: str) -> bytes | None:
        """The bytes of a file, None where it cannot be read."""
        try:
            return self.files.data(path)
        except OSError as error:
            self._noted(path, error)
            return None

    def number(self, path: str, base: int = 0) -> int | None:
        """The number in a file, None where there is none."""
        text = self.text(path) or ""
        try:
            return int(text, base) if len(text) <= _MOST_DIGITS else None
        except ValueError:
            return None

    def names(self, path: str) -> list[str]:
        """Sorted names in a directory, none where it is missing."""
        return self.listing(path) or []

    def listing(self, path: str) -> list[str] | None:
        """Sorted names in a directory, None where it is missing or may not be listed."""
        try:
            return self.files.names(path)
        except OSError as error:
            self._noted(path, error)
            return None

    def link_name(self, path: str) -> str | None:
        """The last part of a symbolic link's target."""
        try:
            return self.files.link(path).rpartition("/")[2]
        except OSError:
            return None

    def status(self, path: str) -> Status | None:
        """Owner and permission bits, None where there is nothing."""
        try:
            return self.files.status(path)
        except (OSError, ValueError):
            return None
