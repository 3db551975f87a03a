"""CPUs and NUMA nodes of a simulated machine, made from its description."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from iaactl.sim import kernfs
from iaactl.sim.machine import MachineSpec, NodeSpec

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
# Distances of the firmware's SLIT on two-socket Xeons: to itself, within a socket, across.
_LOCAL, _SAME_SOCKET, _REMOTE = 10, 12, 21


def parse_cpulist(text: str) -> list[int]:
    """The CPU numbers of a kernel list; ValueError when it is not one."""
    numbers: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a CPU list")
        numbers.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
    return numbers


def format_cpulist(numbers: Sequence[int]) -> str:
    """The kernel's list format of sorted numbers."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _cpumap(numbers: Sequence[int], possible: int) -> str:
    """The kernel's mask format: comma separated groups of 32 bits."""
    mask = sum(1 << number for number in numbers)
    groups = [f"{mask >> shift & 0xFFFFFFFF:08x}" for shift in range(0, possible, 32)]
    return ",".join(reversed(groups))


def _text(content: str) -> Callable[[], bytes]:
    data = f"{content}\n".encode()
    return lambda: data


def _file(directory: kernfs.Directory, name: str, content: str) -> None:
    directory.add(name, kernfs.Attribute(_text(content)))


def _cpus(spec: MachineSpec) -> Iterator[tuple[int, NodeSpec]]:
    for node in spec.nodes:
        for number in parse_cpulist(node.cpulist):
            yield number, node


def build(base: kernfs.Directory, spec: MachineSpec) -> None:
    """Add /sys/devices/system/{cpu,node} of the machine; nothing when it describes no nodes."""
    cpus = dict(_cpus(spec))
    if not cpus:
        return
    system = base.directory("sys/devices/system")
    everything = format_cpulist(list(cpus))
    cpu_directory = system.directory("cpu")
    for name in ("online", "present", "possible"):
        _file(cpu_directory, name, everything)
    _file(cpu_directory, "offline", "")
    _file(cpu_directory, "kernel_max", str(max(8191, *cpus)))
    siblings = _siblings(cpus)
    packages: dict[int, list[int]] = {}
    for number, node in cpus.items():
        packages.setdefault(node.socket, []).append(number)
    for number, node in cpus.items():
        directory = cpu_directory.directory(f"cpu{number}")
        directory.add(f"node{node.id}", kernfs.Link(f"../../node/node{node.id}"))
        _file(directory, "online", "1")
        shown = directory.directory("topology")
        _file(shown, "physical_package_id", str(node.socket))
        core, threads = siblings[number]
        _file(shown, "core_id", str(core))
        _file(shown, "die_id", "0")
        for name in ("core_cpus_list", "thread_siblings_list"):
            _file(shown, name, format_cpulist(threads))
        for name in ("package_cpus_list", "core_siblings_list"):
            _file(shown, name, format_cpulist(packages[node.socket]))
    _nodes(system.directory("node"), spec, max(cpus) + 1)


def _siblings(cpus: dict[int, NodeSpec]) -> dict[int, tuple[int, list[int]]]:
    """Core number and hyperthreads of each CPU.

    Firmware lists all first threads before all second ones, so a node's CPUs come in two equal
    contiguous ranges; a node with one range has one thread per core. Cores are counted through
    all nodes of a socket.
    """
    result: dict[int, tuple[int, list[int]]] = {}
    first: dict[int, int] = {}
    for node in {id(node): node for node in cpus.values()}.values():
        numbers = parse_cpulist(node.cpulist)
        ranges = node.cpulist.count(",") + 1
        cores = len(numbers) // ranges if len(numbers) % ranges == 0 else len(numbers)
        for position, number in enumerate(numbers):
            core = position % cores
            result[number] = (first.get(node.socket, 0) + core, numbers[core::cores])
        first[node.socket] = first.get(node.socket, 0) + cores
    return result


def _nodes(directory: kernfs.Directory, spec: MachineSpec, possible: int) -> None:
    numbers = [node.id for node in spec.nodes]
    listed = format_cpulist(numbers)
    for name in ("online", "possible", "has_cpu", "has_memory", "has_normal_memory"):
        _file(directory, name, listed)
    for node in spec.nodes:
        shown = directory.directory(f"node{node.id}")
        cpus = parse_cpulist(node.cpulist)
        _file(shown, "cpulist", format_cpulist(cpus))
        _file(shown, "cpumap", _cpumap(cpus, possible))
        _file(shown, "distance", " ".join(str(_distance(node, other)) for other in spec.nodes))
        for cpu in cpus:
            shown.add(f"cpu{cpu}", kernfs.Link(f"../../cpu/cpu{cpu}"))


def _distance(one: NodeSpec, other: NodeSpec) -> int:
    if one.id == other.id:
        return _LOCAL
    return _SAME_SOCKET if one.socket == other.socket else _REMOTE


@dataclass(frozen=True)
class Place:
    """Where a CPU sits: socket and core number, and the size of its socket."""

    socket: int
    core: int
    cores: int
    siblings: int


def places(spec: MachineSpec) -> dict[int, Place]:
    """The place of every CPU; one CPU for a machine that describes no nodes."""
    cpus = dict(_cpus(spec))
    if not cpus:
        return {0: Place(0, 0, 1, 1)}
    siblings = _siblings(cpus)
    found = {}
    for socket in {node.socket for node in cpus.values()}:
        members = [number for number, node in cpus.items() if node.socket == socket]
        cores = len({siblings[n][0] for n in members})
        for number in members:
            found[number] = Place(socket, siblings[number][0], cores, len(members))
    return found
