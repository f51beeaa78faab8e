"""Laws 7 and 8 for whole runs: killed, interrupted, resumed, replayed, and read while they are written."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from twin.errors import BadRequest, RunInterrupted
from twin.plant import Plant
from twin.run import Run
from twin.store import RunWriter, Store

PROJECT = Path(__file__).parent.parent
CHUNK_ROWS = 20_000
HOURS, MACHINES = 12, 12
ROWS = MACHINES * HOURS * 3600

# a process that simulates through the command line in small chunks, and tells of each that is acknowledged
WRITER = """
import sys
import twin.cli, twin.pacing
from twin.store import RunWriter
twin.pacing.CHUNK_ROWS = int(sys.argv[1])
append = RunWriter.append
def told(self, *args):
    rows = append(self, *args)
    print(rows, flush=True)
    return rows
RunWriter.append = told
print("ready", flush=True)
twin.cli.main(sys.argv[2:])
"""


def command(db: Path, hours: int = HOURS) -> list[str]:
    end = f"2026-01-{5 + hours // 24:02d}T{hours % 24:02d}:00"
    return ["simulate", "--db", str(db), "--start", "2026-01-05", "--end", end, "--seed", "11", "--json"]


@contextmanager
def writer(db: Path, hours: int = HOURS, chunk_rows: int = CHUNK_ROWS) -> Iterator[subprocess.Popen[str]]:
    """Start a process that simulates into a plant; it is killed if it is still there at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(chunk_rows), *command(db, hours)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(process: subprocess.Popen[str]) -> str:
    """Return the next line of a writer: ready, then the rows acknowledged with each chunk."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def acknowledged(process: subprocess.Popen[str], chunks: int) -> int:
    """Wait for chunks of a writer, and return the rows it has acknowledged."""
    assert told(process) == "ready"
    rows = 0
    for _ in range(chunks):
        line = told(process)
        rows = int(line) if line.isdigit() else rows
    return rows


def simulate(db: Path, hours: int = HOURS) -> Run:
    end = f"2026-01-{5 + hours // 24:02d}T{hours % 24:02d}:00"
    return Plant.open(db).simulate("2026-01-05", end, "1s", seed=11, progress=False)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a plant with a scenario and faults at work, and no runs."""
    db = tmp_path_factory.mktemp("empty") / "plant.duckdb"
    plant = Plant.create(db, machines=MACHINES)
    plant.scenarios.activate("Stop-and-go duty cycle", machines=["M-001", "M-005"], at="2026-01-05 01:00")
    plant.failure_modes.inject("sensor_drift", machine="M-002", severity="high", at="2026-01-05 02:00")
    plant.failure_modes.inject("sensor_dropout", machine="M-003", severity="high", at="2026-01-05 02:30")
    plant.failure_modes.inject("sensor_stuck", machine="M-004", severity="high", at="2026-01-05 03:00:07.5")
    return db


@pytest.fixture(scope="module")
def undisturbed(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the digest of the run when nothing happens to it."""
    db = tmp_path_factory.mktemp("undisturbed") / "plant.duckdb"
    shutil.copy(empty, db)
    return simulate(db).digest()


@pytest.fixture
def db(empty: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(empty, tmp_path / "plant.duckdb"))


def assert_no_halves(db: Path) -> int:
    """Check that what is stored is whole, and return how many rows that is."""
    store = Store.open(db, read_only=True)
    rows = store.sql(
        """
        select r.committed_rows, r.committed_ticks * r.machines as due, coalesce(t.stored, 0) as stored
        from runs r full join (select run_id, count(*) as stored from telemetry group by run_id) t using (run_id)
        """
    )
    if rows.empty:
        return 0
    assert len(rows) == 1
    row = rows.iloc[0]
    stored = int(row.stored)
    assert int(row.committed_rows) == int(row.due) == stored
    truth = store.sql("select count(*) as n from ground_truth where run_id not in (select run_id from runs)")
    assert int(truth.n[0]) == 0
    return stored


def assert_resumed(db: Path, digest: str, rows: int = ROWS) -> Run:
    """Resume with the same call, and check that the run is the undisturbed one."""
    run = simulate(db)
    assert (run.status, run.rows, run.digest()) == ("complete", rows, digest)
    assert run.recomputed_digest() == digest
    assert assert_no_halves(db) == rows
    return run


# -- kill -9 ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(20))
def test_kill_at_a_random_moment_then_resume(db: Path, undisturbed: str, attempt: int) -> None:
    moment = random.Random(attempt)
    with writer(db) as process:
        # somewhere from the first transaction to the last: after some chunks, and some of the next
        rows = acknowledged(process, moment.randrange(ROWS // CHUNK_ROWS + 1))
        try:
            process.wait(timeout=moment.uniform(0.0, 0.08))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.wait()
    stored = assert_no_halves(db)
    assert stored >= rows  # what was acknowledged is there
    run = assert_resumed(db, undisturbed)
    assert run.resumed or run.reused or rows == 0


def test_kill_twice_then_resume_then_replay_elsewhere(db: Path, undisturbed: str) -> None:
    for chunks in (2, 9):
        with writer(db) as process:
            rows = acknowledged(process, chunks)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert assert_no_halves(db) >= rows > 0
    run = assert_resumed(db, undisturbed)
    assert run.resumed
    replay = subprocess.run(
        [sys.executable, "-m", "twin.cli", "replay", "--db", str(db), str(run.id), "--verify"],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=False,
    )
    assert replay.returncode == 0, replay.stderr


# -- interruption -----------------------------------------------------------------------------


def interrupted(db: Path, chunks: int, wait_s: float) -> int:
    """Press Ctrl-C some time after a writer's chunks, check how it leaves, and return the rows it acknowledged."""
    with writer(db) as process:
        rows = acknowledged(process, chunks)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=wait_s)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    assert len(error.strip().splitlines()) == 1
    assert "resume" in error
    return rows


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is a signal here")
@pytest.mark.parametrize("attempt", range(10))
def test_ctrl_c_at_a_random_moment_then_resume(db: Path, undisturbed: str, attempt: int) -> None:
    """Also within a statement, of which DuckDB would make an error of its own."""
    moment = random.Random(attempt)
    interrupted(db, moment.randrange(1, 20), moment.uniform(0.0, 0.05))
    assert_no_halves(db)
    assert assert_resumed(db, undisturbed).resumed


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is a signal here")
def test_interrupted_process_leaves_with_130_and_the_run_resumes(db: Path, undisturbed: str) -> None:
    rows = interrupted(db, 5, 0.01)
    store = Store.open(db, read_only=True)
    row = store.get_run("latest")
    assert row.status == "interrupted"
    assert ROWS > row.committed_rows >= rows
    assert assert_no_halves(db) == row.committed_rows
    with pytest.raises(BadRequest, match="interrupted"):
        Run(store, row.run_id).digest()
    assert assert_resumed(db, undisturbed).resumed


