"""IOMMU units: what registers and firmware show, and what of it lets SVA work."""

from __future__ import annotations

import errno
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from iaactl.errors import UsageProblem
from iaactl.sim import iommu
from iaactl.sim.idxd.kernel import Kernel
from iaactl.sim.kernfs import Attribute, Binary, Directory, Link, find
from iaactl.sim.machine import Machine, MachineSpec, load, names

IAA = "0000:6a:02.0"


def boot(spec: MachineSpec) -> Machine:
    return Machine(spec, lambda event: None)


def text(machine: Machine, path: str) -> str:
    node = find(machine.root, path)
    assert isinstance(node, Attribute), path
    return node.show().decode().removesuffix("\n")


def entries(machine: Machine, path: str) -> list[str]:
    node = find(machine.root, path)
    if isinstance(node, Link):
        node = find(machine.root, f"{path.rpartition('/')[0]}/{node.target}")
    assert isinstance(node, Directory)
    return list(node.children)


def test_a_unit_as_linux_shows_it() -> None:
    machine = boot(load("spr-2s"))
    unit = f"/sys/bus/pci/devices/{IAA}/iommu/intel-iommu"
    assert {name: text(machine, f"{unit}/{name}") for name in entries(machine, unit)} == {
        "address": "a57fc000",
        "cap": "19ed008c40780c66",
        "ecap": "3ef9ea6f050df",
        "version": "6:0",
        "domains_supported": "65536",
        "domains_used": "3",
    }
    link = find(machine.root, "/sys/class/iommu/dmar1")
    assert isinstance(link, Link)
    assert link.target == "../../devices/virtual/iommu/dmar1"
    assert entries(machine, "/sys/class/iommu/dmar1/devices") == ["0000:6a:01.0", IAA]
    back = find(machine.root, f"/sys/class/iommu/dmar1/devices/{IAA}")
    assert isinstance(back, Link)
    assert back.target == f"../../../../pci0000:6a/{IAA}"
    assert text(machine, f"/sys/bus/pci/devices/{IAA}/iommu_group/type") == "DMA-FQ"


def test_groups_in_passthrough() -> None:
    machine = boot(replace(load("spr-2s"), command_line="iommu=pt intel_iommu=on,sm_on"))
    assert text(machine, f"/sys/bus/pci/devices/{IAA}/iommu_group/type") == "identity"


def test_the_ports_of_a_healthy_machine_have_no_pasid() -> None:
    """Units differ on hardware that works: only the one above the accelerator counts."""
    units = iommu.in_use(load("spr-2s"))
    assert [unit.name for unit in units] == [f"dmar{n}" for n in range(10)]
    assert [unit.has("pasid") for unit in units] == [False, *[True] * 8, False]
    assert [unit.flags for unit in units] == [*[0] * 9, 1]
    for unit in units[1:-1]:
        assert all(unit.has(name) for name in iommu.BITS)


@pytest.mark.parametrize("name", names())
def test_every_function_hangs_on_one_unit_or_there_are_none(name: str) -> None:
    spec = load(name)
    machine = boot(spec)
    units = entries(machine, "/sys/class/iommu")
    assert bool(units) is (spec.iommu != "none")
    for function in spec.functions:
        found = entries(machine, f"/sys/bus/pci/devices/{function.address}")
        assert ("iommu" in found) is ("iommu_group" in found) is bool(units)
    behind = [d for u in units for d in entries(machine, f"/sys/class/iommu/{u}/devices")]
    addresses = [function.address for function in spec.functions] if units else []
    assert sorted(behind) == sorted(addresses)


def test_registers_do_not_tell_the_mode() -> None:
    """A kernel in legacy mode shows the hardware's capabilities all the same."""
    spec = load("trace-7.3-spr")
    legacy = load("trace-7.3-legacy")
    assert iommu.in_use(spec) == iommu.in_use(legacy)
    assert iommu.in_use(spec)[1].has("smts")
    assert iommu.sva_error(legacy, "0000:00:05.0") == errno.ENOSPC


def test_a_guest_sees_qemus_unit() -> None:
    (unit,) = iommu.in_use(load("guest"))
    assert (unit.version, unit.address) == ("1:0", 0xFED90000)
    assert unit.has("pasid") and not unit.has("smpwc") and not unit.has("fl5lp")
    assert unit.domains == 65536


def test_a_function_that_comes_back_has_its_unit_again() -> None:
    machine = boot(load("spr-2s"))
    for path in (f"/sys/bus/pci/devices/{IAA}/remove", "/sys/bus/pci/rescan"):
        node = find(machine.root, path)
        assert isinstance(node, Attribute)
        node.store(b"1")
        left = IAA in entries(machine, "/sys/class/iommu/dmar1/devices")
        assert left is path.endswith("rescan")
    assert text(machine, f"/sys/bus/pci/devices/{IAA}/iommu/intel-iommu/version") == "6:0"


LACKING = [
    # lacks, pri_needed, coherent_walk_checked, errno of binding
    ("pasid", True, False, errno.ENOSPC),
    ("smts", True, False, errno.ENOSPC),
    ("fl1gp", True, False, errno.ENODEV),
    ("fl5lp", True, False, errno.ENODEV),
    ("prs", True, False, errno.ENODEV),
    ("prs", False, True, 0),
    ("smpwc", True, False, 0),
    ("smpwc", False, True, errno.ENODEV),
    ("flts", False, True, errno.EINVAL),
]


