"""Splits have no leak, and the checker finds each kind of leak that is planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.errors import BadRequest, LeakFound
from twin.prognosis.splits import KINDS, MachineFolds, check_causal, check_split, split

TIMES = pd.date_range("2026-01-05", periods=400, freq="6h")
INDEX = pd.MultiIndex.from_product([range(1, 9), TIMES], names=["machine_id", "ts"])


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), st.floats(0.05, 0.8), st.integers(0, 99), st.sampled_from(["1d", "5d"]))
def test_no_split_leaks(by: str, share: float, seed: int, horizon: str) -> None:
    training, test = split(INDEX, by, share, "24h", horizon, seed)
    check_split(INDEX, training, test, by=by, window="24h", horizon=horizon)


def test_planted_leaks_are_found() -> None:
    training, test = split(INDEX, "both", 0.3)
    with pytest.raises(LeakFound, match="1 rows are in training and test"):
        check_split(INDEX, np.append(training, test[0]), test)
    stranger = np.flatnonzero(INDEX.get_level_values("machine_id") == INDEX[test[0]][0])[0]
    with pytest.raises(LeakFound, match="knows the unit"):
        check_split(INDEX, np.append(training, stranger), test)
    training, test = split(INDEX, "time", 0.3, "24h", "7d")
    with pytest.raises(LeakFound, match="looks '10d' ahead"):
        check_split(INDEX, training, test, by="time", horizon="10d")
    with pytest.raises(LeakFound, match="reaches back into the training"):
        check_split(INDEX, training, test, by="time", window="20d", horizon="1d")
    later = np.append(training, test[-1] - 1)
    with pytest.raises(LeakFound):
        check_split(INDEX, later, np.setdiff1d(test, later), by="time")


def test_features_of_the_future_are_found() -> None:
    readings = pd.DataFrame({"machine_id": 1, "ts": TIMES, "x": np.arange(len(TIMES), dtype=float)})

    def honest(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.set_index(["machine_id", "ts"])[["x"]].rolling(4).mean()

    def centred(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.set_index(["machine_id", "ts"])[["x"]].rolling(5, center=True).mean()

    def scaled(rows: pd.DataFrame) -> pd.DataFrame:
        x = rows.set_index(["machine_id", "ts"])[["x"]]
        return x / x.max()

    check_causal(honest, readings, TIMES[200])
    for leaking in (centred, scaled):
        with pytest.raises(LeakFound, match="x at 2026"):
            check_causal(leaking, readings, TIMES[200])


def test_folds_by_machine_serve_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score

    rng = np.random.default_rng(0)
    X: Any = pd.DataFrame(rng.normal(size=(len(INDEX), 2)), INDEX, ["a", "b"])
    y = (X["a"] + rng.normal(size=len(X))) > 0
    assert cross_val_score(LogisticRegression(), X, y, cv=MachineFolds(4)).mean() > 0.6
    for training, test in MachineFolds(4).split(X, y):
        check_split(INDEX, training, test, by="machine")
    with pytest.raises(BadRequest, match="9 folds need as many machines"):
        next(MachineFolds(9).split(X, y))


def test_impossible_splits_are_refused() -> None:
    with pytest.raises(BadRequest, match="by must be one of"):
        split(INDEX, "row")
    with pytest.raises(BadRequest, match="nothing is left"):
        split(INDEX, "time", 0.5, horizon="365d")
    with pytest.raises(BadRequest, match="test"):
        split(INDEX, test=float("nan"))
    one = INDEX[INDEX.get_level_values("machine_id") == 1]
    with pytest.raises(BadRequest, match="nothing is left"):
        split(one, "machine")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (lambda: split(INDEX, seed=-1), "seed must be a whole number"),
        (lambda: split(INDEX, seed="a"), "seed must be a whole number"),  # type: ignore[arg-type]
        (lambda: split(INDEX[:0], "time"), "no rows to split"),
        (lambda: check_split(INDEX, np.ones(3, bool), [5]), "3200 times True or False"),
        (lambda: check_split(INDEX, [0.5], [5]), "whole numbers in a row"),
        (lambda: check_split(INDEX, [np.nan], [5]), "whole numbers in a row"),
        (lambda: check_split(INDEX, ["a"], [5]), "whole numbers in a row"),
        (lambda: check_split(INDEX, [[1]], [5]), "whole numbers in a row"),
        (lambda: check_split(INDEX, [], [5]), "some on each side"),
        (lambda: MachineFolds(2.5), "folds must be a whole number"),  # type: ignore[arg-type]
        (lambda: next(MachineFolds(2).split(np.ones((4, 1)))), "needs the index of features"),
    ],
)
def test_odd_arguments_are_refused_in_one_line(asked: Callable[[], object], said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        asked()
    assert "\n" not in str(caught.value)
