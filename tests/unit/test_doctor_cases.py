"""Real failures, rebuilt from their symptoms as small trees: doctor names the cause first.

The letters are those of the collection of cases that the codes were made from: A SVA, B
configuration, C ownership, D permission and libraries, E what QPL says, F faults.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fakes.host_tree import ECAP, QEMU, HostTree, alarms, first
from iaactl.doctor.diagnosis import Readiness
from iaactl.model.facts import Library, QemuBinary, Security, Software, User, Zswap
from iaactl.model.finding import Severity

Break = Callable[[HostTree], object]
OLD = "6.7.9"
NO_ARGUMENT = "BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro"


@dataclass
class Case:
    """What is broken, on which kernel, what opening a queue says, and what must come first."""

    code: str
    broken: Break
    release: str = "6.19.3"
    probes: object = None
    also: tuple[str, ...] = ()
    changes: dict[str, object] = field(default_factory=dict)
    severity: Severity = Severity.ERROR


def no_pasid(tree: HostTree) -> None:
    """What kernels up to 6.12 show where SVA cannot be switched on."""
    tree.idle()
    for name in tree.devices:
        tree.device(name, pasid_enabled="0")


def a1(tree: HostTree) -> None:
    no_pasid(tree)
    tree.cmdline(NO_ARGUMENT)
    tree.device("iax1", cmd_status="0x800c0000")
    tree.log("idxd 0000:6a:02.0: Unable to turn on user SVA feature.",
             "idxd 0000:6a:02.0: No shared wq support but configured.")  # fmt: skip


def a2_bios(tree: HostTree) -> None:
    no_pasid(tree)
    tree.no_iommu()
    tree.remove("sys/firmware/acpi/tables/DMAR")


def a2_cmdline(tree: HostTree) -> None:
    no_pasid(tree)
    tree.no_iommu()
    tree.cmdline(NO_ARGUMENT)


def a2_no_sm(tree: HostTree) -> None:
    no_pasid(tree)
    tree.cmdline(f"{NO_ARGUMENT} intel_iommu=on")
    tree.config(INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON="n")


def legacy_new_kernel(tree: HostTree) -> None:
    tree.cmdline(f"{NO_ARGUMENT} intel_iommu=on")


def a3(tree: HostTree) -> None:
    no_pasid(tree)
    tree.unit("dmar0", cap=0xC9DE008CEE690462 & ~(1 << 60) | 1 << 56)
    tree.log("DMAR: dmar0 SVM disabled, incompatible paging mode",
             "idxd 0000:6a:02.0: Unable to turn on user SVA feature.")  # fmt: skip
    tree.device("iax3", pasid_enabled="1")


def a3_new_kernel(tree: HostTree) -> None:
    tree.unit("dmar0", cap=1 << 56)


def ats_off(tree: HostTree) -> None:
    """Configuration space with the three capabilities, PASID and PRI on, ATS off."""
    data = bytearray(4096)
    for at, (kind, following, offset, control) in {
        0x100: (0x0F, 0x110, 6, 0), 0x110: (0x13, 0x120, 4, 1), 0x120: (0x1B, 0, 6, 1),
    }.items():  # fmt: skip
        data[at : at + 4] = (kind | 1 << 16 | following << 20).to_bytes(4, "little")
        data[at + offset : at + offset + 2] = control.to_bytes(2, "little")
    (tree.folder / "sys/bus/pci/devices/0000:6a:02.0/config").write_bytes(data)


def a4(tree: HostTree) -> None:
    no_pasid(tree)
    tree.unit("dmar0", cap=1 << 60)
    tree.device("iax3", pasid_enabled="1")
    tree.log("DMAR: dmar0 SVM disabled, incompatible 1GB page capability")


def a5(tree: HostTree) -> None:
    no_pasid(tree)
    tree.device("iax3", pasid_enabled="1")
    tree.unit("dmar0", ecap=0x3EE9E86F050DF)
    tree.log("DMAR: IOMMU feature pasid inconsistent", "DMAR: IOMMU feature prs inconsistent")


def a6(tree: HostTree) -> None:
    no_pasid(tree)
    tree.no_iommu()
    tree.cmdline(NO_ARGUMENT)
    tree.device("iax1", cmd_status="0x80110000")


def a7(tree: HostTree) -> None:
    no_pasid(tree)
    tree.no_iommu()
    tree.cpu("fpu movdir64b enqcmd hypervisor")
    (tree.folder / "sys/bus/event_source/devices").mkdir(parents=True)
    tree.log("idxd 0000:00:06.0: Unable to turn on user SVA feature.",
             "idxd 0000:00:06.0: Failed to initialize perfmon. No PMU support: -19")  # fmt: skip


def a8(tree: HostTree) -> None:
    no_pasid(tree)
    tree.config(INTEL_IDXD_SVM="n")


def a9(tree: HostTree) -> None:
    tree.idle()
    tree.cpu("fpu la57 pdpe1gb movdir64b")
    tree.log("idxd: Platform does not have ENQCMD(S) support.")


def a9_movdir(tree: HostTree) -> None:
    unloaded(tree)
    tree.cpu("fpu la57 pdpe1gb")
    tree.log("idxd driver failed to load without MOVDIR64B.")


def a10(tree: HostTree) -> None:
    no_pasid(tree)
    tree.write("etc/modprobe.d/dsa.conf", "options idxd sva=0")
    tree.write("sys/module/idxd/parameters/sva", "N")
    tree.log("idxd 0000:6a:02.0: User forced SVA off via module param.")


def a14_off(tree: HostTree) -> None:
    a2_cmdline(tree)
    tree.cmdline(f"{NO_ARGUMENT} intel_iommu=on,sm_on intel_iommu=off")


def a14_stray(tree: HostTree) -> None:
    no_pasid(tree)
    tree.cmdline(f"{NO_ARGUMENT} intel_iommu=on sm_on")


def sm_off(tree: HostTree) -> None:
    no_pasid(tree)
    tree.cmdline(f"{NO_ARGUMENT} intel_iommu=on,sm_off")


def a16(tree: HostTree) -> None:
    a2_cmdline(tree)
    tree.write("etc/default/grub", 'GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on,sm_on"')


def misspelt(tree: HostTree) -> None:
    a3(tree)
    tree.cmdline(f"{NO_ARGUMENT} intel_iommu=on,sm_on nolvl5")


def unloaded(tree: HostTree) -> None:
    """PCI functions without a driver, and no module."""
    for address, _ in tree.devices.values():
        tree.remove(f"sys/bus/pci/devices/{address}/driver")
    tree.remove("sys/bus/dsa")
    tree.remove("sys/module/idxd")
    for name, (address, _) in tree.devices.items():
        tree.remove(f"sys/devices/pci0000:{address[5:7]}/{address}/{name}")


def blacklisted(tree: HostTree) -> None:
    unloaded(tree)
    tree.write("etc/modprobe.d/no-idxd.conf", "blacklist idxd  # from a hardening guide")


def blacklisted_cmdline(tree: HostTree) -> None:
    unloaded(tree)
    tree.cmdline(f"{NO_ARGUMENT} intel_iommu=on,sm_on module_blacklist=nouveau,idxd")


def not_installed(tree: HostTree) -> None:
    unloaded(tree)
    tree.write(f"lib/modules/{tree.release}/modules.dep", "kernel/fs/ext4/ext4.ko: ")


def driver_not_built(tree: HostTree) -> None:
    unloaded(tree)
    tree.config(INTEL_IDXD="n")


def nothing(tree: HostTree) -> None:
    """Nothing is broken but what the case says otherwise."""


def b6(tree: HostTree) -> None:
    tree.idle()
    tree.device("iax1", cmd_status="0x14")
    tree.wq("wq1.0", size="96", group_id="0", type="user", name="q", driver_name="user",
            priority="1")  # fmt: skip
    tree.wq("engine1.0", group_id="0")
    extra(tree, "wq1.1", size="64")


def extra(tree: HostTree, wq: str, /, **values: str) -> None:
    from fakes.host_tree import IDLE

    real = next(tree.folder.glob("sys/devices/pci*/*/iax1"))
    folder = real / wq
    folder.mkdir()
    for attribute, value in (IDLE | values).items():
        (folder / attribute).write_text(f"{value}\n")


def b7(tree: HostTree) -> None:
    tree.idle()
    tree.device("iax1", cmd_status="0x15")
    tree.wq("wq1.0", size="128", group_id="1", type="user", name="q", driver_name="user",
            priority="1")  # fmt: skip
    tree.wq("engine1.0", group_id="0")


def b8_priority(tree: HostTree) -> None:
    tree.all_wqs(state="disabled", driver="", priority="0")
    tree.device("iax1", cmd_status="0x23")


def b11(tree: HostTree) -> None:
    tree.all_wqs(state="disabled", driver="", driver_name="")
    tree.device("iax1", cmd_status="0x80200000")


def b12(tree: HostTree) -> None:
    tree.idle()
    tree.wq("wq1.0", size="128", group_id="0", name="half")
    tree.wq("engine1.0", group_id="0")


def b14(tree: HostTree) -> None:
    for index in range(1, 8):
        tree.wq(f"engine1.{index}", group_id="-1")


def b16(tree: HostTree) -> None:
    tree.idle()
    tree.write(
        "etc/accel-config/accel-config.conf",
        '[{"dev":"iax5","groups":[{"dev":"group5.0","grouped_workqueues":[{"dev":"wq5.0",'
        '"mode":"dedicated","threshold":8,"type":"user","max_batch_size":32}]}]}]',
    )


def w3(tree: HostTree) -> None:
    tree.wq("wq1.0", state="disabled", driver="", type="none")
    tree.device("iax1", cmd_status="0x800c0000")


def c1(tree: HostTree) -> None:
    tree.all_wqs(driver="crypto", type="kernel", mode="dedicated", driver_name="crypto",
                 name="iaa_crypto", threshold="0")  # fmt: skip
    for name in tree.devices:
        tree.remove(f"dev/iax/wq{name[3:]}.0")


def c2(tree: HostTree) -> None:
    for name, (address, _) in tree.devices.items():
        folder = f"sys/devices/pci0000:{address[5:7]}/{address}"
        tree.write(f"{folder}/driver_override", "vfio-pci")
        tree.link(f"{folder}/driver", "../../../bus/pci/drivers/vfio-pci")
        tree.remove(f"{folder}/{name}")
    tree.remove("sys/bus/dsa/devices")


def dedicated(tree: HostTree) -> None:
    tree.all_wqs(mode="dedicated", threshold="0")


def one_socket(tree: HostTree) -> None:
    tree.device("iax3", state="disabled")
    tree.wq("wq3.0", driver="", state="disabled", type="none", size="0", group_id="-1", name="",
            driver_name="")  # fmt: skip
    for index in range(8):
        tree.wq(f"engine3.{index}", group_id="-1")


def given_away(tree: HostTree) -> None:
    tree.write("etc/udev/rules.d/70-iaactl.rules", "# nothing")
    for name in tree.devices:
        (tree.folder / f"dev/iax/wq{name[3:]}.0").chmod(0o660)


def world_writable(tree: HostTree) -> None:
    for name in tree.devices:
        (tree.folder / f"dev/iax/wq{name[3:]}.0").chmod(0o666)


def masked_op(tree: HostTree) -> None:
    words = ["00000000"] * 7 + ["00000005"]
    tree.wq("wq1.0", op_config=",".join(words))


def f1(tree: HostTree) -> None:
    tree.log("DMAR: IOMMU: dmar12: Page request without PASID: 0x1")


def f2(tree: HostTree) -> None:
    tree.device("iax1", state="halted")
    tree.log("DMAR: [DMA Read PASID 0x2] fault reason 0x3a SM: Non-zero reserved field set",
             "idxd 0000:6a:02.0: idxd halted, need FLR")  # fmt: skip


def nodeless(tree: HostTree) -> None:
    for name in tree.devices:
        tree.device(name, numa_node="-1")


def container(tree: HostTree) -> None:
    tree.remove("dev")


def old_kernel(tree: HostTree) -> None:
    tree.idle()


WARNING, NOTICE = Severity.WARNING, Severity.NOTICE
CASES = {
    "A1 no shared wq support": Case("IAA-I002", a1, OLD, also=("IAA-D006", "IAA-D004")),
    "A2 VT-d off in the BIOS": Case("IAA-I001", a2_bios, OLD, also=("IAA-D004",)),
    "A2 no intel_iommu=on": Case("IAA-I001", a2_cmdline, OLD),
    "A2 sm_on missing": Case("IAA-I002", a2_no_sm, OLD),
    "A2 legacy mode, new kernel": Case("IAA-I002", legacy_new_kernel, probes=errno.ENOSPC,
                                       also=("IAA-Q005",)),
    "A3 5-level paging": Case("IAA-I003", a3, OLD),
    "ATS off": Case("IAA-I011", ats_off, probes={"iax1/wq1.0": errno.EINVAL, "iax3/wq3.0": 0},
                    also=("IAA-Q005",)),
    "ATS or PASID, not readable": Case(
        "IAA-I011", nothing, probes={"iax1/wq1.0": errno.EINVAL, "iax3/wq3.0": 0}),
    "A3 5-level paging, new kernel": Case("IAA-I003", a3_new_kernel,
                                          probes={"iax1/wq1.0": errno.ENODEV, "iax3/wq3.0": 0}),
    "A4 1 GiB pages": Case("IAA-I004", a4, OLD),
    "A5 unit without PASID": Case("IAA-I006", a5, OLD),
    "A6 0x80110000": Case("IAA-I001", a6, OLD, also=("IAA-D006",)),
    "A7 guest without vIOMMU": Case("IAA-V001", a7, "6.1.119"),
    "A8 kernel without INTEL_IDXD_SVM": Case("IAA-K001", a8, OLD),
    "A9 ENQCMD off in the BIOS": Case("IAA-C002", a9),
    "A9 no MOVDIR64B": Case("IAA-C001", a9_movdir, also=("IAA-K007", "IAA-D001")),
    "A10 sva=0": Case("IAA-K002", a10),
    "A11 SVA disabled by an update": Case("IAA-K003", nothing, "6.17.0-22-generic",
                                          probes=errno.EOPNOTSUPP, also=("IAA-Q005",)),
    "A11 a vendor's kernel of another number": Case("IAA-K003", nothing, "6.4.0-150600.23",
                                                    probes=errno.EOPNOTSUPP),
    "A11 by version, not tried": Case("IAA-K003", nothing, "6.12.74+deb13", severity=WARNING),
    "A12 no IOMMU, pasid_enabled 1": Case("IAA-I001", lambda t: t.no_iommu(), probes=errno.ENODEV,
                                          also=("IAA-Q005",)),
    "A14 intel_iommu=off later": Case("IAA-B002", a14_off, OLD, also=("IAA-I001",)),
    "A14 sm_on alone": Case("IAA-B001", a14_stray, OLD, also=("IAA-I002",)),
    "A14 sm_off": Case("IAA-B003", sm_off, OLD, also=("IAA-I002",)),
    "A16 GRUB edited, not generated": Case("IAA-B004", a16, OLD, also=("IAA-I001",),
                                           severity=WARNING),
    "no5lvl misspelt": Case("IAA-B005", misspelt, OLD, also=("IAA-I003",), severity=WARNING),
    "D9 idxd not loaded": Case("IAA-K007", unloaded, also=("IAA-D001",)),
    "idxd blacklisted": Case("IAA-K009", blacklisted, also=("IAA-K007",), severity=WARNING),
    "idxd blacklisted at boot": Case("IAA-K009", blacklisted_cmdline, also=("IAA-K007",),
                                     severity=WARNING),
    "idxd not installed": Case("IAA-K010", not_installed, also=("IAA-K007",)),
    "idxd not built": Case("IAA-K001", driver_not_built, also=("IAA-K007",)),
    "B6 sizes": Case("IAA-D009", b6, also=("IAA-D006", "IAA-W007"), severity=WARNING),
    "B7 group without engines": Case("IAA-D008", b7, also=("IAA-W007",), severity=WARNING),
    "B8 priority 0": Case("IAA-W010", b8_priority, severity=WARNING),
    "B11 no driver_name": Case("IAA-W006", b11, severity=WARNING),
    "B14 ungrouped engines": Case("IAA-D007", b14, probes=0, severity=WARNING),
    "B1 B2 B16 saved configuration": Case("IAA-L006", b16, severity=WARNING),
    "a disabled queue blocks the others": Case("IAA-W003", w3, severity=WARNING),
    "C2 vfio-pci": Case("IAA-O003", c2, severity=WARNING),
    "D1 old QPL": Case("IAA-L003", nothing, probes=0, severity=WARNING, changes={
        "software": Software(libraries=(Library(name="libqpl.so.1", path="/usr/lib64/libqpl.so.1",
                                                version="1.5.0"),))}),
    "D2 no permission": Case("IAA-A001", nothing, probes=errno.EACCES),
    "D3 chown instead of a rule": Case("IAA-A003", given_away, probes=0, severity=WARNING),
    "D5 library not found": Case("IAA-L001", nothing, probes=0, severity=WARNING, changes={
        "software": Software(
            libraries=(Library(name="libaccel-config.so.1", searched="dlopen"),))}),
    "D6 kernel too old": Case("IAA-K006", old_kernel, "5.15.0-100-generic", severity=WARNING),
    "D6 library too old for IAA 2.0": Case(
        "IAA-L002", lambda t: t.device("iax1", version="0x200"), probes=0, severity=WARNING,
        changes={"software": Software(libraries=(Library(
            name="libaccel-config.so.1", path="/usr/lib/libaccel-config.so.1", version="3.x"),))}),
    "D7 container without nodes": Case("IAA-E001", container, severity=WARNING,
                                       changes={"security": Security(container="docker")}),
    "E5 op_config": Case("IAA-W008", masked_op, probes=0, severity=WARNING),
    "F1 page requests": Case("IAA-I007", f1, probes=0, severity=WARNING),
    "F2 halted": Case("IAA-I008", f2, also=("IAA-D003",), severity=WARNING),
    "F4 QEMU 9.1": Case("IAA-L004", nothing, probes=0, severity=WARNING, changes={
        "software": Software(qemu=(QemuBinary(path="/opt/qemu", version="9.1.2", qpl=True),))}),
    "world writable node": Case("IAA-S004", world_writable, probes=0, severity=WARNING),
    "vfio denylist off": Case("IAA-S003", nothing, probes=0, severity=WARNING,
                              changes={"security": Security(vfio_denylist_disabled=True)}),
    "a queue that hangs": Case("IAA-Q006", nothing, probes={"iax1/wq1.0": "no answer within 6 s",
                                                           "iax3/wq3.0": 0}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_cause_comes_first(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    tree = HostTree(tmp_path, release=case.release)
    case.broken(tree)
    diagnosis = tree.diagnosis(probes=case.probes, **case.changes)  # type: ignore[arg-type]
    codes = [finding.code for finding in diagnosis.findings]
    roots = [f for f in diagnosis.findings if not f.because_of]
    assert roots[0].code == case.code, codes
    assert roots[0].severity is case.severity
    assert roots[0].evidence, "a finding without evidence"
    for code in case.also:
        effects = [f for f in diagnosis.findings if f.code == code]
        assert effects, f"{code} is missing among {codes}"
        assert any(f.because_of for f in effects), f"{code} stands as an equal"
    serious = [f for f in roots if f.severity is Severity.ERROR]
    assert {f.code for f in serious} <= {case.code}, "a consequence is reported as a cause"


NOTICES: dict[str, tuple[Callable[[HostTree], object], str, dict[str, Any]]] = {
    "B12 half configured": (b12, "IAA-W007", {}),
    "C1 iaa_crypto owns all": (c1, "IAA-O001", {}),
    "E dedicated only": (dedicated, "IAA-W004", {}),
    "E1 one socket": (one_socket, "IAA-Q001", {}),
    "E4 no block on fault": (lambda t: t.all_wqs(block_on_fault="0"), "IAA-W005", {}),
    "E6 not alike": (lambda t: t.wq("wq1.0", block_on_fault="0"), "IAA-W009", {}),
    "C1 zswap": (
        c1,
        "IAA-O002",
        {"zswap": Zswap(enabled=True, compressor="deflate-iaa", swaps=("/dev/sda2",))},
    ),
    "E2 no NUMA node": (
        nodeless,
        "IAA-Q003",
        {},
    ),
    "F5 slow faults": (
        nothing,
        "IAA-M001",
        {"fault_latency": "svm_prq 0 0 25206 364 395 0 0 1 556 9"},
    ),
    "no QEMU with qpl": (
        nothing,
        "IAA-L005",
        {"software": Software(qemu=(QemuBinary(path="/usr/bin/qemu", qpl=False),))},
    ),
    "libvirt's account": (nothing, "IAA-A002", {"hypervisor_users": (QEMU,)}),
    "crash at disable": (nothing, "IAA-K008", {}),
    "SA-01084, old kernel": (lambda t: _granted(t), "IAA-S005", {}),
}


def _granted(tree: HostTree) -> None:
    import os

    for name in tree.devices:
        node = tree.folder / f"dev/iax/wq{name[3:]}.0"
        node.chmod(0o660)
        if os.geteuid() == 0:
            os.chown(node, 0, 108)


RELEASES = {"crash at disable": "6.12.90", "SA-01084, old kernel": "6.6.10"}


@pytest.mark.parametrize("name", NOTICES)
def test_what_is_worth_a_notice(name: str, tmp_path: Path) -> None:
    broken, code, changes = NOTICES[name]
    tree = HostTree(tmp_path, release=RELEASES.get(name, "6.19.3"))
    broken(tree)
    proven = name not in ("B12 half configured", "C1 iaa_crypto owns all", "C1 zswap")
    diagnosis = tree.diagnosis(probes=0 if proven else None, **changes)
    found = {f.code: f for f in diagnosis.findings}
    if name.startswith("SA-01084") and (tree.folder / "dev/iax/wq1.0").stat().st_gid != 108:
        pytest.skip("only root can give a file to another group")
    assert code in found, sorted(found)
    assert found[code].severity in (Severity.NOTICE, Severity.WARNING)
    assert not [f for f in alarms(diagnosis) if f.severity is Severity.ERROR]


# -- false alarms --------------------------------------------------------------------------------


def newer_defaults(tree: HostTree) -> None:
    """A distribution with the IOMMU on by default: nothing on the command line."""
    tree.cmdline("quiet splash")
    tree.config(INTEL_IOMMU_DEFAULT_ON="y", INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON="y")


def no_config(tree: HostTree) -> None:
    tree.cmdline("quiet splash")
    tree.remove(f"boot/config-{tree.release}")


def noisy_log(tree: HostTree) -> None:
    tree.log(
        "DMAR: IOMMU feature pasid inconsistent",
        "idxd 0000:6a:02.0: No in-kernel DMA with PASID. -95",
        "DMAR: Enable scalable mode if hardware supports",
    )


def snc(tree: HostTree) -> None:
    """Sub-NUMA clustering: four nodes, devices on two of them."""
    tree.device("iax1", numa_node="0")
    tree.device("iax3", numa_node="2")
    address = tree.devices["iax3"][0]
    tree.write(f"sys/devices/pci0000:{address[5:7]}/{address}/numa_node", "2")
    for node in range(4):
        tree.write(f"sys/devices/system/node/node{node}/cpulist", str(node))
        topology = f"sys/devices/system/cpu/cpu{node}/topology/physical_package_id"
        tree.write(topology, str(node // 2))


def with_pt(tree: HostTree) -> None:
    tree.cmdline("quiet intel_iommu=on,sm_on iommu=pt no5lvl")
    tree.cpu("fpu pdpe1gb movdir64b enqcmd")
    tree.unit("dmar0", cap=1 << 56)
    tree.unit("dmar1", cap=1 << 56)


HEALTHY = {
    "as the documentation says, Linux 6.19": (nothing, "6.19.3", 0),
    "Linux 7.3": (nothing, "7.3.4", 0),
    "Linux 6.7": (nothing, "6.7.9", 0),
    "Linux 6.1 of Debian": (nothing, "6.1.0-28-amd64", 0),
    "RHEL 9": (nothing, "5.14.0-503.el9", 0),
    "Ubuntu before the patch": (nothing, "6.17.0-20-generic", 0),
    "IOMMU on by default": (newer_defaults, "6.19.3", 0),
    "IOMMU on by default, not tried": (newer_defaults, "6.19.3", None),
    "no configuration to read": (no_config, "6.19.3", 0),
    "no configuration, not tried": (no_config, "6.19.3", None),
    "no configuration, old kernel": (no_config, "6.7.9", None),
    "noisy log": (noisy_log, "6.19.3", 0),
    "SNC": (snc, "6.19.3", 0),
    "no5lvl and iommu=pt": (with_pt, "6.19.3", 0),
    "iaa_crypto on purpose": (c1, "6.19.3", None),
    "nothing configured": (lambda t: t.idle(), "6.19.3", None),
    "nothing configured, old kernel": (lambda t: t.idle(), "6.7.9", None),
    "no page requests, new kernel": (
        lambda t: [t.unit(u, ecap=ECAP & ~(1 << 29)) for u in ("dmar0", "dmar1")], "7.3.4", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_hosts_raise_no_alarm(name: str, tmp_path: Path) -> None:
    broken, release, probes = HEALTHY[name]
    tree = HostTree(tmp_path, release=release)
    broken(tree)
    diagnosis = tree.diagnosis(probes=probes)
    # RHEL's numbers say little: 5.14 there has what 5.18 brought.
    tolerated = {"IAA-K006"} if "el9" in release else set()
    assert [f.code for f in alarms(diagnosis) if f.code not in tolerated] == []
    if probes == 0:
        assert diagnosis.ready
        assert diagnosis.sentence.startswith("Ready for QEMU")


# -- what is known how -----------------------------------------------------------------------------


def test_three_states_of_sva(tmp_path: Path) -> None:
    states = {}
    for name, release, probe in (
        ("unsafe", "6.16.12", 0),
        ("disabled", "6.12.107", errno.EOPNOTSUPP),
        ("fixed", "6.19.1", 0),
    ):
        tree = HostTree(tmp_path / name, release=release)
        codes = {f.code for f in tree.diagnosis(probes=probe).findings}
        states[name] = codes & {"IAA-S002", "IAA-K003"}
    assert states == {"unsafe": {"IAA-S002"}, "disabled": {"IAA-K003"}, "fixed": set()}


def test_probing_beats_the_version(tmp_path: Path) -> None:
    """A backport made a `disabled` release work, and a `fixed` one refuse."""
    works = HostTree(tmp_path / "a", release="6.12.107").diagnosis(probes=0)
    assert works.ready
    assert "IAA-K003" not in {f.code for f in works.findings}
    refuses = HostTree(tmp_path / "b", release="6.19.3").diagnosis(probes=errno.EOPNOTSUPP)
    assert not refuses.ready
    assert first(refuses) == "IAA-K003"


def test_pasid_enabled_alone_is_no_proof(tmp_path: Path) -> None:
    diagnosis = HostTree(tmp_path).diagnosis(probes=None)
    assert diagnosis.sockets[0].readiness is Readiness.LIKELY
    assert "not proven" in diagnosis.sentence
    (unproven,) = [f for f in diagnosis.findings if f.code == "IAA-K004"]
    assert unproven.severity is Severity.UNKNOWN


def test_one_socket_ready_and_the_other_not(tmp_path: Path) -> None:
    tree = HostTree(tmp_path)
    one_socket(tree)
    diagnosis = tree.diagnosis(probes={"iax1/wq1.0": 0})
    assert diagnosis.sentence == (
        "Ready for QEMU (run by root) on socket 0, proven by opening the queues; not on socket 1: "
        "no shared user work queue is enabled"
    )
    assert not diagnosis.ready


def test_likely_causes_say_so(tmp_path: Path) -> None:
    tree = HostTree(tmp_path, release="6.12.74+deb13")
    (cause,) = [f for f in tree.diagnosis().findings if f.code == "IAA-K003"]
    assert "most likely" in cause.sentence
    assert any("to be sure" in line for line in cause.evidence)


def test_missing_permission_of_another_user(tmp_path: Path) -> None:
    user = User(name="nobody", uid=65534, gids=(65534,))
    diagnosis = HostTree(tmp_path).diagnosis(user=user)
    assert first(diagnosis) == "IAA-A001"
    assert not diagnosis.ready


@pytest.mark.parametrize("name", CASES)
def test_whoever_says_most_likely_says_how_to_tell(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    tree = HostTree(tmp_path, release=case.release)
    case.broken(tree)
    for finding in tree.diagnosis(**case.changes).findings:  # type: ignore[arg-type]
        if "most likely" in finding.sentence:
            assert any("to be sure" in line for line in finding.evidence), finding
