"""From a plan to rows in the plant: simulate, resume, replay.

Generation and ingestion run side by side: one thread fills a buffer of readings while another
hands the previous one to the database. Buffers go round, so memory does not grow.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from twin.cache import is_warm, source_hash
from twin.catalog.parameters import CHANNELS
from twin.decisions import Decide, called
from twin.digest import as_text, join
from twin.errors import PolicyFault, RunInterrupted, TwinError
from twin.interrupts import CtrlC
from twin.pacing import chunk_ticks, portion, progress_bar
from twin.plan import Plan
from twin.policy import PolicyLike
from twin.recording import close_session
from twin.results import RunRecord
from twin.run_rows import run_fields, run_machines, versions
from twin.simulation import Buffers, Chunk, Simulation
from twin.store import RunRow, RunWriter, Store, add_events
from twin.times import to_datetime
from twin.what_if import Change, WhatIf, changed, compared

BUFFERS = 3
INGEST_BOUND_US = 15_000_000
"""Below this interval a chunk takes longer to store than to generate on one processor."""

Functions = Mapping[str, Callable[[Any], Any]]


class Run(RunRecord):
    """A run of the plant, which can be replayed and asked what would have happened otherwise."""

    def replay(self, progress: bool = False) -> str:
        """Simulate the stored plan again, store nothing, and return the digest.

        The run of a live session that was killed is completed first, with what is stored of it.
        """
        if (row := self.row).live and not row.complete:
            close_session(self._store, self.id)
        plan, telemetry, happened = self.plan, 0, 0
        with Simulation(plan, decide=self._as_decided(plan)) as simulation, progress_bar(plan, 0, progress) as bar:
            buffers = Buffers(chunk_ticks(plan) * len(plan.machines) if plan.telemetry else 0)
            while simulation.tick < plan.ticks:
                chunk = simulation.advance(chunk_ticks(plan), buffers)
                telemetry, happened = join(telemetry, chunk.digest()), join(happened, chunk.events.digest())
                bar.update(portion(plan, chunk.ticks))
        stored = self.row.events_digest
        if stored is not None and stored != as_text(happened):
            raise TwinError(f"run {self.id}: the replay's events give {as_text(happened)}, but {stored} is stored")
        return as_text(telemetry if plan.telemetry else happened)

    def _as_decided(self, plan: Plan) -> Decide | None:
        """Return the decisions of the policy's functions as they were recorded."""
        return _recorded(self._store, self.id, plan) if _has_functions(plan) else None

    def what_if(
        self,
        at: Any,
        *,
        machines: Any = None,
        repair: str | None = None,
        technician: str | None = None,
        policy: PolicyLike = None,
        maintenance: bool = True,
        scenario: str | None = None,
        until: Any = None,
        clear: str | None = None,
        progress: bool = True,
    ) -> WhatIf:
        """Simulate the same world with something changed from a time on, and compare.

        Weather, noise and lives are the same number for number: whatever differs is the change's doing.

        Parameters
        ----------
        at : time
            From when on, UTC; within the run.
        machines : str, int or sequence of them, optional
            Where; needed for a repair, all machines otherwise.
        repair : str, optional
            A maintenance action that is done as soon as somebody can; `technician`: by whom.
        policy : str, rule, function or list of them, optional
            What asks for maintenance from then on, instead of the run's policy.
        maintenance : bool
            False: from then on no work begins.
        scenario : str, optional
            A scenario of the plant that becomes active, `until` a time.
        clear : str, optional
            A failure mode whose injections end.

        Returns
        -------
        WhatIf
            The paired run and a table of differences.
        """
        known = None if scenario is None else self._store.scenario(scenario)
        change = Change(at, machines, repair, technician, policy, maintenance, known, until, clear)
        plan, functions = changed(self.plan, change)
        run = simulate(self._store, plan, progress=progress, functions=functions, base_run_id=self.id)
        return compared(self, run)

    def verify(self, progress: bool = False) -> bool:
        """Return whether a replay has the stored digest."""
        return self.replay(progress) == self.digest()


