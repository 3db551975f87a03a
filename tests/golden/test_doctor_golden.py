"""What doctor prints about trees: text as people see it, and one document."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.host_tree import HostTree
from golden.test_golden import compare
from iaactl.cli.main import run
from unit import test_doctor_cases as cases

TREES = {
    "ready as configured": (cases.nothing, "6.19.3"),
    "VT-d off in the BIOS": (cases.a2_bios, "6.7.9"),
    "5-level paging": (cases.a3, "6.7.9"),
    "GRUB edited, not generated": (cases.a16, "6.7.9"),
    "idxd blacklisted": (cases.blacklisted, "6.19.3"),
    "one socket": (cases.one_socket, "6.16.12"),
    "iaa_crypto": (cases.c1, "6.19.3"),
    "by version only": (cases.nothing, "6.12.74+deb13"),
}


def test_trees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    parts = []
    for number, (name, (broken, release)) in enumerate(TREES.items()):
        tree = HostTree(tmp_path / str(number), release=release)
        broken(tree)
        for arguments in ([], ["--all"] if number == 0 else []):
            code = run(["doctor", "--root", str(tree.folder), *arguments])
            shown = capsys.readouterr()
            words = " ".join(["iaactl doctor --root TREE", *arguments])
            parts.append(f"# {name}\n$ {words}\n{shown.out}{shown.err}exit {code}\n")
            if not arguments and number:
                break
    for code_name in ("IAA-I003", "K003"):
        run(["doctor", "explain", code_name])
        parts.append(f"$ iaactl doctor explain {code_name}\n{capsys.readouterr().out}")
    text = "\n".join(line.rstrip() for line in "\n".join(parts).splitlines()) + "\n"
    compare("doctor", text, request.config.getoption("--regen"))
