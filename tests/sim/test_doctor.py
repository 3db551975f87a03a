"""doctor in simulated machines: causes, proofs, other users, collections; it changes nothing."""

from __future__ import annotations

import json
import tarfile
from typing import Any

import pytest

from iaactl.sim.machine import names
from sim.conftest import World

# The first root cause and whether QEMU can migrate, before and after `apply qemu-migration`.
CAUSES = {
    "grub-not-updated": ("IAA-B004", "IAA-B004"),
    "guest-no-1g": ("IAA-I004", "IAA-I004"),
    "guest-no-viommu": ("IAA-V001", "IAA-V001"),
    "idxd-not-loaded": ("IAA-K007", "IAA-K007"),
    "iommu-off-in-bios": ("IAA-I001", "IAA-I001"),
    "kernel-6.12": ("IAA-K003", "IAA-K003"),
    "kernel-6.18-sva-disabled": ("IAA-K004", "IAA-K003"),
    "kernel-without-svm": ("IAA-K001", "IAA-K001"),
    "la57-no-5lvl": ("IAA-I003", "IAA-I003"),
    "legacy-iommu": ("IAA-I002", "IAA-I002"),
    "no-enqcmd": ("IAA-C002", "IAA-C002"),
    "no-iaa": ("IAA-N001", "IAA-N001"),
    "no-iommu": ("IAA-I001", "IAA-I001"),
    "no-movdir64b": ("IAA-C001", "IAA-C001"),
    "no-smpwc": ("IAA-I006", "IAA-I006"),
    "no-sva": ("IAA-K002", "IAA-K002"),
    "pasid-on-one-socket": ("IAA-I006", "IAA-I006"),
    "sm-on-apart": ("IAA-B001", "IAA-B001"),
    "vfio-bound": ("IAA-O003", "IAA-O003"),
}
READY_AFTER_APPLY = (
    "iommu-by-default", "kernel-6.1", "mixed-dsa", "snc", "snc-1dev-per-socket",
    "spr-1dev-per-socket", "spr-2s", "spr-2s-6.19", "spr-2s-configured", "spr-2s-iaa-crypto",
    "one-socket-configured",
)  # fmt: skip
APPLY = "iaactl apply qemu-migration -y --take-over iaa_crypto >/dev/null 2>&1;"
SERIOUS = ("error", "warning")


def diagnosis(text: str) -> dict[str, Any]:
    document = json.loads(text)
    assert document["schema"] == "iaactl.diagnosis/1"
    data: dict[str, Any] = document["data"]
    return data


def own(data: dict[str, Any]) -> list[dict[str, Any]]:
    """Findings about the machine; those about programs of the test host are not the machine's."""
    return [f for f in data["findings"] if not f["code"].startswith("IAA-L")]


def first_root(data: dict[str, Any]) -> str:
    return str(next(f["code"] for f in own(data) if not f["because_of"]))


@pytest.mark.parametrize("machine", CAUSES)
def test_the_cause_stands_first(world: World, machine: str) -> None:
    before, after = CAUSES[machine]
    result = world.run(
        f"iaactl doctor --json >a.json; echo $?; {APPLY} iaactl doctor --json >b.json; echo $?",
        machine=machine,
    )
    assert result.out.split() == ["6", "6"], result.err
    assert "Traceback" not in result.err
    found = [diagnosis((world._folder / name).read_text()) for name in ("a.json", "b.json")]
    assert [first_root(data) for data in found] == [before, after]


@pytest.mark.parametrize("machine", READY_AFTER_APPLY)
def test_healthy_machines_become_ready_without_an_alarm(world: World, machine: str) -> None:
    result = world.run(
        f"iaactl doctor --json >a.json; {APPLY} iaactl doctor --json >b.json; echo $?",
        machine=machine,
    )
    assert result.out.split() == ["0"], result.err
    for name in ("a.json", "b.json"):
        data = diagnosis((world._folder / name).read_text())
        assert [f["code"] for f in own(data) if f["severity"] in SERIOUS] == [], name
    assert "proven by opening the queues" in data["sentence"]


@pytest.mark.parametrize("machine", names())
def test_a_collection_tells_the_same(world: World, machine: str) -> None:
    """Live, from the archive elsewhere, and from the archive unpacked as a directory."""
    result = world.run(
        f"{APPLY} iaactl doctor --json --collect host.tar.gz >live.json; echo $?", machine=machine
    )
    code = result.out.strip()
    assert code in ("0", "6"), result.err
    assert "read it before you give it away" in result.err
    live = (world._folder / "live.json").read_text()
    # In another machine, which must not show through.
    again = world.run("iaactl doctor --root host.tar.gz --json; echo $? >&2", machine="spr-2s-6.19")
    assert again.out == live
    assert again.err.split() == [code]
    with tarfile.open(world._folder / "host.tar.gz") as archive:
        members = {m.name: m for m in archive.getmembers()}
        text = archive.extractfile(members["iaactl/live.json"])
        assert text is not None
        assert json.load(text)["schema"] == "iaactl.facts/1"


