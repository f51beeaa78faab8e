"""`LiveSession`: a plant that runs by the clock, and does at the next tick what people ask of it.

A driver thread asks the simulation for the ticks that are due. What people ask becomes a changed plan,
of which the rows seen so far are rows as well; so what was seen can be replayed from the plan alone.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import ValidationError

from twin.catalog.checks import check_number, refusal
from twin.errors import BadRequest, TwinError, shown
from twin.live.asking import SPEEDS, Asking
from twin.live.commands import DONE, REFUSED, Command, Outcome
from twin.live.fanout import Fanout, Subscription
from twin.live.frames import Frame, ring_for
from twin.live.recorder import COMMIT_S, Batch, Recorder
from twin.live.replan import numbered
from twin.live.status import WATCHED_READINGS, Happened, Watch
from twin.live.watching import Watching
from twin.plan import Plan, PlannedMachine
from twin.simulation import Simulation
from twin.times import format_time, parse_duration, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from twin.plant import Plant

DEFAULT_START = "2026-01-05"
SPAN_US = 10 * 8766 * 3_600_000_000
"""A session ends after ten years of the plant at the latest. [choice]"""
RATES_HZ = (0.2, 30.0)
MOST_READINGS = 400_000
"""Readings that a frame may have: at most so many are made before the lock is given back."""
PLAYING, PAUSED, STOPPED, FAILED = "playing", "paused", "stopped", "failed"

_running: weakref.WeakValueDictionary[Path, LiveSession] = weakref.WeakValueDictionary()
"""The session of this process that drives a plant: running a notebook's cell again must not leave two."""


