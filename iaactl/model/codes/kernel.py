"""Codes about the kernel: version, configuration, modules, command line."""

from __future__ import annotations

from iaactl.model.codes.entry import Code
from iaactl.model.finding import Severity

_SVA_PATCHES = (
    "CVE-2025-71089 (iommu: disable SVA when CONFIG_X86 is set)",
    "CVE-2025-71202 (the fix, which turns SVA on again)",
    "endlessm/linux pull request 640",
)

CODES = (
    Code(
        "IAA-K001",
        Severity.ERROR,
        "the kernel is built without something that IAA needs",
        "The driver needs CONFIG_INTEL_IDXD, user work queues also CONFIG_INTEL_IDXD_SVM, "
        "CONFIG_INTEL_IOMMU, CONFIG_INTEL_IOMMU_SVM, CONFIG_PCI_ATS, CONFIG_PCI_PRI and "
        "CONFIG_PCI_PASID. A kernel without them says nothing about it in its log.",
        ("Documentation/driver-api/crypto/iaa/iaa-crypto.rst", "intel/dsa-perf-micros"),
        (),
        "boot a distribution kernel that has them, or build with them",
    ),
    Code(
        "IAA-K002",
        Severity.ERROR,
        "SVA is switched off by a parameter of idxd",
        "The parameter `sva` of the idxd module is off: the driver then gives no user a PASID, no "
        "user work queue can be enabled, and the log says `User forced SVA off via module param`.",
        ("idxd init.c", "recordings of the driver with sva=0"),
        (),
        "take `sva=0` out of /etc/modprobe.d or the command line (idxd.sva=0) and reload the "
        "module",
    ),
    Code(
        "IAA-K003",
        Severity.ERROR,
        "this kernel has SVA disabled",
        "Around the turn of the year 2025/26 stable kernels and distributions took a patch that "
        "turns SVA off on x86, because the IOMMU could keep stale translations of kernel memory "
        "(CVE-2025-71089). Work queues can be configured and enabled as before, but opening one "
        "fails with EOPNOTSUPP, and the log says `pasid allocation failed: -95`. The fix proper "
        "(CVE-2025-71202) turns SVA on again: it is in 6.18.7 and 6.19 and in what vendors took it "
        "into. No option on the kernel command line helps. Seen on 6.12.64 and later of the 6.12 "
        "series, Debian 6.12.69 and later, Ubuntu 6.17.0-22 and later.",
        _SVA_PATCHES,
        (),
        "boot a kernel with the fix: 6.18.7, 6.19 or later, or your vendor's update that names "
        "CVE-2025-71202; no boot option brings SVA back",
    ),
    Code(
        "IAA-K004",
        Severity.UNKNOWN,
        "whether SVA works is not proven",
        "Since Linux 6.16 `pasid_enabled` is 1 and every queue can be enabled even without any "
        "IOMMU, and kernels with the patch for CVE-2025-71089 refuse only when a queue is opened. "
        "The one proof is to open an enabled user work queue and to run a descriptor.",
        ("recordings of Linux 6.16 and 7.3 without an IOMMU",),
        (),
        "`iaactl apply qemu-migration`, then `iaactl doctor` as the user who runs QEMU (`sudo "
        "iaactl doctor --user NAME`) opens every queue",
    ),
    Code(
        "IAA-K005",
        Severity.OK,
        "no in-kernel DMA with PASID",
        "The log line `No in-kernel DMA with PASID` is about the kernel's own work queues (crypto, "
        "dmaengine). User work queues do not need it.",
        ("idxd init.c",),
    ),
    Code(
        "IAA-K006",
        Severity.WARNING,
        "the kernel is too old for IAA",
        "IAA in user space needs Linux 5.18: from 5.13 to 5.17 ENQCMD was switched off. IAA 2.0 "
        "needs 6.3 or later.",
        ("Intel QPL documentation, system requirements",),
        (),
        "boot Linux 5.18 or later, 6.3 for IAA 2.0",
    ),
    Code(
        "IAA-K007",
        Severity.ERROR,
        "the idxd driver is not loaded",
        "There are IAA functions on the PCI bus, but the idxd module is not loaded. accel-config "
        "then shows nothing, and a container runtime finds no /dev/dsa.",
        ("intel-device-plugins-for-kubernetes #919",),
        ("IAA-K001", "IAA-K009", "IAA-K010", "IAA-C001"),
        "modprobe idxd",
    ),
    Code(
        "IAA-K008",
        Severity.NOTICE,
        "this kernel may crash when a device is disabled",
        "In Linux 6.12 from .80 on, and until the check came back in a later release, disabling a "
        "device without an event log (all IAA 1.0) dereferences a null pointer: the process that "
        "disables it is killed, and the driver stays locked. Seen on 6.12.107 in a virtual machine "
        "with an emulated device; not tried on hardware.",
        ("Linux 6.12.80, `Fix leaking event log memory`; recorded on 6.12.107",),
        (),
        "before you reconfigure a device, move to a kernel where it is fixed (6.16 is), or be "
        "ready to reboot",
    ),
    Code(
        "IAA-K009",
        Severity.WARNING,
        "a file or the command line keeps idxd from loading",
        "A `blacklist` or `install` line of modprobe.d, or module_blacklist= or "
        "modprobe.blacklist= on the command line, names idxd.",
        (),
        (),
        "remove the line, then `modprobe idxd`",
    ),
    Code(
        "IAA-K010",
        Severity.ERROR,
        "the idxd module is not installed for this kernel",
        "The list of modules of the running kernel does not have idxd. Distributions with a small "
        "kernel package keep it in an additional one.",
        (),
        (),
        "install the package with the additional modules (Ubuntu: linux-modules-extra-$(uname -r); "
        "Fedora: kernel-modules)",
    ),
    Code(
        "IAA-B001",
        Severity.WARNING,
        "`sm_on` stands alone on the command line",
        "The kernel reads options of the IOMMU from one argument with commas, "
        "`intel_iommu=on,sm_on`. As an argument of its own `sm_on` is ignored.",
        ("drivers/iommu/intel/iommu.c, intel_iommu_setup",),
        (),
        "write `intel_iommu=on,sm_on` as one argument",
    ),
    Code(
        "IAA-B002",
        Severity.ERROR,
        "the command line switches the IOMMU off",
        "`intel_iommu=off` or `iommu=off` is on the kernel command line. Arguments are read from "
        "left to right, a later one wins.",
        ("drivers/iommu/intel/iommu.c, intel_iommu_setup",),
        (),
        "take the argument out; `intel_iommu=on,sm_on` is what user work queues need",
    ),
    Code(
        "IAA-B003",
        Severity.WARNING,
        "the command line switches scalable mode off",
        "`sm_off` in `intel_iommu=` keeps the IOMMU in legacy mode, in which there are no PASIDs.",
        ("drivers/iommu/intel/iommu.c, intel_iommu_setup",),
        (),
        "write `intel_iommu=on,sm_on`",
    ),
    Code(
        "IAA-B004",
        Severity.WARNING,
        "the boot loader's files and the running kernel disagree",
        "A file that the boot loader is configured by has an argument for the IOMMU or for paging "
        "that the running kernel was not booted with: the configuration was edited but not "
        "generated anew, the machine was not rebooted, or another entry was booted.",
        (),
        (),
        "update-grub (Debian, Ubuntu) or grub2-mkconfig -o /boot/grub2/grub.cfg (Fedora, RHEL), "
        "then reboot",
    ),
    Code(
        "IAA-B005",
        Severity.WARNING,
        "a misspelt argument on the command line",
        "The argument that keeps the kernel from 5-level paging is `no5lvl`. Others, such as "
        "`nolvl5`, are ignored without a word.",
        ("Documentation/admin-guide/kernel-parameters.txt",),
        (),
        "write `no5lvl`",
    ),
    Code(
        "IAA-S001",
        Severity.NOTICE,
        "others than root may submit to an IAA 1.0 device",
        "A logic fault in DSA and IAA 1.0 lets a process that may submit work disturb the device "
        "for others, also across virtual machines (INTEL-SA-01084, CVE-2024-21823). Intel's advice "
        "is to give the devices to trusted software only. Kernels with the fix refuse to map the "
        "portal without CAP_SYS_RAWIO and check what is submitted through write(2).",
        ("INTEL-SA-01084", "CVE-2024-21823"),
        (),
        "grant queues to trusted processes only; treat a shared work queue as one trust domain",
    ),
    Code(
        "IAA-S002",
        Severity.NOTICE,
        "SVA works, with the stale-translation fault",
        "SVA on x86 could leave the IOMMU with stale translations of kernel memory "
        "(CVE-2025-71089, CVE-2025-71202). This kernel's version is before the fix, unless the "
        "distribution took it in. The first patch for it disables SVA, and user work queues with "
        "it: a routine update can end them.",
        _SVA_PATCHES,
        (),
        "move to 6.18.7, 6.19 or later, or to a vendor's kernel that names CVE-2025-71202",
    ),
    Code(
        "IAA-S003",
        Severity.WARNING,
        "vfio-pci's denylist is switched off",
        "IAA is on vfio-pci's denylist since May 2024 because of INTEL-SA-01084. With "
        "disable_denylist=1 a device can be given to a virtual machine that can then disturb the "
        "host.",
        ("INTEL-SA-01084", "Linux commit 95feb3160eef"),
        (),
        "take `disable_denylist=1` out of /etc/modprobe.d",
    ),
    Code(
        "IAA-S004",
        Severity.WARNING,
        "every user may submit to a work queue",
        "The node can be opened by everybody. On IAA 1.0 any local user can then disturb the "
        "device, and on any version fill the queue.",
        ("INTEL-SA-01084",),
        (),
        "grant one group with `access` in a profile, then `iaactl apply`",
    ),
    Code(
        "IAA-S005",
        Severity.NOTICE,
        "the kernel is probably without the fix for INTEL-SA-01084",
        "The fix came with Linux 6.8.10 and 6.9, and distributions took it into older ones. "
        "Without it everybody who may open a node can map the portal of a device with the fault.",
        ("INTEL-SA-01084", "Linux commits e11452eb071b, 6827738dc684"),
        (),
        "update the kernel; until then grant queues to trusted processes only",
    ),
)
