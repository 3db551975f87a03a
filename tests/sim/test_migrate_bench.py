"""migrate-bench through simulated queues: every page by descriptor, verified, and no speed told."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from iaactl.cli.schema import document_schema
from sim.conftest import Result, World

APPLY = "iaactl apply single-device --yes >/dev/null 2>&1; "
NO_BLOCK = """
version: 1
devices:
  - match: {count: 1}
    groups:
      - engines: all
        wqs: [{name: q, size: 64, block_on_fault: false}]
"""
IAA = "iaactl -q migrate-bench --method qpl --backend iaa --repeat 1"
TIMES = re.compile(r"\b\d[\d.,]*\s?(ms|s|us|GB/s|MB/s|Gbit/s|pages/s)\b")


def run_of(result: Result) -> Any:
    assert result.code == 0, result.out + result.err
    document = json.loads(result.out)
    jsonschema.validate(document, document_schema("bench"))
    (run,) = document["data"]["runs"]
    assert run["verified"]
    return run


def submitted(result: Result) -> int:
    return sum(entry["op"] == "submit" for entry in result.log)


def test_every_page_goes_through_the_queue_and_no_speed_is_told(world: World) -> None:
    result = world.run(APPLY + f"{IAA} --size 4MiB")
    assert result.code == 0, result.out + result.err
    assert "/dev/iax/wq1.0 is not a character device" in " ".join(result.out.split())
    assert "iax1/wq1.0 by write" in result.out
    found = [match[0] for match in TIMES.finditer(result.out)]
    assert set(found) <= {"300 ms"}  # the downtime limit that was asked for
    for header in ("TOTAL s", "DOWN ms", "GB/s", "PAGES/s", "CPU s"):
        assert header not in result.out
    # Pages that are not zero, once to compress, and those that shrank once to decompress.
    send = re.search(r"send +(\d+) +0 +0 +(\d+) +256 ", result.out)
    assert send, result.out
    shrunk, raw = int(send[1]), int(send[2])
    assert shrunk + raw == 768
    assert submitted(result) >= 768 + shrunk


def test_json_and_html_have_no_speed_either(world: World) -> None:
    result = world.run(APPLY + f"{IAA} --size 1MiB --json --html page.html")
    run = run_of(result)
    data = json.loads(result.out)["data"]
    assert "not a character device" in data["no_speed"]
    assert data["machine"]["queues"][0]["is_device"] is False
    for key in ("total_ms", "downtime_ms"):
        assert run[key] is None
    assert run["samples"] == []
    for key in ("cpu_s", "codec_s"):
        assert set(re.findall(rf'"{key}": ([^,\n}}]+)', result.out)) == {"null"}
    page = (world._folder / "page.html").read_text()
    body = page[page.index("<body>") :]
    assert "not a character device" in body
    assert "TOTAL s" not in body
    assert "GB/s" not in body


def test_software_beside_simulated_queues_has_no_speed_and_alone_it_has(world: World) -> None:
    both = world.run(
        APPLY + "iaactl -q migrate-bench --size 1MiB --repeat 1 --json; echo;"
        "iaactl -q migrate-bench --size 1MiB --repeat 1 --method none --json >alone.json"
    )
    data = json.loads(both.out)["data"]
    assert {r["total_ms"] for r in data["runs"]} == {None}
    assert len(data["runs"]) >= 4
    alone = json.loads((world._folder / "alone.json").read_text())["data"]
    assert alone["no_speed"] is None
    assert alone["runs"][0]["total_ms"] > 0


def test_a_guest_that_writes_meanwhile_is_still_equal(world: World) -> None:
    run = run_of(
        world.run(APPLY + f"{IAA} --size 1MiB --dirty-rate 2000pages/s --max-rounds 4 --json")
    )
    assert run["guest_pages_written"] > 0
    assert len(run["rounds"]) > 1
    assert run["pages"] > 256


def test_page_faults_are_resolved_and_counted(world: World) -> None:
    (world._folder / "p.yaml").write_text(NO_BLOCK)
    result = world.run(
        f"iaactl apply p.yaml --yes >/dev/null 2>&1; {IAA} --size 1MiB --json",
        faults=["descriptor:wq1.0:0x43:nth=5:fault=source1",
                "descriptor:wq1.0:0x42:nth=7:fault=destination"],
    )  # fmt: skip
    run = run_of(result)
    assert run["sender"]["faults"] == 1
    assert run["receiver"]["faults"] == 1


def test_a_queue_that_is_full_for_a_moment_is_retried_and_one_that_stays_full_falls_back(
    world: World,
) -> None:
    run = run_of(
        world.run(APPLY + f"{IAA} --size 1MiB --json", faults=["submit:wq1.0:nth=3:errno=EAGAIN"])
    )
    assert run["sender"]["busy_retries"] == 1
    assert run["sender"]["software_pages"] == 0
    result = world.run(APPLY + f"{IAA} --size 1MiB", faults=["submit:wq1.0:errno=EAGAIN"])
    assert result.code == 0, result.err
    assert re.search(r"send +0 +0 +\d+ ", result.out), result.out
    assert "warning: qpl/iaa: the sender did" in " ".join(result.out.split())


def test_a_job_that_fails_is_counted_and_the_page_still_arrives(world: World) -> None:
    run = run_of(
        world.run(
            APPLY + f"{IAA} --size 1MiB --json",
            faults=["descriptor:wq1.0:0x43:nth=4:status=0x21"],
        )
    )
    assert run["sender"]["job_failures"] == 1


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (IAA + " --size 1MiB", "iaa cannot be had: no IAA device is enabled"),
        (APPLY + IAA + " --size 1MiB --socket 1", "on socket 1"),
        (APPLY + IAA + " --size 1MiB --user nobody", "nobody"),
    ],
)
def test_without_a_queue_the_reason_is_told(world: World, script: str, words: str) -> None:
    result = world.run(script)
    assert result.code == 4, result.out + result.err
    assert words in result.err
    assert "hint:" in result.err
    assert "Traceback" not in result.err


def test_a_device_that_hangs_ends_within_the_time_limit(world: World) -> None:
    result = world.run(
        APPLY + f"{IAA} --size 256KiB --timeout 1",
        faults=["descriptor:wq1.0:0x43:hang"],
        timeout=60,
    )
    assert result.code == 1, result.out + result.err
    assert "failed: qpl/iaa" in result.out
    assert "wq1.0" in result.out


def test_codecs_include_the_device_without_speed(world: World) -> None:
    (world._folder / "memory").write_bytes(b"".join(b"%07d\n" % (n // 9) for n in range(8192)))
    result = world.run(APPLY + "iaactl -q migrate-bench codecs --memory memory --rounds 1 --json")
    assert result.code == 0, result.out + result.err
    document = json.loads(result.out)
    jsonschema.validate(document, document_schema("codecs"))
    rows = {row["name"]: row for row in document["data"]["compressors"]}
    assert rows["iaa"]["ratio"] > 1.5
    assert {row["bytes_per_s"] for row in rows.values()} == {None}


def test_a_peer_whose_queues_are_no_devices_gives_no_speed(world: World) -> None:
    result = world.run(
        APPLY + "iaactl migrate-bench --listen 127.0.0.1:0 2>there & "
        "until grep -q listening there; do sleep 0.1; done;"
        "port=$(sed 's/.*://;q' there);"
        "iaactl -q migrate-bench --method qpl --backend software --size 256KiB --repeat 1 --json "
        "--connect 127.0.0.1:$port; code=$?; wait; exit $code"
    )
    run = run_of(result)
    assert run["total_ms"] is None
    assert run["receiver"]["iaa_pages"] > 0
    assert run["sender"]["software_pages"] > 0
    no_speed = json.loads(result.out)["data"]["no_speed"]
    assert "127.0.0.1" in no_speed
