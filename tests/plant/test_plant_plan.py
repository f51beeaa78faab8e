"""From the tables to a plan, and from a plan to a run."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twin.catalog.loader import load_catalog
from twin.catalog.models import Profile
from twin.errors import BadRequest, UnknownName
from twin.plant import Plant

DAY = ("2026-01-05", "2026-01-06")
ASKS: list[Callable[[Plant], Any]] = [
    lambda p: p.scenarios.activate("High load manufacturing", ["M-001", "M-002"], at="2026-01-05 06:00"),
    lambda p: p.scenarios.activate("Hot environment", "all", at="2026-01-05 03:00", until="2026-01-05 09:00"),
    lambda p: p.scenarios.activate("Precision machining", "M-001", at="2026-01-05 06:00", until="2026-01-05 07:00"),
    lambda p: p.failure_modes.inject("bearing_degradation", "M-001", "high", at="2026-01-05 04:00"),
    lambda p: p.failure_modes.inject("sensor_drift", "M-001", "low", at="2026-01-05 04:00"),
    lambda p: p.failure_modes.inject("bearing_degradation", "M-003", level=0.3, at="2026-01-01"),
]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_asking_does_not_matter(template: Path, tmp_path: Path, seed: int) -> None:
    plans = []
    for name, asks in (("a", ASKS), ("b", random.Random(seed).sample(ASKS, len(ASKS)))):
        path = tmp_path / f"{name}.duckdb"
        path.write_bytes(template.read_bytes())
        plant = Plant.open(path)
        for ask in asks:
            ask(plant)
        plans.append(plant.plan(*DAY))
    assert plans[0].to_json() == plans[1].to_json()
    assert plans[0].sha256 == plans[1].sha256
    assert len(plans[0].activations) == 15
    assert len(plans[0].injections) == 3


def test_a_plan_holds_what_touches_it_and_no_more(plant: Plant) -> None:
    plant.scenarios.activate("Hot environment", "M-001", at="2026-01-01", until="2026-01-05")  # ends as it begins
    plant.scenarios.activate("Cold environment", "M-001", at="2026-01-06")  # begins as it ends
    plant.scenarios.activate("Idle standby", "M-001", at="2026-01-04", until="2026-01-05 00:00:01")
    plant.failure_modes.inject("sensor_drift", "M-002", "low", at="2025-12-01")
    plan = plant.plan(*DAY, wear="off")
    assert set(plan.scenarios) == {"Idle standby"}
    assert set(plan.failure_modes) == {"sensor_drift"}
    wearing = {name for name, mode in load_catalog().failure_modes.items() if mode.wear is not None}
    assert set(plant.plan(*DAY).failure_modes) == {"sensor_drift"} | wearing
    assert set(plan.machine_types) == {"spindle", "pump", "fan", "conveyor", "compressor"}
    assert plan.tasks == ()
    assert [task.task_id for task in plant.plan("2026-01-06", "2026-01-08").tasks] == [1, 2]
    alone = plant.plan(*DAY, machines=["M-003"])
    assert [m.name for m in alone.machines] == ["M-003"]
    assert alone.activations == alone.injections == ()


def test_a_plan_does_not_change_with_the_tables(plant: Plant) -> None:
    plant.scenarios.activate("Hot environment", "M-001", at="2026-01-05")
    before = plant.plan(*DAY)
    plant.scenarios.update("Hot environment", ambient_c=45.0)
    after = plant.plan(*DAY)
    assert before.scenarios["Hot environment"].effects[0].value == 38.0
    assert after.scenarios["Hot environment"].effects[0].value == 45.0
    assert before.sha256 != after.sha256


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": "2026-01-06", "end": "2026-01-05"}, "end must be later than start"),
        ({"end": "2026-01-05"}, "end must be later than start"),
        ({"interval": "0s"}, "interval"),
        ({"interval": 1}, "interval"),
        ({"interval": "-1s"}, "interval"),
        ({"interval": "0.0001s"}, "1 ms or longer"),
        ({"interval": "2d"}, "longer than the span"),
        ({"interval": "fast"}, "interval"),
        ({"start": "2026-01-05T00:00+01:00"}, "UTC"),
        ({"start": "1066-10-14"}, "start"),
        ({"end": "9999-01-01"}, "end"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**63}, "seed must be"),
        ({"seed": 1.5}, "seed must be"),
        ({"seed": "7"}, "seed must be"),
        ({"seed": True}, "seed must be"),
        ({"machines": "M-999"}, "unknown machine"),
        ({"machines": []}, "empty list"),
        ({"profiles": [3]}, "profile must be"),
        ({"profiles": 3}, "profiles must be a list"),
        ({"profiles": ["nowhere.csv"]}, "nowhere.csv"),
        ({"profile_interpolation": "cubic"}, "interpolation"),
        ({"profile_end": "explode"}, "at_end"),
        ({"name": "a;b"}, "run name"),
        ({"start": "1990-01-01", "end": "2190-01-01", "interval": "1ms"}, "rows are more than"),
        ({"start": "2026-01-01", "end": "2051-01-01", "interval": "1s"}, r"GB free|more than"),
    ],
)
def test_absurd_requests_are_refused_and_nothing_is_written(
    untouched: Plant, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    if "profile_interpolation" in fields or "profile_end" in fields:
        csv = tmp_path / "p.csv"
        csv.write_text("t_s,load\n0,0.5\n60,0.6\n")
        fields = fields | {"profiles": [csv]}
    with pytest.raises(BadRequest, match=message) as caught:
        untouched.simulate(**({"start": DAY[0], "end": DAY[1], "progress": False} | fields))
    assert "\n" not in str(caught.value)
    assert len(untouched.runs) == 0


def test_profiles_drive_every_machine_from_the_start(plant: Plant, tmp_path: Path) -> None:
    load, air = tmp_path / "load.csv", tmp_path / "air.csv"
    load.write_text("t_s,load\n0,0.2\n600,0.9\n")
    air.write_text("t_s,ambient_c\n0,10\n600,30\n")
    plan = plant.plan(*DAY, profiles=[load, air])
    assert set(plan.scenarios) == {"profile:load", "profile:air"}
    assert plan.scenarios["profile:load"].priority == 100
    assert len(plan.activations) == 24
    assert {(a.start_us, a.end_us) for a in plan.activations} == {(plan.start_us, None)}
    assert plan == plant.plan(*DAY, profiles=[air, load])
    with pytest.raises(BadRequest, match=r"load\.csv.* and .*load\.csv.* both have load"):
        plant.plan(*DAY, profiles=[load, load])
    both = Profile(t_s=(0.0, 1.0), load=(0.1, 0.2), ambient_c=(1.0, 2.0), name="both")
    with pytest.raises(BadRequest, match="both have ambient_c"):
        plant.plan(*DAY, profiles=[air, both])
    assert plant.plan(*DAY, profiles=both).scenarios["profile:both"].profile == both


def test_simulate_stores_a_run_that_its_plan_repeats(plant: Plant, tmp_path: Path) -> None:
    for ask in ASKS:
        ask(plant)
    asked: dict[str, Any] = {"start": DAY[0], "end": DAY[1], "interval": "1min", "seed": 7, "progress": False}
    run = plant.simulate(**asked, name="first")
    assert (run.rows, run.status, run.reused) == (12 * 1440, "complete", False)
    assert run.replay() == run.digest() == run.recomputed_digest()
    again = plant.simulate(**asked)
    assert (again.id, again.reused) == (run.id, True)
    other = plant.simulate(**asked, new=True)
    assert (other.id, other.digest()) == (run.id + 1, run.digest())
    assert plant.simulate(**(asked | {"seed": 8})).digest() != run.digest()
    assert list(plant.runs.list()["name"]) == ["first", "", ""]
    assert plant.runs.get("latest").id == run.id + 2
    assert plant.runs.update(run.id, name="renamed")["name"] == "renamed"
    assert plant.runs.delete("latest") == run.id + 2
    with pytest.raises(UnknownName, match="unknown run"):
        plant.runs.get(run.id + 2)
    for strange in ("first", None, 1.5, True):
        with pytest.raises(BadRequest):
            plant.runs.get(strange)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match=r"plant\.simulate"):
        plant.runs.create()
    frame = run.telemetry(machines=["M-001"], columns=["ts", "power_w"], end="2026-01-05 01:00").df()
    assert list(frame.columns) == ["ts", "power_w"]
    assert len(frame) == 60
    plant.scenarios.delete_activation(1)  # what a run was asked to do stays with the run
    assert run.replay() == run.digest()
    files = plant.export(tmp_path / "out", format="parquet", run=run.id)
    assert {path.suffix for path in files} == {".parquet"}


def test_there_is_no_latest_run_yet(plant: Plant) -> None:
    with pytest.raises(BadRequest, match="no runs yet"):
        plant.runs.get("latest")


def test_what_is_stored_already_needs_no_more_space(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    run = plant.simulate(*DAY, interval="1min", progress=False)
    full = shutil.disk_usage(plant.path.parent)._replace(free=0)
    monkeypatch.setattr("twin.plant_compile.shutil.disk_usage", lambda _: full)
    assert plant.simulate(*DAY, interval="1min", progress=False).id == run.id
    with pytest.raises(BadRequest, match=r"GB more, but .* has 0\.000 GB free: free some space"):
        plant.simulate(*DAY, interval="1min", progress=False, new=True)
    assert len(plant.runs) == 1
