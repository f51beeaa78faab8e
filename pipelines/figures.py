"""Small still figures, as SVG: for notebooks of which there will be hundreds.

A Bokeh figure brings four megabytes of script into each notebook; these bring a few kilobytes, need no
browser to be made, and serve as thumbnails.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from twin.plots import COLORS

WIDTH, HEIGHT = 640, 400
_TEXT = 'font-family="system-ui, sans-serif" fill="#333"'
_HEAD, _GAP, _LEFT = 46, 30, 54


@dataclass(frozen=True)
class Panel:
    """One small plot of lines over a common x.

    Attributes
    ----------
    title : str
        Above it, with the unit.
    x : sequence of float
        Ascending.
    lines : mapping
        Name to y values; NaN leaves a gap.
    """

    title: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[float]]


class Svg:
    """A figure that notebooks show and files hold."""

    def __init__(self, body: str) -> None:
        self.text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}"><rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>{body}</svg>'
        )

    def _repr_svg_(self) -> str:
        return self.text


def panels(title: str, plots: Sequence[Panel], x_label: str) -> Svg:
    """Return up to four plots in two columns, all with the same lines.

    Parameters
    ----------
    title, x_label : str
        Above the whole, and below it.
    plots : sequence of Panel
    """
    names = list(plots[0].lines)
    body = [_title(title), _legend(names)]
    rows = math.ceil(len(plots) / 2)
    width, height = (WIDTH - 2 * _LEFT - 16) / 2, (HEIGHT - _HEAD - 24 - rows * _GAP) / rows
    for number, plot in enumerate(plots):
        row, column = divmod(number, 2)
        body.append(_panel(plot, _LEFT + column * (width + _LEFT), _HEAD + row * (height + _GAP) + 14, width, height))
    body.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 6}" font-size="11" text-anchor="middle" {_TEXT}>{x_label}</text>')
    return Svg("".join(body))


def bars(title: str, values: Mapping[str, float], unit: str, reference: float | None = None) -> Svg:
    """Return horizontal bars from zero, with their numbers.

    Parameters
    ----------
    title, unit : str
        Above the whole, and below it.
    values : mapping
        Name to length; negative ones go to the left.
    reference : float, optional
        A value that a dashed line marks.
    """
    known = [v for v in [*values.values(), 0.0, reference or 0.0] if math.isfinite(v)]
    low, high = min(known), max(known)
    left, width = 200.0, WIDTH - 200.0 - 80.0
    scale = width / ((high - low) or 1.0)
    zero, step = left - low * scale, (HEIGHT - _HEAD - 30) / max(1, len(values))
    body = [_title(title)]
    for number, (name, value) in enumerate(values.items()):
        y = _HEAD + number * step
        length = (value if math.isfinite(value) else 0.0) * scale
        color = COLORS[0] if value >= 0 else COLORS[1]
        body.append(
            f'<text x="{min(left, zero) - 8:.1f}" y="{y + step / 2 + 4:.1f}" font-size="12" text-anchor="end" {_TEXT}>'
            f"{html.escape(name)}</text>"
            f'<rect x="{zero + min(0.0, length):.1f}" y="{y + step * 0.18:.1f}" width="{abs(length):.1f}" '
            f'height="{step * 0.64:.1f}" fill="{color}"/>'
            f'<text x="{zero + max(0.0, length) + 6:.1f}" y="{y + step / 2 + 4:.1f}" font-size="12" {_TEXT}>'
            f"{_number(value)}</text>"
        )
    if reference is not None:
        x = zero + reference * scale
        body.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD - 4}" y2="{HEIGHT - 28}" stroke="#666" '
            'stroke-dasharray="4 3"/>'
        )
    body.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" font-size="11" text-anchor="middle" {_TEXT}>{unit}</text>')
    return Svg("".join(body))


def _title(title: str) -> str:
    return f'<text x="12" y="20" font-size="14" font-weight="600" {_TEXT}>{html.escape(title)}</text>'


def _legend(names: Sequence[str]) -> str:
    parts, x = [], 12.0
    for number, name in enumerate(names):
        parts.append(
            f'<line x1="{x:.0f}" x2="{x + 18:.0f}" y1="34" y2="34" stroke="{COLORS[number]}" stroke-width="3"/>'
            f'<text x="{x + 24:.0f}" y="38" font-size="11" {_TEXT}>{html.escape(name)}</text>'
        )
        x += 40 + 6.2 * len(name)
    return "".join(parts)


def _panel(plot: Panel, left: float, top: float, width: float, height: float) -> str:
    known = [value for line in plot.lines.values() for value in line if math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    pad = (high - low) * 0.06 or abs(high) * 0.02 or 1.0
    low, high = low - pad, high + pad
    first, last = plot.x[0], plot.x[-1]

    def at(x: float, y: float) -> str:
        return (
            f"{left + (x - first) / ((last - first) or 1.0) * width:.1f},{top + (high - y) / (high - low) * height:.1f}"
        )

    parts = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none" stroke="#ccc"/>',
        f'<text x="{left:.1f}" y="{top - 4:.1f}" font-size="11" {_TEXT}>{html.escape(plot.title)}</text>',
    ]
    for value, y in ((high - pad, top + 10), (low + pad, top + height - 2)):
        parts.append(
            f'<text x="{left - 4:.1f}" y="{y:.1f}" font-size="10" text-anchor="end" {_TEXT}>{_number(value)}</text>'
        )
    for value, anchor in ((first, "start"), (last, "end")):
        x = left if anchor == "start" else left + width
        parts.append(
            f'<text x="{x:.1f}" y="{top + height + 12:.1f}" font-size="10" text-anchor="{anchor}" {_TEXT}>'
            f"{_number(value)}</text>"
        )
    for number, line in enumerate(plot.lines.values()):
        drawn = " ".join(at(x, y) for x, y in zip(plot.x, line, strict=True) if math.isfinite(y))
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{COLORS[number]}" stroke-width="1.5"/>')
    return "".join(parts)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
