"""Loaded modules as /sys/module and /proc/modules show them."""

from __future__ import annotations

from collections.abc import Collection

from iaactl.sim.kernfs import Attribute, Directory, Link

SIZES = {"vfio_pci": 20480, "iaa_crypto": 61440, "idxd": 172032, "idxd_bus": 20480}
"""Bytes of code and data of each, in the order of /proc/modules: the last loaded first."""
_NEEDS = {"iaa_crypto": ("idxd", "idxd_bus"), "idxd": ("idxd_bus",)}


def _users(name: str, loaded: Collection[str]) -> list[str]:
    return [user for user in SIZES if user in loaded and name in _NEEDS.get(user, ())]


def listing(loaded: Collection[str]) -> str:
    """The text of /proc/modules."""
    lines = []
    for name in (name for name in SIZES if name in loaded):
        users = _users(name, loaded)
        named = "".join(f"{user}," for user in users) or "-"
        lines.append(f"{name} {SIZES[name]} {len(users)} {named} Live 0x0000000000000000\n")
    return "".join(lines)


def add(modules: Directory, name: str) -> Directory:
    """Show a module that was just loaded; returns its directory."""
    directory = modules.add(name, Directory())
    size = SIZES[name]
    directory.add("coresize", Attribute(lambda: b"%d\n" % size))
    directory.add("initsize", Attribute(lambda: b"0\n"))
    directory.add("initstate", Attribute(lambda: b"live\n"))
    directory.add("refcnt", Attribute(lambda: b"%d\n" % len(_users(name, modules.children))))
    directory.add("taint", Attribute(lambda: b"\n"))
    directory.add("holders", Directory())
    for needed in _NEEDS.get(name, ()):
        modules.directory(f"{needed}/holders").add(name, Link(f"../../{name}"))
    return directory


def remove(modules: Directory, name: str) -> None:
    """A module was unloaded."""
    modules.remove(name)
    for needed in _NEEDS.get(name, ()):
        modules.directory(f"{needed}/holders").remove(name)
