"""Remaining useful life with an interval whose coverage is calibrated on machines that the model has not seen.

Split-conformal quantile regression [1]_ with the weights of hierarchical conformal prediction [2]_: each
calibration machine counts once, however many rows it has, and one more machine, the one to come, counts as
infinitely far off. For exchangeable machines a random row of a new one is then covered with at least the stated
probability.

References
----------
.. [1] Y. Romano, E. Patterson, E. Candes, "Conformalized quantile regression", NeurIPS 2019.
.. [2] Y. Lee, R. F. Barber, R. Willett, "Distribution-free inference with hierarchical data", 2023
   (arXiv:2306.06342).
.. [3] F. O. Heimes, "Recurrent neural networks for remaining useful life estimation", PHM 2008: capped RUL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.utils.validation import check_is_fitted

from twin.errors import BadRequest
from twin.prognosis.frames import machines_of, outcomes, told

LEAST_MACHINES = 2
CAP_H = 336.0
"""Two weeks: further ahead no one plans a repair, and a healthy machine does not show how far off its end is."""


class ConformalRul(RegressorMixin, BaseEstimator):
    """Gradient boosting on capped remaining life, with a conformal interval.

    Parameters
    ----------
    coverage : float, default 0.9
        Share of rows with a remaining life below the cap that the interval is to cover, in (0, 1). Rows at or
        beyond the cap are left out of the calibration: their value is known beforehand and would buy coverage
        for nothing. An upper bound at the cap reads "the cap or more".
    cap_h : float, default 336
        Remaining lives are capped here (hours) [3]_.
    calibration_share : float, default 0.4
        Share of machines held out for calibration, in (0, 1).
    regressor : estimator, optional
        Predicts a centre, with constant width around it; without, three boosted quantile models adapt the width.
    seed : int, default 0
        Chooses the calibration machines, and seeds the models.

    Attributes
    ----------
    offset_h_ : float
        What the interval is widened by on each side (hours); below 0 it is narrowed.
    guaranteed_coverage_ : float
        The stated coverage, or K / (K + 1) where K calibration machines are too few for it; the interval then
        reaches as far as their worst row.
    calibration_machines_ : list
        The machines held out.

    Notes
    -----
    Censored rows: `rul_h` is then the time observed without a failure. Where that reaches the cap the capped life
    is known and the row is used as it is; any other censored row is left out of fit and calibration. Long lives
    are censored more often than short ones, hence what is left is biased towards short lives, on the safe side;
    `CoxSurvival` uses all rows.
    """

    def __init__(
        self,
        coverage: float = 0.9,
        cap_h: float = CAP_H,
        calibration_share: float = 0.4,
        regressor: Any = None,
        seed: int = 0,
    ) -> None:
        self.coverage = coverage
        self.cap_h = cap_h
        self.calibration_share = calibration_share
        self.regressor = regressor
        self.seed = seed

    def fit(self, X: Any, y: Any, groups: Any = None) -> ConformalRul:
        """Fit on some machines and calibrate on the others.

        Parameters
        ----------
        X : DataFrame
            Features; its index names the machines unless `groups` does.
        y : DataFrame or array-like of float
            `rul_h` and `censored`, or hours alone.
        groups : array-like, optional
            The machine of each row.

        Raises
        ------
        BadRequest
            For parameters out of range, fewer than two machines, or none that failed on either side.
        """
        self._check()
        machines = machines_of(X, groups)
        hours, censored = outcomes(y)
        known = np.isfinite(hours) & (~censored | (hours >= self.cap_h))
        target = np.clip(hours, 0.0, self.cap_h)
        held_out = self._hold_out(machines[known & (target < self.cap_h)])
        calibrating = np.isin(machines, held_out)
        taught, asked = known & ~calibrating, known & calibrating & (target < self.cap_h)
        if not taught.any():
            raise BadRequest("no rows of known remaining life are left to fit on; give more machines.")
        rows, answers = told(X[taught]), target[taught]
        self.centre_ = self._centre().fit(rows, answers)
        self.tails_ = [] if self.regressor is not None else [self._tail(q).fit(rows, answers) for q in self._levels()]
        low, high = self._raw(X[asked])
        excess = np.maximum(low - target[asked], target[asked] - high)
        self.offset_h_, self.guaranteed_coverage_ = offset(excess, machines[asked], self.coverage)
        self.calibration_machines_ = held_out.tolist()
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the remaining life (hours), 0 to the cap."""
        check_is_fitted(self)
        return np.clip(self.centre_.predict(X), 0.0, self.cap_h)

    def predict_interval(self, X: Any) -> np.ndarray:
        """Return lower and upper bounds of the remaining life (hours), shape (rows, 2), each 0 to the cap."""
        check_is_fitted(self)
        low, high = self._raw(X)
        low, high = low - self.offset_h_, high + self.offset_h_
        middle = (low + high) / 2  # a narrowed interval may turn inside out
        low, high = np.minimum(low, middle), np.maximum(high, middle)
        return np.clip(np.column_stack([low, high]), 0.0, self.cap_h)

    def _raw(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        if not self.tails_:
            centre = self.centre_.predict(x)
            return centre, centre
        low, high = (tail.predict(x) for tail in self.tails_)
        return np.minimum(low, high), np.maximum(low, high)

    def _levels(self) -> tuple[float, float]:
        return (1 - self.coverage) / 2, (1 + self.coverage) / 2

    def _centre(self) -> Any:
        return clone(self.regressor) if self.regressor is not None else self._tail(0.5)

    def _tail(self, level: float) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(
            loss="quantile",
            quantile=level,
            learning_rate=0.08,
            max_iter=100,
            max_leaf_nodes=15,
            min_samples_leaf=30,
            early_stopping=False,
            random_state=self.seed,
        )

    def _hold_out(self, machines: np.ndarray) -> np.ndarray:
        names = np.unique(machines)
        if len(names) < LEAST_MACHINES:
            raise BadRequest(
                f"{len(names)} machine(s) with a known remaining life below {self.cap_h:g} h; calibration needs "
                f"{LEAST_MACHINES} or more: give more machines or a larger cap_h."
            )
        count = min(max(round(self.calibration_share * len(names)), 1), len(names) - 1)
        return np.sort(np.random.default_rng(self.seed).permutation(names)[:count])

    def _check(self) -> None:
        for name in ("coverage", "calibration_share"):
            if not 0 < getattr(self, name) < 1:
                raise BadRequest(f"{name} {getattr(self, name)!r} is not between 0 and 1.")
        if not 0 < self.cap_h < np.inf:
            raise BadRequest(f"cap_h {self.cap_h!r} is not a positive number of hours.")


def offset(excess: np.ndarray, machines: np.ndarray, coverage: float) -> tuple[float, float]:
    """Return the widening that covers a new machine's row, and the coverage that this guarantees.

    Parameters
    ----------
    excess : array of float
        How far each calibration row lies outside its interval (hours), below 0 inside.
    machines : array
        The machine of each row; all rows of a machine share a weight of 1 / (K + 1) for K machines.
    coverage : float
        Wanted, in (0, 1).
    """
    _, which, rows = np.unique(machines, return_inverse=True, return_counts=True)
    count = len(rows)
    order = np.argsort(excess, kind="stable")
    reached = np.cumsum(1.0 / (rows[which[order]] * (count + 1)))
    at = int(np.searchsorted(reached, coverage - 1e-12))
    if at == len(excess):
        return float(excess[order[-1]]), count / (count + 1)
    return float(excess[order[at]]), coverage
