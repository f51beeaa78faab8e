"""The panel of the clock: simulated time, and how fast it goes."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import ipywidgets

from twin.live import panel_base as base

SLOWEST, FASTEST = 0.1, 10_000.0
_TONES = {"playing": "good", "paused": "warn", "failed": "bad", "stopped": "bad"}


class ClockPanel(base.Panel):
    """Plays, pauses, steps, resets, and sets the speed."""

    title = "Clock"

    def build(self) -> Any:
        self.face = ipywidgets.HTML()
        self.face.add_class("twin-clock")
        self.speed = ipywidgets.FloatLogSlider(
            value=self._speed(), min=math.log10(SLOWEST), max=math.log10(FASTEST), step=0.02, base=10,
            continuous_update=False, readout_format=".4g", layout=ipywidgets.Layout(flex="1 1 180px", width="auto"),
            description="Speed (x)", style={"description_width": "initial"},
        )  # fmt: skip
        self.speed.add_class("twin-speed")
        self.speed.observe(self._on_speed, "value")
        self.steps = ipywidgets.BoundedIntText(
            value=1, min=1, max=1_000_000, layout=ipywidgets.Layout(width="64px"), tooltip="ticks of a step"
        )
        self.steps.add_class("twin-steps")
        self.until = ipywidgets.Text(placeholder="+2h, or a time (UTC)", layout=ipywidgets.Layout(width="175px"))
        self.until.add_class("twin-run-until")
        self._following = False
        made = base.row(
            self.face,
            base.button("Play", "twin-play", "let time go on", self.play, "success", "play"),
            base.button("Pause", "twin-pause", "let time stand still", self.pause, "", "pause"),
            base.button("Step", "twin-step", "go on by so many ticks", self.step, "", "step-forward"),
            self.steps,
            base.button("Reset", "twin-reset", "begin anew at the start, as another run", self.reset, "", "undo"),
            self.speed,
            self.until,
            base.button("Run until", "twin-until-go", "play until that time, then pause", self.run_until),
            self.answer,
        )
        made.layout.align_items = "center"
        return base.column(made)

    def _speed(self) -> float:
        return float(min(FASTEST, max(SLOWEST, self.session.clock().speed)))

    @base.guarded
    def play(self) -> Any:
        """Let time go on."""
        return self.asked(self.session.play())

    @base.guarded
    def pause(self) -> Any:
        """Let time stand still."""
        return self.asked(self.session.pause())

    @base.guarded
    def step(self) -> Any:
        """Go on by some ticks."""
        return self.asked(self.session.step(self.steps.value))

    @base.guarded
    def reset(self) -> Any:
        """Begin anew."""
        return self.asked(self.session.reset())

    @base.guarded
    def run_until(self) -> Any:
        """Play until the time typed, then pause."""
        text = self.until.value.strip()
        time = base.moment(text, self.session.now_us, "run until")
        if time is None:
            self.refuse("run until: type a time such as 2026-01-05 12:00, or a duration such as +2h")
            return None
        return self.asked(self.session.run_until(time))

    @base.guarded
    def _on_speed(self, change: Any) -> None:
        if not self._following:
            speed = float(f"{change['new']:.3g}")
            self.asked(self.session.set_speed(speed))

    def draw(self, frames: Sequence[Any]) -> None:
        clock = self.session.clock()
        self._follow(clock.speed)
        status = clock.status if not self.session.error else f"{clock.status}: {self.session.error}"
        until = f", until {base.stamp(clock.until_us)}" if clock.until_us else ""
        rate = f"{clock.updates_per_s:.1f} updates/s" if clock.status == "playing" else ""
        value = (
            f'<div class="twin-face"><b class="twin-now">{base.stamp(clock.now_us)}</b> UTC'
            f'<br><span class="twin-status twin-is-{_TONES.get(clock.status, "")}">{html.escape(status)}</span>'
            f" {clock.speed:,.4g}x{until} <span>{rate}</span></div>"
        )
        if self.face.value != value:
            self.face.value = value

    def _follow(self, speed: float) -> None:
        """Let the slider show a speed that was set elsewhere, without asking for it again."""
        waiting = self._asked is not None and self._asked.verb == "set_speed"
        if waiting or math.isclose(self.speed.value, speed, rel_tol=0.01):
            return
        self._following = True
        try:
            self.speed.value = min(FASTEST, max(SLOWEST, speed))
        finally:
            self._following = False
