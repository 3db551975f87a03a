"""Users in the account files of a tree, without asking this machine's name service."""

from __future__ import annotations

from iaactl.host.reading import Reading
from iaactl.model.facts import User

HYPERVISOR_USERS = ("libvirt-qemu", "qemu")
"""Who QEMU runs as: Debian and Ubuntu, Fedora and RHEL."""


def read_account(read: Reading, name: str) -> User | None:
    """The account of that name in /etc/passwd and /etc/group, None if there is none."""
    for line in (read.text("/etc/passwd") or "").splitlines():
        fields = line.split(":")
        if (
            len(fields) > 3
            and fields[0] == name
            and fields[2].isdecimal()
            and fields[3].isdecimal()
        ):
            break
    else:
        return None
    uid, gid = int(fields[2]), int(fields[3])
    others = {
        int(group[2])
        for group in (x.split(":") for x in (read.text("/etc/group") or "").splitlines())
        if len(group) > 3 and name in group[3].split(",") and group[2].isdecimal()
    }
    root = uid == 0
    return User(name=name, uid=uid, gids=(gid, *sorted(others - {gid})), bypass=root, raw_io=root)
