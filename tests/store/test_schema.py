"""The schema says what it means, and the rest of the store agrees with it."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from twin.catalog.parameters import CHANNELS, SEVERITIES
from twin.store import SCHEMA_VERSION, Store
from twin.store.document import data_model
from twin.store.schema import KEYS, NUMBERED, OWNED, PARENTS, RUN_TABLES, build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def empty() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    build(con)
    return con


def test_every_table_view_and_column_has_a_comment(empty: duckdb.DuckDBPyConnection) -> None:
    silent = empty.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE coalesce(comment, '') = '' AND NOT internal"
        " UNION ALL SELECT table_name, '' FROM duckdb_tables() WHERE coalesce(comment, '') = ''"
        " UNION ALL SELECT view_name, '' FROM duckdb_views() WHERE coalesce(comment, '') = '' AND NOT internal"
    ).fetchall()
    assert silent == []


def test_the_document_agrees_with_the_comments() -> None:
    stored = (ROOT / "docs" / "data-model.md").read_text(encoding="utf-8")
    assert stored == data_model() + "\n", "python -m twin.store.document > docs/data-model.md"


def test_keys_are_those_of_the_schema(empty: duckdb.DuckDBPyConnection) -> None:
    found = empty.execute(
        "SELECT table_name, constraint_column_names FROM duckdb_constraints() WHERE constraint_type = 'PRIMARY KEY'"
    ).fetchall()
    assert {table: columns[0] for table, columns in found} == KEYS
    assert all(len(columns) == 1 for _, columns in found)


def test_references_name_columns_that_exist(empty: duckdb.DuckDBPyConnection) -> None:
    columns = set(empty.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall())
    assert set(PARENTS) <= columns
    assert {(parent, KEYS[parent]) for parent in PARENTS.values()} <= columns
    assert {(part, KEYS[table]) for table, parts in OWNED.items() for part in parts} <= columns


def test_every_column_that_looks_like_a_reference_is_one(empty: duckdb.DuckDBPyConnection) -> None:
    own = {(table, key) for table, key in KEYS.items()}
    logs = set(RUN_TABLES) | {"telemetry"}  # machines: see REMOTE_USERS
    stands_for = {("runs", "base_run_id")}  # the run that a what-if departs from may be deleted
    tables = {row[0] for row in empty.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    for table, column in empty.execute("SELECT table_name, column_name FROM duckdb_columns()").fetchall():
        if table in tables and column.endswith("_id") and (table, column) not in own:
            assert (table, column) in {*PARENTS, *stands_for} or table in logs, (table, column)


def test_all_tables_of_a_run_go_with_it(empty: duckdb.DuckDBPyConnection) -> None:
    with_run = {
        row[0]
        for row in empty.execute(
            "SELECT table_name FROM duckdb_columns() SEMI JOIN duckdb_tables() USING (table_name)"
            " WHERE column_name = 'run_id' AND data_type = 'INTEGER'"  # runs of experiments have texts
        ).fetchall()
    }
    assert set(OWNED["runs"]) == with_run - {"runs"}
    assert set(RUN_TABLES) < with_run


def test_telemetry_has_the_channels_in_their_order(empty: duckdb.DuckDBPyConnection) -> None:
    rows = empty.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'telemetry'"
    ).fetchall()
    assert rows[:3] == [("run_id", "INTEGER"), ("machine_id", "SMALLINT"), ("ts", "TIMESTAMP")]
    assert rows[3:] == [(channel, "FLOAT") for channel in CHANNELS]


def test_the_severities_are_those_of_the_catalog(store: Store) -> None:
    with store.reading() as tx:
        assert tx.columns("failure_injections")["severity"].allowed == tuple(SEVERITIES)


def test_the_file_states_its_version(store: Store) -> None:
    assert store.get("plant_info", "schema_version") == {"key": "schema_version", "value": str(SCHEMA_VERSION)}


def test_numbered_tables_have_whole_numbers_as_keys(store: Store) -> None:
    with store.reading() as tx:
        assert {tx.columns(table)[KEYS[table]].type for table in NUMBERED} <= {"INTEGER", "SMALLINT"}
