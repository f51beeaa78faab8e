"""Metrics that follow a machine through time: warnings and their lead, false alarms, prognosis along a life."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twin.errors import BadRequest
from twin.prognosis.metrics import numbers

MONTH_H = 730.5
"""Hours of a twelfth of 365.25 days."""
_HOUR = np.timedelta64(1, "h")


def by_machine(values: Any, index: pd.Index) -> pd.DataFrame:
    """Return ``machine_id, ts, value, row`` sorted by machine and time; `row` is the place in the input.

    Raises
    ------
    BadRequest
        For an index without machine_id and ts, a time twice on one machine, or values of another length.
    """
    if not {"machine_id", "ts"} <= set(index.names):
        raise BadRequest(f"the index has the levels {list(index.names)}: machine_id and ts are wanted")
    frame = pd.DataFrame(
        {
            "machine_id": index.get_level_values("machine_id"),
            "ts": pd.DatetimeIndex(index.get_level_values("ts")).as_unit("us"),
            "value": numbers("values", values, len(index)),
            "row": np.arange(len(index)),
        }
    )
    if frame.duplicated(["machine_id", "ts"]).any():
        raise BadRequest("the index has a machine and time twice: one run at a time, each row once")
    return frame.sort_values(["machine_id", "ts"], ignore_index=True)


def _checked_failures(failures: pd.DataFrame) -> pd.DataFrame:
    missing = [name for name in ("machine_id", "ts") if name not in failures.columns]
    if missing:
        raise BadRequest(f"failures have no column {missing[0]}: machine_id, ts and mode are wanted")
    frame = failures.assign(ts=pd.to_datetime(failures["ts"]).astype("datetime64[us]"))
    frame["mode"] = frame.get("mode")
    return frame[["machine_id", "ts", "mode"]].sort_values(["machine_id", "ts"], ignore_index=True)


def _sustained(value: NDArray[np.float64], threshold: float, rows: int) -> NDArray[np.bool_]:
    """Return where the last `rows` values all reached the threshold."""
    run, out = 0, np.zeros(len(value), dtype=bool)
    for i, reached in enumerate(value >= threshold):
        run = run + 1 if reached else 0
        out[i] = run >= rows
    return out


def _check_warning(threshold: float, sustained: int, within_h: float) -> None:
    if not np.isfinite(threshold):
        raise BadRequest(f"threshold {threshold!r} is not a finite number")
    if sustained < 1:
        raise BadRequest(f"sustained {sustained!r} is below 1: so many rows in a row make a warning")
    if not (np.isfinite(within_h) and within_h > 0.0):
        raise BadRequest(f"within_h {within_h!r} is not a positive number of hours")


def lead_times(
    score: Any, index: pd.Index, failures: pd.DataFrame, threshold: float, *, within_h: float, sustained: int = 2
) -> pd.DataFrame:
    """Return for each failure how long before it the first sustained warning came, h.

    A warning is given at the row that completes `sustained` rows at or above `threshold`, all of them after the
    machine's failure before and within `within_h` of this one. What warned earlier counts as a false alarm.

    Parameters
    ----------
    score : array
        Higher is worse, one a row of `index`.
    index : MultiIndex
        ``machine_id`` and ``ts`` of the rows.
    failures : DataFrame
        ``machine_id, ts`` and perhaps ``mode``.
    threshold : float
        Score at which one would act.
    within_h : float
        How far ahead a warning counts, h: the horizon.
    sustained : int
        Rows in a row.

    Returns
    -------
    DataFrame
        ``machine_id, failed_at, mode, lead_h, rows``: NaN for a failure missed; failures without rows are left out.
    """
    _check_warning(threshold, sustained, within_h)
    frame, failed = by_machine(score, index), _checked_failures(failures)
    rows = dict(iter(frame.groupby("machine_id")))
    found: list[Any] = []
    before: dict[Any, Any] = {}
    for machine, at, mode in failed.itertuples(index=False):
        start = max(at - pd.Timedelta(hours=within_h), before.get(machine, pd.Timestamp.min.as_unit("us")))
        before[machine] = at
        if machine not in rows:
            continue
        part = rows[machine]
        part = part[(part["ts"] >= start) & (part["ts"] < at)]
        if len(part):
            warned = np.flatnonzero(_sustained(part["value"].to_numpy(), threshold, sustained))
            lead = (at - part["ts"].iloc[warned[0]]) / pd.Timedelta(hours=1) if len(warned) else np.nan
            found.append((machine, at, mode, float(lead), len(part)))
    return pd.DataFrame(found, columns=["machine_id", "failed_at", "mode", "lead_h", "rows"])


def false_alarms(
    score: Any, index: pd.Index, failures: pd.DataFrame, threshold: float, *, within_h: float, sustained: int = 2
) -> pd.DataFrame:
    """Return by machine how many sustained warnings began outside the windows before failures, and in what time.

    The time is that of the rows outside the windows, each counting as the median step between rows. A warning that
    goes on is one alarm. Alarms a machine-month: ``alarms.sum() / months.sum()``.

    Returns
    -------
    DataFrame
        ``machine_id, alarms, months`` (a month is 730.5 h). Parameters as of `lead_times`.
    """
    _check_warning(threshold, sustained, within_h)
    frame, failed = by_machine(score, index), _checked_failures(failures)
    step: Any = frame.groupby("machine_id")["ts"].diff().median()
    step_h = 0.0 if pd.isna(step) else step / pd.Timedelta(hours=1)
    found = []
    for machine, part in frame.groupby("machine_id"):
        ts = part["ts"].to_numpy()
        near = np.zeros(len(ts), dtype=bool)
        for at in failed.loc[failed["machine_id"] == machine, "ts"].to_numpy():
            near |= (ts >= at - within_h * _HOUR.astype("timedelta64[us]")) & (ts < at)
        warned = _sustained(part["value"].to_numpy(), threshold, sustained)
        began = warned & ~np.concatenate([[False], warned[:-1]])
        found.append((machine, int((began & ~near).sum()), float((~near).sum() * step_h / MONTH_H)))
    return pd.DataFrame(found, columns=["machine_id", "alarms", "months"])


def _lives(true_h: Any, predicted_h: Any, index: pd.Index) -> Any:
    """Yield (machine, failed_at, rows of one life): rows of a machine that lead to the same failure."""
    frame = by_machine(true_h, index)
    frame["predicted"] = numbers("predicted lives", predicted_h, len(index))[frame["row"].to_numpy()]
    failed_at = (frame["ts"] + pd.to_timedelta(frame["value"], unit="h")).dt.round("min")
    frame["life"] = (
        (failed_at.groupby(frame["machine_id"]).diff() > pd.Timedelta(minutes=2)).groupby(frame["machine_id"]).cumsum()
    )
    for (machine, _), part in frame.groupby(["machine_id", "life"]):
        yield machine, failed_at.loc[part.index[-1]], part


def alpha_lambda(
    true_h: Any, predicted_h: Any, index: pd.Index, *, alpha: float = 0.2, lam: float = 0.5
) -> pd.DataFrame:
    """Return for each life whether the prediction at the share `lam` of it lies within ``(1 ± alpha)`` of the truth.

    Saxena, Celaya, Balaban, Goebel, Saha, Saha & Schwabacher 2008, "Metrics for evaluating performance of prognostic
    techniques"; Saxena, Celaya, Saha, Saha & Goebel 2010, "Metrics for offline evaluation of prognostic performance".
    A life reaches from its first row to its failure; judged is the first row at or after ``first + lam * life``.

    Returns
    -------
    DataFrame
        ``machine_id, failed_at, life_h, row, true_h, predicted_h, inside``. Give uncensored rows only.
    """
    if not (0.0 < alpha < 1.0 and 0.0 <= lam < 1.0):
        raise BadRequest(f"alpha {alpha!r} and lam {lam!r} are shares: alpha between 0 and 1, lam from 0 to below 1")
    found = []
    for machine, failed_at, part in _lives(true_h, predicted_h, index):
        life_h = float(part["value"].iloc[0])
        late = part[part["value"] <= life_h * (1.0 - lam) * (1.0 + 1e-12)]
        if len(late):
            row, truth, said = late[["row", "value", "predicted"]].iloc[0]
            found.append((machine, failed_at, life_h, int(row), truth, said, abs(said - truth) <= alpha * truth))
    return pd.DataFrame(found, columns=["machine_id", "failed_at", "life_h", "row", "true_h", "predicted_h", "inside"])


def prognostic_horizon(true_h: Any, predicted_h: Any, index: pd.Index, *, alpha: float = 0.1) -> pd.DataFrame:
    """Return for each life how long before its end the predictions come to stay within ``± alpha * life``, h.

    After Saxena et al. 2008 and 2010, who take the first prediction within the bounds; here those after it must stay
    within too, so that one lucky row earns nothing. A life reaches from its first row to its failure.

    Returns
    -------
    DataFrame
        ``machine_id, failed_at, life_h, row, horizon_h``: 0 where the last row is still outside.
    """
    if not 0.0 < alpha < 1.0:
        raise BadRequest(f"alpha {alpha!r} is not between 0 and 1")
    found = []
    for machine, failed_at, part in _lives(true_h, predicted_h, index):
        truth, life_h = part["value"].to_numpy(), float(part["value"].iloc[0])
        outside = np.flatnonzero(np.abs(part["predicted"].to_numpy() - truth) > alpha * life_h)
        first = int(outside[-1]) + 1 if len(outside) else 0
        found.append(
            (machine, failed_at, life_h, int(part["row"].iloc[0]), float(truth[first]) if first < len(truth) else 0.0)
        )
    return pd.DataFrame(found, columns=["machine_id", "failed_at", "life_h", "row", "horizon_h"])
