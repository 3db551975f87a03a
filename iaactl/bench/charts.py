"""The charts of a report, by plotly (the optional extra `html`), as pieces of an HTML page.

Colours of text and lines are set by the page, so that they follow its theme.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from iaactl.bench.crossover import Cost
from iaactl.errors import LibraryMissing
from iaactl.model.migration import PAGE_BYTES
from iaactl.model.report import BenchReport, Run

# Distinct for the common kinds of colour blindness, and readable on white as on near black.
_COLOURS = ("#3a86d8", "#e08a1e", "#2fa37c", "#c8578f", "#8b6fd6", "#b8860b", "#5c98a8", "#d0553f")
_DASHES = ("solid", "dash", "dot", "dashdot")
_HEIGHT = 360


def _plotly() -> tuple[Any, str]:
    """The module of figures, and the script that draws them."""
    try:
        import plotly.graph_objects as graph
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise LibraryMissing(
            "the HTML report needs plotly, which is not installed",
            hint="pip install 'iaactl[html]'",
        ) from None
    return graph, get_plotlyjs()


def check() -> None:
    """Raise LibraryMissing now rather than after the measurement."""
    _plotly()


class Charts:
    """Figures in the looks that all have in common; a colour for each of `labels`. `script` draws
    them. Raises LibraryMissing without plotly."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._graph, self.script = _plotly()
        self._look = {
            label: (_COLOURS[n % len(_COLOURS)], _DASHES[n // len(_COLOURS) % len(_DASHES)])
            for n, label in enumerate(labels)
        }

    def colour(self, label: str) -> str:
        """The colour of a variant."""
        return self._look[label][0]

    def line(self, label: str) -> dict[str, Any]:
        """Colour and dashes of a variant."""
        colour, dash = self._look[label]
        return {"color": colour, "dash": dash, "width": 2}

    def html(self, traces: Sequence[Any], x: dict[str, Any], y: dict[str, Any], **more: Any) -> str:
        """One figure, without the script."""
        figure = self._graph.Figure(traces)
        figure.update_layout(
            template="none",
            height=_HEIGHT,
            margin={"l": 60, "r": 10, "t": 40, "b": 50},
            paper_bgcolor="rgba(0,0,0,0)",
            plot_bgcolor="rgba(0,0,0,0)",
            legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            xaxis={"automargin": True, **x},
            yaxis={"automargin": True, **y},
            font={"family": "system-ui, sans-serif", "size": 13},
            **more,
        )
        drawn: str = figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            config={"responsive": True, "displaylogo": False, "displayModeBar": False},
        )
        return f'<div class="chart">{drawn}</div>'

    def scatter(self, **more: Any) -> Any:
        """Points or lines."""
        return self._graph.Scatter(**more)

    def bar(self, **more: Any) -> Any:
        """Bars."""
        return self._graph.Bar(**more)


def time(charts: Charts, report: BenchReport) -> str:
    """Total time by variant, with the spread."""
    timed = [(r.variant.label, r.total_ms) for r in report.results if r.total_ms is not None]
    timed.reverse()  # plotly counts from below
    bar = charts.bar(
        orientation="h",
        y=[label for label, _ in timed],
        x=[ms.median / 1000 for _, ms in timed],
        marker={"color": [charts.colour(label) for label, _ in timed]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(ms.high - ms.median) / 1000 for _, ms in timed],
            "arrayminus": [(ms.median - ms.low) / 1000 for _, ms in timed],
            "color": "#888888",
        },
        hovertemplate="%{y}: %{x:.3f} s<extra></extra>",
    )
    return charts.html([bar], {"title": "seconds, median with least and most",
                               "rangemode": "tozero"}, {})  # fmt: skip


def _first_good(report: BenchReport) -> list[Run]:
    found: dict[str, Run] = {}
    for run in report.runs:
        if run.ok:
            found.setdefault(run.variant.label, run)
    return list(found.values())


def throughput(run: Run) -> list[tuple[float, float]]:
    """Guest GB/s between one sample and the next, at the seconds of the later one."""
    points = []
    for before, after in itertools.pairwise(run.samples):
        if after.ms > before.ms:
            gigabytes = (after.pages - before.pages) * PAGE_BYTES / 1e9
            points.append((after.ms / 1000, gigabytes / ((after.ms - before.ms) / 1000)))
    return points


def throughput_over_time(charts: Charts, report: BenchReport) -> str:
    """Guest bytes a second while it ran, the first good run of each variant."""
    traces = []
    for run in _first_good(report):
        points = throughput(run)
        traces.append(
            charts.scatter(
                name=run.variant.label,
                x=[second for second, _ in points],
                y=[rate for _, rate in points],
                mode="lines",
                line=charts.line(run.variant.label),
                hovertemplate="%{x:.2f} s: %{y:.2f} GB/s",
            )
        )
    return charts.html(traces, {"title": "seconds", "rangemode": "tozero"},
                       {"title": "guest GB/s", "rangemode": "tozero"})  # fmt: skip


def cpu(charts: Charts, report: BenchReport) -> str:
    """Ratio by CPU time of both sides."""
    traces = []
    for run in _first_good(report):
        cpu = (run.sender.cpu_s or 0) + (run.receiver.cpu_s or 0)
        gibibytes = run.pages * PAGE_BYTES / (1 << 30)
        if run.ratio is None or not gibibytes:
            continue
        traces.append(
            charts.scatter(
                name=run.variant.label,
                x=[cpu / gibibytes],
                y=[run.ratio],
                mode="markers",
                marker={"color": charts.colour(run.variant.label), "size": 14},
                hovertemplate="%{x:.2f} CPU s a GiB, ratio %{y:.2f}",
            )
        )
    return charts.html(traces, {"title": "CPU s a GiB, both sides",
                                "rangemode": "tozero"},
                       {"title": "ratio", "rangemode": "tozero"})  # fmt: skip


def speeds(found: Sequence[Cost]) -> list[float]:
    """Link speeds in bytes/s worth drawing: around every bend of every variant."""
    bends = [cost.wire_bytes / cost.codec_s for cost in found if cost.codec_s > 0]
    low, high = min([12.5e6, *bends]) / 2, max([1.25e9, *bends]) * 2
    steps = 60
    return [low * (high / low) ** (n / steps) for n in range(steps + 1)]


def crossover(charts: Charts, found: Sequence[Cost]) -> str:
    """Time by speed of the link, as modelled."""
    at = speeds(found)
    traces = [
        charts.scatter(
            name=cost.label,
            x=[speed * 8 / 1e9 for speed in at],
            y=[cost.seconds(speed) for speed in at],
            mode="lines",
            line=charts.line(cost.label),
            hovertemplate="%{x:.3g} Gbit/s: %{y:.3g} s",
        )
        for cost in found
    ]
    return charts.html(traces, {"title": "link, Gbit/s", "type": "log", "dtick": 1},
                       {"title": "seconds", "type": "log", "dtick": 1})  # fmt: skip


def wire(charts: Charts, report: BenchReport) -> str:
    """Bytes on the wire by variant: what there is to draw without times."""
    shown = [(r.variant.label, r.wire_bytes.median) for r in report.results][::-1]
    bar = charts.bar(
        orientation="h",
        y=[label for label, _ in shown],
        x=[wire / (1 << 20) for _, wire in shown],
        marker={"color": [charts.colour(label) for label, _ in shown]},
        hovertemplate="%{y}: %{x:.1f} MiB<extra></extra>",
    )
    return charts.html([bar], {"title": "MiB on the wire"}, {})
