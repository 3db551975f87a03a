"""Codes about work queues, and what QEMU and QPL find of them."""

from __future__ import annotations

from iaactl.model.codes.entry import Code
from iaactl.model.codes.iommu import SVA_CAUSES
from iaactl.model.finding import Severity

_BLOCKERS = (
    *SVA_CAUSES, "IAA-D004", "IAA-C001", "IAA-C002", "IAA-K007", "IAA-D001", "IAA-D003",
    "IAA-O003", "IAA-W003", "IAA-W006", "IAA-D008", "IAA-D009",
)  # fmt: skip

CODES = (
    Code(
        "IAA-W001",
        Severity.NOTICE,
        "a work queue counts fewer than no clients",
        "The queue was disabled under clients, which closed it later; the driver counts below "
        "zero.",
        ("recordings of Linux 6.16 and 7.3",),
        (),
    ),
    Code(
        "IAA-W002",
        Severity.WARNING,
        "a work queue is enabled, but no driver has it",
        "A file of a disabled queue was closed late and the driver enabled the queue again on its "
        "behalf. It can be neither used nor disabled by itself.",
        ("recordings of Linux 6.16 and 7.3",),
        (),
        "iaactl reset DEVICE",
    ),
    Code(
        "IAA-W003",
        Severity.WARNING,
        "a disabled work queue keeps the others from being enabled",
        "Every enable writes the configuration of the whole device, and the driver refuses it "
        "while a queue in a group is shared and of no type, which is how it leaves a queue that "
        "was disabled: EINVAL and code 0x800c0000, worded as a platform error.",
        ("recordings of Linux 6.16 and 7.3",),
        (),
        "iaactl apply sets it right; by hand: give it a type, or group_id -1",
    ),
    Code(
        "IAA-W004",
        Severity.NOTICE,
        "a user work queue is dedicated",
        "QEMU and Intel QPL use shared work queues only; a dedicated one is skipped without a "
        "word.",
        ("intel/qpl #50", "intel-device-plugins-for-kubernetes #1246"),
        (),
    ),
    Code(
        "IAA-W005",
        Severity.NOTICE,
        "a work queue does not block on page faults",
        "With block_on_fault 0 a page that is not present ends the operation: QPL then reports 303 "
        "or 43x, and software that does not try again has produced corrupt data. IAA with "
        "migration meets such pages on the receiving side.",
        ("intel/qpl #15, #19", "ClickHouse pull request 57291"),
        (),
        "block_on_fault: true in the profile, or a destination with preallocated memory",
    ),
    Code(
        "IAA-W006",
        Severity.WARNING,
        "a configured work queue has no driver_name",
        "Since Linux 6.8 a queue binds only to the driver that its driver_name names; older "
        "configurations have only a type, and enabling them ends with 0x80200000, for which "
        "accel-config has no text.",
        ("intel/idxd-config #11", "recordings of Linux 6.16 and 7.3"),
        (),
        'iaactl apply writes driver_name; in a file of accel-config: "driver_name":"user"',
    ),
    Code(
        "IAA-W007",
        Severity.NOTICE,
        "a device is configured but not enabled",
        "Sizes, groups or names are set and the device is off: a configuration that stopped half "
        "way leaves it so (accel-config load-config does at the first failing write).",
        ("intel/idxd-config #46",),
        (*SVA_CAUSES, "IAA-D004", "IAA-C002", "IAA-D008", "IAA-D009"),
        "iaactl apply PROFILE finishes it, iaactl reset DEVICE clears it",
    ),
    Code(
        "IAA-W008",
        Severity.WARNING,
        "a work queue does not allow compress or decompress",
        "op_config leaves the operation out; QPL then reports 8 (not supported by the work queue).",
        ("Intel QPL status codes",),
        (),
        "leave op_config out of the profile",
    ),
    Code(
        "IAA-W009",
        Severity.NOTICE,
        "user work queues are not configured alike",
        "QPL takes block_on_fault and max_transfer_size of the first device for all; mixed "
        "configurations misbehave.",
        ("Intel QPL, hardware dispatcher",),
        (),
        "iaactl apply qemu-migration configures all devices alike",
    ),
    Code(
        "IAA-W010",
        Severity.WARNING,
        "a work queue has priority 0 or size 0",
        "The device refuses to enable it, with code 0x22 (size) or 0x23 (priority).",
        ("device command codes of idxd",),
        (),
        "iaactl apply; priorities are 1 to 15",
    ),
    Code(
        "IAA-Q001",
        Severity.NOTICE,
        "no shared user work queue on a socket",
        "QEMU and QPL use enabled shared user work queues, of the socket that their thread runs "
        "on. Where there is none QPL reports 503, and QEMU compresses in software without telling.",
        ("intel/qpl #17, #50, #58",),
        (*_BLOCKERS, "IAA-Q002"),
        "iaactl apply qemu-migration",
    ),
    Code(
        "IAA-Q002",
        Severity.NOTICE,
        "all work queues of a socket are held by the kernel",
        "Queues are enabled, but for the kernel's own use: iaa_crypto took them at boot.",
        ("intel/idxd-config #78", "intel/qpl #50"),
        (),
        "iaactl apply qemu-migration --take-over iaa_crypto",
    ),
    Code(
        "IAA-Q003",
        Severity.NOTICE,
        "the devices do not tell their NUMA node",
        "numa_node is -1, as in virtual machines. QPL before 1.0 or so rejected such devices.",
        ("intel/qpl pull request 1",),
        (),
    ),
    Code(
        "IAA-Q004",
        Severity.NOTICE,
        "a NUMA node without work queues of its own",
        "With sub-NUMA clustering a socket has several nodes and not each has a device. QPL before "
        "1.6 uses the devices of the thread's node only and reports 503 elsewhere.",
        ("intel/qpl #17",),
        (),
        "use QPL 1.6 or later, or pin QEMU to the nodes that have devices",
    ),
    Code(
        "IAA-Q005",
        Severity.ERROR,
        "a work queue cannot be opened",
        "Opening the node failed, although the queue is enabled. The errno tells the cause apart: "
        "EACCES permissions, EOPNOTSUPP SVA disabled by the kernel, ENODEV no IOMMU or one that "
        "cannot do SVA, ENOSPC legacy mode or no PASID capability, EINVAL no ATS, EBUSY a "
        "dedicated queue that is taken.",
        ("recordings of Linux 6.12, 6.16 and 7.3",),
        (*SVA_CAUSES, "IAA-A001"),
    ),
    Code(
        "IAA-Q006",
        Severity.ERROR,
        "a work queue was opened but does not complete a noop",
        "The descriptor was refused, or no completion record was written in time.",
        (),
        (*SVA_CAUSES, "IAA-D003", "IAA-I007"),
        "iaactl selftest WQ --op noop -v; a queue that hangs needs its device reset (iaactl reset)",
    ),
    Code(
        "IAA-Q007",
        Severity.OK,
        "a work queue was opened and completed a noop",
        "The proof that SVA, permissions and the queue work for this user.",
    ),
)
