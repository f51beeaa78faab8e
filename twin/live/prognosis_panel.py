"""The panel of a prognosis: what models say of each machine, as its readings come, and what they came from."""

from __future__ import annotations

import atexit
import html
import time
import weakref
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import ipywidgets
import numpy as np

from twin.live import panel_base as base
from twin.live.bridge import Mirror
from twin.live.live_figures import Shade
from twin.live.panel_table import MISSING, Row, Table
from twin.live.prognosis_figure import RiskFigure
from twin.live.prognosis_past import take_past
from twin.live.prognosis_words import card_words, feature_words, horizon_words, hours_words, outlook_words
from twin.prognosis.live import EXPLAINED_FROM, GATHERING, OK, OUT_OF_RANGE, REPAIR, Outlook, Prognosis

if TYPE_CHECKING:
    import pandas as pd

_POINTS = 30
"""Of a sparkline: that many rows of features."""
_RISKS = (0.5, EXPLAINED_FROM)
"""Machines are listed by these steps of probability, and in the fleet's order within them. [choice]"""
_TONES = {OK: "good", GATHERING: "calm", REPAIR: "work", OUT_OF_RANGE: "warn"}
_PATIENCE_S = 60.0
"""A row of features that takes longer than that in real time is told of."""
_COLUMNS: tuple[dict[str, Any], ...] = (
    {"key": "machine", "label": "Machine", "kind": "text"},
    {"key": "risk", "label": "Failure", "kind": "bar", "tip": "probability of failure within the horizon"},
    {"key": "spark", "label": "Trend", "kind": "spark"},
    {"key": "rul", "label": "Life left", "kind": "text", "tip": "hours to failure, and their interval"},
    {"key": "mode", "label": "Mode", "kind": "text", "tip": "the leading failure mode, and its share"},
    {"key": "state", "label": "State", "kind": "text"},
)


