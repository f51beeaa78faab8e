"""Figures of what happens to machines over time: lives, warnings, paired worlds.

Functions from the DataFrames that a run returns to Bokeh models, in the look of `twin.plots`. Nothing
here simulates or reads a plant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twin import plots
from twin.catalog.wear import ISO_ZONES_MM_S
from twin.errors import BadRequest, shown, unknown
from twin.times import parse_time

if TYPE_CHECKING:
    import pandas as pd

WATCHED: tuple[str, ...] = ("vibration_mm_s", "kurtosis", "temperature_c")
"""The channels that warn of a bearing's end: early, earlier, and late."""

STILL: Mapping[str, tuple[tuple[str, ...], str]] = {
    "stands still": (("failed", "maintenance"), "#888888"),
    "tripped": (("off",), "#e69f00"),
}
"""When a machine does not work: label, operating states and colour. Marks say whether it failed or is worked on."""
LEVELS: Mapping[str, tuple[str, str]] = {
    "info": ("notice", "#56b4e9"),
    "warning": ("warning", "#e69f00"),
    "alarm": ("alarm", "#cc3311"),
}
LIMITS: Mapping[str, str] = {"ISO A/B": "#009e73", "ISO B/C": "#e69f00", "ISO C/D": "#cc3311", "fixed limit": "#666666"}

_NARROW_PX = 570  # of a legend in a page of 800 pixels
_COLUMNS = 5
_GLYPH_PX, _CHARACTER_PX, _SPACING_PX = 40, 6.4, 8  # of an entry: its glyph with margins, its text


def lives(
    truth: pd.DataFrame,
    failures: pd.DataFrame | None = None,
    maintenance: pd.DataFrame | None = None,
    *,
    names: Mapping[int, str] | None = None,
    least: float = 0.2,
    title: str = "",
    height: int = 150,
) -> Any:
    """Return the damage of machines over time, one panel a machine and one line a failure mode.

    Parameters
    ----------
    truth : pandas.DataFrame
        From ``run.truth()``, of the machines to show.
    failures, maintenance : pandas.DataFrame, optional
        From ``run.failures()`` and ``run.maintenance()``: marks; those of other machines are left out.
    names : mapping of int to str, optional
        Machines' names.
    least : float
        Modes whose damage stays below this on all machines shown are left out.
    title : str
        Stands above the panels.
    height : int
        Height of a panel, pixels.

    Returns
    -------
    bokeh.models.LayoutDOM
        Panels with one time axis, as wide as the page.
    """
    from bokeh.models import Range1d

    _need(truth, ("machine_id", "ts", "operating_state", "damage"), "truth", "run.truth()")
    machines = {int(number): truth[truth["machine_id"] == number] for number in sorted(truth["machine_id"].unique())}
    worst: dict[str, float] = {}
    for row in truth["damage"]:
        for mode, level in row.items():
            worst[mode] = max(worst.get(mode, 0.0), level)
    modes = sorted(mode for mode, level in worst.items() if level >= least)
    hues = dict(zip(modes, plots._cycle(plots.COLORS, len(modes)), strict=True))
    items: dict[str, list[Any]] = {plots._in_words(mode): [] for mode in modes}
    figures: list[Any] = []
    for number, part in machines.items():
        panel = _panel((names or {}).get(number, str(number)), height, figures[0] if figures else None)
        panel.y_range = Range1d(start=-0.14, end=1.2)
        panel.yaxis.ticker = [0.0, 0.5, 1.0]
        for label, glyph in _still(panel, part, truth["ts"].max()):
            items.setdefault(label, []).append(glyph)
        for mode in modes:
            level = [row.get(mode, 0.0) for row in part["damage"]]
            glyph = panel.line(
                "x", "y", source=_source(part["ts"], level), color=hues[mode], width=1.8, name=plots._in_words(mode)
            )
            items[plots._in_words(mode)].append(glyph)
        _hover(panel, [g for mode in modes for g in items[plots._in_words(mode)][-1:]], "@y{0.00}", "damage", "%F")
        for label, glyph in _marks(panel, number, failures, maintenance):
            items.setdefault(label, []).append(glyph)
        figures.append(panel)
    return _stack(figures, items, title, height)


