"""Simulated machines: what they boot into, the documented set-up, events, PCI, refusals."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from iaactl.errors import UsageProblem
from iaactl.sim import machine as machines
from iaactl.sim import topology
from iaactl.sim.kernfs import Attribute, Binary, Caller, DeviceNode, Directory, Link, find
from iaactl.sim.machine import Machine, Uevent, load

QEMU_DOCUMENTATION = [f"engine1.{n}/group_id=0" for n in range(8)] + [
    f"wq1.0/{setting}"
    for setting in (
        *("mode=shared", "type=user", "name=app1", "driver_name=user", "size=128"),
        *("group_id=0", "priority=10", "block_on_fault=1", "threshold=128"),
    )
]


class Running:
    """A machine with its events, driven by paths below the bus."""

    def __init__(self, name: str) -> None:
        self.events: list[Uevent] = []
        self.machine = Machine(load(name), self.events.append)

    def attribute(self, path: str) -> Attribute:
        if not path.startswith("/"):
            path = f"/sys/bus/dsa/{path if path.startswith('drivers') else f'devices/{path}'}"
        node = find(self.machine.root, path)
        assert isinstance(node, Attribute), path
        return node

    def read(self, path: str) -> str:
        return self.attribute(path).show().decode().removesuffix("\n")

    def write(self, path: str, text: str) -> None:
        self.attribute(path).store(text.encode())

    def refused(self, path: str, text: str) -> str:
        with pytest.raises(OSError) as refused:
            self.write(path, text)
        return errno.errorcode[refused.value.errno or 0]

    def exists(self, path: str) -> bool:
        try:
            find(self.machine.root, path)
        except OSError:
            return False
        return True

    def node(self, name: str) -> DeviceNode:
        node = find(self.machine.root, f"/dev/iax/{name}")
        assert isinstance(node, DeviceNode)
        return node

    def configure(self, settings: list[str] = QEMU_DOCUMENTATION) -> None:
        for setting in settings:
            path, _, text = setting.partition("=")
            self.write(path, text + "\n")

    def enable(self) -> None:
        self.write("drivers/idxd/bind", "iax1\n")
        self.write("drivers/user/bind", "wq1.0\n")


@pytest.fixture
def spr() -> Running:
    return Running("spr-2s")


def iaa_devices(running: Running) -> list[str]:
    return [name for name in running.machine.kernel.devices if name.startswith("iax")]


def test_the_default_is_the_start_of_the_documentation(spr: Running) -> None:
    assert machines.names()[0] == machines.DEFAULT == "spr-2s"
    assert iaa_devices(spr) == [f"iax{n}" for n in range(1, 16, 2)]
    assert [spr.read(f"{name}/numa_node") for name in iaa_devices(spr)] == ["0"] * 4 + ["1"] * 4
    assert {spr.read(f"{name}/state") for name in iaa_devices(spr)} == {"disabled"}
    # The bus has offered the devices to the driver, which found no work queue.
    assert spr.read("iax1/cmd_status") == "0x800d0000"
    assert not spr.exists("/dev/iax")
    link = find(spr.machine.root, "/sys/bus/dsa/devices/iax15")
    assert isinstance(link, Link)
    assert link.target == "../../../devices/pci0000:f6/0000:f6:02.0/iax15"


def test_the_documented_set_up(spr: Running) -> None:
    spr.configure()
    spr.enable()
    assert spr.read("iax1/state") == spr.read("wq1.0/state") == "enabled"
    assert spr.read("iax1/cmd_status") == "0x0"
    assert spr.read("group1.0/work_queues") == "wq1.0"
    file = spr.node("wq1.0").open(Caller(100))
    assert spr.read("wq1.0/clients") == spr.read("iax1/clients") == "1"
    assert spr.read("wq1.0/iax!wq1.0/file0/pid") == "100"
    assert spr.exists("/sys/bus/dsa/devices/file0")
    file.close()
    assert not spr.exists("/sys/bus/dsa/devices/file0")


@pytest.mark.parametrize("name", machines.names())
def test_every_machine_boots_and_every_link_leads_somewhere(name: str) -> None:
    running = Running(name)
    spec = running.machine.spec
    assert spec.description and not spec.description.endswith(".")
    taken = [f for f in spec.functions if not f.override]
    loaded = "idxd" in spec.modules and "movdir64b" in spec.cpu_flags
    assert len(iaa_devices(running)) == (sum(f.kind == "iax" for f in taken) if loaded else 0)
    root = running.machine.root
    for path, node in root.walk("/"):
        if isinstance(node, Link):
            target = find(root, f"{path.rpartition('/')[0]}/{node.target}")
            assert isinstance(target, Directory), path
        if isinstance(node, Attribute) and node.mode & 0o444:
            try:
                assert isinstance(node.show(), bytes)
            except OSError as error:
                assert error.errno in (errno.ENXIO, errno.EOPNOTSUPP), path


def test_machines_differ_as_they_say() -> None:
    crypto = Running("spr-2s-iaa-crypto")
    assert {crypto.read(f"wq{n}.0/driver_name") for n in (1, 15)} == {"crypto"}
    assert crypto.read("wq1.0/state") == "enabled"
    assert crypto.read("group1.0/engines") == "engine1.0"
    assert len(iaa_devices(Running("spr-1dev-per-socket"))) == 2
    assert Running("no-sva").read("iax1/pasid_enabled") == "0"
    guest = Running("guest")
    assert guest.read("iax0/configurable") == "0"
    assert guest.refused("wq0.0/size", "16") == "EPERM"
    iaa2 = Running("iaa2")
    assert iaa2.read("iax0/version") == "0x200"
    assert iaa2.read("iax0/iaa_cap") == "0x1f7"
    assert iaa_devices(Running("mixed-dsa")) == ["iax0", "iax2", "iax3", "iax5"]
    old = Running("kernel-6.1")
    assert not old.exists("/sys/bus/dsa/devices/wq1.0/driver_name")
    old.write("wq1.0/type", "kernel")
    assert old.refused("wq1.0/name", "channel") == errno.errorcode[errno.EOPNOTSUPP]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("no-iommu", errno.ENODEV),
        ("trace-6.16-legacy", errno.ENOSPC),
        ("trace-7.3-nosvm", errno.ENODEV),
        ("kernel-6.12", errno.EOPNOTSUPP),
    ],
)
def test_opening_tells_what_enabling_did_not(name: str, number: int) -> None:
    running = Running(name)
    if running.read("wq1.0/state") == "enabled":
        running.write("drivers/crypto/unbind", "wq1.0")
    if running.read("iax1/state") == "enabled":
        running.write("drivers/idxd/unbind", "iax1")
    running.configure()
    running.enable()
    assert running.read("iax1/pasid_enabled") == "1"
    with pytest.raises(OSError) as refused:
        running.node("wq1.0").open(Caller(100))
    assert refused.value.errno == number
    assert running.read("wq1.0/clients") == "0"


def first_opened(name: str) -> int | str:
    """Set the machine's first IAA device up and open its queue: 0, an errno or a cmd_status."""
    running = Running(name)
    device = iaa_devices(running)[0]
    wq = device.replace("iax", "wq") + ".0"
    configurable = running.read(f"{device}/configurable") == "1"
    if running.read(f"{wq}/state") == "enabled" and running.read(f"{wq}/type") == "kernel":
        running.write("drivers/crypto/unbind", wq)
    if not running.exists(f"/dev/iax/{wq}"):
        if (
            running.read(f"{device}/state") == "enabled"
            and running.read(f"{device}/configurable") != "0"
        ):
            running.write("drivers/idxd/unbind", device)
        for setting in QEMU_DOCUMENTATION:
            path, _, text = setting.replace("1.", f"{device[3:]}.").partition("=")
            leaf = path.rpartition("/")[2]
            if (configurable or leaf in ("type", "name", "driver_name")) and running.exists(
                f"/sys/bus/dsa/devices/{path}"
            ):
                running.write(path, text)
        for driver, thing in (("idxd", device), ("user", wq)):
            if running.read(f"{thing}/state") == "disabled":
                try:
                    running.write(f"drivers/{driver}/bind", thing)
                except OSError:
                    return running.read(f"{device}/cmd_status")
    try:
        running.node(wq).open(Caller(100)).close()
    except OSError as error:
        return error.errno or -1
    return 0


