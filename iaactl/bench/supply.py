"""What there is to compress with: queues one user can open, libraries, and the variants of both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from iaactl.consumers import consumer_queues, why_none
from iaactl.errors import HostError, LibraryMissing
from iaactl.model.device import Inventory
from iaactl.model.facts import User
from iaactl.model.migration import Backend, Method
from iaactl.model.report import Library, Queue, Variant

NOT_A_DEVICE = (
    "{node} is not a character device, so no IAA hardware is behind it: "
    "pages are counted and verified, and no speed is given"
)


@dataclass(frozen=True, slots=True)
class Supply:
    """Queues that the user can open, those of one socket if asked; why there are none."""

    queues: tuple[Queue, ...]
    block_on_fault: bool
    devices_per_socket: dict[str, int]
    why_none: str | None
    cpus: Mapping[str, Collection[int]] = field(default_factory=dict)
    """CPUs of each queue's socket, by node; none where the socket is not known."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Their nodes."""
        return tuple(queue.path for queue in self.queues)

    @property
    def no_speed(self) -> str | None:
        """Why figures measured through these queues are no figures; None if they are."""
        for queue in self.queues:
            if not queue.is_device:
                return NOT_A_DEVICE.format(node=queue.path)
        return None


def supply(
    inventory: Inventory,
    user: User,
    socket: int | None,
    is_device: Callable[[str], bool],
    cpus: Mapping[int, Collection[int]],
) -> Supply:
    """The queues of an inventory that a consumer of this user would use.

    `cpus` are those of each socket.
    """
    found = consumer_queues(inventory.devices, user, socket=socket)
    usable = [queue for queue in found if queue.usable and queue.path is not None]
    if usable:
        why = None
    elif found:
        why = f"{found[0].wq}: {found[0].access}"
    else:
        where = "" if socket is None else f" on socket {socket}"
        why = why_none(inventory) + where
    enabled = Counter(
        str(device.socket) for device in inventory.devices
        if device.enabled and device.socket is not None
    )  # fmt: skip
    return Supply(
        queues=tuple(
            Queue(
                wq=queue.wq,
                path=queue.path or "",
                socket=queue.socket,
                size_entries=queue.size,
                is_device=is_device(queue.path or ""),
            )
            for queue in usable
        ),
        block_on_fault=all(queue.block_on_fault for queue in usable),
        devices_per_socket=dict(enabled),
        why_none=why,
        cpus={
            queue.path or "": cpus[queue.socket]
            for queue in usable
            if queue.socket is not None and queue.socket in cpus
        },
    )


_NEEDS = {Method.ZLIB: "zlib", Method.ZSTD: "zstd"}


def _missing(libraries: Sequence[Library], name: str) -> str | None:
    for library in libraries:
        if library.name == name:
            return library.missing
    return f"{name} is not known here"


def variants(
    methods: Sequence[Method],
    backends: Sequence[Backend],
    preallocs: Sequence[bool],
    libraries: Sequence[Library],
    available: Supply,
) -> tuple[list[Variant], dict[str, str]]:
    """What to compare, and what is left out and why.

    Nothing named means everything that can be had; what is named and cannot be had raises
    LibraryMissing or HostError.
    """
    left_out: dict[str, str] = {}
    pairs: list[tuple[Method, Backend | None]] = []
    for method in methods or tuple(Method):
        needed = _NEEDS.get(method)
        reason = _missing(libraries, needed) if needed else None
        if reason and methods:
            raise LibraryMissing(
                f"method {method} needs lib{needed}: {reason}",
                hint="install it, or leave the method out",
            )
        if reason:
            left_out[str(method)] = reason
        elif method is not Method.QPL:
            pairs.append((method, None))
        else:
            pairs += [(method, b) for b in _backends(backends, libraries, available, left_out)]
    found = [
        Variant(method=method, backend=backend, prealloc=prealloc)
        for method, backend in pairs
        for prealloc in preallocs
    ]
    return list(dict.fromkeys(found)), left_out


def _backends(
    asked: Sequence[Backend],
    libraries: Sequence[Library],
    available: Supply,
    left_out: dict[str, str],
) -> list[Backend]:
    reasons = {Backend.IAA: available.why_none, Backend.LIBQPL: _missing(libraries, "libqpl")}
    for backend in asked:
        if reasons.get(backend):
            raise HostError(
                f"backend {backend} cannot be had: {reasons[backend]}",
                hint="`iaactl list --wqs` shows queues and access; `iaactl apply` sets them up"
                if backend is Backend.IAA
                else "install libqpl1 (Debian: in unstable), or take --backend software",
            )
    if asked:
        return list(asked)
    found = []
    for backend in (Backend.IAA, Backend.LIBQPL, Backend.SOFTWARE):
        if reason := reasons.get(backend):
            left_out[f"{Method.QPL}/{backend}"] = reason
        else:
            found.append(backend)
    return found
