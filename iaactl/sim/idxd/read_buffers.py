"""Read buffers of DSA devices, which IAA does not have: limits of the device and of its groups.

Each attribute also has its older name, with `tokens` for `read_buffers`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from iaactl.sim.idxd import parse
from iaactl.sim.idxd.driver import Idxd
from iaactl.sim.idxd.wq import ENABLED
from iaactl.sim.kernfs import Attribute, Directory, refuse

TOTAL = 96
BUFFERS_PER_ENGINE = 4


def publish_device(device: Idxd, directory: Directory) -> None:
    """`max_read_buffers` and `read_buffer_limit`."""

    def store(data: bytes) -> None:
        value = parse.number(data)
        if device.state == ENABLED or not device.configurable:
            raise refuse(errno.EPERM)
        if value > TOTAL:
            raise refuse(errno.EINVAL)
        device.read_buffer_limit = value

    for name in ("max_read_buffers", "max_tokens"):
        directory.add(name, Attribute(lambda: b"%d\n" % TOTAL))
    for name in ("read_buffer_limit", "token_limit"):
        directory.add(name, Attribute(lambda: b"%d\n" % device.read_buffer_limit, store))


def publish_group(device: Idxd, index: int, directory: Directory) -> None:
    """What of the read buffers a group has to itself, and how many it may use."""

    def available() -> int:
        """Those that no other group has reserved."""
        others = (g.read_buffers_reserved for n, g in enumerate(device.groups) if n != index)
        return TOTAL - sum(others)

    def reserve(value: int) -> None:
        if value > available():
            raise refuse(errno.EINVAL)
        device.groups[index].read_buffers_reserved = value

    def allow(value: int) -> None:
        engines = sum(group == index for group in device.engines)
        if not BUFFERS_PER_ENGINE * engines <= value <= available():
            raise refuse(errno.EINVAL)
        device.groups[index].read_buffers_allowed = value

    def use_limit(value: int) -> None:
        if not device.read_buffer_limit:
            raise refuse(errno.EPERM)
        device.groups[index].use_read_buffer_limit = int(value > 0)

    def setting(field: str, keep: Callable[[int], None]) -> Attribute:
        def store(data: bytes) -> None:
            value = parse.number(data)
            if not device.configurable or device.state == ENABLED:
                raise refuse(errno.EPERM)
            keep(value)

        return Attribute(lambda: b"%d\n" % getattr(device.groups[index], field), store)

    for field, older, keep in (
        ("read_buffers_reserved", "tokens_reserved", reserve),
        ("read_buffers_allowed", "tokens_allowed", allow),
        ("use_read_buffer_limit", "use_token_limit", use_limit),
    ):
        directory.add(field, setting(field, keep))
        directory.add(older, setting(field, keep))
