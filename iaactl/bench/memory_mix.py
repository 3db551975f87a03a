"""A stand-in for a guest's memory where there is none at hand: stated shares, made from a seed.

Files of this machine stand for page cache and programs; the rest are zero pages, pages with a few
words, tables of pointers, and pages that do not compress. The same seed on the same machine gives
the same bytes. For figures to decide by, take memory of a guest of yours.
"""

from __future__ import annotations

import os
import random
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from iaactl.bench.image import Image
from iaactl.errors import HostError
from iaactl.model.migration import PAGE_BYTES

# Near the guest of 512 MiB after real work that the page codecs of this project were chosen on:
# a tenth to a third of zero pages, mostly page cache, few pages that do not shrink.
SHARES = {"zero": 0.25, "files": 0.45, "pointers": 0.10, "sparse": 0.10, "random": 0.10}
_FOLDERS = ("/usr/bin", "/usr/lib", "/usr/share")
_MOST_FILES = 20_000
_LONGEST_RUN = 64
_WORDS = PAGE_BYTES // 8
_ALIGNED = bytes(16 * (byte & 15) for byte in range(256))
_SMALL = bytes(byte & 7 for byte in range(256))


def _files(folders: tuple[str, ...]) -> list[Path]:
    found: list[Path] = []
    for folder in (*folders, sysconfig.get_path("stdlib")):
        for root, names, files in os.walk(folder):
            names.sort()
            found += [Path(root, name) for name in sorted(files)]
            if len(found) >= _MOST_FILES:
                return found
    return found


def _file_bytes(paths: list[Path]) -> Iterator[bytes]:
    """Pages of files, each file from its beginning, over and over. Raises HostError for none."""
    while True:
        some = False
        for path in paths:
            try:
                if path.is_symlink() or not path.is_file():
                    continue
                content = path.read_bytes()[: 4 << 20]
            except OSError:
                continue
            for start in range(0, len(content) - PAGE_BYTES + 1, PAGE_BYTES):
                some = True
                yield content[start : start + PAGE_BYTES]
        if not some:
            raise HostError(
                "this machine has no readable file to make memory of",
                hint="give memory of a guest: --memory FILE",
            )


def _pointers(rng: random.Random) -> bytes:
    """A table of addresses into one heap of 16 MiB, with a counter beside each."""
    page = bytearray(PAGE_BYTES)
    heap = rng.randrange(1 << 15)
    page[0::16] = rng.randbytes(_WORDS // 2).translate(_ALIGNED)
    page[1::16] = rng.randbytes(_WORDS // 2)
    page[2::16] = rng.randbytes(_WORDS // 2)
    page[3::16] = bytes([heap & 0xFF]) * (_WORDS // 2)
    page[4::16] = bytes([heap >> 8]) * (_WORDS // 2)
    page[5::16] = b"\x7f" * (_WORDS // 2)
    page[8::16] = rng.randbytes(_WORDS // 2).translate(_SMALL)
    return bytes(page)


def _sparse(rng: random.Random) -> bytes:
    page = bytearray(PAGE_BYTES)
    for _ in range(rng.randint(1, 24)):
        start = 8 * rng.randrange(_WORDS)
        page[start : start + 8] = rng.randbytes(8)
    return bytes(page)


def from_mix(size: int, seed: int, folders: tuple[str, ...] = _FOLDERS) -> Image:
    """`size` bytes (whole pages) of memory from a seed. Raises HostError without any file."""
    rng = random.Random(seed)
    paths = _files(folders)
    rng.shuffle(paths)
    stream = _file_bytes(paths)
    makers: dict[str, Callable[[], bytes]] = {
        "zero": lambda: bytes(PAGE_BYTES),
        "files": lambda: next(stream),
        "pointers": lambda: _pointers(rng),
        "sparse": lambda: _sparse(rng),
        "random": lambda: rng.randbytes(PAGE_BYTES),
    }
    pages = size // PAGE_BYTES
    # Exact shares, in runs as allocations leave them, the order shuffled.
    left = {kind: int(pages * share) for kind, share in SHARES.items()}
    left["files"] += pages - sum(left.values())
    runs: list[tuple[str, int]] = []
    for kind, count in left.items():
        while count:
            length = min(count, rng.randint(1, _LONGEST_RUN))
            runs.append((kind, length))
            count -= length
    rng.shuffle(runs)
    content = bytearray()
    for kind, length in runs:
        for _ in range(length):
            content += makers[kind]()
    text = ", ".join(f"{share:.0%} {kind}" for kind, share in SHARES.items())
    return Image(content, f"mix of this machine's files, seed {seed} ({text})", SHARES)
