"""What is wanted: the profile a user writes, with every unit and rule in its schema.

Cross-field rules are the driver's (Documentation/ABI/stable/sysfs-driver-dma-idxd): a threshold
needs a shared work queue and at most its size, a group needs both work queues and engines.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from iaactl.model.names import parse_device, parse_pci
from iaactl.model.units import parse_bytes


class Section(BaseModel):
    """Base of all parts of a profile: immutable, unknown keys refused, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _device_name(text: str) -> str:
    name = parse_device(text)
    if name.kind != "iax":
        raise ValueError(f"`{text}` is a DSA device; profiles configure IAA devices (iaxN)")
    return text


def _bytes(value: Any) -> Any:
    return parse_bytes(value) if isinstance(value, str) else value


def _power_of_two(count: int) -> int:
    if count & (count - 1):
        raise ValueError(f"{count} bytes is not a power of two; write e.g. 2MiB or 4MiB")
    return count


def _octal(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return int(value, 8)
        except ValueError:
            raise ValueError(f'`{value}` is not an octal mode such as "0660"') from None
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f'put the mode in quotes, e.g. "0660", so that {value} is read as octal')
    return value


IaaName = Annotated[str, AfterValidator(_device_name)]
PciAddress = Annotated[str, AfterValidator(parse_pci)]
PlainName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.\-]+$")]
ByteCount = Annotated[int, BeforeValidator(_bytes)]


class Match(Section):
    """Which devices an entry takes, out of those that no earlier entry has taken.

    All conditions given must hold. Without any, every IAA device is meant.
    """

    names: list[IaaName] | None = Field(None, min_length=1, description="kernel names, e.g. iax1")
    pci: list[PciAddress] | None = Field(
        None, min_length=1, description="PCI addresses, e.g. 0000:6a:02.0"
    )
    numa_node: int | None = Field(None, ge=0, description="NUMA node of the device")
    socket: int | None = Field(
        None, ge=0, description="CPU socket (physical package) of the device"
    )
    count: int | None = Field(None, ge=1, description="take so many devices, in natural order")
    count_per_socket: int | None = Field(
        None, ge=1, description="take so many devices of each socket, in natural order"
    )

    @model_validator(mode="after")
    def _one_count(self) -> Match:
        if self.count is not None and self.count_per_socket is not None:
            raise PydanticCustomError("two_counts", "give `count` or `count_per_socket`, not both")
        return self


class Access(Section):
    """Who may open the device node of a user work queue; granted by a udev rule for that queue."""

    owner: PlainName | None = Field(None, description="user name; default root")
    group: PlainName | None = Field(None, description="group name; default root")
    mode: Annotated[int, BeforeValidator(_octal)] = Field(
        0o660, ge=0, le=0o770, description='permission bits as a quoted octal number, e.g. "0660"'
    )


class WorkQueueProfile(Section):
    """One work queue."""

    name: PlainName = Field(description="name of the work queue; the driver wants one")
    index: int | None = Field(
        None, ge=0, description="number of the work queue in its device; default: the next free one"
    )
    type: Literal["user", "kernel"] = Field(
        "user", description="user: /dev/iax node for QEMU and QPL; kernel: iaa_crypto (zswap)"
    )
    mode: Literal["shared", "dedicated"] = Field(
        "shared", description="shared: many processes by ENQCMD; dedicated: one opener, MOVDIR64B"
    )
    size: Annotated[int, Field(ge=1)] | Literal["rest"] = Field(
        description="entries of the device's storage; `rest`: all that no other queue takes"
    )
    threshold: int | None = Field(
        None, ge=1, description="entries that user submitters may fill, shared only; default: size"
    )
    priority: int = Field(10, ge=1, le=15, description="weight against the group's other queues")
    block_on_fault: bool = Field(
        True, description="the device waits for a page to be faulted in instead of giving up"
    )
    driver_name: PlainName | None = Field(
        None, description="driver that takes the queue; default: user or, for type kernel, crypto"
    )
    max_transfer_size: Annotated[ByteCount, AfterValidator(_power_of_two), Field(ge=1)] | None = (
        Field(None, description="largest source or destination, bytes; default: the driver's 2MiB")
    )
    ats_disable: bool | None = Field(None, description="no address translation service")
    prs_disable: bool | None = Field(None, description="no page request service (IAA 2.0)")
    op_config: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{1,8}(,[0-9a-f]{1,8}){0,7}$",
        description="operations allowed, as the hexadecimal words of op_cap (IAA 2.0)",
    )
    state: Literal["enabled", "disabled"] = Field("enabled", description="enable it or only set up")
    access: Access | None = Field(None, description="who may open the node; default: root only")

    @model_validator(mode="after")
    def _rules(self) -> WorkQueueProfile:
        if self.mode == "dedicated" and self.threshold is not None:
            raise PydanticCustomError(
                "threshold_dedicated",
                "work queue `{name}`: a dedicated work queue has no threshold; "
                "remove it, or write `mode: shared`",
                {"name": self.name},
            )
        if self.threshold is not None and self.size != "rest" and self.threshold > self.size:
            raise PydanticCustomError(
                "threshold_size",
                "work queue `{name}`: threshold {threshold} is more than size {size}; "
                "at most {size} entries",
                {"name": self.name, "threshold": self.threshold, "size": self.size},
            )
        if self.access is not None and self.type != "user":
            raise PydanticCustomError(
                "access_kernel",
                "work queue `{name}`: a queue of type kernel has no device node; remove `access`",
                {"name": self.name},
            )
        if self.prs_disable and self.block_on_fault:
            raise PydanticCustomError(
                "prs_block",
                "work queue `{name}`: block_on_fault needs page requests; "
                "write `block_on_fault: false` with `prs_disable: true`",
                {"name": self.name},
            )
        return self

    @property
    def driver(self) -> str:
        """Name of the driver that shall take the queue."""
        return self.driver_name or ("user" if self.type == "user" else "crypto")


