"""The four laws of plan, apply and rollback, over the simulated driver and random states.

A plan after apply is empty; apply reaches the profile; rollback reaches the base; the driver
refuses no step.
"""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fakes.machine import MachineTree, boot, make_applier
from iaactl.applier import RestoreDocument
from iaactl.errors import ApplyFailed, ApplyIncomplete
from iaactl.model.finding import Severity
from iaactl.model.profile import DeviceProfile, GroupProfile, Match, Profile, WorkQueueProfile
from iaactl.planner import plan_profile, plan_reset, plan_restore
from iaactl.planner.state import state_of
from iaactl.sim.kernfs import find
from iaactl.sim.machine import Machine

MACHINES = (
    "trace-6.16-spr",
    "trace-7.3-spr",
    "trace-7.3-v2",
    "spr-1dev-per-socket",
    "trace-7.3-v3",
)

wq_profiles = st.builds(
    WorkQueueProfile,
    name=st.sampled_from(["qemu", "a", "b.c"]),
    mode=st.just("shared"),
    size=st.integers(1, 40),
    threshold=st.none(),
    priority=st.integers(1, 15),
    block_on_fault=st.booleans(),
    max_transfer_size=st.sampled_from([None, 4096, 1 << 21, 1 << 31]),
    ats_disable=st.sampled_from([None, True, False]),
    state=st.sampled_from(["enabled", "enabled", "disabled"]),
) | st.builds(
    WorkQueueProfile,
    name=st.just("ded"),
    mode=st.just("dedicated"),
    size=st.integers(1, 40),
    priority=st.integers(1, 15),
    block_on_fault=st.booleans(),
)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    groups = draw(
        st.lists(
            st.builds(
                GroupProfile,
                engines=st.integers(1, 2),
                wqs=st.lists(wq_profiles, min_size=1, max_size=2),
            ),
            min_size=1,
            max_size=2,
        )
    )
    match = draw(st.sampled_from([Match(), Match(count=1)]))
    return Profile(version=1, devices=[DeviceProfile(match=match, groups=groups)])


# What somebody may have typed before: writes, binds and unbinds in any order.
ATTRIBUTES = {
    "mode": ["shared", "dedicated"],
    "type": ["none", "user", "kernel"],
    "name": ["x", "iaa_crypto", " "],
    "driver_name": ["user", "dmaengine", "crypto", " "],
    "size": ["0", "8", "16", "128"],
    "group_id": ["-1", "0", "1"],
    "priority": ["0", "1", "15"],
    "threshold": ["1", "8", "16"],
    "block_on_fault": ["0", "1"],
    "max_transfer_size": ["4096", "2097152"],
    "ats_disable": ["0", "1"],
    "prs_disable": ["0", "1"],
    "enqcmds_retries": ["3", "64"],
}
operations = st.lists(
    st.one_of(
        st.sampled_from(sorted(ATTRIBUTES)).flatmap(
            lambda name: st.tuples(
                st.sampled_from(["wq{}.0", "wq{}.1"]).map(lambda wq: f"devices/{wq}/{name}"),
                st.sampled_from(ATTRIBUTES[name]),
            )
        ),
        st.tuples(st.just("devices/engine{}.0/group_id"), st.sampled_from(["-1", "0", "1"])),
        st.tuples(st.just("drivers/idxd/bind"), st.just("iax{}")),
        st.tuples(st.just("drivers/idxd/unbind"), st.just("iax{}")),
        st.tuples(
            st.sampled_from(["drivers/user/bind", "drivers/dmaengine/bind", "drivers/user/unbind"]),
            st.sampled_from(["wq{}.0", "wq{}.1"]),
        ),
        # A usable queue in one go, so that enabled ones are not rare.
        st.just(("usable", "")),
    ),
    max_size=30,
)
USABLE = (
    ("devices/engine{}.0/group_id", "0"),
    ("devices/wq{}.0/mode", "shared"),
    ("devices/wq{}.0/type", "user"),
    ("devices/wq{}.0/name", "x"),
    ("devices/wq{}.0/driver_name", "user"),
    ("devices/wq{}.0/size", "16"),
    ("devices/wq{}.0/group_id", "0"),
    ("devices/wq{}.0/priority", "10"),
    ("devices/wq{}.0/threshold", "8"),
    ("drivers/idxd/bind", "iax{}"),
    ("drivers/user/bind", "wq{}.0"),
)


def type_in(machine: Machine, typed: list[tuple[str, str]]) -> None:
    """Do what can be done of these operations on the first device."""
    number = next(d.id for d in machine.kernel.devices.values() if d.kind == "iax")
    for path, value in typed:
        for one, text in USABLE if path == "usable" else ((path, value),):
            try:
                node = find(machine.root, f"sys/bus/dsa/{one.format(number)}")
                node.store(text.format(number).encode())  # type: ignore[attr-defined]
            except OSError:
                continue


