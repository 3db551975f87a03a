"""Reports as text, JSON and HTML: complete, self-contained, and without times where none are."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser

import jsonschema
import pytest
from rich.console import Console

from fakes import reports as make
from iaactl.bench.charts import speeds, throughput
from iaactl.bench.crossover import Cost
from iaactl.bench.page import html
from iaactl.cli.output import envelope
from iaactl.cli.render.bench import report_lines
from iaactl.cli.schema import document_schema
from iaactl.errors import LibraryMissing
from iaactl.model.report import BenchReport, Sample


def full() -> BenchReport:
    runs = [
        make.run(make.variant(method, backend, prealloc=prealloc), ms=ms * (1 + 0.1 * n),
                 repetition=n)
        for n in range(2)
        for method, backend, prealloc, ms in (
            ("none", None, True, 100.0), ("zstd", None, True, 11483.0),
            ("qpl", "software", True, 300.0), ("qpl", "software", False, 15455.0),
        )
    ]  # fmt: skip
    runs.append(make.run(make.variant("zlib"), ms=None, verified=False, failed="channel 1: <gone>"))
    return make.report(*runs, left_out={"qpl/iaa": "this machine has no IAA device"})


def counted() -> BenchReport:
    side = make.side().model_copy(update={"cpu_s": None, "codec_s": None, "threads": ()})
    run = make.run(make.variant("qpl", "iaa"), ms=None, sender=side, receiver=side, samples=())
    return make.report(run, devices=1, no_speed="/dev/iax/wq1.0 is not a character device")


class Page(HTMLParser):
    """What a page refers to, its text outside of scripts, and its tables' headers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.text: list[str] = []
        self.headers: list[str] = []
        self.tag = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tag = tag
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self.tag not in ("script", "style"):
            self.text.append(data)
        if self.tag == "th":
            self.headers.append(data)


def test_the_page_holds_everything_and_needs_no_network() -> None:
    page = Page(html(full()))
    assert page.links == []
    text = " ".join(page.text)
    for words in ("Time by method", "Throughput over time", "Ratio against CPU",
                  "Time by speed of the link", "a <mix> of files", "channel 1: <gone>",
                  "qpl/software, no prealloc", "not measured: qpl/iaa",
                  "not every migration"):  # fmt: skip
        assert words in text, words
    for header in ("TOTAL s", "WIRE MiB", "CPU s SEND", "SOFTWARE", "BECAUSE", "THREAD"):
        assert header in page.headers


def test_the_page_is_dark_and_light_and_for_narrow_screens() -> None:
    text = html(full())
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert "max-width: 1000px" in text
    assert text.count('class="chart"') == 4


def test_text_of_the_report_is_escaped() -> None:
    text = html(full())
    body = text[text.index("<body>") :]
    assert "<mix>" not in body
    assert "<gone>" not in body
    assert "<1.3>" not in body
    assert "zlib <1.3>" in " ".join(Page(text).text)


TIMES = re.compile(r"\b\d[\d.,]*\s?(ms|s|us|GB/s|MB/s|Gbit/s|pages/s)\b")


def test_without_speed_no_speed_is_anywhere() -> None:
    report = counted()
    page = Page(html(report))
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for line in report_lines(report, verbose=True):
        console.print(line)
    for text in (" ".join(page.text), console.export_text()):
        assert "not a character device" in text
        found = [m[0] for m in TIMES.finditer(text)]
        assert found in ([], ["300 ms"])  # the downtime limit that was asked for
        for header in ("TOTAL", "DOWN", "GB/s", "CPU s", "PAGES/s"):
            assert header not in text
    document = json.dumps(report.model_dump(mode="json"))
    for key in ("total_ms", "downtime_ms", "cpu_s", "codec_s", "pages_per_s", "guest_bytes_per_s"):
        assert set(re.findall(rf'"{key}": ([^,}}]+)', document)) <= {"null"}


def empty() -> BenchReport:
    """Interrupted before the first migration began."""
    return make.report(interrupted=True)


@pytest.mark.parametrize("report", [full(), counted(), empty()], ids=["full", "counted", "empty"])
def test_the_json_is_what_its_schema_says_and_comes_back_whole(report: BenchReport) -> None:
    document = envelope("iaactl.bench/1", report.model_dump(mode="json"))
    jsonschema.validate(document, document_schema("bench"))
    assert BenchReport.model_validate_json(json.dumps(document["data"])) == report


def test_a_report_of_nothing_is_a_report() -> None:
    assert not empty().ok
    assert "interrupted" in " ".join(Page(html(empty())).text)
    text = "".join(str(line) for line in report_lines(empty(), verbose=True))
    assert "interrupted" in text


def test_the_text_fits_a_hundred_columns() -> None:
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for line in report_lines(full(), verbose=True):
        console.print(line)
    text = console.export_text()
    assert "…" not in text
    assert "failed: zlib: channel 1: <gone>" in text
    assert "NO: 0 of 1" in text


def test_without_plotly_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)
    with pytest.raises(LibraryMissing, match="plotly") as caught:
        html(full())
    assert caught.value.hint == "pip install 'iaactl[html]'"


def test_throughput_is_between_samples() -> None:
    samples = tuple(Sample(ms=ms, pages=pages, wire_bytes=0) for ms, pages in (
        (0.0, 0), (100.0, 1000), (100.0, 1000), (200.0, 1000)))  # fmt: skip
    points = throughput(make.run(samples=samples))
    assert points == [(0.1, pytest.approx(0.04096)), (0.2, 0.0)]


def test_speeds_cover_every_bend() -> None:
    costs = [Cost("a", 0.001, 1e9), Cost("b", 100.0, 1e8)]
    at = speeds(costs)
    assert at[0] < 1e6 < 1e12 < at[-1]
    assert at == sorted(at)
