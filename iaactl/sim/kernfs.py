"""The tree of nodes that the simulated kernel publishes, and that FUSE shows as files.

It plays the part of the kernel's kernfs: the driver model adds and removes directories,
attributes, links and device nodes; whoever serves the tree (FUSE, or a test that calls it
directly) only looks them up and calls them. Errors are `OSError` with an errno, as a system call
would return it. Not thread safe: the owner of the tree holds one lock around every operation.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar


def refuse(number: int) -> OSError:
    """An `OSError` for `raise`, with the C library's text."""
    return OSError(number, os.strerror(number))


@dataclass(frozen=True, slots=True)
class Caller:
    """The process behind an operation, as the kernel would see it (`current`)."""

    pid: int
    uid: int = 0
    gid: int = 0


class Node:
    """Anything with a name in the tree. `mode` holds permission bits only."""

    def __init__(self, mode: int, uid: int = 0, gid: int = 0) -> None:
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.changed = time.time()


NodeT = TypeVar("NodeT", bound=Node)


class Directory(Node):
    """A directory; children keep the order in which they were added."""

    def __init__(self, mode: int = 0o755) -> None:
        super().__init__(mode)
        self.children: dict[str, Node] = {}

    def add(self, name: str, node: NodeT) -> NodeT:
        """Put `node` under `name` and return it; a name already taken is a bug of the simulator."""
        if name in self.children:
            raise ValueError(f"{name} exists")
        self.children[name] = node
        return node

    def directory(self, path: str) -> Directory:
        """The directory at a relative `path`, made with its parents where missing."""
        here = self
        for part in path.split("/"):
            child = here.children.get(part)
            if child is None:
                child = here.add(part, Directory())
            if not isinstance(child, Directory):
                raise ValueError(f"{path}: {part} is not a directory")
            here = child
        return here

    def remove(self, name: str) -> None:
        """Take `name` and all below it away."""
        del self.children[name]

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Node]]:
        """All nodes below, depth first, with paths relative to this directory."""
        for name, node in list(self.children.items()):
            path = f"{prefix}{name}"
            yield path, node
            if isinstance(node, Directory):
                yield from node.walk(f"{path}/")


class Attribute(Node):
    """A text attribute: one read returns what `show` returns, one write is one call of `store`.

    Without write bits in `mode`, opening for writing is EACCES even for root, as in sysfs; the
    same for reading without read bits.
    """

    def __init__(
        self,
        show: Callable[[], bytes] | None = None,
        store: Callable[[bytes], None] | None = None,
        *,
        mode: int | None = None,
    ) -> None:
        if mode is None:
            mode = (0o444 if show else 0) | (0o200 if store else 0)
        super().__init__(mode)
        self._show = show
        self._store = store

    def show(self) -> bytes:
        """The exact bytes of one read; raises OSError as read(2) would."""
        if self._show is None:
            raise refuse(errno.EACCES)
        return self._show()

    def store(self, data: bytes) -> None:
        """One write(2) of exactly `data`. A write of nothing never reaches the driver."""
        if self._store is None:
            raise refuse(errno.EACCES)
        if data:
            self._store(data)


class Binary(Node):
    """A binary attribute of known size, such as a PCI function's `config`."""

    def __init__(self, content: bytearray, *, mode: int = 0o444) -> None:
        super().__init__(mode)
        self.content = content


class Link(Node):
    """A symbolic link; `target` is kept as it is read by readlink(2)."""

    def __init__(self, target: str) -> None:
        super().__init__(0o777)
        self.target = target


class OpenDevice(Protocol):
    """One open file of a character device. All methods raise OSError as the system call would."""

    def write(self, data: bytes, caller: Caller) -> int:
        """Bytes taken by one write(2)."""

    def read(self, size: int, caller: Caller) -> bytes:
        """What one read(2) returns."""

    def mmap(self, length: int, caller: Caller) -> None:
        """Only the driver's checks: nothing is mapped here."""

    def poll(self, caller: Caller) -> int:
        """The revents of poll(2)."""

    def close(self) -> None:
        """The last close of this file."""


class DeviceNode(Node):
    """A character device node, as below /dev."""

    def __init__(
        self, open_: Callable[[Caller], OpenDevice], device: tuple[int, int], *, mode: int = 0o600
    ) -> None:
        super().__init__(mode)
        self.device = device
        self._open = open_

    def open(self, caller: Caller) -> OpenDevice:
        """open(2) for reading and writing."""
        return self._open(caller)


def find(root: Directory, path: str) -> Node:
    """The node at an absolute or relative `path` below `root`, following links on the way.

    The last component is not followed. Raises OSError ENOENT, ENOTDIR or ELOOP.
    """
    trail: list[Directory] = [root]
    parts = [part for part in path.split("/") if part and part != "."]
    hops = 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            if len(trail) > 1:
                trail.pop()
            continue
        child = trail[-1].children.get(part)
        if child is None:
            raise refuse(errno.ENOENT)
        if not parts:
            return child
        if isinstance(child, Link):
            hops += 1
            if hops > 40:
                raise refuse(errno.ELOOP)
            if child.target.startswith("/"):
                del trail[1:]
            parts = [p for p in child.target.split("/") if p and p != "."] + parts
        elif isinstance(child, Directory):
            trail.append(child)
        else:
            raise refuse(errno.ENOTDIR)
    return trail[-1]
