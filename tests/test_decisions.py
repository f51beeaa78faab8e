"""Policies that are Python functions: what they see, what they may ask for, and that their runs repeat."""

from __future__ import annotations

import functools
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from twin.errors import BadRequest, PolicyFault
from twin.plant import Plant
from twin.policy import decided_by, fingerprint
from twin.reported import Reported
from twin.run import Run

YEAR = ("2026-01-01", "2027-01-01", "1h")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    return Plant.create(tmp_path_factory.mktemp("functions") / "plant.duckdb")


@pytest.fixture(scope="module")
def run(plant: Plant) -> Run:
    return plant.simulate(*YEAR, seed=3, progress=False)


# -- functions that decide --------------------------------------------------------------------


def repairs_what_shakes(seen: Reported) -> list[dict[str, Any]]:
    """Ask for a repair where the control system has reported shaking within a day."""
    fresh = seen.alarms[seen.alarms["code"].isin(["vibration_zone_c", "acceleration_high"])]
    fresh = fresh[fresh["ts"] > pd.Timestamp(seen.now) - pd.Timedelta(days=1)]
    busy = set(seen.tasks["machine_id"])
    return [{"machine": int(m), "action": "repair"} for m in sorted(set(fresh["machine_id"])) if m not in busy]


def test_a_function_decides_on_what_is_reported_and_its_run_replays(plant: Plant, run: Run) -> None:
    found = plant.simulate(*YEAR, seed=3, policy=repairs_what_shakes, progress=False)
    orders = found.work_orders()
    assert (orders["origin"] == "callable").sum() > 0
    assert len(found.failures()) < len(run.failures())
    assert found.verify()
    assert found.row.policy == "callable:repairs_what_shakes"
    bare = plant.simulate(*YEAR, seed=3, policy=repairs_what_shakes, events_only=True, progress=False)
    assert bare.failures().equals(found.failures())


def test_a_world_departs_from_one_in_which_a_function_decided(plant: Plant) -> None:
    asked = ("2026-01-01", "2026-05-01", "1h")
    base = plant.simulate(*asked, seed=3, policy=repairs_what_shakes, progress=False)
    decided = base.work_orders().query("origin == 'callable'")
    assert len(decided) > 0
    at = decided["raised_at"].iloc[-1] + pd.Timedelta(hours=1)
    with pytest.raises(BadRequest, match="only the decisions are stored"):
        base.what_if(at, repair="inspect", machines="M-001", progress=False)
    same = base.what_if(at, policy=repairs_what_shakes, progress=False)
    assert same.run.failures().equals(base.failures())
    assert same.first_difference is None
    assert same.run.verify()
    other = base.what_if(at, policy="periodic:7d", progress=False)
    assert (other.first_difference or at) >= at
    assert other.run.verify()


def reachable(root: object, limit: int = 200_000) -> Iterator[object]:
    """Yield what can be reached from an object without going through modules, types and code."""
    seen, queue = {id(root)}, [root]
    while queue and len(seen) < limit:
        item = queue.pop()
        yield item
        if isinstance(item, type | type(sys) | type(reachable)):
            continue
        for other in gc.get_referents(item):
            if id(other) not in seen:
                seen.add(id(other))
                queue.append(other)


def test_a_function_cannot_read_the_truth(tmp_path: Path) -> None:
    """Neither through what it is given nor through the stack that it stands on."""
    caught: list[str] = []

    def spy(seen: Reported) -> list[dict[str, Any]]:
        secret = ("World", "Simulation", "Lives", "Truth", "Decisions", "Events", "Plan", "Store", "Wearing")
        caught.extend(f"given: {type(item)}" for item in reachable(seen) if type(item).__name__ in secret)
        frame = sys._getframe(1)
        while frame is not None:
            caught.extend(f"stack: {type(v)}" for v in frame.f_locals.values() if type(v).__name__ in secret)
            frame = frame.f_back
        words = {"damage", "health", "rul_h", "operating_state", "cause", "failure_mode", "mode", "stop_h"}
        for name in ("telemetry", "hourly", "alarms", "log", "tasks", "machines"):
            caught.extend(f"column: {c}" for c in words & set(getattr(seen, name).columns))
        with pytest.raises(AttributeError):
            seen.truth  # type: ignore[attr-defined]  # noqa: B018
        assert (seen.telemetry["ts"] < pd.Timestamp(seen.now)).all()
        assert (seen.hourly["ts"] <= pd.Timestamp(seen.now)).all()
        assert (seen.alarms["ts"] <= pd.Timestamp(seen.now)).all()
        assert (seen.log["end_at"] <= pd.Timestamp(seen.now)).all()
        seen.telemetry["vibration_g"] = 0.0  # what it does to its copies changes nothing
        return []

    plant = Plant.create(tmp_path / "plant.duckdb", machines=2)
    plain = plant.simulate("2026-01-05", "2026-01-09", "10min", seed=1, progress=False)
    watched = plant.simulate("2026-01-05", "2026-01-09", "10min", seed=1, policy=spy, progress=False)
    assert caught == []
    assert watched.digest() == plain.digest()


