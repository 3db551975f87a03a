"""The simulated machine as a place: what is in it, what reaches out of it, who may do what."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from conftest import require
from iaactl.sim.preflight import namespace_hint
from sim.conftest import IAACTL, World

USER_WQ = """
cd /sys/bus/dsa/devices
echo 0 > engine1.0/group_id
echo 0 > wq1.0/group_id; echo shared > wq1.0/mode; echo 16 > wq1.0/size; echo 8 > wq1.0/threshold
echo 10 > wq1.0/priority; echo user > wq1.0/type; echo app > wq1.0/name
test ! -e wq1.0/driver_name || echo user > wq1.0/driver_name
echo iax1 > ../drivers/idxd/bind
echo wq1.0 > ../drivers/user/bind
"""
GUEST = Path(__file__).parents[2] / "iaactl/sim/machines/guest.toml"
NOBODY = "setpriv --reuid=65534 --regid=65534 --clear-groups"


def python(world: World, program: str) -> str:
    """Command that runs a Python program inside."""
    path = world._folder / "program.py"
    path.write_text(program)
    path.chmod(0o644)
    return f"{sys.executable} {path}"


def user_namespaces() -> None:
    """Skip where nobody may make a user namespace: the kernel refuses it to a chroot."""
    done = subprocess.run(["unshare", "--user", "true"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("user namespaces cannot be made here (switched off, or this is a chroot)")


def as_root_only() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: a user namespace has one user only")


# Exit status and signals ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["sh", "-c", "kill -TERM $$"], 143),
        (["/nonexistent/program"], 127),
        (["/etc/passwd"], 126),
    ],
)
def test_exit_status_is_passed_on(world: World, command: Sequence[str], code: int) -> None:
    done = subprocess.run(
        [str(IAACTL), "sim", "run", "--", *command], capture_output=True, check=False
    )
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_command(world: World, tmp_path: Path, number: int) -> None:
    started = tmp_path / "started"
    script = (
        f"trap 'echo caught; exit 9' TERM INT HUP; touch {started}; while :; do sleep 0.1; done"
    )
    with subprocess.Popen(
        [str(IAACTL), "sim", "run", "--", "sh", "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        appears(started)
        process.send_signal(number)
        out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (9, "caught\n")


def appears(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} does not appear")


def test_without_a_command_it_is_a_shell_that_says_where_it_is(world: World) -> None:
    bash = shutil.which("bash")
    if bash is None:
        require("sim", "bash is not installed")
    done = subprocess.run(
        [str(IAACTL), "sim", "run", "--machine", "guest"],
        input="echo in $IAACTL_SIMULATED_MACHINE; ls -d /sys/bus/dsa/devices/iax*; exit 3\n",
        capture_output=True, text=True, check=False,
        env={**os.environ, "SHELL": str(bash), "HOME": "/nonexistent"},
    )  # fmt: skip
    assert done.returncode == 3
    assert "in guest" in done.stdout
    assert "/sys/bus/dsa/devices/iax0" in done.stdout
    assert "(simulated guest)" in done.stderr


# What is there --------------------------------------------------------------------------------


def test_the_machine_among_the_real_rest(world: World) -> None:
    result = world.run(
        "echo $IAACTL_SIMULATED_MACHINE $SYSTEMD_DEVICE_VERIFY_SYSFS\n"
        "cat /proc/cmdline /proc/sys/kernel/osrelease /sys/devices/system/node/online\n"
        "grep -cw enqcmd /proc/cpuinfo\n"
        "ls -d /sys/class /sys/fs /sys/kernel /sys/module/idxd /dev/null /dev/shm\n"
        "ls /sys/bus/pci/devices\n"
        "readlink /sys/bus/dsa/devices/wq1.0 /sys/devices/pci0000:6a/0000:6a:02.0/iax1/subsystem\n"
        "cat /sys/bus/dsa/devices/iax9/numa_node; ls /sys/kernel/iommu_groups | wc -l\n"
        "ls -A /etc/udev/rules.d /run/iaactl\n"
        "cat /proc/net/dev | grep -c :"
    )
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[:2] == ["spr-2s 0", next(x for x in lines if "sm_on" in x)]
    assert re.fullmatch(r"\d+\.\d+\.\S*", lines[2])
    assert lines[3] == "0-1"
    assert int(lines[4]) > 100
    assert "0000:6a:02.0" in lines
    assert "0000:f6:02.0" in lines
    assert "../../../devices/pci0000:6a/0000:6a:02.0/iax1/wq1.0" in lines
    assert lines[-6:-1] == ["1", "16", "/etc/udev/rules.d:", "", "/run/iaactl:"]
    assert lines[-1] == "1"  # the loopback interface is the only one


def test_the_machines_kernel_and_its_iommu(world: World) -> None:
    result = world.run(
        "cat /proc/version; ls /boot; grep -c =y /boot/config-6.7.9-sim\n"
        "grep -m1 '^model name' /proc/cpuinfo; grep -m1 -ow la57 /proc/cpuinfo\n"
        "ls /sys/class/iommu; cat /sys/bus/pci/devices/0000:e7:02.0/iommu/intel-iommu/ecap\n"
        "cd -P /sys/class/iommu/dmar1/devices/0000:6a:02.0/iommu && pwd\n"
        "stat -c '%a %s' /sys/firmware/acpi/tables/DMAR; head -c4 /sys/firmware/acpi/tables/DMAR\n"
        "echo; ls /sys/devices/virtual/mem | grep -c null\n"
        "test ! -e /proc/config.gz || zcat /proc/config.gz | cmp - /boot/config-*\n"
        "test ! -e /proc/modules || grep -q '^idxd 172032 0 - ' /proc/modules"
    )
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].startswith("Linux version 6.7.9-sim ")
    assert lines[1:3] == ["config-6.7.9-sim", "grub"]
    assert int(lines[3]) > 10
    assert "Xeon" in lines[4]
    assert lines[5] == "la57"
    assert lines[6:16] == [f"dmar{n}" for n in range(10)]
    assert lines[16:] == [
        "3ef9ea6f050df", "/sys/devices/virtual/iommu/dmar1", "400 280", "DMAR", "1"
    ]  # fmt: skip


def test_the_hosts_boot_and_module_options_are_hidden(world: World, tmp_path: Path) -> None:
    """In a view of the system in which the host has some; /etc/default keeps the rest."""
    script = (
        "ls -A /boot /etc/modprobe.d; cat /etc/default/grub /etc/default/locale;"
        " ls /etc/default | grep -c grub; ls -A /etc/kernel; grep -c deflate-iaa /proc/crypto;"
        " rm /etc/default/grub; : > /etc/default/new"
    )
    done = covered(
        f"""
        cd {tmp_path}; mkdir etc work
        mount -t overlay -o lowerdir=/etc,upperdir=etc,workdir=work none /etc || exit 77
        cd /
        mkdir -p /etc/modprobe.d /etc/default/grub.d /etc/kernel
        echo 'options idxd sva=0' > /etc/modprobe.d/idxd.conf
        echo GRUB_CMDLINE_LINUX=host > /etc/default/grub; echo LANG=C > /etc/default/locale
        echo host > /etc/kernel/cmdline""",
        [str(IAACTL), "sim", "run", "--machine=spr-2s-iaa-crypto", "--", "sh", "-c", script],
    )
    if done.returncode == 77:
        pytest.skip("no overlay file system here")
    assert done.returncode == 0, done.stderr
    assert "host" not in done.stdout
    assert "idxd.conf" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[:3] == ["/boot:", "config-6.16.12-sim", "grub"]
    assert 'GRUB_CMDLINE_LINUX="intel_iommu=on,sm_on"' in lines
    assert "LANG=C" in lines
    assert lines[lines.index("LANG=C") + 1] == "1"
    assert lines[-1] == "1"
    assert (tmp_path / "etc/default/grub").read_text() == "GRUB_CMDLINE_LINUX=host\n"
    assert not (tmp_path / "etc/default/new").exists()


def test_the_machines_kernel_log(world: World) -> None:
    as_root_only()
    program = python(
        world,
        """
