"""What happened in a run, beside its telemetry, on its way into the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.store.catalog_tables import Transaction

if TYPE_CHECKING:
    import pyarrow as pa

    from twin.events import Events
    from twin.plan import Plan

_TIMES = ("failed_at", "ts", "start_at", "end_at", "raised_at", "due_at", "started_at", "ended_at")


def add_events(tx: Transaction, run_id: int, events: Events, plan: Plan, modes: Sequence[str]) -> None:
    """Store a stretch of events; tasks that were stored before are replaced by what has become of them.

    Parameters
    ----------
    tx : Transaction
    run_id : int
    events : Events
    plan : Plan
        The run's plan, for names.
    modes : sequence of str
        Failure modes in the order of the truth's columns.
    """
    ids = [machine.machine_id for machine in plan.machines]
    _insert(tx, run_id, "failures", events.failures)
    _insert(tx, run_id, "alarms", events.alarms(ids, list(plan.alarm_rules.values())))
    _insert(tx, run_id, "maintenance_log", events.log)
    _insert(tx, run_id, "lives", events.lives)
    tasks = events.tasks()
    if tasks:
        with tx.arrow("tasks_given", _table(tasks)):
            tx.execute(
                "DELETE FROM work_orders w USING tasks_given g"
                " WHERE w.run_id = ? AND w.machine_id = g.machine_id AND w.number = g.number",
                [run_id],
            )
        _insert(tx, run_id, "work_orders", tasks)
    if events.truth is not None and events.truth.ts_us.size:
        _insert_table(tx, run_id, "ground_truth", _truth_table(events, ids, modes))


def _insert(tx: Transaction, run_id: int, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        _insert_table(tx, run_id, table, _table(rows))


def _insert_table(tx: Transaction, run_id: int, table: str, data: pa.Table) -> None:
    columns = tx.columns(table)
    names = ", ".join(columns[name].quoted for name in data.column_names)
    with tx.arrow("events_given", data):
        tx.execute(f'INSERT INTO "{table}" (run_id, {names}) SELECT CAST(? AS INTEGER), * FROM events_given', [run_id])


def _table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return rows as an Arrow table, times as times."""
    import pyarrow as pa

    arrays = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        arrays[name] = pa.array(values, type=pa.timestamp("us") if name in _TIMES else None)
        if pa.types.is_null(arrays[name].type):  # a column of nothing but NULL
            arrays[name] = pa.array(values, type=pa.string())
    return pa.table(arrays)


def _truth_table(events: Events, ids: Sequence[int], modes: Sequence[str]) -> pa.Table:
    """Return the truth as an Arrow table; the damage is a map of the modes that have any."""
    import pyarrow as pa

    truth = events.truth
    assert truth is not None
    some = truth.damage > 0.0
    offsets = np.concatenate([[0], np.cumsum(some.sum(axis=1))]).astype(np.int32)
    keys = pa.DictionaryArray.from_arrays(
        pa.array(np.nonzero(some)[1].astype(np.int32)), pa.array(list(modes), pa.string())
    )
    damage = pa.MapArray.from_arrays(pa.array(offsets), keys.cast(pa.string()), pa.array(truth.damage[some]))
    return pa.table(
        {
            "machine_id": pa.array(np.array(ids, np.int16)[truth.machine]),
            "ts": pa.array(truth.ts_us, pa.int64()).cast(pa.timestamp("us")),
            "operating_state": pa.array(truth.state_names(), pa.string()),
            "damage": damage,
            "health": pa.array(truth.health()),
            "rul_h": pa.array(truth.rul_h, mask=np.isnan(truth.rul_h)),
        }
    )
