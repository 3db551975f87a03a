"""A host's files in a tar archive: recorded while they are read, and read again from there.

The archive is never unpacked: members become a tree in memory, in which symbolic links stay
inside. Errors are recorded, too, so that what could not be read on the host cannot be read from
the archive: such a member is empty, and its pax header `comment`, which other programs pass over,
holds the error number.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iaactl.errors import DocumentError, HostError
from iaactl.host.files import MOST_BYTES, canonical
from iaactl.ports import Files, Status

_COMMENT = "comment"
_ERRNO = "errno "
_MOST_MEMBERS = 200_000
_MOST_TOTAL = 256 << 20


@dataclass(slots=True)
class _Member:
    """One recorded thing: a directory, a link, bytes, or the error that reading it gave."""

    directory: bool = False
    target: str | None = None
    content: bytes | None = None
    error: int = 0
    status: Status | None = None


class RecordingFiles:
    """`Files` that passes on to other files and remembers all that was answered."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._members: dict[str, _Member] = {"/": _Member(directory=True)}
        self._links: dict[str, str | None] = {}

    def _target(self, path: str) -> str | None:
        if path not in self._links:
            try:
                self._links[path] = self._files.link(path)
            except OSError:
                self._links[path] = None
        target = self._links[path]
        if target is not None:
            self._members[path] = _Member(target=target)
            self._parents(path)
        return target

    def _parents(self, path: str) -> None:
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            self._members.setdefault(path, _Member()).directory = True

    def _member(self, path: str) -> _Member:
        place = canonical(path, self._target)
        self._parents(place)
        return self._members.setdefault(place, _Member())

    def text(self, path: str) -> str:
        """A file's text."""
        return self.data(path).decode(errors="surrogateescape")

    def data(self, path: str) -> bytes:
        """A file's bytes."""
        try:
            content = self._files.text(path).encode(errors="surrogateescape")
        except FileNotFoundError:
            raise
        except OSError as error:
            with contextlib.suppress(OSError):
                self._member(path).error = error.errno or errno.EIO
            raise
        self._member(path).content = content
        return content

    def names(self, path: str) -> list[str]:
        """Sorted names in a directory."""
        try:
            names = self._files.names(path)
        except FileNotFoundError:
            raise
        except OSError as error:
            with contextlib.suppress(OSError):
                self._member(path).error = error.errno or errno.EIO
            raise
        member = self._member(path)
        member.directory = True
        place = canonical(path, self._target).rstrip("/")
        for name in names:
            if self._target(f"{place}/{name}") is None:
                self._members.setdefault(f"{place}/{name}", _Member())
        return names

    def link(self, path: str) -> str:
        """The text of a symbolic link."""
        target = self._files.link(path)
        head, _, tail = path.rpartition("/")
        place = canonical(head, self._target).rstrip("/")
        self._members[f"{place}/{tail}"] = _Member(target=target)
        self._parents(f"{place}/{tail}")
        return target

    def real(self, path: str) -> str:
        """The path without symbolic links."""
        return canonical(path, self._target)

    def status(self, path: str) -> Status:
        """Owner and permission bits of what the path leads to."""
        status = self._files.status(path)
        member = self._member(path)
        member.status = status
        member.directory = member.directory or status.directory
        return status

    def write(
        self, path: Path, extra: dict[str, bytes], redact: Callable[[str, bytes], bytes]
    ) -> None:
        """Write all that was seen to a gzipped tar, `redact` applied to each file's bytes.

        `extra` are further files by absolute path. The archive is readable by its owner only.
        Raises HostError.
        """
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with (
                os.fdopen(handle, "wb") as file,
                tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive,
            ):
                for place, member in sorted(self._members.items()):
                    if place != "/":
                        _add(archive, place, member, redact)
                for place, content in sorted(extra.items()):
                    _add(archive, place, _Member(content=content), lambda _, data: data)
        except OSError as error:
            raise HostError(f"{path} cannot be written: {error.strerror}") from error