def raises(seen: Reported) -> None:
    raise ValueError("out of\nideas")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (7, "must return a list of tasks"),
        ("repair", "must return a list of tasks"),
        ([7], "a task must be a dict"),
        ([{"machine": "M-001", "action": "dance"}], "unknown maintenance action 'dance'"),
        ([{"machine": "M-099", "action": "repair"}], "unknown machine of this run 'M-099'"),
        ([{"machine": "M-001", "action": "repair", "at": "2020-01-01"}], "before it is asked for"),
        ([{"machine": "M-001", "action": "repair", "duration": "-1h"}], "duration"),
        ([{"machine": "M-001", "action": "repair", "priority": "asap"}], "unknown priority"),
        ([{"machine": "M-001", "action": "repair", "technician": "T-99"}], "unknown technician"),
        ([{"machine": "M-001", "action": "rewind_motor", "technician": "T-01"}], "does not know electrical"),
        ([{"machine": "M-001", "action": "repair", "whim": 1}], "unknown field of a task"),
    ],
)
def test_nonsense_ends_a_run_with_one_line_and_what_was_committed_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, words: str
) -> None:
    monkeypatch.setattr("twin.pacing.CHUNK_ROWS", 2 * 24)
    plant = Plant.create(tmp_path / "plant.duckdb", machines=2)

    def policy(seen: Reported) -> Any:
        return answer if seen.now.day == 8 else []

    with pytest.raises(PolicyFault, match=words) as error:
        plant.simulate("2026-01-05", "2026-01-10", "1h", policy=policy, progress=False)
    assert "\n" not in str(error.value)
    assert "the same call resumes it" in str(error.value)
    (row,) = plant.runs.rows()
    assert row["status"] == "failed"
    assert row["committed_rows"] >= 2 * 24


def test_a_function_that_raises_is_named_with_its_words(tmp_path: Path) -> None:
    plant = Plant.create(tmp_path / "plant.duckdb", machines=2)
    with pytest.raises(PolicyFault, match="policy raises raised ValueError: out of at 2026-01-06") as error:
        plant.simulate("2026-01-05", "2026-01-07", "1h", policy=raises, progress=False)
    assert "\n" not in str(error.value)


def crashes_once(seen: Reported) -> list[dict[str, Any]]:
    """Ask for work on two days; fault when told to, as a model server that is away would."""
    if "MODEL_AWAY" in os.environ and seen.now.day == 9:
        raise ConnectionError("the model is away")
    shaking = float(seen.telemetry["vibration_g"].mean())
    return [{"machine": "M-001", "action": "inspect"}] if seen.now.day % 2 and shaking > 0.0 else []


def test_a_run_resumes_after_its_function_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decided is not decided again, and the readings that a decision needs are there again."""
    monkeypatch.setattr("twin.pacing.CHUNK_ROWS", 2 * 30)
    asked = ("2026-01-05", "2026-01-13", "1h")
    whole = Plant.create(tmp_path / "whole.duckdb", machines=2).simulate(*asked, policy=crashes_once, progress=False)
    plant = Plant.create(tmp_path / "plant.duckdb", machines=2)
    monkeypatch.setenv("MODEL_AWAY", "1")
    with pytest.raises(PolicyFault, match="the model is away"):
        plant.simulate(*asked, policy=crashes_once, progress=False)
    monkeypatch.delenv("MODEL_AWAY")
    found = plant.simulate(*asked, policy=crashes_once, progress=False)
    assert found.resumed
    assert found.digest() == whole.digest()
    assert found.row.events_digest == whole.row.events_digest
    assert found.verify()


# -- which function it was ---------------------------------------------------------------------

LIMIT = 1.0


def limited(limit: float) -> Any:
    def rule(seen: Reported) -> list[dict[str, Any]]:
        return [{"machine": 1, "action": "inspect"}] if limit > 2 else []

    return rule


def by_global(seen: Reported) -> list[Any]:
    return [{"machine": 1, "action": "inspect"}] if LIMIT > 2 else []


class Model:
    def __init__(self, limit: float) -> None:
        self.limit = limit

    def __call__(self, seen: Reported) -> list[Any]:
        return []


def with_limit(limit: float, seen: Reported) -> list[Any]:
    return []


def test_functions_that_depend_on_other_values_are_other_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fingerprint(limited(1.0)) == fingerprint(limited(1.0)) != fingerprint(limited(5.0))
    assert fingerprint(Model(1.0)) == fingerprint(Model(1.0)) != fingerprint(Model(5.0))
    one, five = (functools.partial(with_limit, limit) for limit in (1.0, 5.0))
    assert fingerprint(one) == fingerprint(functools.partial(with_limit, 1.0)) != fingerprint(five)
    assert fingerprint(Model(1.0).__call__) != fingerprint(Model(5.0).__call__)
    before = fingerprint(by_global)
    monkeypatch.setattr(sys.modules[__name__], "LIMIT", 5.0)
    assert fingerprint(by_global) != before


def test_a_function_without_a_stable_content_needs_a_name() -> None:
    generator = (i for i in range(3))

    def rule(seen: Reported) -> list[Any]:
        return list(generator)

    with pytest.raises(BadRequest, match="give it a name"):
        decided_by(rule)
    assert decided_by(rule, name="third model").text() == "callable:third model"


def test_two_parameters_are_two_runs(tmp_path: Path) -> None:
    plant = Plant.create(tmp_path / "plant.duckdb", machines=2)
    week = ("2026-01-05", "2026-01-08", "1h")
    low, high = (plant.simulate(*week, policy=limited(x), progress=False) for x in (1.0, 5.0))
    assert low.id != high.id
    assert len(high.work_orders()) > len(low.work_orders())
