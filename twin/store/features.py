"""Features as SQL: readings go into buckets once, and windows are made of buckets, so one scan serves them all."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

from twin.store.connection import connection_settings
from twin.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

HOUR_US = 3_600_000_000
STATISTICS = ("mean", "sd", "slope", "min", "max", "kurtosis")
"""Of readings in a window; quantiles are written ``q05`` to ``q95``."""
LOADS = ("torque_nm", "speed_rpm")
"""What a machine is asked for: the channels on which a baseline explains the others."""
_POWERS = {"mean": 1, "sd": 2, "slope": 1, "kurtosis": 4}


@dataclass(frozen=True)
class Wanted:
    """A feature: a statistic of a channel over the last so many buckets; ``residual`` is one, too."""

    name: str
    channel: str
    statistic: str
    buckets: int


@dataclass(frozen=True)
class FeatureQuery:
    """What is asked of readings.

    Attributes
    ----------
    wanted : tuple of Wanted
        Features of channels.
    cadence_us : int
        Width of a bucket; a row for each in which a machine reported.
    baseline_us : int
        How long from a machine's first reading its own baseline is taken.
    running_only : bool
        Whether readings of a standing shaft are left out.
    alarms : tuple of (str, int)
        Name and buckets of each count of alarms.
    maintenance : str
        Name of the hours since the last work; empty: not wanted.
    """

    wanted: tuple[Wanted, ...]
    cadence_us: int
    baseline_us: int
    running_only: bool
    alarms: tuple[tuple[str, int], ...] = ()
    maintenance: str = ""

    @property
    def residuals(self) -> list[str]:
        """The channels whose baseline is needed."""
        return sorted({w.channel for w in self.wanted if w.statistic == "residual"})

    def summed(self) -> list[str]:
        """Return the channels of which windows are made."""
        loads = LOADS if self.residuals else ()
        return list(dict.fromkeys([*(w.channel for w in self.wanted), *loads]))

    def channels(self) -> list[str]:
        """Return the channels that are read."""
        return list(dict.fromkeys([*self.summed(), *(["speed_rpm"] if self.running_only else [])]))


def run_features(
    store: Store,
    query: FeatureQuery,
    run_id: int,
    machines: Sequence[int] | None,
    start_us: int | None,
    end_us: int | None,
) -> pd.DataFrame:
    """Return the features of a stored run: ``machine_id, ts`` and the wanted columns, sorted."""
    chosen = "" if machines is None else " AND list_contains($2, machine_id)"
    sources = {
        "readings": _readings(query) + chosen,
        "alarmed": "SELECT machine_id, ts FROM alarms WHERE run_id = $1",
        "worked": "SELECT machine_id, end_at AS ts FROM maintenance_log WHERE run_id = $1",
    }
    bound = [run_id] if machines is None else [run_id, [int(m) for m in machines]]
    with store.reading() as tx:
        return tx.query(_text(query, sources, None, start_us, end_us), bound)


def run_baseline(store: Store, query: FeatureQuery, run_id: int) -> pd.DataFrame:
    """Return the baseline of each machine of a stored run: see `FrameFeatures.baseline`."""
    with store.reading() as tx:
        return tx.query(_baseline_text(query, {"readings": _readings(query)}), [run_id])


class FrameFeatures:
    """The same features of frames in memory, by a connection that stays open; threads take turns.

    Parameters
    ----------
    query : FeatureQuery
    """

    def __init__(self, query: FeatureQuery) -> None:
        self._query = query
        self._turn = threading.Lock()
        self._prepared: _Prepared | None = None

    def features(self, frames: Mapping[str, pd.DataFrame], since_us: int | None = None) -> pd.DataFrame:
        """Return features of the frames ``readings``, ``alarmed``, ``worked`` and, if given, ``baselines``."""
        given = {name: f"SELECT * FROM {name}_given" for name in _INPUTS}
        baseline = "SELECT * FROM baselines_given" if "baselines" in frames else None
        return _query_frames(frames, _text(self._query, given, baseline, since_us, None))

    def newest(self, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Return the newest row of each machine; ``baselines`` must be given where there are residuals."""
        with self._turn:
            self._prepared = self._prepared or _Prepared(self._query)
            return self._prepared.features(frames)

    def baseline(self, readings: pd.DataFrame) -> pd.DataFrame:
        """Return the baseline of each machine: ``machine_id, known_us`` and the coefficients of each channel."""
        text = _baseline_text(self._query, {"readings": "SELECT * FROM readings_given"})
        return _query_frames({"readings": readings}, text)

    def __getstate__(self) -> FeatureQuery:
        return self._query

    def __setstate__(self, query: FeatureQuery) -> None:
        self._query, self._turn, self._prepared = query, threading.Lock(), None


