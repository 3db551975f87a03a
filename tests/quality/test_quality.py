"""What holds for the whole tree: linters, dependency rules, generated files, help, start-up."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import click
import pytest

from iaactl.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "iaactl").rglob("*.py"))
BIN = Path(sys.executable).parent


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_ruff() -> None:
    result = run(str(BIN / "ruff"), "check", "--quiet", "iaactl", "tests")
    assert result.returncode == 0, result.stdout
    result = run(str(BIN / "ruff"), "format", "--check", "--quiet", "iaactl", "tests")
    assert result.returncode == 0, result.stdout + result.stderr


def test_mypy() -> None:
    result = run(str(BIN / "mypy"))
    assert result.returncode == 0, result.stdout


def test_dependency_rules() -> None:
    result = run(str(BIN / "lint-imports"))
    assert result.returncode == 0, result.stdout


BREACHES = {
    "layers": ("model/names.py", "import iaactl.planner\n"),
    "terminal": ("applier.py", "import rich\n"),
    "pure": ("planner/state.py", "import subprocess\n"),
    "adapters": ("host/lock.py", "import iaactl.planner.state\n"),
    "simulator": ("sim/faults.py", "import iaactl.model.names\n"),
    "simulator-user": ("cli/list.py", "import iaactl.sim.machine\n"),
}


def lint(tree: Path, contract: str) -> subprocess.CompletedProcess[str]:
    """Check one contract on a copy of the package; -S keeps the editable install out of the way."""
    program = (
        f"import sys; sys.path[:0] = ['.', {sysconfig.get_path('purelib')!r}];"
        "from importlinter.cli import lint_imports_command;"
        f"sys.argv[1:] = ['--contract', {contract!r}, '--no-cache']; lint_imports_command()"
    )
    return run(sys.executable, "-S", "-c", program, cwd=tree)


@pytest.mark.parametrize("contract", BREACHES)
def test_each_dependency_rule_can_fail(contract: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "iaactl", tmp_path / "iaactl", ignore=shutil.ignore_patterns("*.so"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    name, line = BREACHES[contract]
    path = tmp_path / "iaactl" / name
    path.write_text(path.read_text() + line)
    result = lint(tmp_path, contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout


def test_a_package_without_a_layer_is_refused(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "iaactl", tmp_path / "iaactl", ignore=shutil.ignore_patterns("*.so"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "iaactl" / "homeless.py").write_text('"""Nobody placed it."""\n')
    result = lint(tmp_path, "layers")
    assert "homeless" in result.stdout, result.stdout
    assert result.returncode == 1


def test_generated_files_are_fresh() -> None:
    sys.path.insert(0, str(Path(__file__).parent))
    import generate

    stale = [str(p.relative_to(ROOT)) for p, text in generate.files().items()
             if p.read_text() != text]  # fmt: skip
    assert stale == [], "run: python tests/quality/generate.py --regen"


def every_command() -> list[tuple[str, click.Command]]:
    found = []
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {child}", part) for child, part in command.commands.items()]
    return found


@pytest.mark.parametrize(("name", "command"), every_command(), ids=lambda value: str(value)[:20])
def test_every_command_has_help_with_an_example(name: str, command: click.Command) -> None:
    assert command.help
    if not isinstance(command, click.Group):
        assert "Example" in (command.epilog or ""), f"iaactl {name} --help shows no example"
        assert all(getattr(p, "help", None) for p in command.params), f"iaactl {name}"
    assert f"iaactl {name.split()[0]}" in (ROOT / "README.md").read_text()


def test_short_help_in_the_table_is_the_commands_own() -> None:
    context = click.Context(cli)
    for name, (_, text) in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None
        first = (command.help or "").split("\n")[0].rstrip(".")
        assert text, name
        assert first, name


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_owns(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), path
    assert not re.search(r"utils?$|common$|helpers?$|manager$", path.stem)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_product_does_not_ask_whether_it_is_simulated(path: Path) -> None:
    if "sim" not in path.relative_to(ROOT / "iaactl").parts[:2] and path.name != "sim.py":
        assert "IAACTL_SIMULATED" not in path.read_text()


def test_completion_and_help_import_little() -> None:
    program = (
        "import sys, os; os.environ['_IAACTL_COMPLETE'] = 'bash_complete';"
        "os.environ['COMP_WORDS'] = 'iaactl show i'; os.environ['COMP_CWORD'] = '2';"
        "sys.argv = ['iaactl'];"
        "import iaactl.cli.main as m; m.run([]);"
        "bad = {'pydantic', 'pyudev', 'cffi', 'rich'} & set(sys.modules); sys.exit(str(bad or ''))"
    )
    result = run(sys.executable, "-c", program)
    assert result.stderr.strip() == "", result.stderr
    result = run(
        sys.executable,
        "-c",
        "import sys; import iaactl.cli.main as m; m.run(['--help']);"
        "bad = {'pydantic', 'pyudev', 'cffi', 'rich'} & set(sys.modules); sys.exit(str(bad or ''))",
    )
    assert result.stderr.strip() == "", result.stderr
