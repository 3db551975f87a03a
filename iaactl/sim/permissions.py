"""Who may open what: the permission bits of a node against the process that asks.

The kernel would check this itself (`default_permissions`), but then it asks for the attributes of
every directory on the way to a file, at each access; that made every command several times slower.
"""

from __future__ import annotations

from iaactl.sim.kernfs import Caller, Node

READ, WRITE = 4, 2
# include/uapi/linux/capability.h
_DAC_OVERRIDE = 1
SYSLOG = 34


def _status(pid: int) -> dict[str, str]:
    try:
        with open(f"/proc/{pid}/status") as file:
            return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    except OSError:
        return {}


def permitted(node: Node, caller: Caller, wanted: int) -> bool:
    """Whether `caller` may access `node` with all of the bits READ and WRITE that are wanted."""
    if caller.uid == node.uid and node.mode >> 6 & wanted == wanted:
        return True
    if caller.uid != node.uid and caller.gid != node.gid and node.mode & wanted == wanted:
        # A supplementary group can take this away, which nobody does with these nodes.
        return True
    status = _status(caller.pid)
    groups = {caller.gid, *map(int, status.get("Groups", "").split())}
    if caller.uid != node.uid and node.gid in groups and node.mode >> 3 & wanted == wanted:
        return True
    return _has(status, _DAC_OVERRIDE)


def _has(status: dict[str, str], capability: int) -> bool:
    return bool(int(status.get("CapEff", "0"), 16) >> capability & 1)


def capable(caller: Caller, capability: int) -> bool:
    """Whether `caller` has a capability; root has all while nobody can say so of the process."""
    status = _status(caller.pid)
    return _has(status, capability) if status else caller.uid == 0
