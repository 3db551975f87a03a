"""`migrate-bench decode` on recorded migrations of QEMU: what they hold, where one is broken."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import jsonschema
import pytest

from iaactl.cli.main import run
from iaactl.cli.schema import document_schema

DATA = Path(__file__).parents[1] / "data" / "captures.tar.xz"


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captures")
    with tarfile.open(DATA) as archive:
        archive.extractall(folder)
    return folder / "captures"


@pytest.mark.parametrize("method", ["none", "qpl", "zlib", "zstd"])
def test_counts_are_those_that_qemu_told(
    captures: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = captures / f"syn10-{method}-2ch"
    qemu = json.loads((folder / "meta.json").read_text())["query_migrate"]["ram"]
    assert run(["migrate-bench", "decode", str(folder), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, document_schema("capture"))
    data = document["data"]
    assert data["method"] == method
    assert data["normal_pages"] == qemu["normal"]
    assert data["zero_pages"] == qemu["duplicate"]
    assert data["wire_bytes"] == qemu["multifd-bytes"]
    assert data["errors"] == []
    assert run(["migrate-bench", "decode", str(folder)]) == 0
    text = capsys.readouterr().out
    assert f"{qemu['normal']:,} with content" in text
    assert "no defect" in text


def test_a_broken_capture_ends_with_6_and_names_the_place(
    captures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (captures / "syn10-qpl-2ch").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    stream = tmp_path / "conn1.c2s"
    stream.write_bytes(stream.read_bytes()[:30000])
    assert run(["migrate-bench", "decode", str(tmp_path)]) == 6
    text = " ".join(capsys.readouterr().out.split())
    assert "conn1.c2s, channel 0, packet 16, offset 30000:" in text
    assert "no defect" not in text


def test_a_folder_that_is_no_capture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate-bench", "decode", str(tmp_path)]) == 3
    assert "no capture" in capsys.readouterr().err
