"""Tables written to files that other programs read: CSV, JSON and Parquet."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from twin.errors import BadRequest, shown, unknown
from twin.store.catalog_tables import Transaction
from twin.store.connection import connection_settings
from twin.store.faults import translate, translate_os
from twin.store.runs import RunRow, Runs, windows
from twin.store.values import Column

if TYPE_CHECKING:
    from twin.transport import Transport

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
            "alarm_rules",
            "maintenance_tasks",
            "runs",
            "telemetry",
            "ground_truth",
            "failures",
            "alarms",
            "work_orders",
            "maintenance_log",
            "lives",
            "run_machines",
            "experiments",
            "experiment_runs",
            "experiment_results",
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

_READINGS = {"telemetry": ("machine_id", "ts"), "five_telemetry": ("machineID", "datetime")}
"""The tables of readings, and what they call the machine and the time."""

_ORDERS = _READINGS | {
    "experiments": ("experiment_id",),
    "experiment_runs": ("experiment_id", "number", "created_at"),
    "experiment_results": ("run_id", "name"),
}
"""The tables whose rows are not stored in the order in which they are read."""

_WINDOW_ROWS = 1_000_000
_GATHERED = ".duckdb"


class Transfers(Runs):
    """The part of the store that writes files for others."""

    def export(
        self,
        out_dir: str | Path,
        format: str = "parquet",
        layout: str = "tables",
        run_id: int | None = None,
        tables: Sequence[str] | None = None,
        transport: Transport | None = None,
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
        transport : Transport, optional
            Write telemetry as received: with ``received_at``, and in its order.

        Returns
        -------
        list of Path
            The files.
        """
        chosen, out = _chosen(format, layout, tables), Path(out_dir)
        if out.exists() and not out.is_dir():
            raise BadRequest(f"{shown(str(out), 200)} is a file; name a directory to export to")
        with ExitStack() as reading:
            tx = reading.enter_context(self.reading())
            run = self._run_to_export(tx, run_id)
            try:
                out.mkdir(parents=True, exist_ok=True)
                draft = Path(tempfile.mkdtemp(prefix=".export-", dir=out))
            except OSError as error:
                raise translate_os(error, out) from None
            try:
                drafts = [_write(tx, table, draft / name, format, run, transport) for name, table in chosen.items()]
                reading.close()  # the plant is free while received rows are sorted
                drafts = [_sorted(path, format) if path.suffix == _GATHERED else path for path in drafts]
                return [path.replace(out / path.name) for path in drafts]
            except duckdb.Error as error:
                raise translate(error, out) from None
            except OSError as error:
                raise translate_os(error, out) from None
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    def _run_to_export(self, tx: Transaction, run_id: int | None) -> RunRow | None:
        """Return the run to export, None where there is none."""
        if run_id is None and not tx.count("runs"):
            return None
        return self.get_run("latest" if run_id is None else run_id)


def _chosen(format: str, layout: str, tables: Sequence[str] | None) -> dict[str, str]:
    """Return the files to write and the tables that fill them."""
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if layout not in LAYOUTS:
        raise unknown("layout", layout, LAYOUTS)
    for name in tables or ():
        if name not in LAYOUTS[layout]:
            raise unknown(f"table of the layout {layout}", name, LAYOUTS[layout])
    return {name: LAYOUTS[layout][name] for name in tables or LAYOUTS[layout]}


def _write(
    tx: Transaction, table: str, stem: Path, format: str, run: RunRow | None, transport: Transport | None
) -> Path:
    """Write the rows of a table, or those of one run, to a file and return it."""
    if table in _READINGS and transport is not None:
        return _gather(tx, table, stem.with_suffix(_GATHERED), run, transport)
    columns = tx.columns(table)
    of_run = "run_id" in columns and columns["run_id"].type == "INTEGER"  # runs of experiments are named by hashes
    where = f" WHERE run_id = {run.run_id if run else 0}" if of_run else ""
    order = f" ORDER BY {', '.join(_ORDERS[table])}" if table in _ORDERS else ""
    return _copy(tx.con, columns.values(), f'"{table}"{where}{order}', _file(stem, format))


def _gather(tx: Transaction, table: str, place: Path, run: RunRow | None, transport: Transport) -> Path:
    """Store the readings of a run as received in a file, window by window, and return it."""
    machine, ts = _READINGS[table]
    clean = f'SELECT * FROM "{table}" WHERE run_id = ? AND {ts} >= make_timestamp(?) AND {ts} < make_timestamp(?)'
    spans = [(0, 0), *(windows(run, _WINDOW_ROWS) if run else ())]  # the first has no rows, but the columns' types
    with _opened(place) as con:
        for number, span in enumerate(spans):
            rows = tx.query_arrow(clean, [run.run_id if run else 0, *span])
            con.register("given", transport.receive(rows, machine=machine, ts=ts, ordered=False))
            con.execute(f'INSERT INTO "{table}" FROM given' if number else f'CREATE TABLE "{table}" AS FROM given')
            con.unregister("given")
    return place


def _sorted(place: Path, format: str) -> Path:
    """Write what `_gather` stored to a file, in the order of arrival, and return it."""
    with _opened(place) as con:
        ((table,),) = con.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        columns = [Column(name, kind) for name, kind, *_ in con.execute(f'DESCRIBE "{table}"').fetchall()]
        machine, ts = _READINGS[table]
        return _copy(con, columns, f'"{table}" ORDER BY received_at, {machine}, {ts}', _file(place, format))


@contextmanager
def _opened(place: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database of this export's own."""
    with closing(duckdb.connect(place, config=connection_settings())) as con:
        try:
            yield con
        except RuntimeError as error:
            if str(error) == "Query interrupted":  # what DuckDB makes of Ctrl-C within a statement
                raise KeyboardInterrupt from None
            raise


def _file(stem: Path, format: str) -> Path:
    """Return the file of a table: JSON of readings has one object a line."""
    return stem.with_suffix(".jsonl" if format == "json" and stem.stem == "telemetry" else f".{format}")


def _copy(con: duckdb.DuckDBPyConnection, columns: Iterable[Column], rows: str, path: Path) -> Path:
    """Write columns of rows (a table with its conditions) to a file and return it."""
    format = path.suffix[1:]
    select = ", ".join(_expression(column, format) for column in columns)
    options = {
        "csv": "FORMAT csv, HEADER",
        "json": "FORMAT json, ARRAY true",
        "jsonl": "FORMAT json",
        "parquet": "FORMAT parquet, COMPRESSION zstd",
    }[format]
    quoted = str(path).replace("'", "''")
    con.execute(f"COPY (SELECT {select} FROM {rows}) TO '{quoted}' ({options})")
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
