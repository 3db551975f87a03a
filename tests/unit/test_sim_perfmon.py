"""Performance counters: a PMU for each device on hardware, none in a guest."""

from __future__ import annotations

from dataclasses import replace

from iaactl.sim.kernfs import Attribute, Directory, Link, find
from iaactl.sim.machine import Machine, MachineSpec, load

BUS = "/sys/bus/event_source/devices"


def boot(spec: MachineSpec) -> Machine:
    return Machine(spec, lambda event: None)


def pmus(machine: Machine) -> list[str]:
    try:
        directory = find(machine.root, BUS)
    except OSError:
        return []
    assert isinstance(directory, Directory)
    return list(directory.children)


def test_every_device_of_a_host_has_one() -> None:
    machine = boot(load("spr-1dev-per-socket"))
    assert pmus(machine) == ["dsa0", "iax1", "dsa2", "iax3"]
    link = find(machine.root, f"{BUS}/iax3")
    assert isinstance(link, Link)
    assert link.target == "../../../devices/iax3"
    types = set()
    for name in pmus(machine):
        kind, mask = (find(machine.root, f"{BUS}/{name}/{leaf}") for leaf in ("type", "cpumask"))
        assert isinstance(kind, Attribute) and isinstance(mask, Attribute)
        types.add(kind.show())
        assert mask.show() == b"0\n"
    assert len(types) == 4


def test_it_goes_with_the_device() -> None:
    machine = boot(load("spr-1dev-per-socket"))
    remove = find(machine.root, "/sys/bus/pci/devices/0000:75:02.0/remove")
    assert isinstance(remove, Attribute)
    remove.store(b"1")
    assert pmus(machine) == ["dsa0", "dsa2", "iax3"]
    sys = find(machine.root, "/sys/devices")
    assert isinstance(sys, Directory)
    assert "iax1" not in sys.children


def test_neither_guests_nor_kernels_without_it_have_one() -> None:
    assert pmus(boot(load("guest"))) == []
    spec = load("spr-2s")
    kernel = replace(spec.kernel, config={"INTEL_IDXD_PERFMON": "n"})
    machine = boot(replace(spec, kernel=kernel))
    assert pmus(machine) == []
    assert "perfmon" not in machine.kernel.log.text()
