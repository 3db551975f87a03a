"""The attributes of devices, groups and engines: which there are, and what reading them gives."""

from __future__ import annotations

from iaactl.sim.idxd import parse, read_buffers
from iaactl.sim.idxd.driver import Idxd
from iaactl.sim.kernfs import Attribute, Directory


def _names(names: list[str]) -> bytes:
    return (" ".join(names) + "\n").encode() if names else b""


def publish_device(device: Idxd, directory: Directory) -> None:
    """Attributes of the device itself."""
    cap, spec = device.cap, device.spec
    add = directory.add

    def fixed(text: str) -> Attribute:
        data = f"{text}\n".encode()
        return Attribute(lambda: data)

    add("version", fixed(f"{cap.version:#x}"))
    add("max_groups", fixed(str(cap.groups)))
    add("max_work_queues", fixed(str(cap.wqs)))
    add("max_work_queues_size", fixed(str(cap.entries)))
    add("max_engines", fixed(str(cap.engines)))
    add("max_transfer_size", fixed(str(cap.max_transfer)))
    if spec.kind == "dsa":
        add("max_batch_size", fixed(str(cap.max_batch)))
        read_buffers.publish_device(device, directory)
    add("numa_node", fixed(str(spec.numa_node)))
    add("op_cap", fixed(parse.mask_text(cap.op_cap)))
    add("gen_cap", fixed(f"{cap.gen_cap:#x}"))
    add("configurable", fixed(str(int(device.configurable))))
    add("pasid_enabled", fixed(str(int(device.user_pasid))))
    add("clients", Attribute(lambda: b"%d\n" % device.clients))
    add("state", Attribute(lambda: f"{device.state}\n".encode()))
    add("errors", Attribute(lambda: f"{parse.mask_text(device.software_error)}\n".encode()))
    add("cdev_major", fixed(str(device.host.spec.kernel.cdev_major)))
    add("cmd_status", Attribute(lambda: b"0x%x\n" % device.cmd_status, device.store_cmd_status))
    if spec.kind == "iax" and cap.version >= 0x200:
        add("iaa_cap", fixed(f"{cap.iaa_cap:#x}"))
    if cap.event_log:
        add(
            "event_log_size",
            Attribute(lambda: b"%d\n" % device.event_log_size, device.store_event_log_size),
        )


def publish_group(device: Idxd, index: int, directory: Directory) -> None:
    """Attributes of one group."""
    limits = ("desc_progress_limit", "batch_progress_limit") if device.cap.progress_limit else ()

    def engines() -> bytes:
        members = [n for n, group in enumerate(device.engines) if group == index]
        return _names([f"engine{device.id}.{n}" for n in members])

    def work_queues() -> bytes:
        return _names([wq.sysname for wq in device.wqs if wq.group == index])

    directory.add("engines", Attribute(engines))
    directory.add("work_queues", Attribute(work_queues))

    def setting(name: str, *, limit: bool) -> Attribute:
        store = device.store_progress_limit if limit else device.store_traffic_class
        return Attribute(
            lambda: b"%d\n" % getattr(device.groups[index], name),
            lambda data: store(index, name, data),
        )

    for name in ("traffic_class_a", "traffic_class_b"):
        directory.add(name, setting(name, limit=False))
    for name in limits:
        directory.add(name, setting(name, limit=True))
    if device.spec.kind == "dsa":
        read_buffers.publish_group(device, index, directory)


def publish_engine(device: Idxd, index: int, directory: Directory) -> None:
    """Attributes of one engine."""
    directory.add(
        "group_id",
        Attribute(
            lambda: b"%d\n" % device.engines[index],
            lambda data: device.store_engine_group(index, data),
        ),
    )
