"""From a device as it is to a wanted state: steps in an order in which the driver refuses none.

Source of the rules: the driver's checks as recorded on Linux 6.16 and 7.3. Those that shape the
order:

* size of a work queue, engines and groups change only while the device is disabled; everything
  else of a work queue while that work queue is disabled;
* disabling a device clears its configuration, disabling a work queue that queue's (`Predicted`);
* a threshold needs shared mode and at least as many entries; `dedicated` clears it, and that is
  the only way to clear it;
* a new type clears the name; a name is cleared by hand only by writing white space;
* every enable writes the whole device's configuration again, and it is refused while one grouped
  work queue is shared and of type none, as a work queue is that has just been disabled. Such a
  queue is parked in dedicated mode until all enables are done.
"""

from __future__ import annotations

from iaactl.model.attributes import Owner, of
from iaactl.model.device import Device
from iaactl.model.plan import Action, Step
from iaactl.planner.state import Key, State, differences, state_of

BLANK = " "
"""Written where a text shall become empty: the driver trims it, an empty write never arrives."""

_NEEDS_DEVICE_OFF = ("size", "group_id")
_WQ_RESET = {a.name: a.reset for a in of(Owner.WQ) if a.reset is not None}


class Predicted:
    """The configuration as it will be after the steps so far; a missing key is not predictable."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.state: State = state_of(device)

    def get(self, name: str, attribute: str) -> str | None:
        """The value expected, None when it cannot be known."""
        return self.state.get(Key(name, attribute))

    def put(self, name: str, attribute: str, value: str) -> None:
        """Record what a write or a side effect leaves."""
        self.state[Key(name, attribute)] = value

    def forget(self, name: str, attribute: str) -> None:
        """From here on the value depends on the kernel's release."""
        self.state.pop(Key(name, attribute), None)

    def wq_disabled(self, name: str) -> None:
        """Side effects of disabling one work queue: all but size, group and driver_name cleared."""
        for attribute, value in _WQ_RESET.items():
            if attribute not in _NEEDS_DEVICE_OFF:
                self.put(name, attribute, value)
        self.put(name, "state", "disabled")
        self.forget(name, "op_config")

    def device_disabled(self) -> None:
        """Side effects of disabling the device, after its work queues."""
        device = self.device
        self.put(device.id, "state", "disabled")
        self.forget(device.id, "event_log_size")
        for engine in device.engines:
            self.put(engine.id, "group_id", "-1")
        for group in device.groups:
            for attribute in ("desc_progress_limit", "batch_progress_limit"):
                self.put(group.id, attribute, "0")
            for attribute in ("traffic_class_a", "traffic_class_b"):
                if (device.version or 0) > 0x200 or self.get(group.id, attribute) != "1":
                    self.forget(group.id, attribute)
        for wq in device.work_queues:
            kept = self.get(wq.id, "type")
            self.wq_disabled(wq.id)
            self.put(wq.id, "size", "0")
            self.put(wq.id, "group_id", "-1")
            if kept != "none":
                # Up to 6.16 the type of a queue that was not enabled is cleared, later it stays.
                self.forget(wq.id, "type")


