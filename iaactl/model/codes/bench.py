"""Codes of a migration benchmark's advice, and of figures that are hard to believe."""

from __future__ import annotations

from iaactl.model.codes.entry import Code
from iaactl.model.finding import Severity

_PUBLISHED = "cover letter of QEMU's `Live Migration With IAA` v7, 3 June 2024"

CODES = (
    Code(
        "IAA-R001",
        Severity.OK,
        "which method ends first",
        "The median total times of one run, methods interleaved. Differences within a few percent, "
        "and ranges that overlap, are called a tie.",
    ),
    Code(
        "IAA-R002",
        Severity.OK,
        "which method ends first, by speed of the link",
        "A model: the time over a link is the larger of the time without a limit and the bytes on "
        "the wire divided by the speed of the link. What compresses more wins on slow links, what "
        "compresses faster on fast ones.",
    ),
    Code(
        "IAA-R003",
        Severity.NOTICE,
        "what preallocated memory on the destination is worth",
        "A page that was never touched has to be made before it can be written; for a device each "
        "one is a page request to the kernel.",
        (_PUBLISHED,),
    ),
    Code(
        "IAA-R004",
        Severity.NOTICE,
        "how many channels suit the devices",
        "A channel keeps up to 128 jobs in flight and can fill a queue alone. More channels than "
        "devices cost CPU time and bring no speed.",
        (_PUBLISHED,),
    ),
    Code(
        "IAA-R005",
        Severity.WARNING,
        "pages that were meant for IAA were done in software",
        "A queue that stays full after three retries, or a job that fails, ends in software for "
        "that page, as in QEMU. QEMU does not tell; here they are counted.",
        ("QEMU commit f6fe9fea9952, on full queues",),
        (),
        "fewer channels, more devices of this socket, or larger queues",
    ),
    Code(
        "IAA-R006",
        Severity.WARNING,
        "the guest writes faster than it is sent",
        "The rounds did not get smaller; the guest was stopped after the last round that was "
        "allowed, and the downtime is what it is.",
        (),
        (),
        "auto-converge, a longer downtime limit, or a method with more pages a second",
    ),
    Code(
        "IAA-R007",
        Severity.ERROR,
        "a page differs on the destination",
        "Every page is compared after a migration. A difference is a fault of the software or the "
        "hardware, and such a method must not be used.",
        (),
        (),
        "do not migrate with this method on this machine: run `iaactl selftest` first",
    ),
    Code(
        "IAA-R101",
        Severity.WARNING,
        "a device that is faster or slower than any was seen",
        "One device was seen to feed 3 to 3.4 GB/s of guest memory. Much more or much less says "
        "that something else was measured.",
        (_PUBLISHED, "intel/qpl #51"),
        (),
        "check with `iaactl list` which devices are enabled, and with pcm-accel what they move",
    ),
    Code(
        "IAA-R102",
        Severity.NOTICE,
        "a core that is faster or slower than software deflate was seen",
        "One core does about 0.4 GB/s of the Silesia corpus. Pages that are nearly empty or hardly "
        "compress are faster or slower.",
        (_PUBLISHED,),
    ),
    Code(
        "IAA-R103",
        Severity.WARNING,
        "compressed pages take more bytes than the pages",
        "The memory is incompressible, encrypted for instance.",
        (),
        (),
        "migrate it with method none",
    ),
    Code(
        "IAA-R104",
        Severity.NOTICE,
        "a ratio that this method does not have on common data",
        "Fixed Huffman pages of the Silesia corpus shrink to about a half. Another ratio is a "
        "property of the memory.",
        (_PUBLISHED,),
    ),
    Code(
        "IAA-R105",
        Severity.WARNING,
        "page faults that are cheaper or dearer than the IOMMU's",
        "The IOMMU takes 9 us on average for a page request, from 1 us to half a millisecond.",
        ("QEMU documentation, qpl-compression",),
        (),
        "repeat with --repeat 5: one disturbed run is enough to spoil a difference",
    ),
)