@pytest.mark.parametrize(
    ("name", "met"),
    [
        *((name, 0) for name in ("spr-2s-configured", "one-socket-configured", "spr-2s-6.19")),
        *((name, 0) for name in ("iommu-by-default", "snc", "snc-1dev-per-socket", "vfio-bound")),
        *((name, 0) for name in ("pasid-on-one-socket", "guest", "mixed-dsa", "iaa2")),
        ("kernel-6.18-sva-disabled", errno.EOPNOTSUPP),
        ("no-smpwc", errno.ENODEV),
        ("guest-no-1g", errno.ENODEV),
        ("la57-no-5lvl", "0x800c0000"),
        ("iommu-off-in-bios", "0x800c0000"),
        ("legacy-iommu", "0x800c0000"),
        ("grub-not-updated", "0x800c0000"),
        ("sm-on-apart", "0x800c0000"),
        ("kernel-without-svm", "0x800c0000"),
        ("guest-no-viommu", "0x800c0000"),
    ],
)
def test_how_far_a_user_gets(name: str, met: int | str) -> None:
    assert first_opened(name) == met


def test_devices_that_were_set_up_after_the_boot() -> None:
    running = Running("one-socket-configured")
    states = [running.read(f"{name}/state") for name in iaa_devices(running)]
    assert states == ["enabled"] * 4 + ["disabled"] * 4
    for number in (1, 3, 5, 7):
        wq = f"wq{number}.0"
        assert running.node(wq).mode == 0o600
        shown = {
            key: running.read(f"{wq}/{key}")
            for key in ("state", "mode", "type", "size", "threshold", "priority", "block_on_fault")
        }
        assert list(shown.values()) == ["enabled", "shared", "user", "128", "128", "10", "1"]
        assert len(running.read(f"group{number}.0/engines").split()) == 8


