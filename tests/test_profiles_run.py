"""A year driven by what real plants recorded (`../shared/data`, skipped where that is absent)."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from twin.plant import Plant
from twin.run import Run

PROJECT = Path(__file__).parent.parent
PROFILES = PROJECT.parent / "shared" / "data" / "profiles"
LOAD, AMBIENT = PROFILES / "steel_plant_2018.csv", PROFILES / "office_ambient_2013.csv"
FLEET = ["M-004", "M-005", "M-006", "M-007", "M-008"]  # one of every type
MACHINES, TICKS = len(FLEET), 35_040

pytestmark = pytest.mark.skipif(
    not (LOAD.exists() and AMBIENT.exists()), reason="the recordings of ../shared/data are not there"
)


def year(folder: Path, name: str) -> Run:
    plant = Plant.create(folder / name)
    assert len({plant.machines.get(machine)["machine_type"] for machine in FLEET}) == MACHINES
    profiles = [str(LOAD), str(AMBIENT)]
    for task in plant.maintenance.rows():
        plant.maintenance.cancel(task["task_id"])
    return plant.simulate(
        "2026-01-01", "2027-01-01", "15min", seed=7, machines=FLEET, profiles=profiles, wear="off", progress=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("year")


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return year(folder, "p.duckdb")


@pytest.fixture(scope="module")
def by_machine(run: Run) -> dict[int, dict[str, NDArray[np.float64]]]:
    table = run.telemetry(columns=["machine_id", "ts", "temperature_c", "power_w"]).arrow()
    columns = {name: table[name].to_numpy() for name in table.column_names}
    return {
        int(m): {name: values[columns["machine_id"] == m] for name, values in columns.items()}
        for m in np.unique(columns["machine_id"])
    }


def recorded(path: Path, column: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    with path.open(newline="") as stream:
        rows = [(float(row["t_s"]), float(row[column])) for row in csv.DictReader(stream)]
    t, values = np.array(rows).T
    return t, values


def hourly(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(values, np.float64).reshape(-1, 4).mean(axis=1)


def test_every_machine_has_a_reading_every_quarter_of_an_hour(
    run: Run, by_machine: dict[int, dict[str, NDArray[np.float64]]]
) -> None:
    assert run.rows == MACHINES * TICKS
    assert len(by_machine) == MACHINES
    for columns in by_machine.values():
        assert columns["ts"].size == TICKS
        assert (np.diff(columns["ts"]) == np.timedelta64(15, "m")).all()


def test_power_follows_the_recorded_load(by_machine: dict[int, dict[str, NDArray[np.float64]]]) -> None:
    t, load = recorded(LOAD, "load")
    assert np.array_equal(t, np.arange(TICKS) * 900.0)
    for machine_id, columns in by_machine.items():
        assert spearmanr(hourly(columns["power_w"]), hourly(load)).statistic >= 0.95, machine_id


def test_temperature_follows_the_recorded_air(by_machine: dict[int, dict[str, NDArray[np.float64]]]) -> None:
    """With the load's part taken out by regression, the housing follows the air degree by degree."""
    t, air = recorded(AMBIENT, "ambient_c")
    held = air[np.searchsorted(t, np.arange(TICKS) * 900.0 % (t[-1] + 3600.0), side="right") - 1]
    for machine_id, columns in by_machine.items():
        terms = np.column_stack([held, columns["power_w"], np.roll(columns["power_w"], 1), np.ones(TICKS)])
        slope = np.linalg.lstsq(terms[96:], columns["temperature_c"][96:], rcond=None)[0][0]
        assert slope == pytest.approx(1.0, abs=0.1), machine_id


def test_a_second_plant_has_the_same_digest(run: Run, folder: Path) -> None:
    assert year(folder, "q.duckdb").digest() == run.digest() == run.recomputed_digest()


def test_replay_in_another_process_verifies(run: Run, folder: Path) -> None:
    command = ["replay", "--db", str(folder / "p.duckdb"), str(run.id), "--verify", "--json"]
    made = subprocess.run(
        [sys.executable, "-m", "twin.cli", *command], capture_output=True, text=True, cwd=PROJECT, check=False
    )
    assert made.returncode == 0, made.stderr
    assert run.digest() in json.dumps(json.loads(made.stdout))
