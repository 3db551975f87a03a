"""Compression libraries of this machine, opened by the native core when first asked for."""

from __future__ import annotations

from dataclasses import dataclass

from iaactl.native._core import ffi, lib


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library that the engine can use. `why_not` is empty when it is there.

    `version` is empty where the library has no way to tell it (libdeflate).
    """

    name: str
    soname: str
    version: str
    path: str
    why_not: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}" if self.version else self.name


_IDS = {
    "isal": lib.IAACTL_LIBRARY_ISAL,
    "libdeflate": lib.IAACTL_LIBRARY_LIBDEFLATE,
    "libqpl": lib.IAACTL_LIBRARY_LIBQPL,
    "zlib": lib.IAACTL_LIBRARY_ZLIB,
    "zstd": lib.IAACTL_LIBRARY_ZSTD,
}
_PACKAGES = {
    "isal": "libisal2",
    "libdeflate": "libdeflate0",
    "libqpl": "libqpl1",
    "zlib": "zlib1g",
    "zstd": "libzstd1",
}


def library(name: str) -> Library:
    """One of them, here or not."""
    about = ffi.new("struct iaactl_library *")
    lib.iaactl_library_describe(_IDS[name], about)
    return Library(
        *(
            ffi.string(field).decode(errors="replace")
            for field in (about.name, about.soname, about.version, about.path, about.why_not)
        )
    )


def package(name: str) -> str:
    """The Debian package that has it."""
    return _PACKAGES[name]


def available() -> tuple[Library, ...]:
    """Every library the engine can use, here or not."""
    return tuple(library(name) for name in _IDS)