def test_sockets_differ_where_their_units_do() -> None:
    running = Running("pasid-on-one-socket")
    shown = [running.read(f"{name}/pasid_enabled") for name in iaa_devices(running)]
    assert shown == ["1"] * 4 + ["0"] * 4


def test_nodes_of_sub_numa_clusters() -> None:
    running = Running("snc")
    assert [running.read(f"{name}/numa_node") for name in iaa_devices(running)] == list("00112233")
    single = Running("snc-1dev-per-socket")
    assert [single.read(f"{name}/numa_node") for name in iaa_devices(single)] == ["0", "2"]
    places = topology.places(running.machine.spec)
    assert {place.cores for place in places.values()} == {56}
    for socket in (0, 1):
        cores = [p.core for p in places.values() if p.socket == socket]
        assert sorted(cores) == sorted([*range(56), *range(56)])
    assert places[28] == places[140]


def test_a_function_in_a_virtual_machines_hands() -> None:
    running = Running("vfio-bound")
    function = "/sys/bus/pci/devices/0000:75:02.0"
    assert running.read(f"{function}/driver_override") == "vfio-pci"
    assert "DRIVER=vfio-pci" in running.read(f"{function}/uevent").split("\n")
    link = find(running.machine.root, f"{function}/driver")
    assert isinstance(link, Link)
    assert link.target == "../../../bus/pci/drivers/vfio-pci"
    assert iaa_devices(running) == ["iax2"]
    driver = "/sys/bus/pci/drivers/vfio-pci"
    assert running.refused("/sys/bus/pci/drivers/idxd/bind", "0000:75:02.0") == "EBUSY"
    assert running.refused("/sys/bus/pci/drivers/idxd/unbind", "0000:75:02.0") == "ENODEV"
    assert running.refused(f"{driver}/bind", "0000:f2:02.0") == "EBUSY"
    running.write(f"{driver}/unbind", "0000:75:02.0")
    running.write(f"{function}/driver_override", "\n")
    running.write("/sys/bus/pci/drivers_probe", "0000:75:02.0")
    assert iaa_devices(running) == ["iax2", "iax3"]
    with pytest.raises(OSError) as refused:
        running.machine.rmmod("vfio_pci")
    assert refused.value.errno == errno.EAGAIN


