"""Readings on their way to people: one frame of a few ticks, and the newest ones kept in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.catalog.parameters import CHANNELS


@dataclass(frozen=True)
class Frame:
    """Readings of consecutive ticks of all machines, and what happened meanwhile.

    Attributes
    ----------
    tick, ticks : int
        First tick and number of ticks.
    ts_us : int64 array (ticks,)
        Microseconds since 1970 UTC.
    machine_ids : int16 array (machines,)
    values : float32 array (channels, machines, ticks)
        In the order of `twin.catalog.parameters.CHANNELS`; NaN where a reading is missing.
    events : list of dict
        ``kind`` (``failure``, ``alarm``, ``work`` or ``command``), ``at_us``, ``machine_id`` (None: all), ``text``.
    """

    tick: int
    ticks: int
    ts_us: NDArray[np.int64]
    machine_ids: NDArray[np.int16]
    values: NDArray[np.float32]
    events: list[dict[str, Any]] = field(default_factory=list)

    @property
    def end_us(self) -> int:
        """Time of the newest reading."""
        return int(self.ts_us[-1]) if self.ticks else 0


def joined(frames: Iterable[Frame]) -> Frame | None:
    """Return frames that follow one another as one, or None where there are none."""
    given = list(frames)
    if not given:
        return None
    if len(given) == 1:
        return given[0]
    first = given[0]
    return Frame(
        first.tick,
        sum(frame.ticks for frame in given),
        np.concatenate([frame.ts_us for frame in given]),
        first.machine_ids,
        np.concatenate([frame.values for frame in given], axis=2),
        [event for frame in given for event in frame.events],
    )


RING_ROWS, RING_TICKS = 800_000, (600, 40_000)
"""Readings that are kept in memory for new views, and the fewest and most of each machine: 26 MB. [choice]"""


def ring_for(machine_ids: NDArray[np.int16]) -> Ring:
    """Return the memory of a fleet's newest readings."""
    return Ring(machine_ids, int(np.clip(RING_ROWS // machine_ids.size, *RING_TICKS)))


class Ring:
    """The newest readings of a fleet, in memory of a fixed size.

    Parameters
    ----------
    machine_ids : int16 array (machines,)
    ticks : int
        How many are kept.
    """

    def __init__(self, machine_ids: NDArray[np.int16], ticks: int) -> None:
        self._ids = machine_ids
        self._ts = np.full(ticks, 0, np.int64)
        # filled, so that a session has all the memory that it will need from the beginning
        self._values = np.full((len(CHANNELS), machine_ids.size, ticks), np.nan, np.float32)
        self._end = 0  # tick behind the newest
        self._kept = 0

    @property
    def size(self) -> int:
        """How many ticks are kept at most."""
        return int(self._ts.size)

    def add(self, frame: Frame) -> None:
        """Take in a frame; the oldest readings make room."""
        size = self._ts.size
        new = min(frame.ticks, size)
        at = (frame.tick + frame.ticks - new + np.arange(new)) % size
        self._ts[at] = frame.ts_us[frame.ticks - new :]
        self._values[:, :, at] = frame.values[:, :, frame.ticks - new :]
        self._end = frame.tick + frame.ticks
        self._kept = min(size, self._kept + frame.ticks)

    def clear(self) -> None:
        """Forget all readings."""
        self._kept = 0

    def newest(self, since_us: int, machines: NDArray[np.intp] | None = None) -> Frame:
        """Return the readings from a time on, of all machines or those at some positions."""
        size = self._ts.size
        ticks = np.arange(self._end - self._kept, self._end)
        at = ticks % size
        first = int(np.searchsorted(self._ts[at], since_us)) if self._kept else 0
        at = at[first:]
        values, ids = self._values[:, :, at], self._ids
        if machines is not None:
            values, ids = values[:, machines], ids[machines]
        return Frame(self._end - at.size, at.size, self._ts[at], ids, values)
