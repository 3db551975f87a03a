"""Ordered faults and the log, with the system calls of ordinary programs."""

from __future__ import annotations

import subprocess

import pytest

from sim.conftest import IAACTL, World
from sim.test_world import USER_WQ, python


def test_the_nth_write_fails_without_effect(world: World) -> None:
    result = world.run(
        "cd /sys/bus/dsa/devices; for n in 1 2 3; do printf $n > wq1.0/priority; echo $?; done\n"
        "cat wq1.0/priority; printf 9 > wq1.1/priority; cat wq1.1/priority",
        faults=["write:wq1.0/priority:nth=3:errno=EIO"],
    )
    assert result.out.split() == ["0", "0", "1", "2", "9"], result.err
    assert "I/O error" in result.err
    assert [(entry["value"], entry["errno"]) for entry in result.writes] == [
        ("1", None), ("2", None), ("3", "EIO"), ("9", None)
    ]  # fmt: skip


def test_binding_and_opening_can_be_refused(world: World) -> None:
    program = python(
        world,
        """
import errno, os
for path, flags in (("/dev/iax/wq1.0", os.O_RDWR), ("/sys/bus/dsa/devices/wq1.1/size", os.O_RDONLY),
                    ("/dev/iax/wq1.0", os.O_RDWR)):
    try: print(os.open(path, flags) > 0)
    except OSError as error: print(errno.errorcode[error.errno])
fd = os.open("/dev/iax/wq1.0", os.O_RDWR)
try: os.write(fd, bytes(64))
except OSError as error: print(errno.errorcode[error.errno])
""",
    )
    result = world.run(
        f"{USER_WQ}cat wq1.0/state; echo wq1.0 > ../drivers/user/bind; cat wq1.0/state; {program}",
        faults=[
            "write:drivers/user/bind:nth=1:errno=ENODEV",
            "open:wq1.0:nth=1:errno=EBUSY",
            "open:wq1.1/size:errno=ENFILE",
            "submit:wq1.0:errno=EAGAIN",
        ],
    )
    assert result.out.split() == [
        "disabled", "enabled", "EBUSY", "ENFILE", "True", "EAGAIN"
    ], result.err  # fmt: skip
    log = [(entry["op"], entry["errno"]) for entry in result.log if "/dev/iax" in entry["path"]]
    assert log[:4] == [("open", "EBUSY"), ("open", None), ("open", None), ("submit", "EAGAIN")]
    assert [e["op"] for e in result.writes if e["path"].endswith("bind")] == ["bind"] * 3


@pytest.mark.parametrize(("how", "value"), [("kill", "0"), ("kill-after", "7")])
def test_the_writer_is_killed_before_or_after(world: World, how: str, value: str) -> None:
    result = world.run(
        "sh -c 'echo 7 > /sys/bus/dsa/devices/wq1.0/priority; echo never'; echo $?\n"
        "cat /sys/bus/dsa/devices/wq1.0/priority",
        faults=[f"write:priority:{how}"],
    )
    assert result.out.split() == ["137", value], result.err
    assert result.code == 0


def test_the_device_refuses_a_command(world: World) -> None:
    result = world.run(
        f"{USER_WQ}cat iax1/state iax1/cmd_status; echo iax1 > ../drivers/idxd/bind\n"
        "echo wq1.0 > ../drivers/user/bind; cat iax1/state iax1/cmd_status wq1.0/state",
        faults=[
            "command:iax1:ENABLE_DEV:nth=1:error=0x14",
            "command:iax1:ENABLE_WQ:error=0x23",
        ],
    )
    assert result.out.split() == ["disabled", "0x14", "enabled", "0x23", "disabled"], result.err
    assert "No such device or address" in result.err or "I/O error" in result.err
    assert [entry["errno"] for entry in result.writes if entry["op"] == "bind"] == [
        "ENXIO", "ENXIO", None, "ENXIO"
    ]  # fmt: skip


def test_hot_removal_after_writes(world: World) -> None:
    result = world.run(
        "udevadm monitor --udev > seen & sleep 0.5\n"
        "for n in 1 2 3; do ls -d /sys/bus/dsa/devices/iax5; echo $n > "
        "/sys/bus/dsa/devices/wq1.0/priority; done\n"
        "udevadm settle; sleep 0.3; kill $!; ls /sys/bus/pci/devices | grep -c 0000:74:02.0\n"
        "lspci -d 8086:0cfe | wc -l",
        faults=["remove:iax5:after-writes=2"],
    )
    assert result.out.count("/sys/bus/dsa/devices/iax5") == 2
    assert result.out.split()[-2:] == ["0", "7"], result.err
    seen = (world._folder / "seen").read_text()
    assert "/0000:74:02.0/iax5 (dsa)" in seen
    assert seen.count("remove ") > 20
    assert [entry["op"] for entry in result.log].count("remove") == 1


def test_a_wrong_fault_is_a_usage_error() -> None:
    done = subprocess.run(
        [str(IAACTL), "sim", "run", "--fault", "write:size:errno=EWRONG", "--", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "'EWRONG' is not the name of an errno" in done.stderr


def test_the_log_says_who_did_what_to_which_file(world: World) -> None:
    result = world.run(
        "sh -c 'echo $$ > pid; echo 4 > /sys/bus/dsa/devices/wq1.0/priority'\n"
        "cat /sys/bus/dsa/devices/iax1/state > /dev/null\n"
        "(echo x > /sys/bus/dsa/devices/iax1/state) 2>/dev/null\n"
        "printf 'wq1.0\\000\\377' > /sys/bus/dsa/drivers/user/bind"
    )
    iax = "/sys/devices/pci0000:6a/0000:6a:02.0/iax1"
    pid = int((world._folder / "pid").read_text())
    assert result.log[0] == {
        "seq": 1, "op": "write", "pid": pid, "path": f"{iax}/wq1.0/priority", "value": "4\n",
        "errno": None,
    }  # fmt: skip
    assert [(entry["op"], entry["path"], entry["errno"]) for entry in result.log[1:]] == [
        ("open", f"{iax}/state", "EACCES"),
        ("bind", "/sys/bus/dsa/drivers/user/bind", "ENXIO"),
    ]
    assert result.log[2]["value"] == "wq1.0\x00\\xff"


def test_a_log_that_cannot_be_written(world: World) -> None:
    done = subprocess.run(
        [str(IAACTL), "sim", "run", "--log", "/nonexistent/log", "--", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4
    assert "/nonexistent/log cannot be written: No such file or directory" in done.stderr