import errno, os
fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
records = []
try:
    while True: records.append(os.read(fd, 8192))
except OSError as error: print(errno.errorcode[error.errno])
print(records[0].startswith(b"5,0,0,-;Linux version 6.7.9-sim"), len(records) > 50)
waiting = os.open("/dev/kmsg", os.O_RDWR)
print(os.write(waiting, b"<3>own\\n"), os.read(fd, 8192).split(b",")[0])
last, shown = b"", b"x"
while shown: last, shown = shown, os.read(waiting, 8192)
print(last.split(b";")[1])
""",
    )
    result = world.run(
        f"dmesg -r | grep -c '<6>.*idxd 0000:6a:02.0: enabling device'; {USER_WQ}"
        f"dmesg | tail -1; {program}; echo shell > /dev/kmsg; dmesg -t | tail -1\n"
        f"cat /proc/sys/kernel/dmesg_restrict; {NOBODY} head -c1 /dev/kmsg; stat -c %a /dev/kmsg"
    )
    lines = result.out.splitlines()
    assert lines[0] == "1", result.err
    assert "idxd 0000:f6:02.0: Intel(R) Accelerator Device (v100)" in lines[1]
    assert lines[2:] == [
        "EAGAIN", "True True", "7 b'11'", r"b'own\n'", "shell", "1", "644"
    ], result.err  # fmt: skip
    assert "Operation not permitted" in result.err


def test_nodes_exist_while_a_queue_is_enabled(world: World) -> None:
    result = world.run(
        f"ls -d /dev/iax; {USER_WQ} ls -l /dev/iax; stat -c '%F %a %U' /dev/iax/wq1.0\n"
        "echo wq1.0 > ../drivers/user/unbind; ls -d /dev/iax; ls -d /sys/dev/char/*:0 | wc -l"
    )
    assert result.err.count("cannot access '/dev/iax'") == 2
    assert "wq1.0" in result.out
    assert "regular empty file 600 root" in result.out


def test_a_node_behaves_as_the_driver_where_files_can(world: World) -> None:
    program = python(
        world,
        """
