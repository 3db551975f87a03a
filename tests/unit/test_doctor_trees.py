"""Trees in any state: whatever is missing, cut off or garbled, a diagnosis comes out."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fakes.host_tree import HostTree
from iaactl import runtime
from iaactl.cli.main import run
from iaactl.doctor.diagnosis import diagnose
from iaactl.host.archive import ArchiveFiles, RecordingFiles
from iaactl.host.facts.kernel import OPTIONS
from iaactl.host.files import DirectoryFiles, canonical
from iaactl.model.finding import Severity


def iaactl(*arguments: str) -> tuple[int, str, str]:
    """A command line in this process: exit code, what it printed, what it complained of."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(arguments)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("healthy")
    tree = HostTree(folder)
    tree.log("DMAR: IOMMU enabled", "idxd 0000:6a:02.0: enabling device (0000 -> 0002)")
    tree.write("etc/default/grub", 'GRUB_CMDLINE_LINUX="intel_iommu=on,sm_on"')
    tree.write("etc/modprobe.d/idxd.conf", "options idxd sva=1")
    tree.write("etc/accel-config/accel-config.conf", "[]")
    tree.write("proc/meminfo", "MemTotal: 100 kB\nHugePages_Total: 0")
    tree.write("etc/passwd", "libvirt-qemu:x:64055:108::/:/bin/false")
    tree.write("etc/group", "kvm:x:108:libvirt-qemu")
    tree.write("sys/kernel/debug/iommu/intel/dmar_perf_latency", "svm_prq 0 0 1 2 3 0 0 1 2 3")
    tree.write("sys/kernel/security/lockdown", "[none] integrity confidentiality")
    return folder


GARBAGE = [b"", b"\0", b"\xff\xfe\xfd", b"-1\n", b"99999999999999999999\n", b"0x\n", b"{", b"[[\n",
           b"a=b=c \"'\n", b"\n" * 4096, "ünïcödé\n".encode(), b"1" * 5000]  # fmt: skip


@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from((0.02, 0.2, 0.7)))
@settings(max_examples=60)
@example(seed=32446043, share=0.2)  # a CPU list of 5000 digits, which int() refuses
def test_whatever_a_tree_holds_there_is_a_diagnosis(
    healthy: Path, tmp_path_factory: pytest.TempPathFactory, seed: int, share: float
) -> None:
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("garbled")
    shutil.copytree(healthy, folder, symlinks=True, dirs_exist_ok=True)
    for path in sorted(folder.rglob("*"), key=str):
        if not path.exists() and not path.is_symlink():
            continue
        if chance.random() > share:
            continue
        if path.is_symlink():
            path.unlink()
            if chance.random() < 0.5:
                path.symlink_to(chance.choice(["/etc/passwd", "../" * 40, path.name, "nowhere"]))
        elif path.is_dir():
            if chance.random() < 0.2:
                shutil.rmtree(path)
                path.write_bytes(chance.choice(GARBAGE))
        elif chance.random() < 0.4:
            path.unlink()
        else:
            path.write_bytes(chance.choice(GARBAGE))
    code, out, err = iaactl("doctor", "--root", str(folder), "--json")
    assert code in (0, 6), err
    document = json.loads(out)
    assert document["data"]["sentence"]
    code, _, err = iaactl("doctor", "--root", str(folder), "--all")
    assert code in (0, 6), err
    shutil.rmtree(folder)


def test_an_empty_tree_is_unknown_not_fine_and_not_broken(tmp_path: Path) -> None:
    diagnosis = diagnose(runtime.tree_facts(files := DirectoryFiles(tmp_path), inventory :=
                                            runtime.inventory_of(files)), inventory)  # fmt: skip
    assert [f.code for f in diagnosis.findings] == ["IAA-N002"]
    assert diagnosis.findings[0].severity is Severity.UNKNOWN
    assert not diagnosis.ready


def test_no_device_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("vendor_id\t: AuthenticAMD\nmodel name\t: EPYC\n")
    code, out, _ = iaactl("doctor", "--root", str(tmp_path))
    assert code == 6
    assert out.splitlines()[0] == "This machine has no IAA device."
    assert "Sapphire Rapids" in out
    assert "next: use a Xeon" in out


@pytest.mark.parametrize(("model", "flags", "word"), [
    (143, "fpu", "BIOS"), (143, "fpu hypervisor", "host"), (85, "fpu", "4th generation"),
])  # fmt: skip
def test_why_there_is_none(tmp_path: Path, model: int, flags: str, word: str) -> None:
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(
        f"vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t: {model}\nflags\t: {flags}\n"
    )
    code, out, _ = iaactl("doctor", "--root", str(tmp_path))
    assert code == 6
    assert word in out, out


def test_a_tree_never_reaches_the_machine_it_is_looked_at_on(tmp_path: Path) -> None:
    """Absolute links and `..` stay inside; a device or FIFO of the tree is not opened."""
    import os

    outside = tmp_path / "outside"
    outside.write_text("secret")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/one").symlink_to(outside)
    (root / "etc/two").symlink_to("../" * 20 + str(outside))
    os.mkfifo(root / "etc/fifo")
    (root / "etc/loop").symlink_to("loop")
    files = DirectoryFiles(root)
    for name in ("one", "two", "fifo", "loop"):
        with pytest.raises(OSError, match=r"Errno"):
            files.text(f"/etc/{name}")


