"""The description of the tables for `docs/data-model.md`, made from their comments.

``python -m twin.store.document > docs/data-model.md`` brings that file up to date.
"""

from __future__ import annotations

import duckdb

from twin.store.schema import KEYS, PARENTS, SCHEMA_VERSION, build

_HEAD = f"""# Data model

A plant is one DuckDB file (schema version {SCHEMA_VERSION}). Any DuckDB client can read it while nothing writes it;
`twin.open(path).sql(...)` also reads it beside a simulation that writes.

- Times are UTC, stored as `TIMESTAMP` without a zone. A span includes its start and not its end.
- `telemetry` holds what sensors report. Latent truth (damage, operating state, remaining useful life) lies in other
  tables, so that a feature query cannot read a label by accident.
- A reference is checked by the transaction that changes a row; what others refer to is not deleted. DuckDB's own
  `FOREIGN KEY` is not used: it compares with committed rows only, so that a parent and its parts could not be deleted
  together, nor a machine that has a task be renamed.
- `telemetry` has no keys, for speed. Rows of a chunk are in order of machine and time.

This page is made from the comments in the file: `python -m twin.store.document > docs/data-model.md`.
"""


def data_model() -> str:
    """Return the description of all tables and views as Markdown."""
    with duckdb.connect() as con:
        build(con)
        tables = con.execute(
            "SELECT table_name, comment FROM duckdb_tables() WHERE NOT temporary ORDER BY table_oid"
        ).fetchall()
        views = con.execute(
            "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY view_oid"
        ).fetchall()
        parts = [_HEAD, "## Tables\n", *(_section(con, *row) for row in tables)]
        parts += ["## Views\n", *(_section(con, *row) for row in views)]
    return "\n".join(parts)


def _section(con: duckdb.DuckDBPyConnection, table: str, comment: str) -> str:
    """Return one table or view."""
    lines = [f"### {table}", "", f"{comment}.", "", "| column | type | meaning |", "|---|---|---|"]
    rows = con.execute(
        "SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = ? ORDER BY column_index",
        [table],
    ).fetchall()
    for name, kind, meaning in rows:
        mark = " (key)" if KEYS.get(table) == name else ""
        parent = PARENTS.get((table, name))
        link = f" → [{parent}](#{parent})" if parent else ""
        lines.append(f"| `{name}`{mark} | {_type(kind)} | {meaning}{link} |")
    return "\n".join([*lines, ""])


def _type(kind: str) -> str:
    """Return a type as Markdown; the values of an ENUM in words."""
    if kind.startswith("ENUM("):
        return "one of " + ", ".join(f"`{value.strip()[1:-1]}`" for value in kind[5:-1].split(","))
    return kind


if __name__ == "__main__":
    print(data_model())
