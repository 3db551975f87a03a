"""A report as one HTML file: charts with their tables beside them, no network, dark and light.

Charts are plotly's (the optional extra `html`), whose script is put into the file. Their colours
follow `prefers-color-scheme`, also when it changes while the page is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from iaactl.bench import charts as draw
from iaactl.bench import tables
from iaactl.bench.advice import costs, link
from iaactl.bench.crossover import Cost, winners
from iaactl.bench.tables import Table
from iaactl.model.finding import Finding
from iaactl.model.report import BenchReport

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #ffffff;
  --card: #f6f8fa; --line: #d0d7de; --warn: #9a6700; --bad: #b3261e; --good: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa4b0; --paper: #0f1216;
  --card: #171b21; --line: #323a44; --warn: #d4a72c; --bad: #ff8a80; --good: #57c274; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 1rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: .2rem 0; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 1rem; margin: 1rem 0; }
.pair { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 1rem; }
.pair.stacked { grid-template-columns: minmax(0, 1fr); }
@media (max-width: 1000px) { .pair { grid-template-columns: minmax(0, 1fr); } }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; } .n { text-align: right; }
td.wrap { white-space: normal; min-width: 16rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
ul { padding-left: 1.2rem; } li { margin: .3rem 0; overflow-wrap: anywhere; }
.error, .bad { color: var(--bad); } .warning { color: var(--warn); } .ok { color: var(--good); }
.next { color: var(--soft); } .note { color: var(--soft); font-size: .9rem; }
.chart { min-height: 360px; }
"""

_SCRIPT = """
const dark = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--ink").trim();
  const line = style.getPropertyValue("--line").trim();
  const card = style.getPropertyValue("--card").trim();
  for (const chart of document.querySelectorAll(".js-plotly-plot")) {
    Plotly.relayout(chart, {"font.color": ink, "xaxis.gridcolor": line, "yaxis.gridcolor": line,
      "xaxis.linecolor": line, "yaxis.linecolor": line, "xaxis.zerolinecolor": line,
      "yaxis.zerolinecolor": line, "hoverlabel.bgcolor": card, "hoverlabel.font.color": ink});
  }
}
for (const chart of document.querySelectorAll(".js-plotly-plot")) Plotly.Plots.resize(chart);
paint();
dark.addEventListener("change", paint);
"""

_MEDIANS = "Medians over the repetitions; MIN..MAX of the total."
_SAMPLED = "The first good run of each method, sampled every 50 ms."
_BETTER = "Up and to the left is better. Zero pages are in no ratio."
_MODEL = (
    "A model: time = max(time without a limit, bytes on the wire / link), from the medians above."
)


def _crossover_table(found: Sequence[Cost]) -> Table:
    ranking = winners(found)
    rows = []
    for index, (cost, start) in enumerate(ranking):
        end = link(ranking[index + 1][1]) if index + 1 < len(ranking) else "any faster link"
        rows.append((cost.label, link(start) if start else "the slowest link", end))
    return Table("Who ends first", (("METHOD", False), ("FROM", False), ("TO", False)), tuple(rows))


def _table(table: Table) -> str:
    head = "".join(
        f'<th class="n">{escape(name)}</th>' if right else f"<th>{escape(name)}</th>"
        for name, right in table.columns
    )
    body = []
    for row in table.rows:
        cells = []
        for cell, (name, right) in zip(row, table.columns, strict=True):
            kind = "n" if right else "wrap" if name in ("BECAUSE", "BY") else ""
            kind += " bad" if cell.startswith("NO") else ""
            cells.append(f'<td class="{kind.strip()}">{escape(cell)}</td>')
        body.append(f"<tr>{''.join(cells)}</tr>")
    return (
        f'<h2>{escape(table.title)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _pair(title: str, chart: str, side: str, note: str = "", *, stacked: bool = False) -> str:
    text = f'<p class="note">{escape(note)}</p>' if note else ""
    kind = "pair stacked" if stacked else "pair"
    return (
        f'<section class="{kind}"><div><h2>{escape(title)}</h2>{chart}</div>'
        f"<div>{side}{text}</div></section>"
    )


def _finding(found: Finding) -> str:
    following = f' <span class="next">next: {escape(found.remedy)}</span>' if found.remedy else ""
    mark = found.severity.value
    return f'<li><b class="{mark}">{mark}</b> {escape(found.sentence)}{following}</li>'


def _head(report: BenchReport) -> str:
    verdict = "every migration was verified, page by page"
    kind = "ok"
    if report.interrupted:
        verdict, kind = "interrupted: what was measured until then", "warning"
    elif not report.ok:
        verdict, kind = "not every migration ended with equal memories", "error"
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in tables.facts(report)
    )
    no_speed = f'<p class="warning">{escape(report.no_speed)}</p>' if report.no_speed else ""
    left = "".join(
        f"<li>not measured: {escape(label)}: {escape(why)}</li>"
        for label, why in report.left_out.items()
    )
    advice = "".join(_finding(found) for found in report.advice) + left
    return (
        f'<h1>Live migration benchmark</h1><p class="{kind}">{escape(verdict)}</p>{no_speed}'
        f"<section><dl>{facts}</dl></section>"
        + (f"<section><h2>What the figures say</h2><ul>{advice}</ul></section>" if advice else "")
    )


def html(report: BenchReport) -> str:
    """The page. Raises LibraryMissing without plotly."""
    charts = draw.Charts([result.variant.label for result in report.results])
    parts = [_head(report)]
    results, paths = _table(tables.results(report)), _table(tables.paths(report))
    use = _table(tables.use(report))
    threads = _table(tables.threads(report))
    if report.no_speed is None:
        parts += [
            _pair("Time by method", draw.time(charts, report), results, _MEDIANS, stacked=True),
            _pair("Throughput over time", draw.throughput_over_time(charts, report), threads,
                  _SAMPLED),
            _pair("Ratio against CPU", draw.cpu(charts, report), use, _BETTER),
            f"<section>{paths}</section>",
        ]  # fmt: skip
        if found := costs(report.scenario, report.runs):
            table = _table(_crossover_table(found))
            parts.append(
                _pair("Time by speed of the link", draw.crossover(charts, found), table, _MODEL)
            )
    else:
        parts.append(_pair("Bytes on the wire", draw.wire(charts, report), results, stacked=True))
        parts += [f"<section>{paths}</section>", f"<section>{threads}</section>"]
    parts.append(f"<section>{_table(tables.choices(report))}</section>")
    failed = [f"<li>{escape(r.variant.label)}: {escape(r.failed)}</li>"
              for r in report.runs if r.failed]  # fmt: skip
    if failed:
        parts.append(f"<section><h2>Failed</h2><ul>{''.join(failed)}</ul></section>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>iaactl migrate-bench</title><style>{_STYLE}</style>"
        f"<script>{charts.script}</script></head><body>{''.join(parts)}"
        f"<script>{_SCRIPT}</script></body></html>\n"
    )
