"""Codes about libraries, QEMU, memory and configuration files."""

from __future__ import annotations

from iaactl.model.codes.entry import Code
from iaactl.model.finding import Severity

CODES = (
    Code(
        "IAA-L001",
        Severity.WARNING,
        "libaccel-config is not found",
        "QPL opens libaccel-config.so.1 at run time, and so does iaactl apply. Where the dynamic "
        "linker does not find it QPL reports 501 or 503. A library in /usr/local/lib needs "
        "ldconfig; LD_LIBRARY_PATH does not survive sudo.",
        ("intel/qpl #25, #26", "intel/DML #41"),
        (),
        "apt install libaccel-config1 (Fedora, RHEL: dnf install accel-config-libs), then ldconfig",
    ),
    Code(
        "IAA-L002",
        Severity.WARNING,
        "libaccel-config is too old for the device",
        "IAA 2.0 needs libaccel-config 4.0 or later: QPL asks it for op_config and iaa_cap.",
        ("Intel QPL documentation, system requirements",),
        (),
        "install libaccel-config 4.0 or later",
    ),
    Code(
        "IAA-L003",
        Severity.WARNING,
        "libqpl is too old for this kernel",
        "QPL before 1.6 submits through the mapped portal only, which needs CAP_SYS_RAWIO since "
        "the fix for INTEL-SA-01084, and uses the thread's NUMA node instead of its socket.",
        ("INTEL-SA-01084", "intel-device-plugins-for-kubernetes #1779"),
        (),
        "install QPL 1.6 or later",
    ),
    Code(
        "IAA-L004",
        Severity.WARNING,
        "this QEMU may corrupt memory with multifd compression",
        "QEMU 9.1 and 9.2.0 handled zero pages wrongly in the qpl and qatzip methods: guest memory "
        "could be corrupt after the migration. Repaired in December 2024.",
        ("qemu-devel, Yuan Liu, 18 December 2024",),
        (),
        "use QEMU 10.0 or later for multifd-compression=qpl (likely also late 9.1.x and 9.2.x)",
    ),
    Code(
        "IAA-L005",
        Severity.NOTICE,
        "no QEMU here is built with qpl",
        "multifd-compression=qpl exists only in a QEMU built with Intel QPL (--enable-qpl); "
        "distributions mostly build without. `Parameter 'multifd-compression' does not accept "
        "value 'qpl'` is what QEMU says then.",
        ("QEMU documentation, qpl-compression",),
        (),
        "build QEMU with --enable-qpl; `iaactl migrate-bench` shows what it would bring",
    ),
    Code(
        "IAA-L006",
        Severity.WARNING,
        "accel-config's saved configuration does not fit this machine",
        "/etc/accel-config/accel-config.conf is what `accel-config load-config` and its service "
        "load. Names of devices that are not here, batch sizes (IAA has none) or a threshold on a "
        "dedicated queue make it stop half way.",
        ("intel/idxd-config #11, #30, #45, #59",),
        (),
        "iaactl profile import /etc/accel-config/accel-config.conf shows what it says; iaactl "
        "profile export writes one that fits",
    ),
    Code(
        "IAA-L007",
        Severity.OK,
        "libraries and programs that were found",
        "Versions, for the record.",
    ),
    Code(
        "IAA-M001",
        Severity.NOTICE,
        "devices have waited long for page faults",
        "A device that meets a page which is not present waits for the kernel, 1 us to 1 ms each. "
        "On the receiving side of a migration, memory that was never touched makes it four to six "
        "times slower.",
        ("QEMU documentation, qpl-compression",),
        (),
        "start the destination with preallocated memory: -mem-prealloc, or huge pages",
    ),
    Code(
        "IAA-M002",
        Severity.OK,
        "memory for destinations that preallocate",
        "A destination of a migration through IAA should preallocate its memory (-mem-prealloc), "
        "or use huge pages. What is available says how large a guest may be.",
        ("QEMU documentation, qpl-compression",),
    ),
)