def _add(
    archive: tarfile.TarFile, place: str, member: _Member, redact: Callable[[str, bytes], bytes]
) -> None:
    info = tarfile.TarInfo(place.lstrip("/"))
    info.mode = 0o755 if member.directory else 0o644
    if member.status is not None:
        info.mode = member.status.mode
        info.uid, info.gid = member.status.uid, member.status.gid
        info.uname = member.status.owner or ""
        info.gname = member.status.group or ""
    if member.target is not None:
        info.type, info.linkname = tarfile.SYMTYPE, member.target
        archive.addfile(info)
        return
    if member.directory:
        info.type = tarfile.DIRTYPE
        if member.error:
            info.pax_headers = {_COMMENT: f"{_ERRNO}{member.error}"}
        archive.addfile(info)
        return
    content = b"" if member.content is None else redact(place, member.content)
    if member.content is None:
        # A name that was seen but never read: whoever reads it later must not find it empty.
        info.pax_headers = {_COMMENT: f"{_ERRNO}{member.error or errno.ENODATA}"}
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _no_archive(path: Path, error: Exception) -> DocumentError:
    reason = str(error).split("\n")[0]
    if isinstance(error, tarfile.TarError):
        reason = "it is no tar archive, or a damaged one"
    return DocumentError(
        f"{path} cannot be read: {reason}",
        hint="make one on the host: `iaactl doctor --collect FILE.tar.gz`",
    )


class ArchiveFiles:
    """`Files` of an archive that `RecordingFiles` wrote, or of any tar of a root file system.

    Raises DocumentError when it is none, or larger than a collection can be.
    """

    def __init__(self, path: Path) -> None:
        self._members: dict[str, _Member] = {"/": _Member(directory=True)}
        try:
            with tarfile.open(path, "r:*") as archive:
                self._load(archive)
        except (tarfile.TarError, EOFError, ValueError, OSError, ImportError) as error:
            raise _no_archive(path, error) from None
        except Exception as error:
            # Decompressors have exceptions of their own (zlib.error, lzma.LZMAError).
            if type(error).__module__ not in ("zlib", "_lzma", "lzma", "_zstd"):
                raise
            raise _no_archive(path, error) from None

    def _load(self, archive: tarfile.TarFile) -> None:
        total = 0
        for number, info in enumerate(archive):
            total += info.size
            if number > _MOST_MEMBERS or total > _MOST_TOTAL:
                raise ValueError("it is larger than a collection of host facts")
            place = canonical(info.name, lambda _: None)
            member = self._members.setdefault(place, _Member())
            self._parents(place)
            comment = info.pax_headers.get(_COMMENT, "")
            if comment.startswith(_ERRNO):
                text = comment.removeprefix(_ERRNO)
                member.error = int(text) if text.isdecimal() else errno.EIO
            member.status = Status(
                uid=info.uid,
                gid=info.gid,
                mode=info.mode & 0o7777,
                directory=info.isdir(),
                owner=info.uname or None,
                group=info.gname or None,
            )
            if info.issym():
                member.target = info.linkname
            elif info.isdir():
                member.directory = True
            elif info.isfile() and not member.error:
                file = archive.extractfile(info)
                member.content = b"" if file is None else file.read(MOST_BYTES)

    def _parents(self, path: str) -> None:
        while path != "/":
            path = path.rpartition("/")[0] or "/"
            self._members.setdefault(path, _Member()).directory = True

    def _target(self, path: str) -> str | None:
        member = self._members.get(path)
        return None if member is None else member.target

    def _find(self, path: str) -> _Member:
        member = self._members.get(canonical(path, self._target))
        if member is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return member

    def text(self, path: str) -> str:
        """A file's text."""
        return self.data(path).decode(errors="surrogateescape")

    def data(self, path: str) -> bytes:
        """A file's bytes."""
        member = self._find(path)
        number = errno.EISDIR if member.directory else member.error
        if number or member.content is None:
            number = number or errno.ENODEV
            raise OSError(number, os.strerror(number), path)
        return member.content

    def names(self, path: str) -> list[str]:
        """Sorted names in a directory."""
        member = self._find(path)
        number = member.error if member.directory else errno.ENOTDIR
        if number:
            raise OSError(number, os.strerror(number), path)
        prefix = canonical(path, self._target).rstrip("/") + "/"
        return sorted(
            place[len(prefix) :]
            for place in self._members
            if place.startswith(prefix) and place != "/" and "/" not in place[len(prefix) :]
        )

    def link(self, path: str) -> str:
        """The text of a symbolic link."""
        head, _, tail = path.rpartition("/")
        place = f"{canonical(head, self._target).rstrip('/')}/{tail}"
        member = self._members.get(place)
        if member is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if member.target is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
        return member.target

    def real(self, path: str) -> str:
        """The path without symbolic links."""
        return canonical(path, self._target)

    def status(self, path: str) -> Status:
        """Owner and permission bits as recorded."""
        member = self._find(path)
        return member.status or Status(uid=0, gid=0, mode=0o755, directory=member.directory)