_INPUTS = ("readings", "alarmed", "worked")


def _query_frames(frames: Mapping[str, pd.DataFrame], text: str) -> pd.DataFrame:
    with duckdb.connect(":memory:", config=connection_settings()) as con:
        for name, frame in frames.items():
            con.register(f"{name}_given", frame)
        return con.execute(text).df()


class _Prepared:
    """The query for newest rows over tables that are filled anew for each call: a few milliseconds for a machine."""

    def __init__(self, query: FeatureQuery) -> None:
        self._con = con = duckdb.connect(":memory:", config={**connection_settings(), "threads": 1})
        channels = ", ".join(f"{c} DOUBLE" for c in query.channels())
        con.execute(f"CREATE TABLE readings_held (machine_id BIGINT, ts TIMESTAMP, {channels})")
        for name in ("alarmed", "worked"):
            con.execute(f"CREATE TABLE {name}_held (machine_id BIGINT, ts TIMESTAMP)")
        self._baselines: pd.DataFrame | None = None
        self._columns = {name: ["machine_id", "ts"] for name in _INPUTS}
        self._columns["readings"] += query.channels()
        baseline = None
        if query.residuals:
            self._columns["baselines"] = _baseline_columns(query)
            held = ", ".join(f"{c} {'BIGINT' if c in _WHOLE else 'DOUBLE'}" for c in self._columns["baselines"])
            con.execute(f"CREATE TABLE baselines_held ({held})")
            baseline = "SELECT * FROM baselines_held"
        con.execute("PRAGMA disable_optimizer")  # which costs more than the query of so few rows
        given = {name: f"SELECT * FROM {name}_held" for name in _INPUTS}
        con.execute(f"PREPARE wanted AS {_text(query, given, baseline, newest=True)}")

    def features(self, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        import pandas as pd

        for name, columns in self._columns.items():
            if name != "baselines" or frames[name] is not self._baselines:  # which change once in a machine's life
                self._hold(name, frames[name], columns)
        self._baselines = frames.get("baselines")
        found = self._con.execute("EXECUTE wanted").fetchnumpy()
        return pd.DataFrame({name: _plain(values) for name, values in found.items()})

    def _hold(self, name: str, frame: pd.DataFrame, columns: list[str]) -> None:
        import pyarrow as pa

        self._con.execute(f"TRUNCATE {name}_held")
        if len(frame):
            self._con.register("given", pa.table({c: frame[c].to_numpy() for c in columns}))
            self._con.execute(f"INSERT INTO {name}_held SELECT * FROM given")
            self._con.unregister("given")


def _plain(values: Any) -> Any:
    """Return an array of the database without its mask: NaN where there is nothing."""
    import numpy as np

    return values.filled(np.nan) if isinstance(values, np.ma.MaskedArray) else values


_WHOLE = ("machine_id", "known_us")


def _baseline_columns(query: FeatureQuery) -> list[str]:
    u, v = LOADS
    return [*_WHOLE, *(f"{x}_{c}" for c in query.residuals for x in ("a", f"b_{u}", f"b_{v}", "sd"))]


def _readings(query: FeatureQuery) -> str:
    return f"SELECT machine_id, ts, {_listed(query.channels())} FROM telemetry WHERE run_id = $1"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)


