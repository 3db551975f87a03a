"""accel-config's JSON: profiles from it, and JSON from devices, without losing anything.

The file is an array of devices. accel-config applies its keys in file order, so what is written
here puts mode and size before threshold and type before name; `max_batch_size` is never written,
because IAA has none and 3.5.3 refuses to load it. Source: accel-config-save-config(1).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from iaactl.errors import DocumentError
from iaactl.model.device import Device, WorkQueue
from iaactl.model.profile import Profile

_WQ_KEYS = (
    "mode",
    "size",
    "group_id",
    "priority",
    "block_on_fault",
    "max_transfer_size",
    "type",
    "name",
    "driver_name",
    "threshold",
    "prs_disable",
    "ats_disable",
    "op_config",
)
_GROUP_KEYS = (
    "traffic_class_a",
    "traffic_class_b",
    "desc_progress_limit",
    "batch_progress_limit",
)


def _bad(source: str, sentence: str) -> DocumentError:
    return DocumentError(
        f"{source}: {sentence}",
        hint="it should be what `accel-config save-config` or `accel-config list` prints",
    )


def _index(name: object, source: str) -> int:
    number = str(name).rpartition(".")[2]
    if not number.isdigit():
        raise _bad(source, f"`{name}` is not a name such as wq1.0")
    return int(number)


def _wq(entry: dict[str, Any], source: str) -> dict[str, Any]:
    wq: dict[str, Any] = {
        "name": entry.get("name") or "wq",
        "index": _index(entry.get("dev"), source),
        "mode": entry.get("mode", "shared"),
        "type": entry.get("type", "user"),
        "size": entry.get("size"),
        "priority": entry.get("priority", 10),
        "block_on_fault": bool(entry.get("block_on_fault", 0)),
        "state": "disabled" if entry.get("state") == "disabled" else "enabled",
    }
    if wq["mode"] == "shared" and entry.get("threshold"):
        wq["threshold"] = entry["threshold"]
    if entry.get("driver_name"):
        wq["driver_name"] = entry["driver_name"]
    for key in ("max_transfer_size", "op_config"):
        if entry.get(key):
            wq[key] = entry[key]
    for key in ("ats_disable", "prs_disable"):
        if entry.get(key) is not None:
            wq[key] = bool(entry[key])
    return wq


def _group(entry: dict[str, Any], version: int, source: str) -> dict[str, Any] | None:
    wqs = [_wq(wq, source) for wq in entry.get("grouped_workqueues") or ()]
    engines = [_index(e.get("dev"), source) for e in entry.get("grouped_engines") or ()]
    if not wqs and not engines:
        return None
    group = {"id": _index(entry.get("dev"), source), "engines": engines, "wqs": wqs}
    for key in _GROUP_KEYS:
        # Traffic classes are fixed before IAA 3.0; older accel-config saves them all the same.
        fixed = key.startswith("traffic") and version <= 0x200
        if entry.get(key) is not None and entry[key] >= 0 and not fixed:
            group[key] = entry[key]
    return group


def read(text: str, source: str) -> Profile:
    """The profile that an accel-config JSON file describes; DSA devices in it are left out.

    Raises DocumentError when it is not such a file, or asks for what no IAA device can do.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad(source, f"not JSON: {error}") from None
    if not isinstance(document, list) or not all(isinstance(d, dict) for d in document):
        raise _bad(source, "not an array of devices")
    entries = []
    try:
        for device in document:
            name = str(device.get("dev"))
            if not name.startswith("iax"):
                continue
            version = int(str(device.get("version", "0x100")), 0)
            groups = [_group(g, version, source) for g in device.get("groups") or ()]
            entry = {"match": {"names": [name]}, "groups": [g for g in groups if g]}
            if (device.get("event_log_size") or -1) >= 64:
                entry["event_log_size"] = device["event_log_size"]
            entries.append(entry)
    except (TypeError, ValueError, AttributeError) as error:
        raise _bad(source, f"not of accel-config's form: {error}") from None
    if not entries:
        raise _bad(source, "no IAA device (iaxN) in it")
    try:
        return Profile.model_validate(
            {"version": 1, "description": f"imported from {source}", "devices": entries}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _bad(source, f"{where}: {first['msg']}") from None


def _wq_json(wq: WorkQueue) -> dict[str, Any]:
    entry: dict[str, Any] = {"dev": wq.id}
    for key in _WQ_KEYS:
        value = getattr(wq, key)
        if value is None or (key == "threshold" and wq.mode == "dedicated"):
            continue
        if key in ("name", "driver_name") and not value:
            continue
        entry[key] = value
    return entry


def write(devices: Iterable[Device]) -> str:
    """The JSON that both 3.5.3 and 4.1.x load and that describes these devices' groups."""
    document = []
    for device in devices:
        entry: dict[str, Any] = {"dev": device.id}
        if device.event_log_size is not None:
            entry["event_log_size"] = device.event_log_size
        groups = []
        for group in device.groups:
            part: dict[str, Any] = {"dev": group.id}
            for key in _GROUP_KEYS:
                value = getattr(group, key)
                fixed = key.startswith("traffic") and (device.version or 0) <= 0x200
                if value is not None and value >= 0 and not fixed:
                    part[key] = value
            wqs = [w for w in device.work_queues if w.group_id == group.index]
            engines = [e for e in device.engines if e.group_id == group.index]
            if wqs:
                part["grouped_workqueues"] = [_wq_json(w) for w in wqs]
            if engines:
                part["grouped_engines"] = [{"dev": e.id, "group_id": e.group_id} for e in engines]
            groups.append(part)
        entry["groups"] = groups
        document.append(entry)
    return json.dumps(document, indent=2) + "\n"
