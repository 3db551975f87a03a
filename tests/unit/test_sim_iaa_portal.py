"""A descriptor written to the character device of the simulated machine, in this process."""

from __future__ import annotations

import ctypes
import errno
import os
import zlib

import pytest

from fakes.machine import boot
from iaactl.iaa import descriptor as d
from iaactl.iaa.aecs import CompressAecs
from iaactl.iaa.completion import CompletionRecord, Status
from iaactl.sim.iaa.memory import own_memory
from iaactl.sim.iaa.orders import Order
from iaactl.sim.iaa.portal import Portal
from iaactl.sim.kernfs import Attribute, Caller, DeviceNode, OpenDevice, find
from iaactl.sim.machine import Machine

ME = Caller(os.getpid())
DATA = b"written to the node, read back from memory; " * 50


def configured(**attributes: str) -> tuple[Machine, str]:
    """A machine with one user work queue on, and that queue's name."""
    machine = boot("spr-2s")
    device = sorted(name for name in machine.kernel.devices if name.startswith("iax"))[0]
    number = device.removeprefix("iax")

    def store(path: str, text: str) -> None:
        node = find(machine.root, f"sys/bus/dsa/{path}")
        assert isinstance(node, Attribute), path
        node.store(text.encode())

    state = find(machine.root, f"sys/bus/dsa/devices/{device}/state")
    assert isinstance(state, Attribute)
    if state.show() == b"enabled\n":
        store("drivers/idxd/unbind", device)
    name = f"wq{number}.0"
    wanted = {"group_id": "0", "size": "16", "mode": "shared", "threshold": "16", "priority": "5"}
    wanted |= {"type": "user", "name": "test", "driver_name": "user"} | attributes
    for key, value in wanted.items():
        store(f"devices/{name}/{key}", value)
    store(f"devices/engine{number}.0/group_id", "0")
    store("drivers/idxd/bind", device)
    store("drivers/user/bind", name)
    return machine, name


def opened(machine: Machine, name: str) -> OpenDevice:
    """The node, opened by this process."""
    node = find(machine.root, f"dev/iax/{name}")
    assert isinstance(node, DeviceNode)
    return node.open(ME)


class Arena:
    """Memory of this process with room for a job."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(32768)
        self.completion = (ctypes.addressof(self._buffer) + 63) // 64 * 64
        self.aecs = self.completion + 64
        self.source = self.completion + 4096
        self.output = self.completion + 12288
        self.memory = own_memory()
        self.memory.write(self.aecs, CompressAecs.fixed().pack())
        self.memory.write(self.source, DATA)

    def record(self) -> CompletionRecord:
        return CompletionRecord.parse(self.memory.read(self.completion, 64))

    def compress(self, *, block_on_fault: bool = False) -> bytes:
        return d.compress(
            self.completion,
            (self.source, len(DATA)),
            (self.output, 4096),
            (self.aecs, 1568),
            block_on_fault=block_on_fault,
        ).pack()


def test_two_descriptors_in_one_write() -> None:
    machine, name = configured()
    machine.execute = Portal()
    arena = Arena()
    data = d.noop(arena.completion).pack() + arena.compress()
    assert opened(machine, name).write(data, ME) == 128
    record = arena.record()
    assert record.ok, record.explain()
    assert zlib.decompress(arena.memory.read(arena.output, record.output_size), -12) == DATA


def test_the_work_queue_s_own_limits() -> None:
    machine, name = configured(max_transfer_size="1024")
    machine.execute = Portal()
    arena = Arena()
    node = opened(machine, name)
    node.write(arena.compress(block_on_fault=True), ME)
    assert arena.record().status == Status.BAD_FLAGS
    node.write(arena.compress(), ME)
    assert arena.record().status == Status.BAD_SIZE
    machine, name = configured(block_on_fault="1")
    machine.execute = Portal()
    opened(machine, name).write(arena.compress(block_on_fault=True), ME)
    assert arena.record().ok


def test_a_full_queue_is_eagain() -> None:
    machine, name = configured()
    machine.execute = Portal({name: [Order(full=True, nth=1), Order(status=0x20, nth=1)]})
    arena = Arena()
    node = opened(machine, name)
    with pytest.raises(OSError, match="temporarily") as met:
        node.write(arena.compress(), ME)
    assert met.value.errno == errno.EAGAIN
    node.write(arena.compress(), ME)
    assert arena.record().status == Status.HARDWARE_ERROR
    node.write(arena.compress(), ME)
    assert arena.record().ok


def test_software_errors_are_kept() -> None:
    machine, name = configured()
    portal = machine.execute = Portal()
    opened(machine, name).write(d.noop(64).pack(), ME)
    assert [error.error for error in portal.errors] == [Status.COMPLETION_TRANSLATION]
