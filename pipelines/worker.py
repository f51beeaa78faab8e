"""What a worker does with a run: carry it out in a folder of its own, publish it, mark it last.

A worker never opens the plant's file. It works with a copy of the plant without runs, which lies at
the output location, and nothing but that location is shared with it.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import threading
import time
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pipelines import returned
from pipelines.output import COMPLETE, FAILED, Output, Unwritable, folder, opened
from pipelines.scratch import leave, new_folder
from pipelines.tasks import Outcome, Task
from pipelines.templates import load_function
from twin.errors import TwinError

LIMITS = {"NUMBA_NUM_THREADS": "1", "TWIN_THREADS": "1", "TWIN_DUCKDB_MEMORY": "512MB"}
"""What each worker takes of a machine that it shares: one processor, a part of the memory."""

_WATCH_S = 0.2
_HUNG = 70  # exit status of a worker whose function did not end


def carry_out(task: Task) -> Outcome:
    """Carry out a run, publish what it made, and return how it went.

    The same task again (an executor may repeat one whose worker died) finds the mark of the attempt.
    """
    prepare()
    output = opened(task.url)
    known = found(output, task.run_id, task.attempt)
    if known is not None:
        return known
    scratch = _own_folder() / f"{task.run_id}-{task.attempt}"  # made where there is something to put into it
    try:
        return _in_folder(task, output, scratch)
    except Unwritable as error:
        return Outcome(task.run_id, task.attempt, "unwritable", error=str(error))
    finally:
        if scratch.exists():
            shutil.rmtree(scratch, ignore_errors=True)


def found(output: Output, run_id: str, attempt: str | None = None) -> Outcome | None:
    """Return how a run went by its mark: of one attempt, or complete whichever; None without such a mark."""
    for mark in (COMPLETE, FAILED) if attempt is not None else (COMPLETE,):
        told = output.read_json(f"{folder(run_id)}/{mark}")
        if told is None or (attempt is not None and told.get("attempt") != attempt):
            continue
        if mark == COMPLETE and not _whole(output, run_id, told):
            continue
        return Outcome.from_json(told)
    return None


def _whole(output: Output, run_id: str, mark: dict[str, Any]) -> bool:
    """Return whether the results and tables that a mark names are there as it says (power may fail)."""
    for name, sha256 in mark.get("files", {}).items():
        data = output.read(f"{folder(run_id)}/{name}")
        if data is None or (sha256 and hashlib.sha256(data).hexdigest() != sha256):
            return False
    return True


def _in_folder(task: Task, output: Output, scratch: Path) -> Outcome:
    started = time.time_ns() // 1000
    began = time.perf_counter()
    status, error = "complete", None
    results: dict[str, Any] = {}
    plant = local_copy(task.url, task.plant)
    warm_up(plant)
    try:
        results = (_notebook if task.kind == "notebook" else _function)(task, scratch, plant)
        returned.refuse_missing(results, task.returns)
    except Exception as fault:
        status = "lost" if type(fault).__name__ == "KernelLost" else "failed"
        error = _line(fault)
        if not isinstance(fault, TwinError):
            scratch.mkdir(exist_ok=True)
            (scratch / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8")
    wall_s = time.perf_counter() - began
    outcome = Outcome(
        task.run_id, task.attempt, status, dict(returned.flat(results)), error, None, wall_s, started,
        time.time_ns() // 1000, 0, versions(),
    )  # fmt: skip
    return publish(task, output, scratch, outcome, results)


def _notebook(task: Task, scratch: Path, plant: Path) -> dict[str, Any]:
    """Execute a notebook, and return what it returned; what it says of itself does not count."""
    from pipelines import notebooks, pages

    scratch.mkdir()
    own = {"out": str(scratch)}
    if "db" in task.takes:
        shutil.copyfile(plant, scratch / "plant.duckdb")
        own["db"] = str(scratch / "plant.duckdb")
    executed = scratch / "notebook.ipynb"
    template = local_copy(task.url, task.notebook)
    seed = int(task.run_id[:8], 16)
    try:
        notebooks.execute(template, executed, task.parameters | own, task.timeout_s, task.runs_per_kernel, seed)
    finally:
        if executed.exists():
            with contextlib.suppress(Exception):  # a page is a convenience: the run does not depend on it
                pages.write(executed, f"{task.experiment} {task.run_id}")
    if not (scratch / returned.RETURNED).exists():
        raise TwinError("it ended without returning results: its last step must be pipelines.returned.give(out, ...)")
    if task.telemetry and "db" in task.takes:
        _keep_telemetry(scratch)
    results: dict[str, Any] = json.loads((scratch / returned.RETURNED).read_text(encoding="utf-8"))
    return results


def _keep_telemetry(scratch: Path) -> None:
    from twin.store import Store
    from twin.store.experiments import export_simulations

    (scratch / "telemetry").mkdir()
    export_simulations(Store.open(scratch / "plant.duckdb"), scratch / "telemetry")


def _function(task: Task, scratch: Path, plant: Path) -> dict[str, Any]:
    """Call a function, and return what it returned; what it prints becomes the run's log."""
    own = {"db": str(plant), "out": str(scratch)}
    if "out" in task.takes:
        scratch.mkdir()
    function, said = load_function(task.template), io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), _watchdog().limit(task):
            made = function(**task.parameters, **{name: own[name] for name in task.takes})
    finally:
        if said.getvalue():
            scratch.mkdir(exist_ok=True)
            (scratch / "log.txt").write_text(said.getvalue()[-1_000_000:], encoding="utf-8")
    results, tables = made if isinstance(made, tuple) else (made, None)
    if tables:
        returned.give(scratch, results, tables)
    return returned.checked(results)


