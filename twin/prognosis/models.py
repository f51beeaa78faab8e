"""The baselines: scikit-learn estimators by task and name, so that any other can take their place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from twin.errors import BadRequest, unknown
from twin.prognosis.rul import ConformalRul
from twin.prognosis.survival import CoxSurvival

ZONE_D_MM_S = 4.5
"""Vibration velocity (mm/s rms) above which ISO 10816-1 puts a small machine (class I) into zone D: damage."""
VIBRATION = re.compile(r"vibration_mm_s_mean_(\d+(?:\.\d+)?)(s|m|min|h|d)")
SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
SEED = 20816


class IsoThreshold(ClassifierMixin, BaseEstimator):
    """The zones of ISO 10816-1 as a classifier: the odds of failure are vibration velocity over the limit of zone D.

    Reads the mean of `vibration_mm_s` over the shortest window there is; where that is missing, the next longer
    one. A row without any gets the share of failures in the training set.

    Parameters
    ----------
    limit_mm_s : float, default 4.5
        Velocity that maps to a probability of 0.5 (mm/s rms): the limit between the zones C and D of class I.
    """

    def __init__(self, limit_mm_s: float = ZONE_D_MM_S) -> None:
        self.limit_mm_s = limit_mm_s

    def fit(self, X: pd.DataFrame, y: Any) -> IsoThreshold:
        """Note the columns to read and the share of failures; nothing else is learnt."""
        target = np.asarray(y, dtype=bool)
        self.columns_ = vibration_columns(list(X.columns))
        self.share_ = float(target.mean())
        self.classes_ = np.array([False, True])
        self.n_features_in_ = X.shape[1]
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return the probabilities of no failure and of failure, shape (rows, 2); rising with vibration."""
        check_is_fitted(self)
        means = X[self.columns_].to_numpy(dtype=float)
        newest = means[:, 0].copy()
        for other in means.T[1:]:
            newest = np.where(np.isnan(newest), other, newest)
        newest = np.maximum(newest, 0.0)
        fails = np.where(np.isnan(newest), self.share_, newest / (newest + self.limit_mm_s))
        return np.column_stack([1.0 - fails, fails])

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return whether the vibration is in zone D."""
        return self.predict_proba(X)[:, 1] >= 0.5


def vibration_columns(names: list[str]) -> list[str]:
    """Return the columns of mean vibration velocity, that of the shortest window first.

    Raises
    ------
    BadRequest
        Where there is none.
    """
    windows = {}
    for name in names:
        found = VIBRATION.fullmatch(name)
        if found:
            windows[name] = float(found[1]) * SECONDS[found[2]]
    if not windows:
        raise BadRequest("the threshold model needs a column vibration_mm_s_mean_<window>; add that feature.")
    return sorted(windows, key=lambda name: (windows[name], name))


def prepared(estimator: Any) -> Pipeline:
    """Return a pipeline that fills gaps by medians and scales, before an estimator that needs both."""
    return make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler(), estimator)


def logistic(penalty_inverse: float = 0.1) -> Pipeline:
    """Return logistic regression with an L2 penalty; fills gaps by medians and scales.

    Parameters
    ----------
    penalty_inverse : float, default 0.1
        scikit-learn's `C`: rolling features are nearly collinear, hence stronger than its default of 1.
    """
    return prepared(LogisticRegression(C=penalty_inverse, max_iter=1000))


def boosting(seed: int = SEED) -> HistGradientBoostingClassifier:
    """Return gradient boosting of histograms, for two classes or more; takes gaps as they are.

    No early stopping: its random split of rows would put one machine on both sides.
    """
    return HistGradientBoostingClassifier(
        learning_rate=0.06,
        max_iter=120,
        max_leaf_nodes=15,
        min_samples_leaf=30,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )


BASELINES: dict[str, dict[str, Callable[[], Any]]] = {
    "failure": {"threshold": IsoThreshold, "logistic": logistic, "boosting": boosting},
    "diagnosis": {"logistic": logistic, "boosting": boosting},
    "rul": {"linear": lambda: ConformalRul(regressor=prepared(Ridge(10.0))), "boosting": ConformalRul},
    "survival": {"cox": CoxSurvival},
}
TASKS = tuple(BASELINES)


def baselines(task: str = "failure") -> dict[str, Any]:
    """Return fresh, unfitted baselines of a task by name, the simplest first.

    Parameters
    ----------
    task : {'failure', 'diagnosis', 'rul', 'survival'}
        What is to be predicted.
    """
    if task not in BASELINES:
        raise unknown("task", task, TASKS)
    return {name: make() for name, make in BASELINES[task].items()}
