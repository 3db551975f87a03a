"""Codes about the machine itself: processor, firmware, virtual machine, container."""

from __future__ import annotations

from iaactl.model.codes.entry import Code
from iaactl.model.finding import Severity

CODES = (
    Code(
        "IAA-N001",
        Severity.ERROR,
        "there is no IAA device",
        "No PCI function on this machine has one of the ids of IAA (8086:0cfe in Sapphire Rapids, "
        "Emerald Rapids and Granite Rapids; 8086:1216 and 8086:b02d in later ones). IAA is part of "
        "Intel Xeon processors since Sapphire Rapids, but not of every model, and some models "
        "offer it only after activation (Intel On Demand). The firmware can hide it. A virtual "
        "machine has one only if its host gives it one.",
        ("PCI id table of the kernel's idxd driver",),
        ("IAA-C003",),
        "use a Xeon of the 4th generation or later with IAA enabled in the BIOS; without hardware, "
        "`iaactl sim run` opens a shell in a simulated machine that has eight",
    ),
    Code(
        "IAA-N002",
        Severity.UNKNOWN,
        "whether there is an IAA device is not known",
        "The tree that was looked at has no list of PCI functions and no dsa bus, so nothing can "
        "be said about devices.",
        (),
        (),
        "collect the facts on the host itself: iaactl doctor --collect FILE.tar.gz",
    ),
    Code(
        "IAA-C001",
        Severity.ERROR,
        "the CPU has no MOVDIR64B",
        "The idxd driver refuses to load without the MOVDIR64B instruction, with which it writes "
        "descriptors; modprobe then says `No such device`. On a processor that has IAA the "
        "instruction is there, so that its absence means a virtual CPU model that hides it, or "
        "another processor.",
        ("idxd init: `idxd driver failed to load without MOVDIR64B`", "recorded on Linux 6.12"),
        (),
        "give the virtual machine a CPU model with movdir64b and enqcmd, e.g. `-cpu host`",
    ),
    Code(
        "IAA-C002",
        Severity.ERROR,
        "the CPU does not offer ENQCMD",
        "Shared work queues are submitted to with ENQCMD or ENQCMDS, and QEMU and Intel QPL use "
        "shared work queues only. The driver loads without the instruction, says `Platform does "
        "not have ENQCMD(S) support` and then refuses every shared queue with code 0x800c0000, "
        "which accel-config words as a platform configuration error. The BIOS has a switch of its "
        "own for it, next to VT-d, and the kernel hides the flag when it has no SVA support.",
        (
            "Documentation/driver-api/crypto/iaa/iaa-crypto.rst",
            "idxd init: `Platform does not have ENQCMD(S) support`",
        ),
        ("IAA-K001",),
        "BIOS: Socket Configuration > IIO Configuration > PCIe ENQCMD > ENQCMDS: Enable; in a "
        "virtual machine: a CPU model with enqcmd",
    ),
    Code(
        "IAA-C003",
        Severity.NOTICE,
        "the processor is no Xeon with IAA",
        "IAA exists in Intel Xeon processors since Sapphire Rapids (family 6, models 143, 207, "
        "173, 174, 175 and later). This one is older, or from another maker.",
        ("Intel's list of processors; the kernel's intel-family.h",),
    ),
    Code(
        "IAA-V001",
        Severity.ERROR,
        "a virtual machine without a virtual IOMMU for PASIDs",
        "User work queues need shared virtual memory, and in a virtual machine that takes a "
        "virtual IOMMU in scalable mode with PASID support, in the hypervisor and in the guest's "
        "kernel. Cloud instances that pass IAA through usually have none: the device is there, "
        "without a performance monitor, and dedicated kernel work queues are all that it can do.",
        ("intel/idxd-config #5, #46",),
        (),
        "use a bare-metal instance, or ask the host for a virtual IOMMU (QEMU: `-device "
        "intel-iommu,scalable-mode=on,fsts=on,svm=on,device-iotlb=on,pasid-bits=20`)",
    ),
    Code(
        "IAA-E001",
        Severity.WARNING,
        "a container that does not see the devices",
        "A container needs the nodes /dev/iax/wqN.M, read access to /sys/bus/dsa and /sys/devices, "
        "and a device rule of its cgroup. /dev/iax appears only after a user work queue is enabled "
        "on the host, so that a container started earlier never has it.",
        ("intel-device-plugins-for-kubernetes #919, #1246",),
        (),
        "enable the queues on the host first, then start the container with the nodes "
        "(`--device /dev/iax/wq1.0`)",
    ),
    Code(
        "IAA-E002",
        Severity.OK,
        "lockdown, security modules and container, for the record",
        "Kernel lockdown does not stop the driver from mapping portals; SELinux and AppArmor can "
        "deny a confined QEMU the nodes although the permission bits allow it.",
    ),
)