def test_machines_without_the_driver() -> None:
    for name in ("idxd-not-loaded", "no-movdir64b", "no-iaa"):
        running = Running(name)
        assert not running.exists("/sys/bus/dsa")
        assert not running.exists("/sys/module/idxd")
        function = "/sys/bus/pci/devices/0000:6a:02.0"
        assert running.exists(function) is (name != "no-iaa")
        assert not running.exists(f"{function}/driver")


def test_without_shared_mode(spr: Running) -> None:
    for name in ("no-enqcmd", "no-sva"):
        running = Running(name)
        running.configure()
        assert running.refused("drivers/idxd/bind", "iax1") == "ENXIO"
        assert running.read("iax1/cmd_status") == "0x800c0000"


def test_events_of_enabling_and_disabling(spr: Running) -> None:
    spr.configure()
    spr.events.clear()
    spr.enable()
    wq = "/devices/pci0000:6a/0000:6a:02.0/iax1/wq1.0"
    assert [(e.action, e.devpath) for e in spr.events] == [
        ("bind", "/devices/pci0000:6a/0000:6a:02.0/iax1"),
        ("add", f"{wq}/iax!wq1.0"),
        ("bind", wq),
    ]
    cdev = spr.events[1]
    assert cdev.subsystem == "dsa"
    assert cdev.properties["DEVNAME"] == "iax/wq1.0"
    assert cdev.properties["DEVTYPE"] == "idxd_cdev"
    assert cdev.properties["MAJOR"] == spr.read("iax1/cdev_major")
    assert spr.events[2].properties["DRIVER"] == "user"
    spr.events.clear()
    spr.write("drivers/idxd/unbind", "iax1")
    assert [(e.action, e.devpath.rpartition("/")[2]) for e in spr.events] == [
        ("remove", "iax!wq1.0"),
        ("unbind", "wq1.0"),
        ("unbind", "iax1"),
    ]


def test_an_event_can_be_ordered(spr: Running) -> None:
    spr.events.clear()
    spr.write("wq1.0/uevent", "change\n")
    assert spr.events[0].action == "change"
    assert spr.events[0].properties["SYNTH_UUID"] == "0"
    assert spr.refused("wq1.0/uevent", "explode") == "EINVAL"
    assert len(spr.events) == 1


def test_a_function_is_removed_and_comes_back(spr: Running) -> None:
    spr.configure()
    spr.enable()
    file = spr.node("wq1.0").open(Caller(100))
    spr.events.clear()
    spr.write("/sys/bus/pci/devices/0000:6a:02.0/remove", "1")
    gone = [e.devpath.rpartition("/")[2] for e in spr.events if e.action == "remove"]
    assert gone[0] == "iax!wq1.0"
    assert gone[-2:] == ["iax1", "0000:6a:02.0"]
    assert {f"wq1.{n}" for n in range(8)} | {f"engine1.{n}" for n in range(8)} <= set(gone)
    assert not spr.exists("/sys/bus/dsa/devices/iax1")
    assert not spr.exists("/dev/iax")
    with pytest.raises(OSError):
        file.write(b"\0" * 64, Caller(100))
    file.close()
    spr.write("/sys/bus/pci/rescan", "1")
    assert spr.read("iax1/state") == "disabled"
    assert spr.read("/sys/bus/pci/devices/0000:6a:02.0/driver_override") == "(null)"


def test_binding_pci_functions(spr: Running) -> None:
    driver, function = "/sys/bus/pci/drivers/idxd", "/sys/bus/pci/devices/0000:6a:02.0"
    spr.write(f"{driver}/unbind", "0000:6a:02.0")
    assert not spr.exists("/sys/bus/dsa/devices/iax1")
    spr.write(f"{function}/driver_override", "vfio-pci")
    assert spr.refused(f"{driver}/bind", "0000:6a:02.0") == "ENODEV"
    spr.write("/sys/bus/pci/drivers_probe", "0000:6a:02.0")
    assert not spr.exists("/sys/bus/dsa/devices/iax1")
    spr.write(f"{function}/driver_override", "\n")
    spr.write("/sys/bus/pci/drivers_probe", "0000:6a:02.0")
    assert spr.read("iax1/version") == "0x100"
    assert spr.refused(f"{driver}/bind", "0000:6a:02.0") == "EBUSY"
    assert spr.refused(f"{driver}/new_id", "8086 0cfe") == "EEXIST"
    assert spr.refused(f"{driver}/new_id", "8086") == "EINVAL"
    assert spr.refused(f"{driver}/remove_id", "8086 1234") == "ENODEV"
    spr.write(f"{driver}/new_id", "8086 1234")
    spr.write(f"{driver}/remove_id", "8086 1234")


