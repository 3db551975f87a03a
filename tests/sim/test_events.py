"""Device events and udev inside: monitors, the database, udevadm, and rules for device nodes."""

from __future__ import annotations

import json
import sys

import pytest

from sim.conftest import Result, World
from sim.test_world import USER_WQ

IAX = "/devices/pci0000:6a/0000:6a:02.0/iax1"
WQ = f"{IAX}/wq1.0"
CDEV = f"{WQ}/iax!wq1.0"
BOUND = [("bind", IAX), ("add", CDEV), ("bind", WQ)]
GONE = [("remove", CDEV), ("unbind", WQ), ("unbind", IAX)]
UNBIND = "echo wq1.0 > ../drivers/user/unbind\necho iax1 > ../drivers/idxd/unbind\n"

MONITOR = """
import json, subprocess, sys
import pyudev

context = pyudev.Context()
monitors = {}
for name, source, filters in (
    ("kernel", "kernel", {}),
    ("udev", "udev", {}),
    ("dsa", "udev", {"subsystem": "dsa"}),
    ("cdev", "udev", {"subsystem": "dsa", "device_type": "idxd_cdev"}),
    ("pci", "udev", {"subsystem": "pci"}),
):
    monitors[name] = pyudev.Monitor.from_netlink(context, source=source)
    if filters: monitors[name].filter_by(**filters)
for name in ("tagged", "other"):
    monitors[name] = pyudev.Monitor.from_netlink(context, source="udev")
    monitors[name].filter_by_tag(name)
for monitor in monitors.values(): monitor.start()
subprocess.run(["sh", "-e", sys.argv[1]], check=True)
subprocess.run(["udevadm", "settle", "--timeout=20"], check=True)
found = {}
for name, monitor in monitors.items():
    found[name], quiet = [], 0
    while quiet < 2:
        event = monitor.poll(0.1)
        quiet += event is None
        # The host's kernel sends what happens to its own devices to every network namespace.
        if event is not None and "/pci0000:" in event.device_path:
            found[name].append([event.action, event.device_path, dict(event.properties)])
print(json.dumps(found))
"""
TAG = 'SUBSYSTEM=="dsa", ENV{DEVTYPE}=="wq", TAG+="tagged", ENV{COLOUR}="blue"\n'


def monitored(world: World, script: str) -> dict[str, list[tuple[str, str, dict[str, str]]]]:
    """What monitors see while a script runs: action, path and properties of each event."""
    folder = world._folder
    (folder / "monitor.py").write_text(MONITOR)
    (folder / "script").write_text(script)
    (folder / "tag.rules").write_text(TAG)
    result = world.run(
        f"cp tag.rules /etc/udev/rules.d/10-tag.rules; {sys.executable} monitor.py script"
    )
    assert result.code == 0, result.err
    found = json.loads(result.out)
    return {name: [tuple(event) for event in events] for name, events in found.items()}


def test_monitors_see_every_event_once_and_in_order(world: World) -> None:
    found = monitored(world, f"{USER_WQ}{UNBIND}")
    seen = {name: [event[:2] for event in events] for name, events in found.items()}
    assert seen["kernel"] == BOUND + GONE
    assert seen["udev"] == BOUND + GONE
    assert seen["dsa"] == BOUND + GONE
    assert seen["cdev"] == [("add", CDEV), ("remove", CDEV)]
    assert seen["pci"] == []
    assert seen["tagged"] == [("bind", WQ), ("unbind", WQ)]
    assert seen["other"] == []
    numbers = [int(event[2]["SEQNUM"]) for event in found["kernel"]]
    assert numbers == sorted(set(numbers))
    assert numbers == [int(event[2]["SEQNUM"]) for event in found["udev"]]


def test_properties_of_events(world: World) -> None:
    found = monitored(world, USER_WQ)
    kernel, udev = found["kernel"], found["udev"]
    node = kernel[1][2]
    assert (node["DEVTYPE"], node["DEVNAME"]) == ("idxd_cdev", "/dev/iax/wq1.0")
    assert (node["SUBSYSTEM"], node["MODALIAS"]) == ("dsa", "idxd:t0")
    assert int(node["MAJOR"]) > 0
    assert "USEC_INITIALIZED" not in node
    assert kernel[2][2]["DRIVER"] == "user"
    assert int(udev[1][2]["USEC_INITIALIZED"]) > 0
    assert (udev[2][2]["COLOUR"], udev[2][2]["TAGS"]) == ("blue", ":tagged:")
    assert "COLOUR" not in kernel[2][2]


