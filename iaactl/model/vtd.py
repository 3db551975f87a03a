"""Bits of VT-d's capability registers that shared virtual memory needs.

Source: Intel Virtualization Technology for Directed I/O, registers CAP_REG and ECAP_REG.
"""

from __future__ import annotations

CAP_FL1GP = 56
CAP_FL5LP = 60
ECAP_PRS = 29
ECAP_PASID = 40
ECAP_SMTS = 43
ECAP_FLTS = 47
ECAP_SMPWC = 48

NEEDED = {
    ECAP_SMTS: "SMTS (scalable mode)",
    ECAP_PASID: "PASID",
    ECAP_FLTS: "FLTS (first-level translation)",
}
"""Bits of `ecap` without which no kernel does SVA."""
WANTED = {
    ECAP_PRS: "PRS (page requests)",
    ECAP_SMPWC: "SMPWC (coherent page walks)",
}
"""Bits that some kernels insist on and others do not."""


def insisted_on(release: tuple[int, int, int] | None) -> dict[int, str]:
    """Those of WANTED without which a kernel of this release most likely does no SVA.

    Recorded: without page requests 6.12 and 6.16 refuse and 7.3 does not; without coherent walks
    6.16 does not refuse, 7.3 does, and 6.12 from .101 on by its changelog.
    """
    if release is None:
        return {}
    bits = [ECAP_PRS] if release < (7, 0, 0) else []
    if release >= (7, 1, 0) or (release[:2] == (6, 12) and release[2] >= 101):
        bits.append(ECAP_SMPWC)
    return {bit: WANTED[bit] for bit in bits}


def missing(ecap: int, bits: dict[int, str]) -> list[str]:
    """Names of the bits that are not set, with their numbers."""
    return [f"bit {bit} {name}" for bit, name in bits.items() if not ecap >> bit & 1]
