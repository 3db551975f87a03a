"""Composition root: the only module that names adapters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from iaactl.applier import Applier, Progress
from iaactl.inventory import build
from iaactl.model.device import Inventory
from iaactl.model.facts import User
from iaactl.ports import Audit, DeviceTree, Events, NodeAccess, Portal

STATE_DIRECTORY = Path("/run/iaactl")


def device_tree() -> DeviceTree:
    """Reads this machine, enumerating through libudev."""
    from iaactl.host.sysfs import Sysfs
    from iaactl.host.udev import enumerate_devices

    return Sysfs("/", enumerate_devices)


def inventory() -> Inventory:
    """What is on this machine now."""
    return build(device_tree().snapshot())


def events() -> Events:
    """udev events of this machine."""
    from iaactl.host.udev import UdevEvents

    return UdevEvents()


def node_access() -> NodeAccess:
    """Access rules of this machine."""
    from iaactl.host.node_access import UdevRules

    return UdevRules()


def applier(*, audit: Audit | None = None, progress: Progress | None = None) -> Applier:
    """An applier for this machine."""
    from iaactl.host.accfg import AccelConfig
    from iaactl.host.lock import FileLock
    from iaactl.host.restore import RestoreFiles
    from iaactl.host.signals import shielded

    configurator: Callable[[], AccelConfig] = lambda: AccelConfig(audit)  # noqa: E731
    return Applier(
        device_tree(),
        configurator,
        node_access(),
        RestoreFiles(STATE_DIRECTORY / "restore"),
        FileLock(STATE_DIRECTORY / "lock"),
        shield=shielded,
        progress=progress or (lambda step: None),
    )


def interruptible() -> AbstractContextManager[None]:
    """SIGTERM and SIGHUP end a run as Ctrl-C does."""
    from iaactl.host.signals import interruptible as block

    return block()


def open_portal(path: str, dedicated: bool) -> Portal:
    """An open portal of a work queue's node."""
    from iaactl.host.portal import NativePortal

    return NativePortal(path, dedicated=dedicated)


def become(user: User) -> None:
    """Give up all rights but those of `user`, for the rest of this process."""
    from iaactl.host.users import become as give_up

    give_up(user)


def user(name: str | None) -> User:
    """A user by name, None for the one this process runs as."""
    from iaactl.host.users import named_user, this_user

    return this_user() if name is None else named_user(name)
