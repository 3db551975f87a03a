"""The installed program on the native engine: inside a host, between two, interrupted, codecs."""

from __future__ import annotations

import contextlib
import json
import lzma
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from iaactl.cli.schema import document_schema

IAACTL = str(Path(sys.executable).parent / "iaactl")
PAGES = Path(__file__).parents[1] / "data" / "guest-pages-16m.bin.xz"


def bench(*options: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [IAACTL, "-q", "migrate-bench", *options],
        capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip


def document(text: str, name: str) -> Any:
    found = json.loads(text)
    jsonschema.validate(found, document_schema(name))
    return found["data"]


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_every_method_over_both_transports_with_a_guest_that_writes(transport: str) -> None:
    done = bench("--memory", str(PAGES), "--channels", "4", "--dirty-rate", "8MiB/s", "--repeat",
                 "2", "--transport", transport, "--downtime-limit", "50", "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = document(done.stdout, "bench")
    labels = [result["variant"]["method"] for result in data["results"]]
    assert set(labels) >= {"none", "zlib", "qpl"}
    assert data["no_speed"] is None
    for run in data["runs"]:
        assert run["verified"], run
        assert run["failed"] is None
        assert len(run["sender"]["threads"]) == len(run["receiver"]["threads"]) == 4
        assert run["total_ms"] > run["downtime_ms"] > 0
        assert run["rounds"][0]["pages"] == 4096
        assert run["pages"] == sum(r["pages"] for r in run["rounds"])
        assert run["sender"]["cpu_s"] > 0
        assert run["receiver"]["normal_pages"] == run["sender"]["normal_pages"]
        side = run["sender"]
        paths = ("raw_pages", "iaa_pages", "libqpl_pages", "software_pages")
        if run["variant"]["method"] == "qpl":
            assert sum(side[path] for path in paths) == side["normal_pages"]
    ratios = {r["variant"]["method"]: r["ratio"]["median"] for r in data["results"]}
    assert ratios["none"] == 1.0
    assert ratios["qpl"] > 1.5


def test_zero_pages_are_found_or_sent_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "memory"
    path.write_bytes(bytes(1 << 20) + b"x" * (1 << 20))
    for detection, zero in (("multifd", 256), ("none", 0)):
        done = bench("--memory", str(path), "--method", "qpl", "--backend", "software",
                     "--zero-page-detection", detection, "--repeat", "1", "--json")  # fmt: skip
        assert done.returncode == 0, done.stderr
        (run,) = document(done.stdout, "bench")["runs"]
        assert run["sender"]["zero_pages"] == zero
        assert run["verified"]


def test_a_bandwidth_limit_decides_how_long_it_takes() -> None:
    done = bench("--memory", str(PAGES), "--method", "none", "--repeat", "1", "--json",
                 "--max-bandwidth", "16MiB/s")  # fmt: skip
    (run,) = document(done.stdout, "bench")["runs"]
    assert run["verified"]
    assert run["total_ms"] > 800  # 16 MiB at 16 MiB/s; the last window is not waited for


def test_text_and_html_of_a_real_run(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = bench("--size", "8MiB", "--compare-prealloc", "--repeat", "1", "--html", str(page))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "without preallocated memory on the destination it takes" in done.stdout
    assert "not measured: qpl/iaa" in done.stdout
    assert "Time by speed of the link" in page.read_text()


def test_progress_is_for_terminals_only_and_leaves_no_trace_on_stdout() -> None:
    """stderr is a terminal, stdout is not."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [IAACTL, "migrate-bench", "--size", "16MiB", "--method", "zlib", "--repeat", "1", "--json"],
        stdout=subprocess.PIPE, stderr=theirs, text=True,
    ) as here:  # fmt: skip
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # EIO when the other side is closed
            while chunk := os.read(ours, 65536):
                seen += chunk
        assert here.stdout is not None
        document(here.stdout.read(), "bench")
    os.close(ours)
    assert here.returncode == 0
    assert b"1/1 zlib" in seen
    logged = subprocess.run(
        [IAACTL, "-v", "migrate-bench", "--size", "1MiB", "--method", "none", "--repeat", "2"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.search(r"^2/2 none: 2 rounds in \d+\.\d\d s$", logged.stderr, re.MULTILINE)
    assert b"round 1" in seen


def test_auto_says_what_it_took_and_why() -> None:
    done = bench(
        "--size", "1MiB", "--method", "qpl", "--backend", "auto", "--repeat", "1", "--json"
    )
    (run,) = document(done.stdout, "bench")["runs"]
    for side in ("sender", "receiver"):
        choice = run[side]["choice"]
        assert choice["backend"] in ("iaa", "libqpl", "software")
        assert choice["codec"]
        assert choice["reason"]


def started(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [IAACTL, "migrate-bench", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def listening(*options: str) -> tuple[subprocess.Popen[str], int]:
    there = started("--listen", "127.0.0.1:0", *options)
    assert there.stderr is not None
    line = there.stderr.readline()
    match = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", line)
    assert match, line
    return there, int(match[1])


def test_two_processes_as_two_hosts() -> None:
    there, port = listening()
    done = bench("--memory", str(PAGES), "--connect", f"127.0.0.1:{port}", "--channels", "3",
                 "--dirty-rate", "8MiB", "--repeat", "1", "--json")  # fmt: skip
    _, said = there.communicate(timeout=60)
    assert done.returncode == 0, done.stderr
    assert there.returncode == 0, said
    data = document(done.stdout, "bench")
    assert data["scenario"]["transport"] == "two-hosts"
    assert len(data["runs"]) >= 3
    for run in data["runs"]:
        assert run["verified"]
        assert run["receiver"]["normal_pages"] == run["sender"]["normal_pages"]
        assert run["receiver"]["cpu_s"] > 0
    assert f"{len(data['runs'])} migrations received" in said


def test_a_sending_host_that_is_killed_ends_the_listening_one() -> None:
    there, port = listening("--timeout", "5")
    here = started("--size", "64MiB", "--method", "zlib", "--connect", f"127.0.0.1:{port}")
    assert there.stderr is not None
    assert "connected" in there.stderr.readline()
    time.sleep(0.3)
    here.kill()
    here.communicate()
    _, said = there.communicate(timeout=60)
    assert there.returncode == 1, said
    assert "error:" in said
    assert "Traceback" not in said


def test_a_listening_host_that_is_killed_ends_the_sending_one_with_what_was_measured() -> None:
    there, port = listening()
    here = started("--size", "32MiB", "--method", "zlib", "--connect", f"127.0.0.1:{port}",
                   "--repeat", "200", "--timeout", "5", "--json")  # fmt: skip
    assert there.stderr is not None
    assert "connected" in there.stderr.readline()
    time.sleep(2)
    there.kill()
    there.communicate()
    out, said = here.communicate(timeout=60)
    assert here.returncode == 1, said
    data = document(out, "bench")
    assert data["runs"][-1]["failed"]
    assert "Traceback" not in said


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("form", ["--json", "--prealloc"])
def test_an_interruption_prints_what_was_measured_and_leaves_nothing(
    number: signal.Signals, form: str
) -> None:
    here = started("--memory", str(PAGES), "--method", "zlib", "--max-bandwidth", "4MiB/s",
                   "--dirty-rate", "1MiB", "--repeat", "9", form)  # fmt: skip
    deadline = time.monotonic() + 30
    while _threads(here.pid) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    here.send_signal(number)
    out, said = here.communicate(timeout=10)
    assert here.returncode == 130, said
    assert "Traceback" not in said
    if form == "--json":
        data = document(out, "bench")
        assert data["interrupted"]
        assert data["runs"][-1]["failed"] == "interrupted"
        assert data["runs"][-1]["wire_bytes"] > 0
    else:
        assert "interrupted: what was measured until then" in out


def test_an_interrupted_listener_ends() -> None:
    there, _ = listening()
    there.send_signal(signal.SIGINT)
    _, said = there.communicate(timeout=10)
    assert there.returncode == 130, said
    assert "Traceback" not in said


def test_codecs_of_this_machine_over_the_guest_sample() -> None:
    done = bench("codecs", "--memory", str(PAGES), "--rounds", "1", "--json")
    assert done.returncode == 0, done.stderr
    data = document(done.stdout, "codecs")
    rows = {row["name"]: row for row in data["compressors"]}
    assert {"zlib", "zlib-stream"} <= set(rows)
    assert data["sample_pages"] == 4096
    assert rows[data["reference"]]["relative"] == 1
    for row in data["decompressors"]:
        assert row["bytes_per_s"]["median"] > 0
    assert {row["zero_pages"] for row in data["zero_scan"]} == {0}


def test_the_sample_is_the_one_that_figures_are_quoted_for() -> None:
    assert len(lzma.decompress(PAGES.read_bytes())) == 16 << 20
