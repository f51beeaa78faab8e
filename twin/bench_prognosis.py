"""How fast features and predictions are made: the same twenty features by the store and by pandas, in one run."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.bench import bench_plan

if TYPE_CHECKING:
    import pandas as pd

    from twin.prognosis.fitted import FittedModel
    from twin.prognosis.spec import FeatureSpec

ROWS = 10_000_000
CHANNELS = ("temperature_c", "vibration_g", "vibration_mm_s", "kurtosis", "power_w")
STATISTICS = ("mean", "sd", "slope", "max")
WINDOW, CADENCE = "24h", "1h"
PASSES = 40


def measure_features(rows: int = ROWS) -> dict[str, float]:
    """Return figures of twenty features (five channels, four statistics, 24 h each hour) of a run of 12 machines.

    Returns
    -------
    dict
        ``features_rows``, ``features_20_s``, ``features_pandas_s`` (the same by time-based rolling, on the same
        rows, read into memory beforehand), ``features_vs_pandas_ratio``, ``features_largest_difference``
        (relative to 1 + the value), ``features_peak_rss_mb`` (before pandas) and ``score_newest_ms``.
    """
    from twin.prognosis.features import features
    from twin.prognosis.spec import FeatureSpec
    from twin.results import RunRecord
    from twin.run import simulate
    from twin.store import Store

    spec = FeatureSpec.of(
        channels=CHANNELS, statistics=STATISTICS, windows=(WINDOW,), cadence=CADENCE, residuals=(), alarms=False,
        maintenance=False, running_only=False,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="twin-features-") as folder:
        store = Store.create(Path(folder) / "features.duckdb")
        run: RunRecord = simulate(store, bench_plan(rows), progress=False)
        times = []
        for _ in range(2):
            began = time.perf_counter()
            made = features(run, spec)
            times.append(time.perf_counter() - began)
        last = np.datetime64(run.plan.start_us + (run.plan.ticks - 1) * run.plan.interval_us, "us")
        made = made[made.index.get_level_values("ts") <= last]  # each has a reading of its own time
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        readings = run.telemetry(columns=["machine_id", "ts", *CHANNELS]).df()
    began = time.perf_counter()
    slow = _by_pandas(readings, made.index)
    pandas_s = time.perf_counter() - began
    gap = ((made - slow[list(made.columns)]).abs() / (1.0 + slow.abs())).to_numpy()
    if not np.array_equal(made.isna().to_numpy(), slow[list(made.columns)].isna().to_numpy()):
        raise RuntimeError("the store and pandas disagree about which features are unknown")
    return {
        "features_rows": float(len(readings)),
        "features_20_s": min(times),
        "features_pandas_s": pandas_s,
        "features_vs_pandas_ratio": pandas_s / min(times),
        "features_largest_difference": float(np.nanmax(gap)),
        "features_peak_rss_mb": peak,
        **_scoring(readings, FeatureSpec()),
    }


def _by_pandas(readings: pd.DataFrame, index: Any) -> pd.DataFrame:
    """Return the same features as people write them with rolling windows, at the same times."""
    import pandas as pd

    parts = []
    for machine_id, rows in readings.groupby("machine_id"):
        x = rows.set_index("ts")[list(CHANNELS)].astype("float64")
        hours = pd.Series((x.index - x.index[0]) / pd.Timedelta(hours=1), index=x.index)
        found = {}
        for c in CHANNELS:
            rolling, time_of = x[c].rolling(WINDOW), hours.where(x[c].notna()).rolling(WINDOW)
            found[f"{c}_mean_{WINDOW}"], found[f"{c}_sd_{WINDOW}"] = rolling.mean(), rolling.std()
            found[f"{c}_slope_{WINDOW}"] = time_of.cov(x[c]) / time_of.var()
            found[f"{c}_max_{WINDOW}"] = rolling.max()
        at = index[index.get_level_values("machine_id") == machine_id].get_level_values("ts")
        parts.append(pd.DataFrame(found).reindex(at).assign(machine_id=machine_id))
    return pd.concat(parts).set_index("machine_id", append=True).swaplevel().rename_axis(["machine_id", "ts"])


def _scoring(readings: pd.DataFrame, spec: FeatureSpec) -> dict[str, float]:
    """Time one machine's newest window from readings to a probability, with gradient boosting."""
    from twin.prognosis.features import FrameReader

    reader = FrameReader(spec)
    one = readings[readings["machine_id"] == readings["machine_id"].iloc[0]].iloc[::60]
    one = one.assign(speed_rpm=1500.0, torque_nm=1.0)
    fits, model = reader.baseline(one), _model(spec)
    window = one[one["ts"] > one["ts"].max() - np.timedelta64(30, "h")]
    times = []
    for _ in range(PASSES):
        began = time.perf_counter()
        model.predict_proba(reader.newest(window, fits))
        times.append(time.perf_counter() - began)
    return {"score_newest_ms": 1e3 * float(np.median(times))}


def _model(spec: FeatureSpec) -> FittedModel:
    """Return gradient boosting of 100 trees on features of that shape: what it has learned does not change its pace."""
    import pandas as pd
    from sklearn.ensemble import HistGradientBoostingClassifier

    from twin.prognosis.training import train

    index = pd.MultiIndex.from_product(
        [range(20), pd.date_range("2026-01-05", periods=100, freq="6h")], names=["machine_id", "ts"]
    )
    given = pd.DataFrame(np.random.default_rng(0).normal(size=(len(index), len(spec.columns))), index, spec.columns)
    known = pd.DataFrame({"usable": True, "fails": given.iloc[:, 0] > 0.5}, index)
    return train(given, known, "failure", HistGradientBoostingClassifier(max_iter=100), horizon_h=168.0)
