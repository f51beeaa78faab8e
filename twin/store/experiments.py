"""Experiments in the plant's file: what is asked, who is at it, and what came of it."""

from __future__ import annotations

import json
import math
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.errors import BadRequest, InUse, unknown
from twin.store.catalog_tables import Transaction, now_us
from twin.store.schema import RUN_TABLES
from twin.store.store import Store
from twin.store.writer import KeptOpen

if TYPE_CHECKING:
    import pyarrow as pa

KEPT_TABLES = ("runs", "telemetry", *RUN_TABLES)
"""What is kept of a run's own simulations where its telemetry is asked for."""

_HASHES = ("template_sha256", "catalog_sha256", "code_sha256")
_OF_HASHES = "".join(f" AND {name} = ?" for name in _HASHES)
_SAME_START_S = 2.0  # what the operating system's clock may move the start of a process by
_live: set[str] = set()  # the sweeps of this process that go on


@dataclass(frozen=True)
class Finished:
    """How a run of an experiment ended.

    Attributes
    ----------
    run_id, status : str
        The run; ``complete`` or ``failed``.
    results : mapping
        What it returned, by name (nested names joined by dots): numbers, texts, truth values, None.
    error, digest : str or None
        Why it failed; content hash of what it returned.
    wall_s, bytes, started_us, finished_us
        Time it took, size of its folder, and when it was under way (microseconds since 1970 UTC).
    versions : mapping
        Software that made it.
    kept : Path or None
        Folder of Parquet files that `export_simulations` wrote, where telemetry is asked for.
    """

    run_id: str
    status: str
    results: Mapping[str, Any]
    error: str | None
    digest: str | None
    wall_s: float
    bytes: int
    started_us: int
    finished_us: int
    versions: Mapping[str, str]
    kept: Path | None = None


