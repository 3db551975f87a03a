"""The first CPU of /proc/cpuinfo."""

from __future__ import annotations

import re

from iaactl.host.reading import Reading
from iaactl.model.facts import Cpu


def read_cpu(read: Reading) -> Cpu:
    """Vendor, model and flags; all CPUs of a machine that runs Linux have the same."""
    text = read.text("/proc/cpuinfo") or ""
    fields: dict[str, str] = {}
    for line in text.partition("\n\n")[0].splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())

    def number(key: str) -> int | None:
        value = fields.get(key, "")
        return int(value) if re.fullmatch(r"\d{1,9}", value) else None

    flags = fields.get("flags")
    return Cpu(
        vendor=fields.get("vendor_id"),
        family=number("cpu family"),
        model=number("model"),
        model_name=fields.get("model name"),
        flags=None if flags is None else frozenset(flags.split()),
    )
