"""Capability registers as sysfs shows them, decoded to named fields.

Source: IAA architecture registers GENCAP, WQCAP, OPCAP and IAACAP as the idxd driver prints them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from iaactl.iaa.opcode import Opcode

OPCODE_NAMES: dict[int, str] = {int(opcode): opcode.title for opcode in Opcode}


def parse_op_cap(text: str) -> frozenset[int]:
    """Opcodes in an `op_cap` or `op_config` text, as numbers.

    Eight comma-separated 32-bit words, most significant first (Linux 6.1 and later); before, four
    blank-separated 64-bit words, least significant first. Raises ValueError on anything else.
    """
    if "," in text:
        words = [int(word, 16) for word in text.split(",")]
        bits = sum(word << 32 * n for n, word in enumerate(reversed(words)))
    else:
        words = [int(word, 0) for word in text.split()]
        bits = sum(word << 64 * n for n, word in enumerate(words))
    return frozenset(n for n in range(256) if bits >> n & 1)


def decode_op_cap(text: str) -> tuple[str, ...]:
    """Names of the operations in an `op_cap` text, by opcode; unknown ones as numbers."""
    return tuple(OPCODE_NAMES.get(n, f"{n:#04x}") for n in sorted(parse_op_cap(text)))


@dataclass(frozen=True, slots=True)
class GenCap:
    """The GENCAP register. Sizes in bytes."""

    block_on_fault: bool
    overlapping_copies: bool
    cache_control_memory: bool
    cache_control_cache: bool
    command_capabilities: bool
    destination_readback: bool
    drain_readback: bool
    event_log: bool
    max_transfer_bytes: int
    max_batch: int
    configurable: bool

    @classmethod
    def parse(cls, value: int) -> GenCap:
        """Decode the number that `gen_cap` shows."""
        return cls(
            block_on_fault=bool(value & 1),
            overlapping_copies=bool(value >> 1 & 1),
            cache_control_memory=bool(value >> 2 & 1),
            cache_control_cache=bool(value >> 3 & 1),
            command_capabilities=bool(value >> 4 & 1),
            destination_readback=bool(value >> 8 & 1),
            drain_readback=bool(value >> 9 & 1),
            event_log=bool(value >> 13 & 3),
            max_transfer_bytes=1 << (value >> 16 & 0x1F),
            max_batch=1 << (value >> 21 & 0xF),
            configurable=bool(value >> 31 & 1),
        )

    def describe(self) -> str:
        """The capabilities that are there, in words."""
        words = {
            "block on fault": self.block_on_fault,
            "overlapping copies": self.overlapping_copies,
            "cache control (memory)": self.cache_control_memory,
            "cache control (cache)": self.cache_control_cache,
            "command capabilities": self.command_capabilities,
            "destination readback": self.destination_readback,
            "drain readback": self.drain_readback,
            "event log": self.event_log,
            "configurable": self.configurable,
        }
        there = [word for word, present in words.items() if present]
        return ", ".join([*there, f"transfers up to {self.max_transfer_bytes} bytes"])


@dataclass(frozen=True, slots=True)
class WqCap:
    """The WQCAP register. Sizes in entries, the configuration record in bytes."""

    total_size: int
    work_queues: int
    config_bytes: int
    shared: bool
    dedicated: bool
    ats_control: bool
    priority: bool
    occupancy: bool
    occupancy_interrupt: bool
    op_config: bool
    prs_control: bool

    @classmethod
    def parse(cls, value: int) -> WqCap:
        """Decode the 64-bit register."""
        return cls(
            total_size=value & 0xFFFF,
            work_queues=value >> 16 & 0xFF,
            config_bytes=32 << (value >> 24 & 0xF),
            shared=bool(value >> 48 & 1),
            dedicated=bool(value >> 49 & 1),
            ats_control=bool(value >> 50 & 1),
            priority=bool(value >> 51 & 1),
            occupancy=bool(value >> 52 & 1),
            occupancy_interrupt=bool(value >> 53 & 1),
            op_config=bool(value >> 54 & 1),
            prs_control=bool(value >> 55 & 1),
        )


@dataclass(frozen=True, slots=True)
class IaaCap:
    """The IAACAP register, `iaa_cap`; devices of version 1 have none, which reads as zero."""

    aecs_format_2: bool
    drop_initial_bits: bool
    chaining: bool
    force_array_output: bool
    load_partial_aecs: bool
    early_abort: bool
    nested: bool
    dictionary: bool
    header_generation: bool
    crypto_gcm: bool
    crypto_cfb: bool
    crypto_xts: bool

    @classmethod
    def parse(cls, value: int) -> IaaCap:
        """Decode the number that `iaa_cap` shows; one bit a field, in the order of the fields."""
        names = [field.name for field in fields(cls)]
        return cls(**{name: bool(value >> bit & 1) for bit, name in enumerate(names)})

    def describe(self) -> str:
        """The capabilities that are there, in words; empty when there are none."""
        return ", ".join(
            field.name.replace("_", " ") for field in fields(self) if getattr(self, field.name)
        )
