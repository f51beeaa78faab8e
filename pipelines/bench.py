"""What a sweep costs beside bare papermill and beside one long simulation: ``make bench-sweep``.

Each sweep and each bare run is a process of its own; processor time is that of all its children.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from pipelines.experiment import ROOT, Experiment
from twin.errors import TwinError

WORKERS = 2
TARGETS: dict[str, tuple[str, float]] = {
    "overhead_ratio": ("<=", 1.25),
    "function_rows_ratio": (">=", 0.6),
    "kernel_growth_mb": ("<=", 40.0),
    "worker_growth_mb": ("<=", 20.0),
    "collector_growth_mb": ("<=", 20.0),
}
"""What is to be reached. A growth is the mean memory of the last third of a sweep less that of the third before;
for the collector, its peak after all function runs less that after a tenth of them."""


def run_bench(notebook_runs: int = 24, function_runs: int = 1000, bare_runs: int | None = None) -> dict[str, float]:
    """Measure, and return the figures by name.

    Parameters
    ----------
    notebook_runs : int
        How many runs of ``severity_grid``, 4 to 24.
    function_runs : int
        How many runs of ``monte_carlo``, 30 or more.
    bare_runs : int, optional
        How many of the notebook runs bare papermill does too; all by default.

    Returns
    -------
    dict of str to float
        Times in s, rates in rows/s, memory in MB; what `TARGETS` names among them. The long simulation
        is one machine's in a plant (``long_rows_per_s``), and the same in memory that nobody keeps, by
        one processor (``long_memory_rows_per_s``).
    """
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        place = Path(folder)
        figures = _notebooks(place, notebook_runs, bare_runs or notebook_runs)
        figures |= _functions(place, function_runs)
    return figures


def missed(figures: dict[str, float]) -> list[str]:
    """Return the targets that were not reached, in words."""
    found = []
    for name, (relation, bound) in TARGETS.items():
        value = figures.get(name)
        if value is not None and not (value <= bound if relation == "<=" else value >= bound):
            found.append(f"{name} is {value:.3g}, to be {relation} {bound:g}")
    return found


def growth(values: Sequence[float]) -> float:
    """Return how much the mean of the last third of some values is above that of the third before."""
    third = max(1, len(values) // 3)
    return fmean(values[-third:]) - fmean(values[-2 * third : -third] or values[:1])


def _notebooks(place: Path, runs: int, bare_runs: int) -> dict[str, float]:
    """Compare a sweep of notebooks with the same notebooks one after another, each by papermill alone."""
    from pipelines.grid import points

    asked = Experiment.of("severity_grid")
    every = list(points(asked))[:runs]
    few = {"name": "bench", "notebook": asked.notebook, "runs": every, "returns": asked.returns,
           "runs_per_kernel": asked.runs_per_kernel}  # fmt: skip
    _timed(_bare, place, every[0])  # what is compiled once is not a cost of a run
    bare = [_timed(_bare, place, parameters) for parameters in every[:bare_runs]]
    plant = _fresh_plant(place, "notebooks")
    sweep_s, sweep_cpu_s, told = _timed(_sweep, few, plant)
    bare_s = fmean(wall for wall, _, _ in bare) * runs
    bare_cpu_s = fmean(cpu for _, cpu, _ in bare) * runs
    return {
        "notebook_runs": runs,
        "bare_papermill_s": bare_s,
        "bare_papermill_cpu_s": bare_cpu_s,
        "sweep_s": sweep_s,
        "sweep_cpu_s": sweep_cpu_s,
        "overhead_ratio": sweep_s / (bare_s / WORKERS),
        "cpu_ratio": sweep_cpu_s / bare_cpu_s,
        "notebook_worker_growth_mb": growth(told["workers_mb"]),
        "kernel_growth_mb": growth(told["kernels_mb"]),
        "kernel_mb": max(told["kernels_mb"]),
    }


def _functions(place: Path, runs: int) -> dict[str, float]:
    """Compare a sweep of short simulations with one that is as long as all of them."""
    asked = Experiment.of("monte_carlo")
    assert asked.sample is not None
    told = {}
    for number in (runs // 10, runs):
        sample = asked.sample.model_copy(update={"count": number})
        wanted = asked.model_copy(update={"name": f"bench_{number}", "sample": sample}).model_dump(mode="json")
        told[number] = _timed(_sweep, wanted, _fresh_plant(place, f"functions-{number}"))
    _, _, last = told[runs]
    rows = last["rows"]
    rate = last["rate_per_s"] * rows / runs
    memory_s, stored_s = _long(_fresh_plant(place, "long"), rows)
    return {
        "function_runs": runs,
        "function_rows": rows,
        "function_sweep_s": last["wall_s"],
        "function_rows_per_s": rate,
        "long_rows_per_s": rows / stored_s,
        "long_memory_rows_per_s": rows / memory_s,
        "function_rows_ratio": rate / (rows / stored_s),
        "function_memory_ratio": rate / (rows / memory_s),
        "worker_growth_mb": growth(last["workers_mb"]),
        "worker_mb": max(last["workers_mb"]),
        "collector_growth_mb": last["peak_mb"] - told[runs // 10][2]["peak_mb"],
        "collector_mb": last["peak_mb"],
    }


def _long(plant: Path, rows: int) -> tuple[float, float]:
    """Return how long one machine's simulation of so many rows takes: in memory, and stored in a plant (s)."""
    from twin.plant import Plant
    from twin.simulation import Buffers, Simulation
    from twin.times import parse_time, to_datetime

    asked: dict[str, Any] = {"machines": "M-001", "wear": "off", "tasks": False, "truth_interval": None}
    whole = Plant.open(plant)
    begin = parse_time("2026-01-05")
    start, end = to_datetime(begin), to_datetime(begin + rows * 1_000_000)
    plan = whole.plan(start, end, "1s", **asked)
    ticks = min(plan.ticks, 1_000_000)
    buffers = Buffers(ticks)
    with Simulation(plan) as simulation:
        began = time.perf_counter()
        while simulation.tick < plan.ticks:
            simulation.advance(min(ticks, plan.ticks - simulation.tick), buffers)
        memory_s = time.perf_counter() - began
    began = time.perf_counter()
    whole.simulate(start, end, "1s", progress=False, **asked)
    return memory_s, time.perf_counter() - began


