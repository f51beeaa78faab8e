"""Figures of telemetry, as functions from DataFrames to Bokeh models, and the table of effect sizes.

Nothing here simulates or reads a plant. A day at 1 s has 86,400 readings a signal and a screen has
about a thousand columns of pixels, so each column keeps its lowest and its highest reading: a
spike of a single reading stays visible.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, shown, unknown
from twin.times import parse_time

if TYPE_CHECKING:
    import pandas as pd

HEADLINE: tuple[str, ...] = ("temperature_c", "vibration_g", "power_w")
"""The three signals that most stories are told with."""

NAMES: Mapping[str, str] = {
    "temperature_c": "Temperature",
    "vibration_g": "Vibration",
    "vibration_mm_s": "Velocity",
    "kurtosis": "Kurtosis",
    "power_w": "Power",
    "current_a": "Current",
    "speed_rpm": "Speed",
    "torque_nm": "Torque",
}
COLORS: tuple[str, ...] = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#444444", "#a6761d")
"""For lines: Okabe and Ito's, which most kinds of colour blindness can tell apart."""

SHADES: tuple[str, ...] = ("#e69f00", "#cc3311", "#009988", "#aa3377", "#4477aa")
"""For shaded spans, drawn very light."""

_LEFT_PX = 72  # room for the longest tick label, the same in every panel so that time stays aligned
_AXIS_PX = 42  # what the time axis adds below the lowest panel
_LEGEND_ROW_PX = 24
_HOVERED = 4  # lines that a tooltip can list without covering the plot


@dataclass(frozen=True)
class TimeSpan:
    """A stretch of time to be shaded.

    Attributes
    ----------
    label : str
        What the legend says.
    start, end : time
        UTC; without an end the shade reaches to the last reading.
    """

    label: str
    start: Any
    end: Any = None


@dataclass(frozen=True)
class Trace:
    """A signal, thinned for the screen.

    Attributes
    ----------
    ts, readings : numpy.ndarray
        The line: every reading, or the mean of each column of pixels; NaN breaks it.
    envelope_ts, envelope : numpy.ndarray
        The lowest and highest reading of each column, in order of time; empty where every reading
        is in the line.
    """

    ts: np.ndarray
    readings: np.ndarray
    envelope_ts: np.ndarray
    envelope: np.ndarray


