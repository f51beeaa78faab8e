"""Runs: created with their plan, filled chunk by chunk, read back."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, PlantBusy, StoreFault, shown, unknown
from twin.store.catalog_tables import Transaction, now_us
from twin.store.schema import RUN_TABLES, RUN_VIEWS
from twin.store.sessions import Sessions
from twin.store.writer import RELEASE_S, RunWriter, add_chunk

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_READABLE = ("machine_id", "ts", *CHANNELS)
_SAME_START_S = 2.0  # what the operating system's clock may move the start of a process by


@dataclass(frozen=True)
class RunRow:
    """A run as the table `runs` states it.

    Attributes
    ----------
    run_id : int
        Its number.
    name, plan, plan_sha256 : str
        What people call it; the plan as canonical JSON; the plan's content hash.
    seed : int
        Seed of all noise.
    start_us, end_us, interval_us : int
        Span (end not included), microseconds since 1970 UTC, and time between ticks.
    machines, ticks, committed_ticks, rows, committed_rows : int
        Number of machines; ticks of each machine and rows in all: when complete, and stored.
    status : str
        ``running``, ``interrupted``, ``failed`` or ``complete``.
    digest : str or None
        Content hash of the telemetry, once complete.
    wall_s : float or None
        Time that the simulation took, s.
    versions : dict of str to str
        Software that made the run.
    writer_pid, writer_started, writer_host
        The process that writes it: number, start in seconds since 1970, host.
    created_us, finished_us : int or None
        Microseconds since 1970 UTC.
    error : str or None
        Why it failed or was interrupted.
    telemetry : bool
        Whether it has readings.
    policy, world_sha256, base_run_id, events_digest
        The maintenance policy in words; what paired runs share; of a what-if, the run that it departs
        from; content hash of the events, once complete.
    live : bool
        Whether people drove it while it ran; its plan grew with what they did.
    """

    run_id: int
    name: str
    plan: str
    plan_sha256: str
    seed: int
    start_us: int
    end_us: int
    interval_us: int
    machines: int
    ticks: int
    committed_ticks: int
    rows: int
    committed_rows: int
    status: str
    digest: str | None
    wall_s: float | None
    versions: dict[str, str]
    writer_pid: int | None
    writer_started: float | None
    writer_host: str | None
    created_us: int
    finished_us: int | None
    error: str | None
    telemetry: bool = True
    policy: str = "none"
    world_sha256: str | None = None
    base_run_id: int | None = None
    events_digest: str | None = None
    live: bool = False

    @property
    def complete(self) -> bool:
        """Whether all of it is stored."""
        return self.status == "complete"

    @property
    def written_here(self) -> bool:
        """Whether this process is the one that writes it, as far as the row knows."""
        return (self.writer_pid, self.writer_host) == (os.getpid(), socket.gethostname())


_SELECT = (
    "SELECT run_id, name, CAST(plan AS VARCHAR), plan_sha256, seed, epoch_us(start_at), epoch_us(end_at), interval_us,"
    " machines, ticks, committed_ticks, rows, committed_rows, CAST(status AS VARCHAR), digest, wall_s, versions,"
    " writer_pid, writer_started, writer_host, epoch_us(created_at), epoch_us(finished_at), error,"
    " telemetry, policy, world_sha256, base_run_id, events_digest, live FROM runs"
)


def _row(values: Sequence[Any]) -> RunRow:
    fields = list(values)
    fields[16] = json.loads(fields[16])
    return RunRow(*fields)


class Runs(Sessions):
    """The part of the store that holds runs."""

    def create_run(
        self,
        plan_json: str,
        plan_sha256: str,
        seed: int,
        start_us: int,
        end_us: int,
        interval_us: int,
        machines: int,
        ticks: int,
        versions: Mapping[str, str] | None = None,
        name: str = "",
        fleet: Sequence[Mapping[str, Any]] = (),
        more: Mapping[str, Any] | None = None,
    ) -> int:
        """Enter a run, with no telemetry yet, and return its number; this process is its writer.

        Parameters
        ----------
        plan_json, plan_sha256 : str
            The plan, kept letter for letter, and its content hash.
        seed : int
            Seed of all noise.
        start_us, end_us, interval_us : int
            Span (end not included) and time between ticks, microseconds.
        machines, ticks : int
            Number of machines, and of ticks of each.
        versions : mapping, optional
            Software that makes the run.
        name : str
            What people call the run.
        fleet : sequence of mappings
            Rows of `run_machines` but for the run.
        more : mapping, optional
            Further columns of `runs`: telemetry, policy, world_sha256, base_run_id.
        """
        with self.writing() as tx:
            run_id = tx.insert(
                "runs",
                {
                    "name": name,
                    "plan": plan_json,
                    "plan_sha256": plan_sha256,
                    "seed": seed,
                    "start_at": start_us,
                    "end_at": end_us,
                    "interval_us": interval_us,
                    "machines": machines,
                    "ticks": ticks,
                    "rows": machines * ticks if dict(more or {}).get("telemetry", True) else 0,
                    "status": "running",
                    "versions": dict(versions or {}),
                    "created_at": now_us(),
                    **_this_process(),
                    **(more or {}),
                },
            )
            tx.insert_table("run_machines", [{"run_id": run_id, **row} for row in fleet])
        return int(run_id)

    def find_run(self, plan_sha256: str) -> RunRow | None:
        """Return the newest run of a plan, or None."""
        with self.reading() as tx:
            found = tx.execute(f"{_SELECT} WHERE plan_sha256 = ? ORDER BY run_id DESC LIMIT 1", [plan_sha256])
        return _row(found[0]) if found else None

    def get_run(self, run_id: int | Literal["latest"]) -> RunRow:
        """Return a run by its number, or the newest."""
        with self.reading() as tx:
            return _get(tx, run_id)

    def list_runs(self) -> pd.DataFrame:
        """Return all runs but for their plans, oldest first."""
        with self.reading() as tx:
            hidden = {"plan", "versions", "writer_pid", "writer_started", "writer_host"}
            return tx.frame("runs", columns=[c for c in tx.columns("runs") if c not in hidden])

    def claim_run(self, run_id: int) -> RunRow:
        """Make this process the writer of an unfinished run, and return the run.

        Raises
        ------
        PlantBusy
            Another living process of this host writes the run.
        BadRequest
            The run is complete.
        """
        with self.writing() as tx:
            run = _get(tx, run_id)
            if run.complete:
                raise BadRequest(f"run {run_id} is complete; nothing is left to write")
            if run.status == "running" and (other := _other_writer(run)):
                raise PlantBusy(f"run {run_id} is being written by {other}; wait for it, or end that process")
            tx.update("runs", run.run_id, {"status": "running", "error": None, "finished_at": None, **_this_process()})
            return _get(tx, run_id)

    def load_state(self, run_id: int) -> tuple[int, bytes, str] | None:
        """Return (ticks, state, digest) of where a run stands, or None before its first chunk."""
        with self.reading() as tx:
            found = tx.execute("SELECT tick, state, digest FROM run_states WHERE run_id = ?", [run_id])
        return (int(found[0][0]), bytes(found[0][1]), str(found[0][2])) if found else None

    def run_writer(self, run_id: int, release_s: float = RELEASE_S) -> RunWriter:
        """Return a session that appends chunks and lets other processes in every `release_s` seconds."""
        self._need_writable()
        return RunWriter(self.gate, run_id, release_s)

    def append_chunk(
        self,
        run_id: int,
        from_tick: int,
        to_tick: int,
        columns: Mapping[str, np.ndarray],
        nulls: Sequence[bool],
        state: bytes,
        digest: str,
    ) -> int:
        """Append one chunk, as `RunWriter.append` does, and close the file; return the rows stored so far."""
        with self.writing() as tx:
            return add_chunk(tx, run_id, from_tick, to_tick, columns, nulls, state, digest)

    def finish_run(self, run_id: int, digest: str, wall_s: float, events_digest: str | None = None) -> None:
        """Mark a run as complete.

        Parameters
        ----------
        run_id : int
            The run; all its ticks must be stored.
        digest : str
            Content hash of its telemetry.
        wall_s : float
            Time that it took, s.
        events_digest : str, optional
            Content hash of its events.
        """
        with self.writing() as tx:
            run = _get(tx, run_id)
            if (run.committed_ticks, run.committed_rows) != (run.ticks, run.rows):
                raise StoreFault(f"run {run_id} has {run.committed_rows} of {run.rows} rows; it cannot be complete")
            tx.update(
                "runs",
                run.run_id,
                {
                    "status": "complete",
                    "digest": digest,
                    "wall_s": float(wall_s),
                    "events_digest": events_digest,
                    **_ended(),
                },
            )
            # a complete run never goes on
            tx.execute("DELETE FROM run_states WHERE run_id = ?", [run_id])

    def mark_run(self, run_id: int, status: str, error: str | None = None) -> None:
        """State that a run is ``interrupted`` or ``failed``, and why; not where another process goes on with it."""
        if status not in ("interrupted", "failed"):
            raise unknown("status of a stopped run", status, ("interrupted", "failed"))
        with self.writing() as tx:
            run = _get(tx, run_id)
            if not (run.complete or _other_writer(run)):
                tx.update("runs", run.run_id, {"status": status, "error": error, **_ended()})

    def delete_run(self, run_id: int) -> None:
        """Remove a run with all its rows, unless another living process writes it."""
        with self.writing() as tx:
            run = _get(tx, run_id)
            if run.status == "running" and (other := _other_writer(run)):
                raise PlantBusy(f"run {run_id} is being written by {other}; wait for it, or end that process")
            tx.delete("runs", run.run_id)

    def run_arrow(
        self,
        run_id: int,
        machines: Sequence[int] | None = None,
        columns: Sequence[str] | None = None,
        start_us: int | None = None,
        end_us: int | None = None,
    ) -> pa.Table:
        """Return telemetry of a run, ordered by machine and time.

        Parameters
        ----------
        run_id : int
            The run.
        machines : sequence of int, optional
            Numbers of machines; all when not given.
        columns : sequence of str, optional
            ``machine_id``, ``ts`` and channels; all when not given.
        start_us, end_us : int, optional
            Span (end not included), microseconds since 1970 UTC.
        """
        sql, bound = _rows_query(run_id, machines, columns, start_us, end_us)
        with self.reading() as tx:
            _get(tx, run_id)
            return tx.query_arrow(sql, bound)

    def run_frame(
        self,
        run_id: int,
        machines: Sequence[int] | None = None,
        columns: Sequence[str] | None = None,
        start_us: int | None = None,
        end_us: int | None = None,
    ) -> pd.DataFrame:
        """Return telemetry of a run as a DataFrame; the parameters are those of `run_arrow`."""
        sql, bound = _rows_query(run_id, machines, columns, start_us, end_us)
        with self.reading() as tx:
            _get(tx, run_id)
            return tx.query(sql, bound)

    def read_batches(self, run_id: int, rows: int = 2_000_000) -> Iterator[pa.Table]:
        """Yield a run's telemetry in windows of time; the file is free between two of them.

        Parameters
        ----------
        run_id : int
            The run.
        rows : int
            About how many rows a batch has.
        """
        run = self.get_run(run_id)
        for window in windows(run, rows):
            sql, bound = _rows_query(run.run_id, None, None, *window, ordered=False)
            with self.reading() as tx:
                batch = tx.query_arrow(sql, bound)
            yield batch

    def run_table(self, run_id: int, table: str, machines: Sequence[int] | None = None) -> pd.DataFrame:
        """Return what a run says in one of the tables beside its telemetry, by machine and time."""
        order = {**RUN_TABLES, **RUN_VIEWS}
        if table not in order:
            raise unknown("table of a run", table, order)
        with self.reading() as tx:
            run = _get(tx, run_id)
            columns = [name for name in tx.columns(table) if name != "run_id"]
            where: dict[str, Any] = {"run_id": run.run_id} | (
                {} if machines is None else {"machine_id": list(machines)}
            )
            return tx.frame(table, where, columns, order_by=["machine_id", order[table]])

    def run_energy_kwh(self, run_id: int) -> float:
        """Return the energy that a run's readings of the power add up to, kWh; NaN without readings."""
        with self.reading() as tx:
            run = _get(tx, run_id)
            total = tx.execute("SELECT sum(CAST(power_w AS DOUBLE)) FROM telemetry WHERE run_id = ?", [run.run_id])[0][
                0
            ]
        return float("nan") if total is None else total * run.interval_us / 3.6e12

    def run_parting(self, run_id: int, other_id: int) -> dict[str, Any]:
        """Return when the telemetry of two runs of one interval first differs, by the machine's name."""
        differs = " OR ".join(f"a.{name} IS DISTINCT FROM b.{name}" for name in CHANNELS)
        with self.reading() as tx:
            run, other = _get(tx, run_id), _get(tx, other_id)
            if run.telemetry != other.telemetry or not run.telemetry:
                return {}
            if run.interval_us != other.interval_us or run.start_us != other.start_us:
                raise BadRequest(f"runs {run_id} and {other_id} have other times of readings and cannot be compared")
            found = tx.execute(
                "SELECT m.machine, min(a.ts) FROM telemetry a JOIN telemetry b"
                " ON b.run_id = ? AND b.machine_id = a.machine_id AND b.ts = a.ts"
                " JOIN run_machines m ON m.run_id = a.run_id AND m.machine_id = a.machine_id"
                f" WHERE a.run_id = ? AND ({differs}) GROUP BY ALL ORDER BY m.machine",
                [other.run_id, run.run_id],
            )
        return {str(name): ts for name, ts in found}

    def _need_writable(self) -> None:
        if self.read_only:
            raise BadRequest(f"the plant {self.path} is open for reading only; open it without read_only to change it")


