"""The files that tell programs what machine and kernel they run on."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest

from iaactl.sim import procfs
from iaactl.sim.machine import MachineSpec, load, names


def cpus(spec: MachineSpec) -> list[dict[str, str]]:
    blocks = procfs.contents(spec)["/proc/cpuinfo"].decode().split("\n\n")[:-1]
    return [
        {key.strip(): value.strip() for key, _, value in (x.partition(":") for x in b.split("\n"))}
        for b in blocks
    ]


@pytest.mark.parametrize("name", names())
def test_the_processor_has_the_machines_flags(name: str) -> None:
    spec = load(name)
    first = cpus(spec)[0]
    assert (first["vendor_id"], first["cpu family"], first["model"]) == ("GenuineIntel", "6", "143")
    flags = first["flags"].split()
    for flag in ("enqcmd", "movdir64b", "la57", "hypervisor"):
        assert flags.count(flag) == (flag in spec.cpu_flags)
    assert "pdpe1gb" in flags
    bits = "57" if "la57" in flags else "48"
    assert first["address sizes"] == f"52 bits physical, {bits} bits virtual"


def test_processors_in_their_places() -> None:
    found = cpus(load("spr-2s"))
    assert [cpu["processor"] for cpu in found] == [str(n) for n in range(224)]
    keys = ("physical id", "core id", "cpu cores", "siblings")
    assert [found[60][key] for key in keys] == ["1", "4", "56", "112"]
    assert found[60 + 112]["core id"] == "4"
    assert cpus(load("trace-7.3-spr"))[0]["siblings"] == "1"


def test_the_kernel_that_the_machine_runs() -> None:
    spec = load("spr-2s-iaa-crypto")
    found = procfs.contents(spec)
    assert found["/proc/sys/kernel/osrelease"] == b"6.16.12-sim\n"
    assert found["/proc/version"].startswith(b"Linux version 6.16.12-sim ")
    assert found["/proc/cmdline"].decode() == f"{spec.command_line}\n"
    modules = [line.split()[0] for line in found["/proc/modules"].decode().splitlines()]
    assert modules == ["iaa_crypto", "idxd", "idxd_bus"]
    assert b"idxd 172032 1 iaa_crypto, Live 0x0000000000000000\n" in found["/proc/modules"]
    assert procfs.contents(replace(spec, modules=()))["/proc/modules"] == b""


def test_build_options(tmp_path: Path) -> None:
    spec = load("spr-2s")
    spec = replace(spec, kernel=replace(spec.kernel, config={"INTEL_IDXD_SVM": "n"}))
    procfs.fill_boot(spec, tmp_path)
    lines = (tmp_path / "config-6.7.9-sim").read_text().splitlines()
    assert "# Linux/x86 6.7.9 Kernel Configuration" in lines
    assert "CONFIG_INTEL_IDXD=m" in lines
    assert "CONFIG_INTEL_IOMMU_SVM=y" in lines
    assert "# CONFIG_INTEL_IDXD_SVM is not set" in lines
    assert not any(line.startswith("CONFIG_INTEL_IDXD_SVM=") for line in lines)
    shown = procfs.contents(spec)["/proc/config.gz"]
    assert gzip.decompress(shown).decode().splitlines() == lines


def test_build_options_that_nobody_can_read(tmp_path: Path) -> None:
    spec = load("spr-2s")
    spec = replace(spec, kernel=replace(spec.kernel, config_published=False))
    procfs.fill_boot(spec, tmp_path)
    procfs.fill_boot(load("spr-2s"), tmp_path / "missing")
    assert list(tmp_path.iterdir()) == []
    assert procfs.contents(spec)["/proc/config.gz"] == b""


def test_only_what_the_host_has_is_covered(tmp_path: Path) -> None:
    spec = load("spr-2s")
    pairs = procfs.proc_files(spec, str(tmp_path))
    assert {"/proc/version", "/proc/cpuinfo", "/proc/cmdline"} <= {target for _, target in pairs}
    for source, target in pairs:
        assert Path(target).exists()
        assert Path(source).read_bytes() == procfs.contents(spec)[target]
        assert Path(source).stat().st_mode & 0o777 == 0o444