def decimate(ts: np.ndarray, values: np.ndarray, points: int = 1200) -> Trace:
    """Thin a signal without losing its extremes.

    Parameters
    ----------
    ts : numpy.ndarray of datetime64
        Times, ascending.
    values : numpy.ndarray of float
        Readings; NaN where one is missing.
    points : int
        Columns to divide the time into, about the plot's width in pixels.

    Returns
    -------
    Trace
        The signal as it is where it has no more than two readings a column.
    """
    if points < 1:
        raise BadRequest(f"points must be 1 or more, got {shown(points)}")
    times = np.asarray(ts, dtype="datetime64[us]")
    readings = np.asarray(values, dtype=np.float64)
    if len(times) <= 2 * points:
        return Trace(times, readings, times[:0], readings[:0])
    valid = np.isfinite(readings)
    us = times.astype(np.int64)
    width = (us[-1] - us[0]) / points + 1
    us, readings = us[valid], readings[valid]
    column = ((us - times[0].astype(np.int64)) // width).astype(np.int64)
    order = np.lexsort((readings, column))
    first = np.flatnonzero(np.diff(column, prepend=-1))
    count = np.diff(first, append=len(column))
    extremes = np.sort(np.stack([order[first], order[first + count - 1]]), axis=0).T.ravel()
    means = np.add.reduceat(readings, first) / count if len(first) else readings
    middle = us[first + count // 2]
    gaps = np.flatnonzero(np.diff(column[first]) > 1) + 1  # a column without a reading breaks the line
    broken = np.insert(means, gaps, np.nan), np.insert(middle, gaps, middle[gaps] - 1)
    ends = (
        np.insert(readings[extremes], 2 * gaps, np.nan),
        np.insert(us[extremes], 2 * gaps, us[extremes][2 * gaps] - 1),
    )
    return Trace(broken[1].astype("datetime64[us]"), broken[0], ends[1].astype("datetime64[us]"), ends[0])


def conditions(activations: pd.DataFrame | None = None, injections: pd.DataFrame | None = None) -> list[TimeSpan]:
    """Return what acts on machines as spans to shade, each only once.

    Parameters
    ----------
    activations : pandas.DataFrame, optional
        From ``plant.scenarios.activations(...)``.
    injections : pandas.DataFrame, optional
        From ``plant.failure_modes.injections(...)``.
    """
    found: dict[TimeSpan, None] = {}
    for table in (activations, injections):
        for row in [] if table is None else table.to_dict("records"):
            label = row["scenario"] if "scenario" in row else f"{_in_words(row['failure_mode'])}, {row['severity']}"
            found[TimeSpan(str(label), row["start_at"], _or_none(row["end_at"]))] = None
    return list(found)


def signals(
    telemetry: pd.DataFrame,
    channels: Sequence[str] = HEADLINE,
    *,
    names: Mapping[int, str] | None = None,
    spans: Iterable[TimeSpan] = (),
    title: str = "",
    points: int = 1200,
    height: int = 170,
) -> Any:
    """Return signals of one or several machines over time, one panel a channel.

    Parameters
    ----------
    telemetry : pandas.DataFrame
        With ``ts`` and the channels; several machines are told apart by ``machine`` or ``machine_id``.
    channels : sequence of str
        The panels, from above.
    names : mapping of int to str, optional
        Machines' names for the legend.
    spans : iterable of TimeSpan
        Stretches of time to shade, see `conditions`.
    title : str
        Stands above the panels.
    points : int
        Columns that a line is thinned to, about the plot's width in pixels.
    height : int
        Height of a panel, pixels.

    Returns
    -------
    bokeh.models.LayoutDOM
        Panels with one time axis, as wide as the page, to be given to ``bokeh.io.show``.
    """
    _check(telemetry, channels, "telemetry")
    return _panels(_by_machine(telemetry, names or {}), channels, list(spans), title, points, height)


def comparison(
    normal: pd.DataFrame,
    other: pd.DataFrame,
    channels: Sequence[str] = HEADLINE,
    *,
    labels: tuple[str, str] = ("normal", "faulty"),
    spans: Iterable[TimeSpan] = (),
    title: str = "",
    points: int = 1200,
    height: int = 170,
) -> Any:
    """Return two records of one machine, one above the other's shadow.

    Where the two begin at different times, the first is shifted to the second's start.

    Parameters
    ----------
    normal, other : pandas.DataFrame
        With ``ts`` and the channels, each of a single machine.
    labels : tuple of str
        What the legend calls them.
    channels, spans, title, points, height
        See `signals`; spans are in the second's time.

    Returns
    -------
    bokeh.models.LayoutDOM
        Panels with one time axis.
    """
    for frame, label in zip((normal, other), labels, strict=True):
        _check(frame, channels, label)
        if "machine_id" in frame and len(frame["machine_id"].unique()) > 1:
            raise BadRequest(f"{label}: a comparison shows one machine; choose one with telemetry(machines=[...])")
    if labels[0] == labels[1]:
        raise BadRequest(f"the two labels must differ, got {shown(labels)}")
    shift = other["ts"].iloc[0] - normal["ts"].iloc[0]
    return _panels(
        {labels[0]: normal.assign(ts=normal["ts"] + shift), labels[1]: other},
        channels,
        list(spans),
        title,
        points,
        height,
    )


def effect_sizes(normal: pd.DataFrame, other: pd.DataFrame, channels: Sequence[str] = CHANNELS) -> pd.DataFrame:
    """Return how far each channel moved between two records.

    Parameters
    ----------
    normal, other : pandas.DataFrame
        Readings; missing ones do not count.
    channels : sequence of str
        The rows of the result.

    Returns
    -------
    pandas.DataFrame
        By channel: ``unit``, the two means ``normal`` and ``faulty``, ``change`` (same unit),
        ``change_percent``, and ``cohens_d``, the change in pooled standard deviations of single
        readings. It says how clearly one reading tells the two apart; it is not a test, since
        neighbouring readings are not independent.
    """
    import pandas as pd

    _check(normal, channels, "normal")
    _check(other, channels, "faulty")
    columns = list(channels)
    before, after = normal[columns].astype("float64"), other[columns].astype("float64")
    free = before.count() + after.count() - 2
    squares = (before.count() - 1) * before.var() + (after.count() - 1) * after.var()
    pooled = (squares / free.where(free > 0)) ** 0.5
    table = pd.DataFrame({"unit": [_unit(name) for name in columns]}, index=pd.Index(columns, name="channel"))
    table["normal"], table["faulty"] = before.mean(), after.mean()
    table["change"] = table["faulty"] - table["normal"]
    table["change_percent"] = 100 * table["change"] / table["normal"].abs().replace(0.0, np.nan)
    table["cohens_d"] = table["change"] / pooled.replace(0.0, np.nan)
    return table


def use_in_notebook() -> None:
    """Let ``bokeh.io.show`` draw into the notebook, from this installation and without a network.

    Unlike Bokeh's own output, a figure also appears when a saved notebook is opened in JupyterLab.
    """
    from bokeh.io import output_notebook
    from bokeh.io.notebook import install_notebook_hook, load_notebook, show_app
    from bokeh.resources import Resources

    hook: Any = "pdm-twin"
    shown_by: Any = _show
    install_notebook_hook(hook, load_notebook, shown_by, show_app, overwrite=True)
    resources = Resources(mode="inline", components=["bokeh"])
    output_notebook(resources=resources, hide_banner=True, notebook_type=hook)


_EMBED = """(function () {
  const script = document.currentScript;
  const here = typeof element === "undefined" ? script.parentElement : element[0] || element;
  const place = here.appendChild(document.createElement("div"));
  const item = %s;
  let patience = 300;
  (function draw() {
    if (!place.isConnected) setTimeout(draw, 100); // JupyterLab puts it into the page later
    else if (window.Bokeh && window.Bokeh.embed) window.Bokeh.embed.embed_item(item, place);
    else if (patience--) setTimeout(draw, 100);
    else place.textContent = "BokehJS is not loaded: run the cell with plots.use_in_notebook()";
  })();
})();"""
"""Draws into the output's own element. Bokeh's script looks for one by its id, in a page of which
JupyterLab has not yet made it a part when it opens a saved notebook."""


def _show(model: Any, state: Any, notebook_handle: Any = None) -> Any:
    """Publish a figure as a script, and as a hint where scripts are not run."""
    from bokeh.embed import json_item
    from bokeh.io.notebook import show_doc
    from IPython.display import publish_display_data

    if notebook_handle:
        return show_doc(model, state, notebook_handle)
    item = json.dumps(json_item(model)).replace("</", "<\\/")
    hint = "A figure: run this cell, or trust the notebook, to see it"
    publish_display_data({"application/javascript": _EMBED % item, "text/plain": hint})
    return None


def _check(frame: pd.DataFrame, channels: Sequence[str], what: str) -> None:
    if not channels:
        raise BadRequest(f"no channel chosen; choose among {', '.join(CHANNELS)}")
    for name in channels:
        if name not in CHANNELS:
            raise unknown("channel", name, CHANNELS)
    missing = [name for name in ("ts", *channels) if name not in frame]
    if missing:
        raise BadRequest(f"{what} has no column {missing[0]!r}; read it with telemetry(columns=None)")
    if frame.empty:
        raise BadRequest(f"{what} has no rows; choose a machine and a span that the run covers")


def _by_machine(telemetry: pd.DataFrame, names: Mapping[int, str]) -> dict[str, pd.DataFrame]:
    for key in ("machine", "machine_id"):
        if key in telemetry:
            parts = telemetry.groupby(key, sort=True, observed=True)
            return {names.get(machine, str(machine)): part for machine, part in parts}  # type: ignore[arg-type]
    return {"": telemetry}


def _unit(channel: str) -> str:
    from twin.catalog.loader import load_catalog

    unit = load_catalog().channels[channel].unit
    return {"C": "°C", "1": ""}.get(unit, unit)


def _axis_label(channel: str) -> str:
    unit = _unit(channel)
    return f"{NAMES[channel]} ({unit})" if unit else NAMES[channel]


def _in_words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _or_none(value: Any) -> Any:
    return None if value is None or value != value else value  # NaT and NaN differ from themselves


def _panels(
    lines: Mapping[str, pd.DataFrame],
    channels: Sequence[str],
    spans: list[TimeSpan],
    title: str,
    points: int,
    height: int,
) -> Any:
    """Return one panel a channel, with the time axis, the legend and the tools in common."""
    from bokeh.layouts import gridplot
    from bokeh.models.annotations import Legend, LegendItem

    first = min(frame["ts"].iloc[0] for frame in lines.values())
    last = max(frame["ts"].iloc[-1] for frame in lines.values())
    labels = list(dict.fromkeys(span.label for span in spans))
    hues = dict(zip(lines, _cycle(COLORS, len(lines)), strict=True))
    tints = dict(zip(labels, _cycle(SHADES, len(labels)), strict=True))
    drawn: dict[str, list[Any]] = {label: [] for label in lines}
    shaded: dict[str, list[Any]] = {label: [] for label in labels}
    figures: list[Any] = []
    for channel in channels:
        panel = _panel(channel, height, figures[0] if figures else None)
        for span in spans:
            shaded[span.label].append(_shade(panel, span, tints[span.label], (first, last)))
        for label in reversed(list(lines)):  # the first one named lies on top
            thin = decimate(lines[label]["ts"].to_numpy(), lines[label][channel].to_numpy(), points)
            drawn[label] += _line(panel, thin, hues[label], 0.35 if len(lines) <= 2 else 0.18)
        _hover(panel, channel, {label: glyphs[-1] for label, glyphs in drawn.items()})
        figures.append(panel)
    _finish(figures, title, height)
    items = [LegendItem(label=label, renderers=glyphs) for label, glyphs in (*drawn.items(), *shaded.items()) if label]
    if items:
        figures[0].add_layout(Legend(items=items, **_LEGEND), "above")
        figures[0].height += _LEGEND_ROW_PX * math.ceil(len(items) / _LEGEND["ncols"])
    return gridplot(
        [[panel] for panel in figures],
        merge_tools=True,
        toolbar_location="right",
        toolbar_options={"logo": None},
        sizing_mode="stretch_width",
    )


_LEGEND: Mapping[str, Any] = {
    "orientation": "horizontal",
    "click_policy": "hide",
    "border_line_color": None,
    "background_fill_alpha": 0.0,
    "label_text_font_size": "12px",
    "padding": 2,
    "margin": 2,
    "spacing": 14,
    "ncols": 5,
    "location": "top_left",
}


def _panel(channel: str, height: int, above: Any) -> Any:
    """Return an empty panel that shares its time axis with the one above."""
    from bokeh.models import DataRange1d
    from bokeh.plotting import figure

    panel: Any = figure(
        height=height,
        sizing_mode="stretch_width",
        x_axis_type="datetime",
        x_range=above.x_range if above else DataRange1d(range_padding=0.0),
        tools="xpan,xwheel_zoom,box_zoom,reset,save",
        active_drag="box_zoom",
        output_backend="canvas",
        min_border_left=_LEFT_PX,
        min_border_right=12,
        min_border_top=6,
        min_border_bottom=6,
    )
    panel.y_range.range_padding = 0.08
    panel.yaxis.axis_label = _axis_label(channel)
    panel.axis.axis_label_text_font_style = "normal"
    panel.axis.axis_label_text_font_size = "12px"
    panel.axis.major_label_text_font_size = "11px"
    panel.axis.axis_line_color = panel.axis.major_tick_line_color = "#888888"
    panel.axis.minor_tick_line_color = None
    panel.yaxis.ticker.desired_num_ticks = 5
    panel.grid.grid_line_color = "#e6e6e6"
    panel.outline_line_color = None
    return panel


def _shade(panel: Any, span: TimeSpan, color: str, limits: tuple[Any, Any]) -> Any:
    """Shade a span as far as there are readings; the glyph is returned for the legend."""
    low, high = (np.datetime64(limit, "us") for limit in limits)
    start = np.datetime64(parse_time(span.start, "start"), "us")
    end = high if span.end is None else np.datetime64(parse_time(span.end, "end"), "us")
    start, end = np.clip([start, end], low, high)
    return panel.vstrip(x0=[start], x1=[end], fill_color=color, fill_alpha=0.08, line_color=None, level="underlay")


def _line(panel: Any, trace: Trace, color: str, alpha: float) -> list[Any]:
    glyphs = []
    if len(trace.envelope):
        source = {"x": trace.envelope_ts, "y": trace.envelope}
        glyphs.append(panel.line("x", "y", source=_source(source), color=color, alpha=alpha, width=1))
    source = {"x": trace.ts, "y": trace.readings}
    return [*glyphs, panel.line("x", "y", source=_source(source), color=color, width=1.6)]


def _source(data: Mapping[str, np.ndarray]) -> Any:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource(data={**data, "y": data["y"].astype(np.float32)})


def _hover(panel: Any, channel: str, glyphs: Mapping[str, Any]) -> None:
    """Show the readings below the pointer, of all lines at once, where there are few."""
    from bokeh.models import HoverTool

    for label, glyph in glyphs.items():
        glyph.name = label or NAMES[channel]
    if len(glyphs) <= _HOVERED:
        tips = [("", "$name"), (NAMES[channel], f"@y{{0.00}} {_unit(channel)}"), ("UTC", "@x{%F %T}")]
        formats: Any = {"@x": "datetime"}
        panel.add_tools(HoverTool(renderers=list(glyphs.values()), tooltips=tips, formatters=formats, mode="vline"))


def _finish(figures: list[Any], title: str, height: int) -> None:
    """Put the title above and the time axis below, and let a crosshair run through all panels."""
    from bokeh.models import CrosshairTool
    from bokeh.models.annotations import Span

    crosshair = Span(dimension="height", line_color="#888888", line_dash="dotted")
    for panel in figures:
        panel.add_tools(CrosshairTool(overlay=crosshair))
    for panel in figures[:-1]:
        panel.xaxis.visible = False
    figures[-1].xaxis.axis_label = "Time (UTC)"
    figures[-1].height = height + _AXIS_PX
    if title:
        figures[0].title.text = title
        figures[0].title.text_font_size = "14px"
        figures[0].height += _AXIS_PX // 2


def _cycle(values: Sequence[str], number: int) -> list[str]:
    return [values[i % len(values)] for i in range(number)]