def windows(run: RunRow, rows: int) -> Iterator[tuple[int, int]]:
    """Yield spans (end not included, microseconds) that together are what is stored of a run, of about `rows` rows."""
    step = max(1, rows // run.machines)
    for tick in range(0, run.committed_ticks, step):
        end = min(tick + step, run.committed_ticks)
        yield run.start_us + tick * run.interval_us, run.start_us + end * run.interval_us


def _get(tx: Transaction, run_id: int | str) -> RunRow:
    if run_id == "latest":
        found = tx.execute(f"{_SELECT} ORDER BY run_id DESC LIMIT 1")
        if not found:
            raise BadRequest("there is no run yet; make one with simulate")
    else:
        number = int(run_id) if isinstance(run_id, int | np.integer) or str(run_id).isdecimal() else -1
        found = tx.execute(f"{_SELECT} WHERE run_id = ?", [number]) if 0 < number < 2**31 else []
        if not found:
            raise unknown("run", run_id, map(str, tx.names("runs", "run_id")))
    return _row(found[0])


def _rows_query(
    run_id: int,
    machines: Sequence[int] | None,
    columns: Sequence[str] | None,
    start_us: int | None,
    end_us: int | None,
    ordered: bool = True,
) -> tuple[str, list[Any]]:
    """Return the query for telemetry and the values bound in it."""
    chosen = list(_READABLE if columns is None else columns)
    for name in chosen:
        if name not in _READABLE:
            raise unknown("telemetry column", name, _READABLE)
    if not chosen:
        raise BadRequest(f"no columns asked for; choose among {', '.join(_READABLE)}")
    clauses, bound = ["run_id = ?"], [int(run_id)]
    if machines is not None:
        ids = [int(m) for m in machines]
        clauses.append(f"machine_id IN ({', '.join('?' * len(ids))})" if ids else "false")
        bound += ids
    if start_us is not None:
        clauses.append("ts >= make_timestamp(?)")
        bound.append(int(start_us))
    if end_us is not None:
        clauses.append("ts < make_timestamp(?)")
        bound.append(int(end_us))
    order = " ORDER BY machine_id, ts" if ordered else ""
    return f"SELECT {', '.join(chosen)} FROM telemetry WHERE {' AND '.join(clauses)}{order}", bound


def _this_process() -> dict[str, Any]:
    import psutil

    return {
        "writer_pid": os.getpid(),
        "writer_started": psutil.Process().create_time(),
        "writer_host": socket.gethostname(),
    }


def _ended() -> dict[str, Any]:
    return {"finished_at": now_us(), "writer_pid": None, "writer_started": None, "writer_host": None}


def _other_writer(run: RunRow) -> str:
    """Return the other living process that writes a run, in words, or an empty text.

    A process of another host cannot be asked; the check of each chunk protects the run then.
    """
    import psutil

    if run.writer_pid in (None, os.getpid()) or run.writer_host != socket.gethostname():
        return ""
    try:
        process = psutil.Process(run.writer_pid)
        same = abs(process.create_time() - (run.writer_started or 0.0)) < _SAME_START_S
        if not same or process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return f"process {run.writer_pid} ({shown(' '.join(process.cmdline()), 120)})"
    except psutil.AccessDenied:
        return f"process {run.writer_pid}"
    except psutil.Error:
        return ""
