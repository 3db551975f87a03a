"""selftest in the simulated machine: every queue, every way a queue can fail, no hang, no leak."""

from __future__ import annotations

import json
import time

import jsonschema
import pytest

from iaactl.cli.schema import document_schema
from sim.conftest import Result, World

SINGLE = "iaactl apply single-device --yes >/dev/null 2>&1; "
NO_BLOCK = """
version: 1
devices:
  - match: {count: 1}
    groups:
      - engines: all
        wqs: [{name: q, size: 64, block_on_fault: false}, {name: d, mode: dedicated, size: 8}]
"""


def test_all_operations_on_all_eight_queues(world: World) -> None:
    result = world.run(
        "iaactl apply qemu-migration --yes >/dev/null 2>&1; iaactl selftest --op all --json"
    )
    assert result.code == 0, result.err
    document = json.loads(result.out)
    jsonschema.validate(document, document_schema("selftest"))
    queues = document["data"]["queues"]
    assert [queue["wq"] for queue in queues] == [f"iax{n}/wq{n}.0" for n in range(1, 16, 2)]
    for queue in queues:
        assert queue["failures"] == []
        assert len(queue["passed"]) >= 17
        assert queue["skipped"] == ["zero-compress-8"]  # not in op_cap of IAA 1.0
        assert queue["way"] == "write"
    submitted = [entry for entry in result.log if entry["op"] == "submit"]
    assert len(submitted) > 8 * 100


def test_it_configures_nothing(world: World) -> None:
    result = world.run(SINGLE + "cp log.jsonl before.jsonl; iaactl selftest >/dev/null")
    lines = len((world._folder / "before.jsonl").read_text().splitlines())
    kinds = {entry["op"] for entry in result.log[lines:]}
    assert {"open", "submit"} <= kinds <= {"open", "submit", "close"}


def run(world: World, fault: str, options: str = "--timeout 1") -> Result:
    return world.run(
        SINGLE + f"iaactl selftest --op noop --op crc64 --op compress {options}", faults=[fault]
    )


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("descriptor:wq1.0:0x43:hang", ["no completion within the deadline", "hangs"]),
        ("descriptor:wq1.0:0x44:status=0x21", ["status 0x21"]),
        ("descriptor:wq1.0:0x43:status=0x10", ["status 0x10"]),
        ("submit:wq1.0:errno=EAGAIN", ["stayed full", "clients"]),
        ("submit:wq1.0:errno=ENODEV", ["disabled meanwhile"]),
        ("submit:wq1.0:errno=EPERM", ["may not submit"]),
        ("open:/dev/iax/wq1.0:errno=EACCES", ["EACCES", "belongs to another user"]),
        ("open:/dev/iax/wq1.0:errno=EBUSY", ["EBUSY", "one client at a time"]),
        ("open:/dev/iax/wq1.0:errno=ENOSPC", ["ENOSPC", "legacy mode"]),
        ("open:/dev/iax/wq1.0:errno=EOPNOTSUPP", ["EOPNOTSUPP", "SVA disabled"]),
    ],
)
def test_each_failure_has_its_cause_and_exit_code(
    world: World, fault: str, words: list[str]
) -> None:
    began = time.monotonic()
    result = run(world, fault)
    assert result.code == 6, result.out + result.err
    assert time.monotonic() - began < 30
    text = " ".join(result.out.split())
    for word in words:
        assert word in text
    assert "Traceback" not in result.err


def test_a_full_queue_for_a_moment_is_retried_and_counted(world: World) -> None:
    result = run(world, "submit:wq1.0:nth=3:errno=EAGAIN", "--json")
    assert result.code == 0
    assert json.loads(result.out)["data"]["queues"][0]["retries"] == 1


