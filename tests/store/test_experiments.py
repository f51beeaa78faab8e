"""Experiments in the plant's file: plants of schema 2 get their tables, and keep all else."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from twin.store import SCHEMA_VERSION, Store
from twin.store.document import data_model
from twin.store.experiments import ExperimentWriter, Finished, definitions_text


def test_a_plant_of_schema_2_gets_the_tables_and_keeps_its_rows(plant: Path) -> None:
    before = definitions_text(Store.open(plant))
    with duckdb.connect(plant) as con:
        for view in ("experiment_values", "experiment_progress"):
            con.execute(f"DROP VIEW {view}")
        for table in ("experiment_results", "experiment_runs", "experiments"):
            con.execute(f"DROP TABLE {table}")
        con.execute("DROP TYPE experiment_status")
        con.execute("DROP TABLE session_commands")
        views = con.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()
        for (view,) in views:
            con.execute(f'DROP VIEW IF EXISTS "{view}" CASCADE')
        con.execute("ALTER TABLE runs DROP COLUMN live")
        con.execute("UPDATE plant_info SET value = '2' WHERE key = 'schema_version'")
    store = Store.open(plant)
    assert store.get("plant_info", "schema_version") == {"key": "schema_version", "value": str(SCHEMA_VERSION)}
    assert [store.count(table) for table in ("experiments", "experiment_runs", "experiment_results")] == [0, 0, 0]
    assert store.rows("experiment_progress") == []
    assert definitions_text(store) == before


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_experiments_are_exported_whole_whichever_run_is_asked_for(plant: Path, tmp_path: Path, format: str) -> None:
    store = Store.open(plant)
    writer = ExperimentWriter(store)
    row = {"name": "e", "description": "", "kind": "function", "template": "m:f", "definition": {"seeds": [1, 2]},
           "output_url": "somewhere"}  # fmt: skip
    asked = pa.table({"run_id": ["a1", "b2"], "number": pa.array([1, 2], pa.int32()), "parameters": ['{"x": 1}', "{}"]})
    writer.register(row, asked, dict.fromkeys(("template_sha256", "catalog_sha256", "code_sha256"), "h"))
    writer.merge([Finished("a1", "complete", {"y": 0.5, "z": "ü"}, None, "d", 1.0, 1, 1, 2, {"python": "3"})])
    writer.close()
    names = ["experiments", "experiment_runs", "experiment_results"]
    readers = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}
    frames = [readers[format](path) for path in store.export(tmp_path, format, tables=names)]
    assert [len(frame) for frame in frames] == [1, 2, 2]
    assert frames[1]["run_id"].tolist() == ["a1", "b2"]
    parameters = [json.loads(p) if isinstance(p, str) else p for p in frames[1]["parameters"]]
    assert parameters[0] == {"x": 1}
    assert frames[2].set_index("name").loc["y", "value"] == 0.5
    assert frames[2].set_index("name").loc["z", "text"] == "ü"


def test_the_tables_are_documented() -> None:
    page = data_model()
    assert all(f"### experiment{table}" in page for table in ("s", "_runs", "_results", "_values", "_progress"))
