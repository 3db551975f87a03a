"""Users of this machine: ids and groups of a name, and of this process."""

from __future__ import annotations

import grp
import os
import pwd

from iaactl.errors import HostError
from iaactl.model.facts import User

_DAC_OVERRIDE = 1 << 1  # CAP_DAC_OVERRIDE, include/uapi/linux/capability.h


def _effective_capabilities() -> int:
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("CapEff:"):
                return int(line.split()[1], 16)
    return 0


def this_user() -> User:
    """The user this process runs as."""
    uid = os.geteuid()
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = str(uid)
    return User(
        name=name,
        uid=uid,
        gids=tuple({os.getegid(), *os.getgroups()}),
        bypass=bool(_effective_capabilities() & _DAC_OVERRIDE),
    )


def named_user(name: str) -> User:
    """A user by login name. Raises HostError if there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise HostError(
            f"there is no user {name} on this machine",
            hint="QEMU runs as libvirt-qemu on Debian and Ubuntu, as qemu on Fedora and RHEL",
        ) from None
    gids = {entry.pw_gid, *(g.gr_gid for g in grp.getgrall() if name in g.gr_mem)}
    return User(name=name, uid=entry.pw_uid, gids=tuple(sorted(gids)), bypass=entry.pw_uid == 0)
