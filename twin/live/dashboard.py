"""The control room: all panels of a live session in one widget."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets

from twin.live import panel_base as base
from twin.live.panel_choices import Choices, Notices
from twin.live.panel_clock import ClockPanel
from twin.live.panel_failures import FailuresPanel
from twin.live.panel_feed import Feed
from twin.live.panel_fleet import FleetPanel
from twin.live.panel_log import LogPanel
from twin.live.panel_maintenance import MaintenancePanel
from twin.live.panel_prediction import PredictionPanel
from twin.live.panel_scenarios import ScenariosPanel
from twin.live.panel_signals import SignalsPanel


class Dashboard:
    """The panels of a live session as one widget, which a cell shows as its last line.

    Parameters
    ----------
    session : LiveSession
        Started or not.
    start : bool
        Whether panels follow the session by themselves; otherwise call `update_now`.
    models : mapping of str to FittedModel, optional
        By task, for the prediction panel: see `PredictionPanel.use`.

    Attributes
    ----------
    session : LiveSession
        For commands from code: ``dashboard.session.inject(...)``.
    panels : tuple of Panel
        ``clock``, ``signals``, ``fleet``, ``scenarios``, ``failures``, ``maintenance``, ``prediction`` and
        ``log``, which are attributes, too.
    widget : ipywidgets.Box
        The root widget.
    """

    def __init__(self, session: Any, *, start: bool = True, models: Mapping[str, Any] | None = None) -> None:
        self.session = session
        given = (session, Notices(), Choices.of(session))
        self.clock = ClockPanel(*given)
        self.signals = SignalsPanel(*given)
        self.fleet = FleetPanel(*given)
        self.scenarios = ScenariosPanel(*given)
        self.failures = FailuresPanel(*given)
        self.maintenance = MaintenancePanel(*given)
        self.prediction = PredictionPanel(*given)
        self.log = LogPanel(*given)
        self._tabs: tuple[base.Panel, ...] = (self.scenarios, self.failures, self.maintenance, self.prediction)
        self.panels: tuple[base.Panel, ...] = (self.clock, self.signals, self.fleet, *self._tabs, self.log)
        self.fleet.colors = self.signals.color
        self.fleet.on_select(self._select)
        self.signals.on_shown(self.fleet.draw_rows)
        self.widget = self._build()
        if session.only_seen:
            for panel in (self.clock, self.scenarios, self.failures, self.maintenance):
                _disable(panel.widget)
        self.feed = Feed(session, self.panels)
        if models is not None:
            self.prediction.use(**models)
        self.update_now()
        if start:
            self.feed.start()

    def _build(self) -> Any:
        self.controls = ipywidgets.Tab([panel.widget for panel in self._tabs])
        for i, panel in enumerate(self._tabs):
            self.controls.set_title(i, panel.title)
        places = {
            "clock": self.clock.widget,
            "signals": self.signals.widget,
            "controls": self.controls,
            "fleet": self.fleet.widget,
            "log": self.log.widget,
        }
        for name, widget in places.items():
            widget.add_class(f"twin-at-{name}")
        grid = ipywidgets.Box(list(places.values()))
        grid.add_class("twin-grid")
        root = ipywidgets.VBox([base.sheet(), grid], layout=ipywidgets.Layout(width="100%", min_width="0"))
        root.add_class("twin-dashboard")
        return root

    def _select(self, machine: str, more: bool) -> None:
        """Follow a click in the fleet: into the signals, and unless it only adds a line, into the controls."""
        self.signals.select(machine, more)
        if not more:
            for panel in (self.scenarios, self.failures, self.maintenance, self.prediction):
                panel.select(machine)

    def update_now(self) -> None:
        """Draw what has come so far, in the caller's thread: for a session that is advanced by hand."""
        self.feed.draw_now()

    def close(self) -> None:
        """Stop following the session, which goes on; what is shown stays."""
        self.feed.close()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        shown = self.widget._repr_mimebundle_(**kwargs)
        return None if shown is None else {**shown, "text/plain": repr(self)}

    def __repr__(self) -> str:
        clock = self.session.clock()
        return f"<Dashboard: {len(self.session.machines)} machines, {clock.status}, {base.stamp(clock.now_us)} UTC>"


def _disable(widget: Any) -> None:
    """Turn off all controls below a widget; lists can still be read."""
    if widget.has_trait("disabled"):
        widget.disabled = True
    for child in getattr(widget, "children", ()):
        _disable(child)