class PrognosisPanel(base.Panel):
    """Probability of failure, remaining life and leading mode of each machine.

    Features are made and scored on a thread of its own, so that readings are drawn meanwhile.

    Parameters
    ----------
    session : LiveSession or Follower
    prognosis : Prognosis
    notices, choices
        As of `Panel`.

    Attributes
    ----------
    outlooks : list of Outlook
        What is shown.
    selected : str
        The machine that is drawn over time.
    passes_ms : deque of float
        How long the newest passes took, features and all models.
    """

    title = "Prediction"

    def __init__(self, session: Any, prognosis: Prognosis, notices: Any = None, choices: Any = None) -> None:
        self.prognosis = prognosis
        self.outlooks: list[Outlook] = []
        self.passes_ms: deque[float] = deque(maxlen=100)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="twin-prognosis")
        self._job: Future[list[Outlook]] | None = None
        self._tick, self._closed = 0, False
        self._received = 0
        self._drawn: Any = None
        super().__init__(session, notices, choices)
        take_past(session, prognosis)
        self._tick = session.tick
        atexit.register(_end_softly, weakref.ref(self))

    def build(self) -> Any:
        self._names = {machine.machine_id: machine.name for machine in self.session.machines}
        self._numbers = {name: number for number, name in self._names.items()}
        self.selected = self.session.machines[0].name
        self.summary = ipywidgets.HTML(layout=base.WIDE)
        self.summary.add_class("twin-prognosis-summary")
        self.table = Table(
            self._on_click, "twin-prognosis", columns=list(_COLUMNS), selectable=True, max_height="240px",
            empty="No reading yet.",
        )  # fmt: skip
        self.figure = RiskFigure()
        self.mirror = Mirror(self.figure.layout, max_rate_hz=10.0)
        self.detail = ipywidgets.HTML(layout=base.WIDE)
        self.detail.add_class("twin-prognosis-detail")
        card = ipywidgets.HTML(card_words(self.prognosis), layout=base.WIDE)
        more = ipywidgets.Accordion([card])
        more.set_title(0, "Model cards: when and on what")
        more.add_class("twin-prognosis-card")
        plot = ipywidgets.VBox([self.mirror], layout=ipywidgets.Layout(width="100%", min_width="0"))
        return base.column(self.summary, self.table, self.detail, plot, more)

    def close(self) -> None:
        """End its thread, and take its figure out of all pages."""
        self._end()
        self.mirror.close()

    def _end(self) -> None:
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.prognosis.close()

    def select(self, machine: str) -> None:
        """Draw a machine over time, by its name."""
        if machine in self._numbers and machine != self.selected:
            self.selected = machine
            self._drawn = None
            self.draw_rows()

    @base.guarded
    def _on_click(self, row: str, action: str) -> None:
        self.select(self._names[int(row)])

    def update(self, frames: Sequence[Any], *, at_once: bool = False) -> None:
        """Take in frames, score what has come to its end, and show it; with `at_once`: before it returns."""
        if self._closed:  # another has taken its place while frames were on their way
            return
        for frame in frames:
            self._take(frame)
        if self._job is not None and (at_once or self._job.done()):
            job, self._job = self._job, None
            job.result()
        if self.prognosis.is_due:
            if at_once:
                self._score()
            elif self._job is None:
                self._job = self._pool.submit(self._score)
        super().update((), at_once=at_once)

    def _take(self, frame: Any) -> None:
        if not frame.ticks:
            return
        received, self._received = self._received, frame.tick + frame.ticks
        if frame.tick < received:  # frames of one life come in their order: the session began anew
            self.prognosis.restart()
            self._tick = 0
        if frame.tick + frame.ticks <= self._tick:
            if self.session.tick >= self._tick:
                return  # it came with the past
            self.prognosis.restart()  # the session began anew
        elif frame.tick > self._tick:
            missed_us = (self.session.tick - self._tick + 1) * self.session.interval_us
            past = self.session.history(missed_us)
            if past.ticks:
                self.prognosis.take(past, self.session.interval_us)
        self._tick = frame.tick + frame.ticks
        self.prognosis.take(frame, self.session.interval_us)

    def _score(self) -> list[Outlook]:
        began = time.perf_counter()
        alarms = _frame(self.session.alarms(), "ts") if self.prognosis.spec.alarms else None
        log = _frame(self.session.work(), "end_at")
        failures = _frame(self.session.failures(), "failed_at").rename(columns={"failed_at": "ts"})
        found = self.prognosis.score(alarms, log, failures, asked=(self._numbers[self.selected],))
        self.passes_ms.append(1e3 * (time.perf_counter() - began))
        return found

    def draw_rows(self) -> None:
        """Show what is known, in the states that machines have now."""
        self.outlooks = self.prognosis.outlooks(self.session.states())
        order = sorted(range(len(self.outlooks)), key=lambda i: (_step(self.outlooks[i]), i))
        titles = {name: title for title, name in self.choices.modes}
        rows = [self._row(self.outlooks[i], titles) for i in order]
        with self.table.hold_sync():
            self.table.show(rows)
            self.table.selected = [str(self._numbers[self.selected])]
            self.table.sparks = self._sparks([self.outlooks[i].machine_id for i in order])
        self._show(self.summary, self._summary())
        mine = next((o for o in self.outlooks if self._names[o.machine_id] == self.selected), None)
        self._show(self.detail, "" if mine is None else outlook_words(self.selected, mine, self.prognosis, titles))
        self._draw_figure()

    def _row(self, o: Outlook, titles: dict[str, str]) -> Row:
        row: Row = {"id": str(o.machine_id), "machine": self._names[o.machine_id], "risk": "–", "rul": "–", "mode": "–"}
        row |= {"state": o.state, "state_tip": o.reason or o.state, "state_tone": _TONES.get(o.state, "bad")}
        if o.probability is None:
            return row
        if o.state != OK:  # a number, but none to act on
            return row | {"risk": f"({o.probability:.0%})", "risk_tone": "calm", "risk_tip": o.reason, "tone": "past"}
        row |= {"risk": f"{o.probability:.0%}", "risk_share": f"{o.probability:.0%}"}
        row["risk_tone"] = "bad" if o.probability >= _RISKS[0] else "warn" if o.probability >= _RISKS[1] else ""
        if o.rul_h is not None:
            row["rul"] = hours_words(o, self.prognosis)
        if o.mode is not None and o.probability >= EXPLAINED_FROM:
            row["mode"] = f"{titles.get(o.mode, base.in_words(o.mode))} {o.mode_share:.0%}"
        row["machine_tip"] = ", ".join(feature_words(s.feature) for s in o.speaks)
        return row

    def _sparks(self, machines: Sequence[int]) -> bytes:
        """Return the newest rows' probabilities, from 0 to 1: not blown up, as they are shares."""
        cadence, last = self.prognosis.spec.cadence_us, self.prognosis.scored_us
        lines = np.full((len(machines), _POINTS), MISSING, np.uint8)
        for i, machine in enumerate(machines):
            for at, share, sure in list(self.prognosis.trends.get(machine, ()))[-_POINTS:]:
                place = _POINTS - 1 - (last - at) // cadence
                if sure and 0 <= place < _POINTS:
                    lines[i, place] = round(254 * share)
        return lines.tobytes()

    def _summary(self) -> str:
        prognosis, newest = self.prognosis, self.prognosis.scored_us
        parts = [f"Failure within {horizon_words(prognosis)}"]
        ready = prognosis.ready_us
        if ready is not None and newest < ready:
            left_s = (ready - self.session.now_us) / 1e6
            real = left_s / max(self.session.clock().speed, 1e-9)
            parts.append(
                f"first numbers at {base.stamp(ready)[:-3]}, in {max(left_s, 0) / 3600:.3g} h ({max(real, 0):.0f} s)"
            )
        elif newest:
            parts.append(f"as of {base.stamp(newest)[:-3]}")
        counts = Counter(o.state for o in self.outlooks)
        parts.append(", ".join(f"{number} {state}" for state, number in counts.most_common()))
        status = self.session.clock().status
        if status != "playing":
            parts.append(f"the session is {status}")
        lines = [f'<div class="twin-note">{html.escape("; ".join(part for part in parts if part))}</div>']
        lines += [f'<div class="twin-says bad">{html.escape(text)}</div>' for text in self._warnings()]
        return "".join(lines)

    def _warnings(self) -> list[str]:
        """Return what makes this session unfit for the models, in words."""
        prognosis, session, found = self.prognosis, self.session, []
        spec, speed = prognosis.spec, max(session.clock().speed, 1e-9)
        if session.interval_us > prognosis.readings_us:
            every, known = session.interval_us / 60e6, prognosis.readings_us / 60e6
            found.append(
                f"This session reads every {every:g} min, the models learnt from readings every {known:g} min: "
                "no numbers. Begin one with a shorter interval, or train on this plant."
            )
        if prognosis.assumed:
            found.append(
                f"The models' cards do not say how often their readings came; every {prognosis.readings_us / 60e6:g} "
                "min is assumed (readings= of use says better)."
            )
        real_s = spec.cadence_us / 1e6 / speed
        if session.clock().status == "playing" and real_s > _PATIENCE_S:
            found.append(
                f"A new row each {spec.cadence} of the plant is one in {real_s:.0f} s at {speed:.0f}x: go faster, "
                "or train on this plant at this speed."
            )
        return found

    def _draw_figure(self) -> None:
        number = self._numbers[self.selected]
        trend = list(self.prognosis.trends.get(number, ()))
        since_us = trend[0][0] if trend else self.session.now_us
        spans = [s for s in self.session.spans(since_us) if s.machine_id == number]
        drawn = (self.selected, trend[-1:], len(trend), spans)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        end = self.session.now_us
        shades = [
            Shade(s.kind, f"{s.kind}: {base.in_words(s.label)}", s.start_us / 1e3, (s.end_us or end) / 1e3)
            for s in spans
            if s.kind in ("maintenance", "injection")
        ]
        failed = [(s.start_us / 1e3, f"failed: {base.in_words(s.label)}") for s in spans if s.kind == "failure"]
        with self.mirror.update():
            self.figure.show(trend, self.prognosis.spec.cadence_us)
            self.figure.mark(shades, failed)

    def _show(self, widget: Any, value: str) -> None:
        if widget.value != value:
            widget.value = value


def _end_softly(of: weakref.ref[PrognosisPanel]) -> None:
    """End a panel's work when the process ends: the database complains of connections that threads still hold."""
    panel = of()
    if panel is not None:
        panel._end()


def _step(o: Outlook) -> int:
    """Return how far up a machine is listed."""
    if o.state != OK or o.probability is None:
        return len(_RISKS)
    return next((i for i, risk in enumerate(_RISKS) if o.probability >= risk), len(_RISKS))


def _frame(rows: list[dict[str, Any]], when: str) -> pd.DataFrame:
    """Return what happened to machines as a frame."""
    import pandas as pd

    times = pd.Series([row[when] for row in rows], dtype="datetime64[us]")
    return pd.DataFrame({"machine_id": pd.Series([row["machine_id"] for row in rows], dtype="int64"), when: times})
