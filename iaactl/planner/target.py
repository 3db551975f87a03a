"""Which device takes which entry of a profile, and what each of its attributes shall then be."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from iaactl.model.codes import found
from iaactl.model.device import Access, Device, Inventory
from iaactl.model.finding import Finding
from iaactl.model.profile import DeviceProfile, GroupProfile, Match, Profile, WorkQueueProfile
from iaactl.planner.state import Key, State


@dataclass(slots=True)
class Target:
    """One device and the state its entry asks for; `wqs` keeps the profile's words by queue."""

    device: Device
    entry: DeviceProfile
    state: State = field(default_factory=dict)
    wqs: dict[str, WorkQueueProfile] = field(default_factory=dict)
    access: list[Access] = field(default_factory=list)


def _error(code: str, subject: str, sentence: str, remedy: str | None = None) -> Finding:
    return found(code, subject, sentence, remedy=remedy)


def _holds(match: Match, device: Device) -> bool:
    return (
        (match.names is None or device.id in match.names)
        and (match.pci is None or device.pci in match.pci)
        and (match.numa_node is None or device.numa_node == match.numa_node)
        and (match.socket is None or device.socket == match.socket)
    )


def _words(match: Match) -> str:
    given = match.model_dump(exclude_none=True)
    return ", ".join(f"{key}: {value}" for key, value in given.items()) or "all devices"


def _pick(match: Match, free: list[Device], where: str) -> tuple[list[Device], list[Finding]]:
    """The devices that one entry takes out of `free`, and what it misses."""
    fitting = [device for device in free if _holds(match, device)]
    missing = [
        _error("IAA-P001", name, f"{where}: there is no free device {name}")
        for name in match.names or ()
        if not any(device.id == name for device in free)
    ]
    missing += [
        _error("IAA-P001", address, f"{where}: there is no free IAA device at {address}")
        for address in match.pci or ()
        if not any(device.pci == address for device in free)
    ]
    if match.count is not None:
        if len(fitting) < match.count:
            missing.append(
                _error(
                    "IAA-P002",
                    where,
                    f"{where} wants {match.count} devices ({_words(match)}), "
                    f"but only {len(fitting)} are left",
                )
            )
        fitting = fitting[: match.count]
    elif match.count_per_socket is not None:
        sockets = sorted({-1 if d.socket is None else d.socket for d in fitting})
        taken: list[Device] = []
        for socket in sockets:
            local = [d for d in fitting if (-1 if d.socket is None else d.socket) == socket]
            if len(local) < match.count_per_socket:
                missing.append(
                    _error(
                        "IAA-P002",
                        where,
                        f"{where} wants {match.count_per_socket} devices of each socket, "
                        f"but socket {socket} has only {len(local)} left",
                    )
                )
            taken += local[: match.count_per_socket]
        fitting = taken
    if not fitting and not missing:
        missing.append(
            _error(
                "IAA-P001",
                where,
                f"{where} matches no IAA device ({_words(match)})",
                "`iaactl list` shows names, NUMA nodes and sockets",
            )
        )
    return fitting, missing


def _engines(groups: list[tuple[int, GroupProfile]], device: Device) -> tuple[State, list[Finding]]:
    """Group of each engine of the device; engines that no group names serve none."""
    owner: dict[int, int] = {}
    findings: list[Finding] = []
    known = {engine.index for engine in device.engines}
    for number, group in groups:
        if isinstance(group.engines, list):
            for index in group.engines:
                if index not in known:
                    findings.append(
                        _error(
                            "IAA-P005",
                            device.id,
                            f"{device.id} has no engine {index}; it has {len(known)} engines",
                        )
                    )
                elif index in owner:
                    findings.append(
                        _error(
                            "IAA-P005",
                            device.id,
                            f"engine {index} of {device.id} is in two groups "
                            f"({owner[index]} and {number})",
                        )
                    )
                owner[index] = number
    for number, group in groups:
        if isinstance(group.engines, list):
            continue
        free = [index for index in sorted(known) if index not in owner]
        wanted = len(free) if group.engines == "all" else group.engines
        if wanted > len(free) or not wanted:
            findings.append(
                _error(
                    "IAA-P005",
                    device.id,
                    f"group {number} of {device.id} wants {group.engines} engines, "
                    f"but {len(free)} of {len(known)} are left",
                )
            )
        owner.update(dict.fromkeys(free[:wanted], number))
    state = {Key(e.id, "group_id"): str(owner.get(e.index, -1)) for e in device.engines}
    return state, findings


def _indexes(entry: DeviceProfile) -> list[tuple[GroupProfile, WorkQueueProfile, int]]:
    """Work queues of an entry with their numbers: those given, the others the next free ones."""
    taken = {wq.index for group in entry.groups for wq in group.wqs if wq.index is not None}
    free = (n for n in count() if n not in taken)
    return [
        (group, wq, next(free) if wq.index is None else wq.index)
        for group in entry.groups
        for wq in group.wqs
    ]


