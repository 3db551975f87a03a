"""Whether ATS, PASID and PRI are switched on in a function's configuration space.

Source: PCI Express Base Specification, extended capabilities 0x0f (ATS), 0x13 (PRI) and 0x1b
(PASID). Beyond the first 64 bytes only root may read.
"""

from __future__ import annotations

from iaactl.host.reading import Reading
from iaactl.model.facts import PciState

_EXTENDED = 0x100
_ATS, _PRI, _PASID = 0x0F, 0x13, 0x1B
# Offset of the control register in the capability, and its enable bit.
_CONTROL = {_ATS: (6, 1 << 15), _PRI: (4, 1), _PASID: (6, 1)}


def read_pci(read: Reading, address: str) -> PciState:
    """State of one function; a capability that it does not have counts as off."""
    data = read.data(f"/sys/bus/pci/devices/{address}/config") or b""
    if len(data) <= _EXTENDED + 4:
        return PciState(address=address)
    enabled = dict.fromkeys(_CONTROL, False)
    at, visited = _EXTENDED, set()
    while at >= _EXTENDED and at + 8 <= len(data) and at not in visited:
        visited.add(at)
        header = int.from_bytes(data[at : at + 4], "little")
        kind = header & 0xFFFF
        if kind in _CONTROL:
            offset, bit = _CONTROL[kind]
            control = int.from_bytes(data[at + offset : at + offset + 2], "little")
            enabled[kind] = bool(control & bit)
        at = header >> 20
    return PciState(address=address, ats=enabled[_ATS], pasid=enabled[_PASID], pri=enabled[_PRI])
