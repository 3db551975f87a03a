"""`iaactl migrate-bench`: what the queues are worth for live migration, on this machine's terms."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iaactl.cli.bench_params import (
    address_of,
    bytes_of,
    memory_options,
    migration_options,
    pages_per_s,
    queue_options,
    rate_of,
)
from iaactl.cli.output import Output
from iaactl.cli.params import json_option
from iaactl.errors import ExitCode, HostError, UsageProblem

if TYPE_CHECKING:
    from iaactl.bench.image import Image
    from iaactl.bench.settings import Settings
    from iaactl.bench.supply import Supply
    from iaactl.model.facts import User
    from iaactl.model.migration import Backend, Method
    from iaactl.model.report import BenchReport, Variant

_MIX_BYTES = 256 << 20
_FILE_BYTES = 1 << 30
_PAGE = 4096


def _image(memory: Path | None, pid: int | None, size: str | None, seed: int) -> Image:
    if memory is not None and pid is not None:
        raise UsageProblem("--memory and --pid are two sources of memory", hint="give one of them")
    wanted = None if size is None else bytes_of(size, "--size")
    if wanted is not None and (wanted < _PAGE or wanted % _PAGE):
        raise click.BadParameter("a whole number of 4KiB pages, at least one", param_hint="--size")
    if memory is not None:
        from iaactl.bench.memory_file import from_file

        return from_file(memory, wanted or _FILE_BYTES)
    if pid is not None:
        from iaactl.bench.memory_process import from_process

        return from_process(pid, wanted or _FILE_BYTES)
    from iaactl.bench.memory_mix import from_mix

    _room(2 * (wanted or _MIX_BYTES))
    return from_mix(wanted or _MIX_BYTES, seed)


def _room(needed: int) -> None:
    """Refuse early what would drive the machine out of memory."""
    from iaactl import runtime
    from iaactl.model.units import format_bytes

    there = runtime.available_bytes()
    if there is not None and needed > there:
        raise HostError(
            f"{format_bytes(needed)} of memory are needed and "
            f"{format_bytes(there >> 20 << 20)} are available",
            hint="take less with --size",
        )


def _user(name: str | None) -> User:
    from iaactl import runtime

    return runtime.user(name)


@click.group(invoke_without_command=True)
@memory_options
@migration_options
@queue_options
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    metavar="FILE",
    help="Write one HTML page with charts; needs iaactl[html].",
)
@json_option
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> int | None:
    """Measure live migration: QEMU's multifd channels on IAA and in software, side by side.

    A small pre-copy migration inside this host, or to another one, for each method in turn: rounds
    over dirty pages until the rest fits the downtime limit, then every page is compared. Nothing is
    configured; memory of a guest is only read. Exit 6 when a page differs, 1 when a migration
    failed.

    \b
    Examples:
      iaactl migrate-bench --memory guest.core.zst --channels 4 --html report.html
      iaactl migrate-bench --pid 4711 --size 8GiB --dirty-rate 64MiB --repeat 5
      iaactl migrate-bench --method qpl --backend iaa --socket 0 --max-bandwidth 10Gbit/s
      iaactl migrate-bench --listen :4444          on one host, and on the other
      iaactl migrate-bench --connect host:4444
    """
    if ctx.invoked_subcommand is not None:
        given = [
            name for name in options
            if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        ]  # fmt: skip
        if given:
            raise click.UsageError(
                f"options go behind the name: iaactl migrate-bench {ctx.invoked_subcommand} ..."
            )
        return None
    from iaactl import runtime

    output: Output = ctx.obj
    with runtime.interruptible():
        if options["listen"] is not None:
            return _listen(ctx, output, options)
        return _measure(output, options)


def _settings(options: dict[str, Any], supply: Supply) -> Settings:
    """Settings before the memory is known: `dirty_pages` is what was asked for, 0 for all."""
    from iaactl.bench.settings import Settings
    from iaactl.model.migration import ZeroDetection

    if options["zero_page_detection"] == "legacy":
        raise UsageProblem(
            "zero-page-detection legacy sends zero pages in QEMU's main stream, which is not here",
            hint="take multifd, QEMU's default since machine types 9.0, or none",
        )
    dirty = 0
    if options["dirty_memory"] is not None:
        dirty = bytes_of(options["dirty_memory"], "--dirty-memory") // _PAGE
        if not dirty:
            raise click.BadParameter("at least a page of 4KiB", param_hint="--dirty-memory")
    return Settings(
        channels=options["channels"],
        max_bandwidth_bytes_per_s=rate_of(options["max_bandwidth"], "--max-bandwidth"),
        downtime_limit_ms=options["downtime_limit"],
        max_rounds=options["max_rounds"],
        zlib_level=options["multifd_zlib_level"],
        zstd_level=options["multifd_zstd_level"],
        zero_detection=ZeroDetection(options["zero_page_detection"]),
        dirty_pages_per_s=pages_per_s(options["dirty_rate"]),
        dirty_pattern=options["dirty_pattern"],
        dirty_pages=dirty,
        seed=options["seed"],
        queues=supply.paths,
        queue_cpus=supply.cpus,
        block_on_fault=supply.block_on_fault,
        timeout_s=options["timeout"],
    )


def _wanted(options: dict[str, Any]) -> tuple[list[Method], list[Backend]]:
    from iaactl.model.migration import Backend, Method

    methods = [Method(name) for name in options["methods"]]
    backends = [Backend(name) for name in options["backends"]]
    if backends and methods and Method.QPL not in methods:
        raise UsageProblem("--backend is of method qpl only", hint="add --method qpl")
    return methods, backends


def _measure(output: Output, options: dict[str, Any]) -> int:
    from contextlib import ExitStack
    from dataclasses import replace

    from iaactl import runtime
    from iaactl.bench import charts
    from iaactl.bench.benchmark import report_of, scenario_of
    from iaactl.bench.campaign import run_campaign
    from iaactl.bench.destination import Destination, LocalDestination
    from iaactl.bench.remote import Peer
    from iaactl.bench.supply import variants
    from iaactl.cli.render.bench import progress

    methods, backends = _wanted(options)
    page = options["page"]
    if page is not None:
        charts.check()
        if not page.parent.is_dir():
            raise _unwritable(page, "its folder is not there")
    user = _user(options["user_name"])
    supply = runtime.supply(user, options["socket"])
    libraries = runtime.libraries()
    preallocs = [True, False] if options["compare_prealloc"] else [options["prealloc"]]
    chosen, left_out = variants(methods, backends, preallocs, libraries, supply)
    if not chosen:
        raise HostError("no method can be measured here", hint="install zlib or libzstd")
    settings = _settings(options, supply)
    address = None
    if options["connect"] is not None:
        address = address_of(options["connect"], "--connect")
    output.note("preparing memory")
    image = _image(options["memory"], options["pid"], options["size"], options["seed"])
    if options["user_name"]:
        runtime.become(user)
    machine = runtime.machine(supply, libraries)
    pages = image.size // _PAGE
    settings = replace(settings, dirty_pages=min(pages, settings.dirty_pages or pages))
    engine = runtime.page_engine()
    used = any(v.backend in ("iaa", "auto") for v in chosen)
    no_speed = supply.no_speed if used else None
    with ExitStack() as undo:
        peer = None
        if address is not None:
            _room(image.size)
            peer = Peer(*address, image.size, settings)
            undo.callback(peer.close)
            if not peer.welcome.timed and any(v.backend for v in chosen):
                no_speed = (
                    no_speed or f"the queues of {peer.name} are no devices: no speed is given"
                )
            make: Callable[[Variant], Destination] = peer.destination
        else:
            _room(2 * image.size)
            transport = options["transport"]

            def make(variant: Variant) -> Destination:
                return LocalDestination(engine, image.size, variant, settings, transport)

        told = undo.enter_context(progress(output, timed=no_speed is None))
        outcome = run_campaign(
            engine, image, chosen, settings, make, repeat=options["repeat"],
            timed=no_speed is None, leave_out=not (methods or backends), progress=told,
        )  # fmt: skip
        if peer is not None and outcome.lost_peer is None and not outcome.interrupted:
            peer.leave()
    report = report_of(
        scenario_of(
            image.description, settings, user=user.name, repeat=options["repeat"],
            socket=options["socket"], transport=options["transport"], peer=options["connect"],
        ),
        machine, outcome, left_out, no_speed,
    )  # fmt: skip
    return _tell(output, report, as_json=options["as_json"], page=page)


def _unwritable(page: Path, why: str | None) -> HostError:
    return HostError(f"{page} cannot be written: {why}", hint="give --html a path of yours")


def _tell(output: Output, report: BenchReport, *, as_json: bool, page: Path | None) -> int:
    if as_json:
        output.document("iaactl.bench/1", report.model_dump(mode="json"))
    else:
        from iaactl.cli.render.bench import report_lines

        output.show(*report_lines(report, verbose=bool(output.verbose)))
    if page is not None:
        from iaactl.bench.page import html

        try:
            page.write_text(html(report))
        except OSError as error:
            raise _unwritable(page, error.strerror) from None
        output.note(f"wrote {page}")
    if report.interrupted:
        return ExitCode.INTERRUPTED
    if any(run.failed for run in report.runs):
        return ExitCode.FAILED
    return ExitCode.DONE if report.ok else ExitCode.VERDICT_NO


_LISTENING = ("listen", "backends", "size", "timeout", "user_name", "socket")


def _listen(ctx: click.Context, output: Output, options: dict[str, Any]) -> int:
    from iaactl import runtime
    from iaactl.bench.listener import Host, Service, listening
    from iaactl.bench.settings import Settings
    from iaactl.model.migration import Backend

    wrong = [
        param.opts[0]
        for param in command.params
        if ctx.get_parameter_source(param.name or "") is click.core.ParameterSource.COMMANDLINE
        and param.name not in _LISTENING
    ]
    if wrong:
        raise UsageProblem(
            f"{wrong[0]} is for the sending side", hint="give it together with --connect"
        )
    if len(options["backends"]) > 1:
        raise UsageProblem("a listening host takes one --backend")
    user = _user(options["user_name"])
    supply = runtime.supply(user, options["socket"])
    if options["user_name"]:
        runtime.become(user)
    backend = Backend(options["backends"][0]) if options["backends"] else Backend.AUTO
    most = _FILE_BYTES if options["size"] is None else bytes_of(options["size"], "--size")
    settings = Settings(
        queues=supply.paths,
        queue_cpus=supply.cpus,
        block_on_fault=supply.block_on_fault,
        timeout_s=options["timeout"],
    )
    machine = runtime.machine(supply, runtime.libraries())
    host = Host(
        most_bytes=most,
        backend=backend,
        description=f"{machine.cpu}, {machine.cpus} CPUs, Linux {machine.kernel}",
        timed=supply.no_speed is None or backend in (Backend.SOFTWARE, Backend.LIBQPL),
    )
    name, port = address_of(options["listen"], "--listen")
    with listening(name, port) as listener:
        output.note(f"listening on {name or '*'}:{listener.getsockname()[1]}")
        service = Service(runtime.page_engine(), settings, host, listener, output.note)
        done = service.serve()
    output.note(f"{done} migrations received")
    return ExitCode.DONE


@command.command(
    epilog="""\b
