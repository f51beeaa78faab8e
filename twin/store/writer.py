"""Telemetry on its way into the file: chunk by chunk, each kept whole or not at all."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import duckdb
import numpy as np

from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, PlantBusy, StoreFault
from twin.store.catalog_tables import Transaction
from twin.store.connection import Gate
from twin.store.faults import translate

if TYPE_CHECKING:
    import pyarrow as pa

RELEASE_S = 1.2
"""Longest time that a writer keeps the file to itself, s: closing and opening cost it about 0.1 s of work."""

ROW_GROUP = 122_880

GAP_S = 0.03
"""How long the file stays free after a release, s: others try to open it about every 0.02 s."""

_PATIENCE_S = 60.0  # readers may keep a run waiting, but do not end it


def add_chunk(
    tx: Transaction,
    run_id: int,
    from_tick: int,
    to_tick: int,
    columns: Mapping[str, np.ndarray],
    nulls: Sequence[bool],
    state: bytes,
    digest: str,
    happened: Callable[[Transaction], None] | None = None,
) -> int:
    """Store a chunk in a transaction, and return how many rows the run has then.

    A run without telemetry has chunks without rows; `happened` stores its events.

    Raises
    ------
    PlantBusy
        The run does not stand at `from_tick`: another process writes it too.
    """
    table = chunk_table(columns, nulls)
    moved = tx.execute(
        "UPDATE runs SET committed_ticks = ?, committed_rows = committed_rows + ?,"
        " ticks = CASE WHEN live THEN ? ELSE ticks END,"
        " rows = CASE WHEN live THEN committed_rows + ? ELSE rows END"
        " WHERE run_id = ? AND committed_ticks = ? AND status = 'running'"
        " RETURNING committed_ticks, committed_rows, machines * CAST(telemetry AS INTEGER)",
        [to_tick, table.num_rows, to_tick, table.num_rows, run_id, from_tick],
    )
    if not moved:
        raise PlantBusy(
            f"run {run_id} does not stand at tick {from_tick} any more: another process writes, stopped or deleted it"
        )
    ticks, rows, machines = moved[0]
    if to_tick <= from_tick or rows != ticks * machines:
        raise StoreFault(
            f"a chunk of run {run_id} has {table.num_rows} rows for {to_tick - from_tick} ticks of {machines} machines"
        )
    if table.num_rows:
        with tx.arrow("chunk_given", table):
            tx.execute("INSERT INTO telemetry SELECT CAST(? AS INTEGER), * FROM chunk_given", [run_id])
    if happened is not None:
        happened(tx)
    tx.execute(
        "INSERT INTO run_states VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
        " SET tick = excluded.tick, state = excluded.state, digest = excluded.digest",
        [run_id, to_tick, state, digest],
    )
    return int(rows)


def chunk_table(columns: Mapping[str, np.ndarray], nulls: Sequence[bool]) -> pa.Table:
    """Return telemetry columns as an Arrow table that shares their memory.

    Parameters
    ----------
    columns : mapping of str to array
        ``machine_id`` (int16), ``ts`` (int64 microseconds) and the channels (float32, NaN for a
        missing reading), contiguous and of one length.
    nulls : sequence of bool
        For each channel whether it has missing readings.
    """
    import pyarrow as pa

    rows = len(columns["machine_id"])
    wanted = {"machine_id": np.dtype(np.int16), "ts": np.dtype(np.int64)} | dict.fromkeys(
        CHANNELS, np.dtype(np.float32)
    )
    for name, dtype in wanted.items():
        column = columns[name]
        if column.dtype != dtype or column.shape != (rows,) or not column.flags.c_contiguous:
            raise BadRequest(f"column {name} of a chunk must be a contiguous array of {rows} {dtype}")
    arrays = [
        _shared(columns["machine_id"], pa.int16()),
        _shared(columns["ts"], pa.timestamp("us")),
    ]
    for name, has_nulls in zip(CHANNELS, nulls, strict=True):
        arrays.append(_shared(columns[name], pa.float32(), has_nulls))
    table = pa.table(arrays, names=list(wanted))
    # the database shares the work among its threads batch by batch; a batch fills one of its row groups
    return pa.Table.from_batches(table.to_batches(max_chunksize=ROW_GROUP), table.schema)


def _shared(column: np.ndarray, kind: pa.DataType, has_nulls: bool = False) -> pa.Array:
    """Return an Arrow array over a column's memory; NaN becomes NULL where there are any."""
    import pyarrow as pa

    validity = pa.py_buffer(np.packbits(~np.isnan(column), bitorder="little")) if has_nulls else None
    return pa.Array.from_buffers(kind, len(column), [validity, pa.py_buffer(column)])


