"""Sends guest memory through the queues named on the command line, to itself; prints JSON.

Options before the queues: a channel count, a page count, `fault` to ask for block_on_fault, the
seconds a job may take, and `sender` or `receiver` when only that end is to use the queues, or
`cancelled` to give up after half a second. The variable QUEUES_NEAR names the queues of the
socket that this process runs on; without it nothing is known of sockets.
"""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import threading
import time
from contextlib import ExitStack

from iaactl.errors import OperationError
from iaactl.model.migration import Backend, Method
from iaactl.multifd.memory import Memory
from iaactl.multifd.pipeline import ReceiveOptions, Receiver, Sender, SendOptions

PAGE = 4096


def content(pages: int) -> bytes:
    source = random.Random(1)
    words = [b"in ", b"the ", b"beginning ", b"was ", b"\0\0\0\0"]
    kinds = (
        lambda: source.randbytes(PAGE),
        lambda: bytes(PAGE),
        lambda: b"".join(source.choice(words) for _ in range(2000))[:PAGE].ljust(PAGE, b"."),
        lambda: source.randbytes(64) * 64,
    )
    return b"".join(kinds[n % 4]() for n in range(pages))


def main() -> None:
    channels, pages, fault, timeout, side, *queues = sys.argv[1:]
    block, timeout_s = fault == "fault", float(timeout)
    near = os.environ.get("QUEUES_NEAR", "").split()
    here = sorted(os.sched_getaffinity(0))
    cpus = {path: here if path in near else [2047] for path in queues} if near else {}
    answer: dict[str, object] = {}
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(int(channels))]
        for pair in pairs:
            for end in pair:
                stack.enter_context(end)
        size = int(pages) * PAGE
        source = stack.enter_context(Memory(size, prealloc=False))
        target = stack.enter_context(Memory(size, prealloc=False))
        with source.view() as view:
            view[:] = content(int(pages))
        source.mark_all_dirty()
        receiver = stack.enter_context(
            Receiver(
                target,
                [pair[1].fileno() for pair in pairs],
                ReceiveOptions(
                    method=Method.QPL,
                    backend=Backend.SOFTWARE if side == "sender" else Backend.AUTO,
                    queues=queues if side != "sender" else (),
                    queue_cpus=cpus,
                    block_on_fault=block,
                    timeout_s=timeout_s,
                ),
            )
        )
        sender = stack.enter_context(
            Sender(
                source,
                [pair[0].fileno() for pair in pairs],
                SendOptions(
                    method=Method.QPL,
                    backend=Backend.SOFTWARE if side == "receiver" else Backend.AUTO,
                    queues=queues if side != "receiver" else (),
                    queue_cpus=cpus,
                    block_on_fault=block,
                    timeout_s=timeout_s,
                ),
            )
        )
        receiver.start()
        if side == "cancelled":
            threading.Timer(0.5, sender.cancel).start()
            began = time.monotonic()
        try:
            answer["pages"] = [sender.round(), sender.round()]
            sender.finish()
            receiver.finish(60)
            answer["difference"] = source.first_difference(target)
        except OperationError as problem:
            answer["error"] = problem.message
        if side == "cancelled":
            sender.close()
            receiver.close()
            answer["seconds"] = time.monotonic() - began
        answer["sender"] = [c.model_dump() for c in sender.counters()]
        answer["receiver"] = [c.model_dump() for c in receiver.counters()]
        answer["backends"] = [sender.backend.model_dump(), receiver.backend.model_dump()]
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
