"""udev rules, as far as a simulated machine needs them: who may open the device nodes.

Understood: the matches SUBSYSTEM, KERNEL, ACTION, DEVPATH, DRIVER, ATTR{}, ENV{} and, for a parent,
SUBSYSTEMS, KERNELS, DRIVERS, ATTRS{} (== and !=, shell wildcards, alternatives with |); the
assignments OWNER, GROUP, MODE, ENV{} and TAG; GOTO and LABEL. Anything else is named, never
skipped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Protocol

DIRECTORIES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d")
# The distribution's directory: all but the lines about these devices is about other hardware.
_DISTRIBUTION = DIRECTORIES[-1]
_OURS = re.compile(r"\b(dsa|iax|idxd)\b")

_ITEM = re.compile(
    r'\s*(?P<key>[A-Z]+)(?:\{(?P<name>[^}]*)\})?\s*(?P<op>==|!=|\+=|-=|:=|=)\s*"(?P<value>[^"]*)"\s*,?'
)
_PARENT_MATCHES = frozenset(("SUBSYSTEMS", "KERNELS", "DRIVERS", "ATTRS"))
_MATCHES = _PARENT_MATCHES | {
    "SUBSYSTEM",
    "KERNEL",
    "ACTION",
    "DEVPATH",
    "DRIVER",
    "ATTR",
    "ENV",
}
_ASSIGNMENTS = frozenset(("OWNER", "GROUP", "MODE", "ENV", "TAG", "GOTO", "LABEL"))


class Subject(Protocol):
    """A device, or one of its parents, as a rule looks at it."""

    @property
    def kernel(self) -> str:
        """The name, with `/` where sysfs has `!`."""

    @property
    def subsystem(self) -> str:
        """The subsystem, empty without one."""

    @property
    def driver(self) -> str:
        """The name of the bound driver, empty without one."""

    def attribute(self, name: str) -> str | None:
        """An attribute without trailing white space; None when it cannot be read."""


@dataclass(frozen=True)
class Item:
    """One comparison or assignment of a rule."""

    key: str
    name: str
    operator: str
    value: str

    @property
    def compares(self) -> bool:
        """Whether it is a match rather than an assignment."""
        return self.operator in ("==", "!=")

    def accepts(self, actual: str | None) -> bool:
        """Whether a comparison holds; a missing value fails both == and !=, as in udev."""
        if actual is None:
            return False
        found = any(fnmatchcase(actual, glob) for glob in self.value.split("|"))
        return found is (self.operator == "==")


@dataclass(frozen=True)
class Rule:
    """One line."""

    place: str
    items: tuple[Item, ...]

    def assigned(self, key: str) -> str | None:
        """The value of an assignment."""
        values = [item.value for item in self.items if item.key == key and not item.compares]
        return values[-1] if values else None


@dataclass
class Outcome:
    """What all rules together say about one event. None: no rule said so."""

    owner: str | None = None
    group: str | None = None
    mode: str | None = None
    tags: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    final: set[str] = field(default_factory=set)

    def assign(self, item: Item) -> None:
        """Carry out one assignment; `:=` makes it final."""
        if item.key == "TAG":
            self.tags.append(item.value)
        elif item.key == "ENV":
            self.variables[item.name] = item.value
        elif item.key in ("OWNER", "GROUP", "MODE") and item.key not in self.final:
            setattr(self, item.key.lower(), item.value)
            if item.operator == ":=":
                self.final.add(item.key)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with their first line number, without comments and continuations."""
    pending, start = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        start = start or number
        if not pending and line.lstrip().startswith("#"):
            start = 0
            continue
        if line.endswith("\\"):
            pending += line[:-1]
            continue
        if whole := (pending + line).strip():
            yield start, whole
        pending, start = "", 0


def parse_line(place: str, line: str, complain: Callable[[str], None]) -> Rule | None:
    """One rule; None, and a complaint, when any part of it is not understood."""
    items: list[Item] = []
    position = 0
    while position < len(line):
        match = _ITEM.match(line, position)
        if match is None:
            complain(f"{place}: not understood: {line[position:].strip()}")
            return None
        item = Item(match["key"], match["name"] or "", match["op"], match["value"])
        known = _MATCHES if item.compares else _ASSIGNMENTS
        if item.key not in known or (not item.compares and re.search(r"[$%]", item.value)):
            complain(f"{place}: not simulated: {match[0].strip().rstrip(',')}")
            return None
        items.append(item)
        position = match.end()
    return Rule(place, tuple(items))


def load(complain: Callable[[str], None], directories: Sequence[str] = DIRECTORIES) -> list[Rule]:
    """All rules in the order in which udev applies them; a name in an earlier directory hides."""
    files: dict[str, Path] = {}
    for directory in reversed(directories):
        files.update((path.name, path) for path in Path(directory).glob("*.rules"))
    rules: list[Rule] = []
    for _, path in sorted(files.items()):
        try:
            text = path.read_text(errors="surrogateescape")
        except OSError as error:
            complain(f"{path}: {error.strerror}")
            continue
        for number, line in _lines(text):
            if str(path.parent) == _DISTRIBUTION and not _OURS.search(line):
                continue
            rule = parse_line(f"{path}:{number}", line, complain)
            if rule is not None:
                rules.append(rule)
    return rules


def _holds(item: Item, variables: Mapping[str, str], device: Subject) -> bool:
    actual: str | None
    match item.key:
        case "SUBSYSTEM":
            actual = device.subsystem
        case "KERNEL":
            actual = device.kernel
        case "DRIVER":
            actual = device.driver
        case "ATTR":
            actual = device.attribute(item.name)
        case "ENV":
            actual = variables.get(item.name, "")
        case _:
            actual = variables.get(item.key, "")
    return item.accepts(actual)


def _parent_holds(item: Item, device: Subject) -> bool:
    match item.key:
        case "SUBSYSTEMS":
            return item.accepts(device.subsystem)
        case "KERNELS":
            return item.accepts(device.kernel)
        case "DRIVERS":
            return item.accepts(device.driver)
        case _:
            return item.accepts(device.attribute(item.name))


def apply(rules: Sequence[Rule], variables: Mapping[str, str], chain: Sequence[Subject]) -> Outcome:
    """What the rules say about an event of the device `chain[0]` with its parents after it."""
    outcome = Outcome()
    position = 0
    while position < len(rules):
        rule = rules[position]
        position += 1
        known = {**variables, **outcome.variables}
        own = [item for item in rule.items if item.compares and item.key not in _PARENT_MATCHES]
        parents = [item for item in rule.items if item.compares and item.key in _PARENT_MATCHES]
        if not all(_holds(item, known, chain[0]) for item in own):
            continue
        # All conditions on parents have to hold for one and the same of them.
        if parents and not any(all(_parent_holds(i, one) for i in parents) for one in chain):
            continue
        for item in rule.items:
            if not item.compares:
                outcome.assign(item)
        label = rule.assigned("GOTO")
        if label is not None:
            position = _after_label(rules, position, label)
    return outcome


def _after_label(rules: Sequence[Rule], position: int, label: str) -> int:
    """Where to go on: at the label further down in the same file, at once if there is none."""
    file = rules[position - 1].place.rpartition(":")[0]
    for index in range(position, len(rules)):
        if rules[index].place.rpartition(":")[0] != file:
            break
        if rules[index].assigned("LABEL") == label:
            return index
    return position
