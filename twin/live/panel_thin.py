"""Readings thinned for the eye, as they arrive: the lowest and the highest of each column of pixels stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Change:
    """What `Thinner.add` changed at the end of its points.

    Attributes
    ----------
    revised : int
        How many of the last points are replaced, since their column of pixels was not yet complete.
    ts_ms : numpy.ndarray
        Times of the points that replace those and that follow them, milliseconds since 1970 UTC.
    points : numpy.ndarray
        The readings, as (channels, series, points).
    """

    revised: int
    ts_ms: np.ndarray
    points: np.ndarray


class Thinner:
    """Keeps the newest window of several series as two points a column: the lowest and the highest reading.

    Columns begin at multiples of their width in ticks, so that the points do not depend on how the
    readings were cut into frames. Where a column is a single tick, it has one point.

    Parameters
    ----------
    channels, series : int
        Shape of the readings.
    window_ticks : int
        Ticks to be kept.
    interval_us : int
        Between two ticks.
    columns : int
        Columns of pixels to divide the window into.
    """

    def __init__(self, channels: int, series: int, window_ticks: int, interval_us: int, columns: int = 600) -> None:
        self.ticks = max(1, -(-window_ticks // columns))
        self.interval_us = interval_us
        self.per_column = 1 if self.ticks == 1 else 2
        self.most = self.per_column * (-(-window_ticks // self.ticks) + 1)
        self.next_tick: int | None = None
        self.ts_ms = np.empty(0)
        self.points = np.empty((channels, series, 0), np.float32)
        self._open = self.points  # readings of the column that is not complete yet

    def add(self, tick: int, ts_us: int, values: np.ndarray) -> Change:
        """Take in readings that follow the former ones.

        Parameters
        ----------
        tick, ts_us : int
            Of the first new reading.
        values : numpy.ndarray
            Readings as (channels, series, ticks), NaN where one is missing.
        """
        shown = self._open.shape[2]
        revised = self.per_column if shown else 0
        values = np.concatenate([self._open, values], axis=2) if shown else values
        tick, ts_us = tick - shown, ts_us - shown * self.interval_us
        edges = self._edges(tick, values.shape[2])
        points = _extremes(values, edges) if self.per_column == 2 else np.asarray(values, np.float32)
        ts_ms = self._times(ts_us, edges, values.shape[2])
        self.next_tick = tick + values.shape[2]
        complete = values.shape[2] - self.next_tick % self.ticks
        self._open = values[:, :, max(0, complete) :]
        keep = len(self.ts_ms) - revised
        self.ts_ms = np.concatenate([self.ts_ms[:keep], ts_ms])[-self.most :]
        self.points = np.concatenate([self.points[:, :, :keep], points], axis=2)[:, :, -self.most :]
        return Change(revised, ts_ms, points)

    def _edges(self, tick: int, number: int) -> np.ndarray:
        """Return where columns begin among a number of readings."""
        first = -tick % self.ticks
        inner = np.arange(first, number, self.ticks)
        return inner if first == 0 else np.concatenate([[0], inner])

    def _times(self, ts_us: int, edges: np.ndarray, number: int) -> np.ndarray:
        """Return the times of points: a quarter and three quarters into their column."""
        if self.per_column == 1:
            return (ts_us + np.arange(number) * self.interval_us) / 1000.0
        widths = np.diff(edges, append=number)
        places = edges[:, None] + widths[:, None] * np.array([0.25, 0.75])
        return (ts_us + places.ravel() * self.interval_us) / 1000.0


def _extremes(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the lowest and the highest reading of each column, in order of time; NaN where there is none."""
    low, high = np.fmin.reduceat(values, edges, axis=2), np.fmax.reduceat(values, edges, axis=2)
    place = np.arange(values.shape[2])
    column = np.repeat(np.arange(len(edges)), np.diff(edges, append=values.shape[2]))
    far = values.shape[2]
    lowest = np.minimum.reduceat(np.where(values == low[:, :, column], place, far), edges, axis=2)
    highest = np.minimum.reduceat(np.where(values == high[:, :, column], place, far), edges, axis=2)
    falling = highest < lowest
    pairs = np.stack([np.where(falling, high, low), np.where(falling, low, high)], axis=3)
    return pairs.reshape(*values.shape[:2], -1).astype(np.float32)
