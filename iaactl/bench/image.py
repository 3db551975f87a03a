"""The memory that is migrated, as bytes that every run starts from, with what is known of it."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Mapping

from iaactl.model.migration import PAGE_BYTES
from iaactl.model.report import MemoryImage

_ZERO = bytes(PAGE_BYTES)


class Image:
    """Content of a guest's memory: a whole number of pages, padded with zeros at the end.

    Owns its bytes, which are aligned to a page; `content` must not be written to.
    """

    def __init__(
        self, content: bytearray, origin: str, shares: Mapping[str, float] | None = None
    ) -> None:
        content.extend(bytes(-len(content) % PAGE_BYTES))
        aligned = mmap.mmap(-1, len(content))
        aligned[:] = content
        self.content = memoryview(aligned).toreadonly()
        zero = sum(content.startswith(_ZERO, start) for start in range(0, len(content), PAGE_BYTES))
        self.description = MemoryImage(
            origin=origin,
            memory_bytes=len(content),
            zero_pages=zero,
            shares=dict(shares or {}),
            sha256=hashlib.sha256(content).hexdigest(),
        )

    @property
    def size(self) -> int:
        """Bytes."""
        return self.content.nbytes
