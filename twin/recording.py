"""A live session as a run of the plant: it grows while people drive it, and is closed as any run is.

What a session did is in its plan: the plan at the end, cut to the last tick, gives the rows that were
seen, bit for bit. So a session that was killed is closed, replayed or gone on with like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from twin.catalog.parameters import CHANNELS
from twin.digest import as_text, join, row_digest
from twin.errors import BadRequest
from twin.plan import Plan
from twin.run_rows import run_fields, run_machines, versions
from twin.simulation import Simulation
from twin.store import RunRow, RunWriter, Store, Transaction, grow_run, replace_events


def cut(plan: Plan, ticks: int) -> Plan:
    """Return a session's plan as it stands after some ticks, 1 or more."""
    return plan.model_copy(update={"end_us": plan.start_us + ticks * plan.interval_us})


class Recording:
    """The run that a session writes.

    Parameters
    ----------
    store : Store
        The plant's file.
    plan : Plan
        What the session begins with.
    name : str
        What people call the run.
    resume : int, optional
        Go on with this run instead of beginning one.

    Attributes
    ----------
    run_id : int
        Its number.
    tick : int
        Ticks that are stored.
    state : bytes or None
        The simulation's state there, of a run that is gone on with.
    """

    def __init__(self, store: Store, plan: Plan, name: str = "", resume: int | None = None) -> None:
        self._store = store
        self._interval_us = plan.interval_us
        self._total = 0
        self.tick, self.state = 0, None
        if resume is None:
            first = cut(plan, 1)
            span = (first.seed, first.start_us, first.end_us, first.interval_us, len(first.machines), 1)
            more = run_fields(plan) | {"live": True}
            self.run_id = store.create_run(
                plan.to_json(), plan.sha256, *span, versions(), name, run_machines(plan), more
            )
        else:
            self.run_id = store.claim_run(resume).run_id
            saved = store.load_state(self.run_id)
            if saved is not None:
                self.tick, self.state, self._total = saved[0], saved[1], int(saved[2], 16)
        self._writer: RunWriter = store.run_writer(self.run_id)

    def append(
        self,
        values: np.ndarray,
        machine_ids: np.ndarray,
        ts_us: np.ndarray,
        state: bytes,
        plan: Plan | None,
        commands: Sequence[Mapping[str, Any]],
        happened: Callable[[Transaction, int], None] | None = None,
    ) -> None:
        """Store the readings of some ticks and the commands before them, in one transaction.

        Parameters
        ----------
        values : float32 array (channels, machines, ticks)
            NaN where a reading is missing.
        machine_ids : int16 array (machines,)
        ts_us : int64 array (ticks,)
            Microseconds since 1970 UTC.
        state : bytes
            The simulation's state after these ticks.
        plan : Plan or None
            What the plan has become, if commands have changed it.
        commands : sequence of mappings
            Rows of `session_commands` but for the run.
        happened : callable, optional
            Stores what else belongs to it, given the transaction and the run.
        """

        def more(tx: Transaction) -> None:
            grow_run(tx, self.run_id, plan, int(ts_us[-1]) + self._interval_us, commands)
            if happened is not None:
                happened(tx, self.run_id)

        ids, ts = np.repeat(machine_ids, ts_us.size), np.tile(ts_us, machine_ids.size)
        flat = np.ascontiguousarray(values).reshape(len(CHANNELS), -1)
        missing = [bool(column) for column in np.isnan(flat).any(axis=1)]
        total = join(self._total, row_digest(ids, ts, flat, any(missing)))
        to_tick = self.tick + ts_us.size
        columns: dict[str, np.ndarray] = {"machine_id": ids, "ts": ts}
        columns |= {name: flat[c] for c, name in enumerate(CHANNELS)}
        self._writer.append(
            self.tick,
            to_tick,
            columns,
            missing,
            state,
            as_text(total),
            more,
        )
        self._total, self.tick = total, to_tick

    def let_go(self) -> None:
        """Close the file until the next rows."""
        self._writer.let_go()

    def close(self, wall_s: float = 0.0, commands: Sequence[Mapping[str, Any]] = ()) -> None:
        """Complete the run, with the last commands; one without a reading is removed."""
        self.let_go()
        if commands and self.tick:
            with self._store.writing() as tx:
                tx.insert_many("session_commands", [{"run_id": self.run_id, **row} for row in commands])
        if self.tick == 0:
            self._store.delete_run(self.run_id)
        else:
            _complete(self._store, self.run_id, wall_s)


def close_session(store: Store, run_id: int) -> RunRow:
    """Complete the run of a session that was killed, from what is stored of it.

    Raises
    ------
    BadRequest
        If the run is no session, or has no reading yet, or this process is driving it.
    PlantBusy
        If another process is driving it.
    """
    row = store.get_run(run_id)
    if not row.live:
        raise BadRequest(f"run {run_id} is no live session; simulate its plan to its end")
    if row.status == "running" and row.written_here:
        raise BadRequest(f"run {run_id} is a live session that goes on in this process; stop the session first")
    if row.committed_ticks == 0:
        raise BadRequest(f"run {run_id} has no reading yet; delete it")
    store.claim_run(run_id)
    return _complete(store, run_id)


def _complete(store: Store, run_id: int, wall_s: float = 0.0) -> RunRow:
    """Let a session's plan end where its readings do, and write all that happened."""
    row, saved = store.get_run(run_id), store.load_state(run_id)
    assert saved is not None
    plan = cut(Plan.from_json(row.plan), saved[0])
    with Simulation(plan.model_copy(update={"telemetry": False})) as simulation:
        events = simulation.advance(plan.ticks).events
        modes = simulation.world.modes
    with store.writing() as tx:
        replace_events(tx, run_id, events, plan, modes)
        grow_run(tx, run_id, plan, plan.end_us, ())
        store.finish_run(run_id, saved[2], wall_s, as_text(events.digest()))
    return store.get_run(run_id)
