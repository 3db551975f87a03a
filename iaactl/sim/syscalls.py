"""The Linux system calls that Python 3.11 does not offer, called through the C library.

Every function raises OSError with the errno of the call and, where there is one, the path.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

# statvfs(3) reports these with the values that mount(2) takes.
_MS_NOATIME, _MS_NODIRATIME = 0x400, 0x800
_KEPT = MS_NOSUID | MS_NODEV | MS_NOEXEC | _MS_NOATIME | _MS_NODIRATIME

_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.unshare.argtypes = (ctypes.c_int,)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Move this process (for CLONE_NEWPID: its next child) into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """mount(2); `kind` is the file system type, empty for binds and changes of propagation."""
    _check(
        _libc.mount(
            os.fsencode(source), os.fsencode(target), kind.encode(), flags, data.encode() or None
        ),
        target,
    )


def bind(source: str, target: str) -> None:
    """Make `source` with all that is mounted below it visible at `target`."""
    mount(source, target, "", MS_BIND | MS_REC)


def read_only(target: str) -> None:
    """Let nobody write through the bind mount at `target`, whatever is mounted below it."""
    # A user namespace may not take away what the original mount has.
    inherited = os.statvfs(target).f_flag & _KEPT
    mount("none", target, "", MS_BIND | MS_REMOUNT | MS_RDONLY | inherited)


def unmount(target: str) -> None:
    """Detach what is mounted at `target`; open files keep working."""
    _check(_libc.umount2(os.fsencode(target), MNT_DETACH), target)


def die_with_parent() -> None:
    """Ask for SIGKILL when the parent ends. The caller has to check that it still lives."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def loopback_up() -> None:
    """Set the `lo` interface of this network namespace up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = bytearray(struct.pack("16sh22x", b"lo", 0))
        fcntl.ioctl(control, _SIOCGIFFLAGS, request)
        flags = struct.unpack_from("16xh", request)[0]
        struct.pack_into("16sh", request, 0, b"lo", flags | _IFF_UP)
        fcntl.ioctl(control, _SIOCSIFFLAGS, request)
