"""What both releases of accel-config say where the driver refuses: text, errno and exit status."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sim.test_accel_config import Tool, tool

__all__ = ["tool"]

_EPERM, _EINVAL = "Operation not permitted", "Invalid argument"
_ENXIO, _ENOENT = "No such device or address", "No such file or directory"


@dataclass(frozen=True)
class Step:
    """A command of accel-config, its exit status and words of what it says."""

    command: str
    code: int
    words: tuple[str, ...] = ()


def engines(number: int) -> str:
    return (
        f"for e in 0 1 2 3 4 5 6 7; do accel config-engine iax{number}/engine{number}.$e -g 0; done"
    )


def whole(number: int, options: str = "-m shared -y user -n app1 -d user") -> str:
    """Engines in group 0, and half of the entries for the first queue."""
    return (
        f"{engines(number)}; accel config-wq iax{number}/wq{number}.0 -g 0 -s 64 -p 10 -b 1 -t 64"
        f" {options}"
    )


def enabled(number: int) -> str:
    return (
        f"{whole(number)}; accel enable-device iax{number};"
        f" accel enable-wq iax{number}/wq{number}.0"
    )


def told(tool: Tool, setup: str, steps: list[Step], machine: str = "spr-2s") -> None:
    """Type all steps in one machine and compare each with what is known of it."""
    script = [f"{{ {setup}; }} > /dev/null"]
    script += [f'{step.command}\necho "== $?"' for step in steps]
    _, out = tool.run("\n".join(script), machine=machine)
    parts = re.split(r"^== (\d+)\n", out, flags=re.MULTILINE)
    answers = list(zip(parts[1::2], parts[::2], strict=False))
    assert len(answers) == len(steps), out
    for step, (code, text) in zip(steps, answers, strict=True):
        assert int(code) == step.code, f"{step.command}: {code}\n{text}"
        for word in step.words:
            assert word in text, f"{step.command}: {text}"


def test_an_enabled_queue_keeps_its_configuration(tool: Tool) -> None:
    wq = "accel config-wq iax3/wq3.0"
    told(
        tool,
        enabled(3),
        [
            Step(f"{wq} -p 3", 1, ("wq3.0: priority attribute write failed", _EPERM)),
            Step(f"{wq} -g 1", 1, ("wq3.0: group_id attribute write failed", _EPERM)),
            Step(f"{wq} -s 8", 1, ("wq3.0: size attribute write failed", _EPERM)),
            Step(f"{wq} -n other", 1, ("accfg_wq_set_str_name", _EPERM)),
            Step(f"{wq} -m dedicated", 1, ("accfg_wq_set_str_mode", _EPERM)),
            Step(f"{wq} -y kernel", 1, ("accfg_wq_set_str_type", _EPERM)),
            # Two attributes answer differently from all others.
            Step(f"{wq} -t 8", 1, ("threshold attribute write failed", _ENXIO)),
            Step(f"{wq} -b 0", 1, ("block_on_fault attribute write failed", _ENXIO)),
            # The size of a queue belongs to the device's configuration, whatever the queue does.
            Step("accel config-wq iax3/wq3.1 -s 8", 1, ("wq3.1: size attribute", _EPERM)),
            Step("accel config-wq iax3/wq3.1 -p 3", 0),
            # An engine can be moved in the driver's view only.
            Step("accel config-engine iax3/engine3.0 -g 1", 0),
            Step("accel enable-wq iax3/wq3.0", 1, ("enabled 0 wq(s) out of 1",)),
            Step("accel enable-device iax3", 1, ("enabled 0 device(s) out of 1",)),
        ],
    )


def test_values_that_are_refused(tool: Tool) -> None:
    wq = "accel config-wq iax7/wq7.0"
    told(
        tool,
        f"{wq} -s 8",
        [
            Step(f"{wq} -p 16", 1, ("priority attribute write failed", _EINVAL)),
            Step(f"{wq} -t 9", 1, ("threshold attribute write failed", _EINVAL)),
            Step(f"{wq} -m dedicated", 0),
            Step(f"{wq} -t 8", 1, ("threshold attribute write failed", _EINVAL)),
            Step("accel config-wq iax7/wq7.1 -s 121", 1, ("wq7.1: size attribute", _EINVAL)),
            Step(f"{wq} -c 32", 1, ("max_batch_size attribute write failed", _ENOENT)),
            Step(f"{wq} -x 4294967296", 1, ("should be 1 to 2147483648",)),
            Step("accel config-engine iax7/engine7.0 -g 4", 1, ("0 to 3",)),
            Step("accel config-group iax7/group7.0 -l 1", 1, ("use_read_buffer_limit", _ENOENT)),
            Step("accel config-device iax7 -l 1", 1, ("iax7: write failed", _ENOENT)),
            # Names that do not exist are said, and are no error.
            Step("accel config-wq iax7/wq7.9 -s 1", 0, ("iax7/wq7.9 workqueue not found",)),
            Step("accel config-wq iax99/wq7.0 -s 1", 0, ("iax99 device not found",)),
        ],
    )


def test_objects_that_are_not_enabled(tool: Tool) -> None:
    told(
        tool,
        whole(5),
        [
            Step("accel enable-wq iax5/wq5.0", 1, ("failed in iax5/wq5.0",)),
            Step("accel disable-wq iax5/wq5.0", 1, ("disabled mode already",)),
            Step("accel disable-device iax5", 1, ("disabled state already",)),
            Step("accel enable-device iax5", 0),
            Step("accel enable-wq iax5/wq5.1", 1, ('Invalid wq driver name ""',)),
            # One of two is enough for success.
            Step("accel enable-wq iax5/wq5.0 iax5/wq5.1", 0, ("enabled 1 wq(s) out of 2",)),
        ],
    )


def test_a_queue_with_clients(tool: Tool) -> None:
    told(
        tool,
        f"{enabled(1)}; exec 3<>/dev/iax/wq1.0",
        [
            Step("accel disable-wq iax1/wq1.0", 1, ("wq has clients: 1", "refused")),
            Step("accel disable-device iax1", 1, ("failed in iax1",)),
            Step("accel disable-wq -f iax1/wq1.0", 0, ("wq has clients: 1", "disabled 1 wq(s)")),
        ],
    )


def test_a_queue_without_a_name_and_what_follows(tool: Tool) -> None:
    type_of = "cat /sys/bus/dsa/devices/wq9.0/type"
    again = "accel config-wq iax9/wq9.0 -y user -n app -t 64"
    told(
        tool,
        f"{whole(9, '-m shared -y user -d user')}; accel enable-device iax9",
        [
            Step("accel enable-wq iax9/wq9.0", 1, ("Error[0x80040000]", "name not set")),
            Step(type_of, 0, ("none",)),
            Step(f"{again}; accel enable-wq iax9/wq9.0", 0, ("enabled 1 wq(s)",)),
        ],
    )


def test_a_disabled_queue_stands_in_the_way_of_the_others(tool: Tool) -> None:
    both = "; ".join(
        f"accel config-wq iax11/wq11.{n} -g 0 -s 64 -p 10 -t 64 -m shared -y user -d user -n a{n}"
        for n in (0, 1)
    )
    told(
        tool,
        f"{engines(11)}; {both}; accel enable-device iax11; accel enable-wq iax11/wq11.0;"
        " accel disable-wq iax11/wq11.0",
        [
            Step("accel enable-wq iax11/wq11.1", 1, ("Error[0x800c0000]", "no shared wq support")),
            Step(
                "accel config-wq iax11/wq11.0 -g -1; accel config-wq iax11/wq11.1 -y user -n a1;"
                " accel enable-wq iax11/wq11.1",
                0,
                ("enabled 1 wq(s)",),
            ),
        ],
    )


def test_newer_kernels_begin_with_everything_taken(tool: Tool) -> None:
    told(
        tool,
        "true",
        [
            Step("accel config-wq iax1/wq1.1 -s 8", 1, ("size attribute write failed", _EPERM)),
            Step("accel disable-wq iax1/wq1.0", 0, ("disabled 1 wq(s) out of 1",)),
            Step("accel disable-device iax1", 0, ("disabled 1 device(s) out of 1",)),
            Step("accel config-wq iax1/wq1.1 -s 128", 0),
        ],
        machine="spr-2s-iaa-crypto",
    )


def test_what_belongs_to_a_host_cannot_be_configured(tool: Tool) -> None:
    told(
        tool,
        "true",
        [
            Step("accel config-wq iax0/wq0.0 -p 3", 1, ("priority attribute", _EPERM)),
            Step("accel config-engine iax0/engine0.0 -g 1", 1, ("group_id attribute", _EPERM)),
            Step("accel config-wq iax0/wq0.0 -n mine", 0),
        ],
        machine="guest",
    )


def test_loading_over_an_enabled_device(tool: Tool) -> None:
    """3.5.3 disables the device and then trips over an errno of long ago; 4.1.x does not."""
    tool.run(f"{enabled(1)}; accel save-config -s saved.conf; sed -i /max_batch_size/d saved.conf")
    state = "cat /sys/bus/dsa/devices/wq1.0/state"
    told(
        tool,
        enabled(1),
        [
            Step("accel load-config -c saved.conf -e", 0, ("iax1 is active. Skipping",)),
            Step(state, 0, ("enabled",)),
            Step("accel load-config -c saved.conf -e -f", 1, ("wq set group_id value failed",))
            if tool.release == "3.5.3"
            else Step("accel load-config -c saved.conf -e -f", 0, ("Enabling wq wq1.0",)),
            Step(state, 0, ("disabled" if tool.release == "3.5.3" else "enabled",)),
        ],
    )


def test_default_configuration_for_users(tool: Tool) -> None:
    unknown = tool.release == "3.5.3"
    told(
        tool,
        "true",
        [
            Step("accel config-user-default", 1, ("Unknown command",))
            if unknown
            else Step("accel config-user-default", 0),
            Step("ls /dev/iax | wc -l", 0, ("0" if unknown else "64",)),
            Step("cat /sys/bus/dsa/devices/wq3.7/threshold", 0, ("0" if unknown else "16",)),
        ],
    )
