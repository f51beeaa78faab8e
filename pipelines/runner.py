"""A sweep: what an experiment asks for and is not done yet is done, merged and shown."""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import index
from pipelines.checks import Checker
from pipelines.executors import Executor, executor_of, refuse_unknown
from pipelines.experiment import OURS, Experiment
from pipelines.grid import MOST_RUNS, points, refuse_too_many
from pipelines.identity import catalog_sha256, code_sha256, run_id
from pipelines.output import COMPLETE, FAILED, Output, Unwritable, folder
from pipelines.progress import Progress, Say
from pipelines.tasks import Outcome, Task
from pipelines.templates import Template, template_of
from pipelines.worker import found
from twin.cache import is_warm
from twin.errors import BadRequest, RunInterrupted, StoreFault, TwinError
from twin.interrupts import CtrlC
from twin.plant import Plant
from twin.store import Store
from twin.store.experiments import ExperimentWriter, Finished, counts, measured, statuses, write_snapshot

MOST_TRIES = 3
"""How often a run is begun whose worker or kernel dies: once may be chance, three times is the run's own doing."""

_CLAIM = {"notebook": 1, "function": 128}
_AHEAD = {"notebook": 1, "function": 16}
_GROUP = 256
_MERGE_S = 0.25
"""How long runs that ended may wait for others, to be merged with them: a transaction waits for the disk."""

_POLL_S = 1.0


@dataclass(frozen=True)
class Prepared:
    """An experiment that was checked against its template and the plant, with all its runs."""

    experiment: Experiment
    template: Template
    store: Store
    output: Output
    hashes: dict[str, str]
    run_ids: list[str]

    @property
    def parameters(self) -> Iterator[dict[str, Any]]:
        """The parameters of each run; made anew each time, so that many runs take little memory."""
        return points(self.experiment)

    def status(self) -> dict[str, str]:
        """Return the status of each run that is asked for; pending where the plant does not know it yet."""
        known = statuses(self.store, self.experiment.name)
        return {name: known.get(name, "pending") for name in self.run_ids}

    def estimate(self, workers: int) -> dict[str, Any]:
        """Return what is left to do, and about what time (s) and disk (bytes) it takes."""
        left = sum(status != "complete" for status in self.status().values())
        known = measured(self.store, self.experiment.name)
        run_s = known["run_s"] if known else self.experiment.expect_run_s
        run_bytes = known["run_bytes"] if known else self.experiment.expect_run_mb * 1e6
        return {
            "runs": len(self.run_ids),
            "left": left,
            "time_s": round(left * run_s / workers, 1),
            "disk_bytes": round(left * run_bytes),
            "by": f"the mean of {known['runs']:.0f} runs" if known else "what the experiment expects of a run",
        }


@dataclass(frozen=True)
class Summary:
    """How a sweep ended.

    Attributes
    ----------
    experiment, index : str
        Its name; where its index page lies.
    runs, complete, failed, done_now : int
        Runs it asks for; of these complete and failed; and those that this sweep carried out.
    wall_s, rate_per_s : float
        Time of the whole sweep, s; runs carried out per second, without starting and ending the workers.
    """

    experiment: str
    index: str
    runs: int
    complete: int
    failed: int
    done_now: int
    wall_s: float
    rate_per_s: float


def prepare(experiment: Any, plant: Plant | str | Path, out: str | None = None, most_runs: int = MOST_RUNS) -> Prepared:
    """Check everything about an experiment that can be checked before anything starts.

    Parameters
    ----------
    experiment : Experiment, mapping, path or name
    plant : Plant or path
        Where the results go; the sample plant is created where there is none.
    out : str, optional
        Output location, any fsspec URL; beside the plant by default.
    most_runs : int
        More runs are refused.

    Raises
    ------
    BadRequest
        If a parameter, a name, a value or the number of runs is not allowed; one line.
    """
    asked = Experiment.of(experiment)
    refuse_too_many(asked, most_runs)
    template = template_of(asked)
    plant = plant if isinstance(plant, Plant) else Plant.open(plant)
    if asked.telemetry and "db" not in template.parameters:
        raise BadRequest(f"telemetry is asked for, but {template.name} has no parameter db: it keeps no rows")
    checker = Checker(plant)
    hashes = {
        "template_sha256": template.sha256,
        "catalog_sha256": catalog_sha256(plant.store),
        "code_sha256": code_sha256(),
    }
    run_ids: dict[str, None] = {}
    for parameters in points(asked):
        template.check(parameters)
        checker.check(parameters)
        name = run_id(asked.name, parameters, hashes)
        if name in run_ids:
            raise BadRequest(f"experiment {asked.name} asks twice for the run with {json.dumps(parameters)[:200]}")
        run_ids[name] = None
    where = out or str(plant.path.resolve().with_suffix(".sweeps") / asked.name)
    return Prepared(asked, template, plant.store, Output(where), hashes, list(run_ids))


