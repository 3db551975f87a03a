"""Runs something in a child process with other rights, and brings its answer back as text."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator


def lines_from_child(
    work: Callable[[Callable[[str], None]], None], timeout_s: float
) -> Iterator[str]:
    """Lines that `work` says in a child process, as they come, until it ends or time is up.

    The child may give up its rights or hang in an open: it is killed when `timeout_s` seconds
    have passed, and what it had said stands. Work queues belong to the process that opens them,
    so that everything about them happens in the child.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            with os.fdopen(writer, "w", buffering=1) as pipe:
                work(lambda line: print(line, file=pipe))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    deadline = time.monotonic() + timeout_s
    rest = b""
    try:
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([reader], [], [], left)[0]:
                break
            chunk = os.read(reader, 65536)
            if not chunk:
                break
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
    finally:
        os.close(reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
