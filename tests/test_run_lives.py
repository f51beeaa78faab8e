"""Runs of machines that live: what is stored, what it cost, what was paired, and what a function may see."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from twin.errors import BadRequest, TwinError, UnknownName
from twin.plant import Plant
from twin.run import Run

PROJECT = Path(__file__).parent.parent
YEAR = ("2026-01-01", "2027-01-01", "1h")
POLICIES = ("run-to-failure", "periodic:30d", "condition:vibration_mm_s>4.5")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    return Plant.create(tmp_path_factory.mktemp("lives") / "plant.duckdb")


@pytest.fixture(scope="module")
def runs(plant: Plant) -> dict[str, Run]:
    return {policy: plant.simulate(*YEAR, seed=3, policy=policy, progress=False) for policy in POLICIES}


@pytest.fixture(scope="module")
def run(runs: dict[str, Run]) -> Run:
    return runs["run-to-failure"]


# -- what is stored ---------------------------------------------------------------------------


def test_a_run_agrees_with_its_replay_and_its_rows(run: Run) -> None:
    assert run.verify()
    assert run.recomputed_digest() == run.digest()
    assert run.recomputed_events_digest() == run.row.events_digest


def test_a_changed_event_is_noticed(plant: Plant, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(plant.path.read_bytes())
    other = Plant.open(copy)
    with other.store.writing() as tx:
        tx.execute("UPDATE maintenance_log SET cost = cost + 1 WHERE run_id = 1")
    found = other.runs.get(1)
    assert found.recomputed_events_digest() != found.row.events_digest


def test_failures_of_a_run_without_telemetry_are_those_of_the_full_one(plant: Plant, run: Run) -> None:
    bare = plant.simulate(*YEAR, seed=3, events_only=True, progress=False)
    assert bare.rows == 0
    assert bare.failures().equals(run.failures())
    assert bare.maintenance().equals(run.maintenance())
    assert bare.lifetimes().equals(run.lifetimes())
    assert bare.alarms().equals(run.alarms())
    assert bare.verify()
    assert bare.recomputed_digest() == bare.digest()
    assert bare.telemetry().df().empty
    with pytest.raises(BadRequest, match="other times"):
        run.parting(plant.simulate("2026-01-02", "2026-01-04", "1h", seed=3, progress=False))


def test_every_failure_has_a_mode_and_every_log_row_a_task(plant: Plant, runs: dict[str, Run]) -> None:
    for found in runs.values():
        modes = set(found.plan.failure_modes)
        assert set(found.failures()["mode"]) <= modes
        assert set(found.failures()["cause"]) <= {"wear", "injected", "secondary"}
        orders = found.work_orders().set_index(["machine_id", "number"])
        for row in found.maintenance().itertuples():
            order = orders.loc[(row.machine_id, row.number)]
            assert order["status"] == "done"
            assert (order["started_at"], order["ended_at"]) == (row.start_at, row.end_at)
            assert order["action"] == row.action


def test_costs_add_up_to_their_events(plant: Plant, runs: dict[str, Run]) -> None:
    for found in runs.values():
        log, kpis, people = found.maintenance(), found.kpis(), {t["technician_id"]: t for t in plant.technicians}
        rates = plant.sql("select * from run_machines where run_id = ?", [found.id]).set_index("machine_id")
        assert np.allclose(log["cost"], log["labour_cost"] + log["parts_cost"] + log["downtime_cost"])
        for row in log.itertuples():
            hours = (row.end_at - row.start_at) / pd.Timedelta(hours=1)
            factor = 1.5 if row.task_type == "corrective" and pd.isna(row.task_id) else 1.0
            assert row.labour_cost == pytest.approx(hours * people[row.technician_id]["hourly_cost"] * factor)
        assert kpis["cost"].sum() == pytest.approx(found.summary()["cost"])
        for row in kpis.itertuples():
            own = log[log["machine_id"] == row.machine_id]
            assert row.labour_cost == pytest.approx(own["labour_cost"].sum())
            assert row.parts_cost == pytest.approx(own["parts_cost"].sum())
            rate = rates.loc[row.machine_id, "downtime_cost_per_h"]
            assert row.downtime_cost == pytest.approx(row.downtime_h * rate)
            assert row.up_h + row.downtime_h == pytest.approx(8760.0)
            open_h = row.downtime_h - own["downtime_cost"].sum() / rate
            assert open_h >= -1e-6  # trips, and what was down at the end


def test_kpis_are_those_of_the_events(run: Run) -> None:
    kpis, failures = run.kpis().set_index("machine_id"), run.failures()
    counts = failures.groupby("machine_id").size()
    for machine_id, row in kpis.iterrows():
        assert row["failures"] == counts.get(machine_id, 0)
        if row["failures"]:
            assert row["mtbf_h"] == pytest.approx(row["up_h"] / row["failures"])
        assert row["availability"] == pytest.approx(row["up_h"] / 8760.0)


def test_machine_lifetimes_are_recurrent_with_competing_causes(run: Run) -> None:
    lives, failures = run.machine_lifetimes(), run.failures()
    assert lives["event"].sum() == len(failures)
    assert (lives["stop"] > lives["start"]).all()
    for _, own in lives.groupby("machine_id"):
        own = own.sort_values("episode")
        assert (own["start"].to_numpy()[1:] >= own["stop"].to_numpy()[:-1]).all()
        assert own["event"].to_numpy()[:-1].all()


def test_labels_say_what_fails_next_and_nothing_of_machines_that_stand(run: Run) -> None:
    labels, failures = run.labels(), run.failures()
    assert set(labels["operating_state"]) <= {"running", "idle"}
    known = labels[labels["hours_to_failure"].notna()]
    row = known.iloc[len(known) // 2]
    later = failures[(failures["machine_id"] == row["machine_id"]) & (failures["failed_at"] > row["ts"])]
    assert later["mode"].iloc[0] == row["next_mode"]
    assert (later["failed_at"].iloc[0] - row["ts"]) / pd.Timedelta(hours=1) == pytest.approx(row["hours_to_failure"])
    soon = known["hours_to_failure"] <= 7 * 24
    assert (known["fails_within_7d"].astype(bool) == soon).all()


def test_a_stopped_machine_shows_its_cooling_and_its_instruments_noise(plant: Plant) -> None:
    found = plant.simulate("2026-01-01", "2026-09-01", "1h", seed=3, policy="no-repair", progress=False)
    first = found.failures().iloc[0]
    after = first["failed_at"] + timedelta(hours=8)
    rows = found.telemetry(machines=[int(first["machine_id"])], start=after).df()
    assert len(rows) > 24
    assert rows["power_w"].max() < 1.5
    assert rows["current_a"].max() < 0.05
    assert rows["speed_rpm"].max() <= 10
    assert rows["torque_nm"].max() < 0.05
    assert rows["vibration_g"].max() < 0.05
    assert rows["temperature_c"].between(18.0, 26.5).all()
    truth = found.truth()
    truth = truth[(truth["machine_id"] == first["machine_id"]) & (truth["ts"] >= first["failed_at"])]
    assert set(truth["operating_state"]) == {"failed"}
    assert (truth["rul_h"] == 0.0).all()


# -- paired worlds ----------------------------------------------------------------------------


def test_policies_are_lived_by_the_same_machines(runs: dict[str, Run]) -> None:
    pairs = runs["periodic:30d"].paired_rows()
    assert runs["periodic:30d"].paired().index.tolist() == [pair["run_id"] for pair in pairs]
    assert [pair["run_id"] for pair in pairs][:3] == [found.id for found in runs.values()]
    assert [pair["policy"] for pair in pairs][:2] == ["run-to-failure", "periodic:30d:service"]
    assert pairs[1]["failures"] < pairs[0]["failures"]
    assert pairs[1]["cost"] < pairs[0]["cost"]
    parted = runs["run-to-failure"].parting(runs["periodic:30d"])
    orders = runs["periodic:30d"].maintenance()
    for name, moment in parted.items():
        machine_id = int(name.removeprefix("M-"))
        others = orders[(orders["machine_id"] == machine_id) & (orders["number"] >= 1_000_000)]
        assert moment >= others["start_at"].min()


def test_a_repair_in_time_saves_a_failure(tmp_path: Path) -> None:
    plant = Plant.create(tmp_path / "plant.duckdb", machines=3)
    plant.failure_modes.inject(
        "bearing_degradation", "M-002", "low", at="2026-01-05 12:00", progression="progressive", time_to_failure="60h"
    )
    base = plant.simulate("2026-01-05", "2026-01-12", "10min", seed=3, progress=False)
    assert base.failures()[["machine_id", "mode", "cause"]].to_numpy().tolist() == [
        [2, "bearing_degradation", "injected"]
    ]
    found = base.what_if("2026-01-07 08:00", repair="replace_bearing", machines="M-002", progress=False)
    assert found.table.loc["failures", "difference"] == -1
    assert found.table.loc["cost", "difference"] < 0
    assert found.first_difference == pd.Timestamp("2026-01-07 08:00")
    assert found.machines["signals_part_at"].notna().sum() == 1
    again = base.what_if("2026-01-07 08:00", repair="replace_bearing", machines="M-002", progress=False)
    assert again.run.id == found.run.id  # the same question is not simulated twice
    assert found.run.row.base_run_id == base.id
    cleared = base.what_if("2026-01-06", clear="bearing_degradation", progress=False)
    assert cleared.table.loc["failures", "what_if"] == 0
    hot = base.what_if("2026-01-06", scenario="High load manufacturing", machines=["M-001"], progress=False)
    assert hot.table.loc["energy_kwh", "difference"] > 0
    halted = base.what_if("2026-01-06", maintenance=False, progress=False)
    assert len(base.maintenance()) > 0
    assert halted.run.maintenance().empty  # all of it was later
    assert (halted.run.failures()["failed_at"] <= base.failures()["failed_at"]).all()  # it never stood for work


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "nothing is changed"),
        ({"repair": "dance", "machines": "M-001"}, "unknown maintenance action"),
        ({"repair": "replace_bearing"}, "needs its machine"),
        ({"repair": "replace_bearing", "machines": "M-999"}, "unknown machine of this run"),
        ({"repair": "replace_bearing", "machines": "M-001", "technician": "T-99"}, "unknown technician"),
        ({"clear": "bearing_degradation"}, "no injection"),
        ({"scenario": "Nowhere"}, "unknown scenario"),
        ({"policy": "sometimes"}, "not a policy"),
        ({"at": "2031-01-01", "maintenance": False}, "within the run"),
        ({"at": "yesterday", "maintenance": False}, "at "),
        ({"scenario": "Hot environment", "until": "2026-01-01"}, "until must be later"),
    ],
)
def test_a_change_that_cannot_be_is_refused_with_one_line(run: Run, change: dict[str, Any], words: str) -> None:
    with pytest.raises(BadRequest, match=words) as error:
        run.what_if(**({"at": "2026-03-01"} | change), progress=False)
    assert "\n" not in str(error.value)


# -- killed -----------------------------------------------------------------------------------

WRITER = """
import sys
import twin.cli, twin.pacing
from twin.store import RunWriter
twin.pacing.CHUNK_ROWS = 12 * 200
append = RunWriter.append
def told(self, *args):
    rows = append(self, *args)
    print(rows, flush=True)
    return rows
