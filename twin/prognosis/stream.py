"""What a scorer remembers of a stream of readings: each machine's first days, and its newest window.

A stream may read every second and a model may have learnt from readings every ten minutes: maxima and standard
deviations of the two differ. So readings are thinned to those the model knows, the first of each of its intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twin.catalog.parameters import CHANNELS

if TYPE_CHECKING:
    import pandas as pd


class Stream:
    """Thinned readings of a fleet, as far back as features need them.

    Parameters
    ----------
    channels : sequence of str
        Those that are kept.
    readings_us, window_us, baseline_us : int
        Between two readings that are kept; how far back features reach; how long the first readings are kept.

    Attributes
    ----------
    machine_ids : int64 array (machines,)
    began_us, newest_us : int or None
        Times of the first reading and of the newest one, kept or not.
    interval_us : int
        Between two readings of the stream.
    """

    def __init__(self, channels: Sequence[str], readings_us: int, window_us: int, baseline_us: int) -> None:
        self.channels = tuple(channels)
        self.readings_us, self.window_us, self.baseline_us = readings_us, window_us, baseline_us
        self._at = [CHANNELS.index(name) for name in self.channels]
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.machine_ids: NDArray[np.int64] = np.empty(0, np.int64)
        self.began_us: int | None = None
        self.newest_us: int | None = None
        self.interval_us = 0
        self._early: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        self._recent: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []
        self._heard = np.empty(0, np.int64)

    def take(
        self, ts_us: NDArray[np.int64], machine_ids: NDArray[np.int16], values: NDArray[np.float32], interval_us: int
    ) -> None:
        """Take in readings of all machines; what is not newer than the newest is known already.

        Parameters
        ----------
        ts_us : int64 array (ticks,)
            Sorted, microseconds since 1970 UTC.
        machine_ids : int16 array (machines,)
        values : float32 array (channels, machines, ticks)
            All channels in the order of `twin.catalog.parameters.CHANNELS`.
        interval_us : int
            Between two readings of the stream.
        """
        self.interval_us = interval_us
        new = int(np.searchsorted(ts_us, self.newest_us, side="right")) if self.newest_us is not None else 0
        ts = ts_us[new:]
        if not ts.size:
            return
        if self.began_us is None:
            self.began_us, self.machine_ids = int(ts[0]), machine_ids.astype(np.int64)
            self._heard = np.full(machine_ids.size, self.began_us, np.int64)
        slots = ts // self.readings_us
        last = -1 if self.newest_us is None else self.newest_us // self.readings_us
        kept = np.flatnonzero(np.diff(slots, prepend=last) > 0)
        self.newest_us = int(ts[-1])
        if not kept.size:
            return
        chosen = values[self._at][:, :, new + kept].astype(np.float64)
        there = ~np.isnan(chosen).all(axis=0)
        times = np.where(there, ts[kept], -1).max(axis=1)
        self._heard = np.maximum(self._heard, times)
        until = self.began_us + self.baseline_us
        early = int(np.searchsorted(ts[kept], until, side="right"))
        if early and self.baseline_us:
            self._early.append((ts[kept][:early], chosen[:, :, :early]))
        self._recent.append((ts[kept], chosen))

    def heard_us(self) -> NDArray[np.int64]:
        """Return when each machine last reported a value of any channel."""
        return self._heard

    def forget(self, before_us: int) -> None:
        """Let go of readings that no window needs any more, up to a time."""
        while self._recent and self._recent[0][0][-1] <= before_us:
            self._recent.pop(0)

    def forget_early(self) -> None:
        """Let go of the first readings: the baseline is known."""
        self._early, self.baseline_us = [], 0

    def early(self) -> pd.DataFrame:
        """Return the first readings: ``machine_id, ts`` and channels."""
        return self._frame(self._early, None, None)

    def recent(self, after_us: int, until_us: int) -> pd.DataFrame:
        """Return the readings after a time and up to another: ``machine_id, ts`` and channels."""
        return self._frame(self._recent, after_us, until_us)

    def counts(self, after_us: int, until_us: int) -> NDArray[np.int64]:
        """Return how many readings with a value each machine has after a time and up to another."""
        found = np.zeros(self.machine_ids.size, np.int64)
        for ts, values in self._recent:
            mine = (ts > after_us) & (ts <= until_us)
            found += (~np.isnan(values[:, :, mine]).all(axis=0)).sum(axis=1)
        return found

    def _frame(
        self,
        chunks: list[tuple[NDArray[np.int64], NDArray[np.float64]]],
        after_us: int | None,
        until_us: int | None,
    ) -> pd.DataFrame:
        import pandas as pd

        ts = np.concatenate([chunk[0] for chunk in chunks]) if chunks else np.empty(0, np.int64)
        empty = np.empty((len(self.channels), self.machine_ids.size, 0))
        values = np.concatenate([chunk[1] for chunk in chunks], axis=2) if chunks else empty
        mine = np.ones(ts.size, bool)
        if after_us is not None:
            mine &= ts > after_us
        if until_us is not None:
            mine &= ts <= until_us
        ts, values = ts[mine], values[:, :, mine]
        columns = {name: values[i].ravel() for i, name in enumerate(self.channels)}
        keys = {
            "machine_id": np.repeat(self.machine_ids, ts.size),
            "ts": np.tile(ts.astype("datetime64[us]"), self.machine_ids.size),
        }
        return pd.DataFrame({**keys, **columns})
