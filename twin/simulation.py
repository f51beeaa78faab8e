"""State and time: the kernel's only caller."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from twin import kernel
from twin.catalog.parameters import CHANNELS
from twin.decisions import Decide, Decisions
from twin.digest import row_digest
from twin.errors import BadRequest
from twin.events import Events, joined
from twin.layout import STATE
from twin.plan import Plan
from twin.stretches import Stretches
from twin.timeline import compile_plan, state_layout
from twin.world import World

HOUR_US = 3_600_000_000


@dataclass
class Chunk:
    """Readings of consecutive ticks, machine by machine.

    Attributes
    ----------
    tick, ticks : int
        First tick and number of ticks.
    machine_id : int16 array (rows,)
    ts : int64 array (rows,)
        Microseconds since 1970 UTC.
    values : float32 array (channels, rows)
        In the order of `twin.catalog.parameters.CHANNELS`; NaN where a reading is missing.
    missing : tuple of bool
        Per channel, whether readings may be missing.
    events : Events
        What happened meanwhile, up to the next whole hour.
    """

    tick: int
    ticks: int
    machine_id: NDArray[np.int16]
    ts: NDArray[np.int64]
    values: NDArray[np.float32]
    missing: tuple[bool, ...]
    events: Events = field(default_factory=Events)

    @property
    def rows(self) -> int:
        """Readings of all machines."""
        return self.ts.size

    def columns(self) -> dict[str, np.ndarray]:
        """Return the columns by name, without copies."""
        named: dict[str, np.ndarray] = {"machine_id": self.machine_id, "ts": self.ts}
        return named | {name: self.values[c] for c, name in enumerate(CHANNELS)}

    def digest(self) -> int:
        """Return the sum of the rows' digests (see `twin.digest`)."""
        return row_digest(self.machine_id, self.ts, self.values, any(self.missing))


