"""Faults ordered on the command line: `--fault SPEC` parsed strictly, counted, and carried out.

    write:PATTERN[:nth=N[:from]]:errno=NAME     the write fails and has no effect
    write:PATTERN[:nth=N[:from]]:kill           SIGKILL to the writer before the write takes effect
    write:PATTERN[:nth=N[:from]]:kill-after     SIGKILL to the writer after it took effect
    open:PATTERN[:nth=N[:from]]:errno=NAME      opening fails
    submit:PATTERN[:nth=N[:from]]:errno=NAME    a write to a device node fails
    command:DEVICE:COMMAND[:nth=N[:from]]:error=CODE   the device refuses a command with CODE
    descriptor:WQ:OPCODE[:nth=N[:from]]:status=CODE    a descriptor completes with this status
    descriptor:WQ:OPCODE[:nth=N[:from]]:fault=OPERAND  source1, destination, source2, completion
    descriptor:WQ:OPCODE[:nth=N[:from]]:hang           it never completes (also: slow=SECONDS)
    remove:DEVICE:after-writes=N                hot removal after the N-th write to any attribute

PATTERN is one or more path components from the end of the path, each with shell wildcards:
`threshold`, `wq1.0/threshold`, `drivers/user/bind`, `*`. Without `nth` every match counts.
"""

from __future__ import annotations

import errno as errno_names
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from fnmatch import fnmatchcase

from iaactl.errors import UsageProblem

GRAMMAR = __doc__.split("\n\n", 1)[1]

_OPTION = re.compile(
    r"nth=(?P<nth>[^:]*)|(?P<from_>from)|errno=(?P<errno>[^:]*)|(?P<kill>kill|kill-after)"
    r"|error=(?P<error>[^:]*)|after-writes=(?P<after>[^:]*)"
    r"|status=(?P<status>[^:]*)|fault=(?P<fault>[^:]*)|(?P<hang>hang)|slow=(?P<slow>[^:]*)"
)
_ALLOWED = {
    "write": {"nth", "from_", "errno", "kill"},
    "open": {"nth", "from_", "errno"},
    "submit": {"nth", "from_", "errno"},
    "command": {"nth", "from_", "error"},
    "descriptor": {"nth", "from_", "status", "fault", "hang", "slow"},
    "remove": {"after"},
}


class Effect(Enum):
    """What happens when a fault strikes."""

    ERRNO = "errno"
    KILL = "kill"
    KILL_AFTER = "kill-after"
    ERROR = "error"
    REMOVE = "remove"
    STATUS = "status"
    FAULT = "fault"
    HANG = "hang"
    SLOW = "slow"


@dataclass
class Fault:
    """One ordered fault with its own count of matches. `number` is an errno or an error code."""

    kind: str
    pattern: tuple[str, ...]
    effect: Effect
    number: int = 0
    nth: int | None = None
    and_later: bool = False
    operand: str = ""
    seconds: float = 0.0
    seen: int = field(default=0, compare=False)

    def matches(self, parts: Sequence[str]) -> bool:
        """Whether the pattern fits the last components of a path."""
        if len(parts) < len(self.pattern):
            return False
        tail = parts[len(parts) - len(self.pattern) :]
        return all(fnmatchcase(part, glob) for part, glob in zip(tail, self.pattern, strict=True))

    def strikes(self) -> bool:
        """Count one match; true when the fault takes effect this time."""
        self.seen += 1
        if self.nth is None:
            return True
        return self.seen == self.nth or (self.and_later and self.seen > self.nth)


def _problem(spec: str, what: str) -> UsageProblem:
    return UsageProblem(f"fault {spec!r}: {what}", hint="`iaactl sim run --help` shows the grammar")


def _count(spec: str, name: str, text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]*", text):
        raise _problem(spec, f"{name} must be a whole number from 1, not {text!r}")
    return int(text)


