"""The panel of signals: chosen channels of chosen machines over the newest window of simulated time."""

from __future__ import annotations

import html
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ipywidgets
import numpy as np

from twin import plots
from twin.catalog.parameters import CHANNELS
from twin.live import panel_base as base
from twin.live.bridge import Mirror
from twin.live.live_figures import KINDS, LEVEL_COLORS, MOST_LINES, PALETTE, Shade, SignalFigures
from twin.live.panel_choices import Option
from twin.live.panel_thin import Thinner

AUTO = 0
WINDOWS: tuple[Option, ...] = (
    ("auto: 2 min of real time", AUTO),
    *((label, seconds * 1_000_000) for label, seconds in (
        ("1 min", 60), ("10 min", 600), ("1 h", 3_600), ("6 h", 21_600), ("1 d", 86_400), ("7 d", 604_800)
    )),
)  # fmt: skip
"""Lengths of the window in simulated time, µs."""

AUTO_REAL_S = 120
AT_FIRST = 3
"""Machines that are shown at first."""

_FOREVER_MS = 4e15


class SignalsPanel(base.Panel):
    """Live signals of some machines with what acts on them, their limits and their alarms.

    Attributes
    ----------
    chosen : list of str
        Names of the machines that have a line each, at most `MOST_LINES`.
    focus : str
        The machine whose limits are drawn.
    mirror : Mirror
        The page's copy of the figures.
    """

    title = "Signals"

    def build(self) -> Any:
        self._lock = threading.RLock()
        self._names = [machine.name for machine in self.session.machines]
        self._place = {machine.machine_id: i for i, machine in enumerate(self.session.machines)}
        self.chosen: list[str] = self._names[:AT_FIRST]
        self.focus = self.chosen[0]
        self.slots = dict(zip(self.chosen, range(MOST_LINES), strict=False))
        self._crossed: deque[dict[str, Any]] = deque(maxlen=500)
        self._heard: Callable[[], Any] | None = None
        self.machines = ipywidgets.TagsInput(value=self.chosen, allowed_tags=self._names, allow_duplicates=False)
        self.channels = ipywidgets.SelectMultiple(
            options=[(plots._axis_label(name), name) for name in CHANNELS], value=plots.HEADLINE, rows=4
        )
        self.window = ipywidgets.Dropdown(options=WINDOWS, value=AUTO)
        self.band = ipywidgets.Checkbox(
            value=len(self._names) > MOST_LINES, description="range of all machines of the type", indent=False
        )
        self.legend = ipywidgets.HTML(layout=base.WIDE)
        self.legend.add_class("twin-legend")
        self.plot = ipywidgets.VBox(layout=ipywidgets.Layout(width="100%", min_width="0"))
        self.plot.add_class("twin-plot")
        self._build_figures()
        self.machines.observe(self._on_machines, "value")
        self.channels.observe(self._on_channels, "value")
        self.window.observe(self._on_view, "value")
        self.band.observe(self._on_view, "value")
        self.band.add_class("twin-band")
        controls = base.row(
            base.labelled("Machines", self.machines, "twin-machines", "220px"),
            base.button("All", "twin-show-all", f"all machines, at most {MOST_LINES} of them as lines", self.show_all),
            base.labelled("Window", self.window, "twin-window", "120px"),
        )
        more = ipywidgets.Accordion([base.row(base.labelled("Channels", self.channels, "twin-channels"), self.band)])
        more.set_title(0, "Channels and range")
        more.add_class("twin-more")
        return base.column(base.heading(self.title), controls, self.legend, self.plot, more)

    def select(self, name: str, more: bool = False) -> None:
        """Show one machine alone, or with `more`: show it too, or no longer."""
        with self._lock:
            if not more:
                chosen = [name]
            elif name in self.chosen and len(self.chosen) > 1:
                chosen = [other for other in self.chosen if other != name]
            else:
                chosen = [*self.chosen, name][-MOST_LINES:]
            self.show(chosen, focus=name if name in chosen else chosen[-1])

    def show(self, chosen: Sequence[str], focus: str = "") -> None:
        """Show machines, by name."""
        with self._lock:
            self.chosen = list(dict.fromkeys(name for name in chosen if name in self._names))[:MOST_LINES]
            self.chosen = self.chosen or self._names[:1]
            self.focus = focus if focus in self.chosen else self.chosen[0]
            self._give_slots()
            if list(self.machines.value) != self.chosen:
                self.machines.value = self.chosen
            self._restart()
        if self._heard is not None:
            self._heard()

    @base.guarded
    def show_all(self) -> None:
        """Show as many machines as can be told apart, and where there are more, the range of all of a type."""
        self.band.value = self.band.value or len(self._names) > MOST_LINES
        self.show(self._names, self.focus)

    def on_shown(self, heard: Callable[[], Any]) -> None:
        """Call a function when other machines are shown."""
        self._heard = heard

    def color(self, name: str) -> str:
        """Return the colour of a machine's line; nothing where it has none."""
        return PALETTE[self.slots[name]] if name in self.slots else ""

    def _give_slots(self) -> None:
        """Keep a machine's colour while it is shown; in a small fleet, always."""
        if len(self._names) <= MOST_LINES:
            self.slots = {name: self._names.index(name) for name in self.chosen}
            return
        kept = {name: slot for name, slot in self.slots.items() if name in self.chosen}
        free = iter(slot for slot in range(MOST_LINES) if slot not in kept.values())
        self.slots = {name: kept[name] if name in kept else next(free) for name in self.chosen}

    @base.guarded
    def _on_machines(self, change: Any) -> None:
        if list(change["new"]) != self.chosen:
            self.show(change["new"], self.focus)

    @base.guarded
    def _on_channels(self, change: Any) -> None:
        with self._lock:
            if not change["new"]:
                self.channels.value = change["old"]
            elif tuple(change["new"]) != self.figures.channels:
                self._build_figures()

    @base.guarded
    def _on_view(self, change: Any) -> None:
        with self._lock:
            self._restart()

    def _build_figures(self) -> None:
        former = getattr(self, "mirror", None)
        self.figures = SignalFigures([name for name in CHANNELS if name in self.channels.value])
        self._limits: dict[str, list[tuple[str, float]]] = {}
        self.mirror = Mirror(self.figures.layout, max_rate_hz=1000.0)  # the feed sets the pace
        self._restart()
        self.plot.children = (self.mirror,)
        if former is not None:
            former.close()

    def window_us(self) -> int:
        """Return the simulated time that is shown."""
        if self.window.value != AUTO:
            return int(self.window.value)
        return max(int(self.session.clock().speed * AUTO_REAL_S * 1e6), 30 * self.session.interval_us)

    def _restart(self) -> None:
        """Fill the figures from the session's memory: at first, and after a choice, a gap or a reset."""
        window_us = self.window_us()
        ticks = max(2, window_us // self.session.interval_us)
        series = len(self.chosen) + (2 if self.band.value else 0)
        self._at = [CHANNELS.index(name) for name in self.figures.channels]
        self._ids = [self._names.index(name) for name in self.chosen]
        self._banded = bool(self.band.value)
        kinds = [machine.machine_type for machine in self.session.machines]
        self._kind = kinds[self._names.index(self.focus)]
        self._alike = [i for i, kind in enumerate(kinds) if kind == self._kind]
        self.thin = Thinner(len(self._at), series, ticks, self.session.interval_us)
        self._shown_window = window_us
        with self.mirror.update():
            past = self.session.history(window_us)
            if past is not None and past.ticks:
                self.thin.add(past.tick, int(past.ts_us[0]), self._series(past))
            slots = [self.slots[name] for name in self.chosen]
            self.figures.restart(self.thin, slots, self.chosen, self._banded, window_us / 1000.0)
            self._draw_marks()

    def _series(self, frame: Any) -> np.ndarray:
        """Return the readings of the machines shown, and the fleet's range, as (channels, series, ticks)."""
        order = [self._place[int(number)] for number in frame.machine_ids]
        values = frame.values[self._at]
        if order != list(range(len(order))):
            values = values[:, np.argsort(order)]
        lines = values[:, self._ids]
        if not self._banded:
            return lines
        alike = values[:, self._alike]
        low, high = (reduce(alike, axis=1, keepdims=True) for reduce in (np.fmin.reduce, np.fmax.reduce))
        return np.concatenate([lines, low, high], axis=1)

    def draw(self, frames: Sequence[Any]) -> None:
        frames = [frame for frame in frames if frame.ticks]
        self._crossed.extend(event for frame in frames for event in frame.events if "code" in event)
        with self._lock:
            if self._is_astray(frames):
                self._restart()
                return
            with self.mirror.update():
                for frame in frames:
                    if frame.tick + frame.ticks <= (self.thin.next_tick or 0):
                        continue  # it came with the history
                    change = self.thin.add(frame.tick, int(frame.ts_us[0]), self._series(frame))
                    slots = [self.slots[name] for name in self.chosen]
                    self.figures.extend(self.thin, change, slots, self._banded)
                self._fit()

    def draw_rows(self) -> None:
        with self._lock, self.mirror.update():
            self._draw_marks()

    def _is_astray(self, frames: Sequence[Any]) -> bool:
        """Return whether readings are missing, the session began anew, or the window has another length."""
        if self.window.value == AUTO and self.window_us() != self._shown_window:
            return True
        expected = self.thin.next_tick
        for frame in frames:
            if frame.tick + frame.ticks <= (expected or 0) and self.session.tick >= (expected or 0):
                continue
            if expected is not None and frame.tick != expected:
                return True
            expected = frame.tick + frame.ticks
        return self.session.tick < (self.thin.next_tick or 0)

    def _draw_marks(self) -> None:
        since_us = self.session.now_us - self._shown_window
        numbers = {m.machine_id: m.name for m in self.session.machines if m.name in self.chosen}
        spans = [span for span in self.session.spans(since_us) if span.machine_id in numbers]
        shades = list(dict.fromkeys(self._shade_of(span, numbers) for span in spans))
        self.figures.shade(shades)
        alarms = list(self._alarms(since_us))
        for channel in self.figures.channels:
            self._limits[channel] = self._limits_of(channel)
            self.figures.limit(channel, self._limits[channel])
            self.figures.mark(channel, (alarm[1:] for alarm in alarms if alarm[0] == channel))
        self._fit()
        self._draw_legend(shades, numbers, spans)

    def _fit(self) -> None:
        for at, channel in enumerate(self.figures.channels):
            self.figures.fit(
                channel, self.thin.points[at, : len(self.chosen)], [value for _, value in self._limits.get(channel, [])]
            )

    def _shade_of(self, span: Any, names: dict[int, str]) -> Shade:
        label = base.in_words(span.label)
        label = f"{names[span.machine_id]}: {label}" if len(self.chosen) > 1 else label
        end = _FOREVER_MS if span.end_us is None else span.end_us / 1000.0
        return Shade(span.kind, label, span.start_us / 1000.0, end)

    def _alarms(self, since_us: int) -> Iterator[tuple[str, float, float, str, str]]:
        """Return alarms of the machines shown: those of their control systems, and limits crossed as one watched."""
        for alarm in self.session.alarms()[-500:]:
            rule = self.choices.rules.get(alarm["code"])
            if rule is not None and alarm["machine"] in self.chosen and alarm["at_us"] >= since_us:
                text = f"{alarm['machine']}: {rule['title']}"
                yield rule["channel"], alarm["at_us"] / 1000.0, float(alarm["value"]), alarm["level"], text
        for event in self._crossed:
            rule = self.choices.rules.get(event["code"])
            machine = self._names[self._place[event["machine_id"]]]
            if rule is not None and machine in self.chosen and since_us <= event["at_us"] < self.session.now_us:
                limits = self.session.limits(rule["channel"], event["machine_id"])
                limit = next(value for code, _, value in limits if code == event["code"])
                yield rule["channel"], event["at_us"] / 1000.0, limit, event["level"], f"{machine}: {rule['title']}"

    def _limits_of(self, channel: str) -> list[tuple[str, float]]:
        number = self.session.machines[self._names.index(self.focus)].machine_id
        return [(level, float(limit)) for _, level, limit in self.session.limits(channel, number) if limit == limit]

    def _draw_legend(self, shades: Sequence[Shade], names: dict[int, str], spans: Sequence[Any]) -> None:
        parts = [_chip("line", self.color(name), name) for name in self.chosen]
        if self._banded:
            what = f"range of {len(self._alike)} machines, type {base.in_words(self._kind)}"
            parts.append(_chip("block", "#99999966", what))
        seen = dict.fromkeys((span.kind, span.label) for span in spans)
        for kind, label in list(seen)[:6]:
            parts.append(_chip("block", KINDS[kind][1] + "40", f"{KINDS[kind][0]}: {base.in_words(label)}"))
        if len(seen) > 6:
            parts.append(f"<span>and {len(seen) - 6} more</span>")
        levels = {
            level for name, limits in self._limits.items() for level, at in limits if self.figures.shows(name, at)
        }
        parts += [_chip("dash", LEVEL_COLORS[level], f"{level} limit of {self.focus}") for level in sorted(levels)]
        value = f'<div class="twin-chips">{"".join(parts)}</div>'
        if self.legend.value != value:
            self.legend.value = value


def _chip(shape: str, color: str, text: str) -> str:
    return f'<span class="twin-chip"><i class="twin-{shape}" style="color:{color}"></i>{html.escape(text)}</span>'
