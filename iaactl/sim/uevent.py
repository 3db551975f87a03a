"""Device events on netlink: the kernel's own (group 1) and those of udev (group 2).

The kernel's events are injected: since Linux 4.18 a process that is privileged in a network
namespace may hand the kernel an event, which it numbers and sends to the listeners of that
namespace as its own (sender 0, as libudev wants it).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import Protocol

NETLINK_KOBJECT_UEVENT = 15
KERNEL_GROUP = 1
UDEV_GROUP = 2

_HEADER = struct.Struct("=IHHII")
_TYPE = 0x10  # the first number that is not a control message; the kernel does not look further
_REQUEST_AND_ACK = 0x1 | 0x4
_NLMSG_ERROR = 0x2
# libudev's header: prefix, magic, header size, offset and length of the properties, then hashes
# of subsystem and devtype and a Bloom filter of tags, which listeners filter by.
_LIBUDEV = struct.Struct("=8s4sIII4s4s8s")
_LIBUDEV_MAGIC = struct.pack("!I", 0xFEEDCAFE)


class KernelEvent(Protocol):
    """What the simulated driver core hands out."""

    @property
    def action(self) -> str:
        """add, remove, change, bind, unbind, ..."""

    @property
    def devpath(self) -> str:
        """Relative to /sys, with a leading slash."""

    @property
    def subsystem(self) -> str:
        """Bus or class."""

    @property
    def properties(self) -> Mapping[str, str]:
        """Further variables, such as MAJOR or DEVTYPE."""


def murmur2(data: bytes) -> int:
    """MurmurHash2 of 32 bits with seed 0, by which libudev filters events."""
    factor, mask = 0x5BD1E995, 0xFFFFFFFF
    value = len(data)
    whole = len(data) & ~3
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        word = word * factor & mask
        word = (word ^ word >> 24) * factor & mask
        value = value * factor & mask ^ word
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * factor & mask
    value = (value ^ value >> 13) * factor & mask
    return value ^ value >> 15


def _bloom(tags: Iterable[str]) -> int:
    bits = 0
    for tag in tags:
        value = murmur2(tag.encode())
        for shift in (0, 6, 12, 18):
            bits |= 1 << (value >> shift & 63)
    return bits


class KernelSender:
    """Hands events to the kernel of this network namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT
        )

    def send(self, event: KernelEvent) -> None:
        """Send one event; raises OSError with the kernel's answer when it is refused."""
        variables = {
            "ACTION": event.action,
            "DEVPATH": event.devpath,
            "SUBSYSTEM": event.subsystem,
            **event.properties,
        }
        text = f"{event.action}@{event.devpath}\0"
        text += "".join(f"{name}={value}\0" for name, value in variables.items())
        payload = text.encode("utf-8", "surrogateescape")
        header = _HEADER.pack(_HEADER.size + len(payload), _TYPE, _REQUEST_AND_ACK, 0, 0)
        self._socket.sendto(header + payload, (0, 0))
        answer = self._socket.recv(4096)
        if _HEADER.unpack_from(answer)[1] == _NLMSG_ERROR:
            (error,) = struct.unpack_from("=i", answer, _HEADER.size)
            if error:
                raise OSError(-error, os.strerror(-error), "uevent")


class KernelReceiver:
    """Listens to the kernel's events, as systemd-udevd does."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT
        )
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        self._socket.bind((0, KERNEL_GROUP))

    def receive(self) -> dict[str, str]:
        """The variables of the next event, in their order."""
        data = self._socket.recv(1 << 16).decode("utf-8", "surrogateescape")
        return {
            name: value
            for part in data.split("\0")[1:]
            for name, separator, value in (part.partition("="),)
            if separator
        }


class UdevSender:
    """Sends events in libudev's format to the listeners of the group `udev`."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT
        )
        self._socket.bind((0, 0))

    def send(self, variables: Mapping[str, str], tags: Iterable[str] = ()) -> None:
        """Send one event; that nobody listens is no error."""
        text = "".join(f"{name}={value}\0" for name, value in variables.items())
        payload = text.encode("utf-8", "surrogateescape")
        header = _LIBUDEV.pack(
            b"libudev\0",
            _LIBUDEV_MAGIC,
            _LIBUDEV.size,
            _LIBUDEV.size,
            len(payload),
            struct.pack("!I", murmur2(variables["SUBSYSTEM"].encode())),
            struct.pack("!I", murmur2(variables["DEVTYPE"].encode()))
            if "DEVTYPE" in variables
            else bytes(4),
            struct.pack("!Q", _bloom(tags)),
        )
        try:
            self._socket.sendto(header + payload, (0, UDEV_GROUP))
        except ConnectionRefusedError:
            return
