"""Opening, creating and reading a plant."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import twin
from twin.errors import BadRequest, NotAPlant, TwinError
from twin.plant import Plant
from twin.plant_sample import sample_machines, sample_tasks


def test_the_first_opening_creates_the_sample_plant_and_the_next_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "plant.duckdb"
    plant = twin.open(path, machines=9)
    assert plant.counts() == {
        "machines": 9,
        "scenarios": 8,
        "failure_modes": len(plant.failure_modes),
        "technicians": len(plant.technicians),
        "maintenance_tasks": 10,
    }
    plant.machines.update("M-001", location="Elsewhere")
    assert twin.open(path).machines.get("M-001")["location"] == "Elsewhere"


def test_an_empty_plant_has_the_catalog_only(tmp_path: Path) -> None:
    plant = twin.open(tmp_path / "p.duckdb", sample=False)
    counts = plant.counts()
    assert (counts["machines"], counts["technicians"], counts["maintenance_tasks"]) == (0, 0, 0)
    assert counts["scenarios"] == 8
    assert counts["failure_modes"] >= 9
    with pytest.raises(BadRequest, match="no machines yet"):
        plant.plan("2026-01-05", "2026-01-06")


@pytest.mark.parametrize("number", [8, 12, 40])
def test_the_sample_has_every_type_and_four_spindles(number: int) -> None:
    types = [row["machine_type"] for row in sample_machines(number)]
    assert set(types) == {"spindle", "pump", "fan", "conveyor", "compressor"}
    assert types.count("spindle") >= 4
    assert types[0] == "spindle"


def test_the_sample_is_the_same_every_time(plant: Plant, tmp_path: Path) -> None:
    other = Plant.create(tmp_path / "other.duckdb")
    asked = ("2026-01-05", "2026-01-12", "1min")
    assert other.plan(*asked).to_json() == plant.plan(*asked).to_json()
    assert len(sample_tasks(12)) == 10


def test_creation_does_not_touch_what_is_there(db: Path) -> None:
    before = db.read_bytes()
    with pytest.raises(BadRequest, match="exists already"):
        Plant.create(db)
    assert db.read_bytes() == before


@pytest.mark.parametrize("machines", [0, -1, 40_000, 1.5, True, "12"])
def test_a_strange_number_of_machines_is_refused(tmp_path: Path, machines: object) -> None:
    with pytest.raises(BadRequest, match="machines must be an integer"):
        Plant.create(tmp_path / "p.duckdb", machines=machines)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", "a\0b", None, 3])
def test_a_strange_path_is_refused(path: object) -> None:
    with pytest.raises(BadRequest, match="path must be"):
        Plant.open(path)  # type: ignore[arg-type]


def test_what_is_not_a_plant_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a plant" * 1000)
    for path in (text, tmp_path):
        with pytest.raises(TwinError) as caught:
            Plant.open(path)
        assert "\n" not in str(caught.value)


def test_reading_only_refuses_changes_and_creates_nothing(db: Path, tmp_path: Path) -> None:
    plant = twin.open(db, read_only=True)
    assert len(plant.machines.list()) == 12
    with pytest.raises(BadRequest, match="reading only"):
        plant.machines.create("M-100")
    with pytest.raises((BadRequest, NotAPlant), match="no plant"):
        twin.open(tmp_path / "absent.duckdb", read_only=True)
    assert not (tmp_path / "absent.duckdb").exists()


def test_lists_are_frames_with_times(plant: Plant) -> None:
    tasks = plant.maintenance.list()
    assert len(tasks) == 10
    assert tasks["scheduled_at"].dtype.kind == "M"
    assert list(plant.scenarios.list()["name"])[:2] == ["Normal operation", "High load manufacturing"]
    for collection in (plant.machine_types, plant.maintenance_actions, plant.technicians, plant.failure_modes):
        assert len(collection.list()) == len(collection) > 3
    assert plant.runs.list().empty


def test_sql_reads_and_does_not_write(plant: Plant) -> None:
    assert plant.sql("select count(*) as n from machines where machine_id > ?", [3])["n"].item() == 9
    assert plant.sql_rows("select name from machines order by 1 limit 1") == [{"name": "M-001"}]
    for statement in ("delete from machines", "select * from nowhere", "", "select 1; select 2"):
        with pytest.raises(BadRequest) as caught:
            plant.sql(statement)
        assert "\n" not in str(caught.value)
    assert len(plant.machines) == 12


def test_repr_says_what_is_there(plant: Plant) -> None:
    assert "12 machines" in repr(plant)
    assert "12" in repr(plant.machines)
    assert "<table" in plant.machines._repr_html_()


def test_opening_a_plant_loads_no_pandas(db: Path) -> None:
    code = f"import sys, twin; p = twin.open({str(db)!r}); p.machines.rows(); print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("params", [5, "x"])
def test_sql_parameters_that_are_no_list_are_refused(plant: Plant, params: Any) -> None:
    with pytest.raises(BadRequest, match="params must be a list of values"):
        plant.sql("select ?", params)


def test_sql_that_is_no_unicode_is_refused(plant: Plant) -> None:
    with pytest.raises(BadRequest, match="Unicode"):
        plant.sql("select '\ud800'")


def test_telemetry_of_odd_machines_is_refused(plant: Plant) -> None:
    run = plant.simulate("2026-01-05", "2026-01-05T00:10", interval="1min", machines="M-001", progress=False)
    odd: list[Any] = [5.5, [[]], b"M-001", {"M-001": 1}]
    for machines in odd:
        with pytest.raises(BadRequest, match="machine"):
            run.telemetry(machines=machines)
    assert list(run.telemetry(columns="power_w").df().columns) == ["power_w"]
