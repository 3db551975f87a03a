"""Where a migration goes: a receiver in this process, over sockets of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Protocol

from iaactl.bench.engine import Engine, GuestMemory
from iaactl.bench.settings import Settings
from iaactl.bench.transport import Transport, connected
from iaactl.errors import IaactlError, OperationError, StreamError
from iaactl.model.migration import Backend, ChannelCounters, Choice
from iaactl.model.report import Variant


class Destination(Protocol):
    """The other side of one migration, as the sending side sees it."""

    @property
    def fds(self) -> Sequence[int]:
        """The sending end of each channel; they belong to the destination."""

    def wait_sync(self, n: int) -> None:
        """Until all pages of the first n rounds are in place. Raises OperationError."""

    def finish(self) -> None:
        """Until every channel has ended; the sender has finished before."""

    def compare(self, source: GuestMemory) -> tuple[bool, int | None]:
        """Whether the memories are equal; the first page that differs, where that can be told."""

    def counters(self) -> tuple[ChannelCounters, ...]:
        """What the receiving side counted."""

    @property
    def backend(self) -> Choice:
        """Who decompresses, and why."""

    def explain(self, error: IaactlError) -> IaactlError:
        """The cause of an error that the sender met, as far as this side knows better."""

    def close(self) -> None:
        """Cancel and free."""


class LocalDestination:
    """A `Destination` in this process."""

    def __init__(
        self,
        engine: Engine,
        size_bytes: int,
        variant: Variant,
        settings: Settings,
        transport: Transport,
    ) -> None:
        self._engine = engine
        self._timeout_s = settings.timeout_s
        with ExitStack() as undo:
            self._memory = engine.memory(size_bytes, prealloc=variant.prealloc)
            undo.callback(self._memory.close)
            channels = undo.enter_context(connected(transport, settings.channels))
            self._receiver = engine.receiver(
                self._memory,
                [end.fileno() for end in channels.receiving],
                settings.receiving(variant.method, variant.backend or Backend.AUTO),
            )
            undo.callback(self._receiver.close)
            self._receiver.start()
            self.fds: Sequence[int] = [end.fileno() for end in channels.sending]
            self._undo = undo.pop_all()

    def wait_sync(self, n: int) -> None:
        """See the protocol."""
        self._receiver.wait_sync(n, self._timeout_s)

    def finish(self) -> None:
        """See the protocol."""
        self._receiver.finish(self._timeout_s)

    def compare(self, source: GuestMemory) -> tuple[bool, int | None]:
        """See the protocol."""
        page = self._engine.first_difference(source, self._memory)
        return page is None, page

    def counters(self) -> tuple[ChannelCounters, ...]:
        """See the protocol."""
        return self._receiver.counters()

    @property
    def backend(self) -> Choice:
        """See the protocol."""
        return self._receiver.backend

    def explain(self, error: IaactlError) -> IaactlError:
        """A receiver that failed is why a sender finds its channel closed or stuck."""
        try:
            self._receiver.wait_sync(1 << 30, 0)
        except StreamError as cause:
            return cause
        except OperationError:
            pass
        return error

    def close(self) -> None:
        """Receiver, then sockets, then memory."""
        self._undo.close()
