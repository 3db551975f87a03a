"""Figures that are hardly possible, or not what others measured: better doubted than believed.

The bounds come from published runs of QEMU with Intel QPL on Sapphire Rapids (cover letter of
"Live Migration With IAA" v7, 3 June 2024, and the commit on full queues of 14 June 2024): one
device feeds about 3 to 3.4 GB/s of guest memory, one core of QPL's software path 0.42 GB/s, fixed
Huffman pages of the Silesia corpus shrink to a half. Your data are not Silesia, so what depends on
the data is a notice, not a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from iaactl.bench.summary import link_bound
from iaactl.model.codes import found
from iaactl.model.finding import Finding, Severity
from iaactl.model.migration import PAGE_BYTES, Backend, Method
from iaactl.model.report import Machine, Run, Scenario, Side

DEVICE_BYTES_PER_S = (0.8e9, 5.0e9)
CORE_BYTES_PER_S = (0.15e9, 1.2e9)
FIXED_HUFFMAN_RATIO = (1.6, 2.2)
FAULT_S = (1e-6, 50e-6)


def _gbps(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e9:.2f} GB/s"


def _outside(value: float, bounds: tuple[float, float]) -> bool:
    return not bounds[0] <= value <= bounds[1]


def _devices(machine: Machine) -> int:
    return len({queue.wq.partition("/")[0] for queue in machine.queues})


def _hardware(run: Run, scenario: Scenario, machine: Machine) -> Iterator[Finding]:
    devices = _devices(machine)
    if not run.total_ms or not devices or run.sender.iaa_pages < run.sender.normal_pages / 2:
        return
    each = run.sender.iaa_pages * PAGE_BYTES / (run.total_ms / 1000) / devices
    low, high = DEVICE_BYTES_PER_S
    if each > high or (each < low and run.variant.prealloc and not link_bound(run, scenario)):
        yield found(
            "IAA-R101",
            run.variant.label,
            f"{run.variant.label}: {_gbps(each)} for each of {devices} devices is outside the "
            f"{_gbps(low)} to {_gbps(high)} that one device was ever seen to do",
            f"{run.sender.iaa_pages} pages on IAA in {run.total_ms:.0f} ms",
            severity=Severity.WARNING,
        )


def _core(label: str, who: str, side: Side) -> Iterator[Finding]:
    pages = side.software_pages + side.libqpl_pages
    if not side.codec_s or pages < 1000 or pages < side.normal_pages / 2:
        return
    each = pages * PAGE_BYTES / side.codec_s
    if _outside(each, CORE_BYTES_PER_S):
        yield found(
            "IAA-R102",
            label,
            f"{label}: {_gbps(each)} a core on the {who} is outside the "
            f"{_gbps(CORE_BYTES_PER_S[0])} to {_gbps(CORE_BYTES_PER_S[1])} that software deflate "
            "does on Silesia",
            f"{pages} pages in {side.codec_s:.2f} s of codec time",
            severity=Severity.NOTICE,
            remedy="pages that hardly compress or are nearly empty explain it; `--memory FILE` "
            "takes a guest of yours",
        )


def _ratio(run: Run) -> Iterator[Finding]:
    if run.ratio is None or run.variant.method is Method.NONE:
        return
    if run.ratio < 1:
        yield found(
            "IAA-R103",
            run.variant.label,
            f"{run.variant.label}: compressed pages took more bytes than the pages themselves "
            f"(ratio {run.ratio:.2f})",
            f"{run.payload_bytes} bytes of payload",
            severity=Severity.WARNING,
        )
    elif run.variant.method is Method.QPL and _outside(run.ratio, FIXED_HUFFMAN_RATIO):
        low, high = FIXED_HUFFMAN_RATIO
        yield found(
            "IAA-R104",
            run.variant.label,
            f"{run.variant.label}: ratio {run.ratio:.2f} is outside the {low} to {high} of fixed "
            "Huffman pages of Silesia: it is a property of this memory, not of the device",
            f"{run.payload_bytes} bytes of payload",
            severity=Severity.NOTICE,
        )


def _faults(runs: Sequence[Run]) -> Iterator[Finding]:
    for run in runs:
        if run.variant.prealloc or not run.receiver.faults or run.receiver.codec_s is None:
            continue
        touched = [
            other.receiver.codec_s
            for other in runs
            if other.variant == run.variant.model_copy(update={"prealloc": True})
            and other.receiver.codec_s is not None
        ]
        if not touched:
            continue
        each = (run.receiver.codec_s - min(touched)) / run.receiver.faults
        if _outside(each, FAULT_S):
            yield found(
                "IAA-R105",
                run.variant.label,
                f"{run.variant.label}: {each * 1e6:.1f} us a page fault is outside the 1 to 50 us "
                "that the IOMMU takes on average",
                f"{run.receiver.faults} faults on the receiver",
                severity=Severity.WARNING,
            )


def implausible(scenario: Scenario, machine: Machine, runs: Sequence[Run]) -> list[Finding]:
    """Findings about figures outside the gates, one a kind and variant; none without times."""
    doubts: list[Finding] = []
    for run in runs:
        if run.ok:
            doubts += _hardware(run, scenario, machine)
            if run.variant.method is Method.QPL:
                doubts += _core(run.variant.label, "sender", run.sender)
                doubts += _core(run.variant.label, "receiver", run.receiver)
            doubts += _ratio(run)
    doubts += _faults([run for run in runs if run.ok])
    first: dict[tuple[str, str], Finding] = {}
    for one in doubts:
        first.setdefault((one.code, one.subject), one)
    return list(first.values())


def used_software(side: Side) -> float:
    """Part of the normal pages that a side asked to work on IAA did in software."""
    if side.choice is None or side.choice.backend is not Backend.IAA or not side.normal_pages:
        return 0.0
    return (side.software_pages + side.libqpl_pages) / side.normal_pages
