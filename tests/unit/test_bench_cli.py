"""The command line of migrate-bench: what it refuses, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from iaactl.bench.supply import Supply, variants
from iaactl.cli.bench_params import address_of, pages_per_s
from iaactl.cli.main import cli, run
from iaactl.errors import HostError, LibraryMissing
from iaactl.model.migration import Backend, Method
from iaactl.model.report import Library, Queue
from iaactl.model.units import parse_rate


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--memory", "x", "--pid", "1"], "two sources"),
        (["--size", "5000"], "whole number of 4KiB pages"),
        (["--size", "0"], "whole number of 4KiB pages"),
        (["--size", "much"], "not a size"),
        (["--max-bandwidth", "fast"], "not a rate"),
        (["--dirty-rate", "fast"], "not a rate"),
        (["--zero-page-detection", "legacy"], "main stream"),
        (["--dirty-memory", "100"], "at least a page"),
        (["--method", "zstd", "--backend", "software"], "of method qpl only"),
        (["--connect", "nowhere"], "not HOST:PORT"),
        (["--listen", ":99999"], "not HOST:PORT"),
        (["--listen", ":0", "--repeat", "5"], "--repeat is for the sending side"),
        (["--listen", ":0", "--backend", "auto", "--backend", "iaa"], "one --backend"),
        (["--listen", ":0", "--json"], "--json is for the sending side"),
        (["--channels", "0"], "channels"),
        (["--repeat", "2", "codecs"], "options go behind the name"),
    ],
)
def test_wrong_command_lines_end_with_2_and_one_sentence(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [] if {"--size", "--listen", "codecs"} & set(argv) else ["--size", "64KiB"]
    assert run(["-q", "migrate-bench", *small, *argv]) == 2
    assert words in capsys.readouterr().err


def test_what_this_machine_cannot_do_ends_with_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-q", "migrate-bench", "--size", "1048576GiB"]) == 4
    assert "take less with --size" in capsys.readouterr().err
    assert run(["-q", "migrate-bench", "--pid", "4194305"]) == 4


def test_a_page_that_cannot_be_written_is_told_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "none" / "report.html"
    assert run(["-q", "migrate-bench", "--size", "1GiB", "--html", str(page)]) == 4
    assert f"{page} cannot be written: its folder is not there" in capsys.readouterr().err


def test_what_was_measured_is_printed_even_if_the_page_cannot_be_written(
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ["--size", "64KiB", "--method", "none", "--repeat", "1", "--html", "/proc/report.html"]
    assert run(["-q", "migrate-bench", *argv]) == 4
    told = capsys.readouterr()
    assert "none" in told.out
    assert "/proc/report.html cannot be written" in told.err


def test_files_that_are_no_memory_end_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dump").write_bytes(b"\x7fELF")
    for command in (["migrate-bench"], ["migrate-bench", "codecs"]):
        assert run(["-q", *command, "--memory", str(tmp_path / "dump")]) == 3
        assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "bytes_per_s"),
    [("0", 0), ("1G", 1 << 30), ("1GiB/s", 1 << 30), ("1.25GB/s", 1_250_000_000),
     ("10Gbit/s", 1_250_000_000), ("100 mbit", 12_500_000), ("4096", 4096)],
)  # fmt: skip
def test_rates_in_the_units_of_links_and_of_qemu(text: str, bytes_per_s: int) -> None:
    assert parse_rate(text) == bytes_per_s


@given(st.text(max_size=12))
def test_any_text_is_a_rate_or_an_error_that_names_it(text: str) -> None:
    try:
        assert parse_rate(text) >= 0
    except ValueError as error:
        assert text in str(error)


def test_dirty_rates_and_addresses() -> None:
    assert pages_per_s("64MiB/s") == 16384
    assert pages_per_s("20000pages/s") == 20000
    assert pages_per_s("1 page") == 1
    assert pages_per_s("100") == 1
    assert pages_per_s("0") == 0
    assert address_of("[::1]:4444", "--connect") == ("::1", 4444)
    assert address_of(":0", "--listen") == ("", 0)


LIBRARIES = (
    Library(name="zlib", version="1"),
    Library(name="zstd", missing="cannot be opened"),
    Library(name="libqpl", missing="cannot be opened"),
)
QUEUE = Queue(wq="iax1/wq1.0", path="/dev/iax/wq1.0", socket=0, size_entries=128, is_device=False)
WITH = Supply((QUEUE,), True, {"0": 1}, None)
WITHOUT = Supply((), True, {}, "this machine has no IAA device")


def test_nothing_named_means_all_that_can_be_had_and_the_rest_with_its_reason() -> None:
    found, left_out = variants([], [], [True], LIBRARIES, WITHOUT)
    assert [v.label for v in found] == ["none", "zlib", "qpl/software"]
    assert left_out == {
        "zstd": "cannot be opened",
        "qpl/iaa": "this machine has no IAA device",
        "qpl/libqpl": "cannot be opened",
    }
    found, _ = variants([Method.QPL], [], [True, False], LIBRARIES, WITH)
    assert [v.label for v in found] == [
        "qpl/iaa", "qpl/iaa, no prealloc", "qpl/software", "qpl/software, no prealloc"
    ]  # fmt: skip


def test_what_is_named_and_cannot_be_had_is_an_error() -> None:
    with pytest.raises(LibraryMissing, match="method zstd needs libzstd: cannot be opened"):
        variants([Method.ZSTD], [], [True], LIBRARIES, WITH)
    with pytest.raises(HostError, match="iaa cannot be had: this machine has no IAA device"):
        variants([], [Backend.IAA], [True], LIBRARIES, WITHOUT)
    with pytest.raises(HostError, match="libqpl cannot be had"):
        variants([Method.QPL], [Backend.LIBQPL], [True], LIBRARIES, WITH)
    found, _ = variants([Method.QPL], [Backend.AUTO], [True], LIBRARIES, WITHOUT)
    assert [v.label for v in found] == ["qpl/auto"]


def test_a_queue_that_is_no_device_gives_no_speed() -> None:
    assert "/dev/iax/wq1.0 is not a character device" in (WITH.no_speed or "")
    device = QUEUE.model_copy(update={"is_device": True})
    assert Supply((device,), True, {}, None).no_speed is None
    assert WITHOUT.no_speed is None


def test_help_names_qemus_parameters() -> None:
    text = CliRunner().invoke(cli, ["migrate-bench", "--help"]).output
    for option in ("--max-bandwidth", "--downtime-limit", "--multifd-zlib-level",
                   "--multifd-zstd-level", "--zero-page-detection", "--channels"):  # fmt: skip
        assert option in text
