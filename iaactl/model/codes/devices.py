"""Codes about single devices and their owners."""

from __future__ import annotations

from iaactl.model.codes.entry import Code
from iaactl.model.codes.iommu import SVA_CAUSES
from iaactl.model.finding import Severity

CODES = (
    Code(
        "IAA-D001",
        Severity.WARNING,
        "an IAA function has no driver",
        "The function is on the PCI bus and no driver has it, so that there is no iaxN for it. "
        "Binding it is harmless; unbinding an enabled device is not (it crashes some kernels), and "
        "is never a repair.",
        ("intel/idxd-config #7", "recordings of Linux 6.16 and 7.3"),
        ("IAA-K007", "IAA-O003"),
        "modprobe idxd",
    ),
    Code(
        "IAA-D002",
        Severity.NOTICE,
        "an IAA function belongs to another driver",
        "Another driver than idxd has the function.",
        (),
        (),
    ),
    Code(
        "IAA-D003",
        Severity.ERROR,
        "a device has halted",
        "The device met an error it could not go on from. Newer kernels reset it by themselves and "
        "bring back queues that were enabled; older ones need a reboot or a reload of the driver.",
        ("intel/dsa-perf-micros #3",),
        ("IAA-I008",),
        "the kernel log says why; newer kernels reset a halted device by themselves",
    ),
    Code(
        "IAA-D004",
        Severity.ERROR,
        "a device has no user PASID",
        "`pasid_enabled` is 0: the driver could not switch SVA on for the device, and no user work "
        "queue can be enabled (0x80110000), no shared one either (0x800c0000). The reverse proves "
        "nothing on Linux 6.16 and later.",
        ("intel/idxd-config #5, #29", "idxd init: `Unable to turn on user SVA feature`"),
        SVA_CAUSES,
        "find the cause of SVA being off: `iaactl doctor`",
    ),
    Code(
        "IAA-D005",
        Severity.NOTICE,
        "a device is not configurable",
        "The configuration of the device belongs to the host of this virtual machine.",
        (),
        (),
    ),
    Code(
        "IAA-D006",
        Severity.NOTICE,
        "the last command on a device failed",
        "`cmd_status` holds the code of the last device command or of the driver's own refusal, "
        "until the next command. accel-config wipes it by merely listing. Codes below 0x80000000 "
        "are the device's, those above the driver's; accel-config has no text for several.",
        ("include/uapi/linux/idxd.h", "intel-device-plugins-for-kubernetes #1836"),
        (*SVA_CAUSES, "IAA-D004", "IAA-C002", "IAA-W003", "IAA-W006", "IAA-D009"),
    ),
    Code(
        "IAA-D007",
        Severity.WARNING,
        "engines serve no group",
        "An engine in no group does nothing. One engine of eight gives about an eighth of the "
        "throughput and no error; it is the first guess of QPL's maintainers at poor scaling.",
        ("intel/qpl #51",),
        (),
        "put all engines into the group that has the work queues",
    ),
    Code(
        "IAA-D008",
        Severity.WARNING,
        "a group has work queues but no engines, or the reverse",
        "The device refuses to be enabled with code 0x15 while a group has only one of the two.",
        ("device command codes of idxd",),
        (),
        "iaactl apply puts engines and queues into the same group",
    ),
    Code(
        "IAA-D009",
        Severity.WARNING,
        "the sizes of the work queues are more than the device has",
        "The device refuses to be enabled with code 0x14. Left-over sizes of other queues count.",
        ("intel/DML #40",),
        (),
        "iaactl reset DEVICE, then iaactl apply",
    ),
    Code(
        "IAA-O001",
        Severity.NOTICE,
        "iaa_crypto owns work queues",
        "Since Linux 6.8 every IAA device comes up enabled, with one dedicated kernel work queue "
        "that takes all entries, for the kernel's iaa_crypto driver (zswap). User queues then have "
        "no room. Taking the last one away breaks the driver until it is reloaded.",
        ("Documentation/driver-api/crypto/iaa/iaa-crypto.rst", "intel/idxd-config #78"),
        (),
    ),
    Code(
        "IAA-O002",
        Severity.NOTICE,
        "zswap uses IAA",
        "Pages in zswap were compressed through deflate-iaa. Once the last queue of iaa_crypto is "
        "gone, they can only be decompressed in software, if at all.",
        ("Documentation/driver-api/crypto/iaa/iaa-crypto.rst",),
        (),
        "before taking queues from iaa_crypto: choose another zswap compressor, then swapoff -a && "
        "swapon -a",
    ),
    Code(
        "IAA-O003",
        Severity.WARNING,
        "an IAA function is held for vfio-pci or by a driver override",
        "A function bound to vfio-pci, or with a driver_override, has no iaxN. Since May 2024 "
        "vfio-pci refuses IAA itself (INTEL-SA-01084).",
        ("Linux commit 95feb3160eef",),
        (),
        "take it out of the passthrough configuration (driverctl unset-override ADDRESS), then "
        "reboot",
    ),
    Code(
        "IAA-O004",
        Severity.NOTICE,
        "a work queue has clients",
        "Disabling a queue under its clients ends their work. iaactl refuses unless the queue is "
        "named.",
        ("idxd cdev.c",),
        (),
        "end the clients first, or name the queue: --force wqN.M",
    ),
)
