"""Queues with the CPUs of their sockets, as the engine gets them."""

from __future__ import annotations

from pathlib import Path

from fakes.host_tree import ROOT, HostTree
from iaactl import runtime
from iaactl.bench.supply import supply
from iaactl.host.files import DirectoryFiles
from iaactl.host.machine import cpus_by_socket


def test_each_queue_knows_the_cpus_of_its_socket(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    tree.write("sys/devices/system/cpu/cpu7/topology/physical_package_id", "1")
    tree.write("sys/devices/system/cpu/cpufreq/topology/physical_package_id", "1")
    tree.write("sys/devices/system/cpu/cpu9/topology/physical_package_id", "garbage")
    files = DirectoryFiles(tmp_path)
    cpus = cpus_by_socket(files)
    assert cpus == {0: (0,), 1: (1, 7)}
    found = supply(runtime.inventory_of(files), ROOT, None, lambda path: True, cpus)
    assert found.cpus == {"/dev/iax/wq1.0": (0,), "/dev/iax/wq3.0": (1, 7)}
    one = supply(runtime.inventory_of(files), ROOT, 1, lambda path: True, cpus)
    assert one.paths == ("/dev/iax/wq3.0",)
    unknown = supply(runtime.inventory_of(files), ROOT, None, lambda path: True, {})
    assert unknown.cpus == {}