def _text(
    query: FeatureQuery,
    sources: Mapping[str, str],
    baseline: str | None,
    start_us: int | None = None,
    end_us: int | None = None,
    newest: bool = False,
) -> str:
    """Return the whole query; a bucket is named by its end, and holds what was reported after the one before."""
    parts = [f"{name} AS ({text})" for name, text in sources.items()]
    parts += _shift_parts(query)
    parts.append(f"buckets AS ({_buckets(query)})")
    quantiles = [w for w in query.wanted if w.statistic.startswith("q")]
    for buckets in sorted({w.buckets for w in quantiles}):
        parts.append(f"quantiles_{buckets} AS ({_quantiles(query, quantiles, buckets)})")
    if query.residuals:
        parts.append(f"baselines AS ({baseline or _baseline(query)})")
    if newest:
        parts.append("lasts AS (SELECT machine_id, max(bucket) AS last FROM buckets GROUP BY machine_id)")
    parts.append(f"rolled AS ({_rolled(query, newest)})")
    limits = [
        f"r.bucket * {query.cadence_us} {sign} {at}" for sign, at in ((">=", start_us), ("<", end_us)) if at is not None
    ]
    where = f" WHERE {' AND '.join(limits)}" if limits else ""
    parts.append(f"stated AS ({_stated(query)})")
    return (
        f"WITH {', '.join(parts)} SELECT r.machine_id::BIGINT AS machine_id, "
        f"make_timestamp(r.bucket * {query.cadence_us}) AS ts, "
        f"{_listed(_outputs(query))} FROM stated r {_joins(query, newest)}{where} ORDER BY r.machine_id, r.bucket"
    )


def _baseline_text(query: FeatureQuery, sources: Mapping[str, str]) -> str:
    parts = [f"{name} AS ({text})" for name, text in sources.items()]
    parts += [*_shift_parts(query), f"buckets AS ({_buckets(query)})"]
    return f"WITH {', '.join(parts)} {_baseline(query)}"


def _bucket_of(query: FeatureQuery, ts: str) -> str:
    return f"((epoch_us({ts}) + {query.cadence_us - 1}) // {query.cadence_us})"


def _shift_parts(query: FeatureQuery) -> list[str]:
    """Return what is subtracted from each machine's readings before powers are summed: its own early level.

    Powers of deviations keep their digits where those of the readings would cancel.
    """
    levels = _listed([f"coalesce(avg(r.{c}), 0.0)::DOUBLE AS x_{c}" for c in query.summed()])
    early = f"r.machine_id = b.machine_id AND r.ts < b.ts + to_microseconds({query.cadence_us})"
    shifts = (
        f"SELECT b.machine_id, any_value(b.ts) AS began_at, {levels} FROM began b JOIN readings r ON {early} "
        "GROUP BY b.machine_id"
    )
    began = "SELECT machine_id, min(ts) AS ts FROM readings GROUP BY machine_id"
    return [f"began AS MATERIALIZED ({began})", f"shifts AS MATERIALIZED ({shifts})"]


def _orders(query: FeatureQuery) -> dict[str, tuple[int, bool, set[str]]]:
    """Return for each channel the highest power, whether times are summed, and which extremes are wanted."""
    found: dict[str, tuple[int, bool, set[str]]] = {}
    for c in query.summed():
        mine = [w for w in query.wanted if w.channel == c]
        power = max((_POWERS.get(w.statistic, 0) for w in mine), default=0)
        regressed = c in query.residuals or (c in LOADS and bool(query.residuals))
        power = max(power, 1 if regressed else 0)
        ends = {w.statistic for w in mine} & {"min", "max"}
        found[c] = (power, any(w.statistic == "slope" for w in mine), ends)
    return found


_TIMES = (("t", "h"), ("tt", "h * h"))


def _buckets(query: FeatureQuery) -> str:
    """Return the sums of each bucket: counts, powers of deviations ``p1`` to ``p4``, and of times in hours ``t``."""
    inner, sums = [], []
    for c, (power, timed, ends) in _orders(query).items():
        inner.append(f"r.{c}::DOUBLE - s.x_{c} AS {c}")
        sums.append(f"count({c})::DOUBLE AS n_{c}")
        sums += [f"sum({' * '.join([c] * k)}) AS p{k}_{c}" for k in range(1, power + 1)]
        sums += [f"{end}({c}) AS {end}_{c}" for end in sorted(ends)]
        if timed:
            # all times less those without a reading, which are few: faster than a condition for each reading
            sums += [f"sum({x}) - coalesce(sum({x}) FILTER ({c} IS NULL), 0) AS {n}_{c}" for n, x in _TIMES]
            sums.append(f"sum(h * {c}) AS tp_{c}")
    bucket = _bucket_of(query, "r.ts")
    stands = " WHERE r.speed_rpm > 0 OR r.speed_rpm IS NULL" if query.running_only else ""
    hours = f"(epoch_us(r.ts) - {bucket} * {query.cadence_us}) / {HOUR_US}.0"
    return (
        f"SELECT machine_id, bucket, {_listed(sums)} FROM (SELECT r.machine_id, {bucket} AS bucket, {hours} AS h, "
        f"{_listed(inner)} FROM readings r JOIN shifts s USING (machine_id){stands}) GROUP BY machine_id, bucket"
    )


