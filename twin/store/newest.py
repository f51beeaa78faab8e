"""The newest features of few machines in milliseconds: the formulas of `feature_text`, one row for each channel.

An engine's query of few rows costs what its columns cost; with channels as rows there is a handful of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from twin.store.connection import connection_settings
from twin.store.feature_text import (
    HOUR_US,
    LOADS,
    FeatureQuery,
    bucket_of,
    bucket_sums,
    formula,
    hours_in_bucket,
    hours_since,
    listed,
    orders,
    residual,
    running,
    shared,
    total,
)

if TYPE_CHECKING:
    import pandas as pd

_TABLES = {
    "readings_held": "machine_id BIGINT, ts TIMESTAMP, c INTEGER, speed DOUBLE, x DOUBLE",
    "alarmed_held": "machine_id BIGINT, ts TIMESTAMP",
    "worked_held": "machine_id BIGINT, ts TIMESTAMP",
    "baselines_held": "machine_id BIGINT, c INTEGER, known_us BIGINT, a DOUBLE, sd DOUBLE, bu DOUBLE, bv DOUBLE",
}


class NewestFeatures:
    """A prepared query for the newest row of each machine, over tables that are filled anew for each call.

    Parameters
    ----------
    query : FeatureQuery
    """

    def __init__(self, query: FeatureQuery) -> None:
        self._query, self._channels = query, query.summed()
        self._con = con = duckdb.connect(":memory:", config={**connection_settings(), "threads": 1})
        for name, columns in _TABLES.items():
            con.execute(f"CREATE TABLE {name} ({columns})")
        con.execute("PRAGMA disable_optimizer")  # which costs more than the query of so few rows
        con.execute(f"PREPARE statistics AS {_statistics_text(query)}")
        con.execute(f"PREPARE events AS {_events_text(query)}")
        self._windows = sorted({w.buckets for w in query.wanted})
        self._filled: dict[str, bool] = dict.fromkeys(_TABLES, False)
        self._baselines: Any = None

    def features(self, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Return the newest row of each machine: see `FrameFeatures.newest`."""
        import pandas as pd

        self._hold("readings_held", self._long(frames["readings"]))
        for name in ("alarmed", "worked"):
            self._hold(f"{name}_held", {c: frames[name][c].to_numpy() for c in ("machine_id", "ts")})
        if self._query.residuals and frames["baselines"] is not self._baselines:  # which change once in a life
            self._hold("baselines_held", self._long_baselines(frames["baselines"]))
            self._baselines = frames["baselines"]
        events = self._con.execute("EXECUTE events").fetchnumpy()
        found = {name: _plain(events[name]) for name in ("machine_id", "ts")}
        if self._query.wanted:
            found |= self._wide(self._con.execute("EXECUTE statistics").fetchnumpy(), len(found["machine_id"]))
        names = [
            *(name for name, _ in self._query.alarms),
            *([self._query.maintenance] * bool(self._query.maintenance)),
        ]
        return pd.DataFrame(found | {name: _plain(events[name]) for name in names})

    def _wide(self, rows: Mapping[str, Any], machines: int) -> dict[str, Any]:
        """Return the columns that are wanted of rows sorted by machine, window and channel."""
        shape = (machines, len(self._windows), len(self._channels))
        return {
            w.name: _plain(rows[w.statistic]).reshape(shape)[
                :, self._windows.index(w.buckets), self._channels.index(w.channel)
            ]
            for w in self._query.wanted
        }

    def _long(self, readings: pd.DataFrame) -> dict[str, Any]:
        count, channels = len(readings), self._channels
        many = max(1, len(channels))  # without channels, the readings still say which machines reported
        speed = readings["speed_rpm"].to_numpy() if self._query.running_only else np.ones(count)
        return {
            "machine_id": np.tile(readings["machine_id"].to_numpy(), many),
            "ts": np.tile(readings["ts"].to_numpy(), many),
            "c": np.repeat(np.arange(many, dtype=np.int32), count),
            "speed": np.tile(speed.astype(float), many),
            "x": np.concatenate([readings[c].to_numpy(dtype=float) for c in channels] or [np.full(count, np.nan)]),
        }

    def _long_baselines(self, fits: pd.DataFrame) -> dict[str, Any]:
        count, channels = len(fits), self._query.residuals
        u, v = LOADS
        parts = {
            name: np.concatenate([fits[column.format(c=c)].to_numpy(dtype=float) for c in channels])
            for name, column in {"a": "a_{c}", "sd": "sd_{c}", "bu": f"b_{u}_{{c}}", "bv": f"b_{v}_{{c}}"}.items()
        }
        numbers = np.array([self._channels.index(c) for c in channels], dtype=np.int32)
        whole = {name: np.tile(fits[name].to_numpy(), len(channels)) for name in ("machine_id", "known_us")}
        return {
            "machine_id": whole["machine_id"], "c": np.repeat(numbers, count), "known_us": whole["known_us"], **parts
        }  # fmt: skip

    def _hold(self, table: str, columns: Mapping[str, Any]) -> None:
        import pyarrow as pa

        if self._filled[table]:
            self._con.execute(f"TRUNCATE {table}")
        filled = bool(len(next(iter(columns.values()))))
        if filled:
            arrays = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}  # NaN is a gap
            self._con.register("given", pa.table(arrays))
            self._con.execute(f"INSERT INTO {table} SELECT * FROM given")
            self._con.unregister("given")
        self._filled[table] = filled


