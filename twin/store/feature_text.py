"""Features as SQL: readings go into buckets once, and windows are made of buckets, so one scan serves them all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

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


def stored_readings(query: FeatureQuery, until_us: int | None = None) -> str:
    """Return the query for the readings of a stored run, whose number is bound; perhaps those before a time alone."""
    early = "" if until_us is None else f" AND ts < make_timestamp({until_us})"
    return f"SELECT machine_id, ts, {listed(query.channels())} FROM telemetry WHERE run_id = $1{early}"


def listed(names: Sequence[str]) -> str:
    """Return expressions one after the other."""
    return ", ".join(names)


def feature_text(
    query: FeatureQuery,
    sources: Mapping[str, str],
    baseline: str | None,
    start_us: int | None = None,
    end_us: int | None = None,
) -> str:
    """Return the whole query; a bucket is named by its end, and holds what was reported after the one before.

    Sources are ``readings``, ``alarmed``, ``worked`` and, if given, ``early``: the readings of each machine's first
    bucket at least, where they can be found without reading all.
    """
    parts = [f"{name} AS ({text})" for name, text in sources.items()]
    parts += _shift_parts(query, "early" if "early" in sources else "readings")
    parts.append(f"buckets AS ({_buckets(query)})")
    quantiles = [w for w in query.wanted if w.statistic.startswith("q")]
    for buckets in sorted({w.buckets for w in quantiles}):
        parts.append(f"quantiles_{buckets} AS ({_quantiles(query, quantiles, buckets)})")
    if query.residuals:
        parts.append(f"baselines AS ({baseline or _baseline(query)})")
    parts.append(f"rolled AS ({_rolled(query)})")
    limits = [
        f"r.bucket * {query.cadence_us} {sign} {at}" for sign, at in ((">=", start_us), ("<", end_us)) if at is not None
    ]
    where = f" WHERE {' AND '.join(limits)}" if limits else ""
    parts.append(f"stated AS ({_stated(query)})")
    return (
        f"WITH {', '.join(parts)} SELECT r.machine_id::BIGINT AS machine_id, "
        f"make_timestamp(r.bucket * {query.cadence_us}) AS ts, "
        f"{listed(_outputs(query))} FROM stated r {_joins(query)}{where} ORDER BY r.machine_id, r.bucket"
    )


def baseline_text(query: FeatureQuery, sources: Mapping[str, str]) -> str:
    """Return the query for each machine's linear relation of channels to its loads."""
    parts = [f"{name} AS ({text})" for name, text in sources.items()]
    parts += [*_shift_parts(query, "readings"), f"buckets AS ({_buckets(query)})"]
    return f"WITH {', '.join(parts)} {_baseline(query)}"


def bucket_of(query: FeatureQuery, ts: str) -> str:
    """Return the number of the bucket that a time falls into; a reading at its end is in it."""
    return f"((epoch_us({ts}) + {query.cadence_us - 1}) // {query.cadence_us})"


def _shift_parts(query: FeatureQuery, source: str) -> list[str]:
    """Return what is subtracted from each machine's readings before powers are summed: its own early level.

    Powers of deviations keep their digits where those of the readings would cancel.
    """
    levels = listed([f"coalesce(avg(r.{c}), 0.0)::DOUBLE AS x_{c}" for c in query.summed()])
    early = f"r.machine_id = b.machine_id AND r.ts < b.ts + to_microseconds({query.cadence_us})"
    shifts = (
        f"SELECT b.machine_id, any_value(b.ts) AS began_at, {levels} FROM began b JOIN {source} r ON {early} "
        "GROUP BY b.machine_id"
    )
    began = f"SELECT machine_id, min(ts) AS ts FROM {source} GROUP BY machine_id"
    return [f"began AS MATERIALIZED ({began})", f"shifts AS MATERIALIZED ({shifts})"]


def orders(query: FeatureQuery) -> dict[str, tuple[int, bool, set[str]]]:
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


def bucket_sums(x: str, of: str, power: int, timed: bool, ends: Collection[str]) -> list[str]:
    """Return the sums of a bucket's deviations ``x`` from the level: see `_buckets`."""
    sums = [f"count({x})::DOUBLE AS n{of}"]
    sums += [f"sum({' * '.join([x] * k)}) AS p{k}{of}" for k in range(1, power + 1)]
    sums += [f"{end}({x}) AS {end}{of}" for end in sorted(ends)]
    return [*sums, f"sum(h * {x}) AS tp{of}"] if timed else sums


def running(speed: str) -> str:
    """Return what is true of a shaft that turns, or of which nothing is known."""
    return f"({speed} > 0 OR {speed} IS NULL)"


def hours_in_bucket(query: FeatureQuery) -> str:
    """Return the time of a reading from the end of its bucket, h: zero or less."""
    return f"(epoch_us(r.ts) - {bucket_of(query, 'r.ts')} * {query.cadence_us}) / {HOUR_US}.0"


