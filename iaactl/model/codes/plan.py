"""Codes about a profile on a machine, as `plan` and `apply` report them."""

from __future__ import annotations

from iaactl.model.codes.entry import Code
from iaactl.model.codes.iommu import SVA_CAUSES
from iaactl.model.finding import Severity

_ERROR = Severity.ERROR

CODES = (
    Code("IAA-P001", _ERROR, "an entry of the profile matches no device",
         "Names are not stable across machines and boots; PCI addresses and sockets are.",
         (), ("IAA-N001", "IAA-K007", "IAA-D001"),
         "`iaactl list` shows names, NUMA nodes and sockets"),
    Code("IAA-P002", _ERROR, "the profile wants more devices than are left",
         "count and count_per_socket take devices that no entry before took."),
    Code("IAA-P003", _ERROR, "a device is not configurable",
         "Its configuration belongs to the host of this virtual machine.", (), (),
         "configure the work queue on the host, or use it as `iaactl list` shows it"),
    Code("IAA-P004", _ERROR, "work queue sizes or thresholds do not fit the device",
         "All work queues of a device share its entries (128 on IAA 1.0)."),
    Code("IAA-P005", _ERROR, "a group, engine or work queue index that the device does not have",
         "Devices differ in how many engines, groups and work queues they have."),
    Code("IAA-P006", _ERROR, "user work queues need a user PASID, which the device does not have",
         "See IAA-D004: SVA is off, and `iaactl doctor` names the cause.",
         ("idxd init.c",), (*SVA_CAUSES, "IAA-D004"),
         "`iaactl doctor` names the cause of SVA being off"),
    Code("IAA-P007", _ERROR, "shared work queues need ENQCMD, which the CPU does not offer",
         "See IAA-C002.", ("idxd init.c",), ("IAA-C002",),
         "use `mode: dedicated` where one process is enough, or enable ENQCMD in the BIOS; Intel "
         "QPL "
         "and QEMU need shared work queues"),
    Code("IAA-P008", _ERROR, "no such driver is registered for work queues",
         "driver_name names a driver of the dsa bus; `crypto` is there once iaa_crypto is loaded."),
    Code("IAA-P009", _ERROR, "the device or kernel lacks an attribute or capability",
         "Attributes came with kernel releases and device versions; see `iaactl show DEVICE`."),
    Code("IAA-P010", _ERROR, "a device is halted", "It takes no configuration until it is reset.",
         (), ("IAA-D003",)),
    Code("IAA-P011", Severity.NOTICE, "engines serve no group in the profile",
         "An engine in no group does nothing."),
    Code("IAA-P020", Severity.WARNING, "the profile opens a queue of an IAA 1.0 device to others",
         "See IAA-S001.", ("INTEL-SA-01084",), (), "grant it to trusted processes only"),
    Code("IAA-P030", _ERROR, "a device of a restore point is gone",
         "Names and addresses must be those of the time when the restore point was made."),
)  # fmt: skip
