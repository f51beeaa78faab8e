"""Policy tasks: worlds of other seeds to learn in, shares of the oracle's saving, and submissions that run no code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_tasks import small

from twin.benchmark import policy_task, runs
from twin.benchmark.data import Data
from twin.benchmark.files import write_policy
from twin.benchmark.policy_files import read_policy
from twin.benchmark.tasks import Task, tasks
from twin.benchmark.worlds import World
from twin.errors import BadRequest
from twin.plant import Plant
from twin.policy import parse
from twin.prognosis.history import APART
from twin.prognosis.saved import save
from twin.prognosis.training import train

WORLD = World(4, 120, 9, duty=0.6, turn_days=(4.0, 14.0), faults=2.0, life=0.3)
CHOSEN = {"periodic": "periodic:60d", "service": "periodic:90d", "threshold": 0.3}


@pytest.fixture(scope="module")
def little() -> Task:
    return small("policy", world=WORLD, teach=4, replications=2)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policy")


@pytest.fixture(scope="module")
def plant(place: Path) -> Plant:
    return WORLD.plant(place / "plant.duckdb")


@pytest.fixture(scope="module")
def record(little: Task, place: Path) -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policy_task, "RECORDED", 2)
        patch.setattr(policy_task.recorded, "__defaults__", (2,))
        patch.setattr(runs, "chosen", lambda name: CHOSEN)
        patch.setattr("twin.benchmark.frozen.chosen", lambda name: CHOSEN)
        yield runs.policy_record(little, out=place / "out", workers=2)


def test_shares_are_of_the_saving_of_the_oracle(record: dict[str, Any]) -> None:
    rows = {row["baseline"]: row for row in record["baselines"]}
    assert list(rows) == ["run-to-failure", "periodic", "condition", "predictive", "oracle"]
    assert [name for name, row in rows.items() if row["bound"]] == ["oracle"]
    most = rows["run-to-failure"]["cost"] - rows["oracle"]["cost"]
    for row in rows.values():
        saved = rows["run-to-failure"]["cost"] - row["cost"]
        assert row["score"] == pytest.approx(saved / most)
        assert row["score"] + row["room"] == pytest.approx(1.0)
        assert row["vs_periodic"] == pytest.approx(row["cost"] - rows["periodic"]["cost"])
        assert row["vs_run_to_failure"] == pytest.approx(-saved)
    assert rows["oracle"]["score"] == 1.0


def test_no_world_is_learnt_or_chosen_in_that_is_tested_in() -> None:
    for task in tasks().values():
        if task.kind == "policy":
            test = set(range(task.world.seed, task.world.seed + task.replications))
            recorded = {task.world.seed + policy_task.RECORDED_FROM + k for k in range(policy_task.RECORDED)}
            tuned = {task.world.seed + policy_task.TUNED_FROM + k for k in range(50)}
            assert not test & recorded
            assert not test & tuned
            assert not recorded & tuned


def test_worlds_of_the_training_are_fleets_of_their_own(little: Task, plant: Plant) -> None:
    X, y = policy_task.recorded(little, plant, "periodic:90d", 2)
    assert X.index.equals(y.index)
    machines = X.index.get_level_values("machine_id")
    assert sorted(set(machines)) == [*range(1, 5), *range(APART + 1, APART + 5)]
    assert X.index.is_monotonic_increasing
    again, _ = policy_task.recorded(little, plant, "periodic:90d", 1)
    pd.testing.assert_frame_equal(again, X[np.asarray(machines < APART)])


def test_the_sample_submission_is_the_predictive_baseline(
    little: Task, record: dict[str, Any], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "task", lambda name: little)
    monkeypatch.setattr(runs, "chosen", lambda name: CHOSEN)
    folder = place / "out" / little.name
    found = runs.score_submission(little.name, folder / "sample_submission.json", workers=2)
    predictive = next(row for row in record["baselines"] if row["baseline"] == "predictive")
    assert found["digest"] == record["digest"]
    assert {key: found[key] for key in ("score", "cost", "failures")} == {
        key: predictive[key] for key in ("score", "cost", "failures")
    }
    assert json.loads((folder / "task.json").read_text())["test_seeds"] == [9, 10]


def test_submissions_that_are_none_are_refused(
    little: Task, plant: Plant, record: dict[str, Any], place: Path, tmp_path: Path, made_up: Data
) -> None:
    out = place / "out" / little.name
    given = (made_up.X, made_up.y, "failure", "logistic")
    save(train(*given), tmp_path / "bare.model")
    save(train(*given, spec={"windows": ["24h"]}), tmp_path / "other.model")
    failure, mode = str(out / "failure.model"), str(out / "mode.model")
    cases: dict[str, Any] = {
        "must hold a list": {"model": failure},
        "1 to 20": [],
        "must be a rule such as": [7],
        "not a policy": ["oracle"],
        "unknown field of part 1": [{"model": failure, "treshold": 0.3}],
        "is named by its file": [{"model": 3}],
        "no file": [{"model": "nowhere.model"}],
        "is a model for diagnosis": [{"model": mode}],
        "is a model for failure": [{"model": failure, "diagnosis": failure}],
        "does not say which features": [{"model": str(tmp_path / "bare.model")}],
        "were trained on other features": [{"model": str(tmp_path / "other.model"), "diagnosis": mode}],
        "threshold": [{"model": failure, "threshold": 2}],
        "every": [{"model": failure, "every": "90min"}],
        "no model file": [{"model": "mine.json"}],
    }
    path = tmp_path / "mine.json"
    for message, content in cases.items():
        path.write_text(json.dumps(content))
        with pytest.raises(BadRequest, match=message) as refusal:
            read_policy(path, little, plant)
        assert "\n" not in str(refusal.value)
    for text in ("[" * 100_000, "periodic:90d", "\x00"):
        path.write_text(text)
        with pytest.raises(BadRequest, match="is no JSON"):
            read_policy(path, little, plant)
    with pytest.raises(BadRequest, match=r"as a \.json file"):
        read_policy(tmp_path / "bare.model", little, plant)
    path.write_text(json.dumps(["periodic:60d:lubricate", "condition:vibration_mm_s>4.5@2h", {"model": failure}]))
    rules, functions = parse(read_policy(path, little, plant))
    assert [rule.kind for rule in rules] == ["periodic", "condition", "callable"]
    assert list(functions) == ["model 3"]


def test_a_folder_is_written_whole_or_not_at_all(
    little: Task, place: Path, record: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in (place / "out" / little.name).iterdir())
    monkeypatch.setattr("twin.benchmark.frozen.chosen", lambda name: CHOSEN)
    with pytest.raises(BadRequest, match="save takes what"):
        write_policy(little, record["digest"], (None, None), place / "out")
    assert sorted(path.name for path in (place / "out" / little.name).iterdir()) == before
    assert [path.name for path in (place / "out").iterdir()] == [little.name]