def _quantiles(query: FeatureQuery, wanted: Sequence[Wanted], buckets: int) -> str:
    """Return exact quantiles: each reading counts in every window that holds it."""
    mine = [w for w in wanted if w.buckets == buckets]
    values = _listed([f"quantile_cont(r.{w.channel}::DOUBLE, {int(w.statistic[1:]) / 100}) AS {w.name}" for w in mine])
    bucket = _bucket_of(query, "r.ts")
    stands = " WHERE r.speed_rpm > 0 OR r.speed_rpm IS NULL" if query.running_only else ""
    return (
        f"SELECT r.machine_id, {bucket} + k.k AS bucket, {values} FROM readings r, range({buckets}) k(k){stands} "
        f"GROUP BY r.machine_id, {bucket} + k.k"
    )


def _rolled(query: FeatureQuery, newest: bool) -> str:
    """Return sums over windows of buckets, named as in `_buckets` with the number of buckets behind.

    For the newest row of each machine alone, they are plain sums over its last buckets, one query for each width:
    a filter for each sum, or a window function, takes ten milliseconds of the few rows of a stream.
    """
    windows = sorted({w.buckets for w in query.wanted})
    begun = f"(b.bucket - {_bucket_of(query, 's.began_at')}) * {query.cadence_us / HOUR_US!r}::DOUBLE"
    placed = f"SELECT b.*, {begun} AS v FROM buckets b JOIN shifts s USING (machine_id)"
    if newest:
        parts = []
        for k in windows:
            sums = [f"{aggregate.format(over='')} AS {name}_{k}" for name, aggregate in _aggregates(query, k)]
            chosen = f"({placed}) JOIN lasts USING (machine_id) WHERE last - bucket < {k}"
            parts.append(f"(SELECT {_listed(['machine_id', *sums])} FROM {chosen} GROUP BY machine_id)")
        joins = " ".join(f"JOIN {part} USING (machine_id)" for part in parts)
        return f"SELECT *, last AS bucket FROM lasts {joins}"
    columns = [
        f"{aggregate.format(over=f'OVER w{k}')} AS {name}_{k}"
        for k in windows
        for name, aggregate in _aggregates(query, k)
    ]
    frame = "PARTITION BY machine_id ORDER BY bucket RANGE BETWEEN"
    named = [f"w{k} AS ({frame} {k - 1} PRECEDING AND CURRENT ROW)" for k in windows]
    window = f" WINDOW {_listed(named)}" if named else ""
    return f"SELECT {_listed(['machine_id', 'bucket', *columns])} FROM ({placed}){window}"


def _aggregates(query: FeatureQuery, k: int) -> Iterator[tuple[str, str]]:
    """Yield names and texts of what is summed over windows of k buckets; ``{over}`` stands for the window."""
    for c, (power, timed, ends) in _orders(query).items():
        mine = {w.statistic for w in query.wanted if w.channel == c and w.buckets == k}
        if mine - {"min", "max"} or (query.residuals and c in LOADS):
            for name in (f"n_{c}", *(f"p{j}_{c}" for j in range(1, power + 1))):
                yield name, f"sum({name}) {{over}}"
        for end in sorted(ends & mine):
            yield f"{end}_{c}", f"{end}({end}_{c}) {{over}}"
        if timed and "slope" in mine:  # with times from a machine's first bucket
            yield f"t_{c}", f"sum(t_{c} + n_{c} * v) {{over}}"
            yield f"tt_{c}", f"sum(tt_{c} + 2 * v * t_{c} + n_{c} * v * v) {{over}}"
            yield f"tp_{c}", f"sum(tp_{c} + v * p1_{c}) {{over}}"


