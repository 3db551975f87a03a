"""Command lines, releases, logs, redaction, the graph of causes and the table of codes."""

from __future__ import annotations

import ast
import errno
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from iaactl.cli.main import cli
from iaactl.doctor.causes import consequences, link, roots
from iaactl.doctor.redaction import redact
from iaactl.host.facts.boot import read_boot
from iaactl.host.files import DirectoryFiles
from iaactl.host.reading import Reading
from iaactl.model.codes import BY_CODE, CODES, found
from iaactl.model.command_line import IommuArguments, iommu_arguments, words
from iaactl.model.device import Inventory
from iaactl.model.finding import Severity
from iaactl.model.kernel_log import messages
from iaactl.model.kernel_release import SvaState, parse_release, pasid_flag_lies, sva_state
from iaactl.model.open_errors import explain_open

SOURCES = Path(__file__).parents[2] / "iaactl"


@pytest.mark.parametrize(("text", "expected"), [
    ("quiet", IommuArguments()),
    ("intel_iommu=on,sm_on", IommuArguments(on=True, scalable=True)),
    ("intel_iommu=on sm_on", IommuArguments(on=True, stray=("sm_on",))),
    ("intel_iommu=on,sm_on intel_iommu=off",
     IommuArguments(on=False, scalable=True, off_by="intel_iommu=off")),
    ("intel_iommu=off intel_iommu=on", IommuArguments(on=True)),
    ("iommu=off", IommuArguments(on=False, off_by="iommu=off")),
    ("iommu=pt no5lvl", IommuArguments(no5lvl=True)),
    ("nolvl5", IommuArguments(misspelt=("nolvl5",))),
    ("intel_iommu=sm_off,on", IommuArguments(on=True, scalable=False)),
    ("init=/bin/sh -- intel_iommu=off", IommuArguments()),
])  # fmt: skip
def test_iommu_arguments_are_read_as_the_kernel_does(text: str, expected: IommuArguments) -> None:
    assert iommu_arguments(text) == expected


def test_quotes_keep_blanks_together() -> None:
    assert words('a "b c=d e" f="g h" "') == ["a", '"b c=d e"', 'f="g h"', '"']


@pytest.mark.parametrize(("release", "state"), [
    ("6.19.0", SvaState.FIXED), ("7.3.4", SvaState.FIXED), ("6.18.7-arch1", SvaState.FIXED),
    ("6.18.6", SvaState.UNCERTAIN), ("6.17.0-22-generic", SvaState.DISABLED),
    ("6.17.0-20-generic", SvaState.UNSAFE), ("6.16.12", SvaState.UNSAFE),
    ("6.12.107+deb13-amd64", SvaState.DISABLED), ("6.12.63", SvaState.UNSAFE),
    ("6.6.100", SvaState.UNCERTAIN), ("", SvaState.UNCERTAIN), ("garbage", SvaState.UNCERTAIN),
])  # fmt: skip
def test_what_a_release_makes_likely(release: str, state: SvaState) -> None:
    assert sva_state(release) is state


@given(st.text(max_size=30))
def test_any_text_is_a_release_or_none(text: str) -> None:
    parse_release(text)
    sva_state(text)
    pasid_flag_lies(text)


def test_logs_in_every_format_say_the_same() -> None:
    said = "idxd 0000:6a:02.0: Unable to turn on user SVA feature."
    wanted = ("Linux version 6.19", said)
    formats = [
        f"5,0,0,-;Linux version 6.19\n4,1,2,-;{said}",
        f"[    0.0] Linux version 6.19\n[    2.1] {said}",
        f"<5>[ 0.0] Linux version 6.19\n[ 2.1] [T9] {said}",
        "Nov 25 10:00:00 host kernel: [ 0.0] Linux version 6.19\n"
        f"Nov 25 10:00:01 host kernel: {said}",
        "[ 1.0] Linux version 6.1\n[ 2.0] idxd: old trouble\n[    0.0] Linux version 6.19\n"
        f"[  2.0] usb 1-1: new device\n[  2.1] {said}",
    ]
    for text in formats:
        assert messages(text) == wanted, text


