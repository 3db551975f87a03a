"""What is wrong with a channel, in words."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from iaactl.errors import StreamError
from iaactl.native._core import ffi, lib
from iaactl.native.system_error import errno_text

_METHODS = {0: "none", 2: "zlib", 4: "zstd", 8: "qpl", 16: "uadk", 32: "qatzip"}


def _method(bits: int) -> str:
    return _METHODS.get(bits, f"unknown ({bits:#x})")


# By kind: the sentence, from what was had and what was wanted (include/wire.h says what they are).
_REASONS: dict[int, Callable[[int, int], str]] = {
    lib.IAACTL_DEFECT_MAGIC: lambda have, want: f"the magic is {have:#010x}, not {want:#010x}",
    lib.IAACTL_DEFECT_VERSION: lambda have, want: f"the version is {have}, not {want}",
    lib.IAACTL_DEFECT_UUID: lambda have, want: "the UUID is that of another virtual machine",
    lib.IAACTL_DEFECT_CHANNEL_ID: lambda have, want: (
        f"the channel says it is number {have}, but there are {want} channels"
    ),
    lib.IAACTL_DEFECT_CHANNEL_TWICE: lambda have, want: f"channel {have} is there twice",
    lib.IAACTL_DEFECT_FLAGS: lambda have, want: f"the flags {have:#x} are not known",
    lib.IAACTL_DEFECT_METHOD: lambda have, want: (
        f"the packet is of method {_method(have)}, expected is {_method(want)}"
    ),
    lib.IAACTL_DEFECT_PAGES_ALLOC: lambda have, want: (
        f"the packet has room for {have} pages, more than {want}"
    ),
    lib.IAACTL_DEFECT_NORMAL_PAGES: lambda have, want: (
        f"the packet has {have} normal pages and room for {want}"
    ),
    lib.IAACTL_DEFECT_ZERO_PAGES: lambda have, want: (
        f"the packet has {have} zero pages and room for {want}"
    ),
    lib.IAACTL_DEFECT_BLOCK: lambda have, want: "the RAM block is not known here",
    lib.IAACTL_DEFECT_OFFSET: lambda have, want: (
        f"a page at {have:#x} is outside the RAM block, whose last page is at {want:#x}"
    ),
    lib.IAACTL_DEFECT_ALIGNMENT: lambda have, want: f"a page at {have:#x} is at no page border",
    lib.IAACTL_DEFECT_PAYLOAD: lambda have, want: (
        f"the payload has {have} bytes, but its pages make {want}"
    ),
    lib.IAACTL_DEFECT_PAYLOAD_MOST: lambda have, want: (
        f"the payload has {have} bytes, more than {want}"
    ),
    lib.IAACTL_DEFECT_LENGTH: lambda have, want: (
        f"page {want} of the packet has {have} bytes of data, not 1 to 4096"
    ),
    lib.IAACTL_DEFECT_PAGE: lambda have, want: (
        f"{want} bytes of data do not decompress to the 4096 of the page at {have:#x}"
    ),
    lib.IAACTL_DEFECT_STREAM: lambda have, want: (
        f"the stream does not decompress at page {have} of the packet"
    ),
    lib.IAACTL_DEFECT_TRAILING: lambda have, want: f"{have} bytes follow the last page",
    lib.IAACTL_DEFECT_CUT: lambda have, want: (
        f"the channel ends after {have} bytes of {want} that belong together"
    ),
    lib.IAACTL_DEFECT_TIMEOUT: lambda have, want: f"the peer moved no byte in {have / 1000:g} s",
    lib.IAACTL_DEFECT_CLOSED: lambda have, want: "the peer closed the connection",
    lib.IAACTL_DEFECT_IO: lambda have, want: "the connection failed",
    lib.IAACTL_DEFECT_SYNC_MISSING: lambda have, want: (
        f"the channel ends after {have} SYNCs, another has {want}"
    ),
    lib.IAACTL_DEFECT_UNSYNCED: lambda have, want: (
        f"the channel ends after {have} pages that no SYNC follows"
    ),
    lib.IAACTL_DEFECT_DEVICE: lambda have, want: (
        f"a work queue did not complete a job in {want / 1000:g} s"
    ),
    lib.IAACTL_DEFECT_CODEC: lambda have, want: "compression failed",
}
_HINTS = {
    lib.IAACTL_DEFECT_UUID: "give both ends the same UUID",
    lib.IAACTL_DEFECT_CHANNEL_ID: "set the same number of channels on both ends",
    lib.IAACTL_DEFECT_CHANNEL_TWICE: "each channel needs a connection of its own",
    lib.IAACTL_DEFECT_METHOD: "set the same compression method on both ends",
    lib.IAACTL_DEFECT_MAGIC: "this is no multifd channel, or bytes of it are missing",
    lib.IAACTL_DEFECT_TIMEOUT: "is the other end still running, with as many channels?",
    lib.IAACTL_DEFECT_CLOSED: "the other end says why",
    lib.IAACTL_DEFECT_DEVICE: "the queue hangs: `iaactl selftest` tells which, the kernel log why",
}


def stream_error(defect: Any, queues: tuple[str, ...] = ()) -> StreamError:
    """The exception for a `struct iaactl_defect` that has a kind. `queues` are those of the codec,
    in the order in which it has them."""
    reason = _REASONS[defect.kind](defect.have, defect.want)
    if defect.kind == lib.IAACTL_DEFECT_DEVICE and defect.have < len(queues):
        reason = reason.replace("a work queue", queues[defect.have])
    if defect.error and defect.error not in (errno.ENODATA, errno.ETIMEDOUT, errno.EPIPE):
        reason += f": {errno_text(defect.error)}"
    who = f"channel {defect.channel}" if defect.channel >= 0 else f"connection {defect.index}"
    return StreamError(
        f"{who}, packet {defect.packet}, byte {defect.offset}: {reason}",
        hint=_HINTS.get(defect.kind),
        channel=defect.channel if defect.channel >= 0 else None,
        connection=defect.index,
        packet=defect.packet,
        offset=defect.offset,
        reason=reason,
    )


def new_defect() -> Any:
    """Room for one."""
    return ffi.new("struct iaactl_defect *")