def _outputs(query: FeatureQuery) -> list[str]:
    found = []
    for w in query.wanted:
        source = f"q{w.buckets}.{w.name}" if w.statistic.startswith("q") else _formula(w, query.cadence_us)
        found.append(f"({source})::DOUBLE AS {w.name}")
    for name, _ in query.alarms:
        found.append(f"(coalesce(now_{name}.n, 0) - coalesce(then_{name}.n, 0))::DOUBLE AS {name}")
    if query.maintenance:
        found.append(f"(r.bucket * {query.cadence_us} - epoch_us(m.ts)) / {HOUR_US}.0 AS {query.maintenance}")
    return found


def _stated(query: FeatureQuery) -> str:
    """Return window sums with what several statistics share, said once: an engine without optimizer repeats it."""
    columns = []
    for k in sorted({w.buckets for w in query.wanted}):
        names = {name for name, _ in _aggregates(query, k)}
        for c in (name.removeprefix("n_") for name in sorted(names) if name.startswith("n_")):
            columns.append(f"p1_{c}_{k} / nullif(n_{c}_{k}, 0) AS mu_{c}_{k}")
            if f"p2_{c}" in names:
                columns.append(f"greatest(p2_{c}_{k} - p1_{c}_{k} * mu_{c}_{k}, 0) AS m2_{c}_{k}")
            if f"t_{c}" in names:
                columns.append(f"tt_{c}_{k} - t_{c}_{k} * t_{c}_{k} / nullif(n_{c}_{k}, 0) AS ss_{c}_{k}")
    return f"SELECT {_listed(['*', *columns])} FROM rolled"


def _formula(w: Wanted, cadence_us: int) -> str:
    """Return a statistic of window sums; shifts come back where a level is meant."""
    c, k = w.channel, w.buckets
    n, p1, p2, p3, p4, mu, m2, ss = (f"{name}_{c}_{k}" for name in ("n", "p1", "p2", "p3", "p4", "mu", "m2", "ss"))
    if w.statistic == "mean":
        return f"s.x_{c} + {mu}"
    if w.statistic in ("min", "max"):
        return f"s.x_{c} + {w.statistic}_{c}_{k}"
    if w.statistic == "sd":
        return f"CASE WHEN {n} > 1 THEN sqrt({m2} / ({n} - 1)) END"
    if w.statistic == "slope":
        return f"CASE WHEN {n} > 1 AND {ss} > 1e-12 THEN (tp_{c}_{k} - t_{c}_{k} * {mu}) / {ss} END"
    if w.statistic == "kurtosis":
        m4 = f"({p4} - 4 * {mu} * {p3} + 6 * {mu} * {mu} * {p2} - 3 * {n} * {mu} * {mu} * {mu} * {mu})"
        whole = f"{n} * ({n} + 1) * ({n} - 1) * {m4} / (({n} - 2) * ({n} - 3) * {m2} * {m2})"
        normal = f"3.0 * ({n} - 1) * ({n} - 1) / (({n} - 2) * ({n} - 3))"
        return f"CASE WHEN {n} > 3 AND {m2} > 1e-12 * {n} THEN {whole} - {normal} END"
    expected = f"b.a_{c} + " + " + ".join(f"b.b_{load}_{c} * (s.x_{load} + mu_{load}_{k})" for load in LOADS)
    known = f"r.bucket * {cadence_us} >= b.known_us"
    return f"CASE WHEN {known} THEN (s.x_{c} + {mu} - ({expected})) / b.sd_{c} END"


def _joins(query: FeatureQuery, newest: bool) -> str:
    joins = ["JOIN shifts s USING (machine_id)"]
    if query.residuals:
        joins.append("LEFT JOIN baselines b USING (machine_id)")
    ranked = sorted({w.buckets for w in query.wanted if w.statistic.startswith("q")})
    joins += [f"LEFT JOIN quantiles_{k} q{k} USING (machine_id, bucket)" for k in ranked]
    if newest:
        return " ".join(joins + _newest_events(query))
    counted = "(SELECT machine_id, ts, count(*) OVER (PARTITION BY machine_id ORDER BY ts) AS n FROM alarmed)"
    at = f"make_timestamp(r.bucket * {query.cadence_us})"
    for name, buckets in query.alarms:
        now, then = f"now_{name}", f"then_{name}"
        back = f"make_timestamp((r.bucket - {buckets}) * {query.cadence_us})"
        joins.append(f"ASOF LEFT JOIN {counted} {now} ON {now}.machine_id = r.machine_id AND {now}.ts <= {at}")
        joins.append(f"ASOF LEFT JOIN {counted} {then} ON {then}.machine_id = r.machine_id AND {then}.ts <= {back}")
    if query.maintenance:
        joins.append(f"ASOF LEFT JOIN worked m ON m.machine_id = r.machine_id AND m.ts <= {at}")
    return " ".join(joins)


