"""`iaactl selftest`: real operations through the queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from iaactl.cli.output import Output
from iaactl.cli.params import WORK_QUEUE, json_option
from iaactl.errors import DeviceNotFound, ExitCode, HostError

if TYPE_CHECKING:
    from iaactl.model.device import Device, Inventory, WorkQueue
    from iaactl.model.facts import User
    from iaactl.selftest.report import Untested

CASES = (
    "all", "noop", "drain", "crc64", "compress", "dynamic", "decompress", "incompressible", "pages",
    "zero-compress-8", "zero-compress-16", "zero-compress-32", "scan", "extract", "select",
    "unaligned", "untouched", "sizes", "fill",
)  # fmt: skip


@click.command(
    epilog="""\b
Examples:
  iaactl selftest                            every queue this user can open
  iaactl selftest wq1.0 --op all --verbose
  sudo iaactl selftest --user libvirt-qemu   with the rights of that user
"""
)
@click.argument(
    "names",
    nargs=-1,
    type=WORK_QUEUE,
    metavar="[WQ]...",
    help="Work queues, e.g. wq1.0 or iax1/wq1.0; default: all that can be opened.",
)
@click.option(
    "--op",
    "operations",
    multiple=True,
    type=click.Choice(CASES),
    metavar="CASE",
    help=f"Only these cases, repeatable: {', '.join(CASES)}.",
)
@click.option(
    "--size",
    default="4KiB",
    show_default=True,
    metavar="BYTES",
    help="Bytes that one operation works on, e.g. 64KiB.",
)
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(1, 100000),
    help="How often to run each case.",
)
@click.option(
    "--depth",
    default=8,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="Descriptors in flight.",
)
@click.option(
    "--user",
    "user_name",
    metavar="NAME",
    help="Give up all rights but those of this user first; needs root.",
)
@click.option(
    "--timeout",
    default=5.0,
    show_default=True,
    type=click.FloatRange(0.01, 3600),
    help="Seconds to wait for completions before a queue counts as hung.",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell each step, in the manner of iaa_test.")
@json_option
@click.pass_obj
def command(
    output: Output,
    names: tuple[str, ...],
    operations: tuple[str, ...],
    size: str,
    count: int,
    depth: int,
    user_name: str | None,
    timeout: float,
    verbose: bool,
    as_json: bool,
) -> int:
    """Prove work queues: submit real operations and check every result independently.

    Nothing is configured or changed. Without names every enabled user work queue is tested that
    the user can open; the others are named with the reason. Exit 6 when a queue fails, 4 when
    there is nothing to test.
    """
    import sys

    from iaactl import runtime
    from iaactl.model.units import parse_bytes
    from iaactl.selftest.report import SelftestReport
    from iaactl.selftest.runner import Settings, chosen, test_queue, test_together

    try:
        length = parse_bytes(size)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--size") from None
    if not 0 < length <= 1 << 26:
        raise click.BadParameter("from 1 byte to 64MiB", param_hint="--size")

    def say(text: str) -> None:
        if verbose or output.verbose:
            print(f"[ info] {text}", file=sys.stderr)  # noqa: T201

    inventory = runtime.inventory()
    user = runtime.user(user_name)
    if user_name:
        runtime.become(user)
    pairs, untested = _queues(inventory, names, user)
    if not pairs:
        why = "; ".join(f"{left.wq}: {left.reason}" for left in untested[:3])
        from iaactl.cli.plan import root_cause

        raise HostError(
            f"there is no work queue to test{f' ({why})' if why else ''}",
            hint=(None if untested else root_cause("IAA-Q001"))
            or "`iaactl list --wqs` shows queues and access; `iaactl apply` sets them up",
        )
    settings = Settings(chosen(operations), length, count, depth, timeout)
    reports = []
    for device, wq in pairs:
        if length > (wq.max_transfer_size or length):
            raise click.BadParameter(
                f"{wq.path} transfers at most {wq.max_transfer_size} bytes", param_hint="--size"
            )
        reports.append(test_queue(device, wq, runtime.open_portal, settings, say))
    shared = [(d, w) for (d, w), r in zip(pairs, reports, strict=True) if r.ok]
    if len(shared) > 1 and "pages" in [case.name for case in settings.cases]:
        say("all queues at once")
        failed = test_together(shared, runtime.open_portal, settings)
        for path, failure in failed:
            place = next(n for n, r in enumerate(reports) if r.wq == path)
            old = reports[place]
            reports[place] = old.model_copy(update={"failures": (*old.failures, failure)})
    report = SelftestReport(user=user.name, queues=tuple(reports), untested=tuple(untested))
    if as_json:
        output.document("iaactl.selftest/1", report.model_dump(mode="json"))
    else:
        from iaactl.cli.render.selftest import report_lines

        output.show(*report_lines(report))
    return ExitCode.DONE if report.ok else ExitCode.VERDICT_NO


def _queues(
    inventory: Inventory, names: tuple[str, ...], user: User
) -> tuple[list[tuple[Device, WorkQueue]], list[Untested]]:
    """Queues to test, and those left out with the reason; named queues are never left out."""
    from iaactl.consumers import may_open
    from iaactl.inventory import named
    from iaactl.model.device import WorkQueue as Queue
    from iaactl.selftest.report import Untested

    owners = {wq.path: device for device in inventory.devices for wq in device.work_queues}
    if names:
        chosen = []
        for name in names:
            thing = named(inventory, name)
            if not isinstance(thing, Queue):
                raise DeviceNotFound(f"{name} is not a work queue", hint="give names such as wq1.0")
            if thing.driver != "user":
                state = thing.state if not thing.driver else f"bound to {thing.owner}"
                raise HostError(
                    f"{thing.path} cannot be tested: it is {state}, not an enabled user queue",
                    hint="`iaactl list` shows the queues; `iaactl apply` sets them up",
                )
            chosen.append((owners[thing.path], thing))
        return chosen, []
    pairs, untested = [], []
    for wq in inventory.work_queues():
        if wq.driver != "user" or not wq.enabled:
            continue
        if wq.node is not None and not may_open(wq.node, user):
            node = wq.node
            who = f"{node.owner or node.uid}:{node.group or node.gid} {node.mode:04o}"
            untested.append(
                Untested(wq=wq.path, reason=f"{node.path} is {who}, not for {user.name}")
            )
        elif wq.mode == "dedicated" and wq.clients:
            untested.append(Untested(wq=wq.path, reason="dedicated, and a client has it open"))
        else:
            pairs.append((owners[wq.path], wq))
    return pairs, untested
