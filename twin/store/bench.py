"""The bare database beside the plant: how fast the same rows go in when nothing has to be made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from twin.store.connection import connection_settings

if TYPE_CHECKING:
    import pyarrow as pa


def time_ingest(path: Path, table: pa.Table) -> float:
    """Return the seconds that ``CREATE TABLE AS`` from Arrow memory and a checkpoint take.

    Parameters
    ----------
    path : Path
        A new file; removed afterwards.
    table : pyarrow.Table
        Telemetry but for the number of the run.
    """
    connection = duckdb.connect(path, config=connection_settings())
    try:
        connection.register("given", table)
        began = time.perf_counter()
        connection.execute("CREATE TABLE telemetry AS SELECT CAST(1 AS INTEGER) AS run_id, * FROM given")
        connection.execute("CHECKPOINT")
        return time.perf_counter() - began
    finally:
        connection.close()
        path.unlink(missing_ok=True)


def checkpoint(path: Path) -> None:
    """Bring everything that is stored into the file itself."""
    with duckdb.connect(path, config=connection_settings()) as connection:
        connection.execute("CHECKPOINT")
