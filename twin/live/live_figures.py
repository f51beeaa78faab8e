"""The Bokeh figures of live signals: one panel a channel, which take thinned readings and marks as they come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from bokeh.layouts import gridplot
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool, Range1d

from twin import plots
from twin.live.panel_thin import Change, Thinner
from twin.plots_world import LEVELS

PALETTE: tuple[str, ...] = (*plots.COLORS, "#7f3c8d", "#11a579", "#b10026", "#80ba5a")
"""For machines: as many as can be told apart."""

MOST_LINES = len(PALETTE)
KINDS: Mapping[str, tuple[str, str]] = {
    "scenario": ("scenario", "#4477aa"),
    "injection": ("injected failure", "#cc3311"),
    "maintenance": ("maintenance", "#009988"),
    "failure": ("failed", "#222222"),
}
"""What is shaded, with its words and colour."""

LEVEL_COLORS: Mapping[str, str] = {level: color for level, (_, color) in LEVELS.items()}
_BAND = ("t", "low", "high")


@dataclass(frozen=True)
class Shade:
    """A stretch of time to be shaded: what it is, its words, and from when to when in ms."""

    kind: str
    label: str
    start_ms: float
    end_ms: float


class SignalFigures:
    """Panels with one time axis for some channels, with lines for up to `MOST_LINES` machines.

    The models stay the same ones while readings come; what changes is their data.

    Parameters
    ----------
    channels : sequence of str
        From above.
    height : int
        Of a panel, pixels.
    """

    def __init__(self, channels: Sequence[str], height: int = 150) -> None:
        self.channels = tuple(channels)
        self.lines = [ColumnDataSource({"t": np.empty(0)} | self._nothing()) for _ in PALETTE]
        self.bands = {channel: ColumnDataSource({name: np.empty(0) for name in _BAND}) for channel in channels}
        self.shades = ColumnDataSource({"x0": [], "x1": [], "color": [], "alpha": [], "label": []})
        self.limits = {channel: ColumnDataSource({"y": [], "color": []}) for channel in channels}
        self.alarms = {channel: ColumnDataSource({"x": [], "y": [], "color": [], "text": []}) for channel in channels}
        self.figures = [self._panel(channel, height) for channel in channels]
        self._follow_lines_only()
        plots._finish(self.figures, "", height)
        self.layout = gridplot(
            [[panel] for panel in self.figures],
            merge_tools=True,
            toolbar_location="right",
            toolbar_options={"logo": None},
            sizing_mode="stretch_width",
        )

    def _nothing(self) -> dict[str, np.ndarray]:
        return {channel: np.empty(0, np.float32) for channel in self.channels}

    def _panel(self, channel: str, height: int) -> Any:
        panel = plots._panel(channel, height, getattr(self, "_above", None))
        if not hasattr(self, "_above"):
            panel.x_range = DataRange1d(range_padding=0.0, follow="end", follow_interval=60_000)
            self._above = panel
        panel.y_range = Range1d(start=0.0, end=1.0)
        shades = panel.vstrip(
            "x0", "x1", source=self.shades, fill_color="color", fill_alpha="alpha", line_color=None, level="underlay"
        )
        panel.varea("t", "low", "high", source=self.bands[channel], fill_color="#999999", fill_alpha=0.25)
        for source, color in zip(self.lines, PALETTE, strict=True):
            panel.line("t", channel, source=source, color=color, width=1.5, visible=False)
        limits = {"line_color": "color", "line_dash": "dashed", "line_width": 1.3}
        panel.hspan(y="y", source=self.limits[channel], **limits)
        marks = {"marker": "inverted_triangle", "size": 11, "line_color": "#222222"}
        alarms = panel.scatter("x", "y", source=self.alarms[channel], color="color", **marks)
        self._add_hover(panel, channel, shades, alarms)
        return panel

    def _add_hover(self, panel: Any, channel: str, shades: Any, alarms: Any) -> None:
        said = [
            ("", "$name"),
            (plots.NAMES[channel], f"@{channel}{{0.00}} {plots._unit(channel)}"),
            ("UTC", "@t{%F %T}"),
        ]
        lines = self._glyphs(panel)
        panel.add_tools(HoverTool(renderers=lines, tooltips=said, formatters={"@t": "datetime"}, mode="mouse"))
        raised = [("alarm", "@text"), ("UTC", "@x{%F %T}")]
        panel.add_tools(HoverTool(renderers=[alarms], tooltips=raised, formatters={"@x": "datetime"}))
        panel.add_tools(HoverTool(renderers=[shades], tooltips=[("", "@label")]))

    def _glyphs(self, panel: Any) -> list[Any]:
        """Return the lines of a panel, in the order of `PALETTE`."""
        return [glyph for glyph in panel.renderers if glyph.data_source in self.lines]

    def _follow_lines_only(self) -> None:
        """Let the time axis follow readings, and not what is shaded beyond them."""
        self.figures[0].x_range.renderers = [
            *self._glyphs(self.figures[0]),
            *(glyph for glyph in self.figures[0].renderers if glyph.data_source in self.bands.values()),
        ]

    def restart(self, thin: Thinner, slots: Sequence[int], names: Sequence[str], band: bool, window_ms: float) -> None:
        """Show all points of a thinner: the machines' in their slots, then the fleet's lowest and highest.

        Parameters
        ----------
        thin : Thinner
            Series are the machines in the order of `slots`, and two more where there is a band.
        slots : sequence of int
            Places in `PALETTE`.
        names : sequence of str
            The machines', for the tooltips.
        band : bool
            Whether the last two series are the fleet's.
        window_ms : float
            How much time is shown.
        """
        self.figures[0].x_range.follow_interval = window_ms
        for slot, source in enumerate(self.lines):
            place = slots.index(slot) if slot in slots else None
            points = self._nothing() if place is None else self._columns(thin.points, place)
            source.data = {"t": thin.ts_ms if place is not None else np.empty(0)} | points
            for panel in self.figures:
                glyph = self._glyphs(panel)[slot]
                glyph.visible = place is not None
                glyph.name = names[place] if place is not None else ""
        for at, channel in enumerate(self.channels):
            low, high = thin.points[at, -2:] if band else (np.empty(0), np.empty(0))
            self.bands[channel].data = {"t": thin.ts_ms if band else np.empty(0), "low": low, "high": high}

    def extend(self, thin: Thinner, change: Change, slots: Sequence[int], band: bool) -> None:
        """Show what a thinner has taken in; the arguments are those of `restart`."""
        for place, slot in enumerate(slots):
            _extend(self.lines[slot], change, self._columns(change.points, place), thin.most)
        if band:
            for at, channel in enumerate(self.channels):
                low, high = change.points[at, -2:]
                _extend(self.bands[channel], change, {"low": low, "high": high}, thin.most)

    def _columns(self, points: np.ndarray, place: int) -> dict[str, np.ndarray]:
        return {channel: points[at, place] for at, channel in enumerate(self.channels)}

    def shade(self, shades: Iterable[Shade]) -> None:
        """Shade stretches of time."""
        rows = list(shades)
        data: dict[str, list[Any]] = {
            "x0": [row.start_ms for row in rows],
            "x1": [row.end_ms for row in rows],
            "color": [KINDS[row.kind][1] for row in rows],
            "alpha": [0.25 if row.kind == "failure" else 0.12 for row in rows],
            "label": [row.label for row in rows],
        }
        _show(self.shades, data)

    def limit(self, channel: str, limits: Iterable[tuple[str, float]]) -> None:
        """Draw a channel's limits, as (level, limit)."""
        rows = list(limits)
        colors = [LEVEL_COLORS.get(level, "#666666") for level, _ in rows]
        _show(self.limits[channel], {"y": [value for _, value in rows], "color": colors})

    def mark(self, channel: str, alarms: Iterable[tuple[float, float, str, str]]) -> None:
        """Mark alarms, as (time in ms, value, level, text)."""
        rows = list(alarms)
        data: dict[str, list[Any]] = {
            "x": [row[0] for row in rows],
            "y": [row[1] for row in rows],
            "color": [LEVEL_COLORS.get(row[2], "#666666") for row in rows],
            "text": [row[3] for row in rows],
        }
        _show(self.alarms[channel], data)

    def shows(self, channel: str, value: float) -> bool:
        """Return whether a value lies within what a channel's axis shows."""
        axis = self.figures[self.channels.index(channel)].y_range
        return bool(axis.start <= value <= axis.end)

    def fit(self, channel: str, readings: np.ndarray, limits: Sequence[float]) -> None:
        """Let a channel's axis hold its readings, and limits that are near; it changes only where it must."""
        known = readings[np.isfinite(readings)]
        if not known.size:
            return
        low, high = known.min(), known.max()
        near = [value for value in limits if low < value <= high + max(0.5 * abs(high), 2 * (high - low))]
        high = max([high, *near])
        margin = 0.08 * max(high - low, 0.02 * max(abs(high), 1e-6))
        low, high = float(low - margin), float(high + margin)
        axis = self.figures[self.channels.index(channel)].y_range
        holds = axis.start <= low + 0.7 * margin and high - 0.7 * margin <= axis.end
        if not holds or axis.end - axis.start > 1.6 * (high - low):
            axis.update(start=low, end=high, reset_start=low, reset_end=high)


def _extend(source: Any, change: Change, columns: Mapping[str, np.ndarray], most: int) -> None:
    """Replace the revised points at the end of a source and append the others."""
    columns = {"t": change.ts_ms, **columns}
    revised, length = change.revised, len(source.data["t"])
    if revised:
        place = slice(length - revised, length)
        source.patch({name: [(place, column[:revised])] for name, column in columns.items()})
    if len(change.ts_ms) > revised:
        source.stream({name: column[revised:] for name, column in columns.items()}, rollover=most)


def _show(source: Any, data: dict[str, list[Any]]) -> None:
    if {name: list(column) for name, column in source.data.items()} != data:
        source.data = data