def _plain(values: Any) -> Any:
    """Return an array of the database without its mask: NaN where there is nothing."""
    return values.filled(np.nan) if isinstance(values, np.ma.MaskedArray) else values


def _buckets(query: FeatureQuery) -> str:
    """Return buckets as `feature_text` has them, with channels as rows."""
    found = orders(query).values()
    power, timed = max((p for p, _, _ in found), default=0), any(t for _, t, _ in found)
    sums = bucket_sums("x", "", power, timed, {end for _, _, ends in found for end in ends})
    sums += [f"sum({t}) FILTER (x IS NOT NULL) AS {name}" for name, t in (("t", "h"), ("tt", "h * h")) if timed]
    placed = f"{bucket_of(query, 'r.ts')} AS bucket, {hours_in_bucket(query)} AS h"
    began = "SELECT machine_id, min(ts) AS began_at FROM readings_held GROUP BY machine_id"
    shifts = (
        "SELECT r.machine_id, r.c, any_value(began_at) AS began_at, coalesce(avg(r.x), 0.0) AS level "
        "FROM readings_held r JOIN began b USING (machine_id) "
        f"WHERE r.ts < began_at + to_microseconds({query.cadence_us}) GROUP BY r.machine_id, r.c"
    )
    deviations = (
        f"SELECT r.machine_id, r.c, {placed}, r.x - level AS x FROM readings_held r JOIN shifts s USING (machine_id, c)"
    )
    stands = f" WHERE {running('r.speed')}" if query.running_only else ""
    return (
        f"WITH began AS ({began}), shifts AS MATERIALIZED ({shifts}), "
        f"buckets AS MATERIALIZED (SELECT machine_id, c, bucket, {listed(sums)} FROM ({deviations}{stands}) "
        "GROUP BY machine_id, c, bucket), "
        "lasts AS MATERIALIZED (SELECT machine_id, max(bucket) AS last FROM buckets GROUP BY machine_id)"
    )


