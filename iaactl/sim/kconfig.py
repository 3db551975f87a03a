"""How the simulated machine's kernel was built: the options that IAA depends on.

As a distribution builds it. Named as in Linux' Kconfig, without CONFIG_.
"""

from __future__ import annotations

from collections.abc import Mapping

DEFAULTS: Mapping[str, str] = {
    "X86_64": "y",
    "X86_X2APIC": "y",
    "IRQ_REMAP": "y",
    "IOMMU_SVA": "y",
    "DMAR_TABLE": "y",
    "INTEL_IOMMU": "y",
    "INTEL_IOMMU_SVM": "y",
    "INTEL_IOMMU_DEFAULT_ON": "n",
    "INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON": "n",
    "PCI_ATS": "y",
    "PCI_PRI": "y",
    "PCI_PASID": "y",
    "DMADEVICES": "y",
    "INTEL_IDXD_BUS": "m",
    "INTEL_IDXD": "m",
    "INTEL_IDXD_SVM": "y",
    "INTEL_IDXD_PERFMON": "y",
    "CRYPTO_DEV_IAA_CRYPTO": "m",
    "VFIO_PCI": "m",
    "ZSWAP": "y",
}


def text(release: str, options: Mapping[str, str]) -> str:
    """What stands in /boot/config-RELEASE."""
    lines = [
        "#",
        "# Automatically generated file; DO NOT EDIT.",
        f"# Linux/x86 {release.partition('-')[0]} Kernel Configuration",
        "#",
    ]
    lines += [
        f"# CONFIG_{name} is not set" if value == "n" else f"CONFIG_{name}={value}"
        for name, value in options.items()
    ]
    return "\n".join(lines) + "\n"
