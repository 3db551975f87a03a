"""Presets under the names that Intel QPL's example configurations have: `1n4d8e1w-s-n1`.

N nodes (sockets), D devices of each, E engines, W work queues, `s` for shared, and with one node
which one it is, counted from 1. Source: the names in QPL's tools/configs.
"""

from __future__ import annotations

import re

from iaactl.errors import DocumentError
from iaactl.model.profile import DeviceProfile, GroupProfile, Match, Profile, WorkQueueProfile

_NAME = re.compile(r"([1-8])n([1-9])d([1-9])e([1-9])w-s(?:-n([1-8]))?")
_ENTRIES = 128


def is_preset(name: str) -> bool:
    """Whether the text has the form of a preset's name."""
    return _NAME.fullmatch(name) is not None


def preset(name: str) -> Profile:
    """The profile a preset's name stands for. Raises DocumentError if it makes no sense."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise DocumentError(
            f"`{name}` is no preset", hint="a preset looks like 2n4d8e1w-s or 1n4d8e1w-s-n1"
        )
    nodes, devices, engines, queues = (int(match[i]) for i in range(1, 5))
    which = int(match[5]) if match[5] else None
    if which is not None and nodes != 1:
        raise DocumentError(
            f"preset {name}: -n{which} picks one node, but {nodes} nodes are wanted",
            hint=f"write 1n{devices}d{engines}e{queues}w-s-n{which}, or leave -n{which} out",
        )
    if engines > 8 or queues > 8:
        raise DocumentError(f"preset {name}: a device has 8 engines and 8 work queues")
    size = _ENTRIES // queues
    wqs = [
        WorkQueueProfile(name=f"app{n}", size=size, threshold=size, priority=10)
        for n in range(queues)
    ]
    sockets = [which - 1] if which else list(range(nodes))
    return Profile(
        version=1,
        description=f"preset {name}: {devices} devices of socket "
        f"{', '.join(map(str, sockets))}, {engines} engines, {queues} shared work queues each",
        devices=[
            DeviceProfile(
                match=Match(socket=socket, count=devices),
                groups=[GroupProfile(engines=engines, wqs=wqs)],
            )
            for socket in sockets
        ],
    )