class _Steps:
    """Collects the steps for one device and keeps the prediction up to date."""

    def __init__(self, device: Device, wanted: State) -> None:
        self.device = device
        self.wanted = wanted
        self.now = Predicted(device)
        self.steps: list[Step] = []

    def act(self, action: Action, name: str) -> None:
        self.steps.append(Step(action=action, device=self.device.id, object=name))

    def write(self, name: str, attribute: str, value: str) -> None:
        """Write unless the attribute is predicted to hold the value already."""
        if self.now.get(name, attribute) == value:
            return
        self.steps.append(
            Step(
                action=Action.WRITE,
                device=self.device.id,
                object=name,
                attribute=attribute,
                value=value or BLANK,
            )
        )
        self.now.put(name, attribute, value)
        if attribute == "mode" and value == "dedicated":
            self.now.put(name, "threshold", "0")
        elif attribute == "prs_disable" and value == "1":
            self.now.put(name, "block_on_fault", "0")

    def want(self, name: str, attribute: str) -> str | None:
        return self.wanted.get(Key(name, attribute))

    def write_wanted(self, name: str, attribute: str) -> None:
        value = self.want(name, attribute)
        if value is not None:
            self.write(name, attribute, value)

    # -- work queues ------------------------------------------------------------------------

    def write_mode_and_type(self, name: str) -> None:
        mode, threshold = self.want(name, "mode"), self.want(name, "threshold")
        if threshold == "0" and mode == "shared" and self.now.get(name, "threshold") != "0":
            self.write(name, "mode", "dedicated")
        if mode is not None:
            self.write(name, "mode", mode)
        kind = self.want(name, "type")
        if kind is not None and self.now.get(name, "type") != kind:
            if self.now.get(name, "type") is None:
                self.now.forget(name, "name")
            else:
                self.now.put(name, "name", "")
            self.write(name, "type", kind)

    def write_wq(self, name: str) -> None:
        """All wanted attributes of a disabled work queue, in the order of their dependencies."""
        self.write_mode_and_type(name)
        self.write_wanted(name, "name")
        self.write_wanted(name, "driver_name")
        size, threshold = self.want(name, "size"), self.want(name, "threshold")
        if size is not None:
            room = int(size)
            if threshold is not None and self.now.get(name, "threshold") != threshold:
                # A size may have been lowered below the threshold: that state is reached again
                # only by making room first.
                room = max(room, int(threshold))
            self.write(name, "size", str(room))
        for attribute in ("group_id", "priority", "prs_disable", "block_on_fault", "threshold"):
            self.write_wanted(name, attribute)
        self.write_wanted(name, "size")
        for attribute in ("max_transfer_size", "ats_disable", "op_config", "enqcmds_retries"):
            self.write_wanted(name, attribute)

    def park(self, name: str) -> None:
        """Keep a disabled work queue from blocking the enables, see the module's docstring."""
        self.write(name, "mode", "dedicated")
        if self.now.get(name, "type") != "none":
            self.now.forget(name, "name")
            self.write(name, "type", "none")

    def would_block(self, name: str) -> bool:
        grouped = self.now.get(name, "group_id") != "-1"
        harmless = self.now.get(name, "mode") == "dedicated" or self.now.get(name, "type") == "user"
        return grouped and not harmless

    def enabled_in_the_end(self, name: str) -> bool:
        state = self.want(name, "state")
        return (self.now.get(name, "state") if state is None else state) == "enabled"

    # -- the two ways -----------------------------------------------------------------------

    def work_queues_only(self, touched: list[str]) -> list[Step]:
        """The device stays enabled; work queues without a difference stay as they are."""
        for name in touched:
            if self.now.get(name, "state") == "enabled":
                self.act(Action.DISABLE_WQ, name)
                self.now.wq_disabled(name)
        on = [name for name in touched if self.enabled_in_the_end(name)]
        rest = [
            wq.id
            for wq in self.device.work_queues
            if wq.id not in on and self.now.get(wq.id, "state") != "enabled"
        ]
        before = {name: dict(self.now.state) for name in rest}
        parked = [name for name in rest if on and self.would_block(name)]
        for name in parked:
            self.park(name)
        for name in on:
            self.write_wq(name)
        for name in on:
            self.act(Action.ENABLE_WQ, name)
        for name in parked:
            for key, value in before[name].items():
                if key.object == name and key.attribute != "state":
                    self.wanted.setdefault(key, value)
        for name in rest:
            if name in touched or name in parked:
                self.write_wq(name)
        return self.steps

    def whole_device(self) -> list[Step]:
        """Disable the device if need be, configure it from what is left, enable it again."""
        device = self.device
        wqs = [wq.id for wq in device.work_queues]
        if device.enabled:
            for name in wqs:
                if self.now.get(name, "state") == "enabled":
                    self.act(Action.DISABLE_WQ, name)
                    self.now.wq_disabled(name)
            self.act(Action.DISABLE_DEVICE, device.id)
            self.now.device_disabled()
        self.write_wanted(device.id, "event_log_size")
        for group in device.groups:
            for attribute in ("traffic_class_a", "traffic_class_b"):
                # -1 is how a class looks that nobody has set; it cannot be written.
                if self.want(group.id, attribute) not in (None, "-1"):
                    self.write_wanted(group.id, attribute)
            self.write_wanted(group.id, "desc_progress_limit")
            self.write_wanted(group.id, "batch_progress_limit")
        for engine in device.engines:
            self.write_wanted(engine.id, "group_id")
        for name in wqs:
            size = self.want(name, "size")
            if size is not None and int(size) < int(self.now.get(name, "size") or 0):
                self.write(name, "size", size)
        if self.want(device.id, "state") != "enabled":
            for name in sorted(wqs, key=self._needs_room, reverse=True):
                self.write_wq(name)
            return self.steps
        on = [name for name in wqs if self.enabled_in_the_end(name)]
        late = [name for name in wqs if name not in on]
        for name in on:
            self.write_wq(name)
        for name in late:
            self.write_wanted(name, "size")
            number = self.want(name, "group_id")
            if number == "-1":
                self.write(name, "group_id", number)
            elif number is not None:
                self.park(name)
                self.write(name, "group_id", number)
        self.act(Action.ENABLE_DEVICE, device.id)
        for name in on:
            self.act(Action.ENABLE_WQ, name)
        for name in late:
            self.write_wq(name)
        return self.steps

    def _needs_room(self, name: str) -> bool:
        size, threshold = self.want(name, "size"), self.want(name, "threshold")
        return size is not None and threshold is not None and int(threshold) > int(size)


def device_steps(device: Device, wanted: State) -> list[Step]:
    """Steps that bring `device` to `wanted`; none where nothing differs."""
    different = differences(state_of(device), wanted)
    if not different:
        return []
    steps = _Steps(device, dict(wanted))
    soft = all(key.is_wq and key.attribute not in _NEEDS_DEVICE_OFF for key in different)
    if device.enabled and soft:
        touched = {key.object for key in different}
        return steps.work_queues_only([wq.id for wq in device.work_queues if wq.id in touched])
    return steps.whole_device()