class KeptOpen:
    """A writing session that keeps the file open from one transaction to the next, for speed.

    Never longer than about `release_s` seconds together: then it closes the file for a moment, so
    that other processes read what is stored.

    Parameters
    ----------
    gate : Gate
        This process's connections to the file.
    release_s : float
        Longest time without giving others a turn, s.
    """

    def __init__(self, gate: Gate, release_s: float = RELEASE_S) -> None:
        self._gate = gate
        self._release_s = release_s
        self._busy = threading.RLock()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._opened = 0.0
        self._closed = 0.0
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Open a transaction whose changes are all kept at its end, or none if an error leaves it."""
        with self._busy:
            self._stop_timer()
            con = self._open()
            try:
                con.execute("BEGIN TRANSACTION")
                yield Transaction(con, self._gate.path, writable=True)
                con.execute("COMMIT")
            except BaseException as error:
                with contextlib.suppress(duckdb.Error):
                    con.execute("ROLLBACK")
                self.let_go()
                if isinstance(error, duckdb.Error):
                    raise translate(error, self._gate.path) from None
                raise
            self._release_in_time()

    def let_go(self) -> None:
        """Close the file, once the chunk under way is stored; the next chunk opens it again."""
        with self._busy:
            self._stop_timer()
            if self._con is not None:
                con, self._con = self._con, None
                self._gate.close_writing(con)
                self._closed = time.monotonic()

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._con is None:
            time.sleep(max(0.0, self._closed + GAP_S - time.monotonic()))
            self._con = self._gate.open_writing(_PATIENCE_S, self)
            self._opened = time.monotonic()
        return self._con

    def _release_in_time(self) -> None:
        """Close the file if its time is over, else see to it that it will be closed in time."""
        left = self._opened + self._release_s - time.monotonic()
        if left <= 0.0:
            self.let_go()
            return
        self._timer = threading.Timer(left, self.let_go)
        self._timer.daemon = True
        self._timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class RunWriter(KeptOpen):
    """A session that appends chunks to a run.

    Each chunk is one transaction; once `append` returns, the chunk survives the death of the
    process. Any thread may append, one at a time.

    Parameters
    ----------
    gate : Gate
        This process's connections to the file.
    run_id : int
        The run.
    release_s : float
        Longest time without giving others a turn, s.
    """

    def __init__(self, gate: Gate, run_id: int, release_s: float = RELEASE_S) -> None:
        super().__init__(gate, release_s)
        self.run_id = run_id

    def append(
        self,
        from_tick: int,
        to_tick: int,
        columns: Mapping[str, np.ndarray],
        nulls: Sequence[bool],
        state: bytes,
        digest: str,
        happened: Callable[[Transaction], None] | None = None,
    ) -> int:
        """Append the ticks from `from_tick` up to `to_tick` of all machines, and keep them.

        Parameters
        ----------
        from_tick, to_tick : int
            Ticks that are stored already, and then.
        columns, nulls
            As in `chunk_table`; order of rows by machine, then time, reads fastest.
        state : bytes
            The simulation's state after these ticks, from which the run can go on.
        digest : str
            The digest's state after these ticks.
        happened : callable, optional
            Stores in the same transaction what happened meanwhile.

        Returns
        -------
        int
            Rows of the run that are stored.
        """
        with self.transaction() as tx:
            return add_chunk(tx, self.run_id, from_tick, to_tick, columns, nulls, state, digest, happened)
