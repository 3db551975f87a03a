"""Connected sockets for the channels of a migration inside one process."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

Transport = Literal["tcp", "unix"]


@dataclass(frozen=True, slots=True)
class Channels:
    """Both ends of each channel; owns the sockets. The n-th sending end meets the n-th other."""

    sending: tuple[socket.socket, ...]
    receiving: tuple[socket.socket, ...]

    def close(self) -> None:
        """Close all of them; threads that still use them get an error, not another file."""
        for end in (*self.sending, *self.receiving):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def __enter__(self) -> Channels:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def without_delay(end: socket.socket) -> socket.socket:
    """Small packets go out at once, as QEMU sets it for its channels."""
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return end


def _tcp_pair(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    out = socket.create_connection(listener.getsockname())
    while True:
        accepted, address = listener.accept()
        if address == out.getsockname():
            return without_delay(out), without_delay(accepted)
        accepted.close()  # somebody else found the port


def connected(transport: Transport, count: int) -> Channels:
    """`count` channels over loopback TCP or a pair of unix stream sockets."""
    pairs: list[tuple[socket.socket, socket.socket]] = []
    with contextlib.ExitStack() as undo:
        if transport == "tcp":
            with socket.create_server(("127.0.0.1", 0)) as listener:
                for _ in range(count):
                    pairs.append(_tcp_pair(listener))
                    for end in pairs[-1]:
                        undo.callback(end.close)
        else:
            for _ in range(count):
                pairs.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
                for end in pairs[-1]:
                    undo.callback(end.close)
        undo.pop_all()
    return Channels(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))
