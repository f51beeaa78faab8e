"""Short-lived connections to a plant's file, shared fairly among threads and processes.

DuckDB lets one process write a file and shuts all others out meanwhile; many processes may read
together. So nothing here holds the file between calls: each opens, works and closes, and waits
for its turn. Within a process all connections to a file must be alike: while a thread writes,
readers of the same process share its database, in transactions that cannot write.
"""

from __future__ import annotations

import os
import re
import threading
import time
from pathlib import Path
from typing import Protocol

import duckdb

from twin.errors import PlantBusy
from twin.store.faults import is_locked, translate

POLL_S = 0.01
"""Pause between attempts to open a file that is locked, s."""

_HOLDER = re.compile(r"lock is held in (?P<command>.*?) \(PID (?P<pid>\d+)\)")


def connection_settings() -> dict[str, str | bool | int | float | list[str]]:
    """Return the settings that every connection has: bounded memory, no downloads, no Python variables in SQL.

    Workers that share a machine set ``TWIN_DUCKDB_MEMORY`` and ``TWIN_THREADS``, to take only their part of it.
    """
    threads = os.environ.get("TWIN_THREADS")
    return {
        "memory_limit": os.environ.get("TWIN_DUCKDB_MEMORY", "1GB"),
        **({"threads": threads} if threads else {}),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
    }


class Holder(Protocol):
    """Who keeps a writing connection while idle, and gives it up when asked."""

    def let_go(self) -> None:
        """Close the connection as soon as it is idle."""


class Gate:
    """The connections of this process to one file.

    Attributes
    ----------
    path : Path
        The file, with symbolic links resolved.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changed = threading.Condition()
        self._opening = threading.Lock()
        self._readers = 0
        self._sharers = 0
        self._writing = False
        self._queued = 0
        self._holder: Holder | None = None

    def open_reading(self, wait_s: float) -> tuple[duckdb.DuckDBPyConnection, bool]:
        """Return a connection for reading, and whether it shares a writer's database."""
        with self._changed:
            # readers that follow one another without a gap must not keep a writer out
            self._changed.wait_for(lambda: self._writing or not self._queued, timeout=wait_s)
            shared = self._writing
            if shared:
                self._sharers += 1
            else:
                self._readers += 1
        try:
            return _connect(self.path, not shared, wait_s, self._opening), shared
        except BaseException:
            self._done_reading(shared)
            raise

    def close_reading(self, con: duckdb.DuckDBPyConnection, shared: bool) -> None:
        """Close a connection that `open_reading` returned."""
        try:
            con.close()
        finally:
            self._done_reading(shared)

    def _done_reading(self, shared: bool) -> None:
        with self._changed:
            if shared:
                self._sharers -= 1
            else:
                self._readers -= 1
            self._changed.notify_all()

    def open_writing(self, wait_s: float, holder: Holder | None = None) -> duckdb.DuckDBPyConnection:
        """Return the one writing connection; a `holder` promises to let go when another asks."""
        with self._changed:
            self._queued += 1
        try:
            self._take_turn(time.monotonic() + wait_s, holder)
        finally:
            with self._changed:
                self._queued -= 1
                self._changed.notify_all()
        try:
            return _connect(self.path, False, wait_s, self._opening)
        except BaseException:
            self._end_turn()
            raise

    def close_writing(self, con: duckdb.DuckDBPyConnection) -> None:
        """Close the connection that `open_writing` returned."""
        try:
            con.close()
        finally:
            self._end_turn()

    def _take_turn(self, deadline: float, holder: Holder | None) -> None:
        while True:
            with self._changed:
                # sharers keep a finished writer's database open, in the mode that the next one needs
                if not self._writing and not self._readers:
                    self._writing, self._holder = True, holder
                    return
                idle = self._holder
                if idle is None:
                    self._changed.wait(max(0.0, min(0.1, deadline - time.monotonic())))
            if idle is not None:
                idle.let_go()  # outside the lock: it waits for the statement under way
            if time.monotonic() >= deadline:
                raise PlantBusy(
                    f"another thread of this process holds the plant {self.path}; try again when it is done"
                )

    def _end_turn(self) -> None:
        with self._changed:
            self._writing, self._holder = False, None
            self._changed.notify_all()


_gates: dict[Path, Gate] = {}
_gates_lock = threading.Lock()
os.register_at_fork(after_in_child=_gates.clear)  # a child has none of its parent's connections


def gate_of(path: Path) -> Gate:
    """Return the gate that all of this process shares for a file."""
    real = Path(os.path.realpath(path))
    with _gates_lock:
        return _gates.setdefault(real, Gate(real))


def _connect(path: Path, read_only: bool, wait_s: float, one_by_one: threading.Lock) -> duckdb.DuckDBPyConnection:
    """Open a file, and wait for others to close it."""
    deadline = time.monotonic() + wait_s
    while True:
        try:
            with one_by_one:  # a second thread would get the database before Python's functions are in it
                return duckdb.connect(path, read_only=read_only, config=connection_settings())
        except duckdb.Error as error:
            if not is_locked(error):
                raise translate(error, path) from None
            if time.monotonic() >= deadline:
                raise PlantBusy(_busy(str(error), path, wait_s)) from None
        time.sleep(POLL_S)


def _busy(message: str, path: Path, wait_s: float) -> str:
    """Say who holds a file."""
    match = _HOLDER.search(message)
    if match is None:
        return (
            f"this process holds the plant {path} through a DuckDB connection of its own (PID {os.getpid()}); close it"
        )
    pid = int(match["pid"])
    return (
        f"the plant {path} is held by process {pid} ({_command(pid) or match['command']}) and was not free within"
        f" {wait_s:g} s; try again later, or end that process"
    )


def _command(pid: int) -> str:
    """Return a process's command line, as far as it can be read."""
    import psutil

    try:
        line = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""
    line = "".join(c if c.isprintable() else " " for c in line)
    return line if len(line) <= 120 else f"{line[:120]}..."
