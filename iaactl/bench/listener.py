"""The receiving host of a benchmark between two hosts: serves one connecting host, then ends."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from iaactl import __version__
from iaactl.bench.control import (
    PROTOCOL,
    Bye,
    Control,
    Finish,
    Finished,
    Hello,
    Open,
    Ready,
    Refusal,
    Start,
    Started,
    Sync,
    Synced,
    Welcome,
)
from iaactl.bench.engine import Engine, GuestMemory, Receiver
from iaactl.bench.settings import Settings
from iaactl.bench.transport import without_delay
from iaactl.errors import IaactlError, OperationError, PeerError, StreamError
from iaactl.model.migration import Backend
from iaactl.model.units import format_bytes

_POLL_S = 0.2


def digest(memory: GuestMemory) -> str:
    """SHA-256 of a memory, in hexadecimal."""
    with memory.view() as view:
        return hashlib.sha256(view).hexdigest()


@dataclass(frozen=True, slots=True)
class Host:
    """What the listening host says of itself; `most_bytes` is how much memory it lends."""

    most_bytes: int
    backend: Backend
    description: str
    timed: bool


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises OperationError."""
    try:
        family = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise OperationError(
            f"cannot listen on {host or '*'}:{port}: {error.strerror or error}",
            hint="take another port, or an address that this host has",
        ) from None


class Service:
    """Serves migrations to one peer over a listening socket, which stays the caller's."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        host: Host,
        listener: socket.socket,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._host = host
        self._listener = listener
        self._say = say
        self.migrations = 0

    def serve(self) -> int:
        """Wait for a peer, receive what it sends, and return how many migrations ended well.

        Raises PeerError and StreamError; the peer has been told before.
        """
        end, address = self._listener.accept()
        control = Control(end, f"{address[0]} port {address[1]}")
        try:
            hello = control.receive(Hello, timeout_s=self._settings.timeout_s)
            self._agree(hello)
            control.send(
                Welcome(
                    protocol=PROTOCOL,
                    version=__version__,
                    backend=self._host.backend,
                    host=self._host.description,
                    timed=self._host.timed,
                )
            )
            self._say(
                f"{address[0]} connected: {format_bytes(hello.memory_bytes)}, "
                f"{hello.channels} channels, iaactl {hello.version}"
            )
            while True:
                message = control.receive(Start, Bye, timeout_s=None)
                if not isinstance(message, Start):
                    return self.migrations
                self._migration(control, address[0], hello, message)
                self.migrations += 1
        except IaactlError as error:
            with contextlib.suppress(PeerError):
                control.send(Refusal(message=error.message, hint=error.hint))
            raise
        finally:
            control.close()

    def _agree(self, hello: Hello) -> None:
        if hello.memory_bytes > self._host.most_bytes:
            raise PeerError(
                f"{format_bytes(hello.memory_bytes)} of memory are asked for, and "
                f"{format_bytes(self._host.most_bytes)} are lent",
                hint=f"start the listening side with --size {format_bytes(hello.memory_bytes)}",
            )

    def _accepted(self, peer: str, count: int) -> list[socket.socket]:
        """The page channels; connections of other hosts are closed. Raises PeerError."""
        found: list[socket.socket] = []
        deadline = time.monotonic() + self._settings.timeout_s
        try:
            while len(found) < count:
                # Strangers who keep knocking do not put the end off.
                self._listener.settimeout(max(0.001, deadline - time.monotonic()))
                end, address = self._listener.accept()
                if address[0] != peer:
                    end.close()
                    continue
                end.settimeout(None)
                found.append(without_delay(end))
        except BaseException as error:
            for end in found:
                end.close()
            if isinstance(error, TimeoutError):
                raise PeerError(
                    f"{peer} opened {len(found)} of {count} channels within "
                    f"{self._settings.timeout_s:g} s",
                    hint="a firewall may let the first connection through and no more",
                ) from None
            raise
        finally:
            self._listener.settimeout(None)
        return found

    def _migration(self, control: Control, peer: str, hello: Hello, start: Start) -> None:
        timeout_s = self._settings.timeout_s
        with ExitStack() as undo:
            memory = self._engine.memory(hello.memory_bytes, prealloc=start.prealloc)
            undo.callback(memory.close)
            control.send(Ready())
            channels = self._accepted(peer, hello.channels)
            for end in channels:
                undo.callback(end.close)
            control.receive(Open, timeout_s=timeout_s)
            receiver = self._engine.receiver(
                memory,
                [end.fileno() for end in channels],
                self._settings.receiving(start.method, self._host.backend),
            )
            undo.callback(receiver.close)
            receiver.start()
            control.send(Started(choice=receiver.backend))
            while True:
                self._watch(control, receiver)
                message = control.receive(Sync, Finish, timeout_s=timeout_s)
                if not isinstance(message, Sync):
                    break
                receiver.wait_sync(message.n, timeout_s)
                control.send(Synced())
            receiver.finish(timeout_s)
            control.send(Finished(counters=receiver.counters(), sha256=digest(memory)))

    def _watch(self, control: Control, receiver: Receiver) -> None:
        """Until the peer says something; a channel that fails meanwhile ends the wait."""
        beyond = 1 << 30
        while not control.readable(_POLL_S):
            try:
                receiver.wait_sync(beyond, 0)
            except StreamError:
                raise
            except OperationError:
                continue  # nothing wrong, and that many rounds there never are
