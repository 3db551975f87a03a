"""Guest memory from a file: raw, or an ELF core of `dump-guest-memory`; plain, xz, gzip or zstd.

Everything in the file is foreign: at most `most_bytes` are ever kept, whatever it claims to hold.
"""

from __future__ import annotations

import gzip
import lzma
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from iaactl.bench.image import Image
from iaactl.errors import DocumentError
from iaactl.model.units import format_bytes

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CHUNK = 1 << 20
_ELF = b"\x7fELF"
# makedumpfile's two formats, as QEMU's dump-guest-memory writes them with -z, -l and -s.
_KDUMP = (b"KDUMP   ", b"makedumpfile\0")
_DAMAGED = (lzma.LZMAError, zlib.error, zstd.ZstdError, EOFError, gzip.BadGzipFile)


def _opened(file: BinaryIO) -> tuple[BinaryIO, str]:
    """The stream behind a compression, told by its first bytes, and what the compression is."""
    magic = file.read(6)
    file.seek(0)
    if magic == b"\xfd7zXZ\0":
        return cast(BinaryIO, lzma.open(file)), ", xz"
    if magic[:2] == b"\x1f\x8b":
        return cast(BinaryIO, gzip.open(file)), ", gzip"
    if magic[:4] == b"\x28\xb5\x2f\xfd":
        return cast(BinaryIO, zstd.open(file)), ", zstd"
    return file, ""


def _loaded_parts(stream: BinaryIO, path: Path) -> list[tuple[int, int]]:
    """Offset and length in the file of each memory segment of an ELF core."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(stream)
        kind = elf.header["e_type"]
        parts = [
            (int(segment["p_offset"]), int(segment["p_filesz"]))
            for segment in elf.iter_segments("PT_LOAD")
        ]
    except _DAMAGED:
        raise
    # The reader is made for well-formed files; what it trips over in others is not one kind.
    except (ELFError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError,
            AssertionError, MemoryError, OSError) as error:  # fmt: skip
        raise DocumentError(
            f"{path} begins like an ELF file and is damaged: {error or type(error).__name__}",
            hint="write it again: `dump-guest-memory` in QEMU's monitor, without -z, -l and -s",
        ) from None
    if kind != "ET_CORE":
        raise DocumentError(
            f"{path} is an ELF file of type {kind}, not a memory dump",
            hint="`dump-guest-memory FILE` in QEMU's monitor writes one (ET_CORE)",
        )
    return [(offset, length) for offset, length in parts if length]


def _read(stream: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0:
        chunk = stream.read(min(length, _CHUNK))
        if not chunk:
            return
        length -= len(chunk)
        yield chunk


def _content(stream: BinaryIO, path: Path, most_bytes: int) -> tuple[bytearray, str]:
    magic = stream.read(16)
    if any(magic.startswith(kind) for kind in _KDUMP):
        raise DocumentError(
            f"{path} is a kdump file of makedumpfile's format, which is not read",
            hint="write the dump without -z, -l and -s: `dump-guest-memory FILE`",
        )
    content = bytearray()
    if not magic.startswith(_ELF):
        stream.seek(0)
        for chunk in _read(stream, most_bytes):
            content += chunk
        return content, "raw memory"
    parts = _loaded_parts(stream, path)
    for offset, length in parts:
        left = min(length, most_bytes - len(content))
        if left <= 0:
            break
        _seek(stream, offset, path)
        have = len(content)
        for chunk in _read(stream, left):
            content += chunk
        if len(content) - have < left:
            raise DocumentError(
                f"{path} ends inside the segment at offset {offset}: {len(content) - have} of "
                f"{length} bytes are there",
                hint="the dump was cut short: write it again",
            )
    return content, f"ELF core of {len(parts)} segments"


def _seek(stream: BinaryIO, offset: int, path: Path) -> None:
    try:
        stream.seek(offset)
    except (OverflowError, ValueError, OSError):
        raise DocumentError(f"{path} has a segment at offset {offset}, beyond its end") from None


def from_file(path: Path, most_bytes: int) -> Image:
    """Memory from `path`, its first `most_bytes` at most. Raises DocumentError."""
    try:
        with path.open("rb") as file:
            stream, packed = _opened(file)
            content, kind = _content(stream, path, most_bytes)
            more: Any = stream.read(1) if kind == "raw memory" else b""
    except OSError as error:
        if isinstance(error, _DAMAGED):
            raise _damaged(path, error) from None
        raise DocumentError(f"{path} cannot be read: {error.strerror or error}") from None
    except _DAMAGED as error:
        raise _damaged(path, error) from None
    if not content:
        raise DocumentError(
            f"{path} holds no memory", hint="give a raw image or an ELF core of dump-guest-memory"
        )
    part = f", the first {format_bytes(most_bytes)}" if more else ""
    return Image(content, f"file {path.name} ({kind}{packed}{part})")


def _damaged(path: Path, error: Exception) -> DocumentError:
    return DocumentError(
        f"{path} is compressed and damaged: {error or 'it ends early'}",
        hint="`xz -t`, `gzip -t` or `zstd -t` says where",
    )
