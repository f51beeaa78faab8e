"""The place for a prognosis: empty until one is attached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets

from twin.live import panel_base as base

_EMPTY = (
    '<div class="twin-empty">No prognosis panel is attached. One that has a <code>widget</code>, or is a widget, '
    "comes here with <code>dashboard.prediction.attach(panel)</code>.</div>"
)


class PredictionPanel(base.Panel):
    """A container for a panel that says how long machines will live.

    Attributes
    ----------
    attached : object or None
        What is shown.
    """

    title = "Prediction"

    def build(self) -> Any:
        self.attached: Any = None
        self._empty = ipywidgets.HTML(_EMPTY, layout=base.WIDE)
        self._place = base.column(self._empty)
        self._place.add_class("twin-prediction")
        return self._place

    def attach(self, panel: Any) -> None:
        """Show a widget, or a panel: one with a ``widget``, and perhaps ``update(frames)``; ``None`` takes it away.

        Parameters
        ----------
        panel : widget or panel or None
            The last one attached is shown.
        """
        self.attached = panel
        shown = self._empty if panel is None else getattr(panel, "widget", panel)
        self._place.children = (shown,)

    def draw(self, frames: Sequence[Any]) -> None:
        update = getattr(self.attached, "update", None)
        if callable(update) and hasattr(self.attached, "widget"):
            update(frames)
