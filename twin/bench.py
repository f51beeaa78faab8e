"""How fast the plant makes and stores telemetry: all figures from one process, on the same rows."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from twin.errors import BadRequest
from twin.plan import Plan

START = "2026-01-05"
MACHINES = 12
SAMPLE_ROWS = 4_000_000
"""Rows that the single-core figures are taken on; each is the best of several passes."""
INGEST_ROWS = 20_000_000
"""Most rows that are held in memory for the bare database."""
PASSES = 3


def bench_plan(rows: int, wear: str = "off") -> Plan:
    """Return a plan of the sample plant at 1 s, normal operation, of at least that many rows."""
    from twin.catalog.loader import load_catalog
    from twin.plan import PlannedMachine
    from twin.times import parse_time

    catalog = load_catalog()
    types = list(catalog.machine_types)
    ticks = max(1, -(-rows // MACHINES))
    start_us = parse_time(START)
    machines = tuple(
        PlannedMachine(machine_id=i, name=f"M-{i:03}", machine_type=types[i % len(types)], unit_seed=i)
        for i in range(1, MACHINES + 1)
    )
    return Plan(
        machines=machines,
        start_us=start_us,
        end_us=start_us + ticks * 1_000_000,
        interval_us=1_000_000,
        seed=1,
        machine_types=dict(catalog.machine_types),
        channels=dict(catalog.channels),
        wear=wear,
        failure_modes={n: m for n, m in catalog.failure_modes.items() if wear != "off" and m.wear is not None},
    )


def lives_plan(machines: int, years: float, policy: str = "run-to-failure") -> Plan:
    """Return a plan of a fleet of sample machines that wear, fail and are repaired, without telemetry."""
    import dataclasses

    from twin.catalog.loader import load_catalog
    from twin.plan import Corrective, PlannedMachine
    from twin.plant_sample import more_technicians, sample_machines
    from twin.policy import parse

    catalog = load_catalog()
    fields = list(PlannedMachine.model_fields)
    people = [*catalog.technicians.values()]
    people += [type(people[0]).model_validate({**r, "skills": tuple(r["skills"])}) for r in more_technicians(machines)]
    known = {f.name: dict(getattr(catalog, f.name)) for f in dataclasses.fields(catalog)}
    plan = bench_plan(1)
    return plan.model_copy(
        update={
            "machines": tuple(PlannedMachine(**{k: row[k] for k in fields}) for row in sample_machines(machines)),
            "end_us": plan.start_us + round(years * 8760 * 3.6e9),
            "interval_us": 3_600_000_000,
            "telemetry": False,
            "truth_us": 7 * 86_400_000_000,
            "wear": "new",
            "acting": True,
            "corrective": Corrective(),
            "policies": parse(policy)[0],
            "failure_modes": {n: m for n, m in known["failure_modes"].items() if m.wear is not None},
            "actions": known["maintenance_actions"],
            "alarm_rules": known["alarm_rules"],
            "technicians": tuple(people),
        }
    )


def run_bench(rows: int = 20_000_000, progress: bool = True) -> dict[str, float]:
    """Measure, and return the figures by name.

    Parameters
    ----------
    rows : int
        Telemetry rows to make and store, 100,000 or more.
    progress : bool
        Show a bar.

    Returns
    -------
    dict of str to float
        ``end_to_end_rows_per_s`` (plan to checkpointed file), ``ingest_rows_per_s`` (the same table from
        Arrow memory), ``ingest_ratio``, ``kernel_rows_per_s_per_core``, ``numpy_noise_rows_per_s`` (numpy
        drawing as many float32 normals a row), ``kernel_noise_ratio``, ``bytes_per_row``,
        ``wearing_rows_per_s_per_core`` (used machines that wear, watched by nobody), ``wearing_ratio`` (to
        those that do not), ``lives_1000_machine_years_s`` (events and truth of 1,000 machines for a year,
        in memory), ``peak_rss_mb`` (after the end-to-end run), ``import_s``, ``cold_jit_s``, ``warm_start_s``,
        and those of `twin.bench_prognosis.measure_features`, from a process of its own.
    """
    if not 100_000 <= rows <= 2_000_000_000:
        raise BadRequest(f"rows must be between 100,000 and 2,000,000,000, got {rows}")
    plan = bench_plan(rows)
    figures: dict[str, float] = {"rows": plan.rows}
    figures |= _processes()
    figures |= _kernel_against_numpy()
    figures |= _lives()
    with tempfile.TemporaryDirectory(prefix="twin-bench-") as folder:
        figures |= _end_to_end(plan, Path(folder) / "first.duckdb", progress)
        figures["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures |= _ingest(plan, Path(folder), figures["end_to_end_rows_per_s"])
    figures["ingest_ratio"] = figures["end_to_end_rows_per_s"] / figures["ingest_rows_per_s"]
    figures["kernel_noise_ratio"] = figures["kernel_rows_per_s_per_core"] / figures["numpy_noise_rows_per_s"]
    return figures | _prognosis()


def _best(passes: int, action: Callable[[], Any]) -> float:
    times = []
    for _ in range(passes):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def _kernel_against_numpy() -> dict[str, float]:
    """Compare one core of the kernel with numpy drawing its normals into memory of the same size."""
    from twin.layout import NORMALS_A_ROW
    from twin.simulation import Buffers, Simulation

    plan = bench_plan(SAMPLE_ROWS)
    ticks = plan.ticks // 8
    rows = ticks * MACHINES
    buffers = Buffers(rows)
    with Simulation(plan, threads=1) as simulation:
        simulation.advance(ticks, buffers)
        kernel_s = _best(6, lambda: simulation.advance(ticks, buffers))
    generator = np.random.default_rng(1)
    normals = np.empty(rows * NORMALS_A_ROW, np.float32)
    numpy_s = _best(6, lambda: generator.standard_normal(dtype=np.float32, out=normals))
    return {
        "normals_per_row": NORMALS_A_ROW,
        "kernel_rows_per_s_per_core": rows / kernel_s,
        "numpy_noise_rows_per_s": rows / numpy_s,
    }


def _lives() -> dict[str, float]:
    """Time a fleet's year without telemetry, and the kernel on machines that wear against those that do not."""
    from twin.simulation import Buffers, Simulation
    from twin.timeline import unit_factor

    def year() -> None:
        unit_factor.cache_clear()  # a fleet that was not seen before
        with Simulation(lives_plan(1000, 1.0)) as simulation:
            simulation.advance(simulation.plan.ticks)

    def rate(wear: str) -> float:
        plan = bench_plan(SAMPLE_ROWS, wear)
        ticks = plan.ticks // 8
        buffers = Buffers(ticks * MACHINES)
        with Simulation(plan, threads=1) as simulation:
            simulation.advance(ticks, buffers)
            return ticks * MACHINES / _best(6, lambda: simulation.advance(ticks, buffers))

    wearing, well = rate("used"), rate("off")
    return {
        "wearing_rows_per_s_per_core": wearing,
        "wearing_ratio": wearing / well,
        "lives_1000_machine_years_s": _best(2, year),
    }