def _statistics_text(query: FeatureQuery) -> str:
    """Return the query for all statistics of all channels and windows, of which those that are wanted are taken."""
    if not query.wanted:
        return "SELECT 1"
    wanted = {w.statistic for w in query.wanted}
    plain = sorted(s for s in wanted if s != "residual" and not s.startswith("q"))
    names = ["n", "p1", *(name for s in plain for name in _SUMS.get(s, ()))]
    sums = [f"{total(name)} AS {name}" for name in dict.fromkeys(names)]
    widths = ", ".join(f"({k})" for k in sorted({w.buckets for w in query.wanted}))
    rolled = (
        f"SELECT machine_id, k, c, any_value(level) AS level, any_value(last) AS last, {listed(sums)} "
        f"FROM (SELECT b.*, s.level, l.last, {hours_since(query, 's.began_at')} AS v FROM buckets b "
        "JOIN shifts s USING (machine_id, c) JOIN lasts l USING (machine_id)), "
        f"(VALUES {widths}) windows(k) WHERE last - bucket < k GROUP BY machine_id, k, c"
    )
    stated = f"SELECT *, {listed(shared(plain))} FROM rolled"
    columns, joins = [f"{formula(s, 'level')} AS {s}" for s in plain], ""
    if "residual" in wanted:
        mean, loads = formula("mean", "level"), [f"{x}.mean" for x in "uv"]
        known = f"r.last * {query.cadence_us} >= f.known_us"
        columns.append(f"{residual(mean, loads, ('f.a', 'f.sd', 'f.bu', 'f.bv'), known)} AS residual")
        joins = "LEFT JOIN baselines_held f USING (machine_id, c) " + " ".join(
            f"LEFT JOIN (SELECT machine_id, k, {mean} AS mean FROM stated WHERE c = {query.summed().index(load)}) {x} "
            "USING (machine_id, k)"
            for x, load in zip("uv", LOADS, strict=True)
        )
    ranked, more = _quantiles(query)
    return (
        f"{_buckets(query)}, rolled AS ({rolled}), stated AS MATERIALIZED ({stated}){more} "
        f"SELECT {listed([*columns, *ranked] or ['n'])} FROM stated r {joins}{_RANKED if ranked else ''} "
        "ORDER BY r.machine_id, r.k, r.c"
    )


_SUMS = {"sd": ("p2",), "slope": ("t", "tt", "tp"), "min": ("min",), "max": ("max",), "kurtosis": ("p2", "p3", "p4")}
_RANKED = " LEFT JOIN ranked USING (machine_id, k, c)"


def _quantiles(query: FeatureQuery) -> tuple[list[str], str]:
    """Return the columns of quantiles and the part of the query that finds them."""
    names = sorted({w.statistic for w in query.wanted if w.statistic.startswith("q")})
    if not names:
        return [], ""
    widths = ", ".join(f"({k})" for k in sorted({w.buckets for w in query.wanted}))
    values = listed([f"quantile_cont(r.x, {int(name[1:]) / 100}) AS {name}" for name in names])
    stands = f" AND {running('r.speed')}" if query.running_only else ""
    part = (
        f"SELECT r.machine_id, k, r.c, {values} FROM readings_held r JOIN lasts USING (machine_id), (VALUES {widths}) "
        f"windows(k) WHERE last - {bucket_of(query, 'r.ts')} < k{stands} GROUP BY r.machine_id, k, r.c"
    )
    return [f"ranked.{name} AS {name}" for name in names], f", ranked AS ({part})"


def _events_text(query: FeatureQuery) -> str:
    """Return the query for each machine's newest row: alarms counted, hours since the last work."""
    stands = f" WHERE {running('r.speed')}" if query.running_only else ""
    last = (
        f"SELECT machine_id, max({bucket_of(query, 'r.ts')}) AS last FROM readings_held r{stands} GROUP BY machine_id"
    )
    columns = ["l.machine_id AS machine_id", f"make_timestamp(l.last * {query.cadence_us}) AS ts"]
    joins = []
    events = "(SELECT e.*, l.last FROM {}_held e JOIN lasts l USING (machine_id))"
    at = f"make_timestamp(last * {query.cadence_us})"
    for name, buckets in query.alarms:
        within = f"ts > make_timestamp((last - {buckets}) * {query.cadence_us}) AND ts <= {at}"
        counted = f"SELECT machine_id, count(*) AS n FROM {events.format('alarmed')} WHERE {within} GROUP BY machine_id"
        joins.append(f"LEFT JOIN ({counted}) {name} USING (machine_id)")
        columns.append(f"coalesce({name}.n, 0)::DOUBLE AS {name}")
    if query.maintenance:
        latest = f"SELECT machine_id, max(ts) AS ts FROM {events.format('worked')} WHERE ts <= {at} GROUP BY machine_id"
        joins.append(f"LEFT JOIN ({latest}) m USING (machine_id)")
        columns.append(f"(l.last * {query.cadence_us} - epoch_us(m.ts)) / {HOUR_US}.0 AS {query.maintenance}")
    text = f"SELECT {listed(columns)} FROM lasts l {' '.join(joins)} ORDER BY l.machine_id"
    return f"WITH lasts AS MATERIALIZED ({last}) {text}"