def warnings(
    telemetry: pd.DataFrame,
    alarms: pd.DataFrame,
    rules: pd.DataFrame,
    *,
    iso_class: str = "I",
    channels: Sequence[str] = WATCHED,
    failures: pd.DataFrame | None = None,
    title: str = "",
    points: int = 1200,
    height: int = 150,
) -> Any:
    """Return signals of one machine with the limits that they are watched by, and the alarms raised.

    Parameters
    ----------
    telemetry : pandas.DataFrame
        With ``ts`` and the channels, of a single machine.
    alarms : pandas.DataFrame
        From ``run.alarms()``; those of other machines and times are left out.
    rules : pandas.DataFrame
        From ``plant.alarm_rules.list()``: says which alarm watches which channel, and the limits.
    iso_class : str
        The machine's class in ISO 10816-1, ``I`` to ``IV``: gives the zones of ``vibration_mm_s``.
    channels : sequence of str
        The panels, from above.
    failures : pandas.DataFrame, optional
        From ``run.failures()``.
    title, points, height
        See `twin.plots.signals`.

    Returns
    -------
    bokeh.models.LayoutDOM
        Panels with one time axis. A limit far above all readings is not drawn, nor is one that is
        relative to the healthy machine.
    """
    plots._check(telemetry, channels, "telemetry")
    _need(alarms, ("machine_id", "ts", "code", "level", "message", "value"), "alarms", "run.alarms()", empty=True)
    _need(rules, ("name", "channel", "limit", "relative"), "rules", "plant.alarm_rules.list()", empty=True)
    if iso_class not in ISO_ZONES_MM_S:
        raise unknown("class of ISO 10816-1", iso_class, ISO_ZONES_MM_S)
    number = _one_machine(telemetry, "telemetry")
    raised = _seen(alarms, "ts", number, telemetry)
    items: dict[str, list[Any]] = {"reading": []}
    figures: list[Any] = []
    for channel in channels:
        panel = _panel(plots._axis_label(channel), height, figures[0] if figures else None)
        ceiling = 1.5 * float(np.nanmax(telemetry[channel].to_numpy(np.float64), initial=0.0))
        for label, values in _limits(channel, rules, iso_class).items():
            drawn = [value for value in values if value <= ceiling]
            line = panel.hspan(y=_or_nan(drawn), line_color=LIMITS[label], line_dash="dashed", line_width=1.3)
            items.setdefault(label, []).append(line)
        thin = plots.decimate(telemetry["ts"].to_numpy(), telemetry[channel].to_numpy(), points)
        glyphs = plots._line(panel, thin, plots.COLORS[0], 0.35)
        items["reading"] += glyphs
        plots._hover(panel, channel, {plots.NAMES[channel]: glyphs[-1]})
        mine = raised[raised["code"].isin(rules.loc[rules["channel"] == channel, "name"])]
        for label, glyph in _alarm_marks(panel, mine):
            items.setdefault(label, []).append(glyph)
        for label, glyph in _ends(panel, failures, number, telemetry):
            items.setdefault(label, []).append(glyph)
        figures.append(panel)
    order = ("reading", *(text for text, _ in LEVELS.values()), "failure")
    return _stack(figures, {k: items[k] for k in (*order, *items) if k in items}, title, height)


def worlds(
    base: pd.DataFrame,
    other: pd.DataFrame,
    truths: tuple[pd.DataFrame, pd.DataFrame] | None = None,
    *,
    channels: Sequence[str] = ("vibration_mm_s", "temperature_c"),
    labels: tuple[str, str] = ("as it was", "what if"),
    at: Any = None,
    parting: str = "where the worlds part",
    title: str = "",
    points: int = 1200,
    height: int = 160,
) -> Any:
    """Return the same machine in two worlds: its signals, and the life it has left in each.

    Parameters
    ----------
    base, other : pandas.DataFrame
        Telemetry with ``ts`` and the channels, each of the same single machine.
    truths : tuple of pandas.DataFrame, optional
        From ``run.truth()`` of both worlds: adds a panel of the remaining useful life, in days. Rows
        of other machines and times are left out.
    channels : sequence of str
        The panels, from above.
    labels : tuple of str
        What the legend calls the two.
    at : time, optional
        A moment to mark, UTC; `parting` says what it is.
    title, points, height
        See `twin.plots.signals`.

    Returns
    -------
    bokeh.models.LayoutDOM
        Panels with one time axis. Where the worlds agree, the first hides the second.
    """
    for frame, label in zip((base, other), labels, strict=True):
        plots._check(frame, channels, label)
    if labels[0] == labels[1]:
        raise BadRequest(f"the two labels must differ, got {shown(labels)}")
    machines = [_one_machine(frame, label) for frame, label in zip((base, other), labels, strict=True)]
    if machines[0] != machines[1]:
        raise BadRequest(f"two worlds show the same machine, got {machines[0]} and {machines[1]}")
    items: dict[str, list[Any]] = {label: [] for label in labels}
    figures: list[Any] = []
    hues = dict(zip(labels, plots.COLORS, strict=False))
    for channel in channels:
        panel = _panel(plots._axis_label(channel), height, figures[0] if figures else None)
        for label, frame in zip(labels[::-1], (other, base), strict=True):
            thin = plots.decimate(frame["ts"].to_numpy(), frame[channel].to_numpy(), points)
            items[label] += plots._line(panel, thin, hues[label], 0.3)
        plots._hover(panel, channel, {label: items[label][-1] for label in labels})
        figures.append(panel)
    if truths is not None:
        panel = _panel("Life left (days)", height, figures[0])
        for label, truth in zip(labels[::-1], truths[::-1], strict=True):
            _need(truth, ("machine_id", "ts", "rul_h"), f"truth of {label!r}", "run.truth()")
            left = _seen(truth, "ts", machines[0], base)
            line = _source(left["ts"], left["rul_h"] / 24.0)
            items[label].append(panel.line("x", "y", source=line, color=hues[label], width=1.8, name=label))
        _hover(panel, [items[label][-1] for label in labels], "@y{0.0} d", "left", "%F %H:%M")
        figures.append(panel)
    if at is not None:
        moment = np.datetime64(parse_time(at, "at"), "us")
        style = {"line_color": "#444444", "line_dash": "dashed", "line_width": 1.3}
        items[parting] = [panel.vspan(x=[moment], **style) for panel in figures]
    return _stack(figures, items, title, height)