def parse(spec: str) -> Fault:
    """One specification; raises UsageProblem that names the part that is wrong."""
    kind, _, rest = spec.partition(":")
    if kind not in _ALLOWED:
        raise _problem(spec, f"starts with one of {', '.join(_ALLOWED)}, not {kind!r}")
    tokens = rest.split(":")
    options: dict[str, str] = {}
    # PCI addresses in a path have colons too, so options are taken from the end.
    while tokens and (match := _OPTION.fullmatch(tokens[-1])):
        name = str(match.lastgroup)
        if name not in _ALLOWED[kind]:
            raise _problem(spec, f"{tokens[-1]!r} makes no sense with {kind}")
        if name in options:
            raise _problem(spec, f"{tokens[-1]!r} is given twice")
        options[name] = match[name]
        tokens.pop()
    subject = ":".join(tokens)
    if any("=" in token for token in tokens):
        raise _problem(spec, f"unknown option in {subject!r}")
    if not subject:
        raise _problem(spec, "names nothing to apply to")
    if "from_" in options and "nth" not in options:
        raise _problem(spec, "'from' needs nth=N")
    nth = _count(spec, "nth", options["nth"]) if "nth" in options else None
    later = "from_" in options
    if kind == "remove":
        if "after" not in options:
            raise _problem(spec, "needs after-writes=N")
        after = _count(spec, "after-writes", options["after"])
        return Fault(kind, (subject,), Effect.REMOVE, nth=after)
    if kind == "command":
        return _command(spec, tokens, options, nth, later)
    if kind == "descriptor":
        return _descriptor(spec, tokens, options, nth, later)
    pattern = tuple(part for part in subject.split("/") if part)
    if not pattern:
        raise _problem(spec, "names nothing to apply to")
    if ("errno" in options) == ("kill" in options):
        choice = "errno=NAME, kill or kill-after" if kind == "write" else "errno=NAME"
        raise _problem(spec, f"needs exactly one of {choice}")
    if "kill" in options:
        return Fault(kind, pattern, Effect(options["kill"]), 0, nth, later)
    number = getattr(errno_names, options["errno"], None)
    if not isinstance(number, int) or not options["errno"].startswith("E"):
        raise _problem(spec, f"{options['errno']!r} is not the name of an errno")
    return Fault(kind, pattern, Effect.ERRNO, number, nth, later)


def _command(
    spec: str, tokens: list[str], options: dict[str, str], nth: int | None, later: bool
) -> Fault:
    if len(tokens) != 2 or not all(tokens):
        raise _problem(spec, "is command:DEVICE:COMMAND:error=CODE")
    try:
        code = int(options.get("error", ""), 0)
    except ValueError:
        raise _problem(spec, "needs error=CODE, such as error=0x14") from None
    if not 0 < code <= 0xFF:
        raise _problem(spec, "the error code must be between 1 and 0xff")
    return Fault("command", tuple(tokens), Effect.ERROR, code, nth, later)


_OPERANDS = ("source1", "destination", "source2", "completion")


def _descriptor(
    spec: str, tokens: list[str], options: dict[str, str], nth: int | None, later: bool
) -> Fault:
    chosen = [name for name in ("status", "fault", "hang", "slow") if name in options]
    if len(tokens) != 2 or not all(tokens) or len(chosen) != 1:
        raise _problem(spec, "is descriptor:WQ:OPCODE: and one of status=, fault=, hang, slow=")
    if tokens[1] != "*":
        try:
            tokens[1] = f"{int(tokens[1], 0):#04x}"
        except ValueError:
            raise _problem(spec, "the opcode is a number such as 0x43, or *") from None
    fault = Fault("descriptor", tuple(tokens), Effect(chosen[0]), 0, nth, later)
    if chosen[0] == "fault":
        if options["fault"] not in _OPERANDS:
            raise _problem(spec, f"the operand is one of {', '.join(_OPERANDS)}")
        fault.operand = options["fault"]
    try:
        if chosen[0] == "status":
            fault.number = int(options["status"], 0)
        elif chosen[0] == "slow":
            fault.seconds = float(options["slow"])
    except ValueError:
        raise _problem(spec, f"{chosen[0]}= needs a number") from None
    if chosen[0] == "status" and not 0 < fault.number <= 0xFF:
        raise _problem(spec, "a completion status is between 1 and 0xff")
    if chosen[0] == "slow" and not 0 < fault.seconds <= 60:
        raise _problem(spec, "slow= takes seconds, more than 0 and at most 60")
    return fault


class Faults:
    """All faults of one run."""

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        self._faults = list(faults)
        self._writes = 0

    def strike(self, kind: str, path: str) -> Fault | None:
        """The first fault that takes effect on this operation; every matching one counts it."""
        parts = [part for part in path.split("/") if part]
        struck = [
            fault
            for fault in self._faults
            if fault.kind == kind and fault.matches(parts) and fault.strikes()
        ]
        return struck[0] if struck else None

    def command(self, device: str, command: str) -> int | None:
        """The error code with which the device refuses this command, if it does."""
        struck = [
            fault
            for fault in self._faults
            if fault.kind == "command" and fault.matches((device, command)) and fault.strikes()
        ]
        return struck[0].number if struck else None

    def descriptors(self, wq: str) -> list[Fault]:
        """The faults that descriptors of this work queue meet; the queue counts them."""
        return [
            fault
            for fault in self._faults
            if fault.kind == "descriptor" and fnmatchcase(wq, fault.pattern[0])
        ]

    def removals(self) -> list[str]:
        """Count one write; the devices that disappear after it."""
        self._writes += 1
        return [
            fault.pattern[0]
            for fault in self._faults
            if fault.kind == "remove" and fault.nth == self._writes
        ]
