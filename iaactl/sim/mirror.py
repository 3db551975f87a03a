"""The real /sys and /dev bound through: mount points for what the machine does not have itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from iaactl.sim import kernfs

# Subsystems that belong to the simulated machine alone, also while it has nothing there.
HIDDEN = (
    "sys/bus/dsa",
    "sys/bus/iax",
    "sys/bus/pci",
    "sys/devices/system/node",
    "sys/module/idxd",
    "sys/module/idxd_bus",
    "sys/module/iaa_crypto",
    "sys/module/vfio_pci",
    "sys/kernel/iommu_groups",
    "sys/class/iommu",
    "sys/devices/virtual/iommu",
    "sys/firmware/acpi/tables/DMAR",
    "dev/iax",
    "dev/dsa",
)
# Directories in which the machine's entries stand among the real ones; any other directory that
# both have is the machine's.
_SHARED = (
    "sys",
    "sys/bus",
    "sys/bus/event_source",
    "sys/bus/event_source/devices",
    "sys/class",
    "sys/dev",
    "sys/dev/char",
    "sys/devices",
    "sys/devices/system",
    "sys/devices/system/cpu",
    "sys/devices/virtual",
    "sys/firmware",
    "sys/firmware/acpi",
    "sys/firmware/acpi/tables",
    "sys/kernel",
    "sys/module",
    "dev",
)


def _is_real_cpu(path: str, own: Sequence[kernfs.Directory]) -> bool:
    """A CPU directory of the host that must not show beside a simulated topology."""
    if not fnmatchcase(path, "sys/devices/system/cpu/cpu[0-9]*"):
        return False
    return any("online" in layer.children for layer in own)


def mirror(
    base: kernfs.Directory, own: Sequence[kernfs.Directory], path: str, real: str
) -> list[str]:
    """Fill `base` with mount points for the entries of the directory `real`.

    `own` are the same directory in the trees that the machine provides; their entries win.
    Returns the paths, relative to the root, on which the real entries are to be bound.
    """
    binds: list[str] = []
    with os.scandir(real) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            below = f"{path}/{entry.name}"
            if below in HIDDEN or _is_real_cpu(below, own):
                continue
            inner = [
                child for layer in own if (child := layer.children.get(entry.name)) is not None
            ]
            if entry.is_symlink():
                if not inner:
                    base.add(entry.name, kernfs.Link(str(Path(entry.path).readlink())))
            elif entry.is_dir() and (below in _SHARED or not inner):
                directory = base.directory(entry.name)
                if below in _SHARED:
                    layers = [node for node in inner if isinstance(node, kernfs.Directory)]
                    binds += mirror(directory, layers, below, entry.path)
                else:
                    binds.append(below)
            elif not inner:
                base.add(entry.name, kernfs.Attribute(mode=0o444))
                binds.append(below)
    return binds
