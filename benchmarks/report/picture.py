"""The picture for the docs: a panel of bars for each metric that is in it, as SVG (pure)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from ..contender import Contender
from ..contenders.table import OURS, YARDSTICKS
from ..stats import Metric, Results, Spread
from .tables import number

WIDTH, LABEL, VALUE, BAR, GAP, TITLE, SPACE = 760, 150, 80, 18, 6, 30, 22
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 14px }
.value { fill: #57606a } .bar { fill: #afb8c1 } .ours { fill: #1a7f37 } .bound { fill: #54aeff }
.spread { stroke: #57606a; stroke-width: 1.5 } .back { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .value { fill: #9198a1 } .bar { fill: #3d444d } .ours { fill: #2ea043 } .bound { fill: #1f6feb }
.spread { stroke: #9198a1 } .back { fill: #0d1117 } }
"""


def draw(results: Results, contenders: Sequence[Contender], metrics: Sequence[Metric]) -> str:
    """All panels, one under the other: the median as a bar, the least and the greatest value as a line on it."""
    shapes: list[str] = []
    y = SPACE
    for metric in (metric for metric in metrics if metric.chart):
        bars = [(c, spread) for c in contenders if (spread := results.spread(c.name, metric.key))]
        bars.sort(key=lambda pair: pair[1].median, reverse=metric.higher)
        if bars:
            shapes += _panel(metric, bars, y)
            y += TITLE + len(bars) * (BAR + GAP) + SPACE
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">'
    names = (
        "<title>taskflow and its peers: medians, with the least and the greatest value of the rounds</title>"
    )
    back = f'<rect class="back" width="{WIDTH}" height="{y}"/>'
    return "\n".join([head, names, f"<style>{STYLE}</style>", back, *shapes, "</svg>"]) + "\n"


def _panel(metric: Metric, bars: Sequence[tuple[Contender, Spread]], y: int) -> list[str]:
    scale = _linear if metric.higher else _logarithmic
    least, most = min(s.least for _, s in bars), max(s.most for _, s in bars)
    hint = "more is better" if metric.higher else "less is better, logarithmic"
    title = escape(f"{metric.title} ({metric.unit}; {hint})")
    shapes = [f'<text class="title" x="10" y="{y + 14}">{title}</text>']
    for index, (contender, spread) in enumerate(bars):
        top = y + TITLE + index * (BAR + GAP)
        length, low, high = (
            scale(value, least, most) for value in (spread.median, spread.least, spread.most)
        )
        kind = "ours" if contender.name == OURS else "bound" if contender.name in YARDSTICKS else "bar"
        middle = top + BAR / 2
        shapes += [
            f'<text x="{LABEL - 8}" y="{top + 14}" text-anchor="end">{escape(contender.label)}</text>',
            f'<rect class="{kind}" x="{LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" rx="2"/>',
            f'<line class="spread" x1="{LABEL + low:.1f}" x2="{LABEL + high:.1f}" y1="{middle}" y2="{middle}"/>',
            f'<text class="value" x="{LABEL + max(length, high) + 8:.1f}" y="{top + 14}">{number(spread.median)}</text>',
        ]
    return shapes


def _linear(value: float, least: float, most: float) -> float:
    return value / most * (WIDTH - LABEL - VALUE) if most else 0.0


def _logarithmic(value: float, least: float, most: float) -> float:
    """A decade left of the least value is where bars begin."""
    start, end = math.log10(max(least, 1e-6)) - 1, math.log10(max(most, 1e-6))
    return (math.log10(max(value, 1e-6)) - start) / max(end - start, 1e-6) * (WIDTH - LABEL - VALUE)