def test_page_faults_are_resolved_and_counted(world: World) -> None:
    (world._folder / "p.yaml").write_text(NO_BLOCK)
    script = "iaactl apply p.yaml --yes >/dev/null 2>&1; iaactl selftest wq1.0 --op compress --json"
    for operand in ("source1", "destination", "source2"):
        result = world.run(script, faults=[f"descriptor:wq1.0:0x43:nth=1:fault={operand}"])
        assert result.code == 0, result.out + result.err
        assert json.loads(result.out)["data"]["queues"][0]["faults_resolved"] == 1
    result = world.run(script, faults=["descriptor:wq1.0:0x43:fault=source1"])
    assert result.code == 6
    failure = json.loads(result.out)["data"]["queues"][0]["failures"][0]
    assert "block_on_fault" in failure["hint"]
    assert failure["status"] == 3


def test_dedicated_queues(world: World) -> None:
    (world._folder / "p.yaml").write_text(NO_BLOCK)
    result = world.run(
        "iaactl apply p.yaml --yes >/dev/null 2>&1; iaactl selftest --op noop --op crc64;"
        "echo both $?; exec 3<>/dev/iax/wq1.1; iaactl selftest --op noop; echo open $?;"
        "iaactl selftest wq1.1 --op noop; echo named $?"
    )
    assert "both 0" in result.out
    assert "not tested: iax1/wq1.1: dedicated, and a client has it open" in result.out
    assert "open 0" in result.out
    assert "EBUSY" in result.out
    assert "named 6" in result.out


@pytest.mark.parametrize(
    ("machine", "words"), [("no-iommu", "ENODEV"), ("trace-7.3-legacy", "ENOSPC")]
)
def test_queues_that_are_enabled_and_cannot_be_opened(
    world: World, machine: str, words: str
) -> None:
    """Since Linux 6.16 neither pasid_enabled nor an enable proves that a queue can be used."""
    result = world.run(
        "iaactl apply single-device --yes --take-over iaa_crypto >/dev/null 2>&1; echo $?;"
        "iaactl selftest --op noop",
        machine=machine,
    )
    assert result.out.startswith("0\n"), result.err
    assert result.code == 6
    assert words in result.out


def test_who_may_not_is_named_with_the_reason(world: World) -> None:
    result = world.run(
        SINGLE + "iaactl selftest --user nobody; echo code $?; iaactl selftest wq1.1; echo off $?;"
        "iaactl selftest wq9.9; echo none $?; iaactl selftest --size 4GiB; echo size $?;"
        "iaactl reset --all -y >/dev/null 2>&1; iaactl selftest; echo nothing $?"
    )
    assert "code 4" in result.out
    # Rootless there is one user only, and that is what is said.
    assert ("root:root 0600, not for nobody" in result.err) or ("become nobody" in result.err)
    assert "off 4" in result.out
    assert "none 4" in result.out
    assert "size 2" in result.out
    assert "nothing 4" in result.out
    assert "Traceback" not in result.err


def test_as_the_user_who_will_use_it(world: World) -> None:
    (world._folder / "p.yaml").write_text(
        NO_BLOCK.replace("false}", "false, access: {group: nogroup}}", 1)
    )
    result = world.run(
        "iaactl apply p.yaml --yes >/dev/null 2>&1; iaactl selftest --user nobody --op noop"
    )
    if "cannot become nobody" in result.err:
        pytest.skip("this namespace has one user only")
    assert result.code == 0, result.out + result.err
    assert "iax1/wq1.0  ok" in result.out
    assert "iax1/wq1.1" in result.out


def test_verbose_tells_each_step(world: World) -> None:
    result = world.run(SINGLE + "iaactl selftest --op noop --op pages --verbose")
    assert "[ info] iax1/wq1.0: alloc wq 0 shared size 128" in result.err
    assert "preparing descriptor for noop" in result.err


def test_nothing_is_leaked(world: World) -> None:
    result = world.run(
        SINGLE + "iaactl selftest >/dev/null; cat /sys/bus/dsa/devices/wq1.0/clients;"
        "ls /sys/bus/dsa/devices/wq1.0/iax!wq1.0"
    )
    assert result.out.startswith("0\n")
    assert "file" not in result.out
