"""Quantities as people write them: bytes with binary units, switches."""

from __future__ import annotations

import re

_FACTORS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_FACTORS |= {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_BYTES = re.compile(r"([0-9]+)\s*([A-Za-z]*)")


def parse_bytes(text: str | int) -> int:
    """Bytes from `2MiB`, `64 KiB`, `4096` or an integer. Raises ValueError naming the text."""
    if isinstance(text, int):
        return text
    match = _BYTES.fullmatch(text.strip())
    factor = _FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"`{text}` is not a size in bytes such as 2MiB, 64KiB or 4096")
    return int(match[1]) * factor


_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)(?:/s)?")
_DECIMAL = {"kb": 1e3, "mb": 1e6, "gb": 1e9, "kbit": 125.0, "mbit": 125e3, "gbit": 125e6}


def parse_rate(text: str) -> int:
    """Bytes a second from `1GiB`, `1.25GB/s`, `10Gbit/s`; binary without a b, as QEMU reads `1G`.

    Raises ValueError naming the text.
    """
    match = _RATE.fullmatch(text.strip())
    unit = match[2].lower() if match else ""
    factor = _DECIMAL.get(unit, _FACTORS.get(unit))
    if match is None or factor is None:
        raise ValueError(f"`{text}` is not a rate such as 1GiB/s, 1.25GB/s, 10Gbit/s or 0")
    return int(float(match[1]) * factor)


def format_bytes(count: int) -> str:
    """The largest binary unit that divides evenly: 2097152 is `2MiB`, 4097 is `4097B`."""
    for unit in ("GiB", "MiB", "KiB"):
        factor = _FACTORS[unit.lower()]
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return f"{count}B"
