"""Composition root: the only module that names adapters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from iaactl.applier import Applier, Progress
from iaactl.errors import IaactlError
from iaactl.inventory import build
from iaactl.model.device import Inventory
from iaactl.model.facts import User
from iaactl.ports import Audit, DeviceTree, Events, NodeAccess, Portal

if TYPE_CHECKING:
    from iaactl.bench.codecs import MakeCodec
    from iaactl.bench.engine import Engine
    from iaactl.bench.supply import Supply
    from iaactl.model.report import Library, Machine
    from iaactl.multifd.capture import CaptureSummary
    from iaactl.multifd.codecs import ZeroScan

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


def page_engine() -> Engine:
    """Memories and migration channels of the native core."""
    from iaactl.multifd.engine import NativeEngine

    return NativeEngine()


def libraries() -> tuple[Library, ...]:
    """Codec libraries that the page engine can use, here or not."""
    from iaactl.model.report import Library
    from iaactl.multifd.codecs import available

    return tuple(
        Library(
            name=found.name,
            version=found.version or None,
            path=found.path or None,
            missing=found.why_not or None,
        )
        for found in available()
    )


def supply(user: User, socket: int | None) -> Supply:
    """Work queues that `user` could compress with."""
    from iaactl.bench.supply import supply as of
    from iaactl.host.machine import is_character_device

    return of(inventory(), user, socket, is_character_device)


def machine(found: Supply, libraries: tuple[Library, ...]) -> Machine:
    """What a benchmark of this machine says about it; opens each queue once, to see the way in."""
    from iaactl import __version__
    from iaactl.host.machine import cpu_model, kernel, usable_cpus
    from iaactl.model.report import Machine

    def way(path: str) -> str | None:
        try:
            portal = open_portal(path, False)
        except IaactlError:
            return None  # why is told by those who need the queue
        try:
            return portal.way
        finally:
            portal.close()

    return Machine(
        cpu=cpu_model(),
        cpus=usable_cpus(),
        kernel=kernel(),
        iaactl=__version__,
        libraries=libraries,
        queues=tuple(queue.model_copy(update={"way": way(queue.path)}) for queue in found.queues),
        devices_per_socket=found.devices_per_socket,
        queues_left_out=found.why_none,
    )


def codec_maker(found: Supply, timeout_s: float) -> MakeCodec:
    """Makes page codecs by name; `iaa` uses the queues found."""
    from iaactl.multifd.codecs import PageCodec

    def make(name: str) -> PageCodec:
        return PageCodec(
            name,
            queues=found.paths,
            block_on_fault=found.block_on_fault,
            timeout_s=timeout_s,
        )

    return make


def zero_scan(view: memoryview, variant: str) -> ZeroScan:
    """Count zero pages with the instructions of one kind."""
    from iaactl.multifd.codecs import zero_scan as scan

    return scan(view, variant)


def zero_scan_variants() -> tuple[str, ...]:
    """Kinds of instructions that this CPU can look for zero pages with."""
    import mmap

    from iaactl.errors import HostError
    from iaactl.multifd.codecs import zero_scan as scan

    found = []
    page = memoryview(mmap.mmap(-1, 4096))  # aligned
    for variant in ("sse2", "avx2", "avx512"):
        try:
            scan(page, variant)
        except HostError:
            continue
        found.append(variant)
    return tuple(found)


def decode_capture(directory: Path) -> CaptureSummary:
    """What the recorded channels of a migration hold."""
    from iaactl.multifd.capture import decode_capture as decode

    return decode(directory)


def available_bytes() -> int | None:
    """Memory that can be taken without swapping; None where that is not known."""
    from iaactl.host.machine import available_bytes as now

    return now()


def become(user: User) -> None:
    """Give up all rights but those of `user`, for the rest of this process."""
    from iaactl.host.users import become as give_up

    give_up(user)


def user(name: str | None) -> User:
    """A user by name, None for the one this process runs as."""
    from iaactl.host.users import named_user, this_user

    return this_user() if name is None else named_user(name)
