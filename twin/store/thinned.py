"""Readings of a run in progress, thinned: the first of each interval, of its first days and its newest hours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twin.catalog.parameters import CHANNELS
from twin.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


def thinned(
    store: Store, run_id: int, interval_us: int, readings_us: int, until_us: int, after_us: int
) -> pd.DataFrame:
    """Return ``machine_id, ts`` and channels, ordered by time and machine.

    Parameters
    ----------
    store : Store
    run_id : int
    interval_us : int
        Between two readings of the run.
    readings_us : int
        Of each such interval, the first reading is taken.
    until_us, after_us : int
        Readings up to the one time, and after the other.
    """
    channels = ", ".join(f"{name}::FLOAT AS {name}" for name in CHANNELS)
    # the one before lies in another interval: so this is the first of its own
    sql = (
        f"SELECT machine_id, ts, {channels} FROM telemetry WHERE run_id = $1 "
        "AND epoch_us(ts) // $3 > (epoch_us(ts) - $2) // $3 "
        "AND (ts <= make_timestamp($4) OR ts > make_timestamp($5)) ORDER BY ts, machine_id"
    )
    return store.query(sql, [run_id, interval_us, readings_us, until_us, after_us])
