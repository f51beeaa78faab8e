"""Exports: readable by others, each file whole."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import chunks
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, UnknownName
from twin.store import Store
from twin.store.experiments import ExperimentWriter, Finished
from twin.store.transfer import LAYOUTS


@pytest.fixture
def filled(store: Store) -> Store:
    """Two runs; the newer of 40 ticks has a missing reading and a truth."""
    chunks.append(store, chunks.new_run(store, 10), 0, 10)
    end = chunks.START_US + 40 * chunks.STEP_US
    run_id = store.create_run("{}", "0" * 64, 1, chunks.START_US, end, chunks.STEP_US, 3, 40)
    with store.writing() as tx:
        tx.execute(
            "INSERT INTO ground_truth SELECT ?, 2, make_timestamp(?), 'running', map {'rotor_imbalance': 0.5},"
            " 0.5, NULL",
            [run_id, chunks.START_US],
        )
    columns = chunks.chunk(0, 40)
    columns["kurtosis"][5] = np.nan
    store.append_chunk(run_id, 0, 40, columns, tuple(c == "kurtosis" for c in CHANNELS), b"", "")
    return store


def read(path: Path) -> pd.DataFrame:
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}
    return pd.read_json(path, lines=True) if path.suffix == ".jsonl" else readers[path.suffix](path)


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_telemetry_is_the_newest_run_in_order(filled: Store, tmp_path: Path, format: str) -> None:
    (path,) = filled.export(tmp_path / "out", format, tables=["telemetry"])
    frame = read(path)
    assert len(frame) == 120
    assert set(frame["run_id"]) == {2}
    expected = chunks.chunk(0, 40)
    assert frame["machine_id"].tolist() == expected["machine_id"].tolist()
    times = pd.to_datetime(frame["ts"], utc=True).dt.tz_localize(None).astype("datetime64[us]").astype("int64")
    assert times.tolist() == expected["ts"].tolist()
    assert np.allclose(frame["power_w"], expected["power_w"])
    assert frame["kurtosis"].isna().sum() == 1


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_table_is_written(filled: Store, tmp_path: Path, format: str, layout: str) -> None:
    paths = filled.export(tmp_path, format, layout, run_id=1)
    assert [path.stem for path in paths] == list(LAYOUTS[layout])
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".export")]
    for path in paths:
        if path.suffix != ".csv" or path.stat().st_size:
            read(path)
    assert len(read(next(path for path in paths if path.stem == "telemetry"))) == 30


def test_json_lines_are_one_object_each(filled: Store, tmp_path: Path) -> None:
    (path,) = filled.export(tmp_path, "json", tables=["telemetry"])
    lines = path.read_text().splitlines()
    assert path.name == "telemetry.jsonl"
    assert len(lines) == 120
    first = json.loads(lines[0])
    assert list(first) == ["run_id", "machine_id", "ts", *CHANNELS]
    assert first["ts"] == "2026-01-01T00:00:00Z"


def test_nested_values_are_json_in_csv(filled: Store, tmp_path: Path) -> None:
    (path,) = filled.export(tmp_path, "csv", tables=["ground_truth"])
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert json.loads(row["damage"]) == {"rotor_imbalance": 0.5}


def test_the_five_tables_have_the_names_of_the_courses(filled: Store, tmp_path: Path) -> None:
    columns = {path.stem: pq.read_schema(path).names for path in filled.export(tmp_path, layout="five_tables")}
    assert columns["telemetry"] == ["run_id", "datetime", "machineID", *CHANNELS]
    assert columns["errors"] == ["run_id", "datetime", "machineID", "errorID"]
    assert columns["maint"] == ["run_id", "datetime", "machineID", "comp"]
    assert columns["failures"] == ["run_id", "datetime", "machineID", "failure"]
    assert columns["machines"] == ["machineID", "model", "age"]


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_experiments_are_written_whole_whichever_run_is_asked_for(filled: Store, tmp_path: Path, format: str) -> None:
    names = ("description", "kind", "template", "output_url")
    row = dict.fromkeys(names, "notebook") | {"name": "grid", "definition": {"seeds": [1, 2]}}
    runs = pa.table(
        {
            "run_id": ["1", "c5f71c06132f1097"],  # the first reads as the number of a run of the plant
            "number": pa.array([1, 2], pa.int32()),
            "parameters": ['{"seed": 1}', '{"seed": 2}'],
        }
    )
    writer = ExperimentWriter(filled)
    writer.register(row, runs, dict.fromkeys(("template_sha256", "catalog_sha256", "code_sha256"), "0" * 64))
    writer.merge([Finished("c5f71c06132f1097", "complete", {"effect": 1.5}, None, "0" * 64, 2.0, 10, 1, 2, {})])
    writer.close()
    files = {path.stem: path for path in filled.export(tmp_path, format, run_id=1)}
    assert list(read(files["experiments"])["name"]) == ["grid"]
    parameters = [value if isinstance(value, dict) else json.loads(value)
                  for value in read(files["experiment_runs"]).sort_values("number")["parameters"]]  # fmt: skip
    assert parameters == [{"seed": 1}, {"seed": 2}]
    results = read(files["experiment_results"])
    assert results[["run_id", "name", "value"]].to_numpy().tolist() == [["c5f71c06132f1097", "effect", 1.5]]


def test_files_are_replaced(filled: Store, tmp_path: Path) -> None:
    (tmp_path / "machines.csv").write_text("old")
    (path,) = filled.export(tmp_path, "csv", tables=["machines"])
    assert len(pd.read_csv(path)) == 2


def test_a_plant_without_runs_is_exported(store: Store, tmp_path: Path) -> None:
    paths = store.export(tmp_path / "it's here", "csv")
    assert len(paths) == len(LAYOUTS["tables"])


def test_bad_requests_write_nothing(filled: Store, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    file = tmp_path / "plant.duckdb"
    for call in (
        lambda: filled.export(tmp_path / "out", "xlsx"),
        lambda: filled.export(tmp_path / "out", layout="six_tables"),
        lambda: filled.export(tmp_path / "out", tables=["telemetri"]),
        lambda: filled.export(tmp_path / "out", run_id=9),
        lambda: filled.export(file),
    ):
        with pytest.raises((BadRequest, UnknownName)) as error:
            call()
        assert "\n" not in str(error.value)
    assert set(tmp_path.iterdir()) == before
