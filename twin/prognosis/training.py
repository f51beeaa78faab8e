"""Train a baseline, or any scikit-learn estimator, on features and labels."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from twin.errors import BadRequest, unknown
from twin.prognosis.card import Card, plain, ranges_of, versions
from twin.prognosis.fitted import FittedModel
from twin.prognosis.frames import HOUR, MACHINE, TIME
from twin.prognosis.models import TASKS, baselines
from twin.prognosis.threads import FEW_TO_TRAIN, alone

NEEDED = {
    "failure": ("fails",),
    "diagnosis": ("mode",),
    "rul": ("rul_h", "censored"),
    "survival": ("rul_h", "censored"),
}
DEFAULT = {"failure": "boosting", "diagnosis": "boosting", "rul": "boosting", "survival": "cox"}


def train(
    X: pd.DataFrame,
    labels: pd.DataFrame,
    task: str = "failure",
    model: str | BaseEstimator | None = None,
    spec: Any = None,
    horizon_h: float | None = None,
    data: dict[str, Any] | None = None,
) -> FittedModel:
    """Fit a model on the usable rows.

    Parameters
    ----------
    X : DataFrame
        Features (floats, gaps allowed), indexed by (machine_id, ts).
    labels : DataFrame
        On the same index: `usable`, and `fails`, `mode`, `rul_h` and `censored` as the task needs them. A
        diagnosis learns from the rows that have a mode.
    task : {'failure', 'diagnosis', 'rul', 'survival'}
        What to predict.
    model : str or estimator, optional
        A baseline's name, or an unfitted estimator, which is cloned; without, boosting (Cox for survival).
    spec : object, optional
        What the features were computed by; kept in the card.
    horizon_h : float, optional
        Hours ahead that `fails` looks; for RUL the cap; for survival what `predict_proba` looks ahead.
    data : dict, optional
        Where the rows came from, such as run ids and digests; kept in the card.

    Returns
    -------
    FittedModel
        With its card.

    Raises
    ------
    BadRequest
        For frames that do not match, nothing usable, no failures, one class only, a horizon longer than the data.
    """
    if task not in TASKS:
        raise unknown("task", task, TASKS)
    estimator, name = chosen(task, model, horizon_h)
    features, answers = usable_rows(X, labels, task)
    check_horizon(features, horizon_h)
    target, positives, classes = targets(answers, task)
    if task == "survival" and horizon_h is not None:
        classes = (False, True)
    card = Card(
        task=task,
        model=name,
        features=tuple(map(str, features.columns)),
        spec=plain(spec, "spec"),
        horizon_h=horizon_h,
        classes=classes,
        rows=len(features),
        machines=features.index.get_level_values(MACHINE).nunique(),
        span=span_of(features),
        positives=positives,
        ranges=ranges_of(features),
        versions=versions(),
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        data=plain(data or {}, "data"),
    )
    with alone(len(features), FEW_TO_TRAIN):
        return FittedModel(estimator.fit(features, target), card)


def chosen(task: str, model: str | BaseEstimator | None, horizon_h: float | None) -> tuple[Any, str]:
    """Return a fresh estimator and the name it goes by."""
    if isinstance(model, str) or model is None:
        known = baselines(task)
        name = model or DEFAULT[task]
        if name not in known:
            raise unknown(f"model for {task}", name, known)
        estimator = known[name]
        if task == "rul" and horizon_h is not None:
            estimator.set_params(cap_h=float(horizon_h))
        return estimator, name
    if not (hasattr(model, "fit") and hasattr(model, "get_params")):
        raise BadRequest(f"model must be a name or a scikit-learn estimator, not {type(model).__name__}.")
    return clone(model), type(model).__name__


def usable_rows(features: pd.DataFrame, labels: pd.DataFrame, task: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the rows that may teach the task, of both frames."""
    for what, frame in (("features", features), ("labels", labels)):
        if not isinstance(frame, pd.DataFrame) or list(frame.index.names) != [MACHINE, TIME]:
            raise BadRequest(f"{what} must be a DataFrame indexed by ({MACHINE}, {TIME}).")
    missing = [name for name in ("usable", *NEEDED[task]) if name not in labels.columns]
    if missing:
        raise BadRequest(f"labels lack {', '.join(missing)}, which {task} needs; compute them by labels().")
    if features.shape[1] == 0:
        raise BadRequest("features without columns: name at least one.")
    if len(features) != len(labels) or not features.index.equals(labels.index):
        raise BadRequest("features and labels have different rows; give both on the same index.")
    keep = labels["usable"].to_numpy(dtype=bool)
    if not keep.any():
        raise BadRequest(f"nothing usable: none of {len(labels)} rows is marked usable; take more time or machines.")
    if task == "diagnosis":
        keep = keep & labels["mode"].notna().to_numpy()
    try:
        return features[keep].astype(float), labels[keep]
    except (TypeError, ValueError) as fault:
        raise BadRequest(f"features must be numbers: {fault}.") from fault


def targets(labels: pd.DataFrame, task: str) -> tuple[Any, int, tuple[bool | str, ...]]:
    """Return what to fit on, how many rows have a failure, and the classes.

    Raises
    ------
    BadRequest
        For no failures, or one class only.
    """
    none = BadRequest("no failures in the training set; take more time or machines, or a longer horizon.")
    if task == "failure":
        fails = labels["fails"].to_numpy(dtype=bool)
        if not fails.any():
            raise none
        if fails.all():
            raise BadRequest("one class only: every row fails within the horizon; take a shorter one or more time.")
        return fails, int(fails.sum()), (False, True)
    if task == "diagnosis":
        if labels.empty:
            raise none
        modes = np.array([str(mode) for mode in labels["mode"]])
        classes = tuple(sorted(set(modes.tolist())))
        if len(classes) == 1:
            raise BadRequest(f"one class only: every failure is {classes[0]!r}; a diagnosis needs two modes or more.")
        return modes, len(modes), classes
    seen = ~labels["censored"].to_numpy(dtype=bool) & labels["rul_h"].notna().to_numpy()
    if not seen.any():
        raise none
    return labels[["rul_h", "censored"]], int(seen.sum()), ()


def check_horizon(features: pd.DataFrame, horizon_h: float | None) -> None:
    """Refuse a horizon that is no time, or longer than the time between the first row and the last."""
    if horizon_h is None or features.empty:
        return
    if not 0 < horizon_h < float("inf"):
        raise BadRequest(f"horizon_h {horizon_h!r} is not a positive number of hours.")
    times = features.index.get_level_values(TIME)
    length_h = (times.max() - times.min()) / HOUR
    if horizon_h > length_h:
        raise BadRequest(f"horizon {horizon_h:g} h is longer than the data ({length_h:g} h); take a shorter one.")


def span_of(features: pd.DataFrame) -> tuple[str, str]:
    """Return the first and the last time, ISO 8601."""
    times = features.index.get_level_values(TIME)
    return times.min().isoformat(), times.max().isoformat()
