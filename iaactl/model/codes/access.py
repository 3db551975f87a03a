"""Codes about who may open a node."""

from __future__ import annotations

from iaactl.model.codes.entry import Code
from iaactl.model.finding import Severity

CODES = (
    Code(
        "IAA-A001",
        Severity.ERROR,
        "the user may not open the node",
        "/dev/iax/wqN.M belongs to root with mode 0600 unless a udev rule says otherwise. QPL then "
        "finds no queue and reports 503.",
        ("intel/qpl #26, #28, #33", "intel/idxd-config #16"),
        (),
        "grant it with `access` in the profile (group: kvm), then iaactl apply",
    ),
    Code(
        "IAA-A002",
        Severity.NOTICE,
        "the account that runs QEMU may not open the node",
        "libvirt runs QEMU as an account of its own. What root can open, that account may not.",
        ("intel/qpl #33",),
        (),
        "grant it with `access` in the profile, then `sudo iaactl doctor --user NAME`",
    ),
    Code(
        "IAA-A003",
        Severity.WARNING,
        "the access to a node will not last",
        "The node was given away by chown or chmod, and no udev rule names it. The node is made "
        "anew each time the queue is enabled and at each boot, and belongs to root again.",
        ("Intel QPL installation page, which advises chown -R",),
        (),
        "grant it with `access` in the profile: iaactl writes a udev rule for that queue",
    ),
    Code(
        "IAA-A004",
        Severity.NOTICE,
        "the portal cannot be mapped by this user",
        "Since the fix for INTEL-SA-01084 mapping needs CAP_SYS_RAWIO, which also gives other "
        "powers over the machine. Without it descriptors go through write(2): QPL 1.6 does that by "
        "itself, older ones fail with `mmap: Operation not permitted`.",
        ("intel-device-plugins-for-kubernetes #1779", "intel/idxd-config pull request 73"),
        (),
        "use QPL 1.6 or later; do not give QEMU CAP_SYS_RAWIO",
    ),
)
