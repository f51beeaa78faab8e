"""Metrics of the field, row by row: detection, remaining useful life, intervals, survival.

Inputs are checked: arrays of one length, finite numbers, refused with one line otherwise. Where a metric has no value
(one class only, no rows), it is NaN. `twin.prognosis.evaluation` says them per mode, with intervals.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from twin.errors import BadRequest

Floats = NDArray[np.float64]
DAY_H = 24.0


def numbers(name: str, values: Any, n: int | None = None) -> Floats:
    """Return values as finite float64 of one dimension.

    Raises
    ------
    BadRequest
        For another shape or length, NaN or infinity.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise BadRequest(f"{name} are not numbers: give an array of floats") from None
    if array.ndim != 1 or (n is not None and len(array) != n):
        wanted = "one dimension" if n is None else f"{n} values"
        raise BadRequest(f"{name} have the shape {array.shape}: {wanted} wanted, one value a row")
    if bad := int((~np.isfinite(array)).sum()):
        raise BadRequest(f"{bad} of {len(array)} {name} are NaN or infinite: leave those rows out")
    return array


def classes(name: str, values: Any, n: int | None = None) -> NDArray[np.bool_]:
    """Return values of 0 and 1, or of bool, as bool; others are refused."""
    array = numbers(name, values, n)
    if not np.isin(array, (0.0, 1.0)).all():
        raise BadRequest(f"{name} are not all true or false: a class of two is wanted")
    return array.astype(bool)


def _probabilities(values: Any, n: int) -> Floats:
    array = numbers("probabilities", values, n)
    if len(array) and (array.min() < 0.0 or array.max() > 1.0):
        raise BadRequest(f"probabilities reach from {array.min():g} to {array.max():g}: they must lie within 0 and 1")
    return array


def average_precision(y: Any, score: Any) -> float:
    """Return the area under precision over recall, by steps (scikit-learn's definition); NaN without both classes."""
    from sklearn.metrics import average_precision_score

    y = classes("classes", y)
    score = numbers("scores", score, len(y))
    return float(average_precision_score(y, score)) if _both(y) else np.nan


def roc_auc(y: Any, score: Any) -> float:
    """Return the share of pairs (failing, healthy) in the right order, ties half; NaN without both classes."""
    from sklearn.metrics import roc_auc_score

    y = classes("classes", y)
    score = numbers("scores", score, len(y))
    return float(roc_auc_score(y, score)) if _both(y) else np.nan


def brier(y: Any, probability: Any) -> float:
    """Return the mean squared error of probabilities (Brier 1950): 0 is best; NaN without rows."""
    y = classes("classes", y)
    probability = _probabilities(probability, len(y))
    return float(np.mean((probability - y) ** 2)) if len(y) else np.nan


def _both(y: NDArray[np.bool_]) -> bool:
    return bool(y.any() and not y.all())


def calibration_curve(y: Any, probability: Any, bins: int = 10) -> pd.DataFrame:
    """Return predicted and observed frequency by bins of equal width: ``low, high, predicted, observed, n``.

    Empty bins stay, with NaN, so that curves can be laid side by side.
    """
    y = classes("classes", y)
    probability = _probabilities(probability, len(y))
    if not 1 <= bins <= 1000:
        raise BadRequest(f"bins {bins!r} is not between 1 and 1000")
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, bins - 1)
    n = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        predicted = np.bincount(place, weights=probability, minlength=bins) / n
        observed = np.bincount(place, weights=y, minlength=bins) / n
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "predicted": predicted, "observed": observed, "n": n})


def rmse(true_h: Any, predicted_h: Any) -> float:
    """Return the root of the mean squared error, h; NaN without rows."""
    error = _errors(true_h, predicted_h)
    return float(np.sqrt(np.mean(error**2))) if len(error) else np.nan


def phm08(true_h: Any, predicted_h: Any, unit_h: float = DAY_H) -> float:
    """Return the score of the PHM08 challenge, a sum over rows: 0 is best.

    ``exp(-d / 13) - 1`` for a prediction that is early (d < 0) and ``exp(d / 10) - 1`` for a late one, with
    d = predicted - true (Saxena, Goebel, Simon & Eklund 2008, "Damage propagation modeling for aircraft engine
    run-to-failure simulation"). The source counts d in flights; here in units of `unit_h` hours, a day unless said.
    An error so large that its exponential overflows counts as infinity.
    """
    if not (np.isfinite(unit_h) and unit_h > 0.0):
        raise BadRequest(f"unit_h {unit_h!r} is not a positive number of hours")
    d = _errors(true_h, predicted_h) / unit_h
    with np.errstate(over="ignore"):
        return float(np.sum(np.expm1(np.where(d < 0.0, -d / 13.0, d / 10.0))))


def _errors(true_h: Any, predicted_h: Any) -> Floats:
    truth = numbers("true lives", true_h)
    return numbers("predicted lives", predicted_h, len(truth)) - truth


def coverage(true_h: Any, interval_h: Any) -> float:
    """Return the share of lives inside their interval, bounds included; NaN without rows."""
    truth = numbers("true lives", true_h)
    low, high = _bounds(interval_h, len(truth))
    return float(np.mean((low <= truth) & (truth <= high))) if len(truth) else np.nan


def width(interval_h: Any) -> float:
    """Return the mean width of intervals, h; NaN without rows."""
    low, high = _bounds(interval_h, len(interval_h))
    return float(np.mean(high - low)) if len(low) else np.nan


def _bounds(interval_h: Any, n: int) -> tuple[Floats, Floats]:
    array = np.asarray(interval_h, dtype=np.float64)
    if array.shape != (n, 2):
        raise BadRequest(f"intervals have the shape {array.shape}: ({n}, 2) wanted, low and high of each row")
    low, high = numbers("lower bounds", array[:, 0]), numbers("upper bounds", array[:, 1])
    if (low > high).any():
        raise BadRequest(f"{int((low > high).sum())} intervals have a lower bound above the upper one")
    return low, high


def concordance(time_h: Any, risk: Any, event: Any = None) -> float:
    """Return Harrell's concordance: pairs whose higher risk failed first, ties half; NaN where no pair is comparable.

    Parameters
    ----------
    time_h : array
        Hours to the failure or to the end of observation.
    risk : array
        Higher is worse.
    event : array of bool or None
        Whether the failure was seen; ``None``: all were.
    """
    from lifelines.utils import concordance_index

    time_h = numbers("times", time_h)
    risk = numbers("risks", risk, len(time_h))
    event = np.ones(len(time_h), dtype=bool) if event is None else classes("events", event, len(time_h))
    try:
        return float(concordance_index(time_h, -risk, event))
    except ZeroDivisionError:  # so lifelines says that nothing can be compared
        return np.nan
