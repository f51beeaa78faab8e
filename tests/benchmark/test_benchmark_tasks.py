"""The tasks are frozen: names, digests (rows: test_benchmark_docs), and what the frozen scores must say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from twin.benchmark.frozen import frozen, frozen_digest
from twin.benchmark.policy_task import policy_digest
from twin.benchmark.tasks import DIFFICULTIES, EDITION, KINDS, task, tasks
from twin.errors import BadRequest

ROOM = 0.9


def best(name: str) -> float:
    return max(row["score"] for row in frozen()["tasks"][name]["baselines"] if not row["bound"])


def scores(name: str) -> dict[str, dict[str, float]]:
    return {row["baseline"]: row for row in frozen()["tasks"][name]["baselines"]}


def test_there_are_five_kinds_in_three_difficulties_and_all_are_frozen() -> None:
    assert list(tasks()) == [f"{kind}-{difficulty}" for kind in KINDS for difficulty in DIFFICULTIES]
    assert list(frozen()["tasks"]) == list(tasks())
    assert frozen()["edition"] == EDITION
    assert len({found["digest"] for found in frozen()["tasks"].values()}) == 15
    assert len({t.world.seed for t in tasks().values()}) == 15
    with pytest.raises(BadRequest, match="did you mean 'detection-hard'"):
        task("detection-had")


@pytest.mark.slow
def test_the_worlds_of_a_policy_are_regenerated_to_their_frozen_digest(tmp_path: Path) -> None:
    one = task("policy-easy")
    assert policy_digest(one, one.world.plant(tmp_path / "plant.duckdb")) == frozen_digest("policy-easy")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_called_easier_is_easier(kind: str) -> None:
    easy, medium, hard = (best(f"{kind}-{difficulty}") for difficulty in DIFFICULTIES)
    assert easy > medium > hard


@pytest.mark.parametrize("kind", KINDS)
def test_hard_tasks_leave_room(kind: str) -> None:
    assert best(f"{kind}-hard") < ROOM * task(f"{kind}-hard").best
    for row in frozen()["tasks"][f"{kind}-hard"]["baselines"]:
        assert row["low"] <= row["score"] <= row["high"]


def test_boosting_beats_threshold_and_logistic_where_operation_varies() -> None:
    found = scores("detection-medium")
    assert found["boosting"]["score"] > found["logistic"]["score"] > found["threshold"]["score"]
    assert found["logistic"]["behind_low"] > 0.0
    assert found["threshold"]["behind_low"] > 0.0


def test_conformal_intervals_cover_what_they_state() -> None:
    for name in ("linear", "boosting"):
        assert abs(scores("rul-medium")[name]["coverage"] - 0.9) <= 0.02


def test_the_predictive_policy_beats_service_and_repair() -> None:
    found = scores("policy-medium")["predictive"]
    assert found["vs_periodic_high"] < 0.0
    assert found["vs_run_to_failure_high"] < 0.0