def _group_numbers(entry: DeviceProfile) -> list[tuple[int, GroupProfile]]:
    taken = {group.id for group in entry.groups if group.id is not None}
    free = (n for n in count() if n not in taken)
    return [(next(free) if g.id is None else g.id, g) for g in entry.groups]


def _switch(value: bool) -> str:
    return "1" if value else "0"


def _wq_state(wq: WorkQueueProfile, name: str, group: int, size: int, device: Device) -> State:
    here = next(q for q in device.work_queues if q.id == name)
    values: dict[str, str] = {
        "state": wq.state,
        "mode": wq.mode,
        "type": wq.type,
        "name": wq.name,
        "size": str(size),
        "group_id": str(group),
        "priority": str(wq.priority),
        "block_on_fault": _switch(wq.block_on_fault),
        "threshold": str(wq.threshold or size) if wq.mode == "shared" else "0",
    }
    if here.driver_name is not None:  # Linux 6.8 and later
        values["driver_name"] = wq.driver
    if wq.max_transfer_size is not None:
        values["max_transfer_size"] = str(wq.max_transfer_size)
    if wq.ats_disable is not None:
        values["ats_disable"] = _switch(wq.ats_disable)
    if wq.prs_disable is not None:
        values["prs_disable"] = _switch(wq.prs_disable)
    elif wq.block_on_fault and here.prs_disable is not None:
        values["prs_disable"] = "0"  # left over, it would refuse block_on_fault
    if wq.op_config is not None:
        words = [int(word, 16) for word in wq.op_config.split(",")]
        values["op_config"] = ",".join(f"{word:08x}" for word in [0] * (8 - len(words)) + words)
    return {Key(name, attribute): value for attribute, value in values.items()}


def _device_target(entry: DeviceProfile, device: Device) -> tuple[Target, list[Finding]]:
    target = Target(device, entry)
    groups = _group_numbers(entry)
    engines, findings = _engines(groups, device)
    target.state |= engines
    numbers = {id(group): number for number, group in groups}
    for number, group in groups:
        if number >= device.max_groups:
            findings.append(
                _error(
                    "IAA-P005",
                    device.id,
                    f"{device.id} has no group {number}; it has {device.max_groups} groups",
                )
            )
        for attribute in (
            "traffic_class_a",
            "traffic_class_b",
            "desc_progress_limit",
            "batch_progress_limit",
        ):
            value = getattr(group, attribute)
            if value is not None:
                target.state[Key(f"group{device.id[3:]}.{number}", attribute)] = str(value)
    if entry.event_log_size is not None:
        target.state[Key(device.id, "event_log_size")] = str(entry.event_log_size)
    listed = _indexes(entry)
    total = device.max_work_queues_size
    fixed = sum(wq.size for _, wq, _ in listed if wq.size != "rest")
    rest = total - fixed
    if fixed > total or (rest < 1 and any(wq.size == "rest" for _, wq, _ in listed)):
        sizes = " + ".join(str(wq.size) for _, wq, _ in listed)
        findings.append(
            _error(
                "IAA-P004",
                device.id,
                f"work queue sizes {sizes} make {fixed} entries; {device.id} has {total}",
                "lower `size` of one work queue",
            )
        )
        return target, findings
    for group, wq, index in listed:
        name = f"wq{device.id[3:]}.{index}"
        if not any(q.id == name for q in device.work_queues):
            findings.append(
                _error(
                    "IAA-P005",
                    device.id,
                    f"{device.id} has no {name}; it has {device.max_work_queues} work queues",
                )
            )
            continue
        size = rest if wq.size == "rest" else wq.size
        if wq.threshold is not None and wq.threshold > size:
            findings.append(
                _error(
                    "IAA-P004",
                    f"{device.id}/{name}",
                    f"threshold {wq.threshold} of {name} is more than the {size} entries left",
                )
            )
        target.state |= _wq_state(wq, name, numbers[id(group)], size, device)
        target.wqs[name] = wq
        if wq.access is not None:
            target.access.append(
                Access(
                    wq=name,
                    owner=wq.access.owner or "root",
                    group=wq.access.group or "root",
                    mode=wq.access.mode,
                )
            )
    for queue in device.work_queues:
        if queue.id not in target.wqs:
            off = {"state": "disabled", "size": "0", "group_id": "-1"}
            target.state |= {Key(queue.id, attribute): value for attribute, value in off.items()}
    target.state[Key(device.id, "state")] = "enabled"
    return target, findings


def resolve(profile: Profile, inventory: Inventory) -> tuple[list[Target], list[Finding]]:
    """The target of each device a profile takes, and everything about it that does not fit."""
    free = list(inventory.devices)
    targets: list[Target] = []
    findings: list[Finding] = []
    for number, entry in enumerate(profile.devices, 1):
        taken, missing = _pick(entry.match, free, f"entry {number} of `devices`")
        findings += missing
        for device in taken:
            free.remove(device)
            target, problems = _device_target(entry, device)
            targets.append(target)
            findings += problems
    return targets, findings
