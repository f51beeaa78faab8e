"""Live sessions on their way into the tables: runs that grow while people drive them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twin.store.catalog_tables import Transaction
from twin.store.events import add_events

if TYPE_CHECKING:
    from twin.events import Events
    from twin.plan import Plan

_EVENT_TABLES = ("failures", "alarms", "maintenance_log", "lives", "work_orders", "ground_truth")


def grow_run(
    tx: Transaction, run_id: int, plan: Plan | None, end_us: int, commands: Sequence[Mapping[str, Any]]
) -> None:
    """Let a run's row say how far its session has come, in the transaction that stores the readings.

    Parameters
    ----------
    tx : Transaction
    run_id : int
    plan : Plan or None
        What the plan has become, if commands have changed it.
    end_us : int
        Time of the next tick, microseconds since 1970 UTC.
    commands : sequence of mappings
        Rows of `session_commands` but for the run.
    """
    changes: dict[str, Any] = {"end_at": end_us}
    if plan is not None:
        changes |= {"plan": plan.to_json(), "plan_sha256": plan.sha256, "world_sha256": plan.world_sha256}
    tx.update("runs", run_id, changes)
    tx.insert_many("session_commands", [{"run_id": run_id, **row} for row in commands])


def replace_events(tx: Transaction, run_id: int, events: Events, plan: Plan, modes: Sequence[str]) -> None:
    """Store all that happened in a run, in place of what was stored of it before."""
    for table in _EVENT_TABLES:
        tx.execute(f'DELETE FROM "{table}" WHERE run_id = ?', [run_id])
    add_events(tx, run_id, events, plan, modes)
