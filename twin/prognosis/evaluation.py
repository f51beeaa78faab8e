"""Metrics as tidy frames: overall and per mode, with bootstrap intervals over machines.

Columns: ``metric, mode, value, low, high, n, note``. Mode ``all`` is every row; `n` counts what the metric is a mean of
(rows, failures or lives); `note` says why a value is NaN. Intervals resample machines, because rows of one machine are
no independent witnesses (Field & Welsh 2007, "Bootstrapping clustered data").
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twin.errors import BadRequest
from twin.prognosis import metrics, metrics_lives

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
COLUMNS = ["metric", "mode", "value", "low", "high", "n", "note"]
ALL = "all"


def bootstrap(
    machines: Any,
    statistic: Callable[[Rows], float],
    *,
    replications: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile interval of a statistic under resampling of machines.

    Parameters
    ----------
    machines : array
        Machine of each row.
    statistic : callable
        Takes the places of the resampled rows, and returns a number.
    replications, confidence, seed : int, float, int
        Draws, share of them inside, and what makes them repeatable.

    Returns
    -------
    tuple of float
        NaN with fewer than two machines, or where over half of the draws have no value.
    """
    if replications < 1 or not 0.0 < confidence < 1.0:
        raise BadRequest(f"replications {replications!r} must be 1 or more, confidence {confidence!r} between 0 and 1")
    names, code = np.unique(np.asarray(machines), return_inverse=True)
    if len(names) < 2:
        return np.nan, np.nan
    rows = np.split(np.argsort(code, kind="stable"), np.cumsum(np.bincount(code))[:-1])
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(names), size=(replications, len(names)))
    values = np.array([statistic(np.concatenate([rows[i] for i in draw])) for draw in draws])
    values = values[~np.isnan(values)]
    if len(values) * 2 < replications:
        return np.nan, np.nan
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail], method="closest_observation")
    return float(low), float(high)


def _on_rows(*given: Any) -> float:
    """Return a metric of some rows: given are the metric, its arrays and the rows."""
    metric, *arrays, rows = given
    return float(metric(*(array[rows] for array in arrays)))


def _phm08_mean(unit_h: float, true_h: Floats, predicted_h: Floats) -> float:
    return metrics.phm08(true_h, predicted_h, unit_h) / len(true_h)


class _Table:
    """Collects the lines of a tidy frame."""

    def __init__(self, **options: Any) -> None:
        self.options, self.lines = options, list[tuple[Any, ...]]()

    def add(
        self, metric: str, mode: str, machines: Any, statistic: Callable[[Rows], float], why: str = "no rows"
    ) -> None:
        n = len(machines)
        value = statistic(np.arange(n)) if n else np.nan
        low, high = bootstrap(machines, statistic, **self.options) if not np.isnan(value) else (np.nan, np.nan)
        note = (
            (why if n else "no rows")
            if np.isnan(value)
            else ""
            if not np.isnan(low)
            else "too few machines for an interval"
        )
        self.lines.append((metric, mode, value, low, high, n, note))

    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.lines, columns=COLUMNS)


def _modes(values: Any) -> list[str]:
    return sorted({str(mode) for mode in values if isinstance(mode, str)})


def _mean(values: Floats) -> Callable[[Rows], float]:
    """Return the mean of the resampled values that are not NaN."""

    def statistic(rows: Rows) -> float:
        known = values[rows][~np.isnan(values[rows])]
        return float(known.mean()) if len(known) else np.nan

    return statistic


