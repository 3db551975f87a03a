"""What a work queue and its device allow a descriptor to do."""

from __future__ import annotations

from dataclasses import dataclass

# OPCAP of Sapphire Rapids. Move (3) is in the register but the engine refuses it.
SPR_OPERATIONS = frozenset(
    {0x00, 0x02, 0x03, 0x42, 0x43, 0x44, 0x48, 0x49, 0x4C, 0x4D, *range(0x50, 0x57)}
)


@dataclass(frozen=True)
class WqLimits:
    """Limits of one work queue. Transfers in bytes, operations as opcodes.

    `operations` is what op_cap and op_config leave; `iaa_cap` the register, zero for version 1.
    """

    operations: frozenset[int] = SPR_OPERATIONS
    max_transfer_bytes: int = 2 << 20
    block_on_fault: bool = True
    iaa_cap: int = 0
    interrupt_handles: int = 9