import ctypes, errno, os
fd = os.open("/dev/iax/wq1.0", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
PROT_WRITE, MAP_SHARED = 2, 1
mapped = ctypes.c_ssize_t(libc.mmap(None, 4096, PROT_WRITE, MAP_SHARED, fd, 0)).value
print("mmap", mapped, errno.errorcode[ctypes.get_errno()])
try: print("read", os.read(fd, 64))
except OSError as error: print("read", errno.errorcode[error.errno])
print("short", os.write(fd, bytes(63)))
print("clients", open("/sys/bus/dsa/devices/wq1.0/clients").read().strip())
again = os.open("/dev/iax/wq1.0", os.O_RDWR)
print("clients", open("/sys/bus/dsa/devices/wq1.0/clients").read().strip())
os.close(again); os.close(fd)
print("clients", open("/sys/bus/dsa/devices/wq1.0/clients").read().strip())
""",
    )
    result = world.run(f"{USER_WQ}{program}")
    lines = result.out.splitlines()
    assert lines == [
        "mmap -1 ENODEV", "read EINVAL", "short 0", "clients 1", "clients 2", "clients 0"
    ], result.err  # fmt: skip
    journal = [(entry["op"], entry["errno"]) for entry in result.log if "/dev/iax" in entry["path"]]
    assert journal == [
        ("open", None), ("submit", None), ("open", None), ("close", None), ("close", None)
    ]  # fmt: skip


# Files as sysfs has them ----------------------------------------------------------------------


def test_reads_and_writes_as_sysfs(world: World) -> None:
    program = python(
        world,
        """
import errno, os
base = "/sys/bus/dsa/devices/"
def tried(call):
    try: return call()
    except OSError as error: return errno.errorcode[error.errno]
size = os.open(base + "wq1.0/size", os.O_RDWR)
print(os.write(size, b""), os.write(size, b"16\\n"))
print(os.pread(size, 10, 0), os.pread(size, 1, 1), os.pread(size, 10, 3))
other = os.open(base + "wq1.0/size", os.O_WRONLY); os.write(other, b"32")
print(os.pread(size, 10, 1), os.pread(size, 10, 0))
print(tried(lambda: os.write(size, b"x" * 5000)))
print(tried(lambda: os.write(size, b"x")))
print(tried(lambda: os.open(base + "wq1.0/state", os.O_WRONLY)))
print(tried(lambda: os.open(base + "wq1.0/state", os.O_RDWR)))
print(tried(lambda: os.open(base + "../drivers/idxd/bind", os.O_RDONLY)))
print(tried(lambda: os.open(base + "wq1.0/max_batch_size", os.O_RDONLY)))
print(tried(lambda: os.open(base + "wq1.0/new", os.O_WRONLY | os.O_CREAT)))
print(tried(lambda: os.mkdir(base + "iax99")), tried(lambda: os.unlink(base + "wq1.0/size")))
print(tried(lambda: os.rename(base + "wq1.0/size", base + "wq1.0/sizes")))
print(os.stat(base + "wq1.0/size").st_size, os.stat(base + "wq1.0/bind" if 0 else base).st_nlink)
minor = open(base + "wq1.0/cdev_minor")
print(tried(minor.read))
config = "/sys/bus/pci/devices/0000:6a:02.0/config"
print(os.stat(config).st_size, open(config, "rb").read(4).hex(), len(open(config, "rb").read()))
""",
    )
    result = world.run(program)
    assert result.out.splitlines() == [
        "0 3", r"b'16\n' b'6' b''", r"b'6\n' b'32\n'", "EINVAL", "EINVAL", "EACCES", "EACCES",
        "EACCES", "ENOENT", "EACCES", "EPERM EPERM", "EPERM", "4096 2", "ENXIO",
        "4096 8680fe0c 4096",
    ], result.err  # fmt: skip
    # A write of nothing never arrives, and one write(2) is one store.
    assert [entry["value"] for entry in result.writes][:2] == ["16\n", "32"]
    assert len(result.writes[2]["value"]) == 4096
    assert [entry["errno"] for entry in result.writes] == [None, None, "EINVAL", "EINVAL"]
    numbers = [entry["seq"] for entry in result.log]
    assert numbers == list(range(1, len(numbers) + 1))


def test_an_open_attribute_of_a_removed_device(world: World) -> None:
    program = python(
        world,
        """
import errno, os
fd = os.open("/sys/bus/dsa/devices/wq1.0/size", os.O_RDWR)
with open("/sys/bus/pci/devices/0000:6a:02.0/remove", "w") as remove: remove.write("1")
for call in (lambda: os.pread(fd, 9, 0), lambda: os.write(fd, b"1")):
    try: print(call())
    except OSError as error: print(errno.errorcode[error.errno])
print(os.path.lexists("/sys/bus/dsa/devices/iax1"), os.path.lexists("/sys/bus/dsa/devices/wq1.0"))
print(os.path.exists("/sys/devices/pci0000:6a/0000:6a:02.0"))
""",
    )
    result = world.run(program)
    assert result.out.splitlines() == ["ENODEV", "ENODEV", "False False", "False"], result.err


def test_permissions_of_an_ordinary_user(world: World) -> None:
    as_root_only()
    attempt = "2>/dev/null && echo yes || echo no"
    daemon = "setpriv --reuid=65534 --regid=65534 --groups=1"
    result = world.run(
        f"{USER_WQ}cat > {world._folder}/s <<'X'\n"
        f"cat /sys/bus/dsa/devices/iax1/state {attempt}\n"
        f"(echo 1 > /sys/bus/dsa/devices/wq1.0/priority) {attempt}\n"
        f"(echo wq1.0 > /sys/bus/dsa/drivers/user/unbind) {attempt}\n"
        f"(: <> /dev/iax/wq1.0) {attempt}\n"
        f"test -w /dev/iax/wq1.0 {attempt}; chmod 666 /dev/iax/wq1.0 {attempt}\n"
        "wc -c < /sys/bus/pci/devices/0000:6a:02.0/config\n"
        f"X\nchmod -R a+rX {world._folder}\n"
        f"echo nobody; {NOBODY} sh < {world._folder}/s\n"
        f"chgrp 1 /dev/iax/wq1.0; chmod 660 /dev/iax/wq1.0\n"
        f"echo member; {daemon} sh < {world._folder}/s\n"
        f"echo owner; chown 65534 /dev/iax/wq1.0; {NOBODY} sh -c 'chmod 600 /dev/iax/wq1.0' &&"
        " stat -c %a /dev/iax/wq1.0"
    )
    assert result.out.split() == [
        "nobody", "enabled", "yes", "no", "no", "no", "no", "no", "64",
        "member", "enabled", "yes", "no", "no", "yes", "yes", "no", "64",
        "owner", "600",
    ], result.err  # fmt: skip


# Nothing reaches the host ---------------------------------------------------------------------


def test_the_host_sees_nothing_of_it(world: World, tmp_path: Path) -> None:
    """Mounts, device nodes, events and processes stay inside while it runs."""
    mounts = Path("/proc/self/mountinfo").read_text()
    devices = sorted(path.name for path in Path("/dev").iterdir())
    ready, go = tmp_path / "ready", tmp_path / "go"
    with subprocess.Popen(
        [str(IAACTL), "sim", "run", "--", "sh", "-ec",
         f"{USER_WQ} : > /run/udev/made-inside; : > /etc/udev/rules.d/made-inside.rules\n"
         f"touch {ready}; while [ ! -e {go} ]; do sleep 0.05; done"]
    ) as process:  # fmt: skip
        appears(ready)
        assert Path("/proc/self/mountinfo").read_text() == mounts
        assert not Path("/dev/iax").exists()
        assert [
            name
            for name in sorted(path.name for path in Path("/dev").iterdir())
            if name not in devices
        ] == []
        assert not Path("/run/udev/made-inside").exists()
        assert not Path("/etc/udev/rules.d/made-inside.rules").exists()
        assert not Path("/run/iaactl-sim").exists()
        go.touch()
    assert process.returncode == 0


def test_events_stay_in_their_own_machine(world: World, tmp_path: Path) -> None:
    """A monitor outside, in the same machine and in another one: only the second sees them."""
    watch = tmp_path / "watch.py"
    watch.write_text(
        "import pathlib, sys, time, pyudev\n"
        "monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source='kernel')\n"
        "monitor.filter_by('dsa'); monitor.start(); pathlib.Path(sys.argv[1]).touch()\n"
        "found, end = 0, time.monotonic() + 5\n"
        "while time.monotonic() < end: found += monitor.poll(0.5) is not None\n"
        "print(sys.argv[1].rpartition('/')[2], found)\n"
    )
    ready = {where: tmp_path / where for where in ("outside", "elsewhere", "inside")}
    begin = [sys.executable, str(watch)]
    simulated = [str(IAACTL), "sim", "run", "--"]
    outside = subprocess.Popen([*begin, str(ready["outside"])], stdout=subprocess.PIPE, text=True)
    elsewhere = subprocess.Popen(
        [*simulated, *begin, str(ready["elsewhere"])], stdout=subprocess.PIPE, text=True
    )
    appears(ready["outside"])
    appears(ready["elsewhere"])
    result = world.run(
        f"{' '.join(begin)} {ready['inside']} & while [ ! -e {ready['inside']} ]; do sleep 0.1;"
        f" done; {USER_WQ} wait"
    )
    assert result.out.split() == ["inside", "3"], result.err
    assert outside.communicate(timeout=60)[0].split() == ["outside", "0"]
    assert elsewhere.communicate(timeout=60)[0].split() == ["elsewhere", "0"]


def test_the_hosts_part_of_sysfs_is_for_reading(world: World) -> None:
    as_root_only()
    name = next(Path("/sys/devices").glob("virtual/*/*/uevent"))
    result = world.run(f"cat {name} > /dev/null && echo change > {name}")
    assert "Read-only file system" in result.err
    assert result.code != 0


def test_background_processes_end_with_the_command(world: World, tmp_path: Path) -> None:
    world.run(f"(while :; do date +%s%N > {tmp_path}/alive; sleep 0.05; done) & sleep 0.5")
    last = (tmp_path / "alive").read_text()
    assert last
    time.sleep(0.3)
    assert (tmp_path / "alive").read_text() == last


def test_a_machine_inside_a_machine(world: World) -> None:
    result = world.run(
        f"{USER_WQ} iaactl sim run --machine guest -- sh -c 'ls /sys/bus/dsa/devices | grep iax;"
        " ls -d /dev/iax'; ls /dev/iax; ls /sys/bus/dsa/devices | grep -c '^iax'"
    )
    assert result.out.split() == ["iax0", "wq1.0", "9"], result.err


# Where it cannot be had -----------------------------------------------------------------------


def covered(cover: str, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command as an ordinary user after `cover` has changed a private view of the system."""
    as_root_only()
    return subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{cover}\nexec "$@"', "sh", *command],
        capture_output=True, text=True, check=False, cwd="/",
        env={**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def fuse_node(folder: Path, mode: str) -> str:
    """Shell commands that put a FUSE device of this mode over /dev/fuse."""
    return (
        f"mount -t tmpfs -o dev tmpfs {folder}; mknod -m {mode} {folder}/fuse c 10 229;"
        f" mount --bind {folder}/fuse /dev/fuse"
    )


def test_an_ordinary_user_may_run_it(world: World, tmp_path: Path) -> None:
    """Where the system opens /dev/fuse to all, as distributions do."""
    user_namespaces()
    done = covered(
        fuse_node(tmp_path, "666"),
        [*NOBODY.split(), str(IAACTL), "sim", "run", "--", "sh", "-c",
         "id -u; iaactl apply qemu-migration --yes >/dev/null && iaactl list --wqs;"
         "udevadm trigger --subsystem-match=dsa --action=add && udevadm settle"],
    )  # fmt: skip
    if "Permission denied" in done.stderr and str(sys.prefix) in done.stderr:
        pytest.skip("the checkout is not readable to other users")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0\n")
    assert done.stdout.count("/dev/iax/wq") == 8


def test_a_closed_fuse_device_is_named(world: World, tmp_path: Path) -> None:
    done = covered(
        fuse_node(tmp_path, "600"), [*NOBODY.split(), str(IAACTL), "sim", "run", "--", "true"]
    )
    if "Permission denied" in done.stderr and str(sys.prefix) in done.stderr:
        pytest.skip("the checkout is not readable to other users")
    assert done.returncode == 4
    assert "error: /dev/fuse is not open to this user" in done.stderr
    assert "hint: run it as root" in done.stderr


def test_user_namespaces_that_are_switched_off_are_named(world: World, tmp_path: Path) -> None:
    """The limit counts for each user namespace, so the host's is not touched."""
    as_root_only()
    user_namespaces()
    user_namespaces()
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "sh", "-c",
         'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', "sh",
         *drop, str(IAACTL), "sim", "run", "--", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 4, done.stderr
    assert "private namespaces cannot be made" in done.stderr
    assert "sysctl user.max_user_namespaces" in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("user/max_user_namespaces", "0", "user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("kernel/other", "0", "for this user"),
    ],
)
def test_the_setting_that_closes_namespaces_is_found(
    tmp_path: Path, name: str, value: str, hint: str
) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text(f"{value}\n")
    assert hint in namespace_hint(user=True, settings=tmp_path)


def test_a_machine_that_is_not_usable_is_named(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(f"sockets = 3\n{GUEST.read_text()}")
    for machine, words in (("nonsense", "no machine nonsense"), (str(own), "sockets")):
        done = subprocess.run(
            [str(IAACTL), "sim", "run", "--machine", machine, "--", "true"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert words in done.stderr


def test_a_machine_of_ones_own(world: World, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(GUEST.read_text())
    result = world.run(
        "echo $IAACTL_SIMULATED_MACHINE; cat /sys/bus/dsa/devices/iax0/configurable",
        machine=str(own),
    )
    assert result.out.split() == ["own", "0"], result.err
