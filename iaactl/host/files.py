"""File systems below a root, for reading only: this machine's, a directory's, an archive's.

Everything that is not `/` itself resolves symbolic links inside its own root, so that looking at
somebody else's tree never reads the machine it is looked at on.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

from iaactl.ports import Status

MOST_BYTES = 4 << 20
"""Of a longer file the rest is left out; a kernel log of default size is shorter."""

_CHUNK = 1 << 16  # a record of /dev/kmsg must fit into one read
_SYSFS_PAGE = 4096
_MOST_LINKS = 40  # as the kernel allows in one path


def canonical(path: str, target_of: Callable[[str], str | None]) -> str:
    """An absolute path without symbolic links, `..` and all links staying inside the root.

    `target_of` gives the text of the link at a path, None where there is no link. Raises
    OSError(ELOOP).
    """
    parts = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    done: list[str] = []
    hops = 0
    while parts:
        part = parts.pop()
        if part == "..":
            del done[-1:]
            continue
        target = target_of(f"/{'/'.join([*done, part])}")
        if target is None:
            done.append(part)
            continue
        hops += 1
        if hops > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = []
        parts += [part for part in reversed(target.split("/")) if part not in ("", ".")]
    return f"/{'/'.join(done)}"


def read_text(path: str) -> str:
    """The text of a small file or of the kernel's log device. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    data = bytearray()
    try:
        while len(data) < MOST_BYTES:
            try:
                more = os.read(handle, _CHUNK)
            except BlockingIOError:
                break  # the log has no more records yet
            except BrokenPipeError:
                continue  # records of the log were overwritten meanwhile
            data += more
            # An attribute of sysfs comes in one piece of at most a page.
            if not more or (path.startswith("/sys/") and len(more) < _SYSFS_PAGE):
                break
    finally:
        os.close(handle)
    return data.decode(errors="surrogateescape")


class HostFiles:
    """`Files` of this machine."""

    def text(self, path: str) -> str:
        """The text of a file."""
        return read_text(path)

    def data(self, path: str) -> bytes:
        """The bytes of a file."""
        with open(path, "rb") as file:
            return file.read(MOST_BYTES)

    def names(self, path: str) -> list[str]:
        """Sorted names in a directory."""
        return sorted(entry.name for entry in os.scandir(path))

    def link(self, path: str) -> str:
        """The text of a symbolic link."""
        return str(Path(path).readlink())

    def real(self, path: str) -> str:
        """The path without symbolic links."""
        return os.path.realpath(path)

    def status(self, path: str) -> Status:
        """Owner and permission bits of what the path leads to."""
        found = Path(path).stat()
        return Status(
            uid=found.st_uid,
            gid=found.st_gid,
            mode=stat.S_IMODE(found.st_mode),
            directory=stat.S_ISDIR(found.st_mode),
            owner=_name(pwd.getpwuid, "pw_name", found.st_uid),
            group=_name(grp.getgrgid, "gr_name", found.st_gid),
        )


def _name(lookup: Callable[[int], object], field: str, number: int) -> str | None:
    try:
        return str(getattr(lookup(number), field))
    except (KeyError, OverflowError):
        return None


class DirectoryFiles:
    """`Files` of a directory that is laid out like a root file system.

    Owners are numbers only: the names of this machine mean nothing there.
    """

    def __init__(self, root: str | Path) -> None:
        self._root = str(Path(root).resolve()).rstrip("/")

    def _target(self, path: str) -> str | None:
        try:
            return str(Path(self._root + path).readlink())
        except OSError:
            return None

    def _inside(self, path: str) -> str:
        return self._root + canonical(path, self._target)

    def _regular(self, path: str) -> str:
        """A place inside that holds data: opening a device or FIFO of a tree could do anything."""
        inside = self._inside(path)
        kind = Path(inside).stat().st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(kind):
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), path)
        return inside

    def text(self, path: str) -> str:
        """The text of a file."""
        return read_text(self._regular(path))

    def data(self, path: str) -> bytes:
        """The bytes of a file."""
        with open(self._regular(path), "rb") as file:
            return file.read(MOST_BYTES)

    def names(self, path: str) -> list[str]:
        """Sorted names in a directory."""
        return sorted(entry.name for entry in os.scandir(self._inside(path)))

    def link(self, path: str) -> str:
        """The text of a symbolic link."""
        head, _, tail = path.rpartition("/")
        return str(Path(f"{self._inside(head)}/{tail}").readlink())

    def real(self, path: str) -> str:
        """The path without symbolic links, still below the root."""
        return canonical(path, self._target)

    def status(self, path: str) -> Status:
        """Owner and permission bits of what the path leads to."""
        found = Path(self._inside(path)).stat()
        return Status(
            uid=found.st_uid,
            gid=found.st_gid,
            mode=stat.S_IMODE(found.st_mode),
            directory=stat.S_ISDIR(found.st_mode),
        )