def _end_to_end(plan: Plan, path: Path, progress: bool) -> dict[str, float]:
    """Time a plan from its value to the checkpointed file that holds its rows."""
    from twin.run import simulate
    from twin.store import Store
    from twin.store.bench import checkpoint

    store = Store.create(path)
    empty = path.stat().st_size
    began = time.perf_counter()
    simulate(store, plan, progress=progress)
    checkpoint(path)
    seconds = time.perf_counter() - began
    size = path.stat().st_size - empty
    path.unlink()
    return {"end_to_end_rows_per_s": plan.rows / seconds, "bytes_per_row": size / plan.rows}


def _ingest(plan: Plan, folder: Path, first: float) -> dict[str, float]:
    """Time the bare database on the same rows, in turn with the plant; each keeps its best pass."""
    from twin.store.bench import time_ingest

    plan = plan if plan.rows <= INGEST_ROWS else bench_plan(INGEST_ROWS)
    table = _arrow(plan)
    ingest = [time_ingest(folder / "ingest.duckdb", table)]
    whole = [first]
    for turn in range(PASSES - 1):
        whole.append(_end_to_end(plan, folder / f"turn-{turn}.duckdb", False)["end_to_end_rows_per_s"])
        ingest.append(time_ingest(folder / "ingest.duckdb", table))
    return {
        "ingest_rows": plan.rows,
        "ingest_rows_per_s": plan.rows / min(ingest),
        "end_to_end_rows_per_s": max(whole),
    }


def _arrow(plan: Plan) -> Any:
    """Return a plan's telemetry as one Arrow table in memory."""
    import pyarrow as pa

    from twin.pacing import chunk_ticks
    from twin.simulation import Simulation
    from twin.store.writer import chunk_table

    tables = []
    with Simulation(plan) as simulation:
        while simulation.tick < plan.ticks:
            chunk = simulation.advance(chunk_ticks(plan))
            tables.append(chunk_table(chunk.columns(), chunk.missing))
    return pa.concat_tables(tables)


_IMPORT = "import time; t = time.perf_counter(); import twin; print(time.perf_counter() - t)"
_FIRST_ROWS = """
import time
t = time.perf_counter()
from twin.bench import bench_plan
from twin.simulation import Simulation
Simulation(bench_plan(100_000)).advance(10)
print(time.perf_counter() - t)
"""


def _processes() -> dict[str, float]:
    """Time fresh processes: the import, the first rows without and with compiled kernels."""
    with tempfile.TemporaryDirectory(prefix="twin-jit-") as cold:
        cold_s = _fresh(_FIRST_ROWS, {"NUMBA_CACHE_DIR": cold})
        warm_s = min(_fresh(_FIRST_ROWS, {"NUMBA_CACHE_DIR": cold}) for _ in range(3))
    return {
        "import_s": min(_fresh(_IMPORT, {}) for _ in range(3)),
        "cold_jit_s": cold_s - warm_s,
        "warm_start_s": warm_s,
    }


def _prognosis() -> dict[str, float]:
    code = "import json; from twin.bench_prognosis import measure_features; print(json.dumps(measure_features()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(result.stdout)
    return found


def _fresh(code: str, environment: dict[str, str]) -> float:
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return float(result.stdout)
