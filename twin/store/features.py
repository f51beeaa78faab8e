"""Features of stored runs and of frames, by one text of SQL."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import duckdb

from twin.store.connection import connection_settings
from twin.store.feature_text import FeatureQuery, baseline_text, feature_text, stored_readings
from twin.store.newest import NewestFeatures
from twin.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


def run_features(
    store: Store,
    query: FeatureQuery,
    run_id: int,
    began_us: int,
    machines: Sequence[int] | None,
    start_us: int | None,
    end_us: int | None,
) -> pd.DataFrame:
    """Return the features of a stored run: ``machine_id, ts`` and the wanted columns, sorted.

    All machines of a run report from the time on at which it began.
    """
    chosen = "" if machines is None else " AND list_contains($2, machine_id)"
    sources = {
        "readings": stored_readings(query) + chosen,
        "early": stored_readings(query, began_us + query.cadence_us) + chosen,
        "alarmed": "SELECT machine_id, ts FROM alarms WHERE run_id = $1",
        "worked": "SELECT machine_id, end_at AS ts FROM maintenance_log WHERE run_id = $1",
    }
    bound = [run_id] if machines is None else [run_id, [int(m) for m in machines]]
    with store.reading() as tx:
        return tx.query(feature_text(query, sources, None, start_us, end_us), bound)


def run_baseline(store: Store, query: FeatureQuery, run_id: int, began_us: int) -> pd.DataFrame:
    """Return the baseline of each machine of a stored run: see `FrameFeatures.baseline`."""
    early = stored_readings(query, began_us + query.baseline_us + query.cadence_us)
    with store.reading() as tx:
        return tx.query(baseline_text(query, {"readings": early}), [run_id])


class FrameFeatures:
    """The same features of frames in memory, by a connection that stays open; threads take turns.

    Parameters
    ----------
    query : FeatureQuery
    """

    def __init__(self, query: FeatureQuery) -> None:
        self._query = query
        self._turn = threading.Lock()
        self._newest: NewestFeatures | None = None

    def features(self, frames: Mapping[str, pd.DataFrame], since_us: int | None = None) -> pd.DataFrame:
        """Return features of the frames ``readings``, ``alarmed``, ``worked`` and, if given, ``baselines``."""
        given = {name: f"SELECT * FROM {name}_given" for name in _INPUTS}
        baseline = "SELECT * FROM baselines_given" if "baselines" in frames else None
        return _query_frames(frames, feature_text(self._query, given, baseline, since_us, None))

    def newest(self, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Return the newest row of each machine; ``baselines`` must be given where there are residuals."""
        with self._turn:
            self._newest = self._newest or NewestFeatures(self._query)
            return self._newest.features(frames)

    def baseline(self, readings: pd.DataFrame) -> pd.DataFrame:
        """Return the baseline of each machine: ``machine_id, known_us`` and the coefficients of each channel."""
        text = baseline_text(self._query, {"readings": "SELECT * FROM readings_given"})
        return _query_frames({"readings": readings}, text)

    def __getstate__(self) -> FeatureQuery:
        return self._query

    def __setstate__(self, query: FeatureQuery) -> None:
        self._query, self._turn, self._newest = query, threading.Lock(), None


_INPUTS = ("readings", "alarmed", "worked")


def _query_frames(frames: Mapping[str, pd.DataFrame], text: str) -> pd.DataFrame:
    with duckdb.connect(":memory:", config=connection_settings()) as con:
        for name, frame in frames.items():
            con.register(f"{name}_given", frame)
        return con.execute(text).df()