def _newest_events(query: FeatureQuery) -> list[str]:
    """Return what the as-of joins find for one row of each machine, without carrying all its columns through them."""
    at = f"e.ts <= make_timestamp(last * {query.cadence_us})"
    joins = []
    for name, buckets in query.alarms:
        for alias, back in ((f"now_{name}", 0), (f"then_{name}", buckets)):
            until = f"e.ts <= make_timestamp((last - {back}) * {query.cadence_us})"
            counted = f"SELECT machine_id, count(*) AS n FROM alarmed e JOIN lasts USING (machine_id) WHERE {until}"
            joins.append(f"LEFT JOIN ({counted} GROUP BY machine_id) {alias} USING (machine_id)")
    if query.maintenance:
        latest = f"SELECT machine_id, max(e.ts) AS ts FROM worked e JOIN lasts USING (machine_id) WHERE {at}"
        joins.append(f"LEFT JOIN ({latest} GROUP BY machine_id) m USING (machine_id)")
    return joins


def _baseline(query: FeatureQuery) -> str:
    """Return each machine's linear fit of a channel on what was asked of it, over its first buckets.

    The normal equations of two regressors, with a small ridge, as a machine at one speed tells nothing of it.
    """
    means = _listed(
        [f"x_{c} + p1_{c} / nullif(n_{c}, 0) AS {c}" for c in query.summed() if c in (*query.residuals, *LOADS)]
    )
    u, v = LOADS
    columns = []
    for c in query.residuals:
        columns += [
            f"covar_pop({c}, {u}) AS yu_{c}", f"covar_pop({c}, {v}) AS yv_{c}", f"var_pop({c}) AS yy_{c}",
            f"avg({c}) AS my_{c}", f"count({c}) AS n_{c}",
        ]  # fmt: skip
    moments = (
        f"SELECT machine_id, any_value(began_at) AS began_at, avg({u}) AS mu, avg({v}) AS mv, "
        f"var_pop({u}) + 1e-6 * avg({u}) * avg({u}) + 1e-12 AS uu, "
        f"var_pop({v}) + 1e-6 * avg({v}) * avg({v}) + 1e-12 AS vv, "
        f"covar_pop({u}, {v}) AS uv, {_listed(columns)} FROM "
        f"(SELECT b.machine_id, s.began_at, {means} FROM buckets b JOIN shifts s USING (machine_id) "
        f"WHERE b.bucket * {query.cadence_us} <= epoch_us(s.began_at) + {query.baseline_us}) GROUP BY machine_id"
    )
    fits, out = [], []
    for c in query.residuals:
        bu = f"(yu_{c} * vv - yv_{c} * uv) / (uu * vv - uv * uv)"
        bv = f"(yv_{c} * uu - yu_{c} * uv) / (uu * vv - uv * uv)"
        fits += [f"{bu} AS b_{u}_{c}", f"{bv} AS b_{v}_{c}"]
        left = f"greatest(yy_{c} - b_{u}_{c} * yu_{c} - b_{v}_{c} * yv_{c}, 0)"
        out += [
            f"my_{c} - b_{u}_{c} * mu - b_{v}_{c} * mv AS a_{c}", f"b_{u}_{c}", f"b_{v}_{c}",
            # a floor of a thousandth of the level: an instrument that shows the same each hour is not infinitely sure
            f"CASE WHEN n_{c} > 2 THEN sqrt({left}) + 1e-3 * abs(my_{c}) + 1e-9 END AS sd_{c}",
        ]  # fmt: skip
    return (
        f"SELECT machine_id, epoch_us(began_at) + {query.baseline_us} AS known_us, {_listed(out)} "
        f"FROM (SELECT *, {_listed(fits)} FROM ({moments}))"
    )
