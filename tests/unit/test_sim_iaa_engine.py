"""Checks, faults, orders and the order of writes; and that garbage never gets out."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.accelerator import COMPLETION, DESTINATION, SOURCE, SOURCE2, Accelerator
from iaactl.iaa import descriptor as d
from iaactl.iaa.aecs import CompressAecs
from iaactl.iaa.completion import AnalyticsError, CompletionRecord, Status
from iaactl.iaa.opcode import Opcode
from iaactl.sim.iaa import Fault, FlatMemory, Order, Orders, ProcessMemory, WqLimits, execute
from iaactl.sim.iaa.memory import own_memory
from iaactl.sim.iaa.orders import Operand

AECS = CompressAecs.fixed().pack()
DATA = b"some data, some more data, some more" * 20
COMPRESS = d.compress(COMPLETION, (SOURCE, len(DATA)), (DESTINATION, 4096), (SOURCE2, 1568))
DECOMPRESS = d.decompress(COMPLETION, (SOURCE, len(DATA)), (DESTINATION, 4096))
CRC = d.crc64(COMPLETION, (SOURCE, len(DATA)), 1 << 63)
FLAG = d.Flags


def submit(work: d.Descriptor, accelerator: Accelerator | None = None) -> CompletionRecord:
    """Run with operands in place."""
    accelerator = accelerator or Accelerator()
    accelerator.prepare(DATA, AECS + AECS)
    return accelerator.submit(work)


def change(work: d.Descriptor, **changes: Any) -> d.Descriptor:
    return replace(work, **changes)


# -- what is refused --------------------------------------------------------------------------

REFUSED = [
    (Status.BAD_OPCODE, change(CRC, opcode=0x99)),
    (Status.BAD_OPCODE, change(CRC, opcode=Opcode.MEMMOVE)),
    (Status.BAD_OPCODE, change(CRC, opcode=Opcode.TRANSLATION_FETCH)),
    (Status.BAD_FLAGS, change(CRC, flags=CRC.flags | 1 << 7)),
    (Status.BAD_FLAGS, change(CRC, flags=CRC.flags | FLAG.READ_AECS)),
    (Status.BAD_FLAGS, change(COMPRESS, flags=COMPRESS.flags | 3 << 16)),
    (Status.BAD_FLAGS, change(COMPRESS, flags=COMPRESS.flags | FLAG.WRITE_AECS_ON_OVERFLOW)),
    (Status.RESERVED_FIELD, change(CRC, destination=8)),
    (Status.RESERVED_FIELD, change(COMPRESS, elements=1)),
    (Status.RESERVED_FIELD, change(d.noop(COMPLETION), source1=8)),
    (Status.BAD_SIZE, change(CRC, source1_size=0)),
    (Status.BAD_SIZE, change(CRC, source1_size=(2 << 20) + 1)),
    (Status.BAD_SIZE, change(COMPRESS, max_destination_size=(2 << 20) + 1)),
    (Status.BAD_SIZE, change(COMPRESS, source2_size=288)),
    (Status.OVERLAP, change(COMPRESS, destination=SOURCE + len(DATA) - 1)),
    (Status.OVERLAP, change(COMPRESS, destination=SOURCE2 - 4095)),
    (
        Status.BAD_INTERRUPT_HANDLE,
        change(CRC, flags=CRC.flags | FLAG.REQUEST_INTERRUPT, interrupt_handle=9),
    ),
    (Status.AECS_ALIGNMENT, change(COMPRESS, source2=SOURCE2 + 16)),
    (Status.AECS_ALIGNMENT, change(COMPRESS, source2_size=1569)),
    (Status.BAD_OPERATION_FLAGS, change(CRC, operation_flags=1)),
    (Status.BAD_OPERATION_FLAGS, change(COMPRESS, operation_flags=1 << 12)),
    (Status.BAD_OPERATION_FLAGS, change(DECOMPRESS, operation_flags=0)),
]


@pytest.mark.parametrize(("status", "work"), REFUSED)
def test_refused(status: Status, work: d.Descriptor) -> None:
    accelerator = Accelerator()
    assert submit(work, accelerator).status == status
    assert {address for address, _ in accelerator.memory.writes} <= {COMPLETION, COMPLETION + 1}


def test_the_interrupt_handle_counts_only_with_an_interrupt() -> None:
    assert submit(change(CRC, interrupt_handle=0x620)).ok
    asked = change(CRC, flags=CRC.flags | FLAG.REQUEST_INTERRUPT)
    assert submit(change(asked, interrupt_handle=8)).ok
    assert submit(change(asked, interrupt_handle=9)).status == Status.BAD_INTERRUPT_HANDLE


def test_invalid_flags_are_named() -> None:
    assert submit(change(CRC, flags=CRC.flags | 1 << 7)).invalid_flags == 1 << 7


def test_the_limits_of_the_work_queue_hold() -> None:
    limits = WqLimits(operations=frozenset({0x44}), max_transfer_bytes=len(DATA))
    assert submit(CRC, Accelerator(limits)).ok
    assert submit(COMPRESS, Accelerator(limits)).status == Status.BAD_OPCODE
    less = WqLimits(max_transfer_bytes=len(DATA) - 1)
    assert submit(CRC, Accelerator(less)).status == Status.BAD_SIZE
    blocking = change(CRC, flags=CRC.flags | FLAG.BLOCK_ON_FAULT)
    assert submit(blocking).ok
    assert submit(blocking, Accelerator(WqLimits(block_on_fault=False))).status == Status.BAD_FLAGS
    assert submit(change(CRC, opcode=0x4E), Accelerator(WqLimits())).status == Status.BAD_OPCODE


@pytest.mark.parametrize("work", [d.noop(COMPLETION), d.drain(COMPLETION)])
def test_noop_and_drain(work: d.Descriptor) -> None:
    record = submit(work)
    assert record.ok
    assert record.output_size == record.bytes_completed == 0


# -- the completion record --------------------------------------------------------------------


def test_the_status_byte_is_written_last() -> None:
    accelerator = Accelerator()
    assert submit(COMPRESS, accelerator).ok
    addresses = [address for address, _ in accelerator.memory.writes]
    assert addresses == [DESTINATION, COMPLETION + 1, COMPLETION]
    assert accelerator.memory.writes[-1] == (COMPLETION, 1)


def test_the_aecs_is_written_before_the_record() -> None:
    accelerator = Accelerator()
    assert submit(change(COMPRESS, flags=COMPRESS.flags | FLAG.WRITE_AECS), accelerator).ok
    addresses = [address for address, _ in accelerator.memory.writes]
    assert addresses == [DESTINATION, SOURCE2 + 1568, COMPLETION + 1, COMPLETION]
    flags = COMPRESS.flags | FLAG.WRITE_AECS | FLAG.AECS_TOGGLE
    assert submit(change(COMPRESS, flags=flags), accelerator).ok
    assert accelerator.memory.writes[1] == (SOURCE2, 288)


def test_success_is_silent_when_no_completion_is_requested() -> None:
    quiet = change(CRC, flags=FLAG.COMPLETION_ADDRESS_VALID)
    assert submit(quiet).status == Status.PENDING
    assert submit(change(quiet, source1_size=0)).status == Status.BAD_SIZE


def test_without_a_completion_address_failures_are_software_errors() -> None:
    accelerator = Accelerator()
    work = change(CRC, flags=0, source1_size=0)
    assert submit(work, accelerator).status == Status.PENDING
    assert accelerator.software_error is not None
    assert accelerator.software_error.error == Status.BAD_SIZE
    submit(change(CRC, flags=0), accelerator)
    assert accelerator.software_error is None
    submit(change(CRC, flags=FLAG.REQUEST_COMPLETION), accelerator)
    assert accelerator.software_error is not None
    assert accelerator.software_error.error == Status.BAD_FLAGS


def test_a_completion_record_that_cannot_be_written() -> None:
    accelerator = Accelerator()
    accelerator.prepare(DATA, record=False)
    accelerator.submit(CRC)
    error = accelerator.software_error
    assert error is not None
    assert (error.error, error.opcode) == (Status.COMPLETION_TRANSLATION, Opcode.CRC64)
    assert error.address == COMPLETION + 1
    accelerator.submit(change(CRC, completion_address=COMPLETION + 32))
    assert accelerator.software_error is not None
    assert accelerator.software_error.error == Status.COMPLETION_ALIGNMENT


# -- page faults ------------------------------------------------------------------------------


def faulting(work: d.Descriptor, blocking: bool) -> CompletionRecord:
    accelerator = Accelerator()
    accelerator.prepare(DATA, AECS, room=16)
    flags = work.flags | (FLAG.BLOCK_ON_FAULT if blocking else 0)
    return accelerator.submit(change(work, flags=flags))


def test_fault_on_reading() -> None:
    beyond = change(CRC, source1_size=len(DATA) + 1)
    record = faulting(beyond, blocking=False)
    assert record.status == Status.PAGE_FAULT
    assert record.fault_address == SOURCE + len(DATA)
    assert record.bytes_completed == len(DATA)
    record = faulting(beyond, blocking=True)
    assert record.status == Status.PAGE_FAULT_UNRESOLVED


def test_fault_on_writing() -> None:
    record = faulting(COMPRESS, blocking=False)
    assert record.status == Status.PAGE_FAULT | 0x80
    assert record.fault_address == DESTINATION + 16
    assert record.bytes_completed == 0
    assert faulting(COMPRESS, blocking=True).status == Status.PAGE_FAULT_UNRESOLVED | 0x80


def test_fault_on_the_aecs() -> None:
    record = faulting(change(COMPRESS, source2=0x5000), blocking=False)
    assert (record.status, record.fault_address) == (Status.PAGE_FAULT, 0x5000)


# -- orders -----------------------------------------------------------------------------------


def ordered(order: Order) -> Accelerator:
    return Accelerator(orders=Orders([order]))


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.PENDING])
def test_every_status_can_be_ordered(status: Status) -> None:
    accelerator = ordered(Order(status=status, error=3, nth=2))
    assert submit(CRC, accelerator).ok
    record = submit(CRC, accelerator)
    assert (record.status, record.error) == (status, 3)
    assert submit(CRC, accelerator).ok


@pytest.mark.parametrize("error", list(AnalyticsError)[1:])
def test_every_analytics_error_can_be_ordered(error: AnalyticsError) -> None:
    record = submit(CRC, ordered(Order(status=0x0A, error=error)))
    assert AnalyticsError(record.error) is error


def test_orders_count_from_the_nth_on_and_by_opcode() -> None:
    accelerator = ordered(Order(status=0x20, nth=2, and_later=True, opcode=0x44))
    assert submit(CRC, accelerator).ok
    assert submit(COMPRESS, accelerator).ok
    assert [submit(CRC, accelerator).status for _ in range(2)] == [0x20, 0x20]
    assert submit(COMPRESS, accelerator).ok


@pytest.mark.parametrize(
    ("operand", "status", "address"),
    [
        (Operand.SOURCE1, Status.PAGE_FAULT, SOURCE),
        (Operand.SOURCE2, Status.PAGE_FAULT, SOURCE2),
        (Operand.DESTINATION, Status.PAGE_FAULT | 0x80, DESTINATION),
    ],
)
def test_ordered_faults(operand: Operand, status: int, address: int) -> None:
    accelerator = ordered(Order(fault=operand))
    record = submit(COMPRESS, accelerator)
    assert (record.status, record.fault_address) == (status, address)
    # The system resolves it when it is asked to.
    blocking = change(COMPRESS, flags=COMPRESS.flags | FLAG.BLOCK_ON_FAULT)
    assert submit(blocking, accelerator).ok


def test_ordered_fault_of_the_completion_record() -> None:
    accelerator = ordered(Order(fault=Operand.COMPLETION))
    assert submit(CRC, accelerator).status == Status.PENDING
    assert accelerator.software_error is not None


def test_hang_and_slow() -> None:
    accelerator = ordered(Order(hang=True))
    assert submit(COMPRESS, accelerator).status == Status.PENDING
    assert accelerator.memory.writes == []
    accelerator = ordered(Order(slow_s=2.5))
    assert submit(CRC, accelerator).ok
    assert accelerator.slept == [2.5]


def test_a_full_queue_is_seen_at_submission() -> None:
    orders = Orders([Order(full=True, nth=2), Order(hang=True, nth=1)])
    data = CRC.pack()
    assert [orders.accepts(data) for _ in range(3)] == [True, False, True]
    taken = orders.take(0x44)
    assert taken is not None
    assert taken.hang


@pytest.mark.parametrize("wrong", [{}, {"hang": True, "full": True}, {"status": 0}])
def test_orders_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"order|status"):
        Order(**wrong)


def test_statuses_that_descriptors_reach() -> None:
    """Each status comes from a real cause somewhere here, or only from broken hardware."""
    reached = {status for status, _ in REFUSED}
    reached |= {Status.SUCCESS, Status.PENDING, Status.PAGE_FAULT, Status.PAGE_FAULT_UNRESOLVED}
    reached |= {Status.COMPLETION_ALIGNMENT, Status.COMPLETION_TRANSLATION}
    in_other_files = {Status.ANALYTICS_ERROR, Status.OUTPUT_OVERFLOW, Status.BAD_FILTER_FLAGS}
    in_other_files |= {Status.BAD_ELEMENT_COUNT, Status.BAD_WIDTH, Status.BAD_INVERT}
    assert set(Status) - reached - in_other_files == {
        Status.PRIVILEGE,
        Status.TRAFFIC_CLASS,
        Status.READBACK_TRANSLATION,
        Status.HARDWARE_ERROR,
        Status.HARDWARE_TIMEOUT,
        Status.TRANSLATION_ERROR,
        Status.PAGE_REQUEST_TIMEOUT,
        Status.WATCHDOG,
        Status.BAD_INPUT_SIZE,
    }


# -- garbage ----------------------------------------------------------------------------------

OPCODES = st.one_of(st.sampled_from([int(o) for o in Opcode]), st.integers(0, 255))
ADDRESSES = st.one_of(
    st.sampled_from([SOURCE, DESTINATION, SOURCE2, COMPLETION, 0, (1 << 64) - 64]),
    st.integers(0, (1 << 64) - 1),
)
SIZES = st.one_of(st.integers(0, 200), st.sampled_from([1568, 5376, 1248, 32, 0xFFFFFFFF]))
GARBAGE = st.builds(
    d.Descriptor,
    opcode=OPCODES,
    flags=st.one_of(
        st.just(0x0C),
        st.just(0x1000C),
        st.just(0x5000C),
        st.just(0x2000C),
        st.integers(0, 0xFFFFFF),
    ),
    completion_address=st.one_of(st.just(COMPLETION), ADDRESSES),
    source1=st.one_of(st.just(SOURCE), ADDRESSES),
    destination=st.one_of(st.just(DESTINATION), ADDRESSES),
    source1_size=SIZES,
    interrupt_handle=st.sampled_from([0, 0, 0, 1, 65535]),
    operation_flags=st.one_of(st.just(0), st.integers(0, 1023), st.integers(0, 65535)),
    source2=st.one_of(st.just(SOURCE2), ADDRESSES),
    max_destination_size=SIZES,
    source2_size=SIZES,
    filter_flags=st.one_of(st.just(0), st.integers(0, (1 << 17) - 1), st.integers(0, 0xFFFFFFFF)),
    elements=st.one_of(st.integers(0, 100), st.just(0xFFFFFFFF)),
)


@given(
    GARBAGE,
    st.binary(min_size=200, max_size=200),
    st.binary(min_size=64, max_size=64),
    st.sampled_from([0, 0x1F7]),
)
@settings(max_examples=400)
def test_garbage_is_answered_with_a_known_status(
    work: d.Descriptor, source: bytes, second: bytes, iaa_cap: int
) -> None:
    accelerator = Accelerator(WqLimits(frozenset(range(256)), 1 << 31, iaa_cap=iaa_cap))
    accelerator.prepare(source, (second * 200)[: 2 * 5376])
    record = accelerator.submit(work)
    Status(record.code)
    AnalyticsError(record.error)
    if record.code == Status.ANALYTICS_ERROR:
        assert record.error
    if record.ok and record.output_size:
        assert record.output_size <= work.max_destination_size


@given(st.binary(max_size=300), st.sampled_from([0x1F, 0x01, 0x0D, 0x21, 0x21F]))
@settings(max_examples=400)
def test_garbage_streams_agree_with_zlib(stream: bytes, options: int) -> None:
    work = d.decompress(0, (0, 0), (DESTINATION, 1 << 16))
    stream = stream or b"\0"
    record, output = Accelerator().run(replace(work, operation_flags=options), stream)
    assert record.code in (Status.SUCCESS, Status.ANALYTICS_ERROR)
    if options != 0x1F or not record.ok:
        return
    unpacker = zlib.decompressobj(-12)
    assert unpacker.decompress(stream) == output
    assert record.bytes_completed == len(stream) - len(unpacker.unused_data)


@given(st.binary(min_size=64, max_size=64))
def test_any_64_bytes(data: bytes) -> None:
    execute(data, FlatMemory(), WqLimits())


def test_other_lengths_are_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="63"):
        execute(bytes(63), FlatMemory(), WqLimits())


# -- memory of processes ----------------------------------------------------------------------


def test_own_memory() -> None:
    memory = own_memory()
    buffer = ctypes.create_string_buffer(10000)
    address = ctypes.addressof(buffer)
    memory.write(address, b"x" * 9000)
    assert memory.read(address, 10000) == b"x" * 9000 + bytes(1000)
    for bad in (8, (1 << 64) - 8):
        with pytest.raises(Fault) as met:
            memory.read(bad, 64)
        assert (met.value.address, met.value.write, met.value.done) == (bad, False, 0)
        with pytest.raises(Fault):
            memory.write(bad, bytes(64))


def test_a_fault_names_the_first_page_that_is_missing() -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    base = library.mmap(None, 3 * 4096, 3, 0x22, -1, 0)
    assert library.munmap(base + 2 * 4096, 4096) == 0
    try:
        with pytest.raises(Fault) as met:
            own_memory().read(base + 100, 3 * 4096 - 100)
        assert met.value.address == base + 2 * 4096
        assert met.value.done == 2 * 4096 - 100
        with pytest.raises(Fault) as met:
            own_memory().write(base + 100, bytes(3 * 4096 - 100))
        assert (met.value.address, met.value.write) == (base + 2 * 4096, True)
    finally:
        library.munmap(base, 2 * 4096)


def test_a_process_that_is_gone_faults() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    with pytest.raises(Fault):
        ProcessMemory(process.pid).read(0x1000, 8)


def test_a_whole_job_in_process_memory() -> None:
    arena = ctypes.create_string_buffer(32768)
    base = (ctypes.addressof(arena) + 63) // 64 * 64
    memory = ProcessMemory(os.getpid())
    aecs, source, output = base + 64, base + 4096, base + 12288
    memory.write(aecs, AECS)
    memory.write(source, DATA)
    work = d.compress(base, (source, len(DATA)), (output, 4096), (aecs, 1568), block_on_fault=True)
    assert execute(work.pack(), memory, WqLimits()) is None
    record = CompletionRecord.parse(memory.read(base, 64))
    assert record.ok
    assert zlib.decompress(memory.read(output, record.output_size), -12) == DATA
