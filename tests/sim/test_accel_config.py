"""The unmodified accel-config of Debian 12 (3.5.3) and of a newer suite (4.1.x), typed by hand."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from conftest import require
from sim import suites
from sim.conftest import IAACTL, World

NEWER = "trixie"
ENGINES = "\n".join(f"accel config-engine iax1/engine1.{n} -g 0" for n in range(8))
CONFIG_WQ = (
    "accel config-wq iax1/wq1.0 -g 0 -s 128 -p 10 -b 1 -t 128 -m shared -y user -n app1 -d user"
)


@cache
def newer() -> str:
    """Command line of the newer accel-config, or why there is none (after a `!`)."""
    try:
        return shlex.join(suites.command(suites.unpack(NEWER), "accel-config"))
    except suites.SuiteUnavailable as reason:
        return f"!{reason}"


class Tool:
    """One release of accel-config in a simulated machine; `accel` is the command there."""

    def __init__(self, world: World, command: str, release: str) -> None:
        self._world = world
        self._command = command
        self.release = release

    def run(self, script: str, machine: str = "spr-2s", check: bool = False) -> tuple[int, str]:
        """Exit code and all output of a script in which `accel` is the tool."""
        stop = "set -e" if check else ""
        accel = f'accel() {{ {self._command} "$@"; }}'
        done = self._world.run(f"{accel}\nexec 2>&1\n{stop}\n{script}", machine=machine)
        return done.code, done.out


@cache
def installed() -> str:
    """The release of the system's own accel-config, which tells it only where a driver is."""
    done = subprocess.run(
        [str(IAACTL), "sim", "run", "--", "accel-config", "--version"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip()


@pytest.fixture(params=["3.5.3", "4.1.x"])
def tool(request: pytest.FixtureRequest, world: World) -> Tool:
    if request.param == "3.5.3":
        if shutil.which("accel-config") is None:
            require("sim", "accel-config is not installed")
        if not installed().startswith("3.5"):
            pytest.skip(f"the accel-config installed here is {installed()}, not 3.5")
        return Tool(world, "accel-config", "3.5.3")
    command = newer()
    if command.startswith("!"):
        pytest.skip(f"accel-config of {NEWER}: {command[1:]}")
    return Tool(world, command, "4.1.x")


def test_the_sequence_of_the_qemu_documentation(tool: Tool) -> None:
    code, out = tool.run(
        f"{ENGINES}\n{CONFIG_WQ}\naccel enable-device iax1\naccel enable-wq iax1/wq1.0\n"
        "ls /dev/iax; accel list > list.json",
        check=True,
    )
    assert code == 0, out
    assert "enabled 1 device(s) out of 1" in out
    assert "enabled 1 wq(s) out of 1" in out
    assert "wq1.0" in out
    (device,) = json.loads((tool._world._folder / "list.json").read_text())
    assert (device["dev"], device["state"]) == ("iax1", "enabled")
    (wq,) = device["groups"][0]["grouped_workqueues"]
    assert (wq["dev"], wq["size"], wq["threshold"], wq["state"]) == ("wq1.0", 128, 128, "enabled")
    assert (wq["mode"], wq["type"], wq["name"], wq["priority"]) == ("shared", "user", "app1", 10)
    assert len(device["groups"][0]["grouped_engines"]) == 8


def test_disable_and_what_is_lost_by_it(tool: Tool) -> None:
    code, out = tool.run(
        f"{ENGINES}\n{CONFIG_WQ}\naccel enable-device iax1; accel enable-wq iax1/wq1.0\n"
        "accel disable-wq iax1/wq1.0; echo wq $?\n"
        "accel enable-wq iax1/wq1.0; echo again $?\n"
        "accel disable-device iax1; echo device $?; accel list"
    )
    assert "disabled 1 wq(s) out of 1\nwq 0" in out
    assert "again 0" not in out
    assert "0x80040000" in out
    assert "name not set" in out
    assert "disabled 1 device(s) out of 1\ndevice 0" in out
    assert code in (0, 1)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("accel enable-device iax1", ["0x800d0000", "no wqs configured"]),
        (f"{CONFIG_WQ}\naccel enable-device iax1", ["failed in iax1"]),
        ("accel config-wq iax1/wq1.0 -s 129", ["0 to 128"]),
        (
            "accel config-engine iax1/engine1.0 -g 0; accel config-wq iax1/wq1.0 -g 0 -s 8\n"
            "accel enable-device iax1",
            ["0x800c0000"],
        ),
        (
            f"{ENGINES}\n{CONFIG_WQ}\naccel config-engine iax1/engine1.7 -g 1\n"
            "accel enable-device iax1",
            ["0x15"],
        ),
        (
            f"{ENGINES}\n{CONFIG_WQ.replace('-p 10', '')}\naccel enable-device iax1\n"
            "accel enable-wq iax1/wq1.0",
            ["0x23"],
        ),
        (
            f"{ENGINES}\n{CONFIG_WQ}\naccel config-wq iax1/wq1.0 -m dedicated -t 8",
            ["threshold"],
        ),
        ("accel disable-device iax1", ["iax1"]),
    ],
)
def test_known_failures_with_their_code(tool: Tool, script: str, words: list[str]) -> None:
    code, out = tool.run(script)
    assert code != 0, out
    for word in words:
        assert word in out, out