def test_boot_files_of_several_loaders(tmp_path: Path) -> None:
    files = {
        "etc/default/grub": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on,sm_on" # here\n',
        "etc/default/grub.d/50-x.cfg": "GRUB_CMDLINE_LINUX='no5lvl'\n",
        "etc/kernel/cmdline": "root=UUID=x intel_iommu=on\n",
        "boot/loader/entries/a.conf": "title A\noptions root=/dev/sda ro\n",
        "boot/grub/grub.cfg": "menuentry x {\n\tlinux /vmlinuz root=/dev/sda ro iommu=pt\n}\n",
        "boot/grub2/grubenv": "kernelopts=root=/dev/sda intel_iommu=off\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    entries = read_boot(Reading(DirectoryFiles(tmp_path)))
    found_ = {entry.line.path.lstrip("/"): entry.arguments for entry in entries}
    assert found_ == {
        "etc/default/grub": ("quiet", "intel_iommu=on,sm_on"),
        "etc/default/grub.d/50-x.cfg": ("no5lvl",),
        "etc/kernel/cmdline": ("root=UUID=x", "intel_iommu=on"),
        "boot/loader/entries/a.conf": ("root=/dev/sda", "ro"),
        "boot/grub/grub.cfg": ("root=/dev/sda", "ro", "iommu=pt"),
        "boot/grub2/grubenv": ("root=/dev/sda", "intel_iommu=off"),
    }


# -- redaction -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "text", "gone", "stays"), [
    ("/proc/cmdline", "quiet rd.luks.key=/k intel_iommu=on api_token=abc123 x=1",
     ("abc123", "/k "), ("intel_iommu=on", "x=1")),
    ("/proc/cmdline", "netroot=iscsi:user:hunter2@10.0.0.1 ifname=eth0:aa:bb:cc:dd:ee:ff",
     ("hunter2", "aa:bb:cc"), ("ifname",)),
    ("/dev/kmsg", "4,1,2,-;systemd[1]: Hostname set to <myhost>\n4,1,2,-;idxd 0000:6a:02.0: x on "
     "myhost", ("myhost", "systemd"), ("idxd 0000:6a:02.0: x",)),
    ("/etc/default/grub", "GRUB_PASSWORD=x\nGRUB_CMDLINE_LINUX=\"iommu=pt\"", ("GRUB_PASSWORD",),
     ("iommu=pt",)),
    ("/boot/grub/grub.cfg", "password_pbkdf2 root grub.pbkdf2.sha512.10000.AAAA\n linux /v ro",
     ("AAAA",), (" linux /v ro",)),
    ("/usr/lib/udev/rules.d/60.rules", 'ENV{ID_SERIAL}=="abc"\nSUBSYSTEM=="dsa", MODE="0660"',
     ("abc",), ('SUBSYSTEM=="dsa"',)),
    ("/sys/x", "serial: ABC-123", ("ABC-123",), ("serial",)),
])  # fmt: skip
def test_what_is_nobodys_business_is_taken_out(
    path: str, text: str, gone: tuple[str, ...], stays: tuple[str, ...]
) -> None:
    result = redact(path, text.encode(), "myhost").decode()
    for part in gone:
        assert part not in result, result
    for part in stays:
        assert part in result, result
    assert result.count("\n") == text.count("\n"), "line numbers moved"


def test_only_one_cpu_of_many_is_kept() -> None:
    one = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t: fpu\nserial number\t: 1\n"
    result = redact("/proc/cpuinfo", (one + "\n" + one.replace("0", "1")).encode(), None).decode()
    assert result.count("processor") == 1
    assert "serial" not in result


# -- causes ----------------------------------------------------------------------------------------


