"""The kernel log: its device, and what kernel and driver say in each machine."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iaactl.sim import kmsg
from iaactl.sim.kernfs import Attribute, Caller, DeviceNode, find
from iaactl.sim.machine import Machine, MachineSpec, load, names

ROOT = Caller(os.getpid(), os.geteuid())
IDXD = "idxd 0000:6a:02.0: "
SHARED = (
    "engine1.0/group_id=0 wq1.0/group_id=0 wq1.0/mode=shared wq1.0/type=user wq1.0/name=app"
    " wq1.0/size=16 wq1.0/priority=10 wq1.0/threshold=8"
)


class Running:
    """A machine driven by writes below the bus; `new` are the messages since the last look."""

    def __init__(self, spec: MachineSpec | str) -> None:
        self.spec = load(spec) if isinstance(spec, str) else spec
        self.machine = Machine(self.spec, lambda event: None)
        self.seen = 0

    @property
    def log(self) -> list[str]:
        return self.machine.kernel.log.text().splitlines()

    def new(self) -> list[str]:
        start, self.seen = self.seen, len(self.log)
        return self.log[start:]

    def write(self, path: str, text: str) -> int:
        """The errno, 0 when it was taken."""
        if not path.startswith("/"):
            path = f"/sys/bus/dsa/{path if path.startswith('drivers') else f'devices/{path}'}"
        node = find(self.machine.root, path)
        assert isinstance(node, Attribute)
        try:
            node.store(text.encode())
        except OSError as error:
            return error.errno or -1
        return 0

    def configure(self, settings: str = SHARED) -> None:
        for setting in settings.split():
            path, _, text = setting.partition("=")
            assert self.write(path, text) == 0, setting
        if self.spec.kernel.driver_name:
            assert self.write("wq1.0/driver_name", "user") == 0

    def enable(self) -> None:
        assert self.write("drivers/idxd/bind", "iax1") == 0
        assert self.write("drivers/user/bind", "wq1.0") == 0

    def open(self, pid: int = 100) -> int:
        node = find(self.machine.root, "/dev/iax/wq1.0")
        assert isinstance(node, DeviceNode)
        try:
            node.open(Caller(pid))
        except OSError as error:
            return error.errno or -1
        return 0


# The device ------------------------------------------------------------------------------------


def opened(log: kmsg.KernelLog) -> kmsg.Reader:
    reader = kmsg.node(log, restricted=False).open(ROOT)
    assert isinstance(reader, kmsg.Reader)
    return reader


def refused(call: Callable[[], object]) -> int:
    with pytest.raises(OSError) as caught:
        call()
    return caught.value.errno or -1


def test_one_read_is_one_record() -> None:
    log = kmsg.KernelLog()
    log.printk(kmsg.NOTICE, "first")
    log.boot_reaches(1.5)
    log.device(kmsg.WARNING, "idxd", "pci", "0000:6a:02.0", "second")
    reader = opened(log)
    assert reader.poll(ROOT) == 0x41
    assert reader.read(8192, ROOT) == b"5,0,0,-;first\n"
    assert reader.read(8192, ROOT) == (
        b"4,1,1500000,-;idxd 0000:6a:02.0: second\n SUBSYSTEM=pci\n DEVICE=+pci:0000:6a:02.0\n"
    )
    assert reader.poll(ROOT) == 0
    assert refused(lambda: reader.read(8192, ROOT)) == errno.EAGAIN
    log.printk(kmsg.ERR, "third")
    assert refused(lambda: reader.read(5, ROOT)) == errno.EINVAL
    assert refused(lambda: reader.mmap(4096, ROOT)) == errno.ENODEV
    assert opened(log).read(8192, ROOT) == b"5,0,0,-;first\n"


def test_dates_go_on_after_the_boot() -> None:
    now = 1000.0
    log = kmsg.KernelLog(lambda: now)
    log.boot_reaches(8.0)
    log.printk(kmsg.INFO, "boot")
    log.boot_ends()
    now += 2.5
    log.printk(kmsg.INFO, "later")
    reader = opened(log)
    assert reader.read(99, ROOT) == b"6,0,8000000,-;boot\n"
    assert reader.read(99, ROOT) == b"6,1,10500013,-;later\n"


def test_a_reader_that_was_overtaken_is_told_so_once() -> None:
    log = kmsg.KernelLog()
    log.printk(kmsg.INFO, "lost")
    reader = opened(log)
    for number in range(kmsg.RECORDS):
        log.printk(kmsg.INFO, str(number))
    assert refused(lambda: reader.read(99, ROOT)) == errno.EPIPE
    assert reader.read(99, ROOT).endswith(b";0\n")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"hello\n", b"12,0,0,-;hello\n"),
        (b"<3>disk on fire", b"11,0,0,-;disk on fire\n"),
        (b"<30>daemon\n", b"30,0,0,-;daemon\n"),
        (b"a\tb\\c\x7f\xc3\xa4\n", b"12,0,0,-;a\\x09b\\x5cc\\x7f\\xc3\\xa4\n"),
        (b"<x>y", b"12,0,0,-;<x>y\n"),
    ],
)
def test_writing(written: bytes, shown: bytes) -> None:
    log = kmsg.KernelLog()
    reader = opened(log)
    assert reader.write(written, ROOT) == len(written)
    assert reader.read(8192, ROOT) == shown


@given(st.binary(max_size=992))
def test_whatever_is_written_is_one_line_and_can_be_read_back(written: bytes) -> None:
    log = kmsg.KernelLog()
    reader = opened(log)
    assert reader.write(written, ROOT) == len(written)
    shown = reader.read(8192, ROOT)
    assert shown.count(b"\n") == 1
    assert all(32 <= c < 127 for c in shown[:-1])
    head, _, text = shown[:-1].partition(b";")
    priority = int(head.split(b",")[0])
    assert priority >> 3, "only the kernel itself has facility 0"
    unescaped = re.sub(rb"\\x([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text)
    assert written.removesuffix(b"\n").endswith(unescaped)
    assert refused(lambda: reader.read(8192, ROOT)) == errno.EAGAIN


def test_too_long_a_message_is_refused() -> None:
    reader = opened(kmsg.KernelLog())
    assert refused(lambda: reader.write(b"x" * 993, ROOT)) == errno.EINVAL


def test_a_restricted_log_is_not_for_everybody() -> None:
    node = kmsg.node(kmsg.KernelLog(), restricted=True)
    assert (node.mode, node.device) == (0o644, (1, 11))
    nobody = Caller(1 << 30, 1000)  # no such process
    assert refused(lambda: node.open(nobody)) == errno.EPERM
    node.open(Caller(1 << 30, 0))
    kmsg.node(kmsg.KernelLog(), restricted=False).open(nobody)


# The boot --------------------------------------------------------------------------------------

SVA_OFF = f"{IDXD}Unable to turn on user SVA feature."
NO_SHARED = f"{IDXD}No shared wq support but configured."
SAID: Sequence[tuple[str, dict[str, object], list[str]]] = [
    ("spr-2s", {}, ["DMAR: IOMMU enabled", "DMAR: Enable scalable mode if hardware supports",
                    "DMAR: dmar1: reg_base_addr a57fc000 ver 6:0 cap 19ed008c40780c66"
                    " ecap 3ef9ea6f050df",
                    "DMAR: DRHD base: 0x000000a57fc000 flags: 0x0",
                    "DMAR: IOMMU feature pasid inconsistent",
                    "DMAR: Intel(R) Virtualization Technology for Directed I/O",
                    "pci 0000:6a:02.0: Adding to iommu group 1",
                    f"{IDXD}enabling device (0140 -> 0142)",
                    f"{IDXD}Intel(R) Accelerator Device (v100)"]),
    ("spr-2s", {"iommu": "legacy", "command_line": "intel_iommu=on sm_on"},
     [SVA_OFF, 'Unknown kernel command line parameters "sm_on", will be passed to user space.']),
    ("spr-2s", {"unit_lacks": {"0000:6a": ("fl5lp",)}},
     [SVA_OFF, "DMAR: dmar1 SVM disabled, incompatible paging mode"]),
    ("spr-2s", {"unit_lacks": {"all": ("fl1gp",)}},
     [SVA_OFF, "DMAR: dmar8 SVM disabled, incompatible 1GB page capability"]),
    ("spr-2s", {"vtd": False, "iommu": "none"},
     [SVA_OFF, "PCI-DMA: Using software bounce buffering for IO (SWIOTLB)"]),
    ("spr-2s", {"cpu_flags": ()}, ["idxd driver failed to load without MOVDIR64B."]),
    ("spr-2s", {"command_line": "ro iommu=pt intel_iommu=on,sm_off,wat intel_iommu=off"},
     ["iommu: Default domain type: Passthrough (set via kernel command line)",
      "DMAR: Scalable mode is disallowed", "DMAR: Unknown option - 'wat'",
      "DMAR: IOMMU disabled"]),
    ("no-enqcmd", {}, ["Platform does not have ENQCMD(S) support."]),
    ("no-sva", {}, [f"{IDXD}User forced SVA off via module param."]),
    ("no-iommu", {}, [f"{IDXD}No in-kernel DMA with PASID. -1"]),
    ("trace-7.3-legacy", {}, ["DMAR: Scalable mode is disallowed",
                              "idxd 0000:00:05.0: No in-kernel DMA with PASID. -28"]),
    ("guest", {}, ["Hypervisor detected: KVM", "Booting paravirtualized kernel on KVM",
                   "idxd 0000:00:05.0: Failed to initialize perfmon. No PMU support: -19"]),
    ("spr-2s-iaa-crypto", {}, ["idxd: crypto: iaa_crypto now ENABLED"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "said"), SAID)
def test_what_is_said_at_boot(name: str, changes: dict[str, object], said: list[str]) -> None:
    log = Running(replace(load(name), **changes)).log  # type: ignore[arg-type]
    assert [text for text in said if text not in log] == []


def test_what_is_not_said_of_a_healthy_machine() -> None:
    for name in ("spr-2s", "spr-2s-iaa-crypto", "kernel-6.1", "mixed-dsa"):
        text = "\n".join(Running(name).log)
        assert not re.search(r"SVM disabled|Unable|PMU support|PASID|forced|failed", text), name
        assert text.count("now ENABLED") == (name == "spr-2s-iaa-crypto")


def test_units_are_compared_only_by_kernels_that_do() -> None:
    assert "inconsistent" not in "".join(Running("spr-2s-iaa-crypto").log)
    alike = [line for line in Running("spr-2s").log if "inconsistent" in line]
    assert alike == [f"DMAR: IOMMU feature {name} inconsistent" for name in ("pasid", "prs")] * 8


@pytest.mark.parametrize("name", names())
def test_the_command_line_asks_for_what_the_machine_has(name: str) -> None:
    spec = load(name)
    log = Running(spec).log
    on = spec.kernel.option("INTEL_IOMMU_DEFAULT_ON") == "y"
    scalable = spec.kernel.option("INTEL_IOMMU_SCALABLE_MODE_DEFAULT_ON") == "y"
    for line in log:
        on = {"DMAR: IOMMU enabled": True, "DMAR: IOMMU disabled": False}.get(line, on)
        scalable = {
            "DMAR: Enable scalable mode if hardware supports": True,
            "DMAR: Scalable mode is disallowed": False,
        }.get(line, scalable)
    assert on is (spec.iommu != "none") or not spec.vtd
    assert scalable is (spec.iommu not in ("none", "legacy")) or not (on and spec.vtd)
    assert ("idxd.sva=0" in spec.command_line.split()) is not spec.sva or name.startswith("trace-")
    assert log[0] == spec.kernel.banner


# Later -----------------------------------------------------------------------------------------


def test_a_shared_queue_without_shared_support() -> None:
    running = Running("no-sva")
    running.configure()
    running.new()
    assert running.write("drivers/idxd/bind", "iax1") == errno.ENXIO
    assert running.new() == [NO_SHARED]


@pytest.mark.parametrize(
    ("of_device", "text"),
    [
        (False, "user: probe of wq1.0 failed with error -95"),
        (True, "user wq1.0: probe with driver user failed with error -95"),
    ],
)
def test_a_user_queue_without_sva(of_device: bool, text: str) -> None:
    spec = load("no-sva")
    running = Running(replace(spec, kernel=replace(spec.kernel, probe_error_of_device=of_device)))
    running.configure(SHARED.replace("shared", "dedicated").rpartition(" ")[0])
    assert running.write("drivers/idxd/bind", "iax1") == 0
    running.new()
    assert running.write("drivers/user/bind", "wq1.0") == errno.EOPNOTSUPP
    assert running.new() == [text]


def test_a_kernel_that_binds_no_process() -> None:
    running = Running(replace(load("spr-2s"), iommu="sva-disabled"))
    running.configure()
    running.enable()
    running.new()
    assert running.open() == errno.EOPNOTSUPP
    assert running.new() == [f"{IDXD}pasid allocation failed: -95"]


def test_queues_with_clients() -> None:
    running = Running("spr-2s")
    running.configure()
    running.enable()
    running.new()
    assert running.open() == running.open(pid=101) == 0
    assert running.new() == []
    assert running.open() == 0
    assert running.new() == [f"{IDXD}PASID entry already exist in xarray."]
    assert running.write("drivers/idxd/unbind", "iax1") == 0
    assert running.new() == [
        "idxd iax1: Active wq 0 on disable wq1.0.", f"{IDXD}Clients has claim on wq 0: 3"
    ]  # fmt: skip


def test_a_dedicated_queue_that_does_not_take_its_pasid() -> None:
    running = Running("spr-2s")
    running.configure(SHARED.replace("shared", "dedicated").rpartition(" ")[0])
    running.enable()
    running.new()
    running.machine.command_fault = lambda device, command, operand: (
        0x20 if command == "ENABLE_WQ" else None
    )
    assert running.open() == errno.ENXIO
    assert running.new() == [f"{IDXD}wq set pasid failed: -6"]


def test_the_last_queue_of_iaa_crypto() -> None:
    running = Running("spr-2s-iaa-crypto")
    running.new()
    for number in range(1, 16, 2):
        assert running.new() == []
        assert running.write("drivers/crypto/unbind", f"wq{number}.0") == 0
    assert running.new() == ["idxd: crypto: iaa_crypto now DISABLED"]


def test_a_reset_of_a_device_without_user_queues() -> None:
    running = Running("trace-7.3-v2")
    running.new()
    assert running.write("/sys/bus/pci/devices/0000:00:05.0/reset", "1") == 0
    said = running.new()
    assert said[0] == "idxd 0000:00:05.0: Intel(R) Accelerator Device (v200)"
    assert running.write("drivers/idxd/unbind", "iax0") == errno.ENODEV
    assert said[1:] == ["idxd 0000:00:05.0: HALT: iax0 config fails"]


def test_a_function_that_is_taken_again() -> None:
    running = Running("spr-2s")
    running.new()
    running.write("/sys/bus/pci/devices/0000:6a:02.0/remove", "1")
    running.write("/sys/bus/pci/rescan", "1")
    assert running.new() == [
        "pci 0000:6a:02.0: Adding to iommu group 1",
        f"{IDXD}enabling device (0140 -> 0142)",
        f"{IDXD}Intel(R) Accelerator Device (v100)",
    ]