def _buckets(query: FeatureQuery) -> str:
    """Return the sums of each bucket: counts, powers of deviations ``p1`` to ``p4``, and of times in hours ``t``.

    Times are summed once for all channels. What a missing reading takes away is looked up where there is one: a
    condition for each channel and reading would take as long as all the rest.
    """
    found = orders(query)
    inner = [f"r.{c}::DOUBLE - s.x_{c} AS {c}" for c in found]
    sums = [text for c, (power, timed, ends) in found.items() for text in bucket_sums(c, f"_{c}", power, timed, ends)]
    bucket, hours = bucket_of(query, "r.ts"), hours_in_bucket(query)
    stands = running("r.speed_rpm") if query.running_only else "true"
    summed = (
        f"SELECT machine_id, bucket, sum(h) AS t, sum(h * h) AS tt{''.join(f', {text}' for text in sums)} FROM "
        f"(SELECT r.machine_id, {bucket} AS bucket, {listed([f'{hours} AS h', *inner])} FROM readings r "
        f"JOIN shifts s USING (machine_id) WHERE {stands}) "
        "GROUP BY machine_id, bucket"
    )
    timed = [c for c, (_, has_slope, _) in found.items() if has_slope]
    if not timed:
        return summed
    gaps = [
        f"LEFT JOIN (SELECT machine_id, bucket, sum(h) AS t, sum(h * h) AS tt FROM (SELECT r.machine_id, {bucket} AS "
        f"bucket, {hours} AS h FROM readings r WHERE r.{c} IS NULL AND {stands}) GROUP BY machine_id, bucket) gap_{c} "
        "USING (machine_id, bucket)"
        for c in timed
    ]
    times = [f"whole.{x} - coalesce(gap_{c}.{x}, 0) AS {x}_{c}" for c in timed for x in ("t", "tt")]
    return f"SELECT whole.* EXCLUDE (t, tt), {listed(times)} FROM ({summed}) whole {' '.join(gaps)}"


def _quantiles(query: FeatureQuery, wanted: Sequence[Wanted], buckets: int) -> str:
    """Return exact quantiles: each reading counts in every window that holds it."""
    mine = [w for w in wanted if w.buckets == buckets]
    values = listed([f"quantile_cont(r.{w.channel}::DOUBLE, {int(w.statistic[1:]) / 100}) AS {w.name}" for w in mine])
    bucket = bucket_of(query, "r.ts")
    stands = f" WHERE {running('r.speed_rpm')}" if query.running_only else ""
    return (
        f"SELECT r.machine_id, {bucket} + k.k AS bucket, {values} FROM readings r, range({buckets}) k(k){stands} "
        f"GROUP BY r.machine_id, {bucket} + k.k"
    )


def _rolled(query: FeatureQuery) -> str:
    """Return sums over windows of buckets, named as in `_buckets` with the number of buckets behind."""
    windows = sorted({w.buckets for w in query.wanted})
    columns = [f"{total} OVER w{k} AS {name}_{k}" for k in windows for name, total in _totals(query, k)]
    frame = "PARTITION BY machine_id ORDER BY bucket RANGE BETWEEN"
    named = [f"w{k} AS ({frame} {k - 1} PRECEDING AND CURRENT ROW)" for k in windows]
    window = f" WINDOW {listed(named)}" if named else ""
    placed = f"SELECT b.*, {hours_since(query, 's.began_at')} AS v FROM buckets b JOIN shifts s USING (machine_id)"
    return f"SELECT {listed(['machine_id', 'bucket', *columns])} FROM ({placed}){window}"


def hours_since(query: FeatureQuery, began: str) -> str:
    """Return the time from a machine's first bucket to a bucket, h: the origin of a window's times."""
    return f"(bucket - {bucket_of(query, began)}) * {query.cadence_us / HOUR_US!r}::DOUBLE"


def total(name: str, c: str = "") -> str:
    """Return how a window has a sum from those of its buckets; times are taken from a machine's first bucket."""
    return {
        "t": f"sum(t{c} + n{c} * v)",
        "tt": f"sum(tt{c} + 2 * v * t{c} + n{c} * v * v)",
        "tp": f"sum(tp{c} + v * p1{c})",
        "min": f"min(min{c})",
        "max": f"max(max{c})",
    }.get(name, f"sum({name}{c})")


