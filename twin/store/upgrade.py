"""Plants of earlier versions, brought to the present schema in one transaction."""

from __future__ import annotations

import re
from importlib.resources import files

from twin.catalog.loader import load_catalog
from twin.catalog.models import FailureMode, MachineType
from twin.store.catalog_tables import Transaction
from twin.store.schema import SCHEMA_FILES, SCHEMA_VERSION

_STATEMENT = re.compile(r"(?:'(?:[^']|'')*'|--[^\n]*|[^;'])+;")
_NEW_COLUMNS_OF_2 = {
    "technicians": (
        "shift_start_h DOUBLE DEFAULT 0",
        "shift_end_h DOUBLE DEFAULT 24",
        "weekdays VARCHAR DEFAULT '1234567'",
    ),
    "runs": (
        "telemetry BOOLEAN DEFAULT true",
        "policy VARCHAR DEFAULT 'none'",
        "world_sha256 VARCHAR",
        "base_run_id INTEGER",
        "events_digest VARCHAR",
    ),
}
_NEW_COLUMNS_OF_3 = {"runs": ("live BOOLEAN DEFAULT false",)}
_EMPTY_IN_1 = ("failures", "alarms", "maintenance_log")  # version 1 had these tables, and never a row in them


def upgrade(tx: Transaction, version: int) -> None:
    """Bring a plant from an earlier schema to the present one; all rows stay.

    Parameters
    ----------
    tx : Transaction
        Of a writing session.
    version : int
        The schema of the file.
    """
    if version >= SCHEMA_VERSION:
        return
    for (view,) in tx.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal"):
        tx.execute(f'DROP VIEW IF EXISTS "{view}" CASCADE')
    added = [(table, column) for table, columns in _NEW_COLUMNS_OF_3.items() for column in columns]
    if version < 2:
        for table in _EMPTY_IN_1:
            tx.execute(f'DROP TABLE "{table}"')
        added = [(table, column) for table, columns in _NEW_COLUMNS_OF_2.items() for column in columns] + added
    for table, column in added:
        tx.execute(f'ALTER TABLE "{table}" ADD COLUMN {column}')
    _create_missing(tx)
    if version < 2:
        _complete_catalog(tx)
    tx.forget_columns()
    tx.execute("UPDATE plant_info SET value = ? WHERE key = 'schema_version'", [str(SCHEMA_VERSION)])


def _create_missing(tx: Transaction) -> None:
    """Create the types, tables, views and comments that are not there."""
    there = {row[0] for row in tx.execute("SELECT table_name FROM duckdb_tables()")}
    there |= {row[0] for row in tx.execute("SELECT type_name FROM duckdb_types() WHERE NOT internal")}
    for name in SCHEMA_FILES:
        text = files("twin.store").joinpath(name).read_text(encoding="utf-8")
        for statement in _STATEMENT.findall(text):
            bare = re.sub(r"--[^\n]*", "", statement).strip()
            created = re.match(r"CREATE (?:TYPE|TABLE) (\w+)", bare)
            if created is None or created[1] not in there:
                tx.execute(statement)


def _complete_catalog(tx: Transaction) -> None:
    """Add the package's rows that are new, and to those that are not what they lack; people's rows stay as they are."""
    catalog = load_catalog()
    tx.forget_columns()
    tx.load_catalog(catalog)
    for row in tx.rows("failure_modes", {"builtin": True}):
        ours = catalog.failure_modes.get(row["name"])
        if ours is not None and "wear" not in row["definition"]:
            mode = FailureMode.model_validate({**row["definition"], "wear": ours.wear})
            tx.update("failure_modes", row["failure_mode_id"], {"definition": mode})
    for row in tx.rows("machine_types"):
        kind = catalog.machine_types.get(row["name"])
        if kind is not None and "downtime_cost_per_h" not in row["definition"]:
            cost = {"downtime_cost_per_h": kind.downtime_cost_per_h}
            changed = MachineType.model_validate({**row["definition"], **cost})
            tx.update("machine_types", row["name"], {"definition": changed.model_dump(mode="json")})
