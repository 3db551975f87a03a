"""Stands in for systemd-udevd: its database, its control socket, its events, its rules' effect.

As in a real system it works behind the kernel: a device node exists with the kernel's permissions
until its event has been handled. `udevadm settle` waits for that.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from iaactl.sim import kernfs, rules
from iaactl.sim.fuse import ServedMachine
from iaactl.sim.uevent import KernelEvent, KernelReceiver, KernelSender, UdevSender

RUN = Path("/run/udev")
_QUEUE = RUN / "queue"
# Messages of udevadm on the control socket (systemd's udev-ctrl): version, magic, type, value.
_CONTROL = struct.Struct("=16sII")
_CONTROL_MAGIC = 0xDEAD1DEA
_END, _RELOAD, _PING = 0, 4, 7


class Device:
    """A device directory of the machine's tree, as rules look at it."""

    def __init__(self, directory: kernfs.Directory, name: str) -> None:
        self._directory = directory
        self.kernel = name.replace("!", "/")

    def _link(self, name: str) -> str:
        node = self._directory.children.get(name)
        return node.target.rpartition("/")[2] if isinstance(node, kernfs.Link) else ""

    @property
    def subsystem(self) -> str:
        """The last component of the link `subsystem`."""
        return self._link("subsystem")

    @property
    def driver(self) -> str:
        """The last component of the link `driver`."""
        return self._link("driver")

    def attribute(self, name: str) -> str | None:
        """The attribute's text without trailing white space."""
        try:
            node = kernfs.find(self._directory, name)
            if isinstance(node, kernfs.Attribute) and node.mode & 0o444:
                return node.show().decode("utf-8", "surrogateescape").rstrip()
        except OSError:
            pass
        return None


def _chain(root: kernfs.Directory, devpath: str) -> list[Device]:
    """The device and its parents, nearest first; empty when it has gone."""
    chain: list[Device] = []
    here: kernfs.Node | None = root.children.get("sys")
    for part in (part for part in devpath.split("/") if part):
        here = here.children.get(part) if isinstance(here, kernfs.Directory) else None
        if not isinstance(here, kernfs.Directory):
            return []
        chain.insert(0, Device(here, part))
    return chain


def _devices(root: kernfs.Directory) -> Iterator[tuple[str, kernfs.Directory]]:
    """Every device directory (with `uevent` and `subsystem`) as devpath and node."""
    top = root.children.get("sys")
    if not isinstance(top, kernfs.Directory):
        return
    for path, node in top.walk("/"):
        if (
            path.startswith("/devices/")
            and isinstance(node, kernfs.Directory)
            and {"uevent", "subsystem"} <= node.children.keys()
        ):
            yield path, node


def _record(variables: dict[str, str]) -> Path:
    """The device's file in udev's database."""
    if "MAJOR" in variables:
        return RUN / "data" / f"c{variables['MAJOR']}:{variables['MINOR']}"
    name = variables["DEVPATH"].rpartition("/")[2]
    return RUN / "data" / f"+{variables['SUBSYSTEM']}:{name}"


def _microseconds() -> int:
    return time.monotonic_ns() // 1000