def evaluate_detection(
    labels: pd.DataFrame, probability: Any, failures: pd.DataFrame | None = None, *, threshold: float = 0.5,
    within_h: float | None = None, sustained: int = 2, replications: int = 200, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Return average precision, ROC AUC and Brier score, and with failures lead times and false alarms.

    Per mode, rows that fail by that mode stand against rows that do not fail. `lead_h` is the median over the failures
    warned of, `detected` the share of failures warned of.

    Parameters
    ----------
    labels : DataFrame
        ``fails`` and ``mode`` on (machine_id, ts); rows that are not ``usable`` are left out.
    probability : array
        Of failure within the horizon, one for each row of `labels`.
    failures : DataFrame or None
        ``machine_id, ts, mode`` of what failed in the span.
    threshold, within_h, sustained : float, float, int
        When a warning is given, and how long before a failure it counts, h (see `metrics_lives.lead_times`).
    replications, seed : int
        Of the bootstrap.
    """
    labels, (score,) = _usable(labels, probability)
    y, mode = labels["fails"].to_numpy(dtype=bool), labels["mode"].to_numpy(dtype=object)
    machines = labels.index.get_level_values("machine_id").to_numpy()
    table = _Table(replications=replications, seed=seed)
    for name in [ALL, *_modes(mode[y])]:
        kept = np.flatnonzero(~y | (mode == name)) if name != ALL else np.arange(len(y))
        yk, sk = y[kept], score[kept]
        for metric in (metrics.average_precision, metrics.roc_auc, metrics.brier):
            table.add(
                metric.__name__,
                name,
                machines[kept],
                partial(_on_rows, metric, yk, sk),
                "one class only",
            )
    if failures is not None:
        if within_h is None:
            raise BadRequest(
                "lead times need within_h, how long before a failure a warning counts: give the horizon, h"
            )
        _add_warnings(
            table, score, labels.index, failures, {"threshold": threshold, "within_h": within_h, "sustained": sustained}
        )
    return table.frame()


def _add_warnings(table: _Table, score: Floats, index: Any, failures: pd.DataFrame, how: dict[str, Any]) -> None:
    leads = metrics_lives.lead_times(score, index, failures, **how)
    for name in [ALL, *_modes(leads["mode"])]:
        part = leads if name == ALL else leads[leads["mode"] == name]
        lead, machines = part["lead_h"].to_numpy(dtype=float), part["machine_id"].to_numpy()
        table.add("lead_h", name, machines, partial(_on_rows, _median, lead), "no failure was warned of")
        table.add("detected", name, machines, _mean((~np.isnan(lead)).astype(float)))
    false = metrics_lives.false_alarms(score, index, failures, **how)
    alarms, months = false["alarms"].to_numpy(dtype=float), false["months"].to_numpy(dtype=float)
    table.add(
        "false_alarms_per_machine_month", ALL, false["machine_id"].to_numpy(),
        lambda rows: float(alarms[rows].sum() / months[rows].sum()) if months[rows].sum() > 0.0 else np.nan,
        "no time outside the windows before failures",
    )  # fmt: skip


def _median(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else np.nan


def evaluate_rul(
    labels: pd.DataFrame, predicted_h: Any, interval_h: Any = None, *, horizon_h: float | None = None,
    alpha: float = 0.2, lam: float = 0.5, unit_h: float = metrics.DAY_H, replications: int = 200, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Return RMSE, PHM08 score (mean a row), alpha-lambda accuracy, prognostic horizon, coverage and width.

    Censored rows are left out: their life is not known. With `horizon_h` the truth is capped there, as that of a
    capped model is; lives for alpha-lambda and prognostic horizon then begin where the truth falls below the cap.

    Parameters
    ----------
    labels : DataFrame
        ``rul_h``, ``censored``, ``mode`` on (machine_id, ts).
    predicted_h, interval_h : arrays
        (rows,) and (rows, 2), h; intervals may be left out.
    horizon_h : float or None
        The model's cap, h.
    alpha, lam, unit_h : float
        See `metrics_lives.alpha_lambda`, `metrics_lives.prognostic_horizon` and `metrics.phm08`.
    replications, seed : int
        Of the bootstrap.
    """
    given = (predicted_h,) if interval_h is None else (predicted_h, interval_h)
    labels, (said, *intervals) = _usable(labels, *given, keep=~labels["censored"].to_numpy(dtype=bool))
    truth = np.minimum(labels["rul_h"].to_numpy(dtype=float), np.inf if horizon_h is None else horizon_h)
    mode = labels["mode"].to_numpy(dtype=object)
    machines = labels.index.get_level_values("machine_id").to_numpy()
    inside = np.flatnonzero(truth < (np.inf if horizon_h is None else horizon_h))
    judged = metrics_lives.alpha_lambda(truth[inside], said[inside], labels.index[inside], alpha=alpha, lam=lam)
    horizons = metrics_lives.prognostic_horizon(truth[inside], said[inside], labels.index[inside], alpha=alpha)
    table = _Table(replications=replications, seed=seed)
    for name in [ALL, *_modes(mode)]:
        kept = np.arange(len(truth)) if name == ALL else np.flatnonzero(mode == name)
        t, p, who = truth[kept], said[kept], machines[kept]
        table.add("rmse_h", name, who, partial(_on_rows, metrics.rmse, t, p))
        table.add("phm08_mean", name, who, partial(_on_rows, partial(_phm08_mean, unit_h), t, p))
        for frame, column, metric in (
            (judged, "inside", "alpha_lambda"),
            (horizons, "horizon_h", "prognostic_horizon_h"),
        ):
            at = mode[inside][frame["row"].to_numpy(dtype=int)]
            part = frame if name == ALL else frame[at == name]
            table.add(metric, name, part["machine_id"].to_numpy(), _mean(part[column].to_numpy(dtype=float)), "no life")
        for bounds in intervals:
            b = bounds[kept]
            table.add("coverage", name, who, partial(_on_rows, metrics.coverage, t, b))
            table.add("width_h", name, who, partial(_on_rows, metrics.width, b))
    return table.frame()


def evaluate_survival(labels: pd.DataFrame, risk: Any, *, replications: int = 50, seed: int = 0) -> pd.DataFrame:
    """Return the concordance of a risk with the lives, overall and per mode (that mode's rows and the censored ones).

    Parameters
    ----------
    labels : DataFrame
        ``rul_h``, ``censored``, ``mode`` on (machine_id, ts).
    risk : array
        Higher is worse, one for each row of `labels`.
    replications, seed : int
        Of the bootstrap.
    """
    labels, (risk,) = _usable(labels, risk, keep=np.isfinite(labels["rul_h"].to_numpy(dtype=float)))
    time_h, event = labels["rul_h"].to_numpy(dtype=float), ~labels["censored"].to_numpy(dtype=bool)
    mode = labels["mode"].to_numpy(dtype=object)
    machines = labels.index.get_level_values("machine_id").to_numpy()
    table = _Table(replications=replications, seed=seed)
    for name in [ALL, *_modes(mode[event])]:
        kept = np.arange(len(event)) if name == ALL else np.flatnonzero(~event | (mode == name))
        t, r, e = time_h[kept], risk[kept], event[kept]
        table.add(
            "concordance",
            name,
            machines[kept],
            partial(_on_rows, metrics.concordance, t, r, e),
            "no pair can be compared",
        )
    return table.frame()


def _usable(labels: pd.DataFrame, *arrays: Any, keep: Any = True) -> tuple[pd.DataFrame, list[Floats]]:
    """Return labels and arrays without the rows that are not usable; lengths are checked first."""
    if missing := [name for name in ("machine_id", "ts") if name not in labels.index.names]:
        raise BadRequest(f"the labels' index has no level {missing[0]}: machine_id and ts are wanted")
    values = [np.asarray(array, dtype=np.float64) for array in arrays]
    for array in values:
        if array.ndim == 0 or len(array) != len(labels):
            raise BadRequest(
                f"predictions have the shape {array.shape}: one for each of the {len(labels)} rows of labels is wanted"
            )
    mask = np.ones(len(labels), dtype=bool) & keep
    if "usable" in labels:
        mask &= labels["usable"].to_numpy(dtype=bool)
    return labels[mask], [array[mask] for array in values]
