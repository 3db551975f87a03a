"""Kernel arguments that the boot loader's files hold, which the running kernel may not have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from iaactl.host.reading import Reading
from iaactl.model.facts import BootEntry, Line

_GRUB_VARIABLE = re.compile(r"^\s*(?:export\s+)?GRUB_CMDLINE_LINUX(?:_DEFAULT)?\+?=")
_GRUB_LINUX = re.compile(r"^\s*linux(?:efi|16)?\s")
GENERATED = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub2/grubenv",
             "/boot/grub/grubenv")  # fmt: skip


def read_boot(read: Reading) -> tuple[BootEntry, ...]:
    """Entries in the order in which an administrator meets them: sources first, then generated."""
    return tuple(
        entry
        for part in (_grub_defaults(read), _kernel_cmdline(read), _loader(read), _generated(read))
        for entry in part
    )


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text, comments=True))
    except ValueError:  # a quote that is never closed
        return tuple(text.split())


def _lines(read: Reading, path: str) -> Iterator[Line]:
    for number, text in enumerate((read.text(path) or "").splitlines(), 1):
        yield Line(path=path, number=number, text=text.strip()[:4096])


def _grub_defaults(read: Reading) -> Iterator[BootEntry]:
    folder = "/etc/default/grub.d"
    parts = [f"{folder}/{name}" for name in read.names(folder) if name.endswith(".cfg")]
    for path in ("/etc/default/grub", *parts):
        for line in _lines(read, path):
            if _GRUB_VARIABLE.match(line.text):
                value = " ".join(_words(line.text)).partition("=")[2]
                yield BootEntry(line=line, arguments=tuple(value.split()))


def _kernel_cmdline(read: Reading) -> Iterator[BootEntry]:
    for line in _lines(read, "/etc/kernel/cmdline"):
        if line.text and not line.text.startswith("#"):
            yield BootEntry(line=line, arguments=_words(line.text))


def _loader(read: Reading) -> Iterator[BootEntry]:
    folder = "/boot/loader/entries"
    for name in read.names(folder):
        for line in _lines(read, f"{folder}/{name}"):
            if line.text.startswith("options "):
                yield BootEntry(line=line, arguments=_words(line.text)[1:])


def _generated(read: Reading) -> Iterator[BootEntry]:
    for path in GENERATED:
        for line in _lines(read, path):
            if _GRUB_LINUX.match(line.text):
                yield BootEntry(line=line, arguments=_words(line.text)[2:])
            elif line.text.startswith("kernelopts="):
                words = _words(line.text.partition("=")[2])
                yield BootEntry(line=line, arguments=words)
