"""What policies are worth: paired worlds, an oracle that nobody beats, and the same figures however they are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from twin.errors import BadRequest
from twin.hindsight import oracle_plans
from twin.plant import Plant
from twin.simulation import Simulation
from twin.worth import Evaluation, evaluate

SMALL = {"horizon": "200d", "fleet": 4, "progress": False, "workers": 1}
POLICIES = {"run-to-failure": None, "periodic": "periodic:60d", "oracle": "oracle"}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    return Plant.create(tmp_path_factory.mktemp("worth") / "plant.duckdb", machines=4)


@pytest.fixture(scope="module")
def found(plant: Plant) -> Evaluation:
    return evaluate(plant, POLICIES, replications=3, **SMALL)


def test_each_figure_is_that_of_the_same_run_in_the_plant(plant: Plant, found: Evaluation) -> None:
    span = {"start": "2026-01-05", "end": "2026-07-24", "interval": "1h"}
    for policy in ("run-to-failure", "periodic"):
        run = plant.simulate(
            **span, seed=1, wear="used", fleet=4, tasks=False, events_only=True, policy=POLICIES[policy], progress=False
        )
        row = found.runs[(found.runs.policy == policy) & (found.runs.seed == 1)].iloc[0]
        assert row["cost"] == pytest.approx(run.summary()["cost"])
        assert row["failures"] == run.summary()["failures"]


def test_nobody_beats_the_oracle(found: Evaluation) -> None:
    costs = found.by_replication()
    assert (costs["oracle"] <= costs.min(axis=1) + 1e-9).all()
    table = found.table()
    assert table.loc["oracle", "oracle_share"] == pytest.approx(1.0)
    assert table.loc["run-to-failure", "saving"] == 0.0
    assert found.by_replication("failures")["oracle"].sum() < found.by_replication("failures")["periodic"].sum()


def test_the_oracle_prevents_each_failure_that_technicians_can_reach(plant: Plant) -> None:
    plan = plant.plan(
        "2026-01-05",
        "2026-07-24",
        "1h",
        seed=5,
        wear="used",
        fleet=4,
        tasks=False,
        events_only=True,
        truth_interval=None,
    )
    for prevented in oracle_plans(plan):
        with Simulation(prevented, threads=1) as simulation:
            failures = simulation.advance(prevented.ticks).events.failures
        early = plan.start_us + 10 * 86_400_000_000  # before anybody could know and come
        assert all(row["failed_at"] < early for row in failures)
        assert prevented.tasks


def test_paired_differences_have_the_interval_of_a_t_test(found: Evaluation) -> None:
    from scipy import stats

    costs = found.by_replication()
    gap = costs["periodic"] - costs["run-to-failure"]
    told = found.difference("periodic")
    spread = stats.t.interval(0.95, len(gap) - 1, gap.mean(), stats.sem(gap))
    assert (told["low"], told["high"]) == pytest.approx(spread)
    assert told["mean"] == pytest.approx(gap.mean())


def test_workers_and_interruptions_change_no_figure(plant: Plant, found: Evaluation, tmp_path: Path) -> None:
    kept = evaluate(plant, POLICIES, replications=2, keep=tmp_path, **SMALL)
    assert len(list(tmp_path.glob("*.json"))) == 2
    again = evaluate(plant, POLICIES, replications=3, keep=tmp_path, **{**SMALL, "workers": 2})
    pd.testing.assert_frame_equal(again.runs, found.runs)
    assert len(kept.runs) == 6
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"policies": {}}, "with one at least"),
        ({"policies": {"x": "perodic:30d"}}, "not a policy"),
        ({"policies": {"clever": "oracle"}}, "must be 'oracle'"),
        ({"policies": {"x": "periodic:30d:dance"}}, "dance"),
        ({"policies": {"": None}}, "policy name"),
        ({"replications": 1}, "replications"),
        ({"replications": float("nan")}, "replications"),
        ({"horizon": "-1d"}, "horizon"),
        ({"wear": "old"}, "wear"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(plant: Plant, change: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {**SMALL, "policies": POLICIES, "replications": 2, **change}
    with pytest.raises(BadRequest, match=said) as caught:
        evaluate(plant, **asked)
    assert "\n" not in str(caught.value)


def test_shares_are_unknown_where_the_oracle_saves_nothing() -> None:
    rows = [
        {"replication": k, "seed": k, "policy": p, "cost": 1.0} for k in range(3) for p in ("run-to-failure", "oracle")
    ]
    frame = pd.DataFrame(rows)
    for name in ("failures", "tasks_done", "downtime_h", "availability", "labour_cost", "parts_cost", "downtime_cost"):
        frame[name] = 0.0
    assert np.isnan(Evaluation(frame, 1, 1.0).table().loc["oracle", "oracle_share"])
    with pytest.raises(BadRequest, match="unknown policy"):
        Evaluation(frame, 1, 1.0).difference("periodic")
    with pytest.raises(BadRequest, match="unknown figure"):
        Evaluation(frame, 1, 1.0).by_replication("costs")
