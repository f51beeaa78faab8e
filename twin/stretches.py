"""From what the lives have noted to the timeline that the signals follow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from twin.cache import cached_njit
from twin.inputs import scale_inputs
from twin.layout import POWERED, Timeline

__all__ = ["Stretches"]


@cached_njit
def _scale(tl, levels, inputs):
    """Let failure modes scale the inputs, row by row, after the scenarios did."""
    for i in range(inputs.shape[0]):
        scale_inputs(tl, levels[i], inputs[i, 3:6])


class Stretches:
    """The stretches of constant condition that the signals have before them, machine by machine.

    Parameters
    ----------
    planned : Timeline
        What the plan asks for.
    """

    def __init__(self, planned: Timeline) -> None:
        self._planned = planned
        self._machines = planned.machines.size
        self._at = np.empty((0, 4), np.int64)  # machine, start, row of the plan's timeline, powered
        self._levels = np.empty((0, planned.levels.shape[1]))

    def add(self, at: list[NDArray[np.int64]], levels: list[NDArray[np.float64]]) -> None:
        """Add stretches in the order in which each machine lives them."""
        joined = np.concatenate([self._at, *at])
        order = np.argsort(joined[:, 0], kind="stable")
        self._at = joined[order]
        self._levels = np.concatenate([self._levels, *levels])[order]

    def drop_before(self, row: NDArray[np.int64]) -> None:
        """Forget the stretches that lie behind each machine's row; the rows then begin with those."""
        keep = np.arange(len(self._at)) >= np.maximum(row, 0)[self._at[:, 0]]
        self._at, self._levels = self._at[keep], self._levels[keep]

    def first(self) -> NDArray[np.int64]:
        """Return where each machine's stretches begin, and where the last end."""
        return np.searchsorted(self._at[:, 0], np.arange(self._machines + 1)).astype(np.int64)

    def row_at(self, start_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the row of the stretch of each machine that begins at a time."""
        first = self.first()
        return np.array(
            [
                first[m] + np.searchsorted(self._at[first[m] : first[m + 1], 1], start_us[m], side="right") - 1
                for m in range(self._machines)
            ],
            np.int64,
        )

    def timeline(self) -> Timeline:
        """Return the stretches as the kernel reads them."""
        planned, row, off = self._planned, self._at[:, 2], self._at[:, 3] == 0
        inputs, tracks = planned.inputs[row].copy(), planned.tracks[row].copy()
        _scale(planned, self._levels, inputs)
        inputs[off, 0], inputs[off, 1], inputs[off, POWERED] = 0.0, 0.0, 0.0
        tracks[off, :2] = -1  # a machine that stands follows no recorded load or speed
        return planned._replace(
            first=self.first(),
            start_us=self._at[:, 1].copy(),
            inputs=inputs,
            tracks=tracks,
            track_start_us=planned.track_start_us[row],
            level_row=np.arange(len(row), dtype=np.int64),
            levels=self._levels,
        )