def simulate(
    store: Store,
    plan: Plan,
    *,
    new: bool = False,
    progress: bool = True,
    threads: int | None = None,
    name: str = "",
    functions: Functions | None = None,
    base_run_id: int | None = None,
) -> Run:
    """Run a plan into the plant.

    The same plan again resumes an interrupted run, and finds a complete one.

    Parameters
    ----------
    store : Store
    plan : Plan
    new : bool
        Start another run even if there is one of this plan.
    progress : bool
        Show a bar with rate and time left.
    threads : int, optional
        Threads of the kernel; by default what is fastest. Does not change a row.
    name : str
        What to call the run.
    functions : mapping, optional
        The functions of the plan's policy, by name.
    base_run_id : int, optional
        Of a what-if: the run that it departs from.

    Raises
    ------
    RunInterrupted
        On Ctrl-C; what was committed is kept and the same call goes on.
    PlantBusy
        If another process is writing this run.
    StoreFault
        If the disk or the database refuses.
    """
    began = time.perf_counter()
    run_id, found, complete = _claim(store, plan, new, name, base_run_id)
    if complete:
        return Run(store, run_id, reused=True)
    if progress and not is_warm():
        print("compiling the kernel for this machine: once, about half a minute", file=sys.stderr)
    total = (0, 0)
    decide = _decide(store, plan, functions or {}, base_run_id) if _has_functions(plan) else None
    saved = store.load_state(run_id) if found else None
    if saved is not None and decide is not None:
        decide = _resumed(store, run_id, plan, saved[0], decide)
    with (
        _marked(store, run_id),
        Simulation(plan, threads or _kernel_threads(plan), decide) as simulation,
        CtrlC() as ctrl_c,
    ):
        if saved is not None:
            simulation.restore(saved[1])
            _recall(store, run_id, simulation)
            telemetry, _, happened = saved[2].partition(":")
            total = (int(telemetry, 16), int(happened or "0", 16))
        total = _write(store, run_id, simulation, total, progress, ctrl_c)
        digest = total[0] if plan.telemetry else total[1]
        store.finish_run(run_id, as_text(digest), time.perf_counter() - began, as_text(total[1]))
    ctrl_c.check()  # pressed too late to stop this run, but perhaps in time for what was to follow it
    return Run(store, run_id, resumed=found)


def _has_functions(plan: Plan) -> bool:
    return plan.acting and any(rule.kind == "callable" for rule in plan.policies)


def _decide(store: Store, plan: Plan, functions: Functions, base_run_id: int | None) -> Decide:
    """Return who decides: the functions; in a what-if, the record of the base run for the rules that it had."""
    asked = called(functions, plan)
    if base_run_id is None:
        return asked
    before = len(Plan.from_json(store.get_run(base_run_id).plan).policies)
    recorded = _recorded(store, base_run_id, plan)
    return lambda number, at, reported: (recorded if number < before else asked)(number, at, reported)


def _recorded(store: Store, run_id: int, plan: Plan) -> Decide:
    """Return what a policy's functions decided in a run, from its work orders."""
    names = {machine.machine_id: machine.name for machine in plan.machines}
    rows = store.rows("work_orders", {"run_id": run_id, "origin": "callable"}, ["machine_id", "number"])

    def decide(number: int, at: int, reported: Any) -> list[dict[str, Any]]:
        del reported
        return [
            {
                "machine": names[row["machine_id"]],
                "action": row["action"],
                "at": to_datetime(row["due_at"]),
                "duration": timedelta(microseconds=round(row["duration_min"] * 60e6)),
                "priority": row["priority"],
                "technician": row["technician_id"] if row["started_at"] is None else None,
                "task_type": row["task_type"],
            }
            for row in rows
            if row["rule"] == number and row["raised_at"] == at
        ]

    return decide


def _resumed(store: Store, run_id: int, plan: Plan, ticks: int, decide: Decide) -> Decide:
    """Return the decisions of an interrupted run: as recorded up to where it stands, then as the functions decide."""
    recorded, stands = _recorded(store, run_id, plan), plan.start_us + ticks * plan.interval_us

    def either(number: int, at: int, reported: Any) -> list[dict[str, Any]]:
        return (recorded if at < stands else decide)(number, at, reported)

    return either


