"""Every command's text and JSON at fixed width, compared with files; `--regen` rewrites them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from iaactl.cli.main import COMMANDS, cli
from sim.conftest import World, world

__all__ = ["world"]

FILES = Path(__file__).parent / "files"

SCRIPTS = {
    # machine, then commands; each is shown with its output, errors and exit status
    "spr-2s": """
        iaactl list
        iaactl list --wqs
        iaactl show iax1
        iaactl show wq1.0 --json
        iaactl plan qemu-migration
        iaactl plan single-device --json
        iaactl plan bad.yaml
        iaactl plan bad.yaml --json
        iaactl verify single-device
        iaactl apply single-device
        iaactl apply single-device --yes -vv
        iaactl list --wqs --json
        iaactl selftest
        iaactl selftest wq1.0 --op noop --json -v
        iaactl selftest wq1.1
        iaactl verify single-device --json
        iaactl apply single-device --yes --json
        iaactl profile export iax1
        iaactl reset iax1 --yes -v
        iaactl reset iax2
        iaactl reset
        iaactl restore --yes
        iaactl restore nonsense
        iaactl show wq2.0
        iaactl show iaa1 --json
        iaactl profile list
        iaactl profile validate qemu-migration
        iaactl profile validate bad.yaml
        iaactl profile import nothing.conf
        iaactl sim machines
    """,
    "spr-2s-iaa-crypto": """
        iaactl list
        iaactl plan qemu-migration
        iaactl apply qemu-migration --yes
        iaactl plan split --take-over iaa_crypto
        iaactl plan zswap
    """,
    "no-sva": "iaactl list\niaactl plan qemu-migration",
    "guest": "iaactl list\niaactl list --json\niaactl show iax0\niaactl plan qemu-migration",
    "iaa2": "iaactl show iax0\niaactl show group0.0\niaactl list",
}
BAD = """\
version: 1
devices:
  - match: {numa: 0}
    groups:
      - engines: some
        wqs: [{name: q, size: 200%}]
"""


def settled(text: str) -> str:
    """Without what differs from run to run: times, addresses of files, versions."""
    text = re.sub(r"\d{8}T\d{6}\.\d{6}Z", "<point>", text)
    text = re.sub(r'"path": "/[^"]*/', '"path": "<folder>/', text)
    return re.sub(r'"fingerprint": "[0-9a-f]{64}"', '"fingerprint": "<sha256>"', text)


def compare(name: str, text: str, regen: bool) -> None:
    path = FILES / f"{name}.txt"
    if regen:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"{path.name} is missing: pytest tests/golden --regen"
    assert text == path.read_text(), f"{path.name} differs; --regen after looking at it"


@pytest.mark.parametrize("machine", SCRIPTS)
def test_commands(world: World, machine: str, request: pytest.FixtureRequest) -> None:
    (world._folder / "bad.yaml").write_text(BAD)
    lines = [line.strip() for line in SCRIPTS[machine].splitlines() if line.strip()]
    script = "".join(
        f"echo {json.dumps('$ ' + line)}; {line}; code=$?; [ $code = 0 ] || echo exit $code; echo;"
        for line in lines
    )
    result = world.run(f"exec 2>&1; {script}", machine=machine)
    compare(machine, settled(result.out), request.config.getoption("--regen"))


def test_help(request: pytest.FixtureRequest) -> None:
    runner = CliRunner()
    found = []
    for words in [[], *([name] for name in COMMANDS)]:
        command = cli.get_command(None, words[0]) if words else cli  # type: ignore[arg-type]
        subs = [[*words, sub] for sub in getattr(command, "commands", {})] if words else []
        for argv in [words, *subs]:
            result = runner.invoke(cli, [*argv, "--help"], prog_name="iaactl", terminal_width=100)
            assert result.exit_code == 0
            found.append(f"$ iaactl {' '.join([*argv, '--help'])}\n{result.output}")
    compare("help", "\n".join(found), request.config.getoption("--regen"))