def test_no_sva_and_wrong_driver_name(tool: Tool) -> None:
    whole = f"{ENGINES}\n{CONFIG_WQ}\naccel enable-device iax1; accel enable-wq iax1/wq1.0"
    code, out = tool.run(whole, machine="no-sva")
    assert code != 0
    assert "0x800c0000" in out
    code, out = tool.run(whole, machine="no-enqcmd")
    assert code != 0
    assert "0x800c0000" in out
    code, out = tool.run(
        f"{ENGINES}\n{CONFIG_WQ} \naccel enable-device iax1\n"
        "echo dmaengine > /sys/bus/dsa/devices/wq1.0/driver_name\n"
        "echo wq1.0 > /sys/bus/dsa/drivers/user/bind || cat /sys/bus/dsa/devices/iax1/cmd_status"
    )
    assert "0x80200000" in out


def test_save_and_load(tool: Tool) -> None:
    code, out = tool.run(
        f"{ENGINES}\n{CONFIG_WQ}\naccel enable-device iax1\naccel enable-wq iax1/wq1.0\n"
        "accel save-config -s saved.conf\naccel disable-device iax1\n"
        "accel load-config -c saved.conf -e && echo loaded; accel list"
    )
    saved = (tool._world._folder / "saved.conf").read_text()
    assert '"dev":"wq1.0"' in saved
    if '"max_batch_size":-2' in saved:
        # 3.5.3 saves what it cannot load: IAA has no max_batch_size.
        assert "max_batch_size attribute write failed: No such file or directory" in out
    else:
        assert "loaded" in out
        assert '"state":"enabled"' in out
    assert code in (0, 1)


def test_what_we_export_both_releases_load(tool: Tool) -> None:
    code, out = tool.run(
        "iaactl profile export --profile qemu-migration-numa > ours.conf\n"
        "accel load-config -c ours.conf -e\n"
        "iaactl verify qemu-migration-numa",
        check=True,
    )
    assert code == 0, out
    assert "iax1, iax3, iax9, iax11: as profile" in out


def test_what_accel_config_saves_we_import_without_loss(tool: Tool) -> None:
    code, out = tool.run(
        f"{ENGINES}\n{CONFIG_WQ}\naccel enable-device iax1\naccel enable-wq iax1/wq1.0\n"
        "accel save-config -s saved.conf; iaactl profile import saved.conf > saved.yaml\n"
        "iaactl verify saved.yaml && iaactl reset iax1 --yes >/dev/null 2>&1 && "
        "iaactl apply saved.yaml --yes >/dev/null 2>&1 && iaactl profile export > back.conf",
        check=True,
    )
    assert code == 0, out
    folder: Path = tool._world._folder
    saved = json.loads((folder / "saved.conf").read_text())
    back = json.loads((folder / "back.conf").read_text())

    def cleaned(document: object) -> object:
        """Without what IAA has not: batch sizes, and traffic classes that are fixed."""
        if isinstance(document, dict):
            gone = ("max_batch_size", "traffic_class_a", "traffic_class_b", "read_buffer_limit")
            return {k: cleaned(v) for k, v in document.items() if k not in gone}
        return [cleaned(x) for x in document] if isinstance(document, list) else document

    assert cleaned(back) == cleaned(saved)


def test_lspci_udevadm_and_the_devices_of_dsa(world: World) -> None:
    done = world.run(
        "lspci -d 8086:0cfe -vv; udevadm info /sys/bus/dsa/devices/iax1;"
        'accel-config list -i | grep -c \'"dev":"dsa\''
    )
    assert done.out.count("System peripheral: Intel Corporation Device 0cfe") == 8
    assert "Kernel driver in use: idxd" in done.out
    assert "Process Address Space ID (PASID)" in done.out
    assert "SUBSYSTEM=dsa" in done.out
    assert done.out.rstrip().endswith("8")


V2 = """
version: 1
devices:
  - match: {count: 1}
    event_log_size: 128
    groups:
      - engines: all
        desc_progress_limit: 2
        wqs:
          - {name: q, size: 64, prs_disable: true, block_on_fault: false, op_config: "7f331c,0,d"}
"""


def test_the_bindings_with_the_newer_library(world: World) -> None:
    """iaactl itself on libaccel-config 4.1.x, with the setters that 3.5.3 has not."""
    try:
        ours = shlex.join(suites.iaactl(suites.unpack(NEWER)))
    except suites.SuiteUnavailable as reason:
        pytest.skip(f"{NEWER}: {reason}")
    (world._folder / "v2.yaml").write_text(V2)
    result = world.run(
        f'ours() {{ {ours} "$@"; }}\nset -e\n'
        "ours apply v2.yaml --yes --take-over iaa_crypto\niaactl verify v2.yaml\n"
        "ours apply v2.yaml --yes\nours reset iax0 --yes\nours restore --yes >/dev/null\n"
        "iaactl verify v2.yaml",
        machine="iaa2",
    )
    assert result.code == 0, result.out + result.err
    assert "nothing to do" in result.out


def test_the_older_library_says_what_it_lacks_before_the_first_write(world: World) -> None:
    if newer() and shutil.which("accel-config") is None:
        require("sim", "accel-config is not installed")
    (world._folder / "v2.yaml").write_text(V2)
    result = world.run("iaactl apply v2.yaml --yes --take-over iaa_crypto", machine="iaa2")
    if result.code == 0:
        pytest.skip("this release of libaccel-config has every setter")
    assert result.code == 4
    assert "cannot set `event_log_size`" in result.err
    assert "4.0 or later" in result.err
    assert result.writes == []
