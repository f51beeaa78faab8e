"""The control room: all panels of a live session in one widget, and the threads that keep them up to date."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import ipywidgets

from twin.live import panel_base as base
from twin.live.panel_clock import ClockPanel
from twin.live.panel_failures import FailuresPanel
from twin.live.panel_fleet import FleetPanel
from twin.live.panel_log import LogPanel
from twin.live.panel_maintenance import MaintenancePanel
from twin.live.panel_prediction import PredictionPanel
from twin.live.panel_scenarios import ScenariosPanel
from twin.live.panel_signals import SignalsPanel

IDLE_S = 0.2
"""How often panels are drawn while no frame comes: answers arrive also when time stands still."""

CHOICES_EVERY_S = 2.5
"""How often the plant's tables are read for what can be chosen."""

_OVER = ("stopped", "failed")


class Feed:
    """Keeps panels up to date: one thread draws what a session sends, another reads the plant's tables.

    A panel that fails is told of in the log, and tried again with the next frame.

    Parameters
    ----------
    session : LiveSession
    panels : sequence of Panel
    """

    def __init__(self, session: Any, panels: Sequence[base.Panel]) -> None:
        self.session = session
        self.panels = tuple(panels)
        self.notices = self.panels[0].notices
        self._subscription = session.subscribe()
        self._over = threading.Event()
        self._drawing = threading.Lock()
        self._told: set[str] = set()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin; both threads end with the session, or with `close`, and hold up no process."""
        self._threads = [
            threading.Thread(target=work, name=f"twin-{name}", daemon=True)
            for work, name in ((self._draw, "panels"), (self._choose, "choices"))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads; what is shown stays."""
        self._over.set()
        self._subscription.close()

    @property
    def alive(self) -> bool:
        """Whether panels are drawn by themselves."""
        return any(thread.is_alive() for thread in self._threads)

    def draw(self, frames: Sequence[Any], *, at_once: bool = False) -> None:
        """Let each panel show frames, and what else has changed."""
        with self._drawing:
            for panel in self.panels:
                try:
                    panel.update(frames, at_once=at_once)
                except Exception as error:
                    self._tell(f"{panel.title}: {type(error).__name__}: {error}")

    def draw_now(self) -> None:
        """Take the frames that wait and draw all, in the caller's thread."""
        self.draw(self._subscription.take(0.0), at_once=True)

    def choose(self) -> None:
        """Let each panel offer what the plant's tables hold now."""
        try:
            choices = base.Choices.of(self.session)
            for panel in self.panels:
                if choices != panel.choices:
                    panel.refresh(choices)
        except Exception as error:
            self._tell(f"the plant's tables cannot be read now: {error}")

    def _draw(self) -> None:
        while not self._over.is_set():
            self.draw(self._subscription.take(IDLE_S))
            if self.session.status in _OVER:
                break
            if self._subscription.closed and not self._over.wait(IDLE_S):
                self._subscription = self.session.subscribe()
        self._over.set()
        self.draw_now()

    def _choose(self) -> None:
        while not self._over.wait(CHOICES_EVERY_S):
            self.choose()

    def _tell(self, text: str) -> None:
        """Put a fault into the log, once: it may come back with each frame."""
        if text not in self._told:
            self._told.add(text)
            self.notices.add(self.session, text)


class Dashboard:
    """The panels of a live session as one widget, which a cell shows as its last line.

    Parameters
    ----------
    session : LiveSession
        Started or not.
    start : bool
        Whether panels follow the session by themselves; otherwise call `update_now`.

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

    def __init__(self, session: Any, *, start: bool = True) -> None:
        self.session = session
        given = (session, base.Notices(), base.Choices.of(session))
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
        self.feed = Feed(session, self.panels)
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
            for panel in (self.scenarios, self.failures, self.maintenance):
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
