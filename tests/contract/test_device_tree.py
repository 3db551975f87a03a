"""One suite for the port DeviceTree: the fake over the simulated driver, the adapter over files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.machine import MachineTree, boot
from iaactl.host.files import DirectoryFiles
from iaactl.host.sysfs import Sysfs
from iaactl.inventory import build
from iaactl.model.device import Inventory
from iaactl.sim.kernfs import Attribute, DeviceNode, Directory, Link
from iaactl.sim.machine import Machine


def write_out(directory: Directory, target: Path) -> None:
    """The simulated tree as plain files, as somebody's copy of /sys is."""
    target.mkdir(parents=True, exist_ok=True)
    for name, node in directory.children.items():
        path = target / name
        if isinstance(node, Directory):
            write_out(node, path)
        elif isinstance(node, Link):
            path.symlink_to(node.target)
        elif isinstance(node, Attribute) and node.mode & 0o444:
            try:
                path.write_bytes(node.show())
            except OSError:
                continue
        elif isinstance(node, DeviceNode):
            path.touch(mode=node.mode)


def files(machine: Machine, folder: Path) -> Inventory:
    write_out(machine.root, folder)
    (folder / "proc").mkdir(exist_ok=True)
    flags = " ".join(machine.spec.cpu_flags)
    (folder / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags} avx\n")
    for node in machine.spec.nodes:
        cpus = folder / f"sys/devices/system/node/node{node.id}/cpulist"
        cpus.parent.mkdir(parents=True)
        cpus.write_text(f"{node.cpulist}\n")
        first = node.cpulist.partition("-")[0]
        package = folder / f"sys/devices/system/cpu/cpu{first}/topology/physical_package_id"
        package.parent.mkdir(parents=True)
        package.write_text(f"{node.socket}\n")
    return build(Sysfs(DirectoryFiles(folder)).snapshot())


MACHINES = ["spr-2s", "spr-2s-iaa-crypto", "guest", "iaa2", "mixed-dsa", "no-sva", "trace-7.3-min"]


@pytest.mark.parametrize("name", MACHINES)
def test_adapter_and_fake_see_the_same(name: str, tmp_path: Path) -> None:
    machine = boot(name)
    fake = MachineTree(machine).inventory()
    real = files(machine, tmp_path)
    assert [d.model_dump(exclude={"work_queues"}) for d in real.devices] == [
        d.model_dump(exclude={"work_queues"}) for d in fake.devices
    ]
    hidden = {"node", "client_pids"}
    assert [w.model_dump(exclude=hidden) for w in real.work_queues()] == [
        w.model_dump(exclude=hidden) for w in fake.work_queues()
    ]
    assert [f.address for f in real.functions] == [f.address for f in fake.functions]
    told = {"enqcmd", "movdir64b", "hypervisor"} & set(machine.spec.cpu_flags)
    assert set(real.host.cpu_flags or ()) == told


def test_an_empty_root_is_a_machine_without_iaa(tmp_path: Path) -> None:
    inventory = build(Sysfs(DirectoryFiles(tmp_path)).snapshot())
    assert inventory.devices == ()
    assert inventory.functions == ()
    assert inventory.host.cpu_flags is None


def test_attributes_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    machine = boot("guest")
    files(machine, tmp_path)
    device = next(tmp_path.glob("sys/devices/pci*/*/iax0"))
    (device / "gen_cap").write_text("not a number\n")
    (device / "state").unlink()
    (device / "wq0.0" / "size").write_bytes(b"\xff\xfe\n")
    inventory = build(Sysfs(DirectoryFiles(tmp_path)).snapshot())
    (found,) = inventory.devices
    assert found.gen_cap is None
    assert found.state == "unknown"
    assert found.work_queues[0].size is None
