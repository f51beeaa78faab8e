"""The catalog's rows in the plant's tables: types, scenarios with their profiles, failure modes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np

from twin.catalog.models import FailureMode, Profile, Scenario
from twin.errors import unknown
from twin.store.rows import Rows

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pydantic import BaseModel

    from twin.catalog.loader import Catalog

_SERIES = ("t_s", "load", "speed_rpm", "speed_factor", "ambient_c")


class Transaction(Rows):
    """What one transaction sees and changes: all of it is kept, or nothing.

    `Rows` has the methods for any table; those here know what the catalog's rows mean.
    """

    @contextmanager
    def arrow(self, name: str, table: pa.Table) -> Iterator[None]:
        """Let statements read an Arrow table under a name, without a copy."""
        self.con.register(name, table)
        try:
            yield
        except BaseException:
            with suppress(duckdb.Error):  # an aborted transaction refuses this too, and must not hide why
                self.con.unregister(name)
            raise
        self.con.unregister(name)

    def insert_table(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add many rows at once to a table without a key; they all have the same columns."""
        import pyarrow as pa

        if not rows:
            return
        columns = self.columns(table)
        names = ", ".join(columns[name].quoted for name in rows[0])
        with self.arrow("rows_given", pa.Table.from_pylist([dict(row) for row in rows])):
            self.execute(f'INSERT INTO "{table}" ({names}) SELECT * FROM rows_given')

    def load_catalog(self, catalog: Catalog, technicians: bool = False) -> None:
        """Add the package's rows that are not there yet.

        Parameters
        ----------
        catalog : Catalog
            The package's catalog.
        technicians : bool
            Whether to add the sample technicians as well.
        """
        for table in ("channels", "machine_types", "maintenance_actions", "alarm_rules"):
            self._add_missing(table, "name", getattr(catalog, table))
        if technicians:
            self._add_missing("technicians", "technician_id", catalog.technicians)
        known = set(self.names("scenarios"))
        for scenario in catalog.scenarios.values():
            if scenario.name not in known:
                self.add_scenario(scenario, builtin=True)
        known = set(self.names("failure_modes"))
        for mode in catalog.failure_modes.values():
            if mode.name not in known:
                self.add_failure_mode(mode, builtin=True)

    def _add_missing(self, table: str, key: str, models: Mapping[str, BaseModel]) -> None:
        known = set(self.names(table, key))
        columns = self.columns(table)
        for name, model in models.items():
            if name not in known:
                whole = model.model_dump(mode="json")
                row = {column: value for column, value in whole.items() if column in columns}
                self.insert(table, row | ({"definition": whole} if "definition" in columns else {}))

    def add_scenario(self, scenario: Scenario, builtin: bool = False) -> int:
        """Store a scenario, its profile beside it, and return its number."""
        return int(self.insert("scenarios", self.scenario_row(scenario) | {"builtin": builtin}))

    def scenario_row(self, scenario: Scenario) -> dict[str, Any]:
        """Store a scenario's profile, if it has one, and return the columns that state the scenario."""
        if scenario.profile is not None:
            self.save_profile(scenario.profile)
        return {
            "name": scenario.name,
            "description": scenario.description,
            "priority": scenario.priority,
            "definition": scenario.detached(),
            "profile_id": scenario.profile_id,
        }

    def read_scenario(self, row: Mapping[str, Any]) -> Scenario:
        """Return the scenario that a row of `scenarios` states, with its profile's data."""
        scenario = Scenario.model_validate({**row["definition"], "profile": None})
        return scenario.attached(self.load_profile(scenario.profile_id)) if scenario.profile_id else scenario

    def add_failure_mode(self, mode: FailureMode, builtin: bool = False) -> int:
        """Store a failure mode and return its number."""
        return int(self.insert("failure_modes", self.failure_mode_row(mode) | {"builtin": builtin}))

    def failure_mode_row(self, mode: FailureMode) -> dict[str, Any]:
        """Return the columns that state a failure mode."""
        return {
            "name": mode.name,
            "title": mode.title,
            "description": mode.description,
            "category": mode.category,
            "definition": mode,
        }

    def save_profile(self, profile: Profile) -> str:
        """Store a profile, unless its like is there, and return its id: the hash of its content."""
        import pyarrow as pa

        key = profile.sha256
        if self.count("profiles", {"profile_id": key}):
            return key
        self.insert(
            "profiles",
            {
                "profile_id": key,
                "name": profile.name,
                "interpolation": profile.interpolation,
                "at_end": profile.at_end,
                "period_s": profile.period_s,
                "points": profile.points,
                "created_at": now_us(),
            },
        )
        series = {"t_s": profile.t_s, **profile.columns}
        data = {name: pa.array(np.asarray(values, dtype=np.float64)) for name, values in series.items()}
        data["seq"] = pa.array(np.arange(profile.points, dtype=np.int32))
        with self.arrow("points_given", pa.table(data)):
            names = ", ".join(data)
            self.execute(f"INSERT INTO profile_points (profile_id, {names}) SELECT ?, {names} FROM points_given", [key])
        return key

    def load_profile(self, profile_id: str) -> Profile:
        """Return a stored profile."""
        head = self.get("profiles", profile_id)
        if head is None:
            raise unknown("profile", profile_id, self.names("profiles", "profile_id"))
        sql = f"SELECT {', '.join(_SERIES)} FROM profile_points WHERE profile_id = ? ORDER BY seq"
        data = self.query_arrow(sql, [profile_id])
        fields = {name: head[name] for name in ("name", "interpolation", "at_end", "period_s")}
        for name in _SERIES:
            if data.column(name).null_count == 0:
                fields[name] = tuple(data.column(name).to_pylist())
        return Profile(**fields)

    def active_at(self, at_us: int, machine_id: int | None = None) -> pd.DataFrame:
        """Return the scenarios and failures that act at a time, on one machine or all.

        Parameters
        ----------
        at_us : int
            Microseconds since 1970 UTC.
        machine_id : int, optional
            The machine; all when not given.
        """
        return self.query(
            "SELECT kind, id, name, machine, level, start_at, end_at FROM conditions"
            " WHERE start_at <= make_timestamp(?) AND (end_at IS NULL OR end_at > make_timestamp(?))"
            " AND (? IS NULL OR machine_id = ?) ORDER BY machine_id, kind, id",
            [at_us, at_us, machine_id, machine_id],
        )

    def upcoming(self, from_us: int, until_us: int, machine_id: int | None = None) -> pd.DataFrame:
        """Return the tasks that are planned, under way or overdue, scheduled up to a time.

        Parameters
        ----------
        from_us, until_us : int
            Microseconds since 1970 UTC. Open tasks of before `from_us` are overdue and listed too.
        machine_id : int, optional
            The machine; all when not given.
        """
        return self.query(
            "SELECT task_id, machine, CAST(task_type AS VARCHAR) AS task_type, action, scheduled_at, duration_min,"
            " CAST(priority AS VARCHAR) AS priority,"
            " CASE WHEN status = 'planned' AND scheduled_at < make_timestamp(?) THEN 'overdue'"
            " ELSE CAST(status AS VARCHAR) END AS status, technician_id, technician, cost, notes FROM tasks"
            " WHERE status NOT IN ('done', 'cancelled') AND scheduled_at <= make_timestamp(?)"
            " AND (? IS NULL OR machine_id = ?) ORDER BY scheduled_at, task_id",
            [from_us, until_us, machine_id, machine_id],
        )


def now_us() -> int:
    """Return the time of day, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000
