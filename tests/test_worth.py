"""What policies are worth: paired worlds, an oracle that nobody beats, and the same figures however they are made."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from twin.errors import BadRequest, StoreFault
from twin.hindsight import SERVICES, _prevented, oracle_plans
from twin.plan import Plan
from twin.plant import Plant
from twin.policy import parse
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


def test_nobody_beats_the_oracle_where_hardly_anything_fails(plant: Plant) -> None:
    asked: dict[str, Any] = {**SMALL, "fleet": 8, "horizon": "30d"}
    costs = evaluate(plant, {"run-to-failure": None, "oracle": "oracle"}, replications=6, seed=400, **asked)
    wide = costs.by_replication()
    assert wide["run-to-failure"].min() == 0.0
    assert (wide["oracle"] <= wide["run-to-failure"] + 1e-9).all()


def half_a_year(plant: Plant) -> Plan:
    return plant.plan(
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


def test_the_oracle_prevents_each_failure_that_technicians_can_reach(plant: Plant) -> None:
    for prevented in oracle_plans(half_a_year(plant)):
        with Simulation(prevented, threads=1) as simulation:
            failures = simulation.advance(prevented.ticks).events.failures
        early = prevented.start_us + 10 * 86_400_000_000  # before anybody could know and come
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
        ({"replications": 2.5}, "whole number"),
        ({"workers": 0}, "workers"),
        ({"workers": "2"}, "workers"),
        ({"policies": {"oracle": None}}, "must be 'oracle', and no other's"),
        ({"keep": ""}, "path of a folder"),
        ({"keep": 3}, "path of a folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(plant: Plant, change: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {**SMALL, "policies": POLICIES, "replications": 2, **change}
    with pytest.raises(BadRequest, match=said) as caught:
        evaluate(plant, **asked)
    assert "\n" not in str(caught.value)


def test_a_kept_world_counts_once_where_another_seed_is_the_first(plant: Plant, tmp_path: Path) -> None:
    asked: dict[str, Any] = {**SMALL, "policies": {"run-to-failure": None}, "horizon": "60d", "replications": 3}
    evaluate(plant, seed=0, keep=tmp_path, **asked)
    kept = evaluate(plant, seed=2, keep=tmp_path, **asked)
    pd.testing.assert_frame_equal(kept.runs, evaluate(plant, seed=2, **asked).runs)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "[1]", '[{"policy": "run-to-failure", "cost": 1}]'])
def test_what_was_kept_and_is_damaged_is_lived_again(plant: Plant, tmp_path: Path, content: str) -> None:
    asked: dict[str, Any] = {**SMALL, "policies": {"run-to-failure": None}, "horizon": "10d", "replications": 2}
    whole = evaluate(plant, keep=tmp_path, **asked)
    damaged = min(tmp_path.glob("*.json"))
    before = damaged.read_text()
    damaged.write_text(content)
    pd.testing.assert_frame_equal(evaluate(plant, keep=tmp_path, **asked).runs, whole.runs)
    assert damaged.read_text() == before


def test_a_folder_that_cannot_be_is_told_before_anything_runs(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twin.worth._carried_out", lambda *_: pytest.fail("worlds were lived"))
    (tmp_path / "file").write_text("")
    for keep in (tmp_path / "file", tmp_path / "file" / "below", "a\0b"):
        with pytest.raises(StoreFault, match="nothing can be kept in") as caught:
            evaluate(plant, POLICIES, replications=2, keep=keep, **SMALL)
        assert "\n" not in str(caught.value)


def test_a_world_of_this_process_leaves_its_threads_as_they_were(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {**SMALL, "policies": {"run-to-failure": None}, "horizon": "5d", "replications": 2}
    monkeypatch.delenv("TWIN_THREADS", raising=False)
    evaluate(plant, **asked)
    assert "TWIN_THREADS" not in os.environ
    monkeypatch.setenv("TWIN_THREADS", "2")
    evaluate(plant, **asked)
    assert os.environ["TWIN_THREADS"] == "2"


def test_the_baseline_of_a_table_is_known(found: Evaluation) -> None:
    assert found.table("periodic").loc["periodic", "saving"] == 0.0
    with pytest.raises(BadRequest, match="unknown policy 'perodic'; did you mean 'periodic'"):
        found.table("perodic")
    with pytest.raises(BadRequest, match="unknown policy"):
        found.difference(["periodic"])  # type: ignore[arg-type]


_LIVED = """
import sys
import twin
plant = twin.open(sys.argv[1])
policies = {"run-to-failure": None, "oracle": "oracle"}
try:
    plant.evaluate(policies, "400d", 40, fleet=4, workers=2, keep=sys.argv[2], progress=False)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_in_a_terminal_ends_workers_without_a_word(plant: Plant, tmp_path: Path) -> None:
    given = [sys.executable, "-W", "ignore", "-c", _LIVED, str(plant.path), str(tmp_path / "kept")]
    process = subprocess.Popen(
        given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while process.poll() is None and not list((tmp_path / "kept").glob("*.json")):
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # a terminal, and a notebook's server, tell the whole group
    out, told = process.communicate(timeout=60)
    assert out == "interrupted\n"
    assert "Traceback" not in told


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


def leaves(reported: Any) -> list[Any]:
    raise SystemExit("enough")


def test_a_policy_that_ends_its_thread_is_named_and_no_run_is_promised(plant: Plant) -> None:
    with pytest.raises(BadRequest, match="policy leaves raised SystemExit: enough") as caught:
        evaluate(plant, {"run-to-failure": None, "leaving": leaves}, replications=2, **SMALL)
    assert "resumes" not in str(caught.value)


def test_a_plan_that_has_become_dearer_is_not_gone_on_with(plant: Plant) -> None:
    plan = half_a_year(plant)
    plans = oracle_plans(plan)
    whole = [_prevented(plan.model_copy(update={"policies": parse(service)[0]}), np.inf) for service in SERVICES]
    bills = [found[1] for found in whole if found is not None]
    assert len(bills) == len(SERVICES)
    cheapest = whole[int(np.argmin(bills))]
    assert cheapest is not None
    assert cheapest[0] in plans
    assert _prevented(cheapest[0].model_copy(update={"tasks": ()}), 0.5 * cheapest[1]) is None
