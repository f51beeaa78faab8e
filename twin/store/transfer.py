"""Tables written to files that other programs read: CSV, JSON and Parquet."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb

from twin.errors import BadRequest, shown, unknown
from twin.store.catalog_tables import Transaction
from twin.store.faults import translate, translate_os
from twin.store.runs import Runs
from twin.store.values import Column

LAYOUTS: dict[str, dict[str, str]] = {
    "tables": {
        name: name
        for name in (
            "channels",
            "machine_types",
            "machines",
            "profiles",
            "profile_points",
            "scenarios",
            "scenario_activations",
            "failure_modes",
            "failure_injections",
            "maintenance_actions",
            "technicians",
            "maintenance_tasks",
            "runs",
            "telemetry",
            "ground_truth",
            "failures",
            "alarms",
            "maintenance_log",
        )
    },
    "five_tables": {
        "telemetry": "five_telemetry",
        "errors": "five_errors",
        "maint": "five_maint",
        "failures": "five_failures",
        "machines": "five_machines",
    },
}
"""For each layout, the files and the tables or views that fill them."""

FORMATS: tuple[str, ...] = ("csv", "json", "parquet")

_ORDER = {"telemetry": "machine_id, ts", "five_telemetry": "machineID, datetime"}


class Transfers(Runs):
    """The part of the store that writes files for others."""

    def export(
        self,
        out_dir: str | Path,
        format: str = "parquet",
        layout: str = "tables",
        run_id: int | None = None,
        tables: Sequence[str] | None = None,
    ) -> list[Path]:
        """Write tables to files, each of which appears whole; files of the same names are replaced.

        Parameters
        ----------
        out_dir : str or Path
            Directory, made when it is not there.
        format : str
            ``csv``, ``json`` (telemetry: one object a line, in ``telemetry.jsonl``) or ``parquet``.
            In CSV and JSON, times end in ``Z``.
        layout : str
            ``tables``: as they are stored; ``five_tables``: telemetry, errors, maint, failures
            and machines, as courses on predictive maintenance have them.
        run_id : int, optional
            The run whose rows are written; the newest when not given.
        tables : sequence of str, optional
            Only these files of the layout.

        Returns
        -------
        list of Path
            The files.
        """
        if format not in FORMATS:
            raise unknown("format", format, FORMATS)
        if layout not in LAYOUTS:
            raise unknown("layout", layout, LAYOUTS)
        chosen = list(tables or LAYOUTS[layout])
        for name in chosen:
            if name not in LAYOUTS[layout]:
                raise unknown(f"table of the layout {layout}", name, LAYOUTS[layout])
        out = Path(out_dir)
        if out.exists() and not out.is_dir():
            raise BadRequest(f"{shown(str(out), 200)} is a file; name a directory to export to")
        with self.reading() as tx:
            number = self._run_to_export(tx, run_id)
            try:
                out.mkdir(parents=True, exist_ok=True)
                draft = Path(tempfile.mkdtemp(prefix=".export-", dir=out))
            except OSError as error:
                raise translate_os(error, out) from None
            try:
                drafts = [_write(tx, LAYOUTS[layout][name], draft / name, format, number) for name in chosen]
                return [path.replace(out / path.name) for path in drafts]
            except duckdb.Error as error:
                raise translate(error, out) from None
            except OSError as error:
                raise translate_os(error, out) from None
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _run_to_export(self, tx: Transaction, run_id: int | None) -> int:
        """Return the number of the run to export, 0 where there is none."""
        if run_id is None and not tx.count("runs"):
            return 0
        return self.get_run("latest" if run_id is None else run_id).run_id


def _write(tx: Transaction, table: str, stem: Path, format: str, run_id: int) -> Path:
    """Write the rows of a table, or those of one run, to a file and return it."""
    lines = table.endswith("telemetry") and format == "json"
    path = stem.with_suffix(".jsonl" if lines else f".{format}")
    columns = tx.columns(table)
    select = ", ".join(_expression(column, format) for column in columns.values())
    where = f" WHERE run_id = {int(run_id)}" if "run_id" in columns else ""
    order = f" ORDER BY {_ORDER[table]}" if table in _ORDER else ""
    options = {
        "csv": "FORMAT csv, HEADER",
        "json": "FORMAT json" if lines else "FORMAT json, ARRAY true",
        "parquet": "FORMAT parquet, COMPRESSION zstd",
    }[format]
    quoted = str(path).replace("'", "''")
    tx.con.execute(f"COPY (SELECT {select} FROM \"{table}\"{where}{order}) TO '{quoted}' ({options})")
    _sync(path)
    return path


def _expression(column: Column, format: str) -> str:
    """Return the expression that writes a column: times with their zone, nested values as JSON in CSV."""
    if format == "parquet":
        return column.shown
    if column.type == "TIMESTAMP":
        # the cast writes a fraction of a second only where there is one
        return f"replace(CAST({column.quoted} AS VARCHAR), ' ', 'T') || 'Z' AS {column.quoted}"
    if format == "csv" and (column.type.startswith("MAP") or column.type.endswith("[]")):
        return f"CAST(to_json({column.quoted}) AS VARCHAR) AS {column.quoted}"
    return column.shown


def _sync(path: Path) -> None:
    """Have the operating system write a file out, so that a full disk shows now."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
