"""The one table of sysfs attributes of devices, groups, engines and work queues.

Every other place that must know an attribute's type, unit, default or place in an order asks
here. Source: Documentation/ABI/stable/sysfs-driver-dma-idxd and recordings of the driver of
Linux 6.16 and 7.3; `since` is the release that brought the attribute.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Owner(StrEnum):
    """Kind of object an attribute belongs to; the value is the prefix of its name in sysfs."""

    DEVICE = "device"
    GROUP = "group"
    ENGINE = "engine"
    WQ = "wq"


class Kind(StrEnum):
    """How the text of an attribute is to be read."""

    INTEGER = "integer"
    HEX = "hex"
    SWITCH = "switch"
    WORD = "word"
    TEXT = "text"
    NAMES = "names"


class Settable(StrEnum):
    """When the driver lets an attribute be written."""

    NEVER = "never"
    WQ_DISABLED = "while the work queue is disabled"
    DEVICE_DISABLED = "while the device is disabled"
    ANY_TIME = "at any time"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One sysfs attribute.

    `reset` is the text after the driver has reset the object (None: kept or not defined).
    `rank` orders writes of one object: mode and size come before threshold, type before name.
    """

    owner: Owner
    name: str
    kind: Kind
    since: str
    settable: Settable = Settable.NEVER
    rank: int = 0
    unit: str = ""
    reset: str | None = None
    volatile: bool = False


_D, _G, _E, _W = Owner.DEVICE, Owner.GROUP, Owner.ENGINE, Owner.WQ
_I, _X, _S, _O, _T, _N = Kind.INTEGER, Kind.HEX, Kind.SWITCH, Kind.WORD, Kind.TEXT, Kind.NAMES
_WQ_OFF, _DEV_OFF = Settable.WQ_DISABLED, Settable.DEVICE_DISABLED

TABLE: tuple[Attribute, ...] = (
    Attribute(_D, "state", _O, "5.6"),
    Attribute(_D, "version", _X, "5.6"),
    Attribute(_D, "max_groups", _I, "5.6"),
    Attribute(_D, "max_work_queues", _I, "5.6"),
    Attribute(_D, "max_engines", _I, "5.6"),
    Attribute(_D, "max_work_queues_size", _I, "5.6", unit="entries"),
    Attribute(_D, "max_transfer_size", _I, "5.6", unit="bytes"),
    Attribute(_D, "numa_node", _I, "5.6"),
    Attribute(_D, "op_cap", _T, "5.6"),
    Attribute(_D, "gen_cap", _X, "5.6"),
    Attribute(_D, "iaa_cap", _X, "6.0"),
    Attribute(_D, "configurable", _S, "5.6"),
    Attribute(_D, "pasid_enabled", _S, "5.11"),
    Attribute(_D, "clients", _I, "5.6", volatile=True),
    Attribute(_D, "errors", _T, "5.6", volatile=True),
    Attribute(_D, "cdev_major", _I, "5.6", volatile=True),
    Attribute(_D, "cmd_status", _X, "5.10", volatile=True),
    Attribute(_D, "event_log_size", _I, "6.4", _DEV_OFF, 10, "entries"),
    Attribute(_G, "engines", _N, "5.6"),
    Attribute(_G, "work_queues", _N, "5.6"),
    Attribute(_G, "traffic_class_a", _I, "5.6", _DEV_OFF, 20),
    Attribute(_G, "traffic_class_b", _I, "5.6", _DEV_OFF, 21),
    Attribute(_G, "desc_progress_limit", _I, "6.0", _DEV_OFF, 22, reset="0"),
    Attribute(_G, "batch_progress_limit", _I, "6.0", _DEV_OFF, 23, reset="0"),
    Attribute(_E, "group_id", _I, "5.6", _DEV_OFF, 30, reset="-1"),
    Attribute(_W, "state", _O, "5.6"),
    Attribute(_W, "clients", _I, "5.6", volatile=True),
    Attribute(_W, "occupancy", _I, "5.14", volatile=True, unit="entries"),
    Attribute(_W, "cdev_minor", _I, "5.6", volatile=True),
    Attribute(_W, "mode", _O, "5.6", _WQ_OFF, 40, reset="shared"),
    Attribute(_W, "type", _O, "5.6", _WQ_OFF, 41, reset="none"),
    Attribute(_W, "name", _T, "5.6", _WQ_OFF, 42, reset=""),
    Attribute(_W, "driver_name", _T, "6.8", _WQ_OFF, 43),
    Attribute(_W, "size", _I, "5.6", _DEV_OFF, 44, "entries", reset="0"),
    Attribute(_W, "group_id", _I, "5.6", _WQ_OFF, 45, reset="-1"),
    Attribute(_W, "priority", _I, "5.6", _WQ_OFF, 46, reset="0"),
    Attribute(_W, "prs_disable", _S, "6.4", _WQ_OFF, 47, reset="0"),
    Attribute(_W, "block_on_fault", _S, "5.11", _WQ_OFF, 48, reset="0"),
    Attribute(_W, "threshold", _I, "5.11", _WQ_OFF, 49, "entries", reset="0"),
    Attribute(_W, "max_transfer_size", _I, "5.10", _WQ_OFF, 50, "bytes", reset="2097152"),
    Attribute(_W, "ats_disable", _S, "5.11", _WQ_OFF, 51, reset="0"),
    Attribute(_W, "op_config", _T, "6.0", _WQ_OFF, 52),
    Attribute(_W, "enqcmds_retries", _I, "5.17", Settable.ANY_TIME, 53, reset="32"),
)

BY_NAME: dict[tuple[Owner, str], Attribute] = {(a.owner, a.name): a for a in TABLE}


def of(owner: Owner) -> tuple[Attribute, ...]:
    """All attributes of one kind of object, in table order."""
    return tuple(a for a in TABLE if a.owner is owner)


def settable(owner: Owner) -> tuple[Attribute, ...]:
    """The attributes of one kind of object that can be written, by rank."""
    writable = (a for a in TABLE if a.owner is owner and a.settable is not Settable.NEVER)
    return tuple(sorted(writable, key=lambda a: a.rank))