def test_removal_of_the_function_announces_everything_below(world: World) -> None:
    script = f"{USER_WQ}{UNBIND}echo 1 > /sys/bus/pci/devices/0000:6a:02.0/remove\n"
    seen = [event[:2] for event in monitored(world, script)["udev"]][6:]
    assert ("remove", IAX) in seen
    assert seen[-1] == ("remove", "/devices/pci0000:6a/0000:6a:02.0")
    assert ("remove", WQ) in seen
    assert ("remove", f"{IAX}/engine1.7") in seen


def test_enumeration_and_database(world: World) -> None:
    (world._folder / "enumerate.py").write_text(
        "import pyudev\n"
        "context = pyudev.Context()\n"
        "for kind in ('iax', 'wq', 'engine', 'group', 'idxd_cdev'):\n"
        "    found = list(context.list_devices(subsystem='dsa', DEVTYPE=kind))\n"
        "    print(kind, len(found), all(device.is_initialized for device in found))\n"
        "device = pyudev.Devices.from_name(context, 'dsa', 'iax1')\n"
        "print(device.driver, device.parent.subsystem, device.parent.driver,\n"
        "      device.attributes.asint('numa_node'), device.attributes.asstring('state'))\n"
        "print(pyudev.Devices.from_device_number(context, 'char', \n"
        "    pyudev.Devices.from_name(context, 'dsa', 'iax!wq1.0').device_number).device_node)\n"
        "functions = context.list_devices(subsystem='pci', DRIVER='idxd')\n"
        "print([d.sys_name for d in functions if d.properties['PCI_ID'] == '8086:0CFE'])\n"
    )
    result = world.run(f"{USER_WQ}udevadm settle; cd -\n{sys.executable} enumerate.py")
    lines = result.out.splitlines()[1:]
    assert lines[:5] == [
        "iax 8 True", "wq 128 True", "engine 96 True", "group 64 True", "idxd_cdev 1 True"
    ], result.err  # fmt: skip
    assert "idxd pci idxd 0 enabled" in lines
    assert "/dev/iax/wq1.0" in lines
    assert "0000:6a:02.0" in lines[-1]
    assert lines[-1].count("0000:") == 8


def test_udevadm(world: World) -> None:
    result = world.run(
        f"{USER_WQ}cd - > /dev/null\n"
        "udevadm monitor --kernel --udev --property --subsystem-match=dsa > seen & sleep 0.5\n"
        "udevadm trigger --verbose --subsystem-match=dsa --sysname-match='wq1.*'\n"
        "udevadm settle && udevadm info --query=property /sys/bus/dsa/devices/iax\\!wq1.0\n"
        "udevadm info --attribute-walk --path=/sys/bus/dsa/devices/wq1.0; sleep 0.3; kill $!\n"
        "udevadm control --ping; echo ping $?; udevadm control --reload; echo reload $?"
    )
    assert f"/sys{WQ}\n" in result.out
    assert "DEVNAME=/dev/iax/wq1.0" in result.out
    assert "USEC_INITIALIZED=" in result.out
    assert 'ATTR{size}=="16"' in result.out
    assert 'KERNELS=="0000:6a:02.0"' in result.out
    assert "ping 0\nreload 0\n" in result.out
    seen = (world._folder / "seen").read_text()
    changes = [line for line in seen.splitlines() if "change" in line and line.endswith("(dsa)")]
    assert len([line for line in changes if line.startswith("KERNEL[")]) == 8
    assert len([line for line in changes if line.startswith("UDEV")]) == 8


# Rules ----------------------------------------------------------------------------------------

STAT = "stat -c '%a %u %g' /dev/iax/wq1.0"


def ruled(world: World, rules: dict[str, str], then: str = "") -> Result:
    """Write rules, enable a queue, show the permissions of its node, go on with `then`."""
    copies = []
    for index, (path, text) in enumerate(rules.items()):
        (world._folder / f"rule{index}").write_text(text)
        copies.append(f"mkdir -p {path.rpartition('/')[0]}; cp rule{index} {path}")
    return world.run(f"{'; '.join(copies)}\n{USER_WQ}udevadm settle; {STAT}\n{then}")


