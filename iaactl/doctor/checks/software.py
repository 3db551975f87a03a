"""Libraries, QEMU, saved configuration, memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from iaactl.model.codes import found
from iaactl.model.device import Inventory
from iaactl.model.facts import Facts
from iaactl.model.finding import Finding
from iaactl.model.units import format_bytes


def _version(text: str | None) -> tuple[int, ...]:
    match = re.match(r"(\d{1,9}(?:\.\d{1,9})*)", text or "")
    return tuple(int(part) for part in match[1].split(".")) if match else ()


def check(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    """Only what was found or certainly is not there; what nobody looked for is no finding."""
    yield from _libraries(facts, inventory)
    yield from _qemu(facts)
    yield from _saved(facts, inventory)
    if facts.fault_latency:
        slow = _slow_faults(facts.fault_latency)
        if slow:
            yield found(
                "IAA-M001",
                "host",
                f"devices waited 100 us or more for {slow} page faults",
                f"/sys/kernel/debug/iommu/intel/dmar_perf_latency: {facts.fault_latency}",
            )
    memory = facts.memory
    if memory.available_bytes is not None:
        huge = (
            f"{memory.huge_pages_free} of {memory.huge_pages} huge pages of "
            f"{format_bytes(memory.huge_page_bytes or 0)} are free"
        )
        yield found(
            "IAA-M002",
            "host",
            f"{format_bytes(memory.available_bytes >> 30 << 30)} of memory are available for "
            "destinations that preallocate",
            f"/proc/meminfo: MemAvailable {memory.available_bytes >> 10} kB",
            f"/proc/meminfo: {huge}",
        )


def _slow_faults(line: str) -> int:
    """Page requests that took 100 us or longer: the columns are <0.1us, 0.1-1, 1-10, 10-100, ..."""
    numbers = [int(word) for word in line.split() if re.fullmatch(r"\d{1,18}", word)]
    return sum(numbers[4:7]) if len(numbers) >= 7 else 0


def _libraries(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    libraries = facts.software.libraries
    if libraries is None:
        return
    by_name = {library.name: library for library in libraries}
    accfg = by_name.get("libaccel-config.so.1")
    qpl = by_name.get("libqpl.so.1")
    if accfg is not None and accfg.path is None:
        yield found(
            "IAA-L001",
            "host",
            "libaccel-config.so.1 is not found by the dynamic linker",
            accfg.searched or "dlopen failed",
        )
    newest = max((device.version or 0 for device in inventory.devices), default=0)
    if accfg is not None and accfg.path and newest >= 0x200 and _version(accfg.version) < (4,):
        yield found(
            "IAA-L002",
            "host",
            f"libaccel-config {accfg.version} is too old for IAA 2.0",
            f"{accfg.path}: {accfg.version}",
        )
    if qpl is not None and qpl.path and () < _version(qpl.version) < (1, 6):
        yield found(
            "IAA-L003",
            "host",
            f"libqpl {qpl.version} can only submit through a mapped portal",
            f"{qpl.path}: {qpl.version}",
        )
    there = [f"{lib.path}: {lib.version or 'version unknown'}" for lib in libraries if lib.path]
    there += [f"{qemu.path}: {qemu.version or 'version unknown'}"
              for qemu in facts.software.qemu or ()]  # fmt: skip
    if facts.software.accel_config:
        there.append(f"accel-config: {facts.software.accel_config}")
    if there:
        yield found("IAA-L007", "host", "libraries and programs were found", *there)


def _qemu(facts: Facts) -> Iterator[Finding]:
    binaries = facts.software.qemu
    if not binaries:
        return
    for qemu in binaries:
        version = _version(qemu.version)
        if qemu.qpl and (9, 1) <= version < (9, 2, 1):
            yield found(
                "IAA-L004",
                "host",
                f"{qemu.path} {qemu.version} may corrupt guest memory with multifd compression qpl",
                f"{qemu.path}: version {qemu.version}, {qemu.evidence}",
            )
    if all(qemu.qpl is False for qemu in binaries):
        yield found(
            "IAA-L005",
            "host",
            "no QEMU on this machine is built with qpl",
            *(f"{qemu.path}: {qemu.version or '?'}, {qemu.evidence}" for qemu in binaries),
        )


def _saved(facts: Facts, inventory: Inventory) -> Iterator[Finding]:
    file = facts.accel_config_file
    if file is None or not inventory.devices:
        return
    try:
        document = json.loads(file.text)
    except (ValueError, RecursionError):
        yield found(
            "IAA-L006", "host", f"{file.path} is no JSON that accel-config loads", file.path
        )
        return
    known = {device.id for device in inventory.devices}
    problems = []
    for device in document if isinstance(document, list) else []:
        if not isinstance(device, dict):
            continue
        name = str(device.get("dev", ""))
        if name.startswith("iax") and name not in known:
            problems.append(f"{name} is not here")
        if name.startswith("iax"):
            problems += _wq_problems(device)
    if problems:
        yield found(
            "IAA-L006",
            "host",
            f"{file.path} does not fit this machine: {problems[0]}",
            *(f"{file.path}: {problem}" for problem in problems[:8]),
        )


def _wq_problems(device: dict[str, Any]) -> list[str]:
    problems = []
    groups = device.get("groups")
    for group in groups if isinstance(groups, list) else []:
        queues = group.get("grouped_workqueues") if isinstance(group, dict) else None
        for wq in queues if isinstance(queues, list) else []:
            if not isinstance(wq, dict):
                continue
            name = wq.get("dev", "a work queue")
            if "max_batch_size" in wq:
                problems.append(f"{name} has max_batch_size, which IAA does not have")
            if wq.get("mode") == "dedicated" and wq.get("threshold"):
                problems.append(f"{name} is dedicated and has a threshold")
            if wq.get("type") == "user" and not wq.get("driver_name"):
                problems.append(f"{name} has no driver_name, which Linux 6.8 and later want")
    return problems
