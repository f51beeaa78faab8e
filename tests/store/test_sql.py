"""A user's SQL reads, and only reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from twin.errors import BadRequest
from twin.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, model_plant: bytes) -> Store:
    """One plant for all tests here: none of them may change it."""
    path = tmp_path_factory.mktemp("sql") / "plant.duckdb"
    path.write_bytes(model_plant)
    return Store.open(path)


def test_values_are_bound(store: Store) -> None:
    assert store.sql("SELECT name FROM machines WHERE machine_id = ?", [2])["name"].tolist() == ["M-002"]
    assert store.sql("SELECT $a + 1 AS b", {"a": 2})["b"].tolist() == [3]
    assert store.sql("SELECT ? AS text", ["'; DROP TABLE machines; --"])["text"].tolist() == [
        "'; DROP TABLE machines; --"
    ]
    assert store.sql_arrow("SELECT 1 AS one").to_pydict() == {"one": [1]}
    assert store.sql_rows("SELECT machine_id, name FROM machines ORDER BY 1 LIMIT 1") == [
        {"machine_id": 1, "name": "M-001"}
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        " ( SELECT 1 ) ;",
        "-- why\nSELECT 1",
        "/* a */ WITH a AS (SELECT 1 AS b) SELECT * FROM a",
        "FROM machines",
        "VALUES (1)",
        "DESCRIBE machines",
        "SHOW TABLES",
        "SUMMARIZE machines",
        "EXPLAIN SELECT * FROM machines",
        "EXPLAIN ANALYZE SELECT * FROM machines",
        "PIVOT machines ON machine_type USING count(*)",
        "SELECT * FROM (PIVOT machines ON machine_type USING count(*))",
    ],
)
def test_what_reads_is_run(store: Store, sql: str) -> None:
    assert len(store.sql(sql)) >= 1


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM machines",
        "INSERT INTO machines (machine_id) VALUES (9)",
        "UPDATE machines SET name = 'x'",
        "DROP TABLE machines",
        "CREATE TABLE x AS SELECT 1",
        "CREATE TEMP TABLE x AS SELECT 1",
        "CREATE TABLE x AS PIVOT machines ON machine_type USING count(*)",
        "COPY machines TO '{out}'",
        "COPY (PIVOT machines ON machine_type USING count(*)) TO '{out}'",
        "EXPLAIN ANALYZE DELETE FROM machines",
        "EXPLAIN ANALYZE COPY machines TO '{out}'",
        "EXPLAIN ANALYZE EXPLAIN ANALYZE COPY machines TO '{out}'",
        "/* SELECT */ COPY machines TO '{out}'",
        "ATTACH '{out}' AS other",
        "EXPORT DATABASE '{out}'",
        "SET memory_limit = '1MB'",
        "PRAGMA disable_checkpoint_on_shutdown",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "CHECKPOINT",
        "VACUUM",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CALL pragma_version()",
        "PREPARE x AS SELECT 1",
        "SELECT 1; DELETE FROM machines",
        "WITH a AS (SELECT 1) DELETE FROM machines",
        "",
        ";",
    ],
)
def test_what_does_not_only_read_is_refused(store: Store, tmp_path: Path, sql: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(BadRequest) as error:
        store.sql(sql.format(out=out))
    assert "\n" not in str(error.value)
    assert not out.exists()
    assert store.names("machines") == ["M-001", "M-002"]


@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELEC 1", []),
        ("SELECT * FROM machinez\nWHERE 1", []),
        ("SELECT ? + ?", [1]),
        ("SELECT CAST(? AS INTEGER)", ["x"]),
    ],
)
def test_errors_quote_the_sql_in_one_line(store: Store, sql: str, params: list[object]) -> None:
    with pytest.raises(BadRequest) as error:
        store.sql(sql, params)
    assert repr(sql) in str(error.value)
    assert "\n" not in str(error.value)


def test_python_variables_are_not_tables(store: Store) -> None:
    machines_here = store.frame("machines")
    with pytest.raises(BadRequest, match="does not exist"):
        store.sql("SELECT * FROM machines_here")
    assert len(machines_here) == 2
