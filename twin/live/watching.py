"""What can be seen of a live session, from any thread: its clock, its readings, its fleet."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.live.frames import Frame, Ring
from twin.live.status import Happened, Span, Watch, fleet_rows
from twin.plan import Plan
from twin.what_if import machine_ids


@dataclass(frozen=True)
class Clock:
    """What a session's clock shows.

    Attributes
    ----------
    now_us, tick : int
        Time of the next tick, microseconds since 1970 UTC, and its number.
    speed : float
        Seconds of the plant in a second.
    status : str
        ``playing``, ``paused``, ``stopped`` or ``failed``.
    until_us : int or None
        When it will pause.
    updates_per_s : float
        Frames in a second, measured over the last seconds.
    """

    now_us: int
    tick: int
    speed: float
    status: str
    until_us: int | None
    updates_per_s: float


class Watching:
    """The view of a session; `LiveSession` fills it."""

    plan: Plan
    tick: int
    speed: float
    status: str
    start_us: int
    interval_us: int
    only_seen = False
    """Whether nothing can be asked of it: its controls are turned off."""
    _lock: threading.RLock
    _ids: NDArray[np.int16]
    _ring: Ring
    _happened: Happened
    _watch: Watch
    _until_us: int | None
    _frames_at: deque[float]

    @property
    def now_us(self) -> int:
        """Time of the next tick, microseconds since 1970 UTC."""
        return self.start_us + self.tick * self.interval_us

    def _recent(self, readings: int) -> Frame:
        return self._ring.newest(self.now_us - readings * self.interval_us)

    def clock(self) -> Clock:
        """Return what the clock shows."""
        at = list(self._frames_at)
        late = time.monotonic() - at[-1] if at else 0.0
        rate = (len(at) - 1) / (at[-1] - at[0]) if len(at) > 1 and at[-1] > at[0] and late < 2.0 else 0.0
        return Clock(self.now_us, self.tick, self.speed, self.status, self._until_us, rate)

    def history(self, window_us: int, machines: Any = None) -> Frame:
        """Return the readings of the last microseconds, as far as memory goes back, of all machines or some."""
        chosen = None
        if machines is not None:
            wanted = machine_ids(self.plan, machines)
            chosen = np.array([int(np.flatnonzero(self._ids == i)[0]) for i in wanted], np.intp)
        with self._lock:
            return self._ring.newest(self.now_us - window_us, chosen)

    def fleet(self) -> list[dict[str, Any]]:
        """Return one row a machine: state, active scenarios and failures, alarms, newest readings."""
        with self._lock:
            return fleet_rows(self.plan, self._happened, self._watch, self._recent(1), self._seen_us)

    def spans(self, since_us: int) -> list[Span]:
        """Return scenarios, injections, maintenance and failures that lasted on since a time."""
        with self._lock:
            return self._happened.spans(since_us, self._seen_us)

    def injections(self) -> list[dict[str, Any]]:
        """Return the injections that are active now."""
        with self._lock:
            return self._happened.injections(self.now_us)

    def tasks(self) -> list[dict[str, Any]]:
        """Return the maintenance tasks that are known now, by when they are due."""
        with self._lock:
            return self._happened.tasks(self._seen_us)

    def alarms(self) -> list[dict[str, Any]]:
        """Return the alarms of the control systems so far, oldest first."""
        with self._lock:
            return self._happened.alarms(self._seen_us)

    def failures(self) -> list[dict[str, Any]]:
        """Return the functional failures so far, oldest first."""
        with self._lock:
            return self._happened.failures(self._seen_us)

    def work(self) -> list[dict[str, Any]]:
        """Return the finished work so far, oldest first."""
        with self._lock:
            return self._happened.work(self._seen_us)

    def states(self) -> dict[int, str]:
        """Return what each machine does now, by its number."""
        with self._lock:
            now = self._seen_us
            return {machine.machine_id: self._happened.state(m, now) for m, machine in enumerate(self.plan.machines)}

    def limits(self, channel: str, machine_id: int) -> list[tuple[str, str, float]]:
        """Return code, level and limit (in the channel's unit) of the alarm rules on a channel of a machine."""
        return self._watch.limits(channel, int(np.flatnonzero(self._ids == machine_id)[0]))

    @property
    def _seen_us(self) -> int:
        """Time of the newest reading."""
        return self.now_us - self.interval_us if self.tick else self.now_us
