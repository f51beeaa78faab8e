"""The truth that labels are made of: failures, standstills and work of a run, with when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


def label_tables(store: Store, run_id: int) -> dict[str, pd.DataFrame]:
    """Return the truth by time: ``failures`` (machine_id, ts, mode), ``stands`` and ``work``.

    ``stands`` are the times in which a machine did not work, one row each; ``failed`` tells those that a
    failure began. ``work`` (machine_id, ts) is when maintenance began.
    """
    bound = [run_id]
    with store.reading() as tx:
        failures = tx.query(_FAILURES, bound)
        stands = tx.query(_STANDS, bound)
        work = tx.query(_WORK, bound)
    return {"failures": failures, "stands": stands, "work": work}


_FAILURES = "SELECT machine_id, failed_at AS ts, mode FROM failures WHERE run_id = ? ORDER BY ts"
_WORK = "SELECT machine_id, start_at AS ts FROM maintenance_log WHERE run_id = ? AND start_at IS NOT NULL ORDER BY ts"
# neighbouring states in which the machine stands are one standstill: failed, then in maintenance
_STANDS = """
WITH states AS (
    SELECT machine_id, start_at, end_at, operating_state IN ('running', 'idle') AS works,
        operating_state = 'failed' AS failed
    FROM machine_states WHERE run_id = ?
), turns AS (
    SELECT *, works IS DISTINCT FROM lag(works) OVER (PARTITION BY machine_id ORDER BY start_at) AS turn FROM states
), counted AS (
    SELECT *, sum(turn::INT) OVER (PARTITION BY machine_id ORDER BY start_at) AS part FROM turns
)
SELECT machine_id, min(start_at) AS ts, max(end_at) AS end_at, bool_or(failed) AS failed
FROM counted WHERE NOT works GROUP BY machine_id, part ORDER BY ts
"""
