"""udev rules that name IAA nodes: they decide who may open a node when it appears again."""

from __future__ import annotations

import re

from iaactl.host.reading import Reading
from iaactl.model.facts import Line

FOLDERS = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
RELEVANT = re.compile(r'SUBSYSTEMS?=="dsa"|KERNELS?=="[^"]*\biax|"(?:/dev/)?iax/')


def read_udev_rules(read: Reading) -> tuple[Line, ...] | None:
    """Rules for the dsa subsystem or its nodes; None where no folder of rules could be listed."""
    found: list[Line] = []
    seen: set[str] = set()
    listed = False
    for folder in FOLDERS:
        names = read.listing(folder)
        listed = listed or names is not None
        for name in names or ():
            if not name.endswith(".rules") or name in seen:
                continue
            seen.add(name)
            path = f"{folder}/{name}"
            for number, text in enumerate((read.text(path) or "").splitlines(), 1):
                if RELEVANT.search(text) and not text.lstrip().startswith("#"):
                    found.append(Line(path=path, number=number, text=text.strip()[:1024]))
    return tuple(found) if listed else None
