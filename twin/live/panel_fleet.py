"""The panel of the fleet: one row a machine, with its state, what acts on it, its alarms and a sparkline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import numpy as np

from twin import plots
from twin.catalog.parameters import CHANNELS
from twin.live import panel_base as base
from twin.live.panel_table import Row, Table, as_sparks, as_values
from twin.live.panel_thin import Thinner

_NUMBERS: tuple[tuple[str, str, int], ...] = (("temperature_c", "°C", 1), ("vibration_g", "g", 3), ("power_w", "W", 0))
_TONES = {"running": "good", "idle": "calm", "failed": "bad", "tripped": "bad", "maintenance": "work"}
_POINTS = 30
_RANK = {"alarm": 2, "warning": 1, "info": 0}


class FleetPanel(base.Panel):
    """The machines at a glance; a click chooses one for the signals and for the controls.

    Attributes
    ----------
    table : Table
        One row a machine.
    selected : str
        The chosen machine's name.
    """

    title = "Fleet"

    def build(self) -> Any:
        self.selected = self.session.machines[0].name
        self.colors: Callable[[str], str] = lambda name: ""
        self._heard: list[Callable[[str, bool], Any]] = []
        self._place = {machine.machine_id: i for i, machine in enumerate(self.session.machines)}
        self._newest = np.full((len(self._place), len(_NUMBERS)), np.nan, np.float32)
        self.channel = ipywidgets.Dropdown(
            options=[(plots.NAMES[name], name) for name in CHANNELS], value="vibration_g"
        )
        self.channel.observe(self._on_channel, "value")
        columns = [
            {"key": "shown", "label": "", "kind": "swatch", "width": "14px", "tip": "shown in the signals"},
            {"key": "machine", "label": "Machine", "kind": "text"},
            {"key": "state", "label": "State", "kind": "text"},
            {"key": "scenario", "label": "Scenario", "kind": "text"},
            {"key": "failures", "label": "Failures", "kind": "text"},
            {"key": "alarms", "label": "Alarms", "kind": "text"},
            *({"key": name, "label": unit, "kind": "number", "digits": digits} for name, unit, digits in _NUMBERS),
            {"key": "spark", "label": "Trend", "kind": "spark"},
        ]
        self.table = Table(
            self._on_click, "twin-fleet", columns=columns, selectable=True, max_height="340px",
            selected=[str(self.session.machines[0].machine_id)],
        )  # fmt: skip
        self.summary = ipywidgets.HTML(layout=ipywidgets.Layout(flex="1 1 120px", width="auto"))
        self.summary.add_class("twin-fleet-summary")
        self._restart()
        head = base.row(
            base.heading(self.title), self.summary, base.beside("Trend of", self.channel, "twin-spark-channel")
        )
        return base.column(head, self.table)

    def on_select(self, heard: Callable[[str, bool], Any]) -> None:
        """Call a function with a machine's name, and whether it is to be shown beside others, when it is clicked."""
        self._heard.append(heard)

    @base.guarded
    def _on_click(self, row: str, action: str) -> None:
        machine = next(m for m in self.session.machines if str(m.machine_id) == row)
        if action == "select":
            self.selected = machine.name
            self.table.selected = [row]
        for heard in self._heard:
            heard(machine.name, action == "toggle")
        self.draw_rows()

    @base.guarded
    def _on_channel(self, change: Any) -> None:
        self._restart()
        self._draw_numbers()

    def _restart(self) -> None:
        self._at = CHANNELS.index(self.channel.value)
        self._window_us = max(int(self.session.clock().speed * 120e6), 30 * self.session.interval_us)
        ticks = self._window_us // self.session.interval_us
        self.thin = Thinner(1, len(self._place), ticks, self.session.interval_us, columns=_POINTS)
        past = self.session.history(self._window_us)
        if past is not None and past.ticks:
            self._take(past)

    def _take(self, frame: Any) -> None:
        order = np.argsort([self._place[int(number)] for number in frame.machine_ids])
        values = frame.values[:, order]
        self.thin.add(frame.tick, int(frame.ts_us[0]), values[[self._at]])
        for i, (name, _, _) in enumerate(_NUMBERS):
            newest = values[CHANNELS.index(name), :, -1]
            self._newest[:, i] = newest

    def draw(self, frames: Sequence[Any]) -> None:
        frames = [frame for frame in frames if frame.ticks]
        for frame in frames:
            if frame.tick != (self.thin.next_tick if self.thin.next_tick is not None else frame.tick):
                self._restart()  # readings are missing, came with the history, or the session began anew
                break
            self._take(frame)
        if frames:
            self._draw_numbers()

    def _draw_numbers(self) -> None:
        with self.table.hold_sync():
            self.table.values = as_values(self._newest)
            self.table.sparks = as_sparks(self.thin.points[0])

    def draw_rows(self) -> None:
        """Show states, scenarios, failures and alarms; a few times a second is enough."""
        fleet = self.session.fleet()
        self.table.show([self._row(machine) for machine in fleet])
        states = Counter(machine["state"] for machine in fleet)
        alarmed = sum(bool(machine["alarms"]) for machine in fleet)
        text = ", ".join(f"{number} {state}" for state, number in states.most_common())
        value = f'<div class="twin-note">{text}{f"; {alarmed} with alarms" if alarmed else ""}</div>'
        if self.summary.value != value:
            self.summary.value = value

    def _row(self, machine: dict[str, Any]) -> Row:
        rules = self.choices.rules
        found = [rules.get(code, {"level": "info", "title": base.in_words(code)}) for code in machine["alarms"]]
        found.sort(key=lambda rule: -_RANK[rule["level"]])
        worst, said = found[0]["level"] if found else "", [rule["title"] for rule in found]
        titles = {name: title for title, name in self.choices.modes}
        return {
            "id": str(machine["machine_id"]),
            "machine": machine["machine"],
            "machine_tip": f"{machine['machine']}, {base.in_words(machine['machine_type'])}",
            "state": machine["state"],
            "state_tone": _TONES.get(machine["state"], ""),
            "scenario": ", ".join(machine["scenarios"]),
            "failures": ", ".join(titles.get(name, base.in_words(name)) for name in machine["failures"]),
            "failures_tone": "bad" if machine["failures"] else "",
            "alarms": said[0] + (f" +{len(said) - 1}" if len(said) > 1 else "") if said else "",
            "alarms_tip": ", ".join(said),
            "alarms_tone": {"alarm": "bad", "warning": "warn"}.get(worst, ""),
            "colour": self.colors(machine["machine"]),
        }
