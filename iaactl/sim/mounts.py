"""The mounts of a world: which directories are private, and how the machine's files get in place.

Everything here runs in a private mount namespace and never creates a file outside it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from iaactl.errors import HostError
from iaactl.sim import preflight, syscalls

# Where the parts of the world are kept that commands do not look at.
STAGE = "/run/iaactl-sim"
TREE = f"{STAGE}/tree"
# What commands may write without reaching the host.
PRIVATE = ("/run/udev", "/run/iaactl", "/etc/udev/rules.d")
# Also private, but only where the host has them: what its kernel is booted and loaded with.
BOOT, MODULE_OPTIONS, DEFAULTS = "/boot", "/etc/modprobe.d", "/etc/default"
_OF_THE_BOOT_LOADER = {DEFAULTS: ("grub", "grub.d"), "/etc/kernel": ("cmdline",)}


def detach_from_host() -> None:
    """No mount made here shows outside, and none made outside shows here."""
    try:
        syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
    except PermissionError as error:
        # AppArmor, where it restricts user namespaces, lets them be made but not be used.
        raise HostError(
            "mounts cannot be made in a private namespace",
            hint=preflight.namespace_hint(user=True),
        ) from error


def fresh_proc() -> None:
    """A /proc of this PID namespace."""
    try:
        syscalls.mount(
            "proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        )
    except PermissionError as error:
        raise HostError(
            "a private /proc cannot be mounted: parts of the host's /proc are covered",
            hint="run as root, or start the container with an unmasked /proc",
        ) from error


def _empty(path: str) -> None:
    syscalls.mount("tmpfs", path, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755")


def shadow(path: str, without: Iterable[str] = ()) -> None:
    """Put a tmpfs over `path` whose entries are the real ones, except the names in `without`."""
    real = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _empty(path)
    with os.scandir(real) as entries:
        for entry in entries:
            if entry.name in without:
                continue
            target = f"{path}/{entry.name}"
            if entry.is_symlink():
                Path(target).symlink_to(os.readlink(entry.name, dir_fd=real))
                continue
            if entry.is_dir(follow_symlinks=False):
                Path(target).mkdir()
            else:
                os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
            syscalls.bind(f"/proc/self/fd/{real}/{entry.name}", target)
    os.close(real)


def private_directories() -> None:
    """Private directories: empty ones at PRIVATE and STAGE, also where the host has none.

    Those about the host's boot are emptied of what tells about it.
    """
    names = [Path(path).name for path in (*PRIVATE, STAGE) if path.startswith("/run/")]
    shadow("/run", without=names)
    for path in (*PRIVATE, STAGE):
        if Path(path).is_dir():
            _empty(path)
            continue
        if not path.startswith("/run/"):
            parent = next(parent for parent in Path(path).parents if parent.is_dir())
            if parent == Path("/"):
                raise HostError(f"{path} cannot be made private: {Path(path).parts[1]} is missing")
            shadow(str(parent))
        Path(path).mkdir(0o755, parents=True)
    Path(TREE).mkdir()
    for path in (BOOT, MODULE_OPTIONS):
        if Path(path).is_dir():
            _empty(path)
    for path, hidden in _OF_THE_BOOT_LOADER.items():
        if Path(path).is_dir():
            shadow(path, without=hidden)


def put_in_place(binds: Iterable[str], files: Iterable[tuple[str, str]]) -> None:
    """Cover /sys and /dev by the served trees and bind the real entries back below them.

    The real part of /sys is for reading: `udevadm trigger` alone would reach all of the host.

    `binds` are paths relative to the root; `files` are pairs of a generated file and the file
    that it replaces.
    """
    real = {
        name: os.open(f"/{name}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        for name in ("sys", "dev")
    }
    for name in real:
        syscalls.bind(f"{TREE}/{name}", f"/{name}")
    for path in binds:
        top, _, below = path.partition("/")
        try:
            syscalls.bind(f"/proc/self/fd/{real[top]}/{below}", f"/{path}")
            if top == "sys":
                syscalls.read_only(f"/{path}")
        except FileNotFoundError:
            # Gone between listing and binding, as block devices and processes' files go.
            continue
    for descriptor in real.values():
        os.close(descriptor)
    for source, target in files:
        syscalls.bind(source, target)
    syscalls.unmount(TREE)
    Path(TREE).rmdir()
