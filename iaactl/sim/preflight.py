"""What the host must offer for a simulated machine, asked before anything is changed."""

from __future__ import annotations

import os
from pathlib import Path

from iaactl.errors import HostError
from iaactl.sim import fuse, syscalls

_CAP_SYS_ADMIN = 21
NAMESPACES = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID


def needs_user_namespace() -> bool:
    """Whether this process lacks the privilege to make mounts as it is."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return not int(value, 16) >> _CAP_SYS_ADMIN & 1
    return os.geteuid() != 0


def enter(user: bool) -> None:
    """Put this process into new namespaces; with `user`, as the root of a new user namespace."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        syscalls.unshare(NAMESPACES | (syscalls.CLONE_NEWUSER if user else 0))
    except OSError as error:
        raise HostError(
            f"private namespaces cannot be made: {error.strerror}", hint=namespace_hint(user)
        ) from error
    if not user:
        return
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        raise HostError(
            f"the user namespace cannot be given a user: {error.strerror}",
            hint=namespace_hint(user),
        ) from error


def namespace_hint(user: bool, settings: Path = Path("/proc/sys")) -> str:
    """What to do where private namespaces are refused; `settings` are the kernel's sysctl files."""
    if not user:
        return "run it outside of the container, or give the container CAP_SYS_ADMIN"
    for name, closed, setting in (
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ):
        file = settings / name
        if file.exists() and file.read_text().strip() == closed:
            return f"run it as root, or allow user namespaces: sysctl {setting}"
    return "run it as root, or allow user namespaces for this user"


def check_fuse() -> None:
    """HostError unless /dev/fuse opens for this user and libfuse3 and mfusepy load."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError as error:
        raise HostError("/dev/fuse is missing", hint="modprobe fuse") from error
    except PermissionError as error:
        raise HostError(
            "/dev/fuse is not open to this user",
            hint="run it as root, or `chmod 666 /dev/fuse` as most distributions have it",
        ) from error
    except OSError as error:
        raise HostError(
            f"/dev/fuse cannot be opened: {error.strerror}", hint="modprobe fuse"
        ) from error
    fuse.load_library()
