"""Codes about VT-d and shared virtual memory (SVA)."""

from __future__ import annotations

from iaactl.model.codes.entry import Code
from iaactl.model.finding import Severity

SVA_CAUSES = (
    "IAA-V001", "IAA-I001", "IAA-I002", "IAA-I003", "IAA-I004", "IAA-I006", "IAA-I009", "IAA-I011",
    "IAA-K001", "IAA-K002", "IAA-K003",
)  # fmt: skip
"""What can be the reason that user work queues cannot be enabled or opened."""

_BOOT = ("IAA-B001", "IAA-B002", "IAA-B003", "IAA-B004", "IAA-K001")

CODES = (
    Code(
        "IAA-I001",
        Severity.ERROR,
        "the IOMMU is off",
        "The kernel runs no unit of VT-d. Either the BIOS has VT-d off, then the firmware gives no "
        "DMAR table, or the kernel was not asked: `intel_iommu=on` is needed where the kernel is "
        "not built with it as the default. Up to about Linux 6.12 the driver then says `Unable to "
        "turn on user SVA feature` and pasid_enabled is 0; later kernels let everything be enabled "
        "and opening a queue fails with ENODEV.",
        (
            "intel/idxd-config #5, #15, #29, #78",
            "recordings of Linux 6.12, 6.16 and 7.3 without an IOMMU",
        ),
        _BOOT,
        "boot with `intel_iommu=on,sm_on`",
    ),
    Code(
        "IAA-I002",
        Severity.ERROR,
        "the IOMMU is not in scalable mode",
        "PASIDs, and so user work queues, need scalable mode: `intel_iommu=on,sm_on`, unless the "
        "kernel is built with CONFIG_INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON. The registers show what "
        "a unit could do, not the mode it is in. Since Linux 6.16 everything can be enabled in "
        "legacy mode and opening a queue fails with ENOSPC.",
        (
            "intel-technology-enabling-for-openshift #307",
            "recordings of Linux 6.16 and 7.3 in legacy mode",
        ),
        _BOOT,
        "boot with `intel_iommu=on,sm_on`",
    ),
    Code(
        "IAA-I003",
        Severity.ERROR,
        "5-level paging, which the IOMMU unit cannot walk",
        "The CPU runs with 5-level page tables (flag la57), and the unit in front of the device "
        "cannot use 5-level tables (bit 60 of `cap` is 0). The kernel then switches SVA off for "
        "the unit: `DMAR: dmarN SVM disabled, incompatible paging mode`. The argument `no5lvl` has "
        "cured this for some; it was also seen in the command line of machines that still failed, "
        "so it is no cure for anything else.",
        ("intel/qpl #50", "intel/idxd-config #46", "drivers/iommu/intel/svm.c"),
        ("IAA-B004", "IAA-B005"),
        "boot with `no5lvl` (spelt so), which gives up addresses above 128 TiB",
    ),
    Code(
        "IAA-I004",
        Severity.ERROR,
        "the IOMMU unit lacks 1 GiB pages",
        "The CPU uses pages of 1 GiB and the unit cannot (bit 56 of `cap` is 0): `DMAR: dmarN SVM "
        "disabled, incompatible 1GB page capability`. Typical of a virtual IOMMU or a firmware "
        "fault; no argument for the kernel is known to cure it.",
        ("drivers/iommu/intel/svm.c",),
        (),
        "update the firmware, or the hypervisor whose virtual IOMMU it is",
    ),
    Code(
        "IAA-I005",
        Severity.NOTICE,
        "the IOMMU units differ",
        "`DMAR: IOMMU feature pasid inconsistent` only says that not all units can do the same. "
        "What counts is the unit in front of the IAA device.",
        ("intel/dsa-perf-micros #2", "intel-device-plugins-for-kubernetes #1836"),
    ),
    Code(
        "IAA-I006",
        Severity.ERROR,
        "the IOMMU unit in front of the device lacks a capability",
        "Shared virtual memory needs of the unit: scalable mode (SMTS, bit 43 of `ecap`), PASID "
        "(bit 40) and first-level translation (FLTS, bit 47); some kernels insist on coherent "
        "walks (SMPWC, bit 48: 6.12.101 and later of that series, 7.1) or on page requests (PRS, "
        "bit 29: before 7.0). Firmware can hide them, and a virtual IOMMU may lack them.",
        ("intel-device-plugins-for-kubernetes #1836", "recordings of Linux 6.16 and 7.3"),
        (),
        "look in the BIOS for PASID, ATS and PRS of the IIO; update the firmware",
    ),
    Code(
        "IAA-I007",
        Severity.WARNING,
        "the IOMMU complains about page requests",
        "The kernel log has `Page request without PASID` or `Invalid page request`: firmware and "
        "kernel disagree about the PASID state of a device. Seen together with time-outs.",
        ("intel/dsa-perf-micros #2",),
        (),
        "update firmware and kernel",
    ),
    Code(
        "IAA-I008",
        Severity.WARNING,
        "DMA faults with a reserved field in a table of the IOMMU",
        "`fault reason 0x3a SM: Non-zero reserved field set in Root Entry` followed by `idxd "
        "halted, need FLR` was reported on some machines; the cause is not known publicly.",
        ("intel/dsa-perf-micros #3",),
        (),
        "update firmware and kernel",
    ),
    Code(
        "IAA-I009",
        Severity.ERROR,
        "the kernel cannot bind a process's memory, and no fact says why",
        "Opening a queue or switching user PASIDs on failed, and nothing that could be read "
        "explains it. The kernel log of the boot usually does: look for DMAR, SVM and idxd.",
        (),
        (),
        "journalctl -k -b | grep -iE 'dmar|svm|idxd', and run `iaactl doctor` as root",
    ),
    Code(
        "IAA-I010",
        Severity.OK,
        "the IOMMU unit in front of the device can do SVA",
        "All capability bits that SVA needs are there. That is what the hardware can do; only "
        "opening a queue shows that it does.",
    ),
    Code(
        "IAA-I011",
        Severity.ERROR,
        "ATS or PASID is not switched on for the device",
        "The unit in front of the device can do SVA, but the kernel did not switch address "
        "translation services (ATS) or PASIDs on in the device's configuration space; opening a "
        "queue then fails with EINVAL. The firmware can keep them off, and so can a bridge on the "
        "way that does not pass PASIDs. Only root can read the switches.",
        ("recordings of Linux 6.16 and 7.3 without ATS and without PASID prefixes",),
        (),
        "look in the BIOS for ATS and PASID of the IIO; update the firmware",
    ),
)
