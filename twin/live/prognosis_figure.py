"""The Bokeh figure of one machine's probability of failure over the plant's time, with what happened to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, Range1d
from bokeh.plotting import figure

from twin.live.live_figures import KINDS, Shade

LINE, DOUBTED = "#0072b2", "#999999"
_POINTS = ("t", "p")


class RiskFigure:
    """Probability of failure over time: a line where it is trusted, hollow points where it is not.

    Parameters
    ----------
    height : int
        Pixels.
    """

    def __init__(self, height: int = 190) -> None:
        self.line = ColumnDataSource({name: np.empty(0) for name in _POINTS}, name="risk")
        self.doubted = ColumnDataSource({name: np.empty(0) for name in _POINTS})
        self.shades = ColumnDataSource({"x0": [], "x1": [], "color": [], "alpha": [], "label": []})
        self.failed = ColumnDataSource({"x": [], "label": []})
        panel: Any = figure(
            height=height,
            sizing_mode="stretch_width",
            x_axis_type="datetime",
            x_range=DataRange1d(range_padding=0.02),
            y_range=Range1d(start=0.0, end=104.0),
            tools="xpan,xwheel_zoom,box_zoom,reset",
            active_drag="box_zoom",
            toolbar_location=None,
            min_border_left=44,
            min_border_right=12,
        )
        shades = panel.vstrip("x0", "x1", source=self.shades, fill_color="color", fill_alpha="alpha", line_color=None)
        failed = panel.vspan("x", source=self.failed, line_color=KINDS["failure"][1], line_width=2, line_dash="dashed")
        line = panel.line("t", "p", source=self.line, color=LINE, width=2)
        dots = panel.scatter("t", "p", source=self.line, color=LINE, size=3)
        doubted = panel.scatter("t", "p", source=self.doubted, line_color=DOUBTED, fill_color=None, size=5)
        panel.x_range.renderers = [line, doubted]
        said = [("probability", "@p{0} %"), ("UTC", "@t{%F %T}")]
        panel.add_tools(HoverTool(renderers=[dots], tooltips=said, formatters={"@t": "datetime"}))
        doubt = [("out of range", "@p{0} %, not to be trusted"), ("UTC", "@t{%F %T}")]
        panel.add_tools(HoverTool(renderers=[doubted], tooltips=doubt, formatters={"@t": "datetime"}))
        panel.add_tools(HoverTool(renderers=[shades, failed], tooltips=[("", "@label")]))
        _style(panel)
        self.layout = panel

    def show(self, trend: Sequence[tuple[int, float, bool]], cadence_us: int) -> None:
        """Show a machine's trend as (time in µs, probability, trusted); a gap stays a gap."""
        t, p = [], []
        doubted = [(at, share) for at, share, sure in trend if not sure]
        before = None
        for at, share, sure in trend:
            if before is not None and (at - before > cadence_us or not sure):
                t.append((before + at) / 2000.0)
                p.append(np.nan)
            if sure:
                t.append(at / 1000.0)
                p.append(100.0 * share)
            before = at
        self.line.data = {"t": np.array(t, float), "p": np.array(p, float)}
        self.doubted.data = {
            "t": np.array([at / 1000.0 for at, _ in doubted], float),
            "p": np.array([100.0 * share for _, share in doubted], float),
        }

    def mark(self, shades: Iterable[Shade], failures: Iterable[tuple[float, str]]) -> None:
        """Shade stretches of time, and mark failures as (time in ms, words)."""
        rows, times = list(shades), list(failures)
        self.shades.data = {
            "x0": [row.start_ms for row in rows],
            "x1": [row.end_ms for row in rows],
            "color": [KINDS[row.kind][1] for row in rows],
            "alpha": [0.15] * len(rows),
            "label": [row.label for row in rows],
        }
        self.failed.data = {"x": [at for at, _ in times], "label": [text for _, text in times]}


def _style(panel: Any) -> None:
    """Let the figure look like those of the signals."""
    panel.yaxis.axis_label, panel.xaxis.axis_label = "Probability (%)", "Time (UTC)"
    panel.axis.axis_label_text_font_style = "normal"
    panel.axis.axis_label_text_font_size = "12px"
    panel.axis.major_label_text_font_size = "11px"
    panel.axis.axis_line_color = panel.axis.major_tick_line_color = "#888888"
    panel.axis.minor_tick_line_color = None
    panel.yaxis.ticker = [0, 25, 50, 75, 100]
    panel.grid.grid_line_color = "#e6e6e6"
    panel.outline_line_color = None