@given(
    st.text("ab/.", max_size=12),
    st.dictionaries(st.text("ab", min_size=1, max_size=2), st.text("ab/.", max_size=6), max_size=4),
)
def test_canonical_paths_are_inside_and_stable(path: str, links: dict[str, str]) -> None:
    def target(at: str) -> str | None:
        return links.get(at.rpartition("/")[2])

    try:
        found = canonical(path, target)
    except OSError:
        return
    assert found.startswith("/")
    assert ".." not in found.split("/")
    assert canonical(found, target) == found


# -- collections -----------------------------------------------------------------------------------


def test_a_recording_reads_as_what_it_was_made_of(healthy: Path, tmp_path: Path) -> None:
    recording = RecordingFiles(DirectoryFiles(healthy))
    inventory = runtime.inventory_of(recording)
    facts = runtime.tree_facts(recording, inventory)
    recording.write(tmp_path / "host.tar.gz", {}, lambda path, content: content)
    again = ArchiveFiles(tmp_path / "host.tar.gz")
    assert runtime.inventory_of(again) == inventory
    assert runtime.tree_facts(again, inventory) == facts
    assert (tmp_path / "host.tar.gz").stat().st_mode & 0o077 == 0


def test_what_could_not_be_read_cannot_be_read_from_the_archive(tmp_path: Path) -> None:
    class Forbidden(DirectoryFiles):
        def text(self, path: str) -> str:
            if path == "/secret":
                raise PermissionError(13, "Permission denied", path)
            return super().text(path)

    root = tmp_path / "root"
    root.mkdir()
    (root / "secret").write_text("x")
    (root / "seen").write_text("never read")
    recording = RecordingFiles(Forbidden(root))
    with pytest.raises(PermissionError):
        recording.text("/secret")
    assert recording.names("/") == ["secret", "seen"]
    recording.write(tmp_path / "a.tar.gz", {}, lambda path, content: content)
    archive = ArchiveFiles(tmp_path / "a.tar.gz")
    with pytest.raises(PermissionError):
        archive.text("/secret")
    with pytest.raises(OSError, match="No data"):
        archive.text("/seen")
    with pytest.raises(FileNotFoundError):
        archive.text("/other")
    assert archive.names("/") == ["secret", "seen"]


@given(data=st.binary(max_size=400))
def test_garbage_is_no_archive(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("a") / "x.tar.gz"
    path.write_bytes(data)
    code, _, err = iaactl("doctor", "--root", str(path))
    assert code in (3, 6), err
    assert code == 6 or (err.startswith("error: ") and len(err.splitlines()) == 2), err


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_damaged_archives_end_in_one_sentence(
    healthy: Path, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    from iaactl.errors import DocumentError

    chance = random.Random(seed)
    path = tmp_path_factory.mktemp("a") / "host.tar"
    recording = RecordingFiles(DirectoryFiles(healthy))
    runtime.tree_facts(recording, runtime.inventory_of(recording))
    recording.write(path, {"/iaactl/live.json": b"{}"}, lambda _, content: content)
    data = bytearray(path.read_bytes())
    for _ in range(chance.randrange(1, 8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(bytes(data[: chance.randrange(len(data))]) if chance.random() < 0.3 else data)
    try:
        files = runtime.files_of(path)
        inventory = runtime.inventory_of(files)
        diagnose(runtime.tree_facts(files, inventory), inventory)
    except DocumentError as error:
        assert error.hint


def test_kernel_options_are_known_to_the_checks() -> None:
    from iaactl.doctor.checks.kernel import _FOR_USERS

    assert set(_FOR_USERS) <= set(OPTIONS)


NUMBERED = (
    "numa_node", "cpulist", "cap", "cpuinfo", "osrelease", "size", "cmd_status", "gen_cap",
    "meminfo", "passwd", "group", "dmar_perf_latency", "physical_package_id", "op_cap",
)  # fmt: skip


@pytest.mark.parametrize("text", ["1" * 5000, "0x" + "f" * 5000, "-" + "9" * 5000, "²", "١٢"])
@pytest.mark.parametrize("pattern", NUMBERED)
def test_numbers_that_are_none(healthy: Path, tmp_path: Path, pattern: str, text: str) -> None:
    """Python refuses to read or print some numbers: none of them may come that far."""
    shutil.copytree(healthy, tmp_path / "t", symlinks=True)
    touched = [p for p in (tmp_path / "t").rglob(pattern) if p.is_file()]
    assert touched
    for path in touched:
        known = path.read_text()
        numbered = known.replace("100", text).replace("64055", text)
        path.write_text(numbered if ":" in known else text)
    if pattern == "cpuinfo":
        lines = ("vendor_id\t: GenuineIntel", f"cpu family\t: {text}", f"model\t: {text}", "")
        touched[0].write_text("\n".join(lines))
    for arguments in (["--json"], ["--all"], ["--user", "libvirt-qemu"]):
        code, _, err = iaactl("doctor", "--root", str(tmp_path / "t"), *arguments)
        assert code in (0, 3, 6), err
