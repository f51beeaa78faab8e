"""Train a baseline, or any scikit-learn estimator, on features and labels."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone

from twin.catalog.checks import as_number
from twin.errors import BadRequest, one_line, shown, unknown
from twin.prognosis.card import Card, plain, ranges_of, versions
from twin.prognosis.fitted import FittedModel
from twin.prognosis.frames import HOUR, MACHINE, TIME, told
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
    if horizon_h is not None and not 0 < (as_number(horizon_h) or 0.0) < float("inf"):
        raise BadRequest(f"horizon_h {horizon_h!r} is not a positive number of hours.")
    estimator, name = chosen(task, model, horizon_h)
    if data is not None and not isinstance(data, dict):
        raise BadRequest(f"data must be a dict of what is to be kept in the card, got {shown(data)}")
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
        return FittedModel(fitted(estimator, told(features), target, name), card)


def fitted(estimator: Any, features: pd.DataFrame, target: Any, name: str) -> Any:
    """Return the estimator fitted; what it does not take is told in one line."""
    try:
        return estimator.fit(features, target)
    except BadRequest:
        raise
    except (TypeError, ValueError) as fault:
        raise BadRequest(f"{name} cannot be trained on these rows: {one_line(fault)}.") from fault


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
    if isinstance(model, type) or not (hasattr(model, "fit") and hasattr(model, "get_params")):
        what = f"the class {model.__name__}: call it" if isinstance(model, type) else type(model).__name__
        raise BadRequest(f"model must be a name or a scikit-learn estimator, not {what}.")
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
    if not features.columns.is_unique:
        twice = features.columns[features.columns.duplicated()][0]
        raise BadRequest(f"features name {shown(twice)} twice; give each column once.")
    keep = truths(labels, "usable")
    if not keep.any():
        raise BadRequest(f"nothing usable: none of {len(labels)} rows is marked usable; take more time or machines.")
    if task == "diagnosis":
        keep = keep & labels["mode"].notna().to_numpy()
    try:
        taught = features[keep].astype(float)
    except (TypeError, ValueError) as fault:
        raise BadRequest(f"features must be numbers: {fault}.") from fault
    endless = np.isinf(taught.to_numpy()).any(axis=0)
    if endless.any():
        name = taught.columns[endless][0]
        raise BadRequest(f"feature {shown(name)} is infinite in {np.isinf(taught[name]).sum()} rows; leave them out.")
    return taught, labels[keep]


def truths(labels: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column of labels that says yes or no, or refuse what would be taken for yes (text, gaps)."""
    given = labels[name]
    if not given.isin([True, False]).all():
        odd = given[~given.isin([True, False])].iloc[0]
        raise BadRequest(f"labels' {name} must be True or False, got {shown(odd)}; compute them by labels().")
    return given.to_numpy(dtype=bool)


def targets(labels: pd.DataFrame, task: str) -> tuple[Any, int, tuple[bool | str, ...]]:
    """Return what to fit on, how many rows have a failure, and the classes.

    Raises
    ------
    BadRequest
        For no failures, or one class only.
    """
    none = BadRequest("no failures in the training set; take more time or machines, or a longer horizon.")
    if task == "failure":
        fails = truths(labels, "fails")
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
    if (labels["rul_h"] < 0).any():
        raise BadRequest(f"labels' rul_h must be 0 h or more, got {labels['rul_h'].min():g}; compute it by labels().")
    seen = ~truths(labels, "censored") & labels["rul_h"].notna().to_numpy()
    if not seen.any():
        raise none
    return labels[["rul_h", "censored"]], int(seen.sum()), ()


def check_horizon(features: pd.DataFrame, horizon_h: float | None) -> None:
    """Refuse a horizon that is longer than the time between the first row and the last."""
    if horizon_h is None or features.empty:
        return
    times = features.index.get_level_values(TIME)
    length_h = (times.max() - times.min()) / HOUR
    if horizon_h > length_h:
        raise BadRequest(f"horizon {horizon_h:g} h is longer than the data ({length_h:g} h); take a shorter one.")


def span_of(features: pd.DataFrame) -> tuple[str, str]:
    """Return the first and the last time, ISO 8601."""
    times = features.index.get_level_values(TIME)
    return times.min().isoformat(), times.max().isoformat()
