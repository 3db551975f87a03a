"""Options of `migrate-bench`, named after QEMU's parameters, and the units they come in."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_PAGE = 4096


def bytes_of(text: str, option: str) -> int:
    """A size; what is none is a usage error of `option`."""
    from iaactl.model.units import parse_bytes

    try:
        return parse_bytes(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def rate_of(text: str, option: str) -> int:
    """Bytes a second; what is none is a usage error of `option`."""
    from iaactl.model.units import parse_rate

    try:
        return parse_rate(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=option) from None


def pages_per_s(text: str) -> int:
    """`64MiB` or `64MiB/s`, or `20000pages`; 0 is an idle guest."""
    match = re.fullmatch(r"([0-9]+)\s*pages?(/s)?", text.strip())
    if match:
        return int(match[1])
    rate = rate_of(text, "--dirty-rate")
    return 0 if rate == 0 else max(1, rate // _PAGE)


def address_of(text: str, option: str) -> tuple[str, int]:
    """HOST:PORT, [IPv6]:PORT or :PORT."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(
            f"`{text}` is not HOST:PORT, e.g. 192.0.2.7:4444", param_hint=option
        )
    return host.strip("[]"), int(port)


def _decorated(function: F, *options: Callable[[F], F]) -> F:
    """The function with options in the order in which they are given."""
    for option in reversed(options):
        function = option(function)
    return function


def memory_options(function: F) -> F:
    """Where memory comes from: --memory, --pid, --size, --seed."""
    return _decorated(
        function,
        click.option(
            "--memory",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Guest memory: raw, or a core of dump-guest-memory; xz, gzip, zstd too.",
        ),
        click.option(
            "--pid",
            type=click.IntRange(1),
            metavar="PID",
            help="Copy guest RAM of this running QEMU, read only.",
        ),
        click.option(
            "--size",
            metavar="BYTES",
            help="How much memory; of a file or process the most. Default: mix 256MiB, else 1GiB.",
        ),
        click.option(
            "--seed",
            default=1,
            show_default=True,
            type=click.IntRange(0, 2**32 - 1),
            help="Of the mix and of the dirtying thread.",
        ),
    )


def queue_options(function: F) -> F:
    """Which queues: --socket and --user; and --timeout."""
    return _decorated(
        function,
        click.option(
            "--socket",
            type=click.IntRange(0),
            metavar="N",
            help="Only queues of this CPU socket, as QPL takes those of its own.",
        ),
        click.option(
            "--user",
            "user_name",
            metavar="NAME",
            help="Give up all rights but those of this user first; needs root.",
        ),
        click.option(
            "--timeout",
            default=10.0,
            show_default=True,
            type=click.FloatRange(0.1, 3600),
            metavar="SECONDS",
            help="How long a peer or a device may do nothing.",
        ),
    )


def migration_options(function: F) -> F:
    """What a migration is run with."""
    return _decorated(
        function,
        click.option(
            "--method",
            "methods",
            multiple=True,
            type=click.Choice(["none", "zlib", "zstd", "qpl"]),
            help="multifd-compression, repeatable; default: all that can be had.",
        ),
        click.option(
            "--backend",
            "backends",
            multiple=True,
            type=click.Choice(["auto", "iaa", "libqpl", "software"]),
            help="Who compresses for method qpl, repeatable; default: all that can be had.",
        ),
        click.option(
            "--channels",
            default=2,
            show_default=True,
            type=click.IntRange(1, 255),
            help="multifd-channels.",
        ),
        click.option(
            "--max-bandwidth",
            default="0",
            show_default=True,
            metavar="RATE",
            help="max-bandwidth of all channels, e.g. 1GiB, 10Gbit/s; 0: no limit.",
        ),
        click.option(
            "--downtime-limit",
            default=300,
            show_default=True,
            type=click.IntRange(1, 2000000),
            metavar="MS",
            help="The guest is stopped when the rest fits.",
        ),
        click.option(
            "--max-rounds",
            default=30,
            show_default=True,
            type=click.IntRange(2, 10000),
            help="Stop the guest after so many passes all the same.",
        ),
        click.option(
            "--multifd-zlib-level",
            default=1,
            show_default=True,
            type=click.IntRange(0, 9),
            help="Level of method zlib.",
        ),
        click.option(
            "--multifd-zstd-level",
            default=1,
            show_default=True,
            type=click.IntRange(0, 20),
            help="Level of method zstd.",
        ),
        click.option(
            "--zero-page-detection",
            default="multifd",
            show_default=True,
            type=click.Choice(["multifd", "none", "legacy"]),
            help="Who looks for zero pages; legacy needs QEMU's main stream.",
        ),
        click.option(
            "--dirty-rate",
            default="0",
            show_default=True,
            metavar="RATE",
            help="How fast the guest writes, e.g. 64MiB/s or 20000pages/s; 0: idle.",
        ),
        click.option(
            "--dirty-memory",
            metavar="BYTES",
            help="How much of the memory it writes to, from the start; default: all.",
        ),
        click.option(
            "--dirty-pattern",
            default="hot",
            show_default=True,
            type=click.Choice(["sequential", "random", "hot"]),
            help="hot: nine of ten writes go to a tenth of it.",
        ),
        click.option(
            "--prealloc/--no-prealloc",
            default=True,
            show_default=True,
            help="Touch the destination's memory before, as -mem-prealloc does.",
        ),
        click.option(
            "--compare-prealloc",
            is_flag=True,
            help="Measure both ways.",
        ),
        click.option(
            "--repeat",
            default=3,
            show_default=True,
            type=click.IntRange(1, 1000),
            help="Migrations of each method, interleaved.",
        ),
        click.option(
            "--transport",
            default="tcp",
            show_default=True,
            type=click.Choice(["tcp", "unix"]),
            help="Inside this host: loopback TCP or unix sockets.",
        ),
        click.option(
            "--listen",
            metavar="[HOST]:PORT",
            help="Receive from another host, once, without authentication; port 0: any.",
        ),
        click.option(
            "--connect",
            metavar="HOST:PORT",
            help="Send to a host that listens.",
        ),
    )