class LiveSession(Asking, Watching):
    """A plant that runs by the clock.

    Parameters
    ----------
    plant : Plant
    start : time, optional
        First reading, UTC; 2026-01-05 when not given.
    machines : str, int or iterable
        A name, an id, several of them, or ``"all"``.
    interval : duration
        Time between two readings; ``"auto"``: 1 s, or 0.1 s below ten times real time.
    speed : float
        Seconds of the plant in a second, 0.1 to 10,000.
    rate_hz : float
        Frames in a second, 0.2 to 30.
    seed : int
        The address of all noise.
    wear : str
        ``used``, ``new`` or ``off``.
    policy : str or list, optional
        What asks for maintenance, as in `twin.plant.Plant.simulate` (no functions).
    name : str
        What to call the run.
    store : bool
        Whether the session becomes a run of the plant.
    resume : int, optional
        Go on with the run of a session that was killed.

    Attributes
    ----------
    plan : Plan
        What the session has been asked so far.
    tick : int
        How many ticks lie behind.
    error : str or None
        Why it failed, or why rows wait to be stored.
    """

    def __init__(
        self,
        plant: Plant,
        *,
        start: Any = None,
        machines: Any = "all",
        interval: Any = "auto",
        speed: float = 1.0,
        rate_hz: float = 10.0,
        seed: int = 0,
        wear: str = "used",
        policy: Any = None,
        name: str = "",
        store: bool = True,
        resume: int | None = None,
    ) -> None:
        super().__init__()
        self.plant = plant
        self.speed = check_number(speed, "speed", *SPEEDS)
        self.rate_hz = check_number(rate_hz, "rate_hz", *RATES_HZ)
        if resume is not None:
            self.plan = _resumed_plan(plant, resume)
        else:
            fine = self.speed < 10.0
            between = ("0.1s" if fine else "1s") if isinstance(interval, str) and interval == "auto" else interval
            begin = parse_time(DEFAULT_START if start is None else start, "start")
            self.plan = _planned(plant, begin, machines, between, seed, wear, policy)
        self.start_us, self.interval_us = self.plan.start_us, self.plan.interval_us
        self.machines: list[PlannedMachine] = list(self.plan.machines)
        self.tick, self.status = 0, PAUSED
        self.error: str | None = None
        self._name = name
        self._lock = threading.RLock()
        self._queue: deque[Command] = deque()
        self._fanout = Fanout()
        self._recorder: Recorder | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._finished = threading.Event()
        self._until_us: int | None = None
        self._steps = 0
        self._owed = 0.0
        self._frames_at: deque[float] = deque(maxlen=64)
        self._ids = np.array([m.machine_id for m in self.machines], np.int16)
        self._begin(Recorder(plant.store, self.plan, name, self._trouble, resume) if store else None)

    # -- life ---------------------------------------------------------------------------------

    def start(self) -> Self:
        """Let the clock drive the session; a session of this process that drives the same plant is stopped."""
        with self._lock:
            if self.status in (STOPPED, FAILED):
                raise BadRequest("the session has ended; begin another")
            if self._thread is not None:
                return self
            stop_former(self.plant.path, self)
            _running[self.plant.path.resolve()] = self
            self.status = PLAYING
            self._thread = threading.Thread(target=self._drive, name="twin-live", daemon=True)
            self._thread.start()
            atexit.register(_stop_softly, weakref.ref(self))
        return self

    def stop(self) -> Self:
        """End the session: its run is completed and can be replayed. A second call does nothing."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        with self._lock:
            if self._finished.is_set():
                return self
            self._finished.set()
            if self.status != FAILED:
                self.status = STOPPED
            self._refuse_waiting("the session has been stopped")
            self._commit(final=True)
        self._fanout.close()
        if self._recorder is not None:
            self.error = self._recorder.close() or self.error
        self._simulation.close()
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def advance(self, ticks: int) -> Frame:
        """Take the waiting commands, and make the next ticks at once: for batch use, without the clock."""
        if not isinstance(ticks, int) or isinstance(ticks, bool) or ticks < 1:
            raise BadRequest(f"ticks must be a whole number of 1 or more, got {shown(ticks)}")
        with self._lock:
            if self._finished.is_set():
                raise BadRequest("the session has ended; begin another")
            if self._thread is not None:
                raise BadRequest("the session is driven by its clock: use step, or pause and play")
            frame = self._frame(ticks)
            self._commit_in_time()
        self._fanout.put(frame)
        return frame

    @property
    def alive(self) -> bool:
        """Whether its clock drives it."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def run_id(self) -> int | None:
        """The run that it records."""
        return None if self._recorder is None else self._recorder.run_id

    # -- driving ------------------------------------------------------------------------------

    def _begin(self, recorder: Recorder | None) -> None:
        """Stand at the first tick (or where an interrupted run stands)."""
        self._recorder = recorder
        simulation = _simulated(self.plan)
        if recorder is not None and recorder.state is not None:
            simulation.restore(recorder.state, retell=True)
        self._simulation = simulation
        self.tick = simulation.tick
        self._happened, self._watch = Happened(simulation), Watch(simulation)
        self._happened.take(simulation.told())
        self._ring = ring_for(self._ids)
        self._batch = Batch()
        self._committed_at = time.monotonic()
        self._events_due = 0.0
        self._plan_changed = False

    def _drive(self) -> None:
        """Follow the clock; what was missed in a stall is not made up for."""
        due = time.monotonic()
        before = due
        try:
            while not self._stopping.is_set():
                now = time.monotonic()
                passed, before = min(now - before, 2.0 / self.rate_hz), now
                with self._lock:
                    frame = self._frame(None, passed)
                    self._commit_in_time()
                self._frames_at.append(now)
                self._fanout.put(frame)
                due = max(due + 1.0 / self.rate_hz, time.monotonic())
                self._stopping.wait(max(0.0, due - time.monotonic()))
        except Exception as error:
            self._fail(error)

    def _due(self, passed_s: float) -> int:
        """Return how many ticks are due after a time."""
        if self.status != PLAYING:
            return 0
        self._owed += passed_s * self.speed * 1e6 / self.interval_us
        ticks = int(self._owed)
        self._owed -= ticks
        if self._until_us is not None:
            ticks = min(ticks, max(0, -((self.now_us - self._until_us) // self.interval_us)))
        return min(ticks, max(1, MOST_READINGS // len(self.machines)))

    def _frame(self, ticks: int | None, passed_s: float = 0.0) -> Frame:
        """Do what was asked, and make some ticks, or those that are due after a time."""
        answers = self._take_commands()
        before = self.now_us
        ticks = self._steps + (self._due(passed_s) if ticks is None else ticks)
        self._steps = 0
        ticks = min(ticks, self.plan.ticks - self.tick)
        if ticks < 1:
            return self._empty(answers)
        chunk = self._simulation.advance(ticks)
        self._happened.take(chunk.events)
        first, self.tick = self.tick, self._simulation.tick
        values = chunk.values.reshape(chunk.values.shape[0], self._ids.size, chunk.ticks)
        frame = Frame(first, chunk.ticks, chunk.ts[: chunk.ticks], self._ids, values, answers)
        self._ring.add(frame)
        frame.events.extend(self._happened.news(before - self.interval_us, frame.end_us))
        frame.events.extend(self._watch.look(self._recent(WATCHED_READINGS)))
        self._batch.frames.append(frame)
        if self._until_us is not None and self.now_us >= self._until_us:
            self.status, self._until_us = PAUSED, None
        return frame

    def _fail(self, error: Exception) -> None:
        """Keep what there is, and say why it does not go on."""
        said = str(error) if isinstance(error, TwinError) else f"internal error: {type(error).__name__}: {error}"
        self.status, self.error = FAILED, said
        self._refuse_waiting(f"the session has failed: {said}")
        with self._lock:
            self._commit(final=True)

    # -- commands -----------------------------------------------------------------------------

    def _enqueue(self, command: Command) -> None:
        with self._lock:
            if self.status in (STOPPED, FAILED) or self._stopping.is_set():
                command.answer(REFUSED, f"the session is {self.status}; begin another", self.tick, self.now_us)
                return
            self._queue.append(command)

    def _refuse_waiting(self, why: str) -> None:
        while self._queue:
            self._queue.popleft().answer(REFUSED, why, self.tick, self.now_us)

    def _take_commands(self) -> list[dict[str, Any]]:
        """Carry out what waits, and return it as events of a frame."""
        taken = []
        while self._queue:
            command = self._queue.popleft()
            status, outcome = DONE, Outcome({}, "")
            try:
                outcome = self._carry_out(command)
            except TwinError as error:
                status, outcome = REFUSED, Outcome({}, str(error))
            except Exception as error:  # a command must not stop the plant
                status, outcome = REFUSED, Outcome({}, f"internal error: {type(error).__name__}: {error}")
            command.answer(status, outcome.message, self.tick, self.now_us, outcome.result)
            self._batch.commands.append(command.row())
            text = outcome.message if status == DONE else f"{command.verb} refused: {outcome.message}"
            taken.append(
                {
                    "kind": "command",
                    "at_us": self.now_us,
                    "machine_id": outcome.machine_id,
                    "text": text,
                    "status": status,
                }
            )
        return taken

    def _carry_out(self, command: Command) -> Outcome:
        outcome = command.apply(self.plan, self.now_us)
        if outcome.fields:
            try:
                plan = Plan.model_validate({**dict(self.plan), **outcome.fields})
            except ValidationError as error:
                raise refusal(error, Plan, command.verb) from None
            self._replan(plan)
        return outcome

    def _replan(self, plan: Plan) -> None:
        """Go on with another plan: one of which all that was seen is true as well."""
        simulation = _simulated(plan)
        if self.tick:
            simulation.restore(self._simulation.state(), retell=True)
        self._simulation.close()
        self.plan, self._simulation, self._plan_changed = plan, simulation, True
        self._happened.follow(simulation)
        self._happened.take(simulation.told())
        self._happened.news(0, self.now_us - self.interval_us)  # has been told
        self._events_due = 0.0

    # -- the clock, in commands ---------------------------------------------------------------

    def _play(self) -> Outcome:
        self.status = PLAYING
        if self._recorder is not None and self.error is not None:
            self.error = None
            self._recorder.retry()
        return Outcome({}, f"playing at {self.speed:g} x")

    def _pause(self) -> Outcome:
        self.status, self._owed = PAUSED, 0.0
        return Outcome({}, f"paused at {format_time(self.now_us)}")

    def _step(self, ticks: int) -> Outcome:
        self.status, self._owed = PAUSED, 0.0
        self._steps += ticks
        return Outcome({}, f"{ticks} tick{'' if ticks == 1 else 's'} on")

    def _set_speed(self, speed: float) -> Outcome:
        self.speed, self._owed = speed, 0.0
        return Outcome({}, f"speed {speed:g} x")

    def _run_until(self, until_us: int) -> Outcome:
        if until_us <= self.now_us:
            raise BadRequest(f"{format_time(until_us)} has passed; it is {format_time(self.now_us)}")
        self._until_us, self.status = until_us, PLAYING
        return Outcome({}, f"playing until {format_time(until_us)}")

    def _first_plan(self) -> Plan:
        """Return what the session would begin with now: its machines, seed and rules, and the plant's tables."""
        p = self.plan
        ids = [machine.machine_id for machine in p.machines]
        return _planned(self.plant, p.start_us, ids, timedelta(microseconds=p.interval_us), p.seed, p.wear, p.policies)

    def _reset(self, first: Plan) -> Outcome:
        """Begin again at the first tick, as another run; what was asked is forgotten."""
        self._commit(final=True)
        former, status = self._recorder, self.status
        if former is not None:
            threading.Thread(target=former.close, name="twin-close", daemon=True).start()
        self._simulation.close()
        self.plan, self._until_us, self._owed = first, None, 0.0
        new = None if former is None else Recorder(self.plant.store, self.plan, self._name, self._trouble)
        self._begin(new)
        self.status = status
        return Outcome({}, f"back at {format_time(self.start_us)}")

    # -- storing ------------------------------------------------------------------------------

    def _commit_in_time(self) -> None:
        if time.monotonic() - self._committed_at >= COMMIT_S or self._batch.rows() >= MOST_READINGS:
            self._commit()

    def _commit(self, final: bool = False) -> None:
        batch, self._batch = self._batch, Batch()
        now = self._committed_at = time.monotonic()
        if self._recorder is None or not (batch.frames or batch.commands):
            return
        if not batch.frames and not final:
            self._batch = batch  # commands wait for the readings that they change
            return
        batch.state = self._simulation.state()
        if self._plan_changed:
            batch.plan, self._plan_changed = self.plan, False
        if now >= self._events_due and not final:
            batch.events = self._happened.events_until(self.now_us)
            batch.modes, batch.event_plan = tuple(self._simulation.world.modes), self.plan
            self._events_due = now + max(2.0, 50.0 * self._recorder.events_s)
        if not self._recorder.put(batch):
            self._trouble("the file has been held by others for too long")

    def _trouble(self, why: str) -> None:
        """Pause until people say play: rows that cannot be stored would be lost."""
        self.error = f"readings wait to be stored: {why}"
        self.status = PAUSED if self.status == PLAYING else self.status
        text = f"paused, since {self.error}; play tries again"
        event = {"kind": "command", "at_us": self.now_us, "machine_id": None, "text": text, "status": REFUSED}
        self._fanout.put(self._empty([event]))

    def _empty(self, events: list[dict[str, Any]]) -> Frame:
        """Return a frame without readings."""
        none = np.empty((len(self.plan.channels), self._ids.size, 0), np.float32)
        return Frame(self.tick, 0, np.empty(0, np.int64), self._ids, none, events)

    def flush(self, timeout_s: float = 60.0) -> bool:
        """Wait until all that was seen is stored, and return whether it is."""
        with self._lock:
            self._commit()
        return self._recorder is None or self._recorder.flush(timeout_s)

    def subscribe(self, frames: int = 64, callback: Callable[[Frame], object] | None = None) -> Subscription:
        """Return a bounded buffer of the frames from now on; a slow reader's oldest fall out.

        Parameters
        ----------
        frames : int
            How many it holds.
        callback : callable, optional
            Called with each frame, on a thread of its own; one that raises is given up.
        """
        return self._fanout.add(Subscription(frames, callback))


def _simulated(plan: Plan) -> Simulation:
    """Return a plan in progress without remaining useful lives: nobody sees them, and the closed run has them."""
    return Simulation(plan.model_copy(update={"truth_us": None}), threads=1)


def stop_former(path: Path, but: LiveSession | None = None) -> None:
    """Stop the session of this process that drives a plant, if there is one."""
    former = _running.get(path.resolve())
    if former is not None and former is not but:
        former.stop()


def _planned(plant: Plant, begin: int, machines: Any, interval: Any, seed: int, wear: str, policy: Any) -> Plan:
    """Return what a session is asked before anybody asks anything: what stands in the tables."""
    parse_duration(interval, "interval")
    end = np.datetime64(begin + SPAN_US, "us")
    first = np.datetime64(begin, "us")
    plan = plant.plan(first, end, interval, seed=seed, machines=machines, wear=wear, policy=policy, truth_interval="1h")
    for rule in plan.policies:
        if rule.kind == "callable":
            raise BadRequest("the policy of a live session cannot be a function; use periodic, running or condition")
    return numbered(plan)


def _resumed_plan(plant: Plant, run_id: int) -> Plan:
    row = plant.store.get_run(run_id)
    if not row.live or row.complete:
        state = "complete" if row.complete else "no live session"
        raise BadRequest(f"run {run_id} is {state}; only a session that was killed can be gone on with")
    return Plan.from_json(row.plan)


def _stop_softly(of: weakref.ref[LiveSession]) -> None:
    """Complete the run of a session when the process ends."""
    session = of()
    if session is not None:
        session.stop()