def _need(frame: pd.DataFrame, columns: Sequence[str], what: str, source: str, *, empty: bool = False) -> None:
    """Refuse a table that lacks a column, or has no rows where some are needed."""
    missing = [name for name in columns if name not in frame]
    if missing:
        raise BadRequest(f"{what}: there is no column {missing[0]!r}; give {source}")
    if frame.empty and not empty:
        raise BadRequest(f"{what}: there are no rows to draw; {source} has some where the run is not empty")


def _one_machine(frame: pd.DataFrame, what: str) -> int | None:
    """Return the only machine of a table; None where it does not say which."""
    if "machine_id" not in frame:
        return None
    found = frame["machine_id"].unique()
    if len(found) > 1:
        raise BadRequest(f"{what}: one machine is shown, got {len(found)}; choose one with telemetry(machines=...)")
    return int(found[0])


def _seen(frame: pd.DataFrame, column: str, machine: int | None, telemetry: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a machine in the span of its telemetry."""
    found = frame[frame[column].between(telemetry["ts"].min(), telemetry["ts"].max())]
    return found if machine is None or "machine_id" not in found else found[found["machine_id"] == machine]


def _source(x: Any, y: Any, **more: Any) -> Any:
    from bokeh.models import ColumnDataSource

    columns = {"x": np.asarray(x), "y": np.asarray(y, np.float64)} | {k: np.asarray(v) for k, v in more.items()}
    return ColumnDataSource({name: _or_nan(column) for name, column in columns.items()})


def _or_nan(column: Any) -> Any:
    """Return a column, or one place that is nowhere: a legend shows no glyph that has none in the first panel."""
    return column if len(column) else np.array([np.nan])


def _panel(label: str, height: int, above: Any) -> Any:
    """Return an empty panel as in `twin.plots`, with another label on its axis."""
    panel = plots._panel(plots.HEADLINE[0], height, above)
    panel.yaxis.axis_label = label
    return panel


def _still(panel: Any, truth: pd.DataFrame, last: Any) -> Iterator[tuple[str, Any]]:
    """Shade when a machine does not work; a span of a few hours is drawn at least a pixel wide."""
    state, start = truth["operating_state"].to_numpy(), truth["ts"].to_numpy()
    for label, (names, color) in STILL.items():
        turns = np.flatnonzero(np.diff(np.isin(state, names), prepend=False, append=False))
        times = np.append(start, np.datetime64(last, "us"))[turns]
        style = {"fill_color": color, "fill_alpha": 0.2, "line_color": color, "line_alpha": 0.3, "level": "underlay"}
        yield label, panel.vstrip(x0=_or_nan(times[::2]), x1=_or_nan(times[1::2]), **style)


def _marks(
    panel: Any, machine: int, failures: pd.DataFrame | None, maintenance: pd.DataFrame | None
) -> Iterator[tuple[str, Any]]:
    """Mark failures above the lines of damage, and work below them."""
    if failures is not None:
        _need(failures, ("machine_id", "failed_at", "mode", "cause"), "failures", "run.failures()", empty=True)
        rows = failures[failures["machine_id"] == machine]
        said = [f"{plots._in_words(mode)} ({cause})" for mode, cause in zip(rows["mode"], rows["cause"], strict=True)]
        source = _source(rows["failed_at"], np.full(len(rows), 1.08), text=said)
        glyph = panel.scatter("x", "y", source=source, marker="x", size=9, color="#222222", line_width=2)
        _add_hover(panel, [glyph], [("failed", "@text"), ("UTC", "@x{%F %H:%M}")])
        yield "failure", glyph
    if maintenance is not None:
        _need(maintenance, ("machine_id", "start_at", "action", "cost"), "maintenance", "run.maintenance()", empty=True)
        rows = maintenance[maintenance["machine_id"] == machine]
        said = [plots._in_words(action) for action in rows["action"]]
        source = _source(rows["start_at"], np.full(len(rows), -0.06), text=said, cost=rows["cost"])
        glyph = panel.scatter("x", "y", source=source, marker="triangle", size=7, color="#4477aa")
        _add_hover(panel, [glyph], [("work", "@text"), ("cost", "@cost{0,0}"), ("UTC", "@x{%F %H:%M}")])
        yield "work", glyph


def _limits(channel: str, rules: pd.DataFrame, iso_class: str) -> dict[str, list[float]]:
    """Return what a channel is compared with, by label."""
    found: dict[str, list[float]] = {label: [] for label in LIMITS}
    if channel == "vibration_mm_s":
        for zone, value in ISO_ZONES_MM_S[iso_class].items():
            found[f"ISO {zone}"].append(value)
    fixed = rules.loc[(rules["channel"] == channel) & ~rules["relative"].astype(bool), "limit"].dropna()
    found["fixed limit"] += fixed.tolist()
    return found


def _alarm_marks(panel: Any, raised: pd.DataFrame) -> Iterator[tuple[str, Any]]:
    for level, (label, color) in LEVELS.items():
        rows = raised[raised["level"] == level]
        source = _source(rows["ts"], rows["value"], text=rows["message"])
        style = {"marker": "inverted_triangle", "size": 11, "color": color, "line_color": "#222222"}
        glyph = panel.scatter("x", "y", source=source, **style)
        _add_hover(panel, [glyph], [(label, "@text"), ("UTC", "@x{%F %H:%M}")])
        yield label, glyph


def _ends(
    panel: Any, failures: pd.DataFrame | None, machine: int | None, telemetry: pd.DataFrame
) -> Iterator[tuple[str, Any]]:
    if failures is not None:
        _need(failures, ("machine_id", "failed_at"), "failures", "run.failures()", empty=True)
        moments = _seen(failures, "failed_at", machine, telemetry)["failed_at"].to_numpy()
        yield "failure", panel.vspan(x=_or_nan(moments), line_color="#222222", line_width=1.6)


def _hover(panel: Any, glyphs: Sequence[Any], form: str, what: str, time: str) -> None:
    _add_hover(panel, glyphs, [("", "$name"), (what, form), ("UTC", f"@x{{{time}}}")])


def _add_hover(panel: Any, glyphs: Sequence[Any], tips: list[tuple[str, str]]) -> None:
    from bokeh.models import HoverTool

    if any(map(_drawn, glyphs)):
        panel.add_tools(HoverTool(renderers=list(glyphs), tooltips=tips, formatters={"@x": "datetime"}))


def _drawn(glyph: Any) -> bool:
    """Return whether a glyph has anything to draw."""
    import pandas as pd

    data = glyph.data_source.data
    place = next(data[name] for name in ("y", "x", "x0", "hours", *data) if name in data)
    return not pd.isna(np.asarray(place)).all()


def _entitle(figures: list[Any], items: Mapping[str, list[Any]], title: str) -> None:
    """Put the legend above the first panel, with as many columns as a narrow page has room for, and a title."""
    from bokeh.models.annotations import Legend, LegendItem

    entries = {label: glyphs for label, glyphs in items.items() if any(map(_drawn, glyphs))}
    wide = [_GLYPH_PX + _CHARACTER_PX * len(label) for label in entries]
    columns = next(
        (n for n in range(_COLUMNS, 1, -1) if sum(max(wide[i::n]) for i in range(min(n, len(wide)))) <= _NARROW_PX), 1
    )
    legend = [LegendItem(label=label, renderers=glyphs) for label, glyphs in entries.items()]
    style = {**plots._LEGEND, "ncols": columns, "spacing": _SPACING_PX}
    figures[0].add_layout(Legend(items=legend, **style), "above")
    rows = math.ceil(len(legend) / columns)
    figures[0].height += plots._LEGEND_ROW_PX + (_GLYPH_PX // 2 + _SPACING_PX) * (rows - 1)
    if title:
        figures[0].title.text = title
        figures[0].title.text_font_size = "14px"
        figures[0].height += plots._AXIS_PX // 2


def _stack(figures: list[Any], items: Mapping[str, list[Any]], title: str, height: int) -> Any:
    """Return panels above each other with the legend, the time axis and the tools in common."""
    from bokeh.layouts import gridplot

    plots._finish(figures, "", height)
    _entitle(figures, items, title)
    return gridplot(
        [[panel] for panel in figures],
        merge_tools=True,
        toolbar_location="right",
        toolbar_options={"logo": None},
        sizing_mode="stretch_width",
    )
