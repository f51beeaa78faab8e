"""A session seen from another process: the run's rows as they appear in the file, a moment later."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Self

import numpy as np

from twin.catalog.checks import check_number
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, TwinError
from twin.live.asking import Asking
from twin.live.commands import REFUSED, Command, Outcome
from twin.live.fanout import Fanout, Subscription
from twin.live.frames import Frame, ring_for
from twin.live.status import WATCHED_READINGS, Happened, Watch
from twin.live.watching import Watching
from twin.plan import Plan
from twin.simulation import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin.plant import Plant
    from twin.store import RunRow

_ONLY_SEEN = "this is a view of the session: ask where it runs"


class Follower(Asking, Watching):
    """A session that another process drives, read from the plant's file.

    It has what panels need of a `LiveSession`; what is asked of it is refused.

    Parameters
    ----------
    plant : Plant
        Opened read-only or not.
    run : int or str
        The session's run; ``"latest"``: the newest session of the plant.
    every_s : float
        Time between two looks at the file, s.
    """

    only_seen = True

    def __init__(self, plant: Plant, run: int | str = "latest", every_s: float = 1.0) -> None:
        super().__init__()
        self.plant, self.rate_hz = plant, 1.0 / check_number(every_s, "every_s", 0.1, 3600.0)
        row = _session_row(plant, run)
        self.run_id = row.run_id
        self.error: str | None = None
        self.status, self.tick, self.speed = "paused", 0, 0.0
        self.start_us, self.interval_us = row.start_us, row.interval_us
        self._lock = threading.RLock()
        self._fanout, self._frames_at = Fanout(), deque(maxlen=64)
        self._until_us = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._looked_at = time.monotonic()
        self._sha = ""
        self._replan(row)
        self.machines = list(self.plan.machines)
        self._ids = np.array([m.machine_id for m in self.machines], np.int16)
        self._ring = ring_for(self._ids)
        self.look()

    def start(self) -> Self:
        """Look at the file from time to time until `stop`."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="twin-follow", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> Self:
        """Look no more; the session goes on."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        self.status = "stopped"
        self._fanout.close()
        return self

    def look(self) -> Frame | None:
        """Take over what is new in the file, and return it."""
        row = self.plant.store.get_run(self.run_id)
        with self._lock:
            self._replan(row)
            frame = self._read(row)
            self._pace(row, 0 if frame is None else frame.ticks)
        if frame is not None:
            self._frames_at.append(time.monotonic())
            self._fanout.put(frame)
        return frame

    def subscribe(self, frames: int = 64, callback: Callable[[Frame], object] | None = None) -> Subscription:
        """Return a bounded buffer of the frames from now on, as `LiveSession.subscribe` does."""
        return self._fanout.add(Subscription(frames, callback))

    def _follow(self) -> None:
        while not self._stopping.wait(1.0 / self.rate_hz):
            try:
                self.look()
                self.error = None
            except TwinError as error:  # the file is busy, or the run has been deleted: it may come back
                self.error = str(error)

    def _replan(self, row: RunRow) -> None:
        """Follow a plan that a click has changed."""
        if row.plan_sha256 == self._sha:
            return
        self._sha, self.plan = row.plan_sha256, Plan.from_json(row.plan)
        simulation = Simulation(self.plan.model_copy(update={"telemetry": False, "truth_us": None}), threads=1)
        self._simulation = simulation
        if self.tick:
            self._happened.follow(simulation)
            self._happened.take(simulation.advance(self.tick).events)
            self._happened.news(0, self.now_us - self.interval_us)
        else:
            self._happened, self._watch = Happened(simulation), Watch(simulation)

    def _read(self, row: RunRow) -> Frame | None:
        new = row.committed_ticks - self.tick
        if new < 1:
            return None
        kept = min(new, self._ring.size)
        before, self.tick = self.now_us, row.committed_ticks
        table = self.plant.store.run_arrow(self.run_id, None, None, self.now_us - kept * self.interval_us, self.now_us)
        values = np.stack([table[name].to_numpy(zero_copy_only=False) for name in CHANNELS]).astype(np.float32)
        order = np.argsort(np.argsort(self._ids))
        values = values.reshape(len(CHANNELS), self._ids.size, kept)[:, order]
        ts = self.now_us + (np.arange(kept, dtype=np.int64) - kept) * self.interval_us
        ahead = min(self.tick, self._simulation.plan.ticks) - self._simulation.tick
        if ahead > 0:
            self._happened.take(self._simulation.advance(ahead).events)
        frame = Frame(self.tick - kept, kept, ts, self._ids, values)
        self._ring.add(frame)
        frame.events.extend(self._happened.news(before - self.interval_us, frame.end_us))
        frame.events.extend(self._watch.look(self._recent(WATCHED_READINGS)))
        return frame

    def _pace(self, row: RunRow, ticks: int) -> None:
        """Say how fast the session goes, as it looks from here."""
        now = time.monotonic()
        passed, self._looked_at = now - self._looked_at, now
        self.speed = ticks * self.interval_us / 1e6 / passed if passed > 0.05 else self.speed
        over = row.status != "running"
        self.status = "stopped" if over else "playing" if ticks else "paused"

    def _enqueue(self, command: Command) -> None:
        command.answer(REFUSED, _ONLY_SEEN, self.tick, self.now_us)

    def _first_plan(self) -> Plan:
        raise BadRequest(_ONLY_SEEN)

    def _reset(self, first: Plan) -> Outcome:
        return self._play()

    def _play(self) -> Outcome:
        raise BadRequest(_ONLY_SEEN)

    _pause = _play

    def _step(self, ticks: int) -> Outcome:
        return self._play()

    def _set_speed(self, speed: float) -> Outcome:
        return self._play()

    def _run_until(self, until_us: int) -> Outcome:
        return self._play()


def _session_row(plant: Plant, run: int | str) -> RunRow:
    if run != "latest":
        row = plant.store.get_run(int(plant.runs.row(run)["run_id"]))
        if not row.live:
            raise BadRequest(f"run {row.run_id} is no live session; plots.signals shows a run that was simulated")
        return row
    sessions = plant.store.rows("runs", {"live": True})
    if not sessions:
        raise BadRequest("the plant has no live session yet; plant.live() begins one")
    return plant.store.get_run(sessions[-1]["run_id"])
