"""Cases on the simulated engine in this process, and what each failure is called."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from fakes.machine import MachineTree, boot
from fakes.portal import EnginePortal
from iaactl.cli.selftest import CASES as NAMES
from iaactl.errors import PermissionMissing
from iaactl.iaa.completion import AnalyticsError, Status
from iaactl.model.device import Device, WorkQueue
from iaactl.ports import Portal
from iaactl.selftest.bench import Bench, CaseFailed
from iaactl.selftest.cases import CASES, Case
from iaactl.selftest.cases.basic import crc64_of
from iaactl.selftest.checks import bits, xor16
from iaactl.selftest.report import QueueReport
from iaactl.selftest.runner import Settings, test_queue
from iaactl.sim.iaa import Orders
from iaactl.sim.iaa.orders import Order

test_queue.__test__ = False  # type: ignore[attr-defined]


def queue() -> tuple[Device, WorkQueue]:
    device = MachineTree(boot("spr-2s")).inventory().devices[0]
    wq = device.work_queues[0].model_copy(
        update={"mode": "shared", "size": 16, "threshold": 8, "block_on_fault": 1}
    )
    # A device that allows everything, so that no case is left out.
    return device.model_copy(update={"op_cap": ",".join(["ffffffff"] * 8)}), wq


def bench(portal: Portal, **settings: bool) -> Bench:
    return Bench(portal, timeout_s=1, depth=4, block_on_fault=settings.get("block", True),
                 most_bytes=1 << 21, threshold=8)  # fmt: skip


def report(portal: Portal, settings: Settings | None = None) -> QueueReport:
    device, wq = queue()
    return test_queue(device, wq, lambda *_: portal, settings or Settings(), lambda text: None)


def test_names_on_the_command_line_are_the_cases() -> None:
    assert ("all", *(case.name for case in CASES)) == NAMES
    assert all(case.sentence for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
@pytest.mark.parametrize("size", [1, 7, 64, 4096, 40000])
def test_every_case_at_many_sizes(case: Case, size: int) -> None:
    case.run(bench(EnginePortal()), size)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_every_case_sees_a_device_that_only_says_success(case: Case) -> None:
    """Completions without results must not pass, but for the operations that have none."""

    class Liar(EnginePortal):
        def _one(self, descriptor: bytes):  # type: ignore[no-untyped-def]
            outcome = super()._one(descriptor)
            record = bytearray(64)
            record[0] = 1
            address = int.from_bytes(descriptor[8:16], "little")
            from iaactl.sim.iaa.memory import own_memory

            own_memory().write(address, bytes(record))
            return type(outcome)(bytes(record), 0, 0, 0, 1)

    if case.name in ("noop", "drain", "fill"):
        case.run(bench(Liar()), 4096)
        return
    with pytest.raises(CaseFailed):
        case.run(bench(Liar()), 4096)


@pytest.mark.parametrize("status", [s for s in Status if s > 1], ids=lambda s: s.name)
def test_every_status_is_said_in_words(status: Status) -> None:
    found = report(EnginePortal(Orders([Order(status=int(status))])))
    assert not found.ok
    first = found.failures[0]
    assert first.status == status
    assert f"{int(status):#04x}" in first.message
    assert len(first.message) > 30


@pytest.mark.parametrize("error", AnalyticsError, ids=lambda e: e.name)
def test_every_analytics_error_is_said_in_words(error: AnalyticsError) -> None:
    orders = Orders([Order(status=int(Status.ANALYTICS_ERROR), error=int(error))])
    first = report(EnginePortal(orders)).failures[0]
    assert error.sentence in first.message
    assert f"{int(error):#04x}" in first.message


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EAGAIN, "stayed full"),
        (errno.ETIMEDOUT, "no completion"),
        (errno.ENODEV, "disabled meanwhile"),
        (errno.EPERM, "may not submit"),
        (errno.EINVAL, "refused the descriptor"),
        (errno.EOPNOTSUPP, "by write()"),
        (errno.EIO, "errno 5"),
    ],
)
def test_every_refusal_is_said_in_words(number: int, words: str) -> None:
    found = report(EnginePortal(errno=number))
    assert words in found.failures[0].message
    # After a hang nothing more is tried: each case would only wait as long again.
    assert (len(found.failures) == 1) is (number == errno.ETIMEDOUT)


def test_a_queue_that_takes_less_than_its_threshold_is_found() -> None:
    with pytest.raises(CaseFailed, match="empty queue"):
        next(c for c in CASES if c.name == "fill").run(bench(EnginePortal(room=3)), 4096)


def test_a_queue_that_cannot_be_opened_and_one_that_can_not_be_mapped() -> None:
    def refuse(path: str, dedicated: bool) -> Portal:
        raise PermissionMissing("cannot be opened: EACCES", hint="who may", errno=errno.EACCES)

    device, wq = queue()
    found = test_queue(device, wq, refuse, Settings(), lambda text: None)
    assert found.failures[0].case == "open"
    assert found.failures[0].errno == errno.EACCES
    portal = EnginePortal()
    portal.why_not_mapped = errno.EPERM
    found = report(portal, Settings(CASES[:1]))
    assert found.ok
    assert "CAP_SYS_RAWIO" in (found.not_mapped or "")
    assert portal.closed


def test_operations_that_are_not_allowed_are_skipped() -> None:
    device, wq = queue()
    device = device.model_copy(update={"op_cap": ",".join(["00000000"] * 7 + ["0000000d"])})
    found = test_queue(device, wq, lambda *_: EnginePortal(), Settings(), lambda text: None)
    assert found.passed == ("noop", "drain", "fill")
    assert found.ok


def test_portals_leave_no_descriptor_and_no_mapping_behind(tmp_path: Path) -> None:
    from iaactl.host.portal import NativePortal

    node = tmp_path / "node"
    node.touch()
    mappings = len(Path("/proc/self/maps").read_text().splitlines())
    files = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        with NativePortal(str(node), dedicated=False) as portal:
            portal.buffer(1 << 20)
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    assert len(Path("/proc/self/maps").read_text().splitlines()) < mappings + 20


def test_independent_computations() -> None:
    assert crc64_of(b"123456789") == 0x6C40DF5F0B497347  # CRC-64/ECMA-182's check value
    assert xor16(b"\x01\x02\x03") == 0x0202
    assert bits([True, False, False, True, False, False, False, False, True]) == b"\x09\x01"
