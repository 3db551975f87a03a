"""Units of Intel VT-d and the functions behind them.

Source: Documentation/ABI/testing/sysfs-class-iommu-intel-iommu; the registers are hexadecimal
without a prefix.
"""

from __future__ import annotations

from collections.abc import Iterable

from iaactl.host.reading import Reading
from iaactl.model.facts import Iommu, IommuUnit

_TABLES = "/sys/firmware/acpi/tables"


def read_iommu(read: Reading, functions: Iterable[str]) -> Iommu:
    """Units with their registers, and the unit of each of `functions` (PCI addresses)."""
    names = read.listing("/sys/class/iommu")
    units = None
    if names is not None:
        units = tuple(_unit(read, name) for name in names if name.startswith("dmar"))
    unit_of = {}
    for address in functions:
        name = read.link_name(f"/sys/bus/pci/devices/{address}/iommu")
        if name is not None:
            unit_of[address] = name
    tables = read.listing(_TABLES)
    return Iommu(
        units=units, unit_of=unit_of, dmar_table=None if tables is None else "DMAR" in tables
    )


def _unit(read: Reading, name: str) -> IommuUnit:
    folder = f"/sys/class/iommu/{name}/intel-iommu"
    return IommuUnit(
        name=name,
        address=read.text(f"{folder}/address"),
        cap=read.number(f"{folder}/cap", 16),
        ecap=read.number(f"{folder}/ecap", 16),
    )
