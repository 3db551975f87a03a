"""Finds profiles by name, reads YAML 1.2, and reports every problem with line and column."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

import iaactl
from iaactl.errors import DocumentError
from iaactl.model.profile import Profile
from iaactl.profiles.presets import is_preset, preset

SUFFIXES = (".yaml", ".yml")
LARGEST_BYTES = 1 << 20
"""A profile is a page of text; anything larger is a mistake, and would only be slow to refuse."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document; line and column count from 1, None where unknown."""

    place: str
    message: str
    line: int | None = None
    column: int | None = None


class ProfileInvalid(DocumentError):
    """A profile does not validate; `problems` has all of them."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__(
            f"profile {source} has {count}",
            hint="`iaactl profile schema` prints every field with its unit and meaning",
            source=source,
            problems=[
                {"place": p.place, "line": p.line, "column": p.column, "message": p.message}
                for p in problems
            ],
        )
        self.source = source
        self.problems = problems


def directories() -> list[Path]:
    """Where profiles are looked for by name, first match wins."""
    package = Path(iaactl.__file__).parent
    return [
        Path("/etc/iaactl/profiles"),
        package / "_profiles",  # as installed
        package.parent / "profiles",  # as checked out
    ]


def names() -> dict[str, Path]:
    """All profiles that can be named without a path."""
    found: dict[str, Path] = {}
    for directory in directories():
        for path in sorted(directory.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the current directory may be closed to this user
        return False


def find(name: str) -> Path:
    """The file of a profile given as path or name. Raises DocumentError with the names known."""
    path = Path(name)
    if "/" in name or path.suffix in SUFFIXES or _exists(path):
        return path
    known = names()
    if name in known:
        return known[name]
    raise DocumentError(
        f"there is no profile {name}",
        hint=f"give a file, or one of: {', '.join(sorted(known))}, or a preset such as 2n4d8e1w-s",
        profile=name,
    )


def _position(document: Any, place: tuple[int | str, ...]) -> tuple[int | None, int | None]:
    """Line and column of the deepest part of `place` that exists in the document."""
    here, line, column = document, None, None
    if isinstance(document, (CommentedMap, CommentedSeq)):
        line, column = document.lc.line, document.lc.col
    for part in place:
        try:
            if isinstance(here, CommentedMap) and part in here:
                line, column = here.lc.value(part) if _inline(here[part]) else here.lc.key(part)
            elif isinstance(here, CommentedSeq) and isinstance(part, int) and part < len(here):
                line, column = here.lc.item(part)
            else:
                continue
            here = here[part]
        except (KeyError, AttributeError, TypeError):
            break
    return (None if line is None else line + 1), (None if column is None else column + 1)


def _inline(value: object) -> bool:
    return not isinstance(value, (CommentedMap, CommentedSeq))


def _plain(node: Any, depth: int = 0) -> Any:
    """ruamel's round-trip types as plain Python, so that strict validation sees int and str."""
    if depth > 40:
        raise RecursionError
    if isinstance(node, dict):
        return {_plain(k, depth + 1): _plain(v, depth + 1) for k, v in node.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(item, depth + 1) for item in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(node)


def _place(parts: tuple[int | str, ...]) -> str:
    words = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts]
    return "".join(words).lstrip(".") or "document"


_SAY = {
    "extra_forbidden": "no such field here",
    "missing": "this field is required",
    "string_pattern_mismatch": "only letters, digits, `_`, `.` and `-` are possible",
}


def _message(error: Any) -> str:
    text = str(_SAY.get(error["type"], error["msg"])).removeprefix("Value error, ")
    given = error.get("input")
    if isinstance(given, (int, float, str)) and error["type"] != "extra_forbidden":
        shown = repr(given) if isinstance(given, str) else str(given)
        if shown not in text and str(given) not in text:
            text = f"{text}, not {shown[:60]}"
    return text[:1].lower() + text[1:]


def _is_branch(part: int | str) -> bool:
    """Pydantic names the branch of a union in the location; no field is called like that."""
    return isinstance(part, str) and (
        part in ("int", "str", "constrained-int") or "[" in part or "(" in part
    )


def _either(first: str, second: str) -> str:
    """Two messages about the same place, with what they share said once."""
    common = "input should be "
    if first.startswith(common) and second.startswith(common):
        first = first.rpartition(", not ")[0] or first
        return f"{first} or {second.removeprefix(common)}"
    return f"{first}; or {second}"


def _problems(error: ValidationError, document: Any) -> list[Problem]:
    found: dict[tuple[str, int | None], Problem] = {}
    for item in error.errors(include_url=False):
        parts = tuple(part for part in item["loc"] if not _is_branch(part))
        line, column = _position(document, parts)
        place, message = _place(parts), _message(item)
        key = (place, line)
        if key in found:
            # A union reports once for each of its forms: one problem, with all of them.
            message = _either(found[key].message, message)
        found[key] = Problem(place, message, line, column)
    return sorted(found.values(), key=lambda p: (p.line or 0, p.column or 0))


def parse(text: str, source: str) -> Profile:
    """A profile from YAML text. Raises ProfileInvalid with every problem found."""
    if len(text) > LARGEST_BYTES:
        raise ProfileInvalid(source, [Problem("document", "larger than 1 MiB: not a profile")])
    yaml = YAML(typ="rt", pure=True)
    try:
        document = yaml.load(text)
        plain = _plain(document)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = (error.problem or error.context or "not valid YAML").split("\n")[0]
        where = (None, None) if mark is None else (mark.line + 1, mark.column + 1)
        raise ProfileInvalid(
            source, [Problem("document", f"not valid YAML: {what}", *where)]
        ) from None
    except (YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        # ruamel raises bare Python errors for impossible dates, numbers and anchors.
        what = str(error).split("\n")[0] or type(error).__name__
        raise ProfileInvalid(source, [Problem("document", f"not valid YAML: {what}")]) from None
    except (RecursionError, AssertionError, OverflowError, NotImplementedError):
        raise ProfileInvalid(
            source, [Problem("document", "nested too deeply or unreadable")]
        ) from None
    if not isinstance(plain, dict):
        raise ProfileInvalid(
            source,
            [Problem("document", "a profile is a mapping that begins with `version: 1`", 1, 1)],
        )
    try:
        return Profile.model_validate(plain)
    except ValidationError as error:
        raise ProfileInvalid(source, _problems(error, document)) from None


def load(name: str) -> Profile:
    """The profile of a file, of a known name, or of a preset such as `2n4d8e1w-s`."""
    if is_preset(name) and not _exists(Path(name)):
        return preset(name)
    path = find(name)
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        raise ProfileInvalid(str(path), [Problem("document", "not UTF-8 text")]) from None
    except OSError as error:
        raise DocumentError(
            f"profile {path} cannot be read: {error.strerror}",
            hint="`iaactl profile list` shows the profiles that come with iaactl",
        ) from error
    return parse(text, str(path))
