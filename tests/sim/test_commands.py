"""Every command as a user types it: text, JSON against its schema, failures, permissions."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest

import traces
from iaactl.cli.schema import document_schema
from sim.conftest import IAACTL, World

ROOT = Path(__file__).parents[2]


def documents(text: str) -> list[dict[str, object]]:
    """The JSON documents in a text, one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def check(document: dict[str, object]) -> None:
    name = str(document["schema"]).removeprefix("iaactl.").removesuffix("/1")
    jsonschema.validate(document, document_schema(name))


@pytest.mark.parametrize("machine", ["spr-2s", "spr-2s-iaa-crypto", "guest", "iaa2", "mixed-dsa"])
def test_json_of_every_command_is_as_documented(world: World, machine: str) -> None:
    result = world.run(
        "iaactl list --json; iaactl list --wqs --json; iaactl plan single-device --json;"
        "iaactl apply single-device --yes --json --take-over iaa_crypto;"
        "iaactl verify single-device --json; iaactl list --wqs --json;"
        "for n in $(ls /sys/bus/dsa/devices | grep -E '^iax[0-9]+$' | head -2);"
        "do iaactl show $n --json; done;"
        "iaactl reset --all --yes --json; iaactl restore --yes --json; iaactl profile list --json;"
        "iaactl profile validate split --json; iaactl sim machines --json",
        machine=machine,
    )
    printed = documents(result.out)
    assert len(printed) >= 8
    for document in printed:
        check(document)
    errors = [line for line in result.err.splitlines() if line.startswith("{")]
    for line in errors:
        check(json.loads(line))
    assert "Traceback" not in result.err


def test_names_in_every_form(world: World) -> None:
    result = world.run(
        "for n in iax1 wq1.0 iax1/wq1.0 engine1.3 iax1/group1.0 6a:02.0 0000:6a:02.0;"
        " do iaactl show $n >/dev/null || echo no $n; done;"
        "iaactl show wq2.0; iaactl show iax1/wq3.0; iaactl show iaa1"
    )
    assert "no " not in result.out
    assert result.err.count("error: there is no") == 3
    assert "iax1, iax3" in result.err


def test_show_decodes(world: World) -> None:
    result = world.run("iaactl show iax1; iaactl show wq1.0")
    assert "compress" in result.out
    assert "crc64" in result.out
    assert "block on fault" in result.out
    assert "no work queue is in any group" in result.out


def test_reading_changes_nothing(world: World) -> None:
    result = world.run(
        "iaactl list; iaactl list --wqs; iaactl show iax1; iaactl plan qemu-migration;"
        "iaactl verify qemu-migration; iaactl profile export iax1; iaactl profile list"
    )
    assert result.writes == []
    assert [entry for entry in result.log if entry["op"] == "open"] == []


def test_functions_without_a_driver_are_shown(world: World) -> None:
    result = world.run(
        "echo 0000:6a:02.0 > /sys/bus/pci/drivers/idxd/unbind; iaactl list; iaactl list --json"
    )
    assert "IAA-D001" in result.out
    assert "0000:6a:02.0" in result.out
    assert "echo 0000:6a:02.0 > /sys/bus/pci/drivers/idxd/bind" in result.out