def test_configuration_space(spr: Running) -> None:
    config = find(spr.machine.root, "/sys/bus/pci/devices/0000:6a:02.0/config")
    assert isinstance(config, Binary)
    data = bytes(config.content)
    assert len(data) == 4096
    assert data[:4] == bytes.fromhex("8680fe0c")
    assert int.from_bytes(data[9:12], "little") == 0x088000
    kinds, at = {}, data[0x34]
    while at:
        kinds[data[at]] = at
        at = data[at + 1]
    assert sorted(kinds) == [0x10, 0x11]
    express = kinds[0x10]
    assert data[express + 2] >> 4 == 9  # root complex integrated endpoint
    assert int.from_bytes(data[express + 4 : express + 8], "little") >> 28 & 1  # FLR
    assert int.from_bytes(data[express + 0x24 : express + 0x28], "little") >> 21 & 1
    assert int.from_bytes(data[kinds[0x11] + 2 : kinds[0x11] + 4], "little") & 0x7FF == 8
    extended, at = set(), 0x100
    while at:
        header = int.from_bytes(data[at : at + 4], "little")
        extended.add(header & 0xFFFF)
        at = header >> 20
    assert extended == {0x0F, 0x13, 0x1B}


def test_a_refused_command(spr: Running) -> None:
    asked: list[tuple[str, str, int]] = []

    def fault(device: str, command: str, operand: int) -> int | None:
        asked.append((device, command, operand))
        return 0x22 if command == "ENABLE_WQ" else None

    spr.machine.command_fault = fault
    spr.configure()
    spr.write("drivers/idxd/bind", "iax1")
    assert spr.refused("drivers/user/bind", "wq1.0") == "ENXIO"
    assert asked == [("iax1", "ENABLE_DEV", 0), ("iax1", "ENABLE_WQ", 0)]
    assert spr.read("iax1/cmd_status") == "0x22"
    assert spr.read("wq1.0/type") == "none"
    assert not spr.exists("/dev/iax")


def test_a_dedicated_queue_that_does_not_start_again_cannot_be_opened(spr: Running) -> None:
    spr.configure()
    spr.write("wq1.0/mode", "dedicated")
    spr.enable()
    spr.machine.command_fault = lambda device, command, operand: (
        0x20 if command == "ENABLE_WQ" else None
    )
    with pytest.raises(OSError) as refused:
        spr.node("wq1.0").open(Caller(100))
    assert refused.value.errno == errno.ENXIO


def test_submitting_belongs_to_the_process_that_opened(spr: Running) -> None:
    spr.configure()
    spr.enable()
    owner, other = Caller(100), Caller(101)
    file = spr.node("wq1.0").open(owner)
    descriptors: list[bytes] = []
    with pytest.raises(OSError) as refused:
        file.write(b"\0" * 64, owner)
    assert refused.value.errno == errno.EOPNOTSUPP
    spr.machine.execute = lambda wq, descriptor, caller: descriptors.append(descriptor)
    assert file.write(b"\0" * 130, owner) == 128
    assert file.write(b"\0" * 63, owner) == 0
    assert len(descriptors) == 2
    odd = bytes(8) + (32).to_bytes(8, "little") + bytes(48)
    for data, caller, number in (
        (odd, owner, errno.EINVAL),
        (b"\0" * 64, other, errno.EPERM),
    ):
        with pytest.raises(OSError) as refused:
            file.write(data, caller)
        assert refused.value.errno == number
    assert file.write(b"\0" * 64 + odd, owner) == 64
    assert file.poll(owner) == 0
    assert file.poll(other) == 0x20
    for caller, length, number in (
        (Caller(100, 1000), 4096, errno.EPERM),
        (other, 4096, errno.EPERM),
        (owner, 4097, errno.EINVAL),
    ):
        with pytest.raises(OSError) as refused:
            file.mmap(length, caller)
        assert refused.value.errno == number
    spr.write("drivers/user/unbind", "wq1.0")
    with pytest.raises(OSError):
        file.write(b"\0" * 64, owner)
    file.close()
    assert spr.read("wq1.0/clients") == "-1"