def _fresh_plant(place: Path, name: str) -> Path:
    from twin.plant import Plant

    return Plant.create(place / f"{name}.duckdb").path


def _timed(action: Callable[..., Any], *given: Any) -> tuple[float, float, Any]:
    """Return what an action takes on the clock and of processors (s), and what it returns."""
    before, began = os.times(), time.perf_counter()
    made = action(*given)
    wall, after = time.perf_counter() - began, os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, spent, made


def _python(*words: str) -> str:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, *words], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TwinError(
            f"a process of the measurement failed: {(done.stderr.strip().splitlines() or ['silently'])[-1]}"
        )
    return done.stdout


_PAPERMILL = """
import json, sys
import papermill
papermill.execute_notebook(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), kernel_name="python3", progress_bar=False)
"""


def _bare(place: Path, parameters: dict[str, Any]) -> None:
    """Let papermill alone execute the notebook, on a plant of its own, in a kernel of its own."""
    plant = _fresh_plant(place, f"bare-{time.monotonic_ns()}")
    template = str(ROOT / str(Experiment.of("severity_grid").notebook))
    _python("-c", _PAPERMILL, template, str(place / "bare.ipynb"), json.dumps({**parameters, "db": str(plant)}))
    plant.unlink()


def _sweep(wanted: dict[str, Any], plant: Path) -> dict[str, Any]:
    """Let a fresh process carry out an experiment, and return what it saw."""
    told: dict[str, Any] = json.loads(
        _python("-m", "pipelines.bench", "--watch", json.dumps(wanted), "--db", str(plant))
    )
    return told


def watch(wanted: dict[str, Any], plant: Path, workers: int = WORKERS) -> dict[str, Any]:
    """Carry out an experiment, and return how it went and what memory it took meanwhile (MB).

    Returns
    -------
    dict
        ``wall_s``, ``rate_per_s`` and ``complete`` of the sweep; ``rows`` where the runs return them;
        ``workers_mb`` and ``kernels_mb``, means over the processes after each of some twenty or more
        runs; ``peak_mb`` of this process.
    """
    from pipelines import sweep
    from twin.plant import Plant

    seen: dict[str, list[float]] = {"ipykernel": [], "spawn_main": []}
    taken = 0.0

    def note(event: dict[str, Any]) -> None:
        nonlocal taken
        if event["event"] == "run" and (event["runs"] < 100 or time.monotonic() - taken > 0.1):
            taken = time.monotonic()
            for word, sizes in _children_mb(tuple(seen)).items():
                seen[word] += [fmean(sizes)] if sizes else []

    summary = sweep(wanted, plant, workers=workers, progress=False, say=note)
    rows = sum(row["value"] for row in Plant.open(plant).store.rows("experiment_values", {"name": "rows"}))
    return {
        "wall_s": summary.wall_s, "rate_per_s": summary.rate_per_s, "complete": summary.complete,
        "rows": int(rows), "workers_mb": seen["spawn_main"], "kernels_mb": seen["ipykernel"],
        "peak_mb": peak_mb(),
    }  # fmt: skip


def _children_mb(words: tuple[str, ...]) -> dict[str, list[float]]:
    """Return the memory of the processes below this one, by a word of their command line."""
    import psutil

    found: dict[str, list[float]] = {word: [] for word in words}
    for child in psutil.Process().children(recursive=True):
        try:
            line = " ".join(child.cmdline())
            for word in words:
                if word in line:
                    found[word].append(child.memory_info().rss / 1e6)
        except psutil.Error:  # it ended meanwhile
            continue
    return found


def peak_mb() -> float:
    """Return the most memory that this process has had.

    Linux hands `ru_maxrss` down from the process that started this one, so the system's own note is read.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1e3
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print the figures, and say which targets were missed; exit status 1 then."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.bench", description=__doc__)
    parser.add_argument("--notebook-runs", type=int, default=24, choices=range(4, 25), metavar="N")
    parser.add_argument("--function-runs", type=int, default=1000, metavar="N")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--watch", help=argparse.SUPPRESS)
    parser.add_argument("--db", help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.watch is not None:
        print(json.dumps(watch(json.loads(given.watch), Path(given.db))))
        return 0
    figures = run_bench(given.notebook_runs, max(30, given.function_runs))
    if given.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value:>14,.2f}")
    for line in missed(figures):
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed(figures) else 0


if __name__ == "__main__":
    sys.exit(main())