class Udev:
    """Handles the events of one machine in a thread of its own."""

    def __init__(self, machine: ServedMachine) -> None:
        self._machine = machine
        self._kernel = KernelSender()
        self._receiver = KernelReceiver()
        self._sender = UdevSender()
        self._pending: Counter[tuple[str, str]] = Counter()
        self._pending_lock = threading.Lock()
        self._rules: list[rules.Rule] = []
        self._stamp: object = None
        self._complained: set[str] = set()

    def start(self) -> None:
        """Fill the database with what is there, open the control socket, begin to listen."""
        (RUN / "data").mkdir(parents=True, exist_ok=True)
        for devpath, node in _devices(self._machine.root):
            event = node.children["uevent"]
            text = event.show().decode() if isinstance(event, kernfs.Attribute) else ""
            variables = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
            variables["DEVPATH"] = devpath
            variables["SUBSYSTEM"] = Device(node, "").subsystem
            self._handle({**variables, "ACTION": "add"}, announce=False)
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        control.bind(str(RUN / "control"))
        control.listen(8)
        for work in (self._listen, lambda: self._answer(control)):
            threading.Thread(target=work, daemon=True).start()

    def emit(self, event: KernelEvent) -> None:
        """Send one event of the kernel. Called with the machine's lock held."""
        with self._pending_lock:
            self._pending[event.action, event.devpath] += 1
            _QUEUE.touch()
        self._kernel.send(event)

    def _listen(self) -> None:
        while True:
            variables = self._receiver.receive()
            self._handle(variables, announce=True)
            with self._pending_lock:
                # The host's kernel sends its own events to privileged namespaces, too.
                self._pending -= Counter([(variables["ACTION"], variables["DEVPATH"])])
                if not self._pending:
                    _QUEUE.unlink(missing_ok=True)

    def _handle(self, variables: dict[str, str], *, announce: bool) -> None:
        record = _record(variables)
        outcome = rules.Outcome()
        if variables["ACTION"] == "remove":
            record.unlink(missing_ok=True)
        else:
            with self._machine.lock:
                chain = _chain(self._machine.root, variables["DEVPATH"])
                if chain:
                    outcome = rules.apply(self._current_rules(), variables, chain)
                    self._permit(variables.get("DEVNAME"), outcome)
            if chain:
                self._write(record, outcome)
        if not announce:
            return
        sent = {**variables, **outcome.variables, "USEC_INITIALIZED": str(_microseconds())}
        if "DEVNAME" in sent and not sent["DEVNAME"].startswith("/"):
            sent["DEVNAME"] = f"/dev/{sent['DEVNAME']}"
        if outcome.tags:
            sent["TAGS"] = sent["CURRENT_TAGS"] = f":{':'.join(outcome.tags)}:"
        self._sender.send(sent, outcome.tags)

    def _write(self, record: Path, outcome: rules.Outcome) -> None:
        lines = [f"I:{_microseconds()}"]
        lines += [f"E:{name}={value}" for name, value in outcome.variables.items()]
        lines += [f"{kind}:{tag}" for tag in outcome.tags for kind in "GQ"]
        # Readers must never see half of it.
        fresh = record.with_name(f".#{record.name}")
        fresh.write_text("\n".join([*lines, "V:1", ""]))
        fresh.rename(record)

    def _current_rules(self) -> list[rules.Rule]:
        """Read again when a directory or a file in it has changed, as udevd does by itself."""
        stamp = [
            (str(path), path.stat().st_mtime_ns)
            for directory in rules.DIRECTORIES
            if Path(directory).is_dir()
            for path in (Path(directory), *Path(directory).glob("*.rules"))
            if path.exists()
        ]
        if stamp != self._stamp:
            self._stamp = stamp
            self._rules = rules.load(self._complain)
        return self._rules

    def _complain(self, text: str) -> None:
        if text not in self._complained:
            self._complained.add(text)
            os.write(2, f"simulated udev: {text}\n".encode(errors="surrogateescape"))

    def _permit(self, devname: str | None, outcome: rules.Outcome) -> None:
        """Set owner, group and mode of the device node, when a rule asks for any of them."""
        if devname is None or (outcome.owner, outcome.group, outcome.mode) == (None, None, None):
            return
        path = devname.removeprefix("/dev/")
        try:
            node = kernfs.find(self._machine.root, f"dev/{path}")
        except OSError:
            return  # gone meanwhile; its remove event is on the way
        uid = self._number(outcome.owner, "user")
        gid = self._number(outcome.group, "group")
        node.uid, node.gid = uid or 0, gid or 0
        if outcome.mode is not None:
            try:
                node.mode = int(outcome.mode, 8)
            except ValueError:
                self._complain(f"mode {outcome.mode!r} is not an octal number")
        else:
            node.mode = 0o660 if gid else 0o600

    def _number(self, name: str | None, kind: str) -> int | None:
        if name is None:
            return None
        if name.isdigit():
            return int(name)
        try:
            return pwd.getpwnam(name).pw_uid if kind == "user" else grp.getgrnam(name).gr_gid
        except KeyError:
            self._complain(f"unknown {kind} {name!r}")
            return None

    def _answer(self, control: socket.socket) -> None:
        """udevadm control and settle: a reload, or only the proof that somebody listens."""
        while True:
            connection, _ = control.accept()
            with connection:
                while len(message := connection.recv(4096)) >= _CONTROL.size:
                    _, magic, kind = _CONTROL.unpack_from(message)
                    if magic != _CONTROL_MAGIC or kind == _END:
                        break
                    if kind == _RELOAD:
                        with self._machine.lock:
                            self._stamp = None
                    elif kind != _PING:
                        self._complain(f"udevadm control message {kind} is not simulated")