Examples:
  iaactl migrate-bench codecs
  iaactl migrate-bench codecs --memory guest.core.zst --rounds 9
"""
)
@memory_options
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1, 1000),
              help="How often each codec compresses the sample.")  # fmt: skip
@click.option("--pages", default=4096, show_default=True, type=click.IntRange(1, 1 << 20),
              help="Most pages in the sample.")  # fmt: skip
@queue_options
@json_option
@click.pass_obj
def codecs(output: Output, /, **options: Any) -> int:
    """Measure the page codecs alone, on one core, in turn, with every page checked.

    The same pages go through every codec, the order reversed in every other round; times are CPU
    time. Speeds are also given as ratios to libqpl in software where it is installed, else to
    zlib level 1.
    """
    from iaactl import runtime

    with runtime.interruptible():
        return _codecs(output, options)


def _codecs(output: Output, options: dict[str, Any]) -> int:
    from iaactl import runtime
    from iaactl.bench.codecs import measure

    user = _user(options["user_name"])
    supply = runtime.supply(user, options["socket"])
    image = _image(options["memory"], options["pid"], options["size"], options["seed"])
    if options["user_name"]:
        runtime.become(user)
    report = measure(
        image,
        runtime.machine(supply, runtime.libraries()),
        runtime.codec_maker(supply, options["timeout"]),
        runtime.zero_scan,
        runtime.zero_scan_variants(),
        with_iaa=bool(supply.queues),
        rounds=options["rounds"],
        most_pages=options["pages"],
        no_speed=supply.no_speed,
        say=output.step,
    )
    if options["as_json"]:
        output.document("iaactl.codecs/1", report.model_dump(mode="json"))
    else:
        from iaactl.cli.render.bench import codec_lines

        output.show(*codec_lines(report))
    return ExitCode.INTERRUPTED if report.interrupted else ExitCode.DONE


@command.command(
    epilog="""\b
Examples:
  iaactl migrate-bench decode capture/
  iaactl migrate-bench decode capture/ --json
"""
)
@click.argument(
    "directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the recorded streams of one migration, *.c2s, also .xz.",
)
@json_option
@click.pass_obj
def decode(output: Output, directory: Path, as_json: bool) -> int:
    """Check recorded channel streams of a migration and tell what they hold.

    Each stream is read as a strict receiver would read it: packets, pages, zero pages, the method
    and its ratio, and every defect with file, channel, packet and offset. Exit 6 when there is one.
    """
    from iaactl import runtime

    summary = runtime.decode_capture(directory)
    if as_json:
        output.document("iaactl.capture/1", summary.model_dump(mode="json"))
    else:
        from iaactl.cli.render.bench import capture_lines

        output.show(*capture_lines(summary))
    return ExitCode.VERDICT_NO if summary.errors else ExitCode.DONE
