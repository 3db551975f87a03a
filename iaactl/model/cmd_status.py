"""The codes of the `cmd_status` attribute, each with a sentence.

Below 0x80000000 the device answers (error code of the last command), above it the driver does.
libaccel-config up to 4.1.9 has no text for 0x800f0000, 0x80100000, 0x80110000, 0x80120000 and
0x80200000. Source: include/uapi/linux/idxd.h, enum idxd_scmd_stat, and recordings of the driver.
"""

from __future__ import annotations

CODES: dict[int, str] = {
    0x00: "the last command succeeded",
    0x01: "the device does not know the command",
    0x02: "the command named a work queue that does not exist",
    0x03: "the device reports a hardware error, or it has halted",
    0x04: "a reserved field of the command was not zero",
    0x10: "device enable: the device is enabled already",
    0x11: "device enable: configuration error that the device does not specify",
    0x12: "device enable: bus mastering is off in the PCI command register",
    0x13: "device enable: page request allocation exceeds what the IOMMU grants",
    0x14: "device enable: the sizes of the work queues sum to more than the device has",
    0x15: "device enable: a group has work queues but no engines, or engines but no work queues",
    0x16: "device enable: work queue assignment of a group is wrong",
    0x17: "device enable: engine assignment of a group is wrong",
    0x18: "device enable: read buffers of the groups are misconfigured",
    0x20: "work queue enable: the device is not enabled",
    0x21: "work queue enable: the work queue is enabled already",
    0x22: "work queue enable: the size is 0",
    0x23: "work queue enable: the priority is 0",
    0x24: "work queue enable: the device does not support the mode",
    0x25: "work queue enable: the device cannot block on faults",
    0x26: "work queue enable: a shared work queue needs PASID enabled",
    0x27: "work queue enable: the batch size is not supported",
    0x28: "work queue enable: max_transfer_size is more than the device supports",
    0x2A: "work queue enable: privileged mode without PASID",
    0x2B: "work queue enable: occupancy interrupt is misconfigured",
    0x2C: "work queue enable: ATS setting differs from the device's",
    0x31: "device disable: the device is not enabled",
    0x32: "work queue command: one of the work queues is not enabled",
    0x41: "interrupt handle: bad index",
    0x42: "interrupt handle: none available",
    0x43: "interrupt handle: none of that index",
    0x44: "interrupt handle: none was revoked",
    0x80000010: "the driver found the device enabled where it must be disabled",
    0x80000020: "the device is not enabled",
    0x80000021: "the work queue is enabled already",
    0x80020000: "the DMA engine could not be registered",
    0x80030000: "the work queue is in no group",
    0x80040000: "the work queue has no name",
    0x80050000: "a shared work queue needs shared virtual memory (SVA) and ENQCMD",
    0x80060000: "a shared work queue needs a threshold",
    0x80070000: "the portal of the work queue could not be mapped",
    0x80080000: "resources for the work queue could not be allocated",
    0x80090000: "the per-CPU reference of the work queue could not be allocated",
    0x800A0000: "the DMA channel could not be registered",
    0x800B0000: "the character device could not be created",
    0x800C0000: "a shared work queue is in a group, but shared mode is not possible for it: "
    "no ENQCMD, no SVA, or its type is `none`",
    0x800D0000: "no work queue is in any group",
    0x800E0000: "the work queue has no size",
    0x800F0000: "a kernel work queue needs privileged mode, which this device lacks",
    0x80100000: "the interrupt of the work queue could not be set up",
    0x80110000: "a user work queue needs SVA (user PASID), which is off",
    0x80120000: "the event log could not be set up",
    0x80200000: "driver_name of the work queue is empty or names another driver",
}

SVA_CODES = frozenset({0x26, 0x80050000, 0x800C0000, 0x80110000})
"""Codes behind which SVA, ENQCMD or the IOMMU may stand."""


def explain(code: int) -> str:
    """A sentence for a value of cmd_status; unknown codes say so with the number."""
    return CODES.get(code, f"unknown code {code:#x}")
