"""The baselines of the prediction tasks, and a ceiling that sees the true wear."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor

from twin.benchmark.data import Data
from twin.benchmark.scoring import Score, behind, score
from twin.benchmark.tasks import COLUMNS, RUL_CAP_H
from twin.prognosis.frames import outcomes
from twin.prognosis.models import IsoThreshold
from twin.prognosis.training import train

if TYPE_CHECKING:
    import pandas as pd

CEILING = "ceiling"
"""Not a baseline: the strongest of them, given the true damage of each part, which no one can measure."""
STRONGEST = "boosting"
"""Whom the others are compared with, and who gets to see the truth."""
SEED = 20816
LEAST_HOURS = 1.0


class HazardBoosting(BaseEstimator):
    """Gradient boosting of a constant hazard: censored lives count for as long as they were seen.

    The likelihood of exponential lives, ``event * log(rate) - rate * hours``, is that of Poisson counts
    ``event / hours`` with the hours as weights.
    """

    def fit(self, X: Any, y: Any) -> HazardBoosting:
        """Fit on hours and whether they are censored."""
        hours, censored = outcomes(y)
        hours = np.maximum(hours, LEAST_HOURS)
        self.model_ = HistGradientBoostingRegressor(
            loss="poisson", learning_rate=0.06, max_iter=120, max_leaf_nodes=15, min_samples_leaf=30,
            l2_regularization=1.0, early_stopping=False, random_state=SEED,
        ).fit(X, ~censored / hours, sample_weight=hours)  # fmt: skip
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the log of the hazard (1/h)."""
        return np.log(self.model_.predict(X))


Answers = Callable[[Any, Any, Any], dict[str, Any]]
"""Takes features and labels of the training, and features of the test; returns the columns of a submission."""


def _classifier(name: str) -> Answers:
    def answers(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
        return {"probability": train(X, y, "failure", name, horizon_h=168.0).predict_proba(asked)[:, 1]}

    return answers


def _base_rate(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    return {"probability": np.full(len(asked), y["fails"].mean())}


def _diagnosis(name: str) -> Answers:
    def answers(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
        return {"mode": train(X, y, "diagnosis", name).predict(asked).to_numpy()}

    return answers


def _commonest(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    return {"mode": np.full(len(asked), y["mode"].mode().iloc[0], dtype=object)}


def _rul(name: str) -> Answers:
    def answers(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
        model = train(X, y, "rul", name, horizon_h=RUL_CAP_H)
        bounds = model.predict_interval(asked)
        return {"rul_h": model.predict(asked).to_numpy(), **{c: bounds[c].to_numpy() for c in bounds.columns}}

    return answers


def _constant(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    hours = np.quantile(y["rul_h"], [0.5, 0.05, 0.95])
    return {name: np.full(len(asked), value) for name, value in zip(COLUMNS["rul"], hours, strict=True)}


def _no_covariates(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    return {"risk": np.zeros(len(asked))}


def _vibration(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    return {"risk": IsoThreshold().fit(X, ~y["censored"]).predict_proba(asked)[:, 1]}


def _cox(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    return {"risk": train(X, y, "survival", "cox").predict(asked).to_numpy()}


def _hazard(X: pd.DataFrame, y: pd.DataFrame, asked: pd.DataFrame) -> dict[str, Any]:
    return {"risk": HazardBoosting().fit(X, y[["rul_h", "censored"]]).predict(asked)}


BASELINES: dict[str, dict[str, Answers]] = {
    "detection": {
        "base-rate": _base_rate,
        "threshold": _classifier("threshold"),
        "logistic": _classifier("logistic"),
        "boosting": _classifier("boosting"),
    },
    "diagnosis": {
        "commonest": _commonest,
        "logistic": _diagnosis("logistic"),
        "boosting": _diagnosis("boosting"),
    },
    "rul": {"constant": _constant, "linear": _rul("linear"), "boosting": _rul("boosting")},
    "survival": {
        "kaplan-meier": _no_covariates,
        "threshold": _vibration,
        "cox": _cox,
        "boosting": _hazard,
    },
}
"""By kind and name, the simplest first; Kaplan and Meier's curve is the same for every machine, and orders none."""


def answered(data: Data, answers: Answers, X: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return the answers to the test rows of who learns from the others; `X` takes the features' place."""
    import pandas as pd

    X = data.X if X is None else X
    taught, asked = X[~data.test], X[data.test]
    return pd.DataFrame(answers(taught, data.y[~data.test], asked), index=asked.index)


def scored(data: Data, truth: pd.DataFrame | None = None) -> dict[str, Score]:
    """Return the scores of all baselines of a task, how far each is behind boosting, and the ceiling's with the truth.

    Parameters
    ----------
    data : Data
    truth : DataFrame, optional
        Features with the true damage (see `twin.benchmark.data.with_truth`).
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # tasks share the processors, not the trees of one
        given = {name: answered(data, answers) for name, answers in BASELINES[data.task.kind].items()}
        found = {name: score(data, answer) for name, answer in given.items()}
        for name, answer in given.items():
            if name != STRONGEST:
                found[name].figures.update(behind(data, answer, given[STRONGEST]))
        if truth is not None:
            found[CEILING] = score(data, answered(data, BASELINES[data.task.kind][STRONGEST], truth))
        return found