def reachable(machine: Machine) -> bool:
    """Whether the state can be typed in at all, from nothing.

    Three kinds cannot: engines changed under an enabled device, a queue enabled in a
    configuration that was changed after its device was enabled, and more entries than the device
    has, which an enable leaves that gave a queue of size 0 the default size and was then refused.
    """
    for device in machine.kernel.devices.values():
        hardware, wqs = device.hw, device.wqs
        for index, group in enumerate(hardware.groups):
            engines = {n for n, g in enumerate(device.engines) if g == index}
            queues = {wq.index for wq in wqs if wq.group == index}
            if device.state == "enabled" and (
                engines != group.engines or bool(queues) != bool(engines)
            ):
                return False
        if device.state == "enabled" and not any(wq.group != -1 for wq in wqs):
            return False
        if sum(wq.size for wq in wqs) > device.cap.entries:
            return False
        if any(wq.size == 0 and wq.type != b"none" and wq.group != -1 for wq in wqs):
            return False
    return True


@given(name=st.sampled_from(MACHINES), typed=operations, profile=profiles())
def test_apply_reaches_the_profile_and_a_second_plan_is_empty(
    name: str, typed: list[tuple[str, str]], profile: Profile
) -> None:
    machine = boot(name)
    type_in(machine, typed)
    tree = MachineTree(machine)
    plan = plan_profile(profile, tree.inventory(), title="p")
    assume(not any(f.severity is Severity.ERROR for f in plan.findings))
    applier, configurator, _ = make_applier(machine)
    applier.run(plan, take_over=["iaa_crypto"])
    again = plan_profile(profile, tree.inventory(), title="p")
    assert again.empty
    before = len(configurator.operations)
    applier.run(again)
    assert len(configurator.operations) == before


@given(name=st.sampled_from(MACHINES), typed=operations, profile=profiles(), nth=st.integers(1, 40))
def test_a_failure_anywhere_leaves_the_base(
    name: str, typed: list[tuple[str, str]], profile: Profile, nth: int
) -> None:
    machine = boot(name)
    type_in(machine, typed)
    assume(reachable(machine))
    tree = MachineTree(machine)
    base = {d.id: state_of(d) for d in tree.inventory().devices}
    plan = plan_profile(profile, tree.inventory(), title="p")
    assume(not any(f.severity is Severity.ERROR for f in plan.findings))
    total = sum(len(part.steps) for part in plan.devices)
    assume(nth <= total)

    def fail(number: int) -> None:
        if number == nth:
            raise OSError(5, "ordered")

    applier, _, points = make_applier(machine, fail)
    with pytest.raises(ApplyFailed):
        applier.run(plan, take_over=["iaa_crypto"])
    assert {d.id: state_of(d) for d in tree.inventory().devices} == base
    assert not points.open


@given(name=st.sampled_from(MACHINES), typed=operations, later=operations)
def test_restore_reaches_any_earlier_state(
    name: str, typed: list[tuple[str, str]], later: list[tuple[str, str]]
) -> None:
    machine = boot(name)
    type_in(machine, typed)
    assume(reachable(machine))
    tree = MachineTree(machine)
    base = tree.inventory().devices
    type_in(machine, later)
    assume(not any(wq.clients for d in tree.inventory().devices for wq in d.work_queues))
    applier, _, points = make_applier(machine)
    document = RestoreDocument(title="t", devices=base)
    point = points.save(document.model_dump_json())
    applier.restore(point, document, take_over=["iaa_crypto"])
    now = tree.inventory()
    assert plan_restore(base, now, title="t").empty
    assert [state_of(d) for d in now.devices] == [state_of(d) for d in base]


@given(name=st.sampled_from(MACHINES), typed=operations)
def test_reset_is_reached_from_everywhere(name: str, typed: list[tuple[str, str]]) -> None:
    machine = boot(name)
    type_in(machine, typed)
    tree = MachineTree(machine)
    inventory = tree.inventory()
    applier, _, _ = make_applier(machine)
    applier.run(plan_reset(inventory.devices, inventory), take_over=["iaa_crypto"])
    after = tree.inventory()
    assert plan_reset(after.devices, after).empty
    assert not any(wq.enabled for wq in after.work_queues())


def test_what_cannot_be_put_back_is_said() -> None:
    machine = boot("spr-1dev-per-socket")
    tree = MachineTree(machine)
    profile = Profile(
        version=1,
        devices=[
            DeviceProfile(
                groups=[GroupProfile(engines="all", wqs=[WorkQueueProfile(name="q", size=128)])]
            )
        ],
    )
    plan = plan_profile(profile, tree.inventory(), title="p")

    def fail(number: int) -> None:
        if number >= 25:
            raise OSError(5, "ordered")

    applier, _, points = make_applier(machine, fail)
    with pytest.raises(ApplyIncomplete) as caught:
        applier.run(plan)
    assert points.open == [caught.value.facts["restore_point"]]
    assert "iax1" in caught.value.message
    name, document = applier.read_point(None)
    applier_again, _, _ = make_applier(machine)
    applier_again.restore(name, document)
    assert all(d.state == "disabled" for d in tree.inventory().devices)
