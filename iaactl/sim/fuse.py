"""Serves a tree of `kernfs` nodes as files through libfuse3 (mfusepy), with sysfs' manners.

One write(2) is one store, one open file keeps one show until it is read from offset 0 again,
opening against the mode is EACCES even for root, and no content is cached. The loop is single
threaded: close(2) does not wait for FUSE_RELEASE, so only strict order lets the next operation
see that a file is closed.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import signal
import stat
import threading
from collections.abc import Callable
from typing import Any, Protocol

from iaactl.errors import HostError
from iaactl.sim import kernfs
from iaactl.sim.faults import Effect, Fault, Faults
from iaactl.sim.journal import Journal
from iaactl.sim.permissions import READ, WRITE, permitted

# Sonames of libfuse 3.0 to 3.16, and of 3.17 and later; release 2 has another mount protocol.
LIBFUSE3 = ("libfuse3.so.3", "libfuse3.so.4")

_PAGE = 4096
# The kernel may remember that a name exists: every operation on it comes here all the same, and is
# refused once the name is gone. Names that do not exist are never remembered.
_NAMES_KEPT_S = 3600
# What a file without a poll method reports: POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM.
_ALWAYS_READY = 0x145
# How much of the configuration space a user without CAP_SYS_ADMIN may read.
_PUBLIC_CONFIG = 64


class ServedMachine(Protocol):
    """What the server needs of a simulated machine."""

    root: kernfs.Directory
    lock: threading.RLock


class _Open:
    """An open file: the node, and what belongs to this opening of it."""

    def __init__(self, node: kernfs.Node, device: kernfs.OpenDevice | None = None) -> None:
        self.node = node
        self.device = device
        self.shown: bytes | None = None
        self.opener = 0


def load_library() -> Any:
    """mfusepy bound to libfuse3, never to release 2; HostError says which of both is missing."""
    for soname in LIBFUSE3:
        try:
            ctypes.CDLL(soname)
        except OSError:
            continue
        os.environ["FUSE_LIBRARY_PATH"] = soname
        break
    else:
        raise HostError("libfuse3 cannot be loaded", hint="install the package libfuse3-3 (fuse3)")
    try:
        return importlib.import_module("mfusepy")
    except ImportError as error:
        raise HostError(
            "the Python package mfusepy is missing", hint="pip install 'iaactl[sim]'"
        ) from error
    finally:
        del os.environ["FUSE_LIBRARY_PATH"]


def _process_of(caller: kernfs.Caller) -> kernfs.Caller:
    """FUSE names the thread that asks; memory and PASID belong to its process."""
    try:
        with open(f"/proc/{caller.pid}/status") as status:
            group = next(line.split()[1] for line in status if line.startswith("Tgid:"))
    except (OSError, StopIteration):
        return caller
    return kernfs.Caller(int(group), caller.uid, caller.gid)


class Tree:
    """The machine's tree with a fixed tree below it: mount points of what is real, topology."""

    def __init__(self, machine: ServedMachine, base: kernfs.Directory) -> None:
        self._layers = (machine.root, base)

    def at(self, path: str) -> kernfs.Node:
        """The node at an absolute path without links; ENOENT when neither tree has it."""
        parts = [part for part in path.split("/") if part]
        for layer in self._layers:
            node: kernfs.Node | None = layer
            for part in parts:
                node = node.children.get(part) if isinstance(node, kernfs.Directory) else None
            if node is not None:
                return node
        raise kernfs.refuse(errno.ENOENT)

    def children(self, path: str) -> dict[str, kernfs.Node]:
        """The entries of a directory, the machine's own first."""
        merged: dict[str, kernfs.Node] = {}
        parts = [part for part in path.split("/") if part]
        for layer in self._layers:
            node: kernfs.Node | None = layer
            for part in parts:
                node = node.children.get(part) if isinstance(node, kernfs.Directory) else None
            if isinstance(node, kernfs.Directory):
                merged = {**node.children, **merged}
        return merged