RunWriter.append = told
twin.cli.main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("chunks", [1, 4, 9, 17, 30])
def test_a_killed_run_of_wearing_machines_resumes_to_the_same_events(tmp_path: Path, run: Run, chunks: int) -> None:
    db = Plant.create(tmp_path / "plant.duckdb").path
    words = ["simulate", "--db", str(db), "--start", YEAR[0], "--end", YEAR[1], "--interval", "1h", "--seed", "3"]
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, *words], stdout=subprocess.PIPE, text=True, cwd=PROJECT, start_new_session=True
    )
    assert process.stdout is not None
    for _ in range(chunks):
        process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    plant = Plant.open(db)
    assert plant.runs.row("latest")["committed_rows"] >= chunks * 12 * 200
    found = plant.simulate(*YEAR, seed=3, progress=False)
    assert found.resumed
    assert (found.digest(), found.row.events_digest) == (run.digest(), run.row.events_digest)
    assert found.recomputed_events_digest() == found.row.events_digest
    assert found.truth().equals(run.truth())
    assert found.work_orders().equals(run.work_orders())
    assert found.alarms().equals(run.alarms())


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"wear": "slowly"}, "unknown wear"),
        ({"policy": "periodic:0h"}, "every"),
        ({"policy": "periodic:30d:dance"}, "unknown maintenance action"),
        ({"policy": "condition:noise>3"}, "unknown channel"),
        ({"policy": "condition:temperature_c"}, "needs a limit"),
        ({"policy": "condition:vibration_g>nan"}, "limit"),
        ({"policy": 7}, "a policy must be"),
        ({"truth_interval": "0s"}, "truth_interval"),
        ({"truth_interval": "1ms"}, "truth_interval"),
        ({"response": "-1h"}, "response"),
        ({"fleet": 0}, "fleet must be"),
        ({"fleet": 40_000}, "fleet must be"),
        ({"fleet": 1.5}, "fleet must be"),
        ({"events_only": "yes"}, "events_only"),
    ],
)
def test_a_run_that_cannot_be_is_refused_before_it_begins(plant: Plant, fields: dict[str, Any], words: str) -> None:
    before = len(plant.runs)
    with pytest.raises(TwinError, match=words) as error:
        plant.simulate("2026-01-05", "2026-01-06", "1h", progress=False, **fields)
    assert "\n" not in str(error.value)
    assert len(plant.runs) == before


