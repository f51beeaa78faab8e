"""Experiments in the plant's file: plants of schema 2 get their tables, and keep all else."""

from __future__ import annotations

from pathlib import Path

import duckdb

from twin.store import SCHEMA_VERSION, Store
from twin.store.document import data_model
from twin.store.experiments import definitions_text


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


def test_the_tables_are_documented() -> None:
    page = data_model()
    assert all(f"### experiment{table}" in page for table in ("s", "_runs", "_results", "_values", "_progress"))