def test_read_buffers_of_dsa(spr: Running) -> None:
    assert spr.read("dsa0/max_read_buffers") == "96"
    assert spr.read("dsa0/max_batch_size") == "1024"
    assert spr.refused("group0.0/use_read_buffer_limit", "1") == "EPERM"
    spr.write("dsa0/read_buffer_limit", "10")
    spr.write("group0.0/use_read_buffer_limit", "1")
    spr.write("group0.0/read_buffers_reserved", "90")
    assert spr.refused("group0.1/read_buffers_reserved", "7") == "EINVAL"
    spr.write("group0.1/tokens_reserved", "6")
    assert spr.read("group0.1/read_buffers_reserved") == "6"
    spr.write("wq0.0/max_batch_size", "100")
    assert spr.read("wq0.0/max_batch_size") == "128"
    assert not spr.exists("/sys/bus/dsa/devices/iax1/max_read_buffers")


def test_modules() -> None:
    running = Running("spr-2s-iaa-crypto")
    machine = running.machine
    for module, number in (("idxd", errno.EAGAIN), ("iaa_crypto", errno.EAGAIN)):
        with pytest.raises(OSError) as refused:
            machine.rmmod(module)
        assert refused.value.errno == number
    for n in range(1, 16, 2):
        running.write("drivers/crypto/unbind", f"wq{n}.0")
    machine.rmmod("iaa_crypto")
    machine.rmmod("idxd")
    assert not running.exists("/sys/bus/dsa")
    machine.insmod("idxd", sva=False)
    assert running.read("iax1/pasid_enabled") == "0"


def test_modules_as_sysfs_shows_them() -> None:
    running = Running("spr-2s-iaa-crypto")
    module = "/sys/module"
    assert running.read(f"{module}/idxd/initstate") == "live"
    used = {name: running.read(f"{module}/{name}/refcnt") for name in ("iaa_crypto", "idxd")}
    assert used == {"iaa_crypto": "0", "idxd": "1"}
    assert running.exists(f"{module}/idxd/holders/iaa_crypto")
    assert running.exists(f"{module}/idxd_bus/holders/idxd")
    for n in range(1, 16, 2):
        running.write("drivers/crypto/unbind", f"wq{n}.0")
    running.machine.rmmod("iaa_crypto")
    assert running.read(f"{module}/idxd/refcnt") == "0"
    assert not running.exists(f"{module}/idxd/holders/iaa_crypto")
    running.machine.rmmod("idxd")
    assert not running.exists(f"{module}/idxd_bus")


def test_the_algorithm_of_iaa_crypto() -> None:
    def drivers(running: Running) -> list[str]:
        lines = running.read("/proc/crypto").splitlines()
        return [line.partition(":")[2].strip() for line in lines if line.startswith("driver")]

    assert drivers(Running("spr-2s")) == drivers(Running("no-iaa")) == ["deflate-generic"]
    running = Running("spr-2s-iaa-crypto")
    assert drivers(running) == ["deflate-iaa", "deflate-generic"]
    for n in range(1, 16, 2):
        running.write("drivers/crypto/unbind", f"wq{n}.0")
    assert drivers(running) == ["deflate-iaa", "deflate-generic"]
    running.machine.rmmod("iaa_crypto")
    assert drivers(running) == ["deflate-generic"]


def test_machines_from_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'description = "one device"\n[kernel]\nrelease = "1"\n'
        '[[functions]]\naddress = "0000:01:00.0"\n'
    )
    assert load(str(path)).functions[0].address == "0000:01:00.0"
    for wrong in ("iommu = 'maybe'\n", "colour = 'red'\n", "modules = ['ext4']\n"):
        path.write_text(wrong + 'description = "x"\nfunctions = []\nkernel = { release = "1" }\n')
        with pytest.raises(UsageProblem, match="mine"):
            load(str(path))
    with pytest.raises(UsageProblem, match="no machine"):
        load("pdp-11")
