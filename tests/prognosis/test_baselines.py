"""Baselines, lives with an interval, survival, and training: known answers, stated coverage, refusals in a line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from twin.errors import BadRequest
from twin.prognosis.fitted import FittedModel
from twin.prognosis.models import TASKS, IsoThreshold, baselines
from twin.prognosis.rul import ConformalRul, offset
from twin.prognosis.survival import CoxSurvival
from twin.prognosis.training import train

Frames = tuple[pd.DataFrame, pd.DataFrame]


@pytest.mark.parametrize("task", TASKS)
def test_every_baseline_is_an_estimator_that_can_be_cloned(task: str) -> None:
    for estimator in baselines(task).values():
        assert clone(estimator).get_params().keys() == estimator.get_params().keys()


def test_the_threshold_is_even_at_the_limit_of_zone_d_and_rises() -> None:
    X = pd.DataFrame({"vibration_mm_s_mean_24h": [9.0, 9.0, 9.0], "vibration_mm_s_mean_1h": [4.5, 1.0, np.nan]})
    model = IsoThreshold().fit(X, [True, False, False])
    assert model.predict_proba(X)[:, 1] == pytest.approx([0.5, 1.0 / 5.5, 9.0 / 13.5])
    with pytest.raises(BadRequest, match="vibration_mm_s_mean"):
        IsoThreshold().fit(pd.DataFrame({"power_w_mean_1h": [1.0]}), [True])


def test_models_rank_the_failing_above_the_well(models: Any, frames: Frames) -> None:
    X, y = frames
    rank = {name: roc_auc_score(y["fails"], models["failure", name].score(X)) for name in baselines("failure")}
    assert rank["boosting"] > 0.9
    assert rank["threshold"] < rank["logistic"] + 0.1
    modes = models["diagnosis", "boosting"]
    failing = y["fails"].to_numpy()
    named = np.array(modes.classes_)[modes.predict_proba(X[failing]).argmax(axis=1)]
    assert (named == y["mode"][failing]).mean() > 0.8


def _lives(machines: int, seed: int) -> Frames:
    """Machines whose one feature tells the remaining life but for an error of the machine's own."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [range(machines), pd.date_range("2026-01-05", periods=20, freq="12h")], names=["machine_id", "ts"]
    )
    rul = np.tile(np.arange(20, 0, -1) * 12.0, machines)
    own = np.repeat(rng.normal(0, 20, machines), 20)
    X = pd.DataFrame({"worn": rul + own + rng.normal(0, 10, rul.size)}, index)
    return X, pd.DataFrame({"rul_h": rul, "censored": False, "usable": True}, index)


def test_intervals_cover_what_they_state_on_machines_that_were_not_seen() -> None:
    covered = []
    for seed in range(6):
        X, y = _lives(150, seed)
        new, truth = _lives(300, 1000 + seed)
        bounds = ConformalRul(cap_h=300.0, seed=seed).fit(X, y).predict_interval(new)
        hours = truth["rul_h"].to_numpy()
        covered.append(((bounds[:, 0] <= hours) & (hours <= bounds[:, 1])).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.02)


def test_the_offset_counts_machines_and_not_rows() -> None:
    excess, machines = np.array([1.0, 2.0, 3.0, 10.0]), np.array([1, 1, 1, 2])
    assert offset(excess, machines, 0.3) == (3.0, 0.3)  # a third of the weight is machine 1, a ninth a row
    assert offset(excess, machines, 0.9) == (10.0, pytest.approx(2 / 3))


def test_cox_finds_the_coefficient_that_made_the_lives() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=4000)
    hours = rng.exponential(100.0 / np.exp(0.8 * x))
    seen = rng.exponential(200.0, x.size)
    y = pd.DataFrame({"rul_h": np.minimum(hours, seen), "censored": hours > seen})
    model = CoxSurvival(penalty=0.0).fit(pd.DataFrame({"x": x}), y)
    assert model.coefficients_[0] == pytest.approx(0.8, abs=0.06)
    at_mean = model.predict_survival(np.array([[x.mean()]]), [50.0])[0, 0]
    assert at_mean == pytest.approx(np.exp(-50 / 100 * np.exp(0.8 * x.mean())), abs=0.03)
    assert model.score(pd.DataFrame({"x": x}), y) > 0.65


def test_a_score_is_explained_by_what_moves_it(models: Any, frames: Frames) -> None:
    X, y = frames
    model: FittedModel = models["failure", "boosting"]
    shaking = X[y["fails"] & (y["mode"] == "bearing_degradation")].nlargest(3, "vibration_mm_s_mean_24h")
    told = model.explain(shaking, top=1)
    assert set(told["feature"]) <= {"vibration_mm_s_mean_24h", "vibration_mm_s_mean_1h"}
    assert (told["effect"] > 0).all()


