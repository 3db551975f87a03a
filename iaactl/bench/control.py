"""The control connection of a benchmark between two hosts: JSON objects, one a line.

The connecting host sends `hello` with the protocol number, then for each migration `run`, `open`,
`sync` and `finish`, and `bye` at the end; the listening host answers all but `bye` with one object,
or with `error`. The page channels
are connections of their own to the same port, and speak QEMU's format only.
"""

from __future__ import annotations

import json
import select
import socket
import time
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from iaactl import __version__
from iaactl.errors import PeerError
from iaactl.model.device import Frozen
from iaactl.model.migration import Backend, ChannelCounters, Choice, Method

PROTOCOL = 1
_LONGEST_LINE = 1 << 18
_CHUNK = 1 << 16


class Hello(Frozen):
    """What the connecting host wants; both must speak the same protocol."""

    kind: Literal["hello"] = "hello"
    program: Literal["iaactl-migrate-bench"] = "iaactl-migrate-bench"
    protocol: int
    version: str
    memory_bytes: int = Field(ge=4096, multiple_of=4096)
    channels: int = Field(ge=1, le=255)


class Welcome(Frozen):
    """The listening host agrees."""

    kind: Literal["welcome"] = "welcome"
    protocol: int
    version: str
    backend: Backend
    host: str = Field(description="CPU and kernel, for the report")
    timed: bool = Field(description="its queues, if it uses any, are devices")


class Start(Frozen):
    """One migration follows."""

    kind: Literal["run"] = "run"
    method: Method
    prealloc: bool


class Ready(Frozen):
    """The memory is there: open the channels now."""

    kind: Literal["ready"] = "ready"


class Open(Frozen):
    """All channels are connected."""

    kind: Literal["open"] = "open"


class Started(Frozen):
    """The receiver runs."""

    kind: Literal["started"] = "started"
    choice: Choice


class Sync(Frozen):
    """Tell when all pages of the first n rounds are in place."""

    kind: Literal["sync"] = "sync"
    n: int = Field(ge=1)


class Synced(Frozen):
    """They are."""

    kind: Literal["synced"] = "synced"


class Finish(Frozen):
    """The sender has ended; say what arrived."""

    kind: Literal["finish"] = "finish"


class Finished(Frozen):
    """What arrived."""

    kind: Literal["finished"] = "finished"
    counters: tuple[ChannelCounters, ...]
    sha256: str


class Bye(Frozen):
    """There is no more to migrate. A connection that ends without it is lost."""

    kind: Literal["bye"] = "bye"


class Refusal(Frozen):
    """Something went wrong on the side that sends this."""

    kind: Literal["error"] = "error"
    message: str
    hint: str | None = None


M = TypeVar("M", bound=Frozen)


class Control:
    """One end of a control connection; owns the socket. `name` is how errors call the peer."""

    def __init__(self, end: socket.socket, name: str) -> None:
        self._end = end
        self._name = name
        self._read = b""
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A host that dies without a word is noticed within half a minute, also between migrations.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
        end.settimeout(10)

    def send(self, message: Frozen) -> None:
        """Send one message. Raises PeerError."""
        try:
            self._end.sendall(message.model_dump_json().encode() + b"\n")
        except OSError as error:
            raise self._gone(error.strerror or str(error)) from None

    def _gone(self, why: str) -> PeerError:
        return PeerError(
            f"the connection to {self._name} is lost: {why}",
            hint="look at what iaactl says there, then start both sides again",
        )

    def readable(self, wait_s: float) -> bool:
        """Whether there is something to receive, waiting at most so long."""
        return b"\n" in self._read or bool(select.select([self._end], [], [], wait_s)[0])

    def _line(self, timeout_s: float | None) -> bytes:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while b"\n" not in self._read:
            left = 0.5 if deadline is None else min(0.5, deadline - time.monotonic())
            if left <= 0:
                raise PeerError(
                    f"{self._name} said nothing for {timeout_s:g} s",
                    hint="--timeout SECONDS waits longer, where memory is large or hosts are slow",
                )
            if not self.readable(left):
                continue
            try:
                chunk = self._end.recv(_CHUNK)
            except OSError as error:
                raise self._gone(error.strerror or str(error)) from None
            if not chunk:
                raise self._gone("it was closed there")
            self._read += chunk
            if len(self._read) > _LONGEST_LINE:
                raise PeerError(f"{self._name} does not speak the protocol of migrate-bench")
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _same_protocol(self, document: dict[str, object]) -> None:
        """The number is the first thing to look at: another one may have other fields."""
        theirs = document.get("protocol", PROTOCOL)
        if theirs != PROTOCOL:
            raise PeerError(
                f"{self._name} speaks protocol {theirs} of migrate-bench (iaactl "
                f"{document.get('version')}), iaactl {__version__} here protocol {PROTOCOL}",
                hint="install the same release on both hosts",
            )

    def receive(self, *kinds: type[M], timeout_s: float | None) -> M:
        """The next message, which must be of one of `kinds`. Raises PeerError for what the peer
        refuses, and when it is gone, silent for `timeout_s`, or speaks something else."""
        line = self._line(timeout_s)
        try:
            document = json.loads(line)
            kind = document.get("kind")
            if kind == "error":
                refusal = Refusal.model_validate_json(line)
                raise PeerError(f"{self._name}: {refusal.message}", hint=refusal.hint)
            self._same_protocol(document)
            for model in kinds:
                if model.model_fields["kind"].default == kind:
                    return model.model_validate_json(line)
        except (ValueError, AttributeError, RecursionError, ValidationError):
            pass
        expected = " or ".join(model.model_fields["kind"].default for model in kinds)
        raise PeerError(
            f"{self._name} does not speak the protocol of migrate-bench: {expected} expected, got "
            f"{line[:60].decode(errors='replace')!r}",
            hint=f"both hosts need an iaactl with protocol {PROTOCOL}, and the port of --listen",
        )

    def close(self) -> None:
        """Close the connection."""
        self._end.close()
