"""What a case works with: memory, descriptors through one portal, and a verdict on the result."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from iaactl.errors import IaactlError
from iaactl.iaa.completion import CompletionRecord
from iaactl.iaa.descriptor import Descriptor
from iaactl.ports import Buffer, Outcome, Portal

PAGE = 4096


class CaseFailed(IaactlError):
    """An operation did not do what it should; `facts` hold status and errno where there are any."""


_SUBMISSION = {
    errno.EAGAIN: (
        "the queue stayed full until the deadline",
        "other clients fill it, or it hangs: `iaactl show WQ` shows clients and occupancy",
    ),
    errno.ETIMEDOUT: (
        "no completion within the deadline: the queue hangs or is very slow",
        "the kernel log may show a halted device; `iaactl list` shows its state",
    ),
    errno.ENODEV: ("the work queue was disabled meanwhile", "`iaactl list` shows its state"),
    errno.EPERM: (
        "this process may not submit to it",
        "a forked child cannot use its parent's file",
    ),
    errno.EINVAL: ("the kernel refused the descriptor", "this kernel may lack write() submission"),
    errno.EOPNOTSUPP: (
        "the kernel does not take descriptors by write()",
        "a kernel from 6.9 on does",
    ),
}


class Bench:
    """One portal with its settings, and sums over all that ran on it."""

    def __init__(
        self,
        portal: Portal,
        *,
        timeout_s: float,
        depth: int,
        block_on_fault: bool,
        most_bytes: int,
        threshold: int,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.portal = portal
        self.timeout_s = timeout_s
        self.depth = depth
        self.block_on_fault = block_on_fault
        self.most_bytes = most_bytes
        self.threshold = threshold
        self.say = say
        self.faults = 0
        self.retries = 0
        self.descriptors = 0

    def place(self, data: bytes, *, offset: int = 0) -> tuple[int, int]:
        """Data in fresh memory, `offset` bytes after a page boundary: address and size."""
        buffer = self.portal.buffer(offset + len(data))
        buffer.write(data, offset)
        return buffer.address + offset, len(data)

    def room(self, size: int) -> Buffer:
        """Fresh memory that nobody has touched."""
        return self.portal.buffer(size)

    def record(self) -> int:
        """Address of a cleared completion record."""
        return self.portal.buffer(64).address

    def outcomes(
        self, descriptors: Sequence[Descriptor], depth: int | None = None
    ) -> list[Outcome]:
        """Submit and wait, whatever comes of it."""
        packed = [descriptor.pack() for descriptor in descriptors]
        done = self.portal.run(packed, depth=depth or self.depth, timeout_s=self.timeout_s)
        self.descriptors += len(done)
        self.faults += sum(outcome.faults for outcome in done)
        self.retries += sum(outcome.retries for outcome in done)
        return done

    def submit(self, descriptor: Descriptor) -> CompletionRecord:
        """One descriptor that must succeed."""
        (outcome,) = self.outcomes([descriptor])
        return self.success(outcome)

    def success(self, outcome: Outcome) -> CompletionRecord:
        """The record of an outcome; raises CaseFailed with the cause unless it is a success."""
        if outcome.errno:
            sentence, hint = _SUBMISSION.get(
                outcome.errno, (f"submission failed with errno {outcome.errno}", None)
            )
            raise CaseFailed(sentence, hint=hint, errno=outcome.errno)
        record = CompletionRecord.parse(outcome.record)
        if not record.ok:
            raise CaseFailed(
                record.explain(), hint=_hint(record), status=record.status, error=record.error
            )
        return record

    def expect(self, what: str, have: object, want: object) -> None:
        """Raise CaseFailed unless the device's result is the independently computed one."""
        if have != want:
            raise CaseFailed(
                f"{what} is wrong: the device says {_short(have)}, it should be {_short(want)}",
                hint="a wrong result is a hardware fault: do not use this device",
            )


def _short(value: object) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _hint(record: CompletionRecord) -> str | None:
    if record.page_fault:
        return "the page could not be faulted in: set block_on_fault, or prefault the memory"
    return None
