"""The other host as a destination: control connection, page channels, digests."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import ExitStack

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
    Start,
    Started,
    Sync,
    Synced,
    Welcome,
)
from iaactl.bench.engine import GuestMemory
from iaactl.bench.listener import digest
from iaactl.bench.settings import Settings
from iaactl.bench.transport import without_delay
from iaactl.errors import IaactlError, PeerError
from iaactl.model.migration import ChannelCounters, Choice
from iaactl.model.report import Variant

_LAST_WORDS_S = 2.0


def _connection(host: str, port: int, timeout_s: float) -> socket.socket:
    try:
        return socket.create_connection((host, port), timeout=timeout_s)
    except OSError as error:
        raise PeerError(
            f"cannot connect to {host}:{port}: {error.strerror or error}",
            hint=f"start the receiving side first: iaactl migrate-bench --listen :{port}",
        ) from None


class Peer:
    """A host that runs `migrate-bench --listen`. Raises PeerError when it is not, or refuses."""

    def __init__(self, host: str, port: int, memory_bytes: int, settings: Settings) -> None:
        self._host = host
        self._port = port
        self._settings = settings
        self.name = f"{host}:{port}"
        self._control = Control(_connection(host, port, settings.timeout_s), self.name)
        try:
            self._control.send(
                Hello(
                    protocol=PROTOCOL,
                    version=__version__,
                    memory_bytes=memory_bytes,
                    channels=settings.channels,
                )
            )
            self.welcome = self._control.receive(Welcome, timeout_s=settings.timeout_s)
        except BaseException:
            self.close()
            raise

    def destination(self, variant: Variant) -> RemoteDestination:
        """A fresh memory over there, and channels to it."""
        return RemoteDestination(
            self._control, self._host, self._port, self.name, variant, self._settings
        )

    def leave(self) -> None:
        """Tell the peer that there is no more; only between migrations."""
        self._control.send(Bye())

    def close(self) -> None:
        """Close the connection; without `leave` before, the peer takes it for lost."""
        self._control.close()


class RemoteDestination:
    """A `Destination` on the other host."""

    def __init__(
        self,
        control: Control,
        host: str,
        port: int,
        name: str,
        variant: Variant,
        settings: Settings,
    ) -> None:
        self._control = control
        self._name = name
        self._timeout_s = settings.timeout_s
        self._finished: Finished | None = None
        control.send(Start(method=variant.method, prealloc=variant.prealloc))
        # Preallocating takes the kernel a second for a few GiB.
        control.receive(Ready, timeout_s=None)
        with ExitStack() as undo:
            channels = []
            for _ in range(settings.channels):
                channels.append(without_delay(_connection(host, port, settings.timeout_s)))
                channels[-1].settimeout(None)
                undo.callback(channels[-1].close)
            control.send(Open())
            self._choice = control.receive(Started, timeout_s=settings.timeout_s).choice
            self.fds: Sequence[int] = [end.fileno() for end in channels]
            self._undo = undo.pop_all()

    def wait_sync(self, n: int) -> None:
        """See the protocol."""
        self._control.send(Sync(n=n))
        self._control.receive(Synced, timeout_s=self._timeout_s * 2)

    def finish(self) -> None:
        """See the protocol. The digest of a large memory takes a while, so there is no deadline
        but the life of the connection."""
        self._control.send(Finish())
        self._finished = self._control.receive(Finished, timeout_s=None)

    def compare(self, source: GuestMemory) -> tuple[bool, int | None]:
        """By digests: which page differs is not known."""
        if self._finished is None:
            raise PeerError(f"{self._name} has not told the digest of its memory")
        return digest(source) == self._finished.sha256, None

    def counters(self) -> tuple[ChannelCounters, ...]:
        """Those of the end, empty before."""
        return self._finished.counters if self._finished else ()

    @property
    def backend(self) -> Choice:
        """See the protocol."""
        return self._choice

    def explain(self, error: IaactlError) -> IaactlError:
        """What the other host said, if it did; after any error the two are out of step."""
        if isinstance(error, PeerError):
            return error
        try:
            self._control.receive(Finished, timeout_s=_LAST_WORDS_S)
        except PeerError as cause:
            if "said nothing" not in cause.message:
                return cause
        return PeerError(f"the migration to {self._name} broke: {error.message}", hint=error.hint)

    def close(self) -> None:
        """Close the channels."""
        self._undo.close()
