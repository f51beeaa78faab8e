"""Who carries out runs: processes of this machine, or a Dask cluster. Both take one run at a time: `submit`."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import queue
import re
import signal
import threading
import time
from concurrent.futures import Future
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from pipelines.scratch import leave, left_behind
from pipelines.tasks import Outcome, Task
from twin.errors import BadRequest, TwinError

_LOOK_S = 5.0
_JOIN_S = 1.0
CONNECT_S = 10.0
"""How long a Dask scheduler is called before it counts as not there."""

GRACE_S = 180.0
"""How much longer than its time limit a run is waited for: the kernel may have to
start first, and then its worker should have ended it."""


class Executor(Protocol):
    """Carries out runs, some at once."""

    @property
    def slots(self) -> int:
        """How many at once."""

    def submit(self, task: Task) -> Future[Outcome]:
        """Begin a run when there is a place for it; a worker that dies on it gives the outcome ``lost``."""

    def check(self) -> None:
        """Raise if no run can be carried out any more."""

    def close(self, kill: bool = False) -> None:
        """End the workers: after what they do, or at once."""


def executor_of(name: str, workers: int | None) -> Executor:
    """Return the executor of a name: ``local``, ``dask`` or ``dask://host:port``."""
    slots = workers or os.cpu_count() or 1
    refuse_unknown(name)
    if name == "local":
        return LocalPool(slots)
    if name == "dask":
        return DaskCluster(slots)
    return DaskCluster(workers, address=f"tcp://{name.removeprefix('dask://')}")


def refuse_unknown(executor: str | Executor) -> None:
    """Refuse the name of no executor, before anything starts."""
    if isinstance(executor, str) and not re.fullmatch("local|dask|dask://.+", executor):
        raise BadRequest(f"unknown executor {executor!r}; known: local, dask, dask://HOST:PORT")


class LocalPool:
    """Spawned processes, each with a pipe of its own, so that one that dies takes only its own run along.

    Parameters
    ----------
    slots : int
        How many.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._tasks: queue.SimpleQueue[tuple[Task, Future[Outcome]] | None] = queue.SimpleQueue()
        self._killed = threading.Event()
        self._workers = [_Worker() for _ in range(slots)]
        self._threads = [
            threading.Thread(target=self._serve, args=(worker,), name="twin-slot", daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, task: Task) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        self._tasks.put((task, future))
        return future

    def check(self) -> None:
        pass

    def _serve(self, worker: _Worker) -> None:
        """Give one worker one run after another, and replace it when it dies."""
        while (item := self._tasks.get()) is not None:
            task, future = item
            if not self._killed.is_set() and future.set_running_or_notify_cancel():
                try:
                    future.set_result(worker.carry_out(task))
                except BaseException as error:
                    future.set_exception(error)
        worker.end(kill=self._killed.is_set())

    def close(self, kill: bool = False) -> None:
        if kill:
            self._killed.set()
            for worker in self._workers:
                worker.kill()
        for _ in self._threads:
            self._tasks.put(None)
        for thread, worker in zip(self._threads, self._workers, strict=True):
            while thread.is_alive():
                thread.join(_JOIN_S)
                if kill:
                    worker.kill()  # one may have been about to start when all were killed

    @property
    def pids(self) -> list[int]:
        """The processes."""
        return [pid for worker in self._workers if (pid := worker.pid) is not None]


class _Worker:
    """One process, started when it is first needed."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def carry_out(self, task: Task) -> Outcome:
        """Return how a run went; `lost` if the process died, `failed` if it had to be ended."""
        if self._process is None or not self._process.is_alive():
            self._start()
        pipe = self._pipe
        assert pipe is not None
        try:
            pipe.send(task)
            ready = wait([pipe, self._process.sentinel], timeout=task.timeout_s + GRACE_S)
            if pipe in ready or pipe.poll():
                outcome: Outcome = pipe.recv()
                return outcome
        except (EOFError, OSError):
            ready = [self._process.sentinel]
        if not ready:
            self.end(kill=True)
            return Outcome(task.run_id, task.attempt, "failed", error=f"took longer than {task.timeout_s:g} s")
        self._process.join()
        status = self._process.exitcode
        self.end(kill=True)
        return Outcome(task.run_id, task.attempt, "lost", error=f"the worker died (exit status {status})")

    def _start(self) -> None:
        """Start the process: spawned, because a forked one inherits threads' locks and OpenMP's state."""
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=serve, args=(other,), name="twin-worker", daemon=True)
        self._process.start()
        other.close()

    def kill(self) -> None:
        if self._process is not None and self._process.is_alive():
            self._process.kill()

    def end(self, kill: bool) -> None:
        """End the process, if there is one."""
        if self._process is None:
            return
        if kill:
            self.kill()
        elif self._pipe is not None:
            with contextlib.suppress(OSError):
                self._pipe.send(None)
        self._process.join()
        left_behind(self._process.pid)
        self._process = None
        if self._pipe is not None:
            self._pipe.close()


