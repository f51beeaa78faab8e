"""Data of a task: rows that count, machines held out, a digest that tells tasks apart, baselines that answer all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_tasks import SMALL, small

from twin.benchmark.baselines import BASELINES, CEILING, HazardBoosting, answered, scored
from twin.benchmark.data import Data, digest_of, regenerate, simulated
from twin.benchmark.scoring import score
from twin.benchmark.tasks import COLUMNS, RUL_CAP_H
from twin.prognosis.splits import check_split

Made = tuple[dict[str, Data], pd.DataFrame]


@pytest.mark.parametrize("kind", list(BASELINES))
def test_rows_are_those_that_count_and_machines_are_held_out(kind: str, regenerated: Made) -> None:
    data = regenerated[0][kind]
    assert data.y["usable"].all()
    assert data.X.index.equals(data.y.index)
    check_split(data.y.index, np.flatnonzero(~data.test), np.flatnonzero(data.test), by="machine")
    assert data.asked[1].index.get_level_values("machine_id").min() == 15
    if kind == "diagnosis":
        assert data.y["mode"].notna().all()
    if kind == "rul":
        assert not data.y["censored"].any()
        assert data.y["rul_h"].between(0, RUL_CAP_H, inclusive="left").all()
    if kind == "survival":
        assert data.y["censored"].any()
        assert (~data.y["censored"]).any()


def test_the_digest_tells_labels_splits_and_worlds_apart(regenerated: Made) -> None:
    data = regenerated[0]["detection"]
    assert len({found.digest for found in regenerated[0].values()}) == 4
    with simulated(small("detection")) as run:
        assert regenerate(small("detection"), run).digest == data.digest
        y = data.y.copy()
        y.iloc[5, y.columns.get_loc("rul_h")] += 1e-3 / 3600.0  # a millisecond
        assert digest_of(data.task, run, y, data.test) != data.digest
        assert digest_of(data.task, run, data.y, ~data.test) != data.digest
        assert digest_of(replace(data.task, horizon="6d"), run, data.y, data.test) != data.digest
    with simulated(small("detection", world=replace(SMALL, seed=6))) as run:
        assert regenerate(small("detection"), run).digest != data.digest


@pytest.mark.parametrize("kind", list(BASELINES))
def test_every_baseline_answers_every_test_row(kind: str, regenerated: Made) -> None:
    data = regenerated[0][kind]
    found = {}
    for name, answers in BASELINES[kind].items():
        answer = answered(data, answers)
        found[name] = score(data, answer).score
        assert set(answer.columns) == set(COLUMNS[kind]), name
        assert answer.index.equals(data.asked[1].index)
        assert answer.notna().all().all(), name
    simplest = found[next(iter(found))]
    assert 1.0 > max(found.values()) > simplest


def test_the_ceiling_knows_the_damage(regenerated: Made) -> None:
    data, truth = regenerated[0]["detection"], regenerated[1]
    assert truth.index.equals(data.X.index)
    damage = truth.filter(like="damage_").max(axis=1)
    assert damage.between(0, 1).all()
    soon = data.y["fails"].to_numpy()
    assert damage[soon].median() > 2 * damage[~soon].median()
    found = scored(data, truth)
    assert found[CEILING].score > found["threshold"].score


def test_boosted_hazards_take_censored_lives_for_what_they_are() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, 4000)
    lives = rng.exponential(np.where(x == 1, 50.0, 200.0))
    seen = rng.uniform(0.0, 150.0, 4000)
    y = pd.DataFrame({"rul_h": np.minimum(lives, seen), "censored": lives > seen})
    rates = np.exp(HazardBoosting().fit(pd.DataFrame({"x": x}), y).predict(pd.DataFrame({"x": [0, 1]})))
    assert rates == pytest.approx([1 / 200.0, 1 / 50.0], rel=0.12)
