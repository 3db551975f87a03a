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
from iaactl.model.facts import Facts, Probe, User
from iaactl.ports import Audit, DeviceTree, Events, Files, NodeAccess, Portal

if TYPE_CHECKING:
    from iaactl.bench.codecs import MakeCodec
    from iaactl.bench.engine import Engine
    from iaactl.bench.supply import Supply
    from iaactl.host.archive import RecordingFiles
    from iaactl.model.report import Library, Machine
    from iaactl.multifd.capture import CaptureSummary
    from iaactl.multifd.codecs import ZeroScan

STATE_DIRECTORY = Path("/run/iaactl")


def device_tree() -> DeviceTree:
    """Reads this machine, enumerating through libudev."""
    from iaactl.host.files import HostFiles
    from iaactl.host.sysfs import Sysfs
    from iaactl.host.udev import enumerate_devices

    return Sysfs(HostFiles(), enumerate_devices)


def inventory() -> Inventory:
    """What is on this machine now."""
    return build(device_tree().snapshot())


def inventory_of(files: Files) -> Inventory:
    """What is in a root file system, without asking libudev."""
    from iaactl.host.sysfs import Sysfs

    return build(Sysfs(files).snapshot())


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
    from iaactl.host.machine import cpus_by_socket, is_character_device

    return of(inventory(), user, socket, is_character_device, cpus_by_socket())


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
            queue_cpus=found.cpus,
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


LIVE_FILE = "/iaactl/live.json"
"""Where a collection holds what is in no file of the host."""
LIVE_FACTS = ("software", "user", "hypervisor_users", "probes")
"""Fields of Facts that come from asking the machine, not from its files."""
PROBE_TIMEOUT_S = 6.0


def files() -> Files:
    """This machine's files."""
    from iaactl.host.files import HostFiles

    return HostFiles()


def files_of(root: Path) -> Files:
    """The files of a directory or an archive. Raises DocumentError when there is neither."""
    from iaactl.errors import DocumentError
    from iaactl.host.archive import ArchiveFiles
    from iaactl.host.files import DirectoryFiles

    if root.is_dir():
        return DirectoryFiles(root)
    if not root.exists():
        raise DocumentError(
            f"there is no {root}",
            hint="give a directory laid out like /, or what `iaactl doctor --collect` wrote",
        )
    return ArchiveFiles(root)


def recording() -> RecordingFiles:
    """This machine's files, remembered as they are read."""
    from iaactl.host.archive import RecordingFiles

    return RecordingFiles(files())


def save_collection(recorded: RecordingFiles, facts: Facts, path: Path) -> None:
    """Write what was read and the facts that are in no file, redacted, to an archive."""
    import json
    import platform

    from iaactl import __version__
    from iaactl.doctor.redaction import redact

    name = platform.node()
    document = {
        "schema": "iaactl.facts/1",
        "iaactl": __version__,
        "data": facts.model_dump(mode="json", include=set(LIVE_FACTS)),
    }
    text = json.dumps(document, indent=1).encode()
    recorded.write(
        path,
        {LIVE_FILE: redact(LIVE_FILE, text, name)},
        lambda place, content: redact(place, content, name),
    )


def account_in(tree: Files, name: str) -> User | None:
    """An account in the passwd file of a tree."""
    from iaactl.host.facts.accounts import read_account
    from iaactl.host.reading import Reading

    return read_account(Reading(tree), name)


def live_facts(inventory: Inventory, asked: User, *, probe: bool, files: Files) -> Facts:
    """Facts of this machine for one user. `files` are those of `/`, perhaps recorded.

    With `probe` each user work queue is opened as that user and runs a noop; that takes root
    unless the user is the one who asks.
    """
    from iaactl.host.facts import read_facts
    from iaactl.host.software import find_software
    from iaactl.host.users import hypervisor_users

    probes = probe_queues(inventory, asked) if probe else None
    facts = read_facts(files, [f.address for f in inventory.functions], users=False)
    return facts.model_copy(
        update={
            "software": find_software(),
            "user": asked,
            "hypervisor_users": hypervisor_users(),
            "probes": probes,
        }
    )


def tree_facts(tree: Files, inventory: Inventory) -> Facts:
    """Facts of somebody else's file system; nothing of this machine is asked.

    Raises DocumentError when a collection's own document is garbled.
    """
    import json

    from iaactl.errors import DocumentError
    from iaactl.host.facts import read_facts

    facts = read_facts(tree, [f.address for f in inventory.functions])
    try:
        text = tree.text(LIVE_FILE)
    except OSError:
        return facts
    try:
        saved = Facts.model_validate_json(json.dumps(json.loads(text)["data"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        first = str(error).split("\n")[0]
        raise DocumentError(
            f"{LIVE_FILE.lstrip('/')} in the collection is not what iaactl wrote: {first}",
            hint="collect again on the host: iaactl doctor --collect FILE.tar.gz",
        ) from None
    return facts.model_copy(update={name: getattr(saved, name) for name in LIVE_FACTS})


def probe_queues(inventory: Inventory, asked: User) -> tuple[Probe, ...] | None:
    """Probe each enabled user work queue as `asked`, in a child; None without the right to."""
    from iaactl.host.separate import lines_from_child
    from iaactl.selftest.probe import candidates, heard, tell

    me = user(None)
    if asked.uid != me.uid and not me.bypass:
        return None
    queues = candidates(inventory)
    if not queues:
        return ()

    def work(say: Callable[[str], None]) -> None:
        if asked.uid != me.uid:
            become(asked)
        tell(queues, asked, open_portal, say)

    return heard(lines_from_child(work, PROBE_TIMEOUT_S), queues, asked)
