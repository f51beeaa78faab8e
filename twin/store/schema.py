"""What the tables are: their version, their keys, who refers to whom, and how to build them."""

from __future__ import annotations

from importlib.resources import files

import duckdb

SCHEMA_VERSION = 3
"""Version of what the files of `SCHEMA_FILES` create; a plant of a newer one is refused."""

SCHEMA_FILES = ("schema.sql", "schema_events.sql", "views.sql", "schema_experiments.sql")

KEYS: dict[str, str] = {
    "plant_info": "key",
    "channels": "name",
    "machine_types": "name",
    "machines": "machine_id",
    "profiles": "profile_id",
    "scenarios": "scenario_id",
    "scenario_activations": "activation_id",
    "failure_modes": "failure_mode_id",
    "failure_injections": "injection_id",
    "maintenance_actions": "name",
    "technicians": "technician_id",
    "alarm_rules": "name",
    "maintenance_tasks": "task_id",
    "runs": "run_id",
    "run_states": "run_id",
    "experiments": "experiment_id",
    "experiment_runs": "run_id",
}
"""Primary key of each table that has one."""

NUMBERED: frozenset[str] = frozenset(
    table
    for table, key in KEYS.items()
    if key.endswith("_id") and table not in {"profiles", "technicians", "run_states", "experiment_runs"}
)
"""Tables whose keys are numbers given out by the store, and never given out twice."""

PARENTS: dict[tuple[str, str], str] = {
    ("machines", "machine_type"): "machine_types",
    ("profile_points", "profile_id"): "profiles",
    ("scenarios", "profile_id"): "profiles",
    ("scenario_activations", "scenario_id"): "scenarios",
    ("scenario_activations", "machine_id"): "machines",
    ("failure_injections", "failure_mode_id"): "failure_modes",
    ("failure_injections", "machine_id"): "machines",
    ("maintenance_tasks", "machine_id"): "machines",
    ("maintenance_tasks", "action"): "maintenance_actions",
    ("maintenance_tasks", "technician_id"): "technicians",
    ("run_states", "run_id"): "runs",
    ("telemetry", "run_id"): "runs",
    ("ground_truth", "run_id"): "runs",
    ("failures", "run_id"): "runs",
    ("alarms", "run_id"): "runs",
    ("maintenance_log", "run_id"): "runs",
    ("lives", "run_id"): "runs",
    ("work_orders", "run_id"): "runs",
    ("run_machines", "run_id"): "runs",
    ("session_commands", "run_id"): "runs",
    ("experiment_runs", "experiment_id"): "experiments",
    ("experiment_results", "run_id"): "experiment_runs",
}
"""References: the value of (table, column) is a key of the parent."""

OWNED: dict[str, tuple[str, ...]] = {
    "profiles": ("profile_points",),
    "runs": (
        "run_states",
        "run_machines",
        "telemetry",
        "ground_truth",
        "failures",
        "alarms",
        "work_orders",
        "maintenance_log",
        "lives",
        "session_commands",
    ),
}
"""Tables whose rows are parts of a parent's row and go with it."""

RUN_TABLES: dict[str, str] = {
    "ground_truth": "ts",
    "failures": "failed_at",
    "alarms": "ts",
    "work_orders": "number",
    "maintenance_log": "start_at",
    "lives": "started_at",
    "run_machines": "machine_id",
}
"""Tables of a run beside its telemetry, and what their rows are ordered by after the machine."""

RUN_VIEWS: dict[str, str] = {
    "lifetimes": "started_at",
    "machine_lifetimes": "episode",
    "failure_labels": "ts",
    "kpis": "machine",
}
"""The same for views."""

_RESTORERS = """
SELECT a.name FROM maintenance_actions a JOIN failure_modes f
ON list_contains(json_keys(a.definition, '$.restores'), f.name) WHERE f.failure_mode_id = ?
"""

REMOTE_USERS: dict[str, tuple[tuple[str, str], ...]] = {
    # a stored run needs its machines' names and its profiles' data, which its plan refers to
    "machines": (
        ("runs", "SELECT run_id FROM runs WHERE list_contains(CAST(plan->'$.machines[*].machine_id' AS BIGINT[]), ?)"),
    ),
    "profiles": (("runs", "SELECT run_id FROM runs WHERE contains(CAST(plan AS VARCHAR), ?)"),),
    "failure_modes": (("maintenance_actions", _RESTORERS),),
}
"""Users whose reference stands inside a JSON value: (user's table, query of its keys)."""


def build(con: duckdb.DuckDBPyConnection) -> None:
    """Create all types, tables, comments and views in an empty database."""
    for name in SCHEMA_FILES:
        con.execute(files("twin.store").joinpath(name).read_text(encoding="utf-8"))
    con.execute("INSERT INTO plant_info VALUES ('schema_version', ?)", [str(SCHEMA_VERSION)])


def found_version(con: duckdb.DuckDBPyConnection) -> int | None:
    """Return the version of the schema in a database, or None where it is not a plant."""
    try:
        row = con.execute("SELECT CAST(value AS INTEGER) FROM plant_info WHERE key = 'schema_version'").fetchone()
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.ConversionException):
        return None
    return int(row[0]) if row else None
