"""Facts about the machine and its users that are not about one device."""

from __future__ import annotations

from iaactl.model.device import Frozen


class User(Frozen):
    """Who wants to open the queues. `bypass`: may open any file (CAP_DAC_OVERRIDE)."""

    name: str
    uid: int
    gids: tuple[int, ...]
    bypass: bool = False