class Buffers:
    """Memory for a chunk, used again and again so that a long run does not grow.

    Parameters
    ----------
    rows : int
        Most readings that a chunk will have.
    """

    def __init__(self, rows: int) -> None:
        self._values = np.empty(len(CHANNELS) * rows, np.float32)
        self._ts = np.empty(rows, np.int64)
        self._ids = np.empty(rows, np.int16)
        self._filled: tuple[int, ...] = ()

    def arrays(self, ids: NDArray[np.int16], ticks: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return machine ids (filled), times and values of a chunk of that shape."""
        rows = ids.size * ticks
        if self._filled != (ids.size, ticks):
            self._ids[:rows].reshape(ids.size, ticks)[:] = ids[:, None]
            self._filled = (ids.size, ticks)
        values = self._values[: len(CHANNELS) * rows].reshape(len(CHANNELS), rows)
        return self._ids[:rows], self._ts[:rows], values


class Simulation:
    """A plan in progress: what happens, and what the sensors report of it.

    Parameters
    ----------
    plan : Plan
    threads : int, optional
        Threads that share the machines; all processors by default. Does not change a row.
    decide : callable, optional
        Called at the decision times of the plan's functions with the number of the rule, the time, and
        this simulation; returns the tasks that it raises. Needed where the plan has such rules.

    Attributes
    ----------
    tick : int
        How many ticks lie behind.
    world : World
        What happens.
    """

    def __init__(self, plan: Plan, threads: int | None = None, decide: Decide | None = None) -> None:
        self.plan = plan
        self.tick = 0
        functions = [rule for rule in plan.policies if rule.kind == "callable"] if plan.acting else []
        if functions and decide is None:
            raise BadRequest(f"the plan's policy {functions[0].name!r} is a function: give it to decide")
        planned = compile_plan(plan)
        threads = threads or int(os.environ.get("TWIN_THREADS", 0)) or None  # a worker takes only its part
        self.threads = min(threads or os.cpu_count() or 1, len(plan.machines))
        self.world = World(plan, planned, plan.telemetry, bool(functions), threads)
        self.decisions = Decisions(plan, decide)
        self._stretches = Stretches(planned)
        self._ids = np.array([m.machine_id for m in plan.machines], np.int16)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._events: list[Events] = []
        self.states = np.zeros(len(plan.machines), STATE)
        self.go_to(min(plan.end_us, _next_hour(plan.start_us + 1)))
        if plan.telemetry:
            kernel.start_all(self.timeline, self.states, plan.start_us, plan.settled)
            self.states["segment"] = -1  # no stretch has begun yet

    def advance(self, ticks: int, into: Buffers | None = None) -> Chunk:
        """Return the next readings of all machines.

        Parameters
        ----------
        ticks : int
            1 or more; cut to what is left of the plan.
        into : Buffers, optional
            Memory to use; the chunk is valid until it is used again. New memory by default.

        Raises
        ------
        BadRequest
            If `ticks` is below 1 or nothing is left.
        """
        left = self.plan.ticks - self.tick
        if ticks < 1 or left < 1:
            raise BadRequest(f"cannot advance by {ticks} ticks with {left} left: ask for 1 to {left}")
        n = min(ticks, left)
        with self._lock:
            if not self.plan.telemetry:
                into = Buffers(0)
            return self._advance(n, into or Buffers(n * len(self._ids)))

    def _advance(self, n: int, buffers: Buffers) -> Chunk:
        plan, first = self.plan, self.tick
        ids, ts, out = buffers.arrays(self._ids, n if plan.telemetry else 0)
        missing = np.zeros(len(CHANNELS), np.bool_)
        done = 0
        while done < n:
            now = self._time(self.tick)
            self.decisions.take(self, now)
            front = min(self.front_us(first + n), self.decisions.next_us)
            self.go_to(front)
            k = min(n - done, max(1, -((now - front) // plan.interval_us)))
            if plan.telemetry:
                self._follow(self._time(self.tick), k, n, done, out, missing)
                if self.decisions.history_us:
                    times = now + np.arange(k, dtype=np.int64) * plan.interval_us
                    self.decisions.remember(times, out.reshape(len(CHANNELS), -1, n)[:, :, done : done + k])
            done += k
            self.tick += k
        if self.tick == plan.ticks:
            self._end()
        if plan.telemetry:
            times = np.arange(n, dtype=np.int64) * plan.interval_us + self._time(first)
            ts.reshape(len(self._ids), n)[:] = times
        return Chunk(first, n, ids, ts, out, tuple(missing.tolist()), self.told())

    def _time(self, tick: int) -> int:
        return self.plan.start_us + tick * self.plan.interval_us

    def front_us(self, tick: int) -> int:
        """Return how far the world has come once that many ticks are made: to the next whole hour."""
        return min(self.plan.end_us, _next_hour(self._time(tick)))

    def go_to(self, front_us: int) -> None:
        """Let the world go ahead of the signals."""
        if front_us <= self.world.front_us:
            return
        self.world.advance(front_us)
        events = self.world.drain()
        if self.plan.telemetry:
            self._stretches.add(events.segment_at, events.segment_levels)
            self.timeline = self._stretches.timeline()
        events.segment_at, events.segment_levels = [], []
        self._events.append(events)

    def new_events(self) -> list[Events]:
        """Return what happened and has not been handed over with a chunk yet."""
        fresh = [events for events in self._events if not events.shown]
        for events in fresh:
            events.shown = True
        return fresh

    def told(self) -> Events:
        """Hand over what happened and has not been handed over with a chunk."""
        events, self._events = self._events, []
        return joined(events)

    def _end(self) -> None:
        """Let what is left of the plan happen after its last reading, and close the lives."""
        while self.decisions.next_us < self.plan.end_us:
            self.decisions.take(self, self.decisions.next_us)
        self.go_to(self.plan.end_us)
        self.world.finish()
        self._events.append(self.world.drain())

    def _follow(
        self, t0_us: int, k: int, n: int, done: int, out: NDArray[np.float32], missing: NDArray[np.bool_]
    ) -> None:
        """Make k readings of each machine, `done` of the chunk's n behind them."""
        # stretches that are over have been forgotten: each machine stands in its first, or before it
        self.states["segment"] = self.timeline.first[:-1] - (self.states["segment"] < 0)
        count = len(self._ids)
        if self.threads == 1:
            self._part(0, count, t0_us, k, n, done, out, missing)
        else:
            pool = self._pool = self._pool or ThreadPoolExecutor(self.threads, "twin-kernel")
            edges = np.linspace(0, count, self.threads + 1).round().astype(int).tolist()
            spans = [(a, b) for a, b in pairwise(edges) if a < b]
            for part in [pool.submit(self._part, a, b, t0_us, k, n, done, out, missing) for a, b in spans]:
                part.result()
        self._rebase(self.states["segment"].copy())

    def _rebase(self, current: NDArray[np.int64]) -> None:
        """Forget the stretches that the signals have left behind."""
        self._stretches.drop_before(current)
        self.states["segment"] = self._stretches.first()[:-1]
        self.timeline = self._stretches.timeline()

    def _part(
        self,
        a: int,
        b: int,
        t0_us: int,
        k: int,
        n: int,
        done: int,
        out: NDArray[np.float32],
        missing: NDArray[np.bool_],
    ) -> None:
        whole = self.timeline
        part = whole._replace(
            machines=whole.machines[a:b], first=whole.first[a : b + 1], drift_before=whole.drift_before[a:b]
        )
        kernel.advance(part, self.states[a:b], t0_us, self.plan.interval_us, k, out, a * n + done, n, missing)

    def state(self) -> bytes:
        """Return the state at the current tick, for `restore`: that of the signals, for lives are lived again."""
        header = f"{state_layout()}:{self.tick}:".encode()
        return header + self.states.tobytes()

    def restore(self, saved: bytes, retell: bool = False) -> Self:
        """Continue where `state` was taken.

        Parameters
        ----------
        saved : bytes
            What `state` returned, of this plan or of one that parts from it later.
        retell : bool
            Whether the next chunk tells again what happened until then.

        Raises
        ------
        BadRequest
            If the state belongs to another version or another fleet.
        """
        layout, _, rest = saved.partition(b":")
        tick, _, states = rest.partition(b":")
        if layout != state_layout().encode() or not tick.isdigit() or len(states) != self.states.nbytes:
            raise BadRequest("the interrupted run was begun by another version of pdm-twin: start another with --new")
        self.tick = int(tick)
        front = self.front_us(self.tick)
        while self.decisions.next_us < front:  # those of the time before have been recorded
            self.decisions.take(self, self.decisions.next_us)
        self.go_to(front)
        if not retell:
            self._events = []
        self.states = np.frombuffer(states, STATE).copy()
        if self.plan.telemetry and self.tick:
            self._rebase(self._stretches.row_at(self.states["segment_us"]))
        return self

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _next_hour(t_us: int) -> int:
    return -(-t_us // HOUR_US) * HOUR_US