class GroupProfile(Section):
    """One group: engines and the work queues they serve."""

    id: int | None = Field(None, ge=0, description="number of the group; default: its place")
    engines: Literal["all"] | Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=0)]] = (
        Field(description="`all`, how many, or a list of engine numbers")
    )
    wqs: list[WorkQueueProfile] = Field(min_length=1, description="work queues of the group")
    traffic_class_a: int | None = Field(None, ge=0, le=7, description="IAA 3.0 only")
    traffic_class_b: int | None = Field(None, ge=0, le=7, description="IAA 3.0 only")
    desc_progress_limit: int | None = Field(None, ge=0, le=3, description="IAA 2.0")
    batch_progress_limit: int | None = Field(None, ge=0, le=3, description="IAA 2.0")

    @model_validator(mode="after")
    def _rules(self) -> GroupProfile:
        if self.engines == []:
            raise PydanticCustomError(
                "no_engines", "a group without engines serves nothing; write `engines: all`"
            )
        if isinstance(self.engines, list) and len(set(self.engines)) != len(self.engines):
            raise PydanticCustomError("engine_twice", "an engine is listed twice")
        rests = sum(1 for wq in self.wqs if wq.size == "rest")
        if rests > 1:
            raise PydanticCustomError("two_rests", "only one work queue can have `size: rest`")
        return self


class DeviceProfile(Section):
    """What the devices that `match` takes shall be; their other work queues are switched off."""

    match: Match = Field(default_factory=Match, description="which devices; default: all")
    event_log_size: int | None = Field(
        None, ge=64, le=65535, description="entries of the event log (IAA 2.0)"
    )
    groups: list[GroupProfile] = Field(min_length=1, description="groups of each device")

    @model_validator(mode="after")
    def _rules(self) -> DeviceProfile:
        if sum(1 for group in self.groups if group.engines == "all") and len(self.groups) > 1:
            raise PydanticCustomError(
                "all_engines", "`engines: all` leaves none for the other groups; give numbers"
            )
        ids = [group.id for group in self.groups if group.id is not None]
        if len(set(ids)) != len(ids):
            raise PydanticCustomError("group_twice", "two groups have the same id")
        indexes = [wq.index for g in self.groups for wq in g.wqs if wq.index is not None]
        if len(set(indexes)) != len(indexes):
            raise PydanticCustomError("wq_twice", "two work queues have the same index")
        if sum(1 for g in self.groups for wq in g.wqs if wq.size == "rest") > 1:
            raise PydanticCustomError("two_rests", "only one work queue can have `size: rest`")
        return self


class Profile(Section):
    """A declarative configuration of IAA devices. Devices that no entry takes are left alone."""

    version: Literal[1] = Field(description="version of this format")
    description: str = Field("", description="for whom and why")
    devices: list[DeviceProfile] = Field(min_length=1, description="entries, first match wins")
