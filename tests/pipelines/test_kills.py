"""Sweeps whose processes are killed at random moments, ten times in all, end like undisturbed ones."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines import sweep
from twin.plant import Plant

pytestmark = pytest.mark.slow
Twin = Callable[..., subprocess.Popen[str]]
Digests = Callable[[Path], dict[str, str]]
RUNS = 40


@pytest.fixture
def work(tmp_path: Path) -> Path:
    path = tmp_path / "work.toml"
    path.write_text(
        'name = "work"\nfunction = "sweep_jobs:spin"\n[fixed]\nrounds = 60000\n[grid]\n'
        f"x = [1.0, 2.0]\n[seeds]\ncount = {RUNS // 2}\n"
    )
    return path


@pytest.fixture
def undisturbed(db: Path, tmp_path: Path, in_order: Any, digests: Digests) -> Callable[[Path], dict[str, str]]:
    """Return the digests of the same experiment without any disturbance, in this process."""

    def of(experiment: Path) -> dict[str, str]:
        own = Path(shutil.copy(db, tmp_path / "undisturbed.duckdb"))
        assert sweep(experiment, own, executor=in_order(), progress=False).complete == RUNS
        return digests(own)

    return of


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def after(process: subprocess.Popen[str], runs: int) -> dict[str, Any]:
    """Return once that many runs have been merged, or at the end of the sweep."""
    last: dict[str, Any] = {}
    for last in events(process):
        if last["event"] == "run" and (runs := runs - 1) <= 0:
            break
    return last


def rest(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the last event of a sweep that comes to its end."""
    told = list(events(process))
    assert process.stderr is not None
    assert process.wait() == 0, process.stderr.read()
    return told[-1]


def descendants(process: subprocess.Popen[str], word: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if word in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def left_behind(workers: list[psutil.Process]) -> list[Path]:
    """Return the folders that dead workers have left."""
    home = Path(tempfile.gettempdir())
    return [place for worker in workers for place in home.glob(f"twin-w{worker.pid}-*")]


def marks(db: Path) -> dict[Path, bytes]:
    """Return what the marks of complete runs hold."""
    return {path: path.read_bytes() for path in db.with_suffix(".sweeps").glob("*/runs/*/complete.json")}


def test_a_runner_killed_five_times_does_no_run_twice(
    db: Path, work: Path, twin: Twin, undisturbed: Any, digests: Digests
) -> None:
    chance = random.Random(5)
    for _ in range(5):
        process = twin("sweep", work, "--db", db, "--workers", 2, "--json")
        after(process, chance.randrange(1, 5))
        workers = descendants(process, "spawn_main")
        process.kill()
        process.communicate()
        psutil.wait_procs(workers, timeout=30)
        assert not any(worker.is_running() and worker.status() != "zombie" for worker in workers)
        assert left_behind(workers) == []
        before = marks(db)
    end = rest(twin("sweep", work, "--db", db, "--workers", 2, "--json"))
    assert (end["complete"], end["failed"]) == (RUNS, 0)
    assert end["done_now"] == RUNS - len(before)
    assert {path: marks(db)[path] for path in before} == before
    assert digests(db) == undisturbed(work)


def test_killed_workers_are_replaced(db: Path, work: Path, twin: Twin, undisturbed: Any, digests: Digests) -> None:
    chance = random.Random(2)
    killed = []
    process = twin("sweep", work, "--db", db, "--workers", 2, "--json")
    for _ in range(2):
        after(process, chance.randrange(1, 10))
        victims = descendants(process, "spawn_main")
        killed.append(chance.choice(victims))
        killed[-1].kill()
    assert rest(process)["complete"] == RUNS
    assert left_behind(killed) == []
    assert digests(db) == undisturbed(work)


def test_killed_kernels_are_replaced(db: Path, twin: Twin, notebook: Callable[..., str], tmp_path: Path) -> None:
    path = notebook(
        'out = ""\nnumber = 0',
        "import hashlib\nstate = str(number).encode()\n"
        "for _ in range(200_000):\n    state = hashlib.sha256(state).digest()",
        'from pipelines import returned\nreturned.give(out, {"hash": state.hex()})',
    )
    experiment = tmp_path / "kernels.toml"
    experiment.write_text(
        f'name = "kernels"\nnotebook = "{path}"\nruns_per_kernel = 100\n[grid]\nnumber = {list(range(8))}\n'
    )
    process = twin("sweep", experiment, "--db", db, "--workers", 1, "--json")
    killed = 0
    for runs in (2, 3):
        after(process, runs)
        for kernel in descendants(process, "ipykernel_launcher"):
            kernel.kill()
            killed += 1
    assert killed == 2
    assert rest(process)["complete"] == 8
    import hashlib

    for row in Plant.open(db).sql_rows("select parameters->>'number' as number, text from experiment_values"):
        state = row["number"].encode()
        for _ in range(200_000):
            state = hashlib.sha256(state).digest()
        assert row["text"] == state.hex()


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    """Start a Dask scheduler on a free port, and end it with its workers."""
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        words = ["scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_scheduler", *words[1:]],
            stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        )  # fmt: skip
        started.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if match := re.search(r"Scheduler at:\s+tcp://(\S+)", line):
                return process, match[1]
        raise AssertionError("the scheduler did not start")

    yield start
    for process in started:
        process.kill()
        process.communicate()