# Rule, and mode, owner and group of the node after it.
RULES = (
    ('SUBSYSTEM=="dsa", KERNEL=="iax/wq1.*", GROUP="1", MODE="0640"', "640 0 1"),
    ('SUBSYSTEM=="dsa", KERNEL=="iax/wq1.*", GROUP="daemon"', "660 0 1"),
    ('SUBSYSTEM=="dsa", KERNEL=="iax/wq3.*|iax/wq1.[01]", MODE="0606"', "606 0 0"),
    ('KERNEL=="iax!wq1.0", MODE="0666"', "600 0 0"),
    ('ACTION=="change", KERNEL=="iax/wq1.0", MODE="0666"', "600 0 0"),
    ('ACTION!="change", KERNEL=="iax/wq1.0", MODE="0640"', "640 0 0"),
    ('SUBSYSTEMS=="dsa", ATTRS{name}=="app", MODE="0604"', "604 0 0"),
    ('ATTRS{name}=="other", MODE="0604"', "600 0 0"),
    ('KERNELS=="wq1.0", ATTRS{numa_node}=="0", MODE="0604"', "600 0 0"),
    ('KERNELS=="iax1", ATTRS{numa_node}=="0", MODE="0604"', "604 0 0"),
    ('DRIVERS=="user", MODE="0644"', "644 0 0"),
    ('DRIVERS=="crypto", MODE="0644"', "600 0 0"),
    ('SUBSYSTEM=="dsa", MODE:="0640"\nSUBSYSTEM=="dsa", MODE="0666"', "640 0 0"),
    ('SUBSYSTEM=="dsa", MODE="0640"\nSUBSYSTEM=="dsa", MODE="0666"', "666 0 0"),
    (
        'SUBSYSTEM!="dsa", GOTO="end"\nMODE="0640"\nLABEL="end"\n# last',
        "640 0 0",
    ),
    ('SUBSYSTEM=="dsa", GOTO="end"\nMODE="0640"\nLABEL="end"', "600 0 0"),
    ('SUBSYSTEM=="dsa", \\\n  MODE="0640"', "640 0 0"),
)


def test_rules_set_owner_group_and_mode(world: World) -> None:
    script = [USER_WQ, "udevadm settle"]
    for index, (rule, _) in enumerate(RULES):
        (world._folder / f"{index}.rules").write_text(f"{rule}\n")
        script += [
            "chmod 600 /dev/iax/wq1.0; chown 0:0 /dev/iax/wq1.0",
            f"cp {world._folder}/{index}.rules /etc/udev/rules.d/70-test.rules",
            f"echo add > wq1.0/iax\\!wq1.0/uevent; udevadm settle; {STAT}",
        ]
    result = world.run("\n".join(script))
    shown = dict(zip([rule for rule, _ in RULES], result.out.splitlines(), strict=True))
    assert shown == dict(RULES)
    assert result.err == ""


def test_directories_hide_one_another_and_names_give_the_order(world: World) -> None:
    result = ruled(
        world,
        {
            "/etc/udev/rules.d/70-a.rules": 'SUBSYSTEM=="dsa", MODE="0640"\n',
            "/run/udev/rules.d/70-a.rules": 'SUBSYSTEM=="dsa", MODE="0666"\n',
            "/run/udev/rules.d/60-b.rules": 'SUBSYSTEM=="dsa", MODE="0644", GROUP="1"\n',
        },
    )
    assert result.out.splitlines() == ["640 0 1"], result.err


def test_rules_hold_again_after_the_next_enable_and_on_change(world: World) -> None:
    result = ruled(
        world,
        {"/etc/udev/rules.d/70-a.rules": 'SUBSYSTEM=="dsa", KERNEL=="iax/*", MODE="0640"\n'},
        "chmod 600 /dev/iax/wq1.0; echo change > wq1.0/iax\\!wq1.0/uevent; udevadm settle\n"
        f"{STAT}; {UNBIND} {USER_WQ} udevadm settle; {STAT}\n"
        "rm /etc/udev/rules.d/70-a.rules; udevadm control --reload\n"
        f"{UNBIND} {USER_WQ} udevadm settle; {STAT}",
    )
    assert result.out.splitlines() == ["640 0 0", "640 0 0", "640 0 0", "600 0 0"], result.err


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('SUBSYSTEM=="dsa", RUN+="/bin/true", MODE="0666"', 'not simulated: RUN+="/bin/true"'),
        ('SUBSYSTEM=="dsa", PROGRAM=="/bin/true", MODE="0666"', "not simulated: PROGRAM"),
        ('SUBSYSTEM=="dsa", SYMLINK+="x%n", MODE="0666"', "not simulated: SYMLINK"),
        ('SUBSYSTEM=="dsa", MODE=0666', "not understood: MODE=0666"),
        ('SUBSYSTEM=="dsa", GROUP="no-such-group"', "unknown group 'no-such-group'"),
        ('SUBSYSTEM=="dsa", MODE="rw"', "'rw' is not an octal number"),
    ],
)
def test_what_is_not_simulated_is_named_and_has_no_effect(
    world: World, rule: str, words: str
) -> None:
    result = ruled(world, {"/etc/udev/rules.d/70-test.rules": f"{rule}\n"})
    assert words in result.err
    assert result.err.startswith("simulated udev: ")
    assert result.out.splitlines() == ["600 0 0"]