def _totals(query: FeatureQuery, k: int) -> Iterator[tuple[str, str]]:
    """Yield names and texts of what is summed over windows of k buckets."""
    for c, (power, timed, ends) in orders(query).items():
        mine = {w.statistic for w in query.wanted if w.channel == c and w.buckets == k}
        names = sorted(ends & mine)
        if mine - {"min", "max"} or (query.residuals and c in LOADS):
            names += ["n", *(f"p{j}" for j in range(1, power + 1))]
        if timed and "slope" in mine:
            names += ["t", "tt", "tp"]
        yield from ((f"{name}_{c}", total(name, f"_{c}")) for name in names)


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
    """Return window sums with what several statistics share."""
    columns = []
    for k in sorted({w.buckets for w in query.wanted}):
        names = {name for name, _ in _totals(query, k)}
        for c in (name.removeprefix("p1_") for name in sorted(names) if name.startswith("p1_")):
            given = {"mean"} | ({"sd"} if f"p2_{c}" in names else set()) | ({"slope"} if f"t_{c}" in names else set())
            columns += shared(given, f"_{c}_{k}")
    return f"SELECT {listed(['*', *columns])} FROM rolled"


def shared(statistics: Collection[str], of: str = "") -> list[str]:
    """Return what statistics of a window share: its mean, its sum of squares, and that of its times."""
    found = [f"p1{of} / nullif(n{of}, 0) AS mu{of}"]
    if {"sd", "kurtosis"} & set(statistics):
        found.append(f"greatest(p2{of} - p1{of} * p1{of} / nullif(n{of}, 0), 0) AS m2{of}")
    if "slope" in statistics:
        found.append(f"tt{of} - t{of} * t{of} / nullif(n{of}, 0) AS ss{of}")
    return found


def formula(statistic: str, level: str, of: str = "") -> str:
    """Return a statistic of window sums; the level that was subtracted comes back where a level is meant."""
    n, p2, p3, p4, mu, m2, ss = (f"{name}{of}" for name in ("n", "p2", "p3", "p4", "mu", "m2", "ss"))
    if statistic == "mean":
        return f"{level} + {mu}"
    if statistic in ("min", "max"):
        return f"{level} + {statistic}{of}"
    if statistic == "sd":
        return f"CASE WHEN {n} > 1 THEN sqrt({m2} / ({n} - 1)) END"
    if statistic == "slope":
        return f"CASE WHEN {n} > 1 AND {ss} > 1e-12 THEN (tp{of} - t{of} * {mu}) / {ss} END"
    m4 = f"({p4} - 4 * {mu} * {p3} + 6 * {mu} * {mu} * {p2} - 3 * {n} * {mu} * {mu} * {mu} * {mu})"
    whole = f"{n} * ({n} + 1) * ({n} - 1) * {m4} / (({n} - 2) * ({n} - 3) * {m2} * {m2})"
    normal = f"3.0 * ({n} - 1) * ({n} - 1) / (({n} - 2) * ({n} - 3))"
    return f"CASE WHEN {n} > 3 AND {m2} > 1e-12 * {n} THEN {whole} - {normal} END"


def residual(mean: str, loads: Sequence[str], fit: Sequence[str], known: str) -> str:
    """Return how far a mean lies from a machine's own relation to its loads, in standard deviations of that time."""
    a, sd, *slopes = fit
    expected = " + ".join([a, *(f"{b} * ({x})" for b, x in zip(slopes, loads, strict=True))])
    return f"CASE WHEN {known} THEN ({mean} - ({expected})) / {sd} END"


def _formula(w: Wanted, cadence_us: int) -> str:
    c, k = w.channel, w.buckets
    level = f"s.x_{c}"
    if w.statistic != "residual":
        return formula(w.statistic, level, f"_{c}_{k}")
    mean = formula("mean", level, f"_{c}_{k}")
    loads = [formula("mean", f"s.x_{load}", f"_{load}_{k}") for load in LOADS]
    fit = [f"b.a_{c}", f"b.sd_{c}", *(f"b.b_{load}_{c}" for load in LOADS)]
    return residual(mean, loads, fit, f"r.bucket * {cadence_us} >= b.known_us")


def _joins(query: FeatureQuery) -> str:
    joins = ["JOIN shifts s USING (machine_id)"]
    if query.residuals:
        joins.append("LEFT JOIN baselines b USING (machine_id)")
    ranked = sorted({w.buckets for w in query.wanted if w.statistic.startswith("q")})
    joins += [f"LEFT JOIN quantiles_{k} q{k} USING (machine_id, bucket)" for k in ranked]
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


def _baseline(query: FeatureQuery) -> str:
    """Return each machine's linear fit of a channel on what was asked of it, over its first buckets.

    The normal equations of two regressors, with a small ridge, as a machine at one speed tells nothing of it.
    """
    means = listed(
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
        f"covar_pop({u}, {v}) AS uv, {listed(columns)} FROM "
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
        f"SELECT machine_id, epoch_us(began_at) + {query.baseline_us} AS known_us, {listed(out)} "
        f"FROM (SELECT *, {listed(fits)} FROM ({moments}))"
    )