def _recall(store: Store, run_id: int, simulation: Simulation) -> None:
    """Give the policy's functions back the readings that they are shown of the time before an interruption."""
    import numpy as np

    plan, history = simulation.plan, simulation.decisions.history_us
    if not history or not plan.telemetry:
        return
    ticks = min(simulation.tick, -(-history // plan.interval_us))
    first = plan.start_us + (simulation.tick - ticks) * plan.interval_us
    table = store.run_arrow(run_id, None, None, first, plan.start_us + simulation.tick * plan.interval_us)
    if not table.num_rows:
        return
    order = np.argsort(np.argsort([m.machine_id for m in plan.machines]))
    values = np.stack([table[c].to_numpy(zero_copy_only=False) for c in CHANNELS]).astype(np.float32)
    times = first + np.arange(ticks, dtype=np.int64) * plan.interval_us
    simulation.decisions.remember(times, values.reshape(len(CHANNELS), len(plan.machines), ticks)[:, order])


def _kernel_threads(plan: Plan) -> int | None:
    """Return how many threads generate: one where the database is the slower part and wants the processors."""
    return 1 if plan.telemetry and plan.interval_us < INGEST_BOUND_US else None


def _same(store: Store, plan: Plan) -> RunRow | None:
    """Return the newest run of a plan that was made by this kernel: rows of another are another run."""
    found = store.find_run(plan.sha256)
    return found if found is not None and found.versions.get("kernel") == source_hash() else None


def _claim(store: Store, plan: Plan, new: bool, name: str, base_run_id: int | None) -> tuple[int, bool, bool]:
    """Return the run, and whether it was begun and completed before; one transaction, so that no two begin it."""
    with store.reading() if store.read_only else store.writing():
        found = None if new else _same(store, plan)
        if found is not None and found.complete:
            return found.run_id, True, True
        if found is not None:
            return store.claim_run(found.run_id).run_id, True, False
        run_id = store.create_run(
            plan.to_json(),
            plan.sha256,
            plan.seed,
            plan.start_us,
            plan.end_us,
            plan.interval_us,
            len(plan.machines),
            plan.ticks,
            versions(),
            name,
            run_machines(plan),
            run_fields(plan) | {"base_run_id": base_run_id},
        )
    return run_id, False, False


@contextlib.contextmanager
def _marked(store: Store, run_id: int) -> Iterator[None]:
    """Leave a stopped run marked as such; it can be resumed."""
    try:
        yield
    except KeyboardInterrupt:
        row = store.get_run(run_id)
        with contextlib.suppress(TwinError):
            store.mark_run(run_id, "interrupted", "interrupted by the user")
        raise RunInterrupted(
            f"run {run_id} was interrupted at {row.committed_rows:,} of {row.rows:,} rows; "
            "give the same command again to resume it"
        ) from None
    except Exception as error:
        line = f"{error}".splitlines()[0] if f"{error}" else type(error).__name__
        with contextlib.suppress(TwinError):  # a full disk may refuse this too; the run resumes all the same
            store.mark_run(run_id, "failed", line[:500])
        if isinstance(error, PolicyFault):
            raise PolicyFault(
                f"{error}; run {run_id} keeps what it had committed, and the same call resumes it (a changed function "
                "begins another run)"
            ) from error
        raise


def _write(
    store: Store, run_id: int, simulation: Simulation, total: tuple[int, int], progress: bool, ctrl_c: CtrlC
) -> tuple[int, int]:
    """Write what is left of a simulation, and return the digests of the run's telemetry and events."""
    plan, stop = simulation.plan, threading.Event()
    made: queue.SimpleQueue[_Made | BaseException | None] = queue.SimpleQueue()  # may be filled by a signal's handler
    ctrl_c.wake = lambda: made.put(KeyboardInterrupt())
    free: queue.Queue[Buffers | None] = queue.Queue()
    for _ in range(BUFFERS):
        free.put(Buffers(chunk_ticks(plan) * len(plan.machines) if plan.telemetry else 0))
    maker = threading.Thread(target=_make, args=(simulation, free, made, stop), name="twin-generate", daemon=True)
    maker.start()
    try:
        with store.run_writer(run_id) as writer, progress_bar(plan, simulation.tick, progress) as bar:
            while (item := made.get()) is not None:
                ctrl_c.check()
                if isinstance(item, BaseException):
                    raise item
                total = (join(total[0], item.digest), join(total[1], item.chunk.events.digest()))
                _append(writer, run_id, simulation, item, f"{as_text(total[0])}:{as_text(total[1])}")
                free.put(item.buffers)
                bar.update(portion(plan, item.chunk.ticks))
    finally:
        stop.set()
        free.put(None)
        maker.join()
    return total


def _append(writer: RunWriter, run_id: int, simulation: Simulation, item: _Made, digest: str) -> None:
    """Store a chunk with what happened meanwhile, in one transaction."""
    chunk, plan, modes = item.chunk, simulation.plan, simulation.world.modes
    writer.append(
        chunk.tick,
        chunk.tick + chunk.ticks,
        chunk.columns(),
        chunk.missing,
        item.state,
        digest,
        lambda tx: add_events(tx, run_id, chunk.events, plan, modes),
    )


@dataclass(frozen=True)
class _Made:
    chunk: Chunk
    digest: int
    state: bytes
    buffers: Buffers


def _make(
    simulation: Simulation,
    free: queue.Queue[Buffers | None],
    made: queue.SimpleQueue[_Made | BaseException | None],
    stop: threading.Event,
) -> None:
    """Fill buffers with readings until the plan ends or nobody wants them."""
    try:
        while simulation.tick < simulation.plan.ticks and not stop.is_set():
            buffers = free.get()
            if buffers is None:
                return
            chunk = simulation.advance(chunk_ticks(simulation.plan), buffers)
            made.put(_Made(chunk, chunk.digest(), simulation.state(), buffers))
        made.put(None)
    except BaseException as error:
        made.put(error)