@pytest.mark.parametrize(("lacks", "pri", "walk", "number"), LACKING)
def test_what_a_unit_lacks_decides_for_its_own_devices(
    lacks: str, pri: bool, walk: bool, number: int
) -> None:
    spec = load("spr-2s")
    kernel = replace(spec.kernel, pri_needed=pri, coherent_walk_checked=walk)
    spec = replace(spec, kernel=kernel, unit_lacks={"0000:6a": (lacks,)})
    assert not iommu.sva_error(spec, "0000:6f:02.0")
    assert iommu.sva_error(spec, IAA) == number
    register, bit = iommu.BITS[lacks]
    value = text(boot(spec), f"/sys/bus/pci/devices/{IAA}/iommu/intel-iommu/{register}")
    assert not int(value, 16) >> bit & 1
    checked = replace(spec, kernel=replace(kernel, iommu_checked_at_load=True))
    unchecked = replace(spec, kernel=replace(kernel, iommu_checked_at_load=False))
    for one, shown in ((checked, "01"[not number]), (unchecked, "1")):
        machine = boot(one)
        assert text(machine, "/sys/bus/dsa/devices/iax1/pasid_enabled") == shown
        assert text(machine, "/sys/bus/dsa/devices/iax3/pasid_enabled") == "1"


def test_five_level_paging_needs_it_on_both_sides() -> None:
    spec = replace(load("spr-2s"), unit_lacks={"all": ("fl5lp",)})
    assert iommu.sva_error(spec, IAA) == errno.ENODEV
    without = tuple(flag for flag in spec.cpu_flags if flag != "la57")
    assert iommu.sva_error(replace(spec, cpu_flags=without), IAA) == 0


@pytest.mark.parametrize(
    ("option", "number", "shown"),
    [
        ("INTEL_IDXD_SVM", 0, "0"),
        ("INTEL_IOMMU_SVM", errno.ENODEV, "1"),
        ("PCI_PASID", errno.ENOSPC, "1"),
        ("PCI_ATS", errno.EINVAL, "1"),
        ("PCI_PRI", errno.ENODEV, "1"),
    ],
)
def test_a_kernel_built_without(option: str, number: int, shown: str) -> None:
    spec = load("spr-2s")
    kernel = replace(spec.kernel, config={option: "n"}, iommu_checked_at_load=False)
    spec = replace(spec, kernel=kernel)
    assert iommu.sva_error(spec, IAA) == number
    assert text(boot(spec), "/sys/bus/dsa/devices/iax1/pasid_enabled") == shown


def system_pasids(spec: MachineSpec) -> bool:
    return Kernel(spec, Directory(), lambda event: None).system_pasid(IAA)


def test_dma_of_the_kernel_has_a_pasid_where_units_give_them() -> None:
    spec = load("spr-2s")
    assert system_pasids(spec)
    for other in (replace(spec, iommu="none"), replace(spec, iommu="legacy")):
        assert iommu.system_pasid_error(other, IAA) in (errno.EPERM, errno.ENOSPC)
        assert not system_pasids(other)


# The firmware's table --------------------------------------------------------------------------


def parse(table: bytes) -> list[tuple[int, int, str | None]]:
    """Flags, register address and root bus of each unit."""
    signature, length, revision = struct.unpack_from("<4sIB", table)
    assert (signature, length, revision) == (b"DMAR", len(table), 1)
    assert sum(table) & 0xFF == 0
    found, at = [], 48
    while at < length:
        kind, size, flags, _, segment, address = struct.unpack_from("<HHBBHQ", table, at)
        assert kind == 0
        bus = None
        if size > 16:
            scope, scope_size, number = struct.unpack_from("<BB3xB", table, at + 16)
            assert (scope, scope_size) == (2, size - 16)
            bus = f"{segment:04x}:{number:02x}"
        found.append((flags, address, bus))
        at += size
    return found


@pytest.mark.parametrize(("name", "bits"), [("spr-2s", 52), ("guest", 48)])
def test_the_firmware_describes_the_same_units(name: str, bits: int) -> None:
    spec = load(name)
    node = find(boot(spec).root, "/sys/firmware/acpi/tables/DMAR")
    assert isinstance(node, Binary)
    assert node.mode == 0o400
    assert node.content[36] == bits - 1
    units = iommu.in_use(spec)
    assert parse(bytes(node.content)) == [(u.flags, u.address, u.bus) for u in units]


def test_the_firmware_describes_units_that_the_kernel_leaves_alone() -> None:
    off = load("no-iommu")
    assert isinstance(find(boot(off).root, "/sys/firmware/acpi/tables/DMAR"), Binary)
    with pytest.raises(OSError):
        find(boot(replace(off, vtd=False)).root, "/sys/firmware/acpi/tables/DMAR")


# Descriptions that contradict themselves -------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        "vtd = false\n",
        "unit_lacks = { all = ['wings'] }\n",
        "unit_lacks = { '0000:99' = ['prs'] }\n",
        "kernel = { release = '1', config = { WARP_DRIVE = 'y' } }\n",
        "kernel = { release = '1', config = { PCI_PRI = 'maybe' } }\n",
    ],
)
def test_a_description_that_cannot_be(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "mine.toml"
    kernel = "" if wrong.startswith("kernel") else "kernel = { release = '1' }\n"
    path.write_text(f'description = "x"\n{wrong}{kernel}[[functions]]\naddress = "0000:01:00.0"\n')
    with pytest.raises(UsageProblem, match=r"mine\.toml is not usable"):
        load(str(path))