def test_work_that_nobody_knows_is_refused_with_what_to_do(tmp_path: Path) -> None:
    plant = Plant.create(tmp_path / "plant.duckdb", machines=2)
    for person in ("T-02", "T-03"):
        for task in plant.maintenance.rows():
            if task["technician_id"] == person:
                plant.maintenance.delete(task["task_id"])
        plant.technicians.update(person, skills=("mechanical",))
    with pytest.raises(BadRequest, match="needs the skill electrical, which no technician has"):
        plant.simulate("2026-01-05", "2026-01-06", "1h", progress=False)


def test_a_technician_must_know_the_work(plant: Plant) -> None:
    with pytest.raises(BadRequest, match="does not know electrical"):
        plant.maintenance.schedule("M-010", "rewind_motor", at="2026-02-02", technician="T-01")
    with pytest.raises(UnknownName):
        plant.maintenance.schedule("M-010", "rewind_motor", at="2026-02-02", technician="T-99")


def test_restoration_lies_between_none_and_all(plant: Plant) -> None:
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(BadRequest, match="restores"):
            plant.maintenance_actions.create("magic", restores={"bearing_degradation": share}, duration_min=10.0)


def test_a_larger_fleet_is_more_of_the_same_with_people_to_care_for_it(plant: Plant) -> None:
    found = plant.simulate(*YEAR, seed=3, fleet=30, events_only=True, progress=False)
    assert found.row.machines == 30
    kpis = found.kpis()
    assert kpis["machine"].tolist()[:12] == [f"M-{i:03d}" for i in range(1, 13)]
    assert kpis["machine_type"].tolist()[12:24] == kpis["machine_type"].tolist()[:12]
    assert len(found.plan.technicians) == 12


# -- acceptance: a survival library reads the view ----------------------------------------------


@pytest.mark.slow
def test_lifelines_recovers_the_catalog_from_the_lifetimes(tmp_path: Path) -> None:
    """200 machines over 3 years: shape and scale lie in their 95 % intervals (all modes jointly, Bonferroni)."""
    from lifelines import WeibullFitter

    plant = Plant.create(tmp_path / "plant.duckdb")
    found = plant.simulate("2026-01-01", "2029-01-01", seed=3, fleet=200, events_only=True, progress=False)
    lives = found.lifetimes()
    lives = lives[lives["stop"] > lives["start"]]
    modes = found.plan.failure_modes
    outside = []
    for mode, own in lives.groupby("mode"):
        fit = WeibullFitter(alpha=0.05 / (2 * lives["mode"].nunique()))
        fit.fit(own["stop"], own["event"], entry=own["start"])
        low = fit.summary.filter(like="lower").iloc[:, 0]
        high = fit.summary.filter(like="upper").iloc[:, 0]
        for name, value in (("lambda_", modes[mode].wear.life_h), ("rho_", modes[mode].wear.shape)):
            if not low[name] <= value <= high[name]:
                outside.append((mode, name, value, low[name], high[name]))
    assert outside == []
