"""Whatever is done to a simulated machine, it answers with an errno and stays in one piece."""

from __future__ import annotations

import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iaactl.sim.kernfs import Attribute, Caller, DeviceNode, Link, OpenDevice, find
from iaactl.sim.machine import Machine, load

MACHINES = ("trace-6.16-spr", "trace-7.3-v2", "trace-7.3-nocfg", "kernel-6.1", "mixed-dsa")
VALUES = st.one_of(
    st.sampled_from([b"0", b"1", b"-1", b"7", b"16", b"128", b"user", b"kernel", b"none"]),
    st.sampled_from([b"shared", b"dedicated", b"dmaengine", b"crypto", b"app1", b"d\n"]),
    st.sampled_from([b"18446744073709551615", b"9223372036854775809", b"add", b"change"]),
    st.integers(-3, 200).map(lambda n: f"{n}\n".encode()),
    st.binary(max_size=12),
)
OBJECTS = [f"{kind}{n}{rest}" for n in (0, 1) for kind, rest in [("iax", "")]] + [
    f"wq{n}.{m}" for n in (0, 1) for m in (0, 1, 7)
]
COMMON = st.sampled_from(
    ["group_id", "size", "mode", "type", "name", "driver_name", "priority", "threshold"]
)
BIND = st.tuples(
    st.just("bind"),
    st.sampled_from(["idxd", "user", "user", "dmaengine", "crypto"]),
    st.sampled_from(["bind", "bind", "unbind"]),
    st.sampled_from(OBJECTS).map(str.encode),
)
SET = st.tuples(st.just("set"), st.sampled_from([0, 1]), st.sampled_from([0, 1, 7]), COMMON, VALUES)
ANY = st.tuples(st.just("any"), st.integers(0, 1 << 16), VALUES)
OPEN = st.tuples(st.just("open"), st.integers(0, 7), st.integers(1, 3))
USE = st.tuples(st.just("use"), st.integers(0, 7), st.sampled_from(["close", "write", "poll"]))
MODULE = st.tuples(
    st.just("module"), st.sampled_from(["insmod", "rmmod"]), st.sampled_from(["idxd", "iaa_crypto"])
)
READY = st.tuples(st.just("ready"), st.sampled_from([0, 1]), st.booleans())
OPERATIONS = st.lists(st.one_of(BIND, SET, SET, ANY, READY, OPEN, USE, MODULE), max_size=60)


def _write(machine: Machine, path: str, value: bytes) -> None:
    node = find(machine.root, path)
    if isinstance(node, Attribute):
        node.store(value)


def _ready(machine: Machine, device: int, shared: bool) -> None:
    """Configure and enable one work queue, so that the rest of a run meets an enabled one."""
    base = "/sys/bus/dsa/devices"
    mode = b"shared" if shared else b"dedicated"
    for name, value in (
        ("mode", mode),
        ("type", b"user"),
        ("name", b"n"),
        ("driver_name", b"user"),
        ("size", b"8"),
        ("group_id", b"0"),
        ("priority", b"1"),
        ("threshold", b"8"),
    ):
        with contextlib.suppress(OSError):
            _write(machine, f"{base}/wq{device}.0/{name}", value)
    with contextlib.suppress(OSError):
        _write(machine, f"{base}/engine{device}.0/group_id", b"0")
    with contextlib.suppress(OSError):
        _write(machine, "/sys/bus/dsa/drivers/idxd/bind", f"iax{device}".encode())
    _write(machine, "/sys/bus/dsa/drivers/user/bind", f"wq{device}.0".encode())


def _do(machine: Machine, files: list[OpenDevice], operation: tuple[object, ...]) -> None:
    match operation:
        case ("bind", str() as driver, str() as verb, bytes() as name):
            _write(machine, f"/sys/bus/dsa/drivers/{driver}/{verb}", name)
        case ("set", device, wq, attribute, bytes() as value):
            _write(machine, f"/sys/bus/dsa/devices/wq{device}.{wq}/{attribute}", value)
        case ("ready", int() as device, bool() as shared):
            _ready(machine, device, shared)
        case ("any", int() as chosen, bytes() as value):
            found = [
                node
                for _, node in machine.root.walk()
                if isinstance(node, Attribute) and node.mode & 0o222
            ]
            found[chosen % len(found)].store(value)
        case ("open", int() as chosen, int() as pid):
            nodes = [n for _, n in machine.root.walk() if isinstance(n, DeviceNode)]
            if nodes:
                files.append(nodes[chosen % len(nodes)].open(Caller(pid)))
        case ("use", int() as chosen, str() as how) if files:
            file = files[chosen % len(files)]
            if how == "close":
                files.remove(file)
                file.close()
            elif how == "write":
                file.write(bytes(128), Caller(1))
            else:
                file.poll(Caller(1))
        case ("module", "insmod", str() as module):
            machine.insmod(module)
        case ("module", "rmmod", str() as module):
            machine.rmmod(module)
        case _:
            assert not files


def _whole(machine: Machine) -> None:
    """Everything can be read, and links lead somewhere (files of stale devices excepted)."""
    for path, node in machine.root.walk("/"):
        if isinstance(node, Attribute) and node.mode & 0o444:
            with contextlib.suppress(OSError):
                assert isinstance(node.show(), bytes)
        if isinstance(node, Link) and not path.rpartition("/")[2].startswith("file"):
            find(machine.root, f"{path.rpartition('/')[0]}/{node.target}")


@given(st.sampled_from(MACHINES), OPERATIONS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_only_errors_of_system_calls(name: str, operations: list[tuple[object, ...]]) -> None:
    machine = Machine(load(name), lambda event: None)
    files: list[OpenDevice] = []
    for operation in operations:
        with contextlib.suppress(OSError):
            _do(machine, files, operation)
        _whole(machine)
    for file in files:
        file.close()
    _whole(machine)
    assert machine.kernel.open_files == 0