def test_consequences_of_consequences_are_folded_under_the_root() -> None:
    findings = link(
        [
            found("IAA-Q001", "socket 0", "no queue", "x"),
            found("IAA-D004", "iax1", "no pasid", "x"),
            found("IAA-I001", "host", "off", "x"),
            found("IAA-B002", "kernel", "off by argument", "x"),
        ],
        Inventory(),
    )
    (root,) = roots(findings)
    assert root.code == "IAA-B002"
    assert {f.code for f in consequences(root, findings)} == {"IAA-I001", "IAA-D004", "IAA-Q001"}
    assert findings[0] == root


def test_a_cause_on_one_device_explains_nothing_on_another() -> None:
    findings = link(
        [
            found("IAA-I003", "iax1", "5-level", "x"),
            found("IAA-D004", "iax1", "no pasid", "x"),
            found("IAA-D004", "iax3", "no pasid", "x"),
        ],
        Inventory(),
    )
    explained = {f.subject: bool(f.because_of) for f in findings if f.code == "IAA-D004"}
    assert explained == {"iax1": True, "iax3": False}


def test_the_graph_has_no_circle_and_no_loose_end() -> None:
    for entry in CODES:
        assert set(entry.explained_by) <= set(BY_CODE), entry.code
    seen: dict[str, int] = {}

    def depth(code: str, path: tuple[str, ...]) -> int:
        assert code not in path, f"{' -> '.join((*path, code))}"
        if code not in seen:
            seen[code] = 1 + max(
                (depth(cause, (*path, code)) for cause in BY_CODE[code].explained_by), default=0
            )
        return seen[code]

    for entry in CODES:
        depth(entry.code, ())


def test_the_table_of_codes_is_whole_and_honest() -> None:
    assert len({entry.code for entry in CODES}) == len(CODES)
    used: set[str] = set()
    for path in SOURCES.rglob("*.py"):
        if "codes" in path.parts or "sim" in path.parts:
            continue
        used |= set(re.findall(r"IAA-[A-Z][0-9]{3}", path.read_text()))
    assert used - set(BY_CODE) == set(), "a code without an entry"
    assert set(BY_CODE) - used == set(), "an entry that nothing reports"
    for entry in CODES:
        assert entry.story.endswith("."), entry.code
        if entry.severity in (Severity.ERROR, Severity.WARNING) and entry.code[4] not in "P":
            assert entry.remedy or entry.explained_by, f"{entry.code} leaves one alone"


DANGEROUS = re.compile(
    r"chmod 0?666|chmod 777|chown -R|intel_iommu=off|iommu=off|sva=0|disable_denylist=1"
    r"|/unbind|enable_unsafe|noiommu|setenforce 0"
)


def test_no_remedy_is_dangerous() -> None:
    for entry in CODES:
        for match in DANGEROUS.finditer(entry.remedy or ""):
            # Telling to take such a thing out is the opposite of advising it.
            assert "take" in (entry.remedy or ""), f"{entry.code}: {match[0]}"
    for path in (SOURCES / "doctor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "remedy":
                assert not DANGEROUS.search(ast.unparse(node.value)), path


def test_explain_tells_the_story() -> None:
    for entry in CODES:
        result = CliRunner().invoke(cli, ["doctor", "explain", entry.code])
        assert result.exit_code == 0
        assert entry.title in " ".join(result.output.split())
    short = CliRunner().invoke(cli, ["doctor", "explain", "i003"])
    assert "no5lvl" in short.output
    wrong = CliRunner().invoke(cli, ["doctor", "explain", "IAA-X999"])
    assert wrong.exception is not None
    assert "there is no code IAA-X999" in str(wrong.exception)


ERRNOS = ("EACCES", "ENODEV", "ENOSPC", "EOPNOTSUPP", "EINVAL", "EBUSY", "ENOENT", "EIO")


@pytest.mark.parametrize("number", [getattr(errno, name) for name in ERRNOS])
def test_every_errno_of_open_has_words(number: int) -> None:
    reason = explain_open(number)
    assert reason.name.startswith("E")
    assert reason.meaning
