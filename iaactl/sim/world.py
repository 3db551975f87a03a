"""Runs a command inside a simulated machine, and takes all of it away with the command.

The command lives in private mount, network and PID namespaces (and a user namespace unless the
caller is privileged). The first process of the PID namespace serves the machine's files; when it
ends, for whatever reason, the kernel kills the command and all its children, and the mounts go
with the last of them.
"""

from __future__ import annotations

import os
import select
import shlex
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from iaactl.errors import HostError
from iaactl.sim import (
    accelerator,
    algorithms,
    bootloader,
    kernfs,
    mounts,
    preflight,
    process,
    procfs,
    syscalls,
    topology,
)
from iaactl.sim.faults import Fault, Faults
from iaactl.sim.fuse import Server
from iaactl.sim.journal import Journal
from iaactl.sim.machine import Machine, MachineSpec, Uevent
from iaactl.sim.mirror import mirror
from iaactl.sim.udev import Udev

NAME_VARIABLE = "IAACTL_SIMULATED_MACHINE"


@dataclass(frozen=True)
class Run:
    """What to run, and where. An empty `command` is an interactive shell."""

    spec: MachineSpec
    command: Sequence[str] = ()
    faults: Sequence[Fault] = ()
    log: Path | None = None
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))


def run(order: Run) -> int:
    """Run the command and return its exit status, 128 + n when signal n ended it.

    Raises HostError when this host or user cannot have such a machine.
    """
    preflight.check_fuse()
    log: int | None = None
    if order.log is not None:
        try:
            log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)
        except OSError as error:
            raise HostError(f"{order.log} cannot be written: {error.strerror}") from error
        os.set_inheritable(log, False)
    failures, report = os.pipe()
    lives, alive = os.pipe()
    process.block_signals()
    preflight.enter(preflight.needs_user_namespace())
    server = os.fork()
    if server == 0:
        os.close(failures)
        os.close(alive)
        _serve(order, log, report, lives)
    os.close(report)
    os.close(lives)
    status = process.attend(server)
    os.close(alive)
    text = b""
    while chunk := os.read(failures, 65536):
        text += chunk
    os.close(failures)
    process.unblock_signals()
    if text:
        process.raise_reported(text)
    return status


def _serve(order: Run, log: int | None, report: int, lives: int) -> NoReturn:
    """The first process of the world: builds the machine, serves it, waits for the command."""
    try:
        syscalls.die_with_parent()
        if select.select([lives], [], [], 0)[0]:
            os._exit(1)
        directory = str(Path.cwd())
        mounts.detach_from_host()
        mounts.fresh_proc()
        syscalls.loopback_up()
        mounts.private_directories()
        status = _World(order, log, report).command(directory)
    except BaseException as error:  # noqa: BLE001  the process outside says what went wrong
        process.report_failure(report, error)
        os._exit(1)
    os._exit(status)


class _World:
    """The served machine and the one command in it."""

    def __init__(self, order: Run, log: int | None, report: int) -> None:
        self._order = order
        self._report = report
        spec = order.spec
        faults = Faults(order.faults)
        self._udev: Udev | None = None
        self._machine = Machine(spec, self._emit)
        self._machine.command_fault = lambda device, command, _operand: faults.command(
            device, command
        )
        accelerator.attach(self._machine, faults)
        base = kernfs.Directory()
        topology.build(base, spec)
        self._binds: list[str] = []
        for name in ("sys", "dev"):
            directory = base.directory(name)
            own = [directory]
            machine_directory = self._machine.root.children.get(name)
            if isinstance(machine_directory, kernfs.Directory):
                own.insert(0, machine_directory)
            self._binds += mirror(directory, own, name, f"/{name}")
        boot = Path(mounts.BOOT)
        procfs.fill_boot(spec, boot)
        bootloader.fill(spec, Path(mounts.DEFAULTS), boot)
        self._files = procfs.proc_files(spec, mounts.STAGE)
        if Path(algorithms.PATH).exists():
            self._files.append((f"{mounts.TREE}{algorithms.PATH}", algorithms.PATH))
        self._server = Server(self._machine, base, faults=faults, journal=Journal(log))

    def _emit(self, event: Uevent) -> None:
        # Nobody could listen while the machine booted; udev finds the devices by itself.
        if self._udev is not None:
            self._udev.emit(event)

    def command(self, directory: str) -> int:
        """Start the command once everything is in place; its exit status."""
        served, ready = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(ready)
            self._become_command(served, directory)
        os.close(served)
        self._udev = Udev(self._machine)
        self._udev.start()
        threading.Thread(target=self._answer, args=(ready,), daemon=True).start()
        return process.attend(child)

    def _answer(self, ready: int) -> None:
        try:
            self._server.serve(mounts.TREE, lambda: os.close(ready))
        except BaseException as error:  # noqa: BLE001  nobody else sees what a thread raises
            process.report_failure(self._report, error)
        # Without its file system the world is of no use: end it with all processes.
        os._exit(1)

    def _become_command(self, served: int, directory: str) -> NoReturn:
        """In the child: wait for the server, put the mounts in place, execute."""
        try:
            os.read(served, 1)
            mounts.put_in_place(self._binds, self._files)
            own = str(Path(sys.executable).parent)  # so that `iaactl` is the one that runs this
            path = self._order.environment.get("PATH", os.defpath)
            environment = {
                **self._order.environment,
                "PATH": path if own in path.split(":") else f"{own}:{path}",
                "SYSTEMD_DEVICE_VERIFY_SYSFS": "0",
                NAME_VARIABLE: self._order.spec.name,
            }
            command = list(self._order.command) or _shell(environment, self._order.spec.name)
        except BaseException as error:  # noqa: BLE001  as in _serve
            process.report_failure(self._report, error)
            os._exit(1)
        process.execute(command, environment, directory)


def _shell(environment: dict[str, str], name: str) -> list[str]:
    """The user's shell, with a prompt that says where it is."""
    shell = environment.get("SHELL") or "/bin/sh"
    prompt = f"(simulated {name}) "
    environment["PS1"] = prompt + "\\w\\$ "
    if Path(shell).name != "bash":
        return [shell]
    start = Path(mounts.STAGE, "bashrc")
    start.write_text(f"[ -r ~/.bashrc ] && . ~/.bashrc\nPS1={shlex.quote(prompt)}$PS1\n")
    return [shell, "--rcfile", str(start), "-i"]
