"""The table of the panels: rows that can be clicked, buttons in rows, numbers and sparklines that change often."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

Row = dict[str, Any]
MISSING = 255
"""Of a sparkline: no reading here."""


class Table(anywidget.AnyWidget):
    """A table that holds all it shows, so that a page that is loaded again has it at once.

    Attributes
    ----------
    columns : list of dict
        ``key``, ``label`` and ``kind``: ``text``, ``bar`` (a text upon a bar as long as its
        ``<key>_share``, such as ``40%``), ``number`` (from `values`), ``spark`` (from `sparks`),
        ``swatch`` or ``buttons``; optionally ``digits``, ``width`` and ``tip``.
    rows : list of dict
        With an ``id`` each, the texts by key, and optionally ``<key>_tone``, ``<key>_tip``, ``tone``,
        ``colour`` and ``buttons`` as (action, label, tip).
    selected : list
        Ids of highlighted rows.
    values : bytes
        Float32, row by row, one for each column of numbers.
    sparks : bytes
        Row by row, one byte a point from 0 (lowest) to 254.
    """

    _esm = Path(__file__).with_name("panel_table.js")

    columns: Any = traitlets.List().tag(sync=True)
    rows: Any = traitlets.List().tag(sync=True)
    selected: Any = traitlets.List().tag(sync=True)
    values = traitlets.Bytes(b"").tag(sync=True)
    sparks = traitlets.Bytes(b"").tag(sync=True)
    empty = traitlets.Unicode("").tag(sync=True)
    selectable = traitlets.Bool(False).tag(sync=True)
    max_height = traitlets.Unicode("220px").tag(sync=True)

    def __init__(self, clicked: Callable[[str, str], Any] | None = None, css_class: str = "", **traits: Any) -> None:
        super().__init__(**traits)
        self._clicked = clicked
        if css_class:
            self.add_class(css_class)
        self.on_msg(self._heard)

    def click(self, row: Any, action: str = "select") -> None:
        """Do what a click into a row does."""
        if self._clicked is not None:
            self._clicked(str(row), action)

    def show(self, rows: Sequence[Row]) -> None:
        """Show other rows; nothing is sent where they are as before."""
        fresh = list(rows)
        if fresh != self.rows:
            self.rows = fresh

    def _heard(self, widget: Any, content: Mapping[str, Any], buffers: Any) -> None:
        if isinstance(content, Mapping) and "row" in content and "action" in content:
            self.click(content["row"], str(content["action"]))


def as_values(numbers: np.ndarray) -> bytes:
    """Return numbers (rows, columns) as `Table.values` wants them."""
    return np.ascontiguousarray(numbers, "<f4").tobytes()


def as_sparks(lines: np.ndarray) -> bytes:
    """Return lines (rows, points) as `Table.sparks` wants them: each from its lowest to its highest point.

    A line that moves by less than a quarter of its height is not blown up, so that noise stays small.
    """
    if lines.shape[1] == 0:
        return b""
    low, high = np.fmin.reduce(lines, axis=1), np.fmax.reduce(lines, axis=1)
    least = 0.25 * np.maximum(np.abs(high), 1e-9)
    middle, reach = (low + high) / 2, np.maximum(high - low, least)
    scaled = (lines - (middle - reach / 2)[:, None]) / reach[:, None] * 254.0
    whole = np.where(np.isfinite(scaled), np.clip(np.round(scaled), 0, 254), MISSING)
    return whole.astype(np.uint8).tobytes()
