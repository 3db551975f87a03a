"""plan, apply, verify, reset, restore through the real libaccel-config, with faults in between."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sim.conftest import World

STATE = """
import json, os
bus = "/sys/bus/dsa/devices"
found = {}
for name in sorted(os.listdir(bus)):
    if not name.startswith(("iax", "wq", "engine", "group")) or "!" in name: continue
    for attribute in sorted(os.listdir(f"{bus}/{name}")):
        path = f"{bus}/{name}/{attribute}"
        if attribute in ("uevent", "cmd_status") or not os.path.isfile(path): continue
        try: found[f"{name}/{attribute}"] = open(path).read()
        except OSError as error: found[f"{name}/{attribute}"] = error.errno
print(json.dumps(found))
"""


@pytest.fixture
def state_script(tmp_path: Path) -> str:
    """Command that prints every attribute of every IAA and DSA object as JSON."""
    path = tmp_path / "state.py"
    path.write_text(STATE)
    return f"python3 {path}"


def test_a_fault_while_the_library_starts(world: World, state_script: str) -> None:
    result = world.run(
        f"{state_script} > before; iaactl apply qemu-migration --yes --json > /dev/null;"
        f"code=$?; {state_script} > after; cmp before after && exit $code",
        faults=["write:cmd_status:errno=EIO"],
    )
    assert result.code in (1, 4), result.out + result.err
    error = json.loads(result.err.splitlines()[-1])["data"]
    assert "libaccel-config" in error["message"]


def test_the_main_job_and_nothing_to_do_the_second_time(world: World) -> None:
    result = world.run(
        "iaactl apply qemu-migration --yes >/dev/null && iaactl verify qemu-migration"
        " && accel-config list > list.json && touch /dev/null && cp list.json first.json"
    )
    assert result.code == 0, result.err
    assert "iax1, iax3, iax5, iax7, iax9, iax11, iax13, iax15: as profile" in result.out
    listed = json.loads((world._folder / "list.json").read_text())
    iaa = [device for device in listed if device["dev"].startswith("iax")]
    assert len(iaa) == 8
    for device in iaa:
        assert device["state"] == "enabled"
        group = device["groups"][0]
        assert len(group["grouped_engines"]) == 8
        (wq,) = group["grouped_workqueues"]
        assert (wq["mode"], wq["size"], wq["threshold"]) == ("shared", 128, 128)
        assert (wq["type"], wq["name"], wq["state"]) == ("user", "qemu", "enabled")


def test_a_second_apply_writes_nothing_at_all(world: World, tmp_path: Path) -> None:
    counted = world.run(
        "iaactl apply qemu-migration --yes >/dev/null 2>&1; cp log.jsonl first.jsonl;"
        "iaactl apply qemu-migration --yes"
    )
    assert counted.code == 0, counted.err
    assert "nothing to do" in counted.out
    first = (tmp_path / "first.jsonl").read_text().splitlines()
    assert len(first) == len(counted.log) > 100


def test_a_saved_plan_is_applied_and_a_stale_one_refused(world: World) -> None:
    result = world.run(
        "iaactl plan single-device -o plan.json >/dev/null"
        " && iaactl apply plan.json >/dev/null 2>&1"
        " && iaactl verify single-device; echo first $?;"
        "iaactl apply plan.json; echo second $?"
    )
    assert "first 0" in result.out, result.err
    assert "second 1" in result.out
    assert "changed since this plan was made" in result.err


@pytest.mark.parametrize("nth", [17, 18, 34, 35, 60, 91, 120, 144, 160])
def test_a_fault_leaves_everything_as_it_was(world: World, state_script: str, nth: int) -> None:
    result = world.run(
        f"{state_script} > before; iaactl apply qemu-migration --yes --json > out.json;"
        f"code=$?; {state_script} > after; cmp before after && exit $code",
        faults=[f"write:*:nth={nth}:errno=EIO"],
    )
    # The first 16 writes are the library's own: it clears cmd_status of every device it lists.
    assert result.code == 1, result.out + result.err
    error = json.loads(result.err.splitlines()[-1])["data"]
    assert "EIO" in error["message"]
    assert error["facts"]["errno"] == 5
    assert error["facts"]["object"].startswith("iax")


@pytest.mark.parametrize("nth", [20, 36, 77, 130])
def test_a_device_command_that_fails_is_named_and_undone(
    world: World, state_script: str, nth: int
) -> None:
    device = {20: "iax1", 36: "iax3", 77: "iax9", 130: "iax15"}[nth]
    result = world.run(
        f"{state_script} > before; iaactl apply qemu-migration --yes > /dev/null; code=$?;"
        f"{state_script} > after; cmp before after && exit $code",
        faults=[f"command:{device}:ENABLE_DEV:nth=1:error=0x14"],
    )
    assert result.code == 1, result.err
    assert f"enable {device} failed" in result.err
    assert "0x14" in result.err
    assert "sum to more" in result.err


def test_when_putting_back_fails_too_the_restore_point_is_named(world: World) -> None:
    result = world.run(
        "iaactl apply qemu-migration --yes >/dev/null; echo code $?; ls /run/iaactl/restore",
        faults=["write:engine*/group_id:nth=30:from:errno=EIO"],
    )
    assert "code 5" in result.out
    assert "could not be put back" in result.err
    point = result.out.split()[-1].removesuffix(".open.json")
    assert f"iaactl restore {point}" in result.err


@pytest.mark.parametrize("nth", [18, 40, 75, 111, 152])
@pytest.mark.parametrize("how", ["kill", "kill-after"])
def test_restore_after_a_kill(world: World, state_script: str, nth: int, how: str) -> None:
    result = world.run(
        f"{state_script} > before; iaactl apply qemu-migration --yes >/dev/null 2>&1;"
        f" echo killed $?; iaactl restore --yes >/dev/null && {state_script} > after"
        " && cmp before after",
        faults=[f"write:*:nth={nth}:{how}"],
    )
    assert result.code == 0, result.out + result.err
    assert "killed 137" in result.out


def test_hot_removal_in_the_middle(world: World) -> None:
    result = world.run(
        "iaactl apply qemu-migration --yes >/dev/null; echo code $?; iaactl list",
        faults=["remove:iax5:after-writes=90"],
    )
    assert "code 5" in result.out
    assert "iax5" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("machine", "cause"),
    [
        ("no-sva", "no user PASID"),
        ("no-enqcmd", "no ENQCMD"),
        ("guest", "not configurable"),
    ],
)
def test_what_cannot_work_fails_before_the_first_write(
    world: World, machine: str, cause: str
) -> None:
    result = world.run("iaactl apply qemu-migration --yes", machine=machine)
    assert result.code == 4
    assert cause in result.err
    assert result.writes == []


def test_queues_of_iaa_crypto_are_taken_only_when_named(world: World) -> None:
    result = world.run(
        "iaactl plan qemu-migration; iaactl apply qemu-migration --yes; echo refused $?",
        machine="spr-2s-iaa-crypto",
    )
    assert "belongs to iaa_crypto" in result.out
    assert "needs --take-over iaa_crypto" in result.out
    assert "refused 1" in result.out
    assert "--take-over iaa_crypto" in result.err
    assert result.writes == []
    result = world.run(
        "iaactl apply qemu-migration --yes --take-over iaa_crypto >/dev/null && iaactl list --wqs",
        machine="spr-2s-iaa-crypto",
    )
    assert result.code == 0, result.err
    assert result.out.count("root: yes") == 8


def test_a_queue_with_clients_is_disabled_only_when_named(world: World) -> None:
    result = world.run(
        "iaactl apply single-device --yes >/dev/null 2>&1; exec 3<>/dev/iax/wq1.0; iaactl list;"
        "iaactl reset iax1 --yes; echo refused $?;"
        "iaactl reset iax1 --yes --force wq1.0 >/dev/null; echo forced $?"
    )
    assert "1 (pid " in result.out
    assert "refused 1" in result.out
    assert "--force wq1.0" in result.err
    assert "forced 0" in result.out


def test_split_between_zswap_and_migration(world: World) -> None:
    # The crypto driver is registered; its queues are released first, then shared out anew.
    result = world.run(
        "iaactl apply split --yes --take-over iaa_crypto >/dev/null && iaactl list --json",
        machine="spr-2s-iaa-crypto",
    )
    assert result.code == 0, result.err
    devices = json.loads(result.out)["data"]["devices"]
    drivers = [device["work_queues"][0]["driver"] for device in devices]
    assert drivers == ["crypto", "user", "user", "user", "crypto", "user", "user", "user"]
    assert all(e["group_id"] == 0 for device in devices for e in device["engines"])


def test_access_is_granted_by_rule_and_goes_with_the_queue(world: World, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "version: 1\ndevices:\n  - match: {count: 1}\n    groups:\n      - engines: all\n"
        "        wqs:\n          - {name: q, size: 128, access: {group: daemon, mode: '0660'}}\n"
    )
    result = world.run(
        "iaactl apply p.yaml --yes >/dev/null && stat -c '%A %U %G' /dev/iax/wq1.0"
        " && iaactl list --wqs --user daemon && cat /run/udev/rules.d/70-iaactl.rules"
        " && iaactl apply p.yaml --yes && iaactl restore --yes >/dev/null"
        " && ls /run/udev/rules.d"
    )
    if os.geteuid() and result.code:
        pytest.skip("rootless there is one user and one group only")
    assert result.code == 0, result.err
    assert "root daemon" in result.out
    assert "rw-rw----" in result.out
    assert "daemon: yes" in result.out
    assert 'KERNEL=="iax/wq1.0"' in result.out
    assert "nothing to do" in result.out
    assert not result.out.rstrip().endswith("70-iaactl.rules")
    assert "INTEL-SA-01084" in world.run("iaactl plan p.yaml").out


def test_two_runs_at_once(world: World) -> None:
    result = world.run(
        "mkdir -p /run/iaactl; exec 9>/run/iaactl/lock; flock 9; echo 1 >&9;"
        "iaactl apply single-device --yes >/dev/null; echo code $?"
    )
    assert "code 1" in result.out
    assert "another iaactl" in result.err


def test_an_ordinary_user_is_told_to_use_root(world: World) -> None:
    result = world.run(
        "setpriv --reuid=65534 --regid=65534 --clear-groups iaactl apply single-device --yes;"
        " echo code $?"
    )
    if "setpriv: setresuid failed" in result.err:
        pytest.skip("this namespace has one user only")
    assert "code 4" in result.out
    assert "sudo" in result.err
    assert result.writes == []


def test_interrupted_by_a_signal_everything_is_put_back(world: World, state_script: str) -> None:
    result = world.run(
        f"{state_script} > before;"
        "iaactl apply qemu-migration --yes >/dev/null & pid=$!;"
        "while [ ! -e /run/iaactl/restore ]; do sleep 0.01; done; sleep 0.1; kill -TERM $pid;"
        f"wait $pid; echo code $?; {state_script} > after; cmp before after"
    )
    assert result.code == 0, result.out + result.err
    assert "code 130" in result.out
