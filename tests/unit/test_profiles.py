"""Profiles as text: every problem with its place, never a traceback; presets; JSON in and out."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.machine import MachineTree, boot, make_applier
from iaactl.errors import DocumentError
from iaactl.planner import plan_profile
from iaactl.planner.state import applied, state_of
from iaactl.profiles import accel_config
from iaactl.profiles.dump import dump
from iaactl.profiles.load import ProfileInvalid, load, names, parse
from iaactl.profiles.presets import is_preset, preset

SIX = """\
version: 2
devices:
  - match: {names: [iaa1]}
    groups:
      - engines: all
        wqs:
          - {name: q, size: 0}
          - {name: w, mode: dedicated, size: 16, threshold: 4}
          - name: x
            size: 16
            priority: 16
            treshold: 8
"""


def test_six_mistakes_are_six_problems_with_places() -> None:
    with pytest.raises(ProfileInvalid) as caught:
        parse(SIX, "six.yaml")
    places = [(p.line, p.column, p.place) for p in caught.value.problems]
    assert places == [
        (1, 10, "version"),
        (3, 21, "devices[0].match.names[0]"),
        (7, 29, "devices[0].groups[0].wqs[0].size"),
        (8, 13, "devices[0].groups[0].wqs[1]"),
        (11, 23, "devices[0].groups[0].wqs[2].priority"),
        (12, 23, "devices[0].groups[0].wqs[2].treshold"),
    ]
    words = " ".join(p.message for p in caught.value.problems)
    assert "iaxN, e.g. iax1" in words
    assert "a dedicated work queue has no threshold" in words
    assert "no such field" in words


@pytest.mark.parametrize("name", sorted(names()))
def test_profiles_that_come_with_it(name: str) -> None:
    profile = load(name)
    assert profile.description
    assert names()[name].read_text().startswith("# For whom:")
    assert parse(dump(profile), "dumped") == profile


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=200))
def test_random_text_is_a_profile_or_a_list_of_problems(text: str) -> None:
    try:
        parse(text, "random")
    except ProfileInvalid as error:
        assert error.problems


yaml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["version", "devices", "match", "groups", "engines", "wqs", "name", "size", "mode"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(yaml_values)
def test_random_documents_never_give_a_traceback(value: object) -> None:
    try:
        parse(json.dumps(value), "random")
    except ProfileInvalid as error:
        assert error.problems


@given(st.binary(max_size=120))
def test_mutilated_profiles(noise: bytes) -> None:
    text = names()["qemu-migration"].read_text()
    where = len(noise) * 7 % len(text)
    try:
        parse(text[:where] + noise.decode("latin-1") + text[where:], "cut")
    except ProfileInvalid as error:
        assert error.problems


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 5000,
        "&a [*a]",
        "2001-99-99",
        "!!python/object:os.system x",
        "{a: 1, a: 2}",
        "? {a: b}\n: c",
        "%YAML 3.0\n---\na",
        "x: &a [*b]",
        "\x00",
        "a: !!binary 'x",
        "version: 1\ndevices: !!set {a}",
        "version: 1e400",
        "0o" + "7" * 4000,
    ],
)
def test_hostile_yaml(text: str) -> None:
    with pytest.raises(ProfileInvalid):
        parse(text, "hostile")


def test_too_large_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ProfileInvalid, match="problem"):
        parse("a: " + "x" * (1 << 21), "large")


@pytest.mark.parametrize("name", ["1n1d1e1w-s-n2", "2n4d8e1w-s", "1n4d8e1w-s-n1", "2n2d8e4w-s"])
def test_presets_of_qpl(name: str) -> None:
    assert is_preset(name)
    profile = load(name)
    sockets = [entry.match.socket for entry in profile.devices]
    assert sockets == ([0, 1] if name[0] == "2" else [int(name[-1]) - 1])
    group = profile.devices[0].groups[0]
    assert profile.devices[0].match.count == int(name[2])
    assert group.engines == int(name[4])
    assert len(group.wqs) == int(name[6])
    inventory = MachineTree(boot("spr-2s")).inventory()
    plan = plan_profile(profile, inventory, title=name)
    assert len(plan.changed) == int(name[0]) * int(name[2])


@pytest.mark.parametrize("name", ["2n4d8e1w-s-n1", "1n4d9e1w-s-n1", "1n4d8e9w-s"])
def test_presets_that_make_no_sense(name: str) -> None:
    with pytest.raises(DocumentError):
        preset(name)


def test_json_round_trip_through_devices() -> None:
    machine = boot("iaa2")
    tree = MachineTree(machine)
    profile = parse(
        """
version: 1
devices:
  - match: {count: 2}
    event_log_size: 256
    groups:
      - engines: [0, 3]
        desc_progress_limit: 2
        wqs:
          - {name: a, size: 40, threshold: 20, ats_disable: true, max_transfer_size: 4MiB}
          - {name: b, index: 5, mode: dedicated, size: 8, priority: 3, block_on_fault: false}
      - id: 2
        engines: 4
        wqs: [{name: c, size: rest, op_config: "c"}]
""",
        "p",
    )
    plan = plan_profile(profile, tree.inventory(), title="p")
    applier, _, _ = make_applier(machine)
    applier.run(plan, take_over=["iaa_crypto"])
    devices = [d for d in tree.inventory().devices if d.id in ("iax0", "iax1")]
    text = accel_config.write(devices)
    again = accel_config.read(text, "ours")
    assert plan_profile(again, tree.inventory(), title="p").empty
    document = json.loads(text)
    assert [d["dev"] for d in document] == ["iax0", "iax1"]
    wq = document[0]["groups"][0]["grouped_workqueues"][0]
    keys = list(wq)
    assert keys.index("mode") < keys.index("threshold")
    assert keys.index("size") < keys.index("threshold")
    assert keys.index("type") < keys.index("name")
    assert "max_batch_size" not in wq


def test_export_of_what_would_be_equals_what_is_after() -> None:
    machine = boot("spr-1dev-per-socket")
    tree = MachineTree(machine)
    plan = plan_profile(load("qemu-migration"), tree.inventory(), title="p")
    wanted = [
        applied(device, part.changes)
        for device, part in zip(tree.inventory().devices, plan.devices, strict=True)
    ]
    applier, _, _ = make_applier(machine)
    applier.run(plan)
    for device, now in zip(wanted, tree.inventory().devices, strict=True):
        assert state_of(device) == state_of(now)
        assert accel_config.write([device]) == accel_config.write([now])


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", "[]", '[{"dev": "dsa0"}]', '[{"dev": "iax1", "groups": [3]}]', "[" * 9999],
)
def test_what_is_not_accel_configs(text: str) -> None:
    with pytest.raises(DocumentError):
        accel_config.read(text, "x.conf")


@given(yaml_values)
def test_random_json_never_gives_a_traceback(value: object) -> None:
    try:
        accel_config.read(json.dumps(value), "random")
    except DocumentError:
        return
