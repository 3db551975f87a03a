"""Writes the generated parts of the README and the completion scripts, or says what is stale.

python tests/quality/generate.py --regen
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
COMPLETIONS = {"bash": "iaactl.bash", "zsh": "_iaactl", "fish": "iaactl.fish"}


def commands() -> str:
    """One line a command, with subcommands."""
    import click

    from iaactl.cli.main import COMMANDS, cli

    lines = ["| command | what it does |", "|---|---|"]
    context = click.Context(cli)
    for name, (_, text) in COMMANDS.items():
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                lines.append(f"| `iaactl {name}` | {text} |")
            for child, part in command.commands.items():
                lines.append(f"| `iaactl {name} {child}` | {part.get_short_help_str(100)} |")
        else:
            lines.append(f"| `iaactl {name}` | {text} |")
    return "\n".join(lines)


def exit_codes() -> str:
    """The exit codes with their meaning."""
    from iaactl.errors import ExitCode

    lines = ["| code | meaning |", "|---|---|"]
    lines += [f"| {int(code)} | {code.meaning} |" for code in ExitCode]
    return "\n".join(lines)


def _type(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in schema:
        return f"[{schema['$ref'].rpartition('/')[2]}]"
    if "anyOf" in schema:
        parts = [_type(s, definitions) for s in schema["anyOf"] if s.get("type") != "null"]
        return " or ".join(dict.fromkeys(parts))
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'], definitions)}"
    text = {"integer": "integer", "string": "text", "boolean": "true, false"}[schema["type"]]
    low = schema.get("minimum")
    high = schema.get("maximum")
    if low is not None and high is not None:
        text += f" {low}..{high}"
    elif low is not None:
        text += f" from {low}"
    return text


def _section(name: str, schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    yield f"**{name}**: {schema['description'].splitlines()[0]}"
    yield ""
    yield "| field | value | default | meaning |"
    yield "|---|---|---|---|"
    required = schema.get("required", [])
    for field, part in schema["properties"].items():
        default = "required" if field in required else ""
        if "default" in part and part["default"] is not None and not default:
            default = f"`{str(part['default']).lower()}`" if part["default"] != "" else ""
            if field == "mode" and name == "Access":
                default = '`"0660"`'
        kind = _type(part, definitions)
        if field == "mode" and name == "Access":
            kind = 'text, octal, at most `"0770"`'
        yield f"| `{field}` | {kind} | {default} | {part.get('description', '')} |"
    yield ""


def profile() -> str:
    """Every field of a profile, from the schema."""
    from iaactl.model.profile import Profile

    schema = Profile.model_json_schema()
    definitions = schema["$defs"]
    lines = list(_section("Profile", schema, definitions))
    for name in ("DeviceProfile", "Match", "GroupProfile", "WorkQueueProfile", "Access"):
        lines += _section(name, definitions[name], definitions)
    return "\n".join(lines).rstrip()


SECTIONS = {"commands": commands, "exit-codes": exit_codes, "profile": profile}


def readme(text: str) -> str:
    """The README with its generated sections made anew."""
    for name, make in SECTIONS.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        head, _, rest = text.partition(begin)
        _, _, tail = rest.partition(end)
        text = f"{head}{begin}\n{make()}\n{end}{tail}"
    return text


def files() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    from iaactl.cli.completion import script
    from iaactl.cli.main import cli

    path = ROOT / "README.md"
    found = {path: readme(path.read_text())}
    for shell, name in COMPLETIONS.items():
        found[ROOT / "completions" / name] = script(shell, cli)
    return found


if __name__ == "__main__":
    for target, content in files().items():
        if "--regen" in sys.argv:
            target.write_text(content)
        elif target.read_text() != content:
            print(f"stale: {target.relative_to(ROOT)}")
