"""Figures of an experiment: how an answer depends on a parameter, and a grid at a glance.

Functions from tidy DataFrames to Bokeh models, in the look of `twin.plots`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twin.errors import unknown
from twin.plots import COLORS

if TYPE_CHECKING:
    import pandas as pd

_CELL_PX = 46
_DARK = 0.55  # share of the palette from which on white letters read better


def response(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    *,
    low: float = 0.05,
    high: float = 0.95,
    reference: float | None = None,
    title: str = "",
    labels: tuple[str, str] | None = None,
    height: int = 380,
) -> Any:
    """Return curves with bands: the median of an answer at each value of a parameter, and where most of it lies.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a run.
    x, y, by : str
        Columns: the parameter, the answer (shown on a log scale), and what each curve stands for.
    low, high : float
        Quantiles over the runs of one point (its seeds) that bound the band.
    reference : float, optional
        An answer that a dashed line marks.
    title : str
    labels : tuple of str, optional
        Of the two axes; the columns' names by default.
    height : int
        Pixels.
    """
    import pandas as pd
    from bokeh.models import HoverTool
    from bokeh.models.annotations import Span
    from bokeh.plotting import figure

    _need(table, (x, y, by))
    panel: Any = figure(
        height=height, sizing_mode="stretch_width", y_axis_type="log", title=title, tools="pan,box_zoom,reset,save"
    )
    panel.xaxis.axis_label, panel.yaxis.axis_label = labels or (x, y)
    drawn = []
    for number, (name, rows) in enumerate(table.groupby(by, sort=True)):
        answers = rows.groupby(x)[y]
        bounds = {"low": answers.quantile(low), "median": answers.median(), "high": answers.quantile(high)}
        curve = pd.DataFrame({**bounds, "runs": answers.size(), "name": str(name)}).reset_index()
        color = COLORS[number % len(COLORS)]
        panel.varea(x=x, y1="low", y2="high", source=dict(curve), fill_color=color, fill_alpha=0.2)
        panel.line(x, "median", source=dict(curve), color=color, line_width=2, legend_label=str(name))
        drawn.append(panel.scatter(x, "median", source=dict(curve), color=color, size=7, legend_label=str(name)))
    band = "@low{0.[00]} to @high{0.[00]}"
    tips = [("", "@name"), (x, f"@{{{x}}}"), ("median", "@median{0.[00]}"), ("band", band), ("runs", "@runs")]
    panel.add_tools(HoverTool(renderers=drawn, tooltips=tips))
    if reference is not None:
        panel.add_layout(Span(location=reference, dimension="width", line_color="#666666", line_dash="dashed"))
    panel.legend.click_policy = "hide"
    panel.add_layout(panel.legend[0], "right")
    return panel


def heat_map(
    table: pd.DataFrame,
    x: str,
    y: Sequence[str],
    value: str,
    *,
    order: Sequence[str] = (),
    title: str = "",
    text: str = ".1f",
) -> Any:
    """Return a grid of coloured cells with their numbers; colours follow the logarithm.

    Parameters
    ----------
    table : pandas.DataFrame
        One row a cell.
    x : str
        Column whose values stand side by side.
    y : sequence of str
        Columns whose combinations stand one below the other.
    value : str
        Column of the numbers, above 0.
    order : sequence of str
        Of the values of `x`; as they come by default.
    title : str
    text : str
        Format of the numbers.
    """
    from bokeh.models import FactorRange
    from bokeh.palettes import cividis
    from bokeh.plotting import figure

    _need(table, (x, *y, value))
    across = list(order) or list(dict.fromkeys(table[x].astype(str)))
    rows = [" · ".join(map(str, entry)) for entry in table[list(y)].itertuples(index=False)]
    down = list(dict.fromkeys(rows))
    numbers = [float(number) for number in table[value]]
    logs = [math.log(max(number, 1e-12)) for number in numbers]
    low, spread = min(logs), (max(logs) - min(logs)) or 1.0
    shares = [(entry - low) / spread for entry in logs]
    palette = cividis(256)[::-1]
    panel: Any = figure(
        x_range=FactorRange(factors=across),
        y_range=FactorRange(factors=down[::-1]),
        height=80 + _CELL_PX * len(down),
        sizing_mode="stretch_width",
        x_axis_location="above",
        title=title,
        tools="save",
    )
    data = {
        "x": [str(entry) for entry in table[x]],
        "y": rows,
        "color": [palette[round(share * 255)] for share in shares],
        "ink": ["#ffffff" if share > _DARK else "#222222" for share in shares],
        "text": [format(number, text) for number in numbers],
    }
    panel.rect("x", "y", width=1, height=1, source=data, fill_color="color", line_color="#ffffff")
    panel.text("x", "y", text="text", source=data, text_color="ink", text_align="center", text_baseline="middle",
               text_font_size="13px")  # fmt: skip
    panel.grid.grid_line_color = None
    panel.axis.axis_line_color = panel.axis.major_tick_line_color = None
    return panel


def _need(table: pd.DataFrame, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in table:
            raise unknown("column", name, map(str, table.columns))
