"""State and time: the kernel's only caller."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from twin import kernel
from twin.catalog.parameters import CHANNELS
from twin.digest import row_digest
from twin.errors import BadRequest
from twin.layout import STATE
from twin.plan import Plan
from twin.timeline import compile_plan, state_layout


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
    """

    tick: int
    ticks: int
    machine_id: NDArray[np.int16]
    ts: NDArray[np.int64]
    values: NDArray[np.float32]
    missing: tuple[bool, ...]

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
    """A plan in progress.

    Parameters
    ----------
    plan : Plan
    threads : int, optional
        Threads that share the machines; all processors by default. Does not change a row.
    """

    def __init__(self, plan: Plan, threads: int | None = None) -> None:
        self.plan = plan
        self.tick = 0
        self.timeline = compile_plan(plan)
        self.states = np.zeros(len(plan.machines), STATE)
        self.threads = min(threads or os.cpu_count() or 1, len(plan.machines))
        self._ids = np.array([m.machine_id for m in plan.machines], np.int16)
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        kernel.start_all(self.timeline, self.states, plan.start_us, plan.settled)

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
            return self._advance(n, into or Buffers(n * len(self._ids)))

    def _advance(self, n: int, buffers: Buffers) -> Chunk:
        count = len(self._ids)
        ids, ts, out = buffers.arrays(self._ids, n)
        t0_us = self.plan.start_us + self.tick * self.plan.interval_us
        missing = np.zeros(len(CHANNELS), np.bool_)
        if self.threads == 1:
            self._part(0, count, t0_us, n, out, missing)
        else:
            pool = self._pool = self._pool or ThreadPoolExecutor(self.threads, "twin-kernel")
            edges = np.linspace(0, count, self.threads + 1).round().astype(int).tolist()
            spans = [(a, b) for a, b in pairwise(edges) if a < b]
            for part in [pool.submit(self._part, a, b, t0_us, n, out, missing) for a, b in spans]:
                part.result()
        ts.reshape(count, n)[:] = np.arange(n, dtype=np.int64) * self.plan.interval_us + t0_us
        chunk = Chunk(self.tick, n, ids, ts, out, tuple(missing.tolist()))
        self.tick += n
        return chunk

    def _part(self, a: int, b: int, t0_us: int, n: int, out: NDArray[np.float32], missing: NDArray[np.bool_]) -> None:
        whole = self.timeline
        part = whole._replace(
            machines=whole.machines[a:b], first=whole.first[a : b + 1], drift_before=whole.drift_before[a:b]
        )
        kernel.advance(part, self.states[a:b], t0_us, self.plan.interval_us, n, out, a * n, missing)

    def state(self) -> bytes:
        """Return the state at the current tick, for `restore`."""
        header = f"{state_layout()}:{self.tick}:".encode()
        return header + self.states.tobytes()

    def restore(self, saved: bytes) -> Self:
        """Continue where `state` was taken.

        Raises
        ------
        BadRequest
            If the state belongs to another version or another fleet.
        """
        layout, _, rest = saved.partition(b":")
        tick, _, states = rest.partition(b":")
        if layout != state_layout().encode() or not tick.isdigit() or len(states) != self.states.nbytes:
            raise BadRequest("the interrupted run was begun by another version of pdm-twin: start another with --new")
        self.states = np.frombuffer(states, STATE).copy()
        self.tick = int(tick)
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