def sweep(
    experiment: Any,
    db: Plant | str | Path,
    *,
    workers: int | None = None,
    executor: str | Executor = "local",
    out: str | None = None,
    retry_failed: bool = False,
    again: Sequence[str] = (),
    max_runs: int = MOST_RUNS,
    progress: bool = True,
    say: Say | None = None,
) -> Summary:
    """Carry out what an experiment asks for and is not done yet.

    The same call after any interruption does what is left. Two of them at once share the work.

    Parameters
    ----------
    experiment : Experiment, mapping, path or name
        What to do: a TOML file, the name of one that comes with the project, or the same as values.
    db : Plant or path
        The plant that gets the results; the sample plant is created where there is none.
    workers : int, optional
        How many runs at once; by default one for each processor.
    executor : str or Executor
        ``local``, ``dask`` or ``dask://host:port``.
    out : str, optional
        Where the runs' folders go, any fsspec URL; beside the plant by default.
    retry_failed : bool
        Whether runs that failed are tried again.
    again : sequence of str
        Runs to be done again although they are complete.
    max_runs : int
        More runs are refused.
    progress : bool
        Whether to show a bar.
    say : callable, optional
        Is given one mapping for the start, for each run and for the end.

    Returns
    -------
    Summary

    Raises
    ------
    BadRequest
        Before anything starts, if something asked for is not allowed.
    RunInterrupted
        On Ctrl-C: runs under way were finished (a second Ctrl-C abandons them).
    StoreFault
        If the plant or the output location cannot be written.
    """
    began = time.monotonic()
    refuse_unknown(executor)
    prepared = prepare(experiment, db, out, max_runs)
    prepared.output.need_writable()
    _refuse_full_disk(prepared)
    _put_inputs(prepared)
    writer = ExperimentWriter(prepared.store)
    try:
        number = writer.register(*_rows(prepared), retry_failed=retry_failed)
        writer.ask_again(number, again)
        for name in again:
            prepared.output.delete(f"{folder(name)}/{COMPLETE}")
        with contextlib.ExitStack() as stack:
            made = _Sweep(prepared, writer, number, progress, say)
            stack.callback(made.progress.close)
            stack.callback(_write_index, prepared)
            made.carry_out(executor, workers)
    finally:
        with contextlib.suppress(TwinError):
            writer.give_back()
        writer.close()
    ended = list(prepared.status().values())
    summary = Summary(
        prepared.experiment.name,
        f"{prepared.output.url}/{index.PAGE}",
        len(prepared.run_ids),
        ended.count("complete"),
        ended.count("failed"),
        made.done,
        round(time.monotonic() - began, 3),
        round(made.rate, 3),
    )
    made.progress.event("end", **vars(summary))
    return summary


def _write_index(prepared: Prepared) -> None:
    """Write the index page; where that fails, whatever stopped the sweep is the better error."""
    with contextlib.suppress(TwinError):
        index.write(prepared.store, prepared.experiment.name, prepared.output)


def _rows(prepared: Prepared) -> tuple[dict[str, Any], Any, dict[str, str]]:
    """Return what is registered: the experiment's row, its runs, and the hashes."""
    import pyarrow as pa

    asked = prepared.experiment
    row = {
        "name": asked.name,
        "description": asked.description,
        "kind": asked.kind,
        "template": prepared.template.name,
        "definition": asked.model_dump(mode="json"),
        "output_url": prepared.output.url,
    }
    runs = pa.table(
        {
            "run_id": pa.array(prepared.run_ids, pa.string()),
            "number": pa.array(range(1, len(prepared.run_ids) + 1), pa.int32()),
            "parameters": pa.array([json.dumps(p, sort_keys=True) for p in prepared.parameters], pa.string()),
        }
    )
    return row, runs, prepared.hashes


def _refuse_full_disk(prepared: Prepared) -> None:
    free, needed = prepared.output.free_bytes(), prepared.estimate(1)["disk_bytes"]
    if free is not None and needed > free:
        raise StoreFault(
            f"the runs of {prepared.experiment.name} need about {needed / 1e9:,.3f} GB, but {prepared.output.url} has "
            f"{free / 1e9:,.3f} GB free: free some space, or choose another place (--out)"
        )


