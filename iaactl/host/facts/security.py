"""What may stand between a user and a device node besides its permission bits."""

from __future__ import annotations

import re

from iaactl.host.reading import Reading
from iaactl.model.facts import Security

_CHOSEN = re.compile(r"\[(\w+)\]")
_IN_CGROUP = re.compile(r"(kubepods|docker|libpod|lxc|containerd|crio)")


def read_security(read: Reading) -> Security:
    """Lockdown, security modules, container and vfio's denylist."""
    lockdown = _CHOSEN.search(read.text("/sys/kernel/security/lockdown") or "")
    enforcing = read.number("/sys/fs/selinux/enforce", 10)
    denylist = read.text("/sys/module/vfio_pci/parameters/disable_denylist")
    return Security(
        lockdown=lockdown[1] if lockdown else None,
        lsm=read.text("/sys/kernel/security/lsm"),
        selinux_enforcing=None if enforcing is None else enforcing == 1,
        container=_container(read),
        cgroup=read.text("/proc/self/cgroup"),
        vfio_denylist_disabled=None if denylist is None else denylist.strip() in ("Y", "1"),
    )


def _container(read: Reading) -> str | None:
    told = read.text("/run/systemd/container")
    if told:
        return told.strip()
    if read.status("/run/.containerenv"):
        return "podman"
    if read.status("/.dockerenv"):
        return "docker"
    groups = read.text("/proc/self/cgroup")
    if groups is None:
        return None
    match = _IN_CGROUP.search(groups)
    return match[1] if match else ""