def test_what_is_unlike_the_training_is_told(models: Any, frames: Frames) -> None:
    model: FittedModel = models["failure", "boosting"]
    strange = frames[0].iloc[:3].copy()
    strange.iloc[0, 0], strange.iloc[1, 0] = 50.0, np.nan
    assert model.in_range(frames[0]).all()
    assert model.in_range(strange).tolist()[:2] == [False, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda X, y: (X, y.assign(fails=False)), "no failures in the training set"),
        (lambda X, y: (X, y.assign(fails=True)), "one class only"),
        (lambda X, y: (X, y.assign(usable=False)), "nothing usable"),
        (lambda X, y: (X.iloc[1:], y), "different rows"),
        (lambda X, y: (X, y.drop(columns="fails")), "lack fails"),
        (lambda X, y: (X.assign(word="a"), y), "must be numbers"),
    ],
)
def test_what_cannot_teach_is_refused_in_a_line(change: Any, said: str, frames: Frames) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        train(*change(*frames))
    assert "\n" not in str(caught.value)


def test_other_refusals(models: Any, frames: Frames) -> None:
    with pytest.raises(BadRequest, match="longer than the data"):
        train(*frames, horizon_h=1e5)
    with pytest.raises(BadRequest, match="unknown task"):
        train(*frames, task="guess")
    with pytest.raises(BadRequest, match="not a fitted estimator"):
        FittedModel(baselines("failure")["logistic"], models["failure", "logistic"].card)
    renamed = frames[0].rename(columns={"alarms_24h": "alarms_12h"})
    with pytest.raises(BadRequest, match="another schema: missing alarms_24h; unexpected alarms_12h"):
        models["failure", "boosting"].predict_proba(renamed)
    with pytest.raises(BadRequest, match="gives no interval"):
        models["failure", "boosting"].predict_interval(frames[0])


@pytest.mark.parametrize("task", TASKS)
def test_a_feature_without_any_value_teaches_nothing_and_hurts_nothing(frames: Frames, task: str) -> None:
    X, y = frames
    without = X.drop(columns=X.columns[:1])
    for name in baselines(task):
        if name == "threshold":
            continue
        plain = train(without, y, task, name)
        model = train(without.assign(never=np.nan), y, task, name)
        asked = without.tail(20)
        for value in (np.nan, 7.0):
            found = model.score(asked.assign(never=value))
            np.testing.assert_allclose(found.to_numpy(float), plain.score(asked).to_numpy(float), rtol=1e-3, atol=1e-4)
        assert model.in_range(asked.assign(never=np.nan)).equals(plain.in_range(asked))
        assert not model.in_range(asked.assign(never=7.0)).any()


def test_what_would_be_mistaken_for_an_answer_is_refused(frames: Frames) -> None:
    X, y = frames
    endless = X.copy()
    endless.iloc[int(np.flatnonzero(y["usable"])[0]), 0] = np.inf
    gap = y["usable"].astype(object).where(np.arange(len(y)) > 5, np.nan)
    for given, said in (
        ({"X": endless}, "is infinite in 1 rows"),
        ({"X": pd.concat([X, X], axis=1)}, "twice"),
        ({"labels": y.assign(usable=gap)}, "usable must be True or False, got nan"),
        ({"labels": y.assign(fails="no")}, "fails must be True or False, got 'no'"),
        ({"labels": y.assign(rul_h=-5.0), "task": "rul"}, "0 h or more"),
        ({"horizon_h": "7d"}, "positive number of hours"),
        ({"horizon_h": "7d", "task": "rul"}, "positive number of hours"),
        ({"horizon_h": True}, "positive number of hours"),
        ({"data": [1]}, "data must be a dict"),
        ({"model": IsoThreshold}, "the class IsoThreshold: call it"),
        ({"X": X.assign(gap=np.where(np.arange(len(X)) % 2, np.nan, 1.0)), "model": Ridge()}, "contains NaN"),
    ):
        with pytest.raises(BadRequest, match=said) as caught:
            train(**{"X": X, "labels": y, "task": "failure", **given})
        assert "\n" not in str(caught.value)


def test_rows_that_a_model_cannot_score_are_told_in_one_line(models: Any, frames: Frames) -> None:
    row = frames[0].tail(1) * np.inf
    with pytest.raises(BadRequest, match="'logistic' cannot score these rows: Input X contains infinity") as caught:
        models["failure", "logistic"].predict_proba(row)
    assert "\n" not in str(caught.value)
    for top in (0, "a", 1.5):
        with pytest.raises(BadRequest, match="count of 1 or more"):
            models["failure", "logistic"].explain(frames[0].tail(1), top=top)
