"""Cox's proportional hazards with a penalty: all rows teach, those without a failure as well.

References
----------
.. [1] D. R. Cox, "Regression models and life-tables", J. R. Stat. Soc. B 34 (1972).
.. [2] F. E. Harrell et al., "Evaluating the yield of medical tests", JAMA 247 (1982): concordance.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from twin.errors import BadRequest
from twin.prognosis.frames import outcomes, values_of

LEAST_HOURS = 1e-3
LEAST_SPREAD = 1e-9


class CoxSurvival(BaseEstimator):
    """Penalised Cox regression (fitted by lifelines) on hours from a row to the failure, or to the end of sight.

    Keeps arrays only, hence can be stored without lifelines' own objects. Gaps are filled by training medians.

    Parameters
    ----------
    penalty : float, default 0.1
        lifelines' `penalizer`, L2 on the coefficients of scaled features, 0 or more.
    rows : int, default 20000
        Larger training sets are thinned to this many rows at random (seeded).
    seed : int, default 0
        Of the thinning.

    Attributes
    ----------
    coefficients_ : array
        Of the scaled features.
    times_h_, hazard_ : arrays
        The baseline's cumulative hazard, a step function of hours.

    Notes
    -----
    Rows of one life are not independent: the coefficients are meant for prediction, not for tests of significance.
    """

    def __init__(self, penalty: float = 0.1, rows: int = 20_000, seed: int = 0) -> None:
        self.penalty = penalty
        self.rows = rows
        self.seed = seed

    def fit(self, X: Any, y: Any) -> CoxSurvival:
        """Fit coefficients and the baseline's hazard.

        Parameters
        ----------
        X : DataFrame or array
            Features.
        y : DataFrame or array-like of float
            `rul_h` (hours to the failure, or observed without one) and `censored`; or hours alone, all observed.

        Raises
        ------
        BadRequest
            Where no row has an observed failure, or the fit does not converge.
        """
        hours, censored = outcomes(y)
        usable = np.flatnonzero(np.isfinite(hours))
        if not (~censored[usable]).any():
            raise BadRequest("no failures in the training set: every life is censored; take more machines or time.")
        if len(usable) > self.rows:
            usable = np.sort(np.random.default_rng(self.seed).choice(usable, self.rows, replace=False))
        values = values_of(X)[usable]
        self._scale(values)
        scaled = self._scaled(values)
        varied = np.flatnonzero(self.varied_)
        self.coefficients_ = np.zeros(values.shape[1])
        frame = pd.DataFrame(scaled[:, varied], columns=[f"x{i}" for i in varied])
        frame["hours"] = np.maximum(hours[usable], LEAST_HOURS)
        frame["failed"] = ~censored[usable]
        fitted = self._fitted(frame)
        if len(varied):
            self.coefficients_[varied] = fitted.params_.to_numpy(dtype=float)
        # lifelines centres its covariates; the means stay part of the risk
        self.centre_ = float(scaled.mean(axis=0) @ self.coefficients_)
        hazard = fitted.baseline_cumulative_hazard_.iloc[:, 0]
        self.times_h_ = hazard.index.to_numpy(dtype=float)
        self.hazard_ = hazard.to_numpy(dtype=float)
        self.n_features_in_ = values.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the risk: the log of the hazard's ratio to that of an average row."""
        check_is_fitted(self)
        return self._scaled(values_of(X)) @ self.coefficients_ - self.centre_

    def predict_survival(self, X: Any, times_h: Any) -> np.ndarray:
        """Return the probability of surviving each of the times, shape (rows, times).

        Parameters
        ----------
        X : DataFrame or array
            Features.
        times_h : array-like of float
            Hours from the row, 0 or more; beyond the longest life of the training set the hazard stays as it was.
        """
        times = np.atleast_1d(np.asarray(times_h, dtype=float))
        if not (times >= 0).all():
            raise BadRequest("times_h must be 0 or more hours.")
        risk = self.predict(X)
        at = np.searchsorted(self.times_h_, times, side="right") - 1
        cumulative = np.where(at >= 0, self.hazard_[np.maximum(at, 0)], 0.0)
        return np.exp(-np.exp(np.clip(risk, -50, 50))[:, None] * cumulative[None, :])

    def score(self, X: Any, y: Any) -> float:
        """Return Harrell's concordance: the share of comparable pairs ranked rightly, 0.5 for chance."""
        from lifelines.utils import concordance_index

        hours, censored = outcomes(y)
        return float(concordance_index(hours, -self.predict(X), ~censored))

    def _scale(self, values: np.ndarray) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # columns that are all gaps
            self.medians_ = np.nan_to_num(np.nanmedian(values, axis=0))
        filled = np.where(np.isnan(values), self.medians_, values)
        self.means_ = filled.mean(axis=0)
        spread = filled.std(axis=0)
        self.varied_ = spread > LEAST_SPREAD * np.maximum(1.0, np.abs(self.means_))
        self.spreads_ = np.where(self.varied_, spread, 1.0)

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        return (np.where(np.isnan(values), self.medians_, values) - self.means_) / self.spreads_

    def _fitted(self, frame: pd.DataFrame) -> Any:
        from lifelines import CoxPHFitter
        from lifelines.exceptions import ConvergenceError

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of low variance: the penalty is there for it
            try:
                return CoxPHFitter(penalizer=self.penalty).fit(frame, "hours", "failed")
            except (ConvergenceError, ValueError) as fault:
                reason = str(fault).splitlines()[0]
                raise BadRequest(f"Cox's regression does not converge ({reason}); raise penalty.") from fault
