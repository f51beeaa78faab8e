"""From a plan to rows in the plant: simulate, resume, read back, replay.

Generation and ingestion run side by side: one thread fills a buffer of readings while another
hands the previous one to the database. Two buffers go round, so memory does not grow.
"""

from __future__ import annotations

import contextlib
import platform
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from twin import __version__
from twin.cache import is_warm, source_hash
from twin.catalog.parameters import CHANNELS
from twin.digest import as_text, join, row_digest
from twin.errors import BadRequest, RunInterrupted, TwinError, shown, unknown
from twin.plan import Plan
from twin.simulation import Buffers, Chunk, Simulation
from twin.store import RunRow, Store
from twin.truth import ground_truth

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

CHUNK_ROWS = 1_500_000
CHUNK_TICKS = 122_880  # one row group of DuckDB for each machine
BUFFERS = 3
INGEST_BOUND_US = 15_000_000
"""Below this interval a chunk takes longer to store than to generate on one processor."""


def chunk_ticks(plan: Plan) -> int:
    """Return how many ticks of the fleet are generated, stored and acknowledged together."""
    return max(1, min(CHUNK_TICKS, CHUNK_ROWS // len(plan.machines)))


@dataclass(frozen=True)
class Telemetry:
    """Readings of a run, not yet read: choose the form."""

    _store: Store
    _run_id: int
    _machines: Sequence[int] | None
    _columns: Sequence[str] | None
    _start_us: int | None
    _end_us: int | None

    def df(self) -> pd.DataFrame:
        """Return a DataFrame, ordered by machine and time."""
        return self._store.run_frame(self._run_id, self._machines, self._columns, self._start_us, self._end_us)

    def arrow(self) -> pa.Table:
        """Return an Arrow table, ordered by machine and time."""
        return self._store.run_arrow(self._run_id, self._machines, self._columns, self._start_us, self._end_us)


class Run:
    """A run of the plant: its rows, its truth and its plan.

    Attributes
    ----------
    id : int
        Its number in the plant.
    resumed, reused : bool
        Whether this call went on with an interrupted run, or found the run complete.
    """

    def __init__(self, store: Store, run_id: int, resumed: bool = False, reused: bool = False) -> None:
        self._store = store
        self.id = run_id
        self.resumed, self.reused = resumed, reused

    def __repr__(self) -> str:
        row = self.row
        return f"<Run {self.id}: {row.committed_rows:,} rows of {row.machines} machines, {row.status}>"

    @property
    def row(self) -> RunRow:
        """What the table `runs` says now."""
        return self._store.get_run(self.id)

    @property
    def rows(self) -> int:
        """Rows that are stored."""
        return self.row.committed_rows

    @property
    def status(self) -> str:
        """``running``, ``interrupted``, ``failed`` or ``complete``."""
        return self.row.status

    @property
    def seconds(self) -> float:
        """Time that the simulation took, s (0 while incomplete)."""
        return self.row.wall_s or 0.0

    @property
    def plan(self) -> Plan:
        """What the run was asked to do."""
        return Plan.from_json(self.row.plan)

    def digest(self) -> str:
        """Return the digest that was stored when the run was complete."""
        row = self.row
        if row.digest is None:
            raise BadRequest(f"run {self.id} is {row.status}: only a complete run has a digest; simulate it to its end")
        return row.digest

    def recomputed_digest(self) -> str:
        """Return the digest of the rows that are stored now."""
        total = 0
        for table in self._store.read_batches(self.id):
            total = join(total, _table_digest(table))
        return as_text(total)

    def telemetry(
        self,
        machines: Any = None,
        columns: Sequence[str] | None = None,
        start: Any = None,
        end: Any = None,
    ) -> Telemetry:
        """Return telemetry of the run, to be read with ``.df()`` or ``.arrow()``.

        Parameters
        ----------
        machines : str, int or sequence of them, optional
            Names or numbers; all when not given.
        columns : sequence of str, optional
            ``machine_id``, ``ts`` and channels; all when not given.
        start, end : time, optional
            Span, UTC; the end is not included.
        """
        from twin.times import parse_time

        allowed = ("machine_id", "ts", *CHANNELS)
        columns = [columns] if isinstance(columns, str) else columns
        for name in columns or ():
            if name not in allowed:
                raise unknown("column", name, allowed)
        span = [None if t is None else parse_time(t, what) for t, what in ((start, "start"), (end, "end"))]
        if span[0] is not None and span[1] is not None and span[1] <= span[0]:
            raise BadRequest(f"end must be later than start, got {shown(start)} until {shown(end)}")
        return Telemetry(self._store, self.id, self._machine_ids(machines), columns, span[0], span[1])

    def _machine_ids(self, machines: Any) -> list[int] | None:
        if machines is None or (isinstance(machines, str) and machines == "all"):
            return None
        fleet = self.plan.machines
        if not isinstance(machines, (str, int, Iterable)) or isinstance(machines, (bytes, Mapping)):
            raise BadRequest(f"machines must be a name, an id, a list of them or 'all', got {shown(machines)}")
        wanted = [machines] if isinstance(machines, str | int) else list(machines)
        numbers: dict[str | int, int] = {m.name: m.machine_id for m in fleet}
        numbers |= {m.machine_id: m.machine_id for m in fleet}
        for name in wanted:
            if not isinstance(name, Hashable) or name not in numbers:
                raise unknown("machine of this run", name, (m.name for m in fleet))
        return sorted({numbers[name] for name in wanted})

    def truth(self) -> pd.DataFrame:
        """Return the hidden condition of the machines: a row at every change."""
        return self._store.run_table(self.id, "ground_truth")

    def failures(self) -> pd.DataFrame:
        """Return the functional failures that the run emitted."""
        return self._store.run_table(self.id, "failures")

    def maintenance(self) -> pd.DataFrame:
        """Return the maintenance tasks that stood in the run's plan."""
        import pandas as pd

        from twin.plan import PlannedTask

        names = {m.machine_id: m.name for m in self.plan.machines}
        rows = [task.model_dump() for task in self.plan.tasks]
        frame = pd.DataFrame(rows, columns=list(PlannedTask.model_fields))
        frame.insert(2, "machine", frame["machine_id"].map(names))
        frame["scheduled_us"] = pd.to_datetime(frame["scheduled_us"], unit="us")
        frame["duration_us"] = frame["duration_us"] / 60e6
        return frame.rename(columns={"scheduled_us": "scheduled_at", "duration_us": "duration_min"})

    def replay(self, progress: bool = False) -> str:
        """Simulate the stored plan again, store nothing, and return the digest."""
        plan, total = self.plan, 0
        with Simulation(plan) as simulation, progress_bar(plan, 0, progress) as bar:
            buffers = Buffers(chunk_ticks(plan) * len(plan.machines))
            while simulation.tick < plan.ticks:
                chunk = simulation.advance(chunk_ticks(plan), buffers)
                total = join(total, chunk.digest())
                bar.update(chunk.rows)
        return as_text(total)

    def verify(self, progress: bool = False) -> bool:
        """Return whether a replay has the stored digest."""
        return self.replay(progress) == self.digest()


def _table_digest(table: pa.Table) -> int:
    import numpy as np

    values = np.stack([table[name].to_numpy(zero_copy_only=False) for name in CHANNELS]).astype(np.float32, copy=False)
    ids = table["machine_id"].to_numpy().astype(np.int16, copy=False)
    ts = table["ts"].cast("int64").to_numpy()
    return row_digest(ids, ts, np.ascontiguousarray(values))


def simulate(
    store: Store, plan: Plan, *, new: bool = False, progress: bool = True, threads: int | None = None, name: str = ""
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
    run_id, found, complete = _claim(store, plan, new, name)
    if complete:
        return Run(store, run_id, reused=True)
    if progress and not is_warm():
        print("compiling the kernel for this machine: once, about half a minute", file=sys.stderr)
    total = 0
    with _marked(store, run_id), Simulation(plan, threads or _kernel_threads(plan)) as simulation, _CtrlC() as ctrl_c:
        if found and (saved := store.load_state(run_id)) is not None:
            simulation.restore(saved[1])
            total = int(saved[2], 16)
        total = _write(store, run_id, simulation, total, progress, ctrl_c)
        store.finish_run(run_id, as_text(total), time.perf_counter() - began)
    ctrl_c.check()  # pressed too late to stop this run, but perhaps in time for what was to follow it
    return Run(store, run_id, resumed=found)


def _kernel_threads(plan: Plan) -> int | None:
    """Return how many threads generate: one where the database is the slower part and wants the processors."""
    return 1 if plan.interval_us < INGEST_BOUND_US else None


def _same(store: Store, plan: Plan) -> RunRow | None:
    """Return the newest run of a plan that was made by this kernel: rows of another are another run."""
    found = store.find_run(plan.sha256)
    return found if found is not None and found.versions.get("kernel") == source_hash() else None


def _claim(store: Store, plan: Plan, new: bool, name: str) -> tuple[int, bool, bool]:
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
            ground_truth(plan),
            name,
        )
    return run_id, False, False


def versions() -> dict[str, str]:
    """Return what a run's rows depend on, and what else made them."""
    from importlib.metadata import version

    packages = {name: version(name) for name in ("numpy", "numba", "duckdb")}
    return {"pdm-twin": __version__, "kernel": source_hash(), "python": platform.python_version(), **packages}


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
        raise


class _CtrlC:
    """Ctrl-C while a run is written: taken between two chunks, where nothing is half done.

    In the middle of a statement DuckDB would make an error of its own of it, and in the middle of a
    queue's bookkeeping it could leave a lock behind. The second Ctrl-C does not wait.
    """

    def __init__(self) -> None:
        self.pressed = False
        self.wake: Callable[[], object] = bool
        self._before: Any = None

    def __enter__(self) -> Self:
        before = signal.getsignal(signal.SIGINT)
        if callable(before) and threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _press(self, *_: object) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True
        self.wake()

    def check(self) -> None:
        """Raise if Ctrl-C was pressed."""
        if self.pressed:
            raise KeyboardInterrupt


def _write(store: Store, run_id: int, simulation: Simulation, total: int, progress: bool, ctrl_c: _CtrlC) -> int:
    """Write what is left of a simulation, and return the digest of the whole run."""
    plan, stop = simulation.plan, threading.Event()
    made: queue.SimpleQueue[_Made | BaseException | None] = queue.SimpleQueue()  # may be filled by a signal's handler
    ctrl_c.wake = lambda: made.put(KeyboardInterrupt())
    free: queue.Queue[Buffers | None] = queue.Queue()
    for _ in range(BUFFERS):
        free.put(Buffers(chunk_ticks(plan) * len(plan.machines)))
    done = simulation.tick * len(plan.machines)
    maker = threading.Thread(target=_make, args=(simulation, free, made, stop), name="twin-generate", daemon=True)
    maker.start()
    try:
        with store.run_writer(run_id) as writer, progress_bar(plan, done, progress) as bar:
            while (item := made.get()) is not None:
                ctrl_c.check()
                if isinstance(item, BaseException):
                    raise item
                total = join(total, item.digest)
                chunk = item.chunk
                end = chunk.tick + chunk.ticks
                writer.append(chunk.tick, end, chunk.columns(), chunk.missing, item.state, as_text(total))
                free.put(item.buffers)
                bar.update(chunk.rows)
    finally:
        stop.set()
        free.put(None)
        maker.join()
    return total


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


def progress_bar(plan: Plan, done: int, shown_to_user: bool) -> Any:
    """Return a bar over a plan's rows, with rate and time left, for terminal or notebook."""
    from tqdm.auto import tqdm

    return tqdm(
        desc="simulate",
        total=plan.rows,
        initial=done,
        unit="row",
        unit_scale=True,
        leave=False,
        disable=not shown_to_user,
    )
