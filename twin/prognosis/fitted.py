"""A fitted model with its card: scores frames, says when a row is unlike its training, and explains a score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from twin.errors import BadRequest, one_line, shown
from twin.prognosis.card import Card
from twin.prognosis.threads import FEW_TO_SCORE, alone

MARGIN = 0.1
SHOWN_COLUMNS = 5


class FittedModel:
    """An estimator and what it was trained on.

    Parameters
    ----------
    estimator : object
        A fitted scikit-learn estimator.
    card : Card
        What it came from.

    Raises
    ------
    BadRequest
        Where the estimator is not fitted.
    """

    def __init__(self, estimator: Any, card: Card) -> None:
        try:
            check_is_fitted(estimator)
        except (NotFittedError, TypeError) as fault:
            raise BadRequest(f"{type(estimator).__name__} is not a fitted estimator; use train().") from fault
        self.estimator = estimator
        self.card = card
        self._features = list(card.features)
        ranges = [card.ranges[name] for name in card.features]
        low, high, middle = (
            np.array([np.nan if getattr(r, name) is None else getattr(r, name) for r in ranges], dtype=float)
            for name in ("low", "high", "median")
        )
        margin = MARGIN * (high - low)
        self._low, self._high, self._medians = low - margin, high + margin, middle
        self._gaps = np.array([r.gaps for r in ranges])

    def __repr__(self) -> str:
        card = self.card
        return f"<FittedModel {card.model} for {card.task}: {card.rows} rows of {card.machines} machines>"

    @property
    def classes_(self) -> tuple[bool | str, ...]:
        """What `predict_proba` gives probabilities of, in its order."""
        return self.card.classes

    def columns(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return the features in the order of the training.

        Raises
        ------
        BadRequest
            For missing or unexpected columns, or such that are no numbers.
        """
        if not isinstance(X, pd.DataFrame):
            raise BadRequest(f"features must be a DataFrame, not {type(X).__name__}.")
        given = list(X.columns)
        if given != self._features:
            missing = [name for name in self._features if name not in given]
            unexpected = [str(name) for name in given if name not in self._features]
            if missing or unexpected or len(given) != len(self._features):
                parts = [
                    f"{what} {listed(names)}" for what, names in (("missing", missing), ("unexpected", unexpected))
                ]
                raise BadRequest(
                    f"features of another schema: {'; '.join(parts)}. Compute them by the spec in the model's card."
                )
            X = X[self._features]
        try:
            return X.astype(float)
        except (TypeError, ValueError) as fault:
            raise BadRequest(f"features must be numbers: {fault}.") from fault

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return probabilities, shape (rows, classes).

        A survival model trained with a horizon gives the probability of failing within it; others of RUL have none.
        """
        features = self.columns(X)
        if len(features) == 0:
            if not self.classes_:
                raise self._no("probabilities")
            return np.empty((0, len(self.classes_)))
        if self.card.task == "survival" and self.card.horizon_h is not None:
            survives = self.estimator.predict_survival(features, [self.card.horizon_h])
            return np.hstack([survives, 1.0 - survives])
        if not hasattr(self.estimator, "predict_proba"):
            raise self._no("probabilities")
        with alone(len(features), FEW_TO_SCORE):
            return self._answer("predict_proba", features)

    def predict(self, X: pd.DataFrame) -> pd.Series:
        """Return the estimator's own answer by row: whether it fails, the mode, hours to failure, or the risk."""
        return self._series(self._asked("predict", X), X)

    def predict_interval(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return `low_h` and `high_h`, the bounds of the remaining life (models of RUL)."""
        return pd.DataFrame(self._asked("predict_interval", X), index=X.index, columns=["low_h", "high_h"])

    def predict_survival(self, X: pd.DataFrame, times_h: Any) -> pd.DataFrame:
        """Return the probability of surviving each of the times (hours; survival models)."""
        times = np.atleast_1d(np.asarray(times_h, dtype=float))
        return pd.DataFrame(self._asked("predict_survival", X, times), index=X.index, columns=times)

    def score(self, X: pd.DataFrame) -> pd.Series:
        """Return the one number of each row.

        The probability of failure, that of the leading mode, the remaining life (hours), or the risk.
        """
        if self.card.task == "failure" or (self.card.task == "survival" and self.classes_):
            return self._series(self.predict_proba(X)[:, 1], X)
        if self.card.task == "diagnosis":
            proba = self.predict_proba(X)
            return self._series(proba.max(axis=1) if len(proba) else np.empty(0), X)
        return self.predict(X)

    def out_of_range(self, X: pd.DataFrame) -> pd.DataFrame:
        """Return for each row and feature whether it is unlike the training.

        That is outside its extremes by more than 10 % of their span, infinite, or missing where it never was.
        """
        values = self.columns(X).to_numpy()
        gap = np.isnan(values)
        with np.errstate(invalid="ignore"):
            inside = (values >= self._low) & (values <= self._high)
        return pd.DataFrame(~np.where(gap, self._gaps, inside), index=X.index, columns=self._features)

    def in_range(self, X: pd.DataFrame) -> pd.Series:
        """Return for each row whether all features are within what the training covered, see `out_of_range`."""
        return ~self.out_of_range(X).any(axis=1)

    def explain(self, X: pd.DataFrame, top: int = 3) -> pd.DataFrame:
        """Return the features that speak most for each row's score.

        Parameters
        ----------
        X : DataFrame
            Features; meant for a few rows.
        top : int, default 3
            How many per row, 1 or more.

        Returns
        -------
        DataFrame
            Columns of the index, then `feature`, `value`, `median` and `effect`: the score minus the score with
            that feature at its training median; for a diagnosis of the mode that leads. Strongest first.
        """
        if isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1:
            raise BadRequest(f"top {top!r} is not a count of 1 or more.")
        features = self.columns(X)
        rows, count = features.shape
        top = min(top, count)
        values = features.to_numpy()
        varied = np.repeat(values, count + 1, axis=0).reshape(rows, count + 1, count)
        which = np.arange(count)
        varied[:, which + 1, which] = self._medians
        effect = self._effects(pd.DataFrame(varied.reshape(-1, count), columns=self._features), rows)
        order = np.argsort(-np.abs(effect), axis=1, kind="stable")[:, :top]
        flat, row = order.ravel(), np.repeat(np.arange(rows), top)
        found = pd.DataFrame(
            {
                "feature": np.array(self._features, dtype=object)[flat],
                "value": values[row, flat],
                "median": self._medians[flat],
                "effect": effect[row, flat],
            },
            index=X.index.take(row),
        )
        return found.reset_index()

    def _effects(self, varied: pd.DataFrame, rows: int) -> np.ndarray:
        count = len(self._features)
        if rows == 0:
            return np.empty((0, count))
        if self.card.task == "diagnosis":
            proba = self.predict_proba(varied).reshape(rows, count + 1, -1)
            leading = proba[:, 0, :].argmax(axis=1)
            scores = proba[np.arange(rows), :, leading]
        else:
            scores = self.score(varied).to_numpy(dtype=float).reshape(rows, count + 1)
        return scores[:, :1] - scores[:, 1:]

    def _asked(self, method: str, x: pd.DataFrame, *rest: Any) -> np.ndarray:
        features = self.columns(x)
        if not hasattr(self.estimator, method):
            raise self._no(method.removeprefix("predict_"))
        if len(features) == 0:
            shape = {"predict_interval": (0, 2), "predict_survival": (0, len(rest[0]) if rest else 0)}
            return np.empty(shape.get(method, (0,)))
        with alone(len(features), FEW_TO_SCORE):
            return self._answer(method, features, *rest)

    def _answer(self, method: str, *given: Any) -> np.ndarray:
        """Return the estimator's answer; what it does not take, such as infinite values, is told in one line."""
        try:
            return np.asarray(getattr(self.estimator, method)(*given))
        except BadRequest:
            raise
        except ValueError as fault:
            raise BadRequest(
                f"the model {shown(self.card.model)} cannot score these rows: {one_line(fault)}"
            ) from fault

    def _series(self, values: np.ndarray, x: pd.DataFrame) -> pd.Series:
        return pd.Series(values, index=x.index, name="score")

    def _no(self, what: str) -> BadRequest:
        return BadRequest(f"the model {shown(self.card.model)} for {self.card.task} gives no {what}.")


def listed(names: list[str]) -> str:
    """Return a few names and how many more there are."""
    if not names:
        return "none"
    more = f" and {len(names) - SHOWN_COLUMNS} more" if len(names) > SHOWN_COLUMNS else ""
    return ", ".join(shown(name)[1:-1] for name in names[:SHOWN_COLUMNS]) + more