def dask_worker(address: str, place: Path) -> subprocess.Popen[bytes]:
    words = [f"tcp://{address}", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(place)]
    path = {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parents[2]}"}
    import os

    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_worker", *words, "--death-timeout", "60"],
        stderr=subprocess.DEVNULL, env=os.environ | path, cwd=place,
    )  # fmt: skip


def test_a_killed_dask_scheduler_and_a_killed_dask_worker(
    db: Path, work: Path, twin: Twin, scheduler: Any, tmp_path: Path, undisturbed: Any, digests: Digests
) -> None:
    process, address = scheduler()
    workers = [dask_worker(address, tmp_path) for _ in range(2)]
    try:
        command = ("sweep", work, "--db", db, "--json", "--executor")
        first = twin(*command, f"dask://{address}")
        after(first, 3)
        process.kill()
        _, said = first.communicate()
        assert first.returncode == 1
        assert said.splitlines()[-1].startswith("error: the Dask scheduler is gone")
        for worker in workers:
            worker.kill()
        _, address = scheduler()
        workers += [dask_worker(address, tmp_path) for _ in range(2)]
        second = twin(*command, f"dask://{address}")
        last = after(second, 3)
        workers[-1].kill()
        end = rest(second) if last["event"] != "end" else last
        assert (end["complete"], end["failed"]) == (RUNS, 0)
        assert digests(db) == undisturbed(work)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def test_two_sweeps_at_once_share_the_work(
    db: Path, work: Path, twin: Twin, undisturbed: Any, digests: Digests
) -> None:
    both = [twin("sweep", work, "--db", db, "--workers", 1, "--json") for _ in range(2)]
    ends = [rest(process) for process in both]
    assert [end["complete"] for end in ends] == [RUNS, RUNS]
    assert sum(end["done_now"] for end in ends) == RUNS
    attempts = Plant.open(db).sql_rows("select sum(attempts) as n from experiment_runs")
    assert attempts[0]["n"] == RUNS
    assert digests(db) == undisturbed(work)


def test_ctrl_c_finishes_what_is_under_way_and_the_rest_follows(db: Path, work: Path, twin: Twin) -> None:
    import os
    import signal

    work.write_text(work.read_text().replace("rounds = 60000", "rounds = 600000"))  # ten seconds are left then
    process = twin("sweep", work, "--db", db, "--workers", 2, "--json")
    after(process, 2)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "finishing the runs under way" in said
    assert re.fullmatch(
        r"error: experiment work was interrupted with \d+ of 40 runs complete; .*", said.splitlines()[-1]
    )
    row = Plant.open(db).store.rows("experiment_progress")[0]
    assert (row["running"], row["failed"]) == (0, 0)
    assert 2 <= row["complete"] < RUNS
    assert rest(twin("sweep", work, "--db", db, "--workers", 2, "--json"))["complete"] == RUNS
