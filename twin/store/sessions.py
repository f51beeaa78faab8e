"""Transactions on a plant's file: opened for one piece of work, closed when it is done."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb

from twin.errors import BadRequest
from twin.store.catalog_tables import Transaction
from twin.store.connection import gate_of
from twin.store.faults import translate


class _Current(threading.local):
    """The transaction that a thread is in, by file."""

    def __init__(self) -> None:
        self.of: dict[Path, Transaction] = {}


_current = _Current()


class Sessions:
    """Opens transactions; nothing holds the file between them.

    Parameters
    ----------
    path : str or Path
        The plant's file.
    read_only : bool
        Whether changes are refused.
    wait_s : float
        How long to wait for others to close the file, s.
    """

    def __init__(self, path: str | Path, read_only: bool = False, wait_s: float = 5.0) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self.wait_s = wait_s
        self.gate = gate_of(self.path)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Transaction]:
        """Open a transaction that sees one state of the plant and changes nothing.

        Within another transaction of the same thread, it is that one.
        """
        outer = _current.of.get(self.gate.path)
        if outer is not None:
            yield outer
            return
        con, shared = self.gate.open_reading(self.wait_s)
        try:
            yield from self._within(con, "BEGIN TRANSACTION READ ONLY", writable=False)
        finally:
            self.gate.close_reading(con, shared)

    @contextlib.contextmanager
    def writing(self, wait_s: float | None = None) -> Iterator[Transaction]:
        """Open a transaction whose changes are all kept at its end, or none if an error leaves it.

        Within another writing transaction of the same thread, it is that one.

        Raises
        ------
        PlantBusy
            Another process has the file open, and had for `wait_s` seconds.
        """
        if self.read_only:
            raise BadRequest(f"the plant {self.path} is open for reading only; open it without read_only to change it")
        outer = _current.of.get(self.gate.path)
        if outer is not None:
            if not outer.writable:
                raise RuntimeError("writing() within reading() would wait for itself; close reading() first")
            yield outer
            return
        con = self.gate.open_writing(self.wait_s if wait_s is None else wait_s)
        try:
            yield from self._within(con, "BEGIN TRANSACTION", writable=True)
        finally:
            self.gate.close_writing(con)

    def _within(self, con: duckdb.DuckDBPyConnection, begin: str, writable: bool) -> Iterator[Transaction]:
        """Yield the transaction between BEGIN and COMMIT or ROLLBACK."""
        transaction = Transaction(con, self.path, writable)
        try:
            con.execute(begin)
            _current.of[self.gate.path] = transaction
            yield transaction
            con.execute("COMMIT")
        except BaseException as error:
            with contextlib.suppress(duckdb.Error):
                con.execute("ROLLBACK")
            if isinstance(error, duckdb.Error):
                raise translate(error, self.path) from None
            if isinstance(error, RuntimeError) and str(error) == "Query interrupted":
                raise KeyboardInterrupt from None  # what DuckDB makes of Ctrl-C within a statement
            raise
        finally:
            _current.of.pop(self.gate.path, None)
