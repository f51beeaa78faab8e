"""The tab of the prediction: how to get a model, or the prognosis of those that are in use."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import ipywidgets

from twin.errors import BadRequest
from twin.live import panel_base as base

_EMPTY = (
    '<div class="twin-empty">No model is in use. Train some on this plant, or give what was trained before: '
    '<code>dashboard.prediction.use(failure="failure.model", rul=..., diagnosis=...)</code>.</div>'
)
_ASKED_S = 15
"""About how long a lesson takes, told beforehand."""


class PredictionPanel(base.Panel):
    """What models say of the machines, or any other panel of that kind.

    Attributes
    ----------
    attached : object or None
        What is shown: a `PrognosisPanel`, or what was given to `attach`.
    """

    title = "Prediction"

    def build(self) -> Any:
        self.attached: Any = None
        self._lesson: Any = None
        self._before: Any = None  # what was attached when the lesson began
        self._steps: tuple[int, int, str] | None = None
        self._thread: threading.Thread | None = None
        self._empty = ipywidgets.HTML(_EMPTY, layout=base.WIDE)
        tip = (
            f"simulates a small run of the same machines with faults put in, about {_ASKED_S} s; time goes on meanwhile"
        )
        self.train_button = base.button("Train on this plant", "twin-train", tip, self.train, "primary")
        self.progress = ipywidgets.IntProgress(layout=ipywidgets.Layout(flex="1 1 120px", width="auto", display="none"))
        self._begin = base.column(self._empty, base.row(self.train_button, self.progress, align="center"), self.answer)
        self._place = base.column(self._begin)
        self._place.add_class("twin-prediction")
        return self._place

    def use(self, failure: Any, rul: Any = None, diagnosis: Any = None, readings: Any = None) -> Any:
        """Let models score the fleet as its readings come.

        Parameters
        ----------
        failure, rul, diagnosis : FittedModel or path
            What `twin.prognosis.training.train` returned, or files of `twin.prognosis.saved.save`.
        readings : duration, optional
            Time between two readings of the training, where the models' cards do not tell.

        Returns
        -------
        PrognosisPanel

        Raises
        ------
        BadRequest
            For models that are none, have been changed, are of another task, or do not belong together.
        """
        from twin.live.prognosis_panel import PrognosisPanel
        from twin.prognosis.live import Prognosis

        prognosis = Prognosis(failure, rul, diagnosis, readings)
        if prognosis.assumed and (told := self._readings_of(prognosis.card.data)) is not None:
            prognosis = Prognosis(**prognosis.models, readings=told)
        panel = PrognosisPanel(self.session, prognosis, self.notices, self.choices)
        self.attach(panel)
        panel.update((), at_once=True)
        return panel

    def _readings_of(self, data: dict[str, Any]) -> timedelta | None:
        """Return how far apart the readings of a model's run were, if the run is one of this plant."""
        if not isinstance(data.get("run"), int):
            return None
        with self.session.plant.store.reading() as tx:
            row = tx.find("runs", run_id=data["run"])
        if row is None or row["digest"] is None or row["digest"] != data.get("digest"):
            return None
        return timedelta(microseconds=row["interval_us"])

    @base.guarded
    def train(self) -> threading.Thread | None:
        """Train models on this plant for the speed of its clock, on a thread of its own, and use them."""
        if self._thread is not None and self._thread.is_alive():
            raise BadRequest("models are being trained; wait for them")
        self._lesson, self._before = None, self.attached
        self._thread = threading.Thread(target=self._learn, name="twin-lesson", daemon=True)
        self._thread.start()
        return self._thread

    def _learn(self) -> None:
        from twin.prognosis.teaching import pace_for, train_for

        try:
            pace = pace_for(
                min(max(self.session.clock().speed, 0.1), 10_000.0), timedelta(microseconds=self.session.interval_us)
            )
            self._lesson = train_for(self.session.plant, pace=pace, progress=self._tell)
        except Exception as error:  # told when the panel is drawn next
            self._lesson = error

    def _tell(self, done: int, steps: int, what: str) -> None:
        self._steps = (done, steps, what)

    def attach(self, panel: Any) -> None:
        """Show a widget, or a panel: one with a ``widget``, and perhaps ``update(frames)``; ``None`` takes it away.

        Parameters
        ----------
        panel : widget or panel or None
            The last one attached is shown.
        """
        former, self.attached = self.attached, panel
        shown = self._begin if panel is None else getattr(panel, "widget", panel)
        self._place.children = (shown,)
        if isinstance(former, base.Panel) and former is not panel and hasattr(former, "close"):
            former.close()

    def select(self, machine: str) -> None:
        """Choose a machine, where what is shown can."""
        select = getattr(self.attached, "select", None)
        if callable(select):
            select(machine)

    def refresh(self, choices: Any) -> None:
        super().refresh(choices)
        if isinstance(self.attached, base.Panel):
            self.attached.refresh(choices)

    def update(self, frames: Sequence[Any], *, at_once: bool = False) -> None:
        super().update(frames, at_once=at_once)
        if isinstance(self.attached, base.Panel):
            self.attached.update(frames, at_once=at_once)

    def draw(self, frames: Sequence[Any]) -> None:
        update = getattr(self.attached, "update", None)
        foreign = callable(update) and hasattr(self.attached, "widget") and not isinstance(self.attached, base.Panel)
        if foreign and update is not None:
            update(frames)

    def draw_rows(self) -> None:
        """Show how far a lesson is, and use what it has taught."""
        lesson, self._lesson = self._lesson, None
        if self._steps is not None:
            self.progress.value, self.progress.max, what = self._steps
            self.progress.layout.display = ""
            self._say(f"{what} ...", "")
        if lesson is None:
            return
        self._steps, self.progress.layout.display = None, "none"
        if isinstance(lesson, Exception):
            self.refuse(f"training: {lesson}")
            return
        self._say("", "")
        if self.attached is not self._before:
            return  # somebody has chosen other models meanwhile
        self.use(**lesson.models)
