"""Capability registers as sysfs shows them, decoded to named fields.

Source: IAA architecture registers GENCAP and OPCAP as the idxd driver prints them.
"""

from __future__ import annotations

from dataclasses import dataclass

OPCODE_NAMES: dict[int, str] = {
    0x00: "noop",
    0x02: "drain",
    0x03: "memmove",
    0x0A: "translation-fetch",
    0x40: "decrypt",
    0x41: "encrypt",
    0x42: "decompress",
    0x43: "compress",
    0x44: "crc64",
    0x48: "zero-decompress-32",
    0x49: "zero-decompress-16",
    0x4A: "zero-decompress-8",
    0x4C: "zero-compress-32",
    0x4D: "zero-compress-16",
    0x4E: "zero-compress-8",
    0x50: "scan",
    0x51: "set-membership",
    0x52: "extract",
    0x53: "select",
    0x54: "rle-burst",
    0x55: "find-unique",
    0x56: "expand",
}


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
