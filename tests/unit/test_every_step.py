"""An apply of eight devices that fails, or is killed, at each single one of its operations."""

from __future__ import annotations

import pytest

from fakes.machine import MachineTree, boot, make_applier
from iaactl.applier import RestoreDocument
from iaactl.errors import ApplyFailed
from iaactl.model.plan import Plan
from iaactl.planner import plan_profile
from iaactl.planner.state import state_of
from iaactl.profiles.load import load
from iaactl.sim.machine import Machine


class Killed(BaseException):
    """The process is gone: nothing of its own runs any more."""


def start(name: str) -> tuple[Machine, MachineTree, Plan]:
    machine = boot(name)
    tree = MachineTree(machine)
    return machine, tree, plan_profile(load("qemu-migration"), tree.inventory(), title="p")


def states(tree: MachineTree) -> list[dict[str, str]]:
    return [{str(k): v for k, v in state_of(d).items()} for d in tree.inventory().devices]


@pytest.mark.parametrize("part", range(8))
def test_a_failure_at_each_operation_is_put_back(part: int) -> None:
    _, _, plan = start("spr-2s")
    total = sum(len(device.steps) for device in plan.devices)
    assert total == 8 * 18
    for nth in range(part + 1, total + 1, 8):
        machine, tree, plan = start("spr-2s")
        base = states(tree)

        def fail(number: int, at: int = nth) -> None:
            if number == at:
                raise OSError(5, "ordered")

        applier, configurator, points = make_applier(machine, fail)
        with pytest.raises(ApplyFailed) as caught:
            applier.run(plan)
        assert states(tree) == base, f"after a failure at operation {nth}"
        assert caught.value.facts["errno"] == 5
        path, _, value = configurator.operations[nth - 1].partition(" = ")
        failed = value.strip("'") if path.startswith("drivers/") else path.split("/")[1]
        assert failed in caught.value.message
        assert points.open == []


@pytest.mark.parametrize("part", range(8))
def test_after_a_kill_at_each_operation_restore_brings_the_base_back(part: int) -> None:
    total = 8 * 18
    for nth in range(part + 1, total + 1, 8):
        machine, tree, plan = start("spr-2s")
        base = states(tree)
        dead = False

        def kill(number: int, at: int = nth) -> None:
            nonlocal dead
            if number >= at:
                dead = True
                raise Killed

        applier, _, points = make_applier(machine, kill)
        with pytest.raises(Killed):
            applier.run(plan)
        assert dead
        if nth > 1:  # before the first operation there is nothing to bring back
            (name,) = points.open
            later, _, _ = make_applier(machine)
            later.restore(name, RestoreDocument.model_validate_json(points.points[name]))
        assert states(tree) == base, f"after a kill at operation {nth}"
