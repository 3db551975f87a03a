"""Libraries as the dynamic linker finds them, and QEMU binaries: asks this machine, live."""

from __future__ import annotations

import mmap
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cffi

from iaactl.model.facts import Library, QemuBinary, Software

_NAMES = ("qemu-system-x86_64", "qemu-kvm")
_FOLDERS = ("/usr/local/bin", "/usr/bin", "/usr/libexec", "/opt/qemu/bin")
_TIMEOUT_S = 1.5
_QPL_MARKS = (
    (b"multifd-qpl.c", "has QEMU's multifd-qpl code"),
    (b"libqpl.so", "is linked with libqpl"),
    (b"\0qpl\0", "knows the method name qpl"),
)
_ACCFG_SINCE_4 = "accfg_wq_get_op_config"


def find_software() -> Software:
    """What IAA's users would find here. Loads the libraries, runs `--version` of the programs."""
    return Software(
        libraries=(_accel_config_library(), _qpl_library()),
        qemu=_qemu(),
        accel_config=_first_version(["accel-config", "--version"]) or "",
    )


def _loaded_path(name: str) -> str | None:
    stem = name.partition(".so")[0]
    try:
        with open("/proc/self/maps") as maps:
            for line in maps:
                path = line.rpartition(" ")[2].strip()
                if Path(path).name.startswith(f"{stem}.so"):
                    return path
    except OSError:
        return None
    return None


def _accel_config_library() -> Library:
    name = "libaccel-config.so.1"
    ffi = cffi.FFI()
    ffi.cdef(f"int {_ACCFG_SINCE_4}(void *, void *);")
    try:
        library: Any = ffi.dlopen(name)
    except OSError as error:
        return Library(name=name, searched=str(error))
    try:
        getattr(library, _ACCFG_SINCE_4)
        version = "4.0 or later"
    except AttributeError:
        version = "3.x"
    return Library(name=name, path=_loaded_path(name), version=version)


def _qpl_library() -> Library:
    name = "libqpl.so.1"
    ffi = cffi.FFI()
    ffi.cdef("const char *qpl_get_library_version(void);")
    try:
        library: Any = ffi.dlopen(name)
    except OSError as error:
        return Library(name=name, searched=str(error))
    try:
        told = ffi.string(library.qpl_get_library_version())
        version = told.decode(errors="replace") if isinstance(told, bytes) else told
    except AttributeError:
        version = None
    return Library(name=name, path=_loaded_path(name), version=version)


def _first_version(command: list[str]) -> str | None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    match = re.search(r"\d+(?:\.\d+)+\S*", done.stdout)
    return match[0] if match else None


def _qemu() -> tuple[QemuBinary, ...]:
    paths: dict[str, None] = {}
    for folder in (*os.environ.get("PATH", "").split(":"), *_FOLDERS):
        for name in _NAMES:
            path = Path(folder or ".", name)
            if os.access(path, os.X_OK) and path.is_file():
                paths.setdefault(str(path.resolve()))
    with ThreadPoolExecutor(max_workers=4) as threads:
        return tuple(threads.map(_binary, paths))


def _binary(path: str) -> QemuBinary:
    qpl, evidence = _built_with_qpl(path)
    return QemuBinary(
        path=path, version=_first_version([path, "--version"]), qpl=qpl, evidence=evidence
    )


def _built_with_qpl(path: str) -> tuple[bool | None, str]:
    try:
        with (
            open(path, "rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
        ):
            for mark, evidence in _QPL_MARKS:
                if data.find(mark) >= 0:
                    return True, evidence
    except (OSError, ValueError):
        return None, "it cannot be read"
    return False, "nothing of qpl in it"
