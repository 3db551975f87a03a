"""The exception tree and the exit codes: one sentence naming the object, a hint, facts for JSON."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit status of every command; part of the stability promise."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    INVALID_PROFILE = 3
    CANNOT_HERE = 4
    LEFT_CHANGED = 5
    VERDICT_NO = 6
    BUG = 70
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """One phrase for help texts and the README."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "done, or nothing to do",
    ExitCode.FAILED: "an operation failed; what it had changed was put back",
    ExitCode.USAGE: "the command line is wrong",
    ExitCode.INVALID_PROFILE: "a profile, plan or inventory file does not validate",
    ExitCode.CANNOT_HERE: "this machine, or this user, cannot do that",
    ExitCode.LEFT_CHANGED: "the machine was changed and could not be put back; "
    "`iaactl restore` tries again",
    ExitCode.VERDICT_NO: "the verdict is no (verify, doctor, selftest, "
    "migrate-bench, plan --detailed-exitcode)",
    ExitCode.BUG: "a bug in iaactl, please report it",
    ExitCode.INTERRUPTED: "interrupted",
}


class IaactlError(Exception):
    """Base of all expected failures; anything else that reaches the top is a bug.

    `message` is one sentence that names the object, `hint` an action, `facts` go into JSON.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None, **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts


class UsageProblem(IaactlError):
    """The command line asks for something that makes no sense together."""

    exit_code = ExitCode.USAGE


class DocumentError(IaactlError):
    """A file the user gave (profile, plan, inventory) does not validate."""

    exit_code = ExitCode.INVALID_PROFILE


class HostError(IaactlError):
    """This machine or this user cannot do what was asked."""

    exit_code = ExitCode.CANNOT_HERE


class DeviceNotFound(HostError):
    """No such IAA device or work queue here."""


class PermissionMissing(HostError):
    """The current user may not do this."""


class LibraryMissing(HostError):
    """A shared library cannot be loaded."""


class Unsupported(HostError):
    """The kernel, device or library release lacks what is needed."""


class OperationError(IaactlError):
    """Something was tried and failed."""


class AttributeRefused(OperationError):
    """The kernel refused a write to a sysfs attribute; `facts["errno"]` holds its number."""


class DeviceCommandFailed(OperationError):
    """Enabling or disabling failed; `facts["cmd_status"]` holds what the driver left."""


class Busy(OperationError):
    """Somebody else works on the same devices."""


class StreamError(OperationError):
    """A migration channel failed; `facts` hold `channel`, `packet`, `offset` (bytes into the
    channel) and `reason`, None where there is none."""


class PeerError(OperationError):
    """The other host of a benchmark is gone, is silent, or refused."""


class StalePlan(OperationError):
    """The machine changed since the plan was made."""


class ApplyFailed(OperationError):
    """An apply stopped, and every change it had made was put back."""


class ApplyIncomplete(IaactlError):
    """An apply stopped and the old state could not be put back completely."""

    exit_code = ExitCode.LEFT_CHANGED