def interrupting(monkeypatch: pytest.MonkeyPatch, after: int, error: type[BaseException]) -> None:
    """Let the given number of chunks pass in this process, then raise."""
    monkeypatch.setattr("twin.pacing.CHUNK_ROWS", CHUNK_ROWS)
    append, calls = RunWriter.append, iter(range(10**6))

    def limited(self: RunWriter, *args: object) -> int:
        if next(calls) >= after:
            raise error("not now")
        return append(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(RunWriter, "append", limited)


def test_keyboard_interrupt_in_a_notebook_keeps_what_was_committed(
    db: Path, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupting(patch, 4, KeyboardInterrupt)
        with pytest.raises(RunInterrupted, match=r"interrupted at .* of .* rows"):
            simulate(db)
    row = Plant.open(db).store.get_run("latest")
    assert row.status == "interrupted"
    assert 0 < row.committed_rows == assert_no_halves(db) < ROWS
    assert assert_resumed(db, undisturbed).resumed


def test_a_fault_marks_the_run_as_failed_and_it_resumes(
    db: Path, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupting(patch, 3, OSError)
        with pytest.raises(OSError, match="not now"):
            simulate(db)
    row = Plant.open(db).store.get_run("latest")
    assert (row.status, row.error) == ("failed", "not now")
    assert assert_resumed(db, undisturbed).resumed


def test_an_interruption_before_the_first_chunk_resumes_too(
    db: Path, undisturbed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupting(patch, 0, KeyboardInterrupt)
        with pytest.raises(RunInterrupted):
            simulate(db)
    assert assert_no_halves(db) == 0
    assert_resumed(db, undisturbed)


# -- the same call again ----------------------------------------------------------------------


def test_a_complete_run_is_found_again_and_new_starts_another(db: Path) -> None:
    first = simulate(db, hours=1)
    again = simulate(db, hours=1)
    assert again.reused
    assert again.id == first.id
    other = Plant.open(db).simulate("2026-01-05", "2026-01-05T01:00", "1s", seed=11, progress=False, new=True)
    assert other.id != first.id
    assert other.digest() == first.digest()
    changed = Plant.open(db).simulate("2026-01-05", "2026-01-05T01:00", "1s", seed=12, progress=False)
    assert changed.id not in (first.id, other.id)
    assert changed.digest() != first.digest()


def test_a_changed_plant_starts_another_run(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        interrupting(patch, 2, KeyboardInterrupt)
        with pytest.raises(RunInterrupted):
            simulate(db)
    stopped = Plant.open(db).store.get_run("latest")
    Plant.open(db).scenarios.activate("Hot environment", machines="all", at="2026-01-05 06:00")
    run = simulate(db)
    assert run.id != stopped.run_id
    assert not run.resumed


# -- a reader beside the writer ---------------------------------------------------------------


@pytest.mark.slow
def test_a_reader_sees_committed_rows_while_another_process_writes(db: Path) -> None:
    counts: list[int] = []
    with writer(db, hours=96, chunk_rows=100_000) as process:
        acknowledged(process, 1)
        store = Store.open(db, read_only=True)  # waits for its turn as any other program does
        while process.poll() is None:
            seen = store.sql(
                "select committed_rows, (select count(*) from telemetry t where t.run_id = r.run_id) as stored"
                " from runs r"
            )
            assert int(seen.committed_rows[0]) == int(seen.stored[0])
            counts.append(int(seen.stored[0]))
        _, error = process.communicate()
    assert process.returncode == 0, error
    assert counts == sorted(counts)
    assert len(set(counts)) >= 3  # it moved under the reader's eyes
    assert simulate(db, hours=96).reused
