"""What a selftest found, as a document."""

from __future__ import annotations

from iaactl.model.device import Frozen


class Failure(Frozen):
    """One case that failed: the cause in words, what to type next, numbers where there are any."""

    case: str
    message: str
    hint: str | None = None
    status: int | None = None
    errno: int | None = None


class QueueReport(Frozen):
    """One work queue. `way` is how descriptors went in; `not_mapped` why not through the portal."""

    wq: str
    path: str
    way: str | None = None
    not_mapped: str | None = None
    passed: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    descriptors: int = 0
    faults_resolved: int = 0
    retries: int = 0

    @property
    def ok(self) -> bool:
        """Whether every case passed."""
        return not self.failures


class Untested(Frozen):
    """A work queue that was left out, and why."""

    wq: str
    reason: str


class SelftestReport(Frozen):
    """All queues of one run, as one user."""

    user: str
    queues: tuple[QueueReport, ...]
    untested: tuple[Untested, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every queue that was tested passed."""
        return all(queue.ok for queue in self.queues)