def _type_bits(node: kernfs.Node) -> int:
    if isinstance(node, kernfs.Directory):
        return stat.S_IFDIR
    return stat.S_IFLNK if isinstance(node, kernfs.Link) else stat.S_IFREG


class Server:
    """The file system operations, under the names that mfusepy looks for."""

    use_ns = True

    def __init__(
        self,
        machine: ServedMachine,
        base: kernfs.Directory,
        *,
        faults: Faults,
        journal: Journal,
    ) -> None:
        self._machine = machine
        self._tree = Tree(machine, base)
        self._faults = faults
        self._journal = journal
        self._files: dict[int, _Open] = {}
        self._next = 1
        self._context: Callable[[], tuple[int, int, int]] | None = None
        self._ready: Callable[[], None] = lambda: None

    def serve(self, mountpoint: str, ready: Callable[[], None]) -> None:
        """Mount at `mountpoint` and serve until unmounted; `ready` is called once it answers."""
        library = load_library()
        self._context = library.fuse_get_context
        self._ready = ready
        library.FUSE(
            self,
            mountpoint,
            raw_fi=True,
            foreground=True,
            nothreads=True,
            fsname="iaactl-sim",
            allow_other=True,
            attr_timeout=0,
            entry_timeout=_NAMES_KEPT_S,
            negative_timeout=0,
        )

    def _caller(self) -> kernfs.Caller:
        if self._context is None:
            raise RuntimeError("no request is being served")
        uid, gid, pid = self._context()
        return kernfs.Caller(pid, uid, gid)

    # Names and attributes -----------------------------------------------------------------

    def init(self, _path: str) -> None:
        """The kernel has accepted the mount."""
        self._ready()

    def getattr(self, path: str, fi: Any = None) -> dict[str, int]:
        """The stat structure."""
        with self._machine.lock:
            node = self._files[fi.fh].node if fi and fi.fh in self._files else self._tree.at(path)
            size = 0
            if isinstance(node, kernfs.Attribute):
                size = _PAGE
            elif isinstance(node, kernfs.Binary):
                size = len(node.content)
            elif isinstance(node, kernfs.Link):
                size = len(os.fsencode(node.target))
            changed = int(node.changed * 1e9)
            return {
                "st_mode": _type_bits(node) | node.mode,
                "st_nlink": 2 if isinstance(node, kernfs.Directory) else 1,
                "st_uid": node.uid,
                "st_gid": node.gid,
                "st_size": size,
                "st_atime": changed,
                "st_mtime": changed,
                "st_ctime": changed,
            }

    def readlink(self, path: str) -> str:
        """The target of a symbolic link."""
        with self._machine.lock:
            node = self._tree.at(path)
        if not isinstance(node, kernfs.Link):
            raise kernfs.refuse(errno.EINVAL)
        return node.target

    def readdir(self, path: str, _fi: Any) -> list[tuple[str, dict[str, int], int]]:
        """Names with types."""
        with self._machine.lock:
            entries = self._tree.children(path)
            directory = {"st_mode": stat.S_IFDIR}
            return [
                (".", directory, 0),
                ("..", directory, 0),
                *((name, {"st_mode": _type_bits(node)}, 0) for name, node in entries.items()),
            ]

    def chmod(self, path: str, mode: int) -> int:
        """Permissions of a node, as sysfs and devtmpfs allow it."""
        with self._machine.lock:
            self._own(path).mode = stat.S_IMODE(mode)
        return 0

    def _own(self, path: str) -> kernfs.Node:
        """The node, if it is the caller's to change; EPERM else."""
        node = self._tree.at(path)
        if self._caller().uid not in (0, node.uid):
            raise kernfs.refuse(errno.EPERM)
        return node

    def access(self, path: str, amode: int) -> int:
        """access(2)."""
        with self._machine.lock:
            node = self._tree.at(path)
            wanted = amode & (READ | WRITE)
            if isinstance(node, kernfs.Attribute | kernfs.Binary | kernfs.DeviceNode) and not (
                permitted(node, self._caller(), wanted)
            ):
                raise kernfs.refuse(errno.EACCES)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """Owner of a node; all ones leave it as it is."""
        with self._machine.lock:
            node = self._own(path)
            node.uid = node.uid if uid in (-1, 0xFFFFFFFF) else uid
            node.gid = node.gid if gid in (-1, 0xFFFFFFFF) else gid
        return 0

    def utimens(self, path: str, _times: Any = None) -> int:
        """Times are accepted and not kept."""
        self._tree.at(path)
        return 0

    def truncate(self, path: str, _length: int, _fi: Any = None) -> int:
        """Accepted without effect on attributes and devices, as `echo x > FILE` needs."""
        self._tree.at(path)
        return 0

    def create(self, _path: str, _mode: int, _fi: Any) -> int:
        """No file can be made in these trees."""
        raise kernfs.refuse(errno.EACCES)

    def mknod(self, _path: str, _mode: int, _device: int) -> int:
        """No node can be made in these trees."""
        raise kernfs.refuse(errno.EACCES)

    def mkdir(self, _path: str, _mode: int) -> int:
        """No directory can be made in these trees."""
        raise kernfs.refuse(errno.EPERM)

    def unlink(self, _path: str) -> int:
        """Nothing can be removed by hand."""
        raise kernfs.refuse(errno.EPERM)

    def rmdir(self, _path: str) -> int:
        """Nothing can be removed by hand."""
        raise kernfs.refuse(errno.EPERM)

    def symlink(self, _target: str, _source: str) -> int:
        """No link can be made in these trees."""
        raise kernfs.refuse(errno.EPERM)

    def link(self, _target: str, _source: str) -> int:
        """No link can be made in these trees."""
        raise kernfs.refuse(errno.EPERM)

    def rename(self, _old: str, _new: str) -> int:
        """Names belong to the kernel."""
        raise kernfs.refuse(errno.EPERM)

    # Open files ---------------------------------------------------------------------------

    def open(self, path: str, fi: Any) -> int:
        """open(2)."""
        caller = self._caller()
        try:
            with self._machine.lock:
                handle = self._open(path, fi.flags, caller)
        except OSError as error:
            self._journal.record("open", path, caller.pid, error=error.errno or 0)
            raise
        if handle.device is not None:
            self._journal.record("open", path, caller.pid)
        fi.fh = self._next
        fi.direct_io = 1
        self._next += 1
        self._files[fi.fh] = handle
        return 0

    def _open(self, path: str, flags: int, caller: kernfs.Caller) -> _Open:
        node = self._tree.at(path)
        access = flags & os.O_ACCMODE
        wanted = (READ if access != os.O_WRONLY else 0) | (WRITE if access != os.O_RDONLY else 0)
        if not permitted(node, caller, wanted):
            raise kernfs.refuse(errno.EACCES)
        if not isinstance(node, kernfs.DeviceNode):
            # sysfs has no override for the super user where an operation does not exist.
            if access in (os.O_WRONLY, os.O_RDWR) and not node.mode & 0o222:
                raise kernfs.refuse(errno.EACCES)
            if access in (os.O_RDONLY, os.O_RDWR) and not node.mode & 0o444:
                raise kernfs.refuse(errno.EACCES)
        fault = self._faults.strike("open", path)
        if fault is not None:
            raise kernfs.refuse(fault.number)
        if isinstance(node, kernfs.DeviceNode):
            process = _process_of(caller)
            handle = _Open(node, node.open(process))
            handle.opener = process.pid
            return handle
        return _Open(node)

    def read(self, path: str, size: int, offset: int, fi: Any) -> bytes:
        """read(2)."""
        handle = self._files[fi.fh]
        node = handle.node
        with self._machine.lock:
            if handle.device is not None:
                try:
                    return handle.device.read(size, self._caller())
                except BlockingIOError:
                    if fi.flags & os.O_NONBLOCK:
                        raise
                    return b""  # to wait would stop the one thread that could end the waiting
            self._still_there(path, node)
            if isinstance(node, kernfs.Binary):
                end = len(node.content)
                if path.endswith("/config") and self._caller().uid != 0:
                    end = min(end, _PUBLIC_CONFIG)
                return bytes(node.content[offset : min(offset + size, end)])
            if not isinstance(node, kernfs.Attribute):
                raise kernfs.refuse(errno.EIO)
            if offset == 0 or handle.shown is None:
                handle.shown = node.show()
            return handle.shown[offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fi: Any) -> int:
        """write(2)."""
        handle = self._files[fi.fh]
        caller = self._caller()
        if handle.device is not None:
            if caller.pid != handle.opener:
                caller = _process_of(caller)
            return self._submit(path, data, handle.device, caller)
        node = handle.node
        data = data[:_PAGE] if isinstance(node, kernfs.Attribute) else data
        operation = path.rpartition("/")[2]
        operation = operation if operation in ("bind", "unbind") else "write"
        fault = self._faults.strike("write", path)
        try:
            if fault is not None and fault.effect is Effect.ERRNO:
                raise kernfs.refuse(fault.number)
            if fault is not None and fault.effect is Effect.KILL:
                os.kill(caller.pid, signal.SIGKILL)
                raise kernfs.refuse(errno.EINTR)
            with self._machine.lock:
                self._still_there(path, node)
                self._store(node, data, offset)
        except OSError as error:
            self._journal.record(operation, path, caller.pid, value=data, error=error.errno or 0)
            raise
        finally:
            self._after_write(fault, caller)
        self._journal.record(operation, path, caller.pid, value=data)
        return len(data)

    def _store(self, node: kernfs.Node, data: bytes, offset: int) -> None:
        if isinstance(node, kernfs.Attribute):
            node.store(data)
        elif isinstance(node, kernfs.Binary):
            if offset + len(data) > len(node.content):
                raise kernfs.refuse(errno.EFBIG)
            node.content[offset : offset + len(data)] = data
        else:
            raise kernfs.refuse(errno.EIO)

    def _after_write(self, fault: Fault | None, caller: kernfs.Caller) -> None:
        if fault is not None and fault.effect is Effect.KILL_AFTER:
            os.kill(caller.pid, signal.SIGKILL)
        for device in self._faults.removals():
            with self._machine.lock:
                self._unplug(device)

    def _unplug(self, device: str) -> None:
        """Surprise removal: what the PCI function's own `remove` attribute does."""
        path = f"sys/bus/dsa/devices/{device}/../remove"
        try:
            node = kernfs.find(self._machine.root, path)
            if isinstance(node, kernfs.Attribute):
                node.store(b"1\n")
        except OSError as error:
            self._journal.record("remove", f"/{path}", 0, error=error.errno or 0)
        else:
            self._journal.record("remove", f"/{path}", 0)

    def _submit(
        self, path: str, data: bytes, device: kernfs.OpenDevice, caller: kernfs.Caller
    ) -> int:
        fault = self._faults.strike("submit", path)
        try:
            if fault is not None:
                raise kernfs.refuse(fault.number)
            with self._machine.lock:
                taken = device.write(data, caller)
        except OSError as error:
            self._journal.record(
                "submit", path, caller.pid, length=len(data), error=error.errno or 0
            )
            raise
        self._journal.record("submit", path, caller.pid, length=taken)
        return taken

    def _still_there(self, path: str, node: kernfs.Node) -> None:
        """An open attribute of a device that has gone answers ENODEV."""
        try:
            same = self._tree.at(path) is node
        except OSError:
            same = False
        if not same:
            raise kernfs.refuse(errno.ENODEV)

    def poll(self, _path: str, fi: Any, _handle: Any, revents: Any) -> int:
        """poll(2); waiters are not woken, they see the state when they ask again."""
        handle = self._files[fi.fh]
        events = _ALWAYS_READY
        if handle.device is not None:
            with self._machine.lock:
                events = handle.device.poll(self._caller())
        ctypes.cast(revents, ctypes.POINTER(ctypes.c_uint))[0] = events
        return 0

    def release(self, path: str, fi: Any) -> int:
        """The last close of an open file."""
        handle = self._files.pop(fi.fh)
        if handle.device is not None:
            with self._machine.lock:
                handle.device.close()
            self._journal.record("close", path, self._caller().pid)
        return 0