_KEPT = ("notebook.ipynb", "page.html", "thumbnail.svg", "thumbnail.png", "log.txt", "traceback.txt")


def publish(task: Task, output: Output, scratch: Path, outcome: Outcome, results: dict[str, Any]) -> Outcome:
    """Copy what a run made to its folder at the output location; the mark comes last."""
    place, size = folder(task.run_id), 0
    hashes: dict[str, str] = {}
    tables: list[Path] = []
    if scratch.exists():
        tables = [path for kind in ("tables", "telemetry") for path in sorted((scratch / kind).glob("*.parquet"))]
        for path in (*tables, *(scratch / name for name in _KEPT)):
            if path.exists():
                data, name = path.read_bytes(), path.relative_to(scratch).as_posix()
                output.write(f"{place}/{name}", data)
                size += len(data)
                if name.startswith("tables/"):
                    hashes[name] = hashlib.sha256(data).hexdigest()
    files = {**hashes, **{f"telemetry/{p.name}": "" for p in tables if p.parent.name == "telemetry"}}
    if outcome.status == "complete":
        text = {"run_id": task.run_id, "experiment": task.experiment, "parameters": task.parameters,
                "results": results, "tables": hashes}  # fmt: skip
        data = json.dumps(text, sort_keys=True, indent=1, allow_nan=False).encode()
        output.write(f"{place}/results.json", data)
        digest = hashlib.sha256(data).hexdigest()
        files["results.json"] = digest
        outcome = dataclasses.replace(outcome, digest=digest, bytes=size + len(data))
    if outcome.status in ("complete", "failed"):
        mark = {**outcome.to_json(), "files": files, "parameters": task.parameters}
        name = COMPLETE if outcome.status == "complete" else FAILED
        output.write(f"{place}/{name}", json.dumps(mark, sort_keys=True, allow_nan=False).encode())
    return outcome


def _line(error: BaseException) -> str:
    """Return an error as one line."""
    said = (str(error).strip().splitlines() or [""])[0]
    line = said if isinstance(error, TwinError) else f"{type(error).__name__}: {said}"
    return line[:500]


class _Watchdog(threading.Thread):
    """Ends this worker when a function takes too long: nothing milder stops one that hangs."""

    def __init__(self) -> None:
        super().__init__(name="twin-watchdog", daemon=True)
        self._watched: tuple[Task, float] | None = None

    @contextlib.contextmanager
    def limit(self, task: Task) -> Iterator[None]:
        """Watch a run while this holds."""
        self._watched = task, time.monotonic() + task.timeout_s
        try:
            yield
        finally:
            self._watched = None

    def run(self) -> None:
        while True:
            time.sleep(_WATCH_S)
            watched = self._watched
            if watched is not None and time.monotonic() > watched[1]:
                self._end(watched[0])

    @staticmethod
    def _end(task: Task) -> None:
        now = time.time_ns() // 1000
        error = f"took longer than {task.timeout_s:g} s and was ended"
        began = now - round(task.timeout_s * 1e6)
        outcome = Outcome(task.run_id, task.attempt, "failed", {}, error, None, task.timeout_s, began, now)
        with contextlib.suppress(Exception):
            publish(task, opened(task.url), _own_folder() / "none", outcome, {})
        leave()
        os._exit(_HUNG)


@cache
def _watchdog() -> _Watchdog:
    watchdog = _Watchdog()
    watchdog.start()
    return watchdog


@cache
def _own_folder() -> Path:
    place = new_folder()
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


@cache
def local_copy(url: str, name: str) -> Path:
    """Return an input of the sweep on this machine, fetched once."""
    output = opened(url)
    if output.local is not None:
        return output.local / name
    target = _own_folder() / hashlib.sha256(f"{url}/{name}".encode()).hexdigest()[:12] / Path(name).name
    target.parent.mkdir(exist_ok=True)
    output.fetch(name, target)
    return target


@cache
def versions() -> dict[str, str]:
    """Return the software that makes results."""
    from twin.run_rows import versions as of_runs

    return of_runs()


@cache
def prepare() -> None:
    """Make this process a worker: bounded threads and memory, its kernel ended with it."""
    for name, value in LIMITS.items():
        os.environ.setdefault(name, value)
    atexit.register(_close_kernel)


def _close_kernel() -> None:
    import sys

    kernels = sys.modules.get("pipelines.kernels")
    if kernels is not None:
        kernels.end_all()


@cache
def warm_up(plant: Path) -> None:
    """Compile the simulation once for all workers of this machine: the first does it, the others wait."""
    from twin.cache import folder as cache_folder

    place = Path(cache_folder())
    done = place / "warm"
    if done.exists():
        return
    with _alone(place / "warm.lock"):
        if not done.exists():
            _compile(plant)
            done.touch()


def _compile(plant: Path) -> None:
    """Let every compiled function run once."""
    from twin.plant import Plant
    from twin.simulation import Simulation

    base = Plant.open(plant, read_only=True)
    if not base.machines.rows():
        return
    for wear in ("new", "used", "off"):
        plan = base.plan("2026-01-05", "2026-01-08", "1h", wear=wear)
        with Simulation(plan, threads=1) as simulation:
            simulation.advance(plan.ticks).digest()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock of this machine; the system lets go of it when its holder dies."""
    with path.open("w") as file:
        try:
            import fcntl
        except ImportError:  # elsewhere each worker compiles for itself
            yield
            return
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