def test_a_plain_directory_is_as_good(world: World) -> None:
    """An administrator's own copy: `cp` and `tar` of some files, no iaactl on the host."""
    result = world.run(
        "mkdir -p t/proc/sys/kernel t/sys/class t/sys/bus t/sys/devices;"
        "cp /proc/cmdline /proc/cpuinfo t/proc; cp /proc/sys/kernel/osrelease t/proc/sys/kernel;"
        "cp -a /sys/bus/dsa t/sys/bus/ 2>/dev/null; cp -a /sys/class/iommu t/sys/class 2>/dev/null;"
        "mkdir -p t/sys/devices/virtual t/sys/bus/pci; cp -a /sys/bus/pci/devices t/sys/bus/pci;"
        "cp -a /sys/devices/virtual/iommu t/sys/devices/virtual 2>/dev/null;"
        "cp -a /sys/devices/pci* t/sys/devices 2>/dev/null; dmesg > t/dmesg.txt;"
        "iaactl doctor --root t; echo $?",
        machine="la57-no-5lvl",
    )
    assert "5-level paging" in result.out.splitlines()[0], result.out + result.err
    assert "IAA-I003" in result.out
    assert result.out.split()[-1] == "6"


def test_it_changes_nothing_and_clears_no_evidence(world: World) -> None:
    result = world.run(
        "iaactl apply qemu-migration -y >/dev/null 2>&1;"
        "accel-config disable-wq iax1/wq1.0 >/dev/null 2>&1; sync; echo ---;"
        "cat /sys/bus/dsa/devices/iax*/cmd_status > before;"
        "iaactl doctor --collect x.tar.gz >/dev/null; iaactl doctor --no-probe >/dev/null;"
        "cat /sys/bus/dsa/devices/iax*/cmd_status > after; iaactl doctor --json --no-probe"
    )
    data = diagnosis(result.out.partition("---\n")[2])
    assert data["sentence"].startswith("Set up for QEMU")
    last_write = max(n for n, e in enumerate(result.log) if e["op"] in ("write", "bind", "unbind"))
    later = result.log[last_write + 1 :]
    # Seven queues, opened and tried once, by the one run that probes.
    nodes = [e for e in later if e["path"].startswith("/dev/iax")]
    assert [e["op"] for e in nodes if e["op"] != "submit"].count("open") == 7
    assert {e["op"] for e in later if e not in nodes} <= {"open", "close"}


def test_as_the_user_who_runs_qemu(world: World) -> None:
    result = world.run(
        f"{APPLY} iaactl doctor --user nobody; echo code $?;"
        "iaactl doctor --user no-such-user; echo code $?"
    )
    if "cannot become" in result.err:
        pytest.skip("single-user namespace: nobody else to become")
    assert "Not ready for QEMU (" not in result.out
    assert "nobody may not open /dev/iax/wq1.0" in result.out
    assert "code 6" in result.out
    assert "there is no user no-such-user" in result.err
    assert "code 4" in result.out


def test_without_root_it_says_what_root_would_add(world: World) -> None:
    nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    result = world.run(f"{APPLY} {nobody} iaactl doctor; echo code $?")
    if "setpriv: set" in result.err:
        pytest.skip("single-user namespace: nobody else to become")
    assert "root would add: " in result.out, result.out + result.err
    assert "nobody may not open" in result.out
    assert "code 6" in result.out


@pytest.mark.parametrize(("fault", "code", "word"), [
    ("descriptor:wq1.0:0x00:hang", "IAA-Q006", "no completion"),
    ("descriptor:wq1.0:0x00:status=0x10", "IAA-Q006", "noop failed"),
    ("open:wq1.0:errno=EBUSY", "IAA-Q005", "one client at a time"),
    ("open:wq1.0:errno=EOPNOTSUPP", "IAA-K003", "SVA disabled"),
    ("open:wq1.0:errno=ENOSPC", "IAA-I002", "legacy mode"),
    ("open:wq1.0:errno=ENODEV", "IAA-I009", "nothing that could be read says why"),
    ("open:wq1.0:errno=EACCES", "IAA-A001", "may not open"),
    ("open:wq1.0:errno=EINVAL", "IAA-I009", "ATS and PASID are on"),
])  # fmt: skip
def test_faults_of_one_queue(world: World, fault: str, code: str, word: str) -> None:
    result = world.run(
        f"{APPLY} iaactl doctor --json >a.json; echo $?; iaactl doctor",
        machine="spr-1dev-per-socket", faults=[fault],
    )  # fmt: skip
    assert result.out.splitlines()[0] in ("0", "6")
    data = diagnosis((world._folder / "a.json").read_text())
    assert first_root(data) == code
    assert word in " ".join(result.out.split())


def test_plan_apply_and_selftest_name_the_same_cause(world: World) -> None:
    result = world.run(
        "iaactl plan qemu-migration >/dev/null; iaactl apply qemu-migration -y >/dev/null;"
        "iaactl selftest",
        machine="no-sva",
    )
    hints = [line for line in result.err.splitlines() if line.startswith("hint:")]
    assert len(hints) == 3
    assert all("SVA is switched off by the parameter" in hint for hint in hints), result.err
    assert all("IAA-K002" in hint for hint in hints)


def test_options_that_contradict_each_other(world: World) -> None:
    result = world.run(
        "iaactl doctor --root /nowhere; echo $?; iaactl doctor --root / --collect x; echo $?;"
        "iaactl doctor --collect /nowhere/x.tar.gz; echo $?; iaactl doctor --socket 7; echo $?;"
        "iaactl doctor --root / --user ghost; echo $?; iaactl doctor explain X; echo $?"
    )
    assert [w for w in result.out.split() if w.isdigit() and len(w) == 1][-1] == "2"
    for sentence in (
        "there is no /nowhere", "--root looks at another machine's files", "cannot be written",
        "has no account ghost", "there is no code X",
    ):  # fmt: skip
        assert sentence in result.err
    assert "socket 7 has no IAA device" in result.out