def _inputs(prepared: Prepared) -> tuple[str, str]:
    """Return where the plant without runs and the template lie below the output location."""
    plant = f"inputs/plant-{prepared.hashes['catalog_sha256'][:12]}.duckdb"
    notebook = f"inputs/notebook-{prepared.template.sha256[:12]}.ipynb" if prepared.template.content else ""
    return plant, notebook


def _put_inputs(prepared: Prepared) -> None:
    """Put what every worker needs at the output location, unless it is there."""
    plant, notebook = _inputs(prepared)
    if notebook and not prepared.output.exists(notebook):
        prepared.output.write(notebook, prepared.template.content)
    if not prepared.output.exists(plant):
        with tempfile.TemporaryDirectory(prefix="twin-") as scratch:
            path = Path(scratch) / "plant.duckdb"
            write_snapshot(prepared.store, path)
            prepared.output.write(plant, path.read_bytes())


class _Sweep:
    """A sweep under way: claims runs, hands them out, and merges what comes back."""

    def __init__(
        self, prepared: Prepared, writer: ExperimentWriter, number: int, progress: bool, say: Say | None
    ) -> None:
        self.prepared, self._writer, self._number = prepared, writer, number
        state = self._counts()
        self.progress = Progress(len(prepared.run_ids), state["complete"], state["failed"], progress, say)
        self.progress.event("start", experiment=prepared.experiment.name, **self.progress.state())
        self.done, self._first, self._last = 0, 0.0, 0.0
        self._tries: dict[str, int] = {}
        self._in_flight: dict[str, Task] = {}
        self._ended: list[Outcome] = []
        self._came: queue.SimpleQueue[Outcome | BaseException | None] = queue.SimpleQueue()

    def _counts(self) -> dict[str, int]:
        return counts(self.prepared.store, self._number, self.prepared.hashes)

    @property
    def rate(self) -> float:
        """Runs per second, between the first and the last that were merged."""
        return (self.done - 1) / (self._last - self._first) if self._last > self._first else 0.0

    def carry_out(self, executor: str | Executor, workers: int | None) -> None:
        """Do what is left."""
        with CtrlC(self._pressed) as ctrl_c:
            claimed = self._claim()
            if not claimed and not self._others():
                return
            if not is_warm():
                print("compiling the kernel for this machine: once, about half a minute", file=sys.stderr)
            crew = executor_of(executor, workers) if isinstance(executor, str) else executor
            killed = True
            try:
                self._loop(crew, claimed, ctrl_c)
                killed = False
            except KeyboardInterrupt:
                raise self._interrupted() from None
            finally:
                crew.close(kill=killed)
                with contextlib.suppress(TwinError):
                    self._merge_ended(everything=True)
            if ctrl_c.pressed and not self._finished():
                raise self._interrupted()

    def _pressed(self) -> None:
        print("\nfinishing the runs under way; Ctrl-C again abandons them", file=sys.stderr)
        self._came.put(None)

    def _loop(self, crew: Executor, waiting: list[dict[str, Any]], ctrl_c: CtrlC) -> None:
        kind = self.prepared.experiment.kind
        while True:
            crew.check()
            room = crew.slots * _AHEAD[kind]
            while len(self._in_flight) < room and not ctrl_c.pressed:
                waiting = waiting or self._claim(max(_CLAIM[kind], 1))
                if not waiting:
                    break
                self._hand_out(crew, waiting.pop(0))
            self.progress.at_work(min(len(self._in_flight), crew.slots))
            self._merge_ended(everything=not self._in_flight)
            if not self._in_flight:
                if ctrl_c.pressed or not self._others():
                    return
                ctrl_c.wait(_POLL_S)
                continue
            self._settle(crew, self._take())

    def _claim(self, most: int = 1) -> list[dict[str, Any]]:
        """Return runs to do; those that are done already, but were never merged, are merged."""
        while claimed := self._writer.claim(self._number, most, self.prepared.hashes):
            left, merged = [], []
            for run in claimed:
                mark = found(self.prepared.output, run["run_id"])
                left += [run] if mark is None else []
                merged += [mark] if mark is not None else []
            self._merge(merged)
            if left:
                return left
        return []

    def _others(self) -> bool:
        """Return whether another sweep is still at runs of this experiment."""
        state = self._counts()
        self.progress.others(state["complete"], state["failed"])
        return bool(state["running"] or state["pending"])

    def _finished(self) -> bool:
        state = self._counts()
        return not (state["running"] or state["pending"])

    def _hand_out(self, crew: Executor, run: Mapping[str, Any]) -> None:
        prepared, experiment = self.prepared, self.prepared.experiment
        plant, notebook = _inputs(prepared)
        task = Task(
            run_id=run["run_id"],
            attempt=secrets.token_hex(4),
            experiment=experiment.name,
            parameters=run["parameters"],
            kind=experiment.kind,
            template=prepared.template.name,
            url=prepared.output.url,
            plant=plant,
            notebook=notebook,
            returns=experiment.returns,
            timeout_s=experiment.timeout_s,
            runs_per_kernel=experiment.runs_per_kernel,
            telemetry=experiment.telemetry,
            takes=tuple(name for name in OURS if name in prepared.template.parameters),
        )
        self._in_flight[task.run_id] = task
        crew.submit(task).add_done_callback(lambda done: self._came.put(done.exception() or done.result()))

    def _take(self) -> list[Outcome]:
        """Return what has come back; waits for something, but not for long."""
        came: list[Outcome] = []
        with contextlib.suppress(queue.Empty):
            item = self._came.get(timeout=_MERGE_S if self._ended else _POLL_S)
            while len(came) < _GROUP:
                if isinstance(item, BaseException):
                    raise item
                if item is not None:
                    came.append(item)
                item = self._came.get_nowait()
        return came

    def _settle(self, crew: Executor, outcomes: list[Outcome]) -> None:
        """Put runs that ended aside to be merged, and give those whose worker died another try."""
        for outcome in outcomes:
            task = self._in_flight.pop(outcome.run_id)
            if outcome.status == "unwritable":
                raise Unwritable(outcome.error)
            if outcome.status == "lost":
                outcome = found(self.prepared.output, task.run_id, task.attempt) or outcome
            if outcome.status == "lost":
                tries = self._tries[task.run_id] = self._tries.get(task.run_id, 0) + 1
                if tries < MOST_TRIES:
                    self._hand_out(crew, {"run_id": task.run_id, "parameters": task.parameters})
                    continue
                outcome = self._given_up(outcome, tries)
            self._ended.append(outcome)

    def _merge_ended(self, everything: bool) -> None:
        """Merge what has ended, when it is enough or has waited long enough."""
        now = time.monotonic()
        if self._ended and (everything or len(self._ended) >= _GROUP or now - self._last >= _MERGE_S):
            ended, self._ended = self._ended, []
            self._merge(ended)
            self.done += len(ended)
            self._last = time.monotonic()
            self._first = self._first or self._last

    def _given_up(self, outcome: Outcome, tries: int) -> Outcome:
        """Mark a run as failed whose worker died again and again."""
        now = time.time_ns() // 1000
        error = f"{outcome.error}; so it did {tries} times"
        told = outcome.to_json() | {"status": "failed", "error": error, "started_us": now, "finished_us": now}
        self.prepared.output.write(f"{folder(outcome.run_id)}/{FAILED}", json.dumps(told).encode())
        return Outcome.from_json(told)

    def _merge(self, outcomes: Sequence[Outcome]) -> None:
        """Put what runs returned into the plant; those with telemetry one by one."""
        if not outcomes:
            return
        if self.prepared.experiment.telemetry:
            for outcome in outcomes:
                with _kept(self.prepared.output, outcome) as kept:
                    self._writer.merge([_finished(outcome, kept)])
        else:
            self._writer.merge([_finished(outcome) for outcome in outcomes])
        for outcome in outcomes:
            told = ("run_id", "status", "error", "wall_s")
            self.progress.run_ended({name: getattr(outcome, name) for name in told})

    def _interrupted(self) -> RunInterrupted:
        state = self.progress.state()
        return RunInterrupted(
            f"experiment {self.prepared.experiment.name} was interrupted with {state['done']} of {state['runs']} runs "
            "complete; give the same command again for the rest"
        )


def _finished(outcome: Outcome, kept: Path | None = None) -> Finished:
    names = ("run_id", "status", "results", "error", "digest", "wall_s", "bytes", "started_us", "finished_us",
             "versions")  # fmt: skip
    return Finished(**{name: getattr(outcome, name) for name in names}, kept=kept)


@contextlib.contextmanager
def _kept(output: Output, outcome: Outcome) -> Iterator[Path | None]:
    """Give the folder with the rows of a run's simulations, on this machine."""
    place = f"{folder(outcome.run_id)}/telemetry"
    mark = output.read_json(f"{folder(outcome.run_id)}/complete.json") or {}
    names = [name for name in mark.get("files", {}) if name.startswith("telemetry/")]
    if outcome.status != "complete" or not names:
        yield None
    elif output.local is not None:
        yield output.local / place
    else:
        with tempfile.TemporaryDirectory(prefix="twin-") as scratch:
            for name in names:
                output.fetch(f"{folder(outcome.run_id)}/{name}", Path(scratch) / Path(name).name)
            yield Path(scratch)
