"""Figures of what came of it: costs of policies, and the share of parts that survive.

Functions from the DataFrames that a run returns to Bokeh models, in the look of `twin.plots`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from twin import plots
from twin.errors import BadRequest, shown
from twin.plots_world import _add_hover, _entitle, _need

if TYPE_CHECKING:
    import pandas as pd

COSTS: Mapping[str, tuple[str, str]] = {
    "labour_cost": ("labour", "#0072b2"),
    "parts_cost": ("parts", "#e69f00"),
    "downtime_cost": ("downtime", "#cc79a7"),
}
LAW = "the law behind it"
_BAR_PX = 44
_NAME_CHARACTERS = 34  # of a bar's name; longer ones are shortened
_Z95 = 1.959964  # of the normal law, two-sided


def costs(table: pd.DataFrame, label: str = "policy", *, title: str = "", height: int | None = None) -> Any:
    """Return what policies cost, one bar each, by labour, parts and downtime.

    Parameters
    ----------
    table : pandas.DataFrame
        One row for each policy with ``labour_cost, parts_cost, downtime_cost``, such as
        ``run.paired()``.
    label : str
        The column that names the bars, or the name of the index; no name may occur twice.
    title : str
        Stands above the bars.
    height : int, optional
        Pixels; by default as the number of bars needs.

    Returns
    -------
    bokeh.models.LayoutDOM
        Horizontal bars, the first row on top, with their sums.
    """
    from bokeh.models import FactorRange, HoverTool, Range1d
    from bokeh.models.formatters import NumeralTickFormatter
    from bokeh.plotting import figure

    frame = table.reset_index() if label == table.index.name and label not in table else table
    _need(frame, (label, *COSTS), "the table of costs", "run.paired()")
    bars = [_shortened(str(name)) for name in frame[label]]
    twice = sorted({name for name in bars if bars.count(name) > 1})
    if twice:
        raise BadRequest(f"two bars are called {shown(twice[0])}; name them apart, or choose another column as label")
    total = frame[list(COSTS)].sum(axis=1)
    panel: Any = figure(
        height=height or plots._AXIS_PX + 30 + _BAR_PX * len(bars),
        sizing_mode="stretch_width",
        y_range=FactorRange(factors=bars[::-1], range_padding=0.1),
        x_range=Range1d(start=0.0, end=1.16 * max(float(total.max()), 1.0)),
        tools="save",
        min_border_right=12,
    )
    data = {name: frame[name].to_numpy(np.float64) for name in COSTS} | {"bar": bars, "total": total.to_numpy()}
    data["text"] = [f"{value:,.0f}" for value in total]
    glyphs = panel.hbar_stack(
        list(COSTS), y="bar", height=0.62, color=[hue for _, hue in COSTS.values()], line_color="#ffffff", source=data
    )
    panel.text(
        "total", "bar", text="text", source=data, x_offset=6, text_baseline="middle", text_font_size="12px",
        text_color="#333333",
    )  # fmt: skip
    tips = [("", "@bar"), *((text, f"@{name}{{0,0}}") for name, (text, _) in COSTS.items()), ("sum", "@text")]
    panel.add_tools(HoverTool(renderers=glyphs, tooltips=tips))
    _dress(panel, "", "Cost (currency of the plant)")
    panel.xaxis.formatter = NumeralTickFormatter(format="0,0")
    panel.xaxis.ticker.desired_num_ticks = 5
    panel.ygrid.grid_line_color = None
    _entitle([panel], {text: [glyph] for (text, _), glyph in zip(COSTS.values(), glyphs, strict=True)}, title)
    return panel


def kaplan_meier(lifetimes: pd.DataFrame) -> pd.DataFrame:
    """Return the share of parts that survive each age, learned also from those that did not fail.

    Parameters
    ----------
    lifetimes : pandas.DataFrame
        With ``stop`` (age at failure or censoring, hours) and ``event`` (whether it failed); ``start``
        (age at entry) where given: a part is at risk only from there on.

    Returns
    -------
    pandas.DataFrame
        By age ``hours`` of the failures, from 0: ``at_risk``, ``failed``, ``survival`` (Kaplan and
        Meier), ``low`` and ``high`` (95 %, Greenwood's variance of the log of the cumulative hazard).
    """
    import pandas as pd

    _need(lifetimes, ("stop", "event"), "lifetimes", "run.lifetimes()")
    stop, failed = lifetimes["stop"].to_numpy(np.float64), lifetimes["event"].to_numpy(bool)
    start = lifetimes["start"].to_numpy(np.float64) if "start" in lifetimes else np.zeros_like(stop)
    ages, deaths = np.unique(stop[failed], return_counts=True)
    at_risk = np.searchsorted(np.sort(start), ages, "left") - np.searchsorted(np.sort(stop), ages, "left")
    with np.errstate(divide="ignore", invalid="ignore"):
        survival = np.cumprod(1.0 - deaths / at_risk)
        greenwood = np.cumsum(deaths / (at_risk * (at_risk - deaths).astype(np.float64)))
        spread = _Z95 * np.sqrt(greenwood) / np.log(survival)
        low, high = survival ** np.exp(-spread), survival ** np.exp(spread)
    ends = survival <= 0.0  # the last part has failed: no variance is left
    columns = {
        "hours": [0.0, *ages],
        "at_risk": [int((start <= 0.0).sum()), *at_risk],
        "failed": [0, *deaths],
        "survival": [1.0, *survival],
        "low": [1.0, *np.where(ends, 0.0, low)],
        "high": [1.0, *np.where(ends, 0.0, high)],
    }
    return pd.DataFrame(columns)


def survival(
    lifetimes: pd.DataFrame,
    by: str = "mode",
    *,
    laws: Mapping[str, tuple[float, float]] | None = None,
    until: float | None = None,
    title: str = "",
    height: int = 340,
) -> Any:
    """Return the share of parts that survive each age, one curve a group with its 95 % band.

    Parameters
    ----------
    lifetimes : pandas.DataFrame
        From ``run.lifetimes()``.
    by : str
        The column that tells the curves apart.
    laws : mapping of str to tuple of float, optional
        For a group, shape and scale (effective hours) of a Weibull law to lay over its curve.
    until : float, optional
        Age at which the picture ends, effective hours; by default the oldest part's.
    title, height
        See `twin.plots.signals`.

    Returns
    -------
    bokeh.models.LayoutDOM
        Steps of the estimate of Kaplan and Meier.
    """
    from bokeh.models import Range1d
    from bokeh.plotting import figure

    _need(lifetimes, (by, "stop", "event"), "lifetimes", "run.lifetimes()")
    last = float(lifetimes["stop"].max()) if until is None else until
    panel: Any = figure(
        height=height, sizing_mode="stretch_width", x_range=Range1d(start=0.0, end=last),
        y_range=Range1d(start=-0.02, end=1.05),
        tools="xpan,xwheel_zoom,box_zoom,reset,save", active_drag="box_zoom", min_border_left=plots._LEFT_PX,
        min_border_right=24,
    )  # fmt: skip
    groups = {str(name): lifetimes[lifetimes[by] == name] for name in sorted(lifetimes[by].unique())}
    items: dict[str, list[Any]] = {}
    for (name, part), color in zip(groups.items(), plots._cycle(plots.COLORS, len(groups)), strict=True):
        label = plots._in_words(name)
        curve = kaplan_meier(part)
        curve.loc[len(curve)] = {**curve.iloc[-1].to_dict(), "hours": max(part["stop"].max(), curve["hours"].max())}
        data = {column: curve[column].to_numpy(np.float64) for column in curve}
        band = panel.varea_step("hours", "low", "high", source=data, step_mode="after", color=color, alpha=0.12)
        line = panel.step("hours", "survival", source=data, mode="after", color=color, width=2, name=label)
        items[label] = [band, line]
        tips = [("", "$name"), ("age", "@hours{0,0} h"), ("survive", "@survival{0.0%}"), ("at risk", "@at_risk")]
        _add_hover(panel, [line], tips)
        if laws and name in laws:
            shape, scale = laws[name]
            ages = np.linspace(0.0, last, 200)
            law = panel.line(ages, np.exp(-((ages / scale) ** shape)), color="#222222", dash="dashed", width=1.3)
            items.setdefault(LAW, []).append(law)
    _dress(panel, "Share that survives", "Age (effective hours)")
    law = items.pop(LAW, [])
    _entitle([panel], {**items, LAW: law}, title)
    return panel


def _shortened(name: str) -> str:
    return name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…"


def _dress(panel: Any, y_label: str, x_label: str) -> None:
    """Give a figure the look of the panels of `twin.plots`."""
    panel.yaxis.axis_label, panel.xaxis.axis_label = y_label, x_label
    panel.axis.axis_label_text_font_style = "normal"
    panel.axis.axis_label_text_font_size = "12px"
    panel.axis.major_label_text_font_size = "11px"
    panel.axis.axis_line_color = panel.axis.major_tick_line_color = "#888888"
    panel.axis.minor_tick_line_color = None
    panel.grid.grid_line_color = "#e6e6e6"
    panel.outline_line_color = panel.toolbar.logo = None