def serve(pipe: Connection) -> None:
    """Live as a worker: carry out what comes through the pipe, until it says None or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the parent decides
    threading.Thread(target=_end_with_parent, name="twin-parent", daemon=True).start()
    from pipelines.worker import carry_out

    with contextlib.suppress(EOFError, OSError):
        while (task := pipe.recv()) is not None:
            pipe.send(carry_out(task))
    leave()  # here as well as beside: whichever thread ends the process, its folders are gone


def _end_with_parent() -> None:
    """Stop at once when the parent is gone: whoever resumes the sweep must not meet us at the same run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        leave()
        os._exit(1)


class DaskCluster:
    """A Dask cluster: one of this machine's processes, or a running one.

    Parameters
    ----------
    slots : int, optional
        Workers of a local cluster; of a running one those that it has are counted.
    address : str, optional
        The scheduler of a running cluster.
    """

    def __init__(self, slots: int | None, address: str | None = None) -> None:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError:
            raise BadRequest("the executor dask needs a package more: pip install 'pdm-twin[dask]'") from None
        self._lost_since: float | None = None
        self._cluster: Any = None
        with dask.config.set(
            {"distributed.comm.timeouts.connect": f"{CONNECT_S:g}s", "distributed.worker.daemon": True}
        ):
            if address is None:
                self._cluster = LocalCluster(
                    n_workers=slots, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
                )
                address = self._cluster.scheduler_address
            try:
                self._client: Any = Client(address, timeout=f"{CONNECT_S:g}s", set_as_default=False)
            except (OSError, TimeoutError) as error:
                said = str(error).splitlines()[0]
                raise TwinError(
                    f"there is no Dask scheduler at {address}: {said}; start one, or name another"
                ) from None
        self._own = slots if self._cluster is not None else None
        self._seen, self._seen_at = 1, -math.inf

    @property
    def slots(self) -> int:
        """Runs at once: one for each thread of the workers there are, looked up now and then."""
        if self._own is not None:
            return self._own
        if time.monotonic() - self._seen_at > _LOOK_S and self._client.status == "running":
            with contextlib.suppress(Exception):  # a scheduler that is gone does not answer: see check
                ncores = self._client.sync(self._client.scheduler.ncores, callback_timeout=_LOOK_S)
                self._seen = max(1, sum(ncores.values()))
            self._seen_at = time.monotonic()
        return self._seen

    def submit(self, task: Task) -> Future[Outcome]:
        from pipelines.worker import carry_out

        future: Future[Outcome] = Future()
        try:
            there = self._client.submit(carry_out, task, key=f"twin-{task.run_id}-{task.attempt}", pure=False)
        except Exception as error:
            raise _gone(error) from None
        there.add_done_callback(lambda done: _hand_over(done, task, future))
        return future

    def check(self) -> None:
        """Raise when the scheduler has been gone for some seconds."""
        if self._client.status == "running":
            self._lost_since = None
            return
        self._lost_since = self._lost_since or time.monotonic()
        if self._client.status in ("closed", "closing") or time.monotonic() - self._lost_since > _LOOK_S:
            raise _gone(None)

    def close(self, kill: bool = False) -> None:
        del kill  # nobody can end a run of another machine; one that is done twice gives the same results
        with contextlib.suppress(Exception):
            self._client.close(timeout=2)
        if self._cluster is not None:
            with contextlib.suppress(Exception):
                self._cluster.close(timeout=10)


def _hand_over(done: Any, task: Task, future: Future[Outcome]) -> None:
    """Pass on how a run went at Dask; whatever went wrong with its worker is worth another try."""
    try:
        outcome = done.result()
    except BaseException as error:
        said = (str(error).strip().splitlines() or [""])[0]
        outcome = Outcome(task.run_id, task.attempt, "lost", error=f"{type(error).__name__}: {said}"[:300])
    with contextlib.suppress(Exception):
        done.release()
    future.set_result(outcome)


def _gone(error: BaseException | None) -> TwinError:
    said = f" ({type(error).__name__})" if error is not None else ""
    return TwinError(f"the Dask scheduler is gone{said}; what was finished is kept, the same command does the rest")
