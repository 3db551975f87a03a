"""Users of this machine: ids and groups of a name, and of this process."""

from __future__ import annotations

import grp
import os
import pwd

from iaactl.errors import HostError, PermissionMissing
from iaactl.host.facts.accounts import HYPERVISOR_USERS
from iaactl.model.facts import User

_DAC_OVERRIDE = 1 << 1  # CAP_DAC_OVERRIDE, include/uapi/linux/capability.h
_SYS_RAWIO = 1 << 17


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
    capabilities = _effective_capabilities()
    return User(
        name=name,
        uid=uid,
        gids=tuple({os.getegid(), *os.getgroups()}),
        bypass=bool(capabilities & _DAC_OVERRIDE),
        raw_io=bool(capabilities & _SYS_RAWIO),
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
    others = sorted({g.gr_gid for g in grp.getgrall() if name in g.gr_mem} - {entry.pw_gid})
    gids = (entry.pw_gid, *others)  # the primary group first
    root = entry.pw_uid == 0
    return User(name=name, uid=entry.pw_uid, gids=gids, bypass=root, raw_io=root)


def hypervisor_users() -> tuple[User, ...]:
    """The accounts that libvirt runs QEMU as, those that are here."""
    found = []
    for name in HYPERVISOR_USERS:
        try:
            found.append(named_user(name))
        except HostError:
            continue
    return tuple(found)


def become(user: User) -> None:
    """Take on groups and ids of a user for good. Raises PermissionMissing without the right to."""
    try:
        os.setgroups(list(user.gids))
        os.setresgid(user.gids[0], user.gids[0], user.gids[0])
        os.setresuid(user.uid, user.uid, user.uid)
    except OSError as error:
        raise PermissionMissing(
            f"this process cannot become {user.name}: {error.strerror}",
            hint="run it as root: sudo iaactl selftest --user ...",
        ) from error