class ExperimentWriter(KeptOpen):
    """A sweep's door to the plant: it claims runs and merges what came of them, one transaction each.

    Parameters
    ----------
    store : Store
        The plant.

    Attributes
    ----------
    runner : str
        What claimed runs are marked with: host, process, its start, and a mark of this sweep.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store.gate)
        self.runner = _this_runner()
        _live.add(self.runner)

    def register(
        self, experiment: Mapping[str, Any], runs: pa.Table, hashes: Mapping[str, str], retry_failed: bool = False
    ) -> int:
        """Enter an experiment and the runs it asks for; those that are there already stay as they are.

        Parameters
        ----------
        experiment : mapping
            Columns of `experiments`: name, description, kind, template, definition, output_url.
        runs : Arrow table
            ``run_id``, ``number`` and ``parameters`` (JSON) of each run.
        hashes : mapping
            ``template_sha256``, ``catalog_sha256`` and ``code_sha256``.
        retry_failed : bool
            Whether runs that failed are to be done again.

        Returns
        -------
        int
            The experiment's number.
        """
        with self.transaction() as tx:
            known = tx.find("experiments", name=experiment["name"])
            if known is None:
                fields = {**experiment, "created_at": now_us(), "updated_at": now_us()}
                number = int(tx.insert("experiments", fields))
            else:
                number = int(known["experiment_id"])
                tx.update("experiments", number, {**experiment, "updated_at": now_us()})
            tx.execute("UPDATE experiment_runs SET asked = false WHERE experiment_id = ? AND asked", [number])
            with tx.arrow("runs_asked", runs):
                tx.execute(
                    "UPDATE experiment_runs SET asked = true, number = a.number FROM runs_asked a"
                    " WHERE a.run_id = experiment_runs.run_id"
                )
                tx.execute(
                    "INSERT INTO experiment_runs (run_id, experiment_id, number, asked, parameters, status,"
                    " template_sha256, catalog_sha256, code_sha256, created_at)"
                    " SELECT run_id, CAST(? AS INTEGER), number, true, parameters, 'pending', ?, ?, ?,"
                    " make_timestamp(CAST(? AS BIGINT))"
                    " FROM runs_asked WHERE run_id NOT IN (SELECT run_id FROM experiment_runs)",
                    [number, *(hashes[name] for name in _HASHES), now_us()],
                )
            if retry_failed:
                self._again(tx, number, "status = 'failed'")
        return number

    def ask_again(self, experiment_id: int, run_ids: Sequence[str]) -> None:
        """Let runs that ended be done again, whoever did them; unknown ones and those under way are an error."""
        with self.transaction() as tx:
            self._free_the_dead(tx, experiment_id)
            for run_id in run_ids:
                known = {"experiment_id": experiment_id, "run_id": run_id, "asked": True}
                found = tx.rows("experiment_runs", known)
                if not found:
                    raise BadRequest(
                        f"the experiment as it is asked for has no run {run_id!r}; see: experiments table --all --json"
                    )
                if found[0]["status"] == "running":
                    raise InUse(f"run {run_id} is being carried out ({_words(found[0]['runner'])}); wait for its end")
                self._again(tx, experiment_id, "run_id = ?", [run_id])

    @staticmethod
    def _again(tx: Transaction, experiment_id: int, condition: str, bound: Sequence[Any] = ()) -> None:
        """Forget how runs ended."""
        found = tx.execute(
            "UPDATE experiment_runs SET status = 'pending', error = NULL, runner = NULL"
            f" WHERE experiment_id = ? AND asked AND {condition} RETURNING run_id, telemetry_runs",
            [experiment_id, *bound],
        )
        for run_id, kept in found:
            tx.execute("DELETE FROM experiment_results WHERE run_id = ?", [run_id])
            _drop_simulations(tx, kept)

    def claim(self, experiment_id: int, most: int, hashes: Mapping[str, str]) -> list[dict[str, Any]]:
        """Take runs that nobody does, in their order: pending ones, and those whose runner is no more.

        Parameters
        ----------
        experiment_id, most : int
            The experiment's number; how many runs.
        hashes : mapping
            Those that the runs were entered with: who began with another template, catalog or package
            must not do them.

        Returns
        -------
        list of dict
            ``run_id``, ``number``, ``parameters`` and ``attempts`` of at most `most` runs.
        """
        with self.transaction() as tx:
            self._free_the_dead(tx, experiment_id)
            rows = tx.execute(
                "SELECT run_id, number, CAST(parameters AS VARCHAR), attempts FROM experiment_runs"
                f" WHERE experiment_id = ? AND asked AND status = 'pending'{_OF_HASHES} ORDER BY number LIMIT ?",
                [experiment_id, *(hashes[name] for name in _HASHES), most],
            )
            if rows:
                tx.execute(
                    "UPDATE experiment_runs SET status = 'running', runner = ?, started_at = make_timestamp(?)"
                    " WHERE run_id IN (SELECT unnest(CAST(? AS VARCHAR[])))",
                    [self.runner, now_us(), [row[0] for row in rows]],
                )
        names = ("run_id", "number", "parameters", "attempts")
        return [dict(zip(names, (r[0], r[1], json.loads(r[2]), r[3]), strict=True)) for r in rows]

    def _free_the_dead(self, tx: Transaction, experiment_id: int) -> None:
        found = tx.execute(
            "SELECT DISTINCT runner FROM experiment_runs WHERE experiment_id = ? AND status = 'running'",
            [experiment_id],
        )
        for (runner,) in found:
            if runner != self.runner and not is_alive(runner):
                tx.execute(
                    "UPDATE experiment_runs SET status = 'pending', runner = NULL"
                    " WHERE experiment_id = ? AND status = 'running' AND runner IS NOT DISTINCT FROM ?",
                    [experiment_id, runner],
                )

    def give_back(self) -> None:
        """Let go of what was claimed and not done, so that any sweep can take it."""
        with self.transaction() as tx:
            tx.execute(
                "UPDATE experiment_runs SET status = 'pending', runner = NULL WHERE status = 'running' AND runner = ?",
                [self.runner],
            )

    def merge(self, finished: Sequence[Finished]) -> list[str]:
        """Store how runs ended; a run goes in whole or not at all, and a complete one stays as it is.

        Runs that ended together go into one transaction, since each transaction waits for the disk.

        Returns
        -------
        list of str
            The runs of which something was stored.
        """
        with self.transaction() as tx:
            merged = _end_runs(tx, finished)
            new = [one for one in finished if one.run_id in merged]
            _insert_results(tx, new)
            for one in new:
                if one.kept is not None:
                    numbers = json.dumps(_import_simulations(tx, one.kept))
                    tx.update("experiment_runs", one.run_id, {"telemetry_runs": numbers})
        return [one.run_id for one in new]

    def remove(self, name: str) -> dict[str, Any]:
        """Remove an experiment with its runs and results, and return its row; not while somebody is at it."""
        with self.transaction() as tx:
            row = _experiment(tx, name)
            number = row["experiment_id"]
            for (runner,) in tx.execute(
                "SELECT DISTINCT runner FROM experiment_runs WHERE experiment_id = ? AND status = 'running'", [number]
            ):
                if is_alive(runner):
                    raise InUse(f"experiment {name} is being carried out ({_words(runner)}); end that, then remove it")
            for (kept,) in tx.execute("SELECT telemetry_runs FROM experiment_runs WHERE experiment_id = ?", [number]):
                _drop_simulations(tx, kept)
            tx.execute(
                "DELETE FROM experiment_results WHERE run_id IN"
                " (SELECT run_id FROM experiment_runs WHERE experiment_id = ?)",
                [number],
            )
            tx.execute("DELETE FROM experiment_runs WHERE experiment_id = ?", [number])
            tx.delete("experiments", number)
        return row

    def close(self) -> None:
        """End the sweep's part: what it claimed counts as nobody's."""
        self.let_go()
        _live.discard(self.runner)


def counts(store: Store, experiment_id: int, hashes: Mapping[str, str]) -> dict[str, int]:
    """Return how many of the runs that an experiment asks for, with these hashes, are in each status."""
    with store.reading() as tx:
        rows = tx.execute(
            "SELECT CAST(status AS VARCHAR), count(*) FROM experiment_runs"
            f" WHERE experiment_id = ? AND asked{_OF_HASHES} GROUP BY ALL",
            [experiment_id, *(hashes[name] for name in _HASHES)],
        )
    return dict.fromkeys(("pending", "running", "complete", "failed"), 0) | {row[0]: int(row[1]) for row in rows}


def measured(store: Store, name: str) -> dict[str, float] | None:
    """Return what a complete run of an experiment takes on average (``run_s``, ``run_bytes``), or None."""
    with store.reading() as tx:
        ((number, seconds, size),) = tx.execute(
            "SELECT count(*), avg(r.wall_s), avg(r.bytes) FROM experiment_runs r JOIN experiments e"
            " ON e.experiment_id = r.experiment_id WHERE e.name = ? AND r.status = 'complete'",
            [name],
        )
    return {"runs": float(number), "run_s": float(seconds), "run_bytes": float(size)} if number else None


def statuses(store: Store, name: str) -> dict[str, str]:
    """Return the status of every run of an experiment, by run id."""
    with store.reading() as tx:
        return dict(
            tx.execute(
                "SELECT r.run_id, CAST(r.status AS VARCHAR) FROM experiment_runs r JOIN experiments e"
                " ON e.experiment_id = r.experiment_id WHERE e.name = ?",
                [name],
            )
        )


def experiment_row(store: Store, name: str) -> dict[str, Any]:
    """Return the row of an experiment, or refuse the name."""
    with store.reading() as tx:
        return _experiment(tx, name)


def long_results(
    store: Store, name: str, numbers: tuple[int, int] = (1, 2**31 - 1)
) -> list[tuple[str, str, float | None, str | None]]:
    """Return results of an experiment's complete runs (those from a number to another), in the order of runs.

    Each is run, name, number or text.
    """
    with store.reading() as tx:
        _experiment(tx, name)
        return tx.execute(
            "SELECT run_id, name, value, text FROM experiment_values"
            " WHERE experiment = ? AND number BETWEEN ? AND ? ORDER BY number, name",
            [name, *numbers],
        )


def _experiment(tx: Transaction, name: str) -> dict[str, Any]:
    row = tx.find("experiments", name=name)
    if row is None:
        raise unknown("experiment", name, tx.names("experiments"))
    return row


def export_simulations(store: Store, folder: Path) -> list[Path]:
    """Write all runs of a plant of its own, with their rows, as Parquet files.

    Parameters
    ----------
    store : Store
        The plant that a run of an experiment worked in.
    folder : Path
        An existing folder; one file a table, named after it.
    """
    files = []
    with store.reading() as tx:
        for table in KEPT_TABLES:
            if table == "runs" or tx.count(table):
                path = folder / f"{table}.parquet"
                quoted = str(path).replace("'", "''")
                tx.execute(f"COPY (SELECT * FROM \"{table}\") TO '{quoted}' (FORMAT parquet)")
                files.append(path)
    return files


def _import_simulations(tx: Transaction, folder: Path) -> list[int]:
    """Add the runs that `export_simulations` wrote, under new numbers, and return these."""
    first = tx.execute("SELECT coalesce(max(run_id), 0) FROM runs")[0][0]
    remembered = tx.execute("SELECT CAST(value AS BIGINT) FROM plant_info WHERE key = 'highest runs'")
    shift = max(int(first), *(int(row[0]) for row in remembered)) if remembered else int(first)
    numbers: list[int] = []
    for table in KEPT_TABLES:
        path = folder / f"{table}.parquet"
        if not path.exists():
            continue
        moved = "run_id + CAST(? AS INTEGER) AS run_id"
        bound: list[Any] = [shift]
        if table == "runs":
            moved += ", base_run_id + CAST(? AS INTEGER) AS base_run_id"
            bound.append(shift)
            numbers = [
                int(row[0]) + shift
                for row in tx.execute("SELECT run_id FROM read_parquet(?) ORDER BY run_id", [str(path)])
            ]
        tx.execute(
            f'INSERT INTO "{table}" BY NAME SELECT * REPLACE ({moved}) FROM read_parquet(?)', [*bound, str(path)]
        )
    return numbers


def _drop_simulations(tx: Transaction, numbers: str | None) -> None:
    for number in json.loads(numbers or "[]"):
        if tx.count("runs", {"run_id": number}):
            tx.delete("runs", number)


def _end_runs(tx: Transaction, finished: Sequence[Finished]) -> set[str]:
    """Note how runs ended, and return those that were not complete before."""
    import pyarrow as pa

    columns = ("run_id", "status", "error", "digest", "wall_s", "bytes", "started_us", "finished_us")
    rows = [
        {name: getattr(one, name) for name in columns} | {"versions": json.dumps(dict(one.versions))}
        for one in finished
    ]
    kinds = dict.fromkeys(("run_id", "status", "error", "digest", "versions"), pa.string())
    kinds |= {"wall_s": pa.float64()} | dict.fromkeys(("bytes", "started_us", "finished_us"), pa.int64())
    with tx.arrow("runs_ended", pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))):
        found = tx.execute(
            "UPDATE experiment_runs SET status = e.status, error = e.error, digest = e.digest, wall_s = e.wall_s,"
            " bytes = e.bytes, versions = e.versions, started_at = make_timestamp(e.started_us),"
            " finished_at = make_timestamp(e.finished_us), attempts = attempts + 1, runner = NULL"
            " FROM runs_ended e WHERE e.run_id = experiment_runs.run_id AND experiment_runs.status != 'complete'"
            " RETURNING experiment_runs.run_id"
        )
    return {row[0] for row in found}


def _insert_results(tx: Transaction, finished: Sequence[Finished]) -> None:
    import pyarrow as pa

    rows = [(one.run_id, name, *_split(value)) for one in finished for name, value in one.results.items()]
    if rows:
        kinds = {"run_id": pa.string(), "name": pa.string(), "value": pa.float64(), "text": pa.string()}
        columns = [pa.array(cells, kind) for cells, kind in zip(zip(*rows, strict=True), kinds.values(), strict=True)]
        with tx.arrow("results_given", pa.table(columns, names=list(kinds))):
            tx.execute("INSERT INTO experiment_results BY NAME SELECT * FROM results_given")


def _split(value: Any) -> tuple[float | None, str | None]:
    """Return a result as number and text, one of which is None."""
    if value is None:
        return None, None
    if isinstance(value, bool):
        return float(value), None
    if isinstance(value, int | float):
        number = float(value)
        exact = math.isfinite(number) and number == value
        return (number, None) if exact else (None, str(value))
    return None, value if isinstance(value, str) else json.dumps(value, sort_keys=True)


DEFINITIONS = (
    "channels", "machine_types", "machines", "profiles", "profile_points", "scenarios", "scenario_activations",
    "failure_modes", "failure_injections", "maintenance_actions", "technicians", "alarm_rules", "maintenance_tasks",
)  # fmt: skip
"""What a simulation depends on, parents first."""

_STAMPS = ("created_at", "updated_at")  # when somebody asked does not matter to what happens


def write_snapshot(store: Store, path: Path) -> None:
    """Write a plant with the same fleet, catalog and plans, and no runs: what a worker opens instead of the plant.

    Parameters
    ----------
    store : Store
        The plant.
    path : Path
        The file to make; nothing must be there.
    """
    with store.reading() as tx:
        tables = {name: tx.query_arrow(f'SELECT * FROM "{name}"') for name in DEFINITIONS}

    def fill(new: Transaction) -> None:
        for name, rows in tables.items():
            if rows.num_rows:
                with new.arrow("rows_given", rows):
                    new.execute(f'INSERT INTO "{name}" BY NAME SELECT * FROM rows_given')

    Store.create(path, fill)


def definitions_text(store: Store) -> str:
    """Return what simulations of a plant depend on as one canonical text, whatever the order of its rows."""
    parts = []
    with store.reading() as tx:
        for table in DEFINITIONS:
            # profile_points and the like have no single key, so whole rows are sorted
            rows = [{k: v for k, v in row.items() if k not in _STAMPS} for row in tx.rows(table)]
            lines = sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)
            parts.append(f"{table}\n" + "\n".join(lines))
    return "\n".join(parts)


def _this_runner() -> str:
    import psutil

    started = psutil.Process().create_time()
    return f"{socket.gethostname()} {os.getpid()} {started:.2f} {secrets.token_hex(4)}"


def is_alive(runner: str | None) -> bool:
    """Return whether a sweep goes on; of another host nobody can tell, and its runs may be taken over."""
    import psutil

    if not runner:
        return False
    host, pid, started, _ = runner.rsplit(" ", 3)
    if host != socket.gethostname():
        return False
    if int(pid) == os.getpid():
        return runner in _live
    try:
        process = psutil.Process(int(pid))
        same = abs(process.create_time() - float(started)) < _SAME_START_S
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except psutil.Error:
        return False


def _words(runner: str) -> str:
    host, pid, *_ = runner.rsplit(" ", 3)
    return f"process {pid} on {host}"
