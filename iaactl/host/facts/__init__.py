"""Facts below a root directory, one subject a module; nothing here changes or decides anything."""

from __future__ import annotations

import re
from collections.abc import Iterable

from iaactl.host.facts.accounts import HYPERVISOR_USERS, read_account
from iaactl.host.facts.boot import read_boot
from iaactl.host.facts.cpu import read_cpu
from iaactl.host.facts.iommu import read_iommu
from iaactl.host.facts.kernel import read_kernel
from iaactl.host.facts.memory import read_memory, read_zswap
from iaactl.host.facts.pci import read_pci
from iaactl.host.facts.security import read_security
from iaactl.host.facts.udev_rules import read_udev_rules
from iaactl.host.reading import Reading
from iaactl.model.facts import AccelConfigFile, Facts
from iaactl.ports import Files

_SAVED = "/etc/accel-config/accel-config.conf"
_LATENCY = "/sys/kernel/debug/iommu/intel/dmar_perf_latency"


def read_facts(files: Files, functions: Iterable[str], *, users: bool = True) -> Facts:
    """Everything that files tell. `functions` are the PCI addresses of IAA functions.

    With `users` the accounts of the tree are read; without, they are somebody else's to add.
    """
    read = Reading(files)
    addresses = tuple(functions)
    saved = read.text(_SAVED)
    latency = re.search(r"^.*svm_prq.*$", read.text(_LATENCY) or "", re.MULTILINE)
    accounts = (read_account(read, name) for name in HYPERVISOR_USERS) if users else ()
    perfmon = read.listing("/sys/bus/event_source/devices")
    return Facts(
        cpu=read_cpu(read),
        kernel=read_kernel(read),
        boot=read_boot(read),
        iommu=read_iommu(read, addresses),
        pci=tuple(read_pci(read, address) for address in addresses),
        pci_listed=read.listing("/sys/bus/pci/devices") is not None,
        security=read_security(read),
        memory=read_memory(read),
        zswap=read_zswap(read),
        perfmon=None if perfmon is None else tuple(n for n in perfmon if n.startswith("iax")),
        fault_latency=latency[0].strip() if latency else None,
        udev_rules=read_udev_rules(read),
        accel_config_file=None if saved is None else AccelConfigFile(path=_SAVED, text=saved),
        hypervisor_users=tuple(account for account in accounts if account is not None),
        denied=tuple(read.denied),
    )