def test_inventory_travels(world: World) -> None:
    result = world.run(
        "iaactl list --json > host.json; iaactl plan qemu-migration > live.txt;"
        "iaactl plan qemu-migration --inventory host.json > filed.txt; cmp live.txt filed.txt"
    )
    assert result.code == 0, result.err
    done = subprocess.run(
        [str(IAACTL), "plan", "split", "--inventory", str(world._folder / "host.json")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "modprobe iaa_crypto" in done.stdout
    assert done.returncode == 4


def test_detailed_exit_code_and_check(world: World) -> None:
    result = world.run(
        "iaactl plan single-device --detailed-exitcode >/dev/null; echo $?;"
        "iaactl apply single-device --check >/dev/null; echo $?;"
        "iaactl apply single-device --yes >/dev/null 2>&1;"
        "iaactl plan single-device --detailed-exitcode >/dev/null; echo $?;"
        "iaactl apply single-device --check >/dev/null; echo $?;"
        "iaactl apply split --check </dev/null >/dev/null 2>&1; echo $?;"
        "iaactl reset iax1 </dev/null >/dev/null; echo $?"
    )
    assert result.out.split() == ["6", "6", "0", "0", "4", "2"]
    assert "no terminal to confirm on" in result.err


def test_watch_follows_udev(world: World) -> None:
    result = world.run(
        "iaactl list --watch > seen.txt & pid=$!; sleep 1.5;"
        "iaactl apply single-device --yes >/dev/null 2>&1; sleep 1.5; kill $pid; cat seen.txt"
    )
    assert re.search(r"bind dsa iax1\b", result.out)
    assert "wq1.0" in result.out
    assert result.out.count("NAME") >= 2


def test_session_of_the_readme(world: World) -> None:
    text = (ROOT / "README.md").read_text()
    session = text.partition("<!-- session:begin")[2].partition("<!-- session:end")[0]
    session = session.partition("```console\n")[2].partition("```")[0]
    typed = [line[2:] for line in session.splitlines() if line.startswith("$ ")]
    script = "\n".join(f"printf '%s\\n' {_quoted('$ ' + c)}; {c} 2>/dev/null" for c in typed)
    result = world.run(script)
    have = [line.rstrip() for line in result.out.splitlines()]
    assert have == [line.rstrip() for line in session.splitlines()]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


SPREAD, SHORT = 2, 20_000
"""Recordings of each flavour that are replayed with system calls, and how many bytes they have."""


@pytest.mark.parametrize("series", ["6.16", "7.3"])
def test_recordings_with_system_calls(world: World, series: str, tmp_path: Path) -> None:
    """A spread of the recordings through FUSE: open, write, read and close as a program does."""
    shutil.copy(Path(traces.__file__), tmp_path / "traces.py")
    total = traces.Agreement()
    by_flavour: dict[str, list[tuple[str, bytes]]] = {}
    for name, text in traces.packed(ROOT / "tests" / "data"):
        kind, flavour, scenario = name.split("-", 2)
        # Modules are not loaded from outside, and a crash is not replayed.
        inside = scenario.startswith(("module", "crypto", "pci-"))
        if kind == series and not inside and len(text) < SHORT:
            by_flavour.setdefault(flavour, []).append((name, text))
    for flavour, files in by_flavour.items():
        step = max(1, len(files) // SPREAD)
        for name, text in files[::step][:SPREAD]:
            (tmp_path / f"{name}.jsonl").write_bytes(text)
            result = world.run(
                f"python3 traces.py {name}.jsonl", machine=f"trace-{series}-{flavour}"
            )
            assert result.out, f"{name}: {result.err}"
            total.add(traces.Agreement(**json.loads(result.out)))
    assert total.differences == []
    assert total.compared > 300
    assert len(by_flavour) >= 10


def running(command_line: str) -> bool:
    """Whether a process has these words in its command line."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if command_line.encode() in path.read_bytes():
                return True
        except OSError:
            continue
    return False


def test_nothing_is_left_when_the_parent_is_killed(world: World, tmp_path: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    started = tmp_path / "started"
    process = subprocess.Popen(
        [str(IAACTL), "sim", "run", "--", "sh", "-c", f"touch {started}; exec sleep 7654"]
    )
    for _ in range(300):
        if started.exists():
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    for _ in range(100):
        if not running("sleep\0" + "7654"):
            break
        time.sleep(0.05)
    assert not running("sleep\0" + "7654")
    assert Path("/proc/self/mountinfo").read_text() == before
    assert not Path("/dev/iax").exists()
