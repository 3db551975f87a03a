"""Users in the account files of a tree, without asking this machine's name service."""

from __future__ import annotations

import re

from iaactl.host.reading import Reading
from iaactl.model.facts import User

HYPERVISOR_USERS = ("libvirt-qemu", "qemu")
"""Who QEMU runs as: Debian and Ubuntu, Fedora and RHEL."""

_ID = re.compile(r"\d{1,10}")


def read_account(read: Reading, name: str) -> User | None:
    """The account of that name in /etc/passwd and /etc/group, None if there is none."""
    entries = (line.split(":") for line in (read.text("/etc/passwd") or "").splitlines())
    entry = next((e for e in entries if len(e) > 3 and e[0] == name), None)
    if entry is None or not (_ID.fullmatch(entry[2]) and _ID.fullmatch(entry[3])):
        return None
    uid, gid = int(entry[2]), int(entry[3])
    groups = (line.split(":") for line in (read.text("/etc/group") or "").splitlines())
    others = {
        int(group[2])
        for group in groups
        if len(group) > 3 and name in group[3].split(",") and _ID.fullmatch(group[2])
    }
    root = uid == 0
    return User(name=name, uid=uid, gids=(gid, *sorted(others - {gid})), bypass=root, raw_io=root)
