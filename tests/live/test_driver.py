"""The clock of a live session, and what befalls it: stalls, slow and broken watchers, a file in others' hands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

import twin
from twin.errors import BadRequest
from twin.live import Frame, LiveSession, ParquetSink
from twin.plant import Plant

pytestmark = pytest.mark.slow
PATIENCE_S = 60.0


def until(what: Callable[[], Any], session: LiveSession | None = None) -> Any:
    """Wait for something, a frame (or a moment) at a time."""
    end = time.monotonic() + PATIENCE_S
    subscription = session.subscribe() if session is not None else None
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        if subscription is not None and not subscription.closed:
            subscription.take(0.2)
        else:
            threading.Event().wait(0.01)
    if subscription is not None:
        subscription.close()
    return found


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant.create(tmp_path / "plant.duckdb", machines=3)


@pytest.fixture
def session(plant: Plant) -> Iterator[LiveSession]:
    made = LiveSession(plant, speed=60.0, seed=2)
    yield made
    made.stop()


def test_the_clock_plays_pauses_steps_and_stops_at_a_time(session: LiveSession) -> None:
    session.start()
    until(lambda: session.tick > 30, session)
    session.pause().wait()
    stood = session.tick
    assert session.clock().status == "paused"
    session.step(5).wait()
    until(lambda: session.tick == stood + 5, session)
    session.set_speed(600.0).wait()
    session.run_until("2026-01-05 00:20:00").wait()
    until(lambda: session.clock().status == "paused", session)
    assert session.tick == 1200
    session.set_speed(10_000.0).wait()
    session.play().wait()
    until(lambda: session.tick > 20_000, session)
    session.reset().wait()
    until(lambda: session.tick < 20_000, session)
    assert session.alive
    session.stop()
    assert session.status == "stopped"
    assert session.pause().status == "refused"
    with pytest.raises(BadRequest):
        session.start()


def test_a_stall_is_not_made_up_for(session: LiveSession) -> None:
    """Sixty times real time at ten frames a second: whatever the machine does, no frame has a backlog."""
    frames = session.subscribe(1000)
    session.start()
    until(lambda: session.tick > 10)
    with session._lock:  # a stall of the driver
        before = session.tick
        threading.Event().wait(1.0)
        assert session.tick == before
    until(lambda: session.tick > before + 20)
    assert max(frame.ticks for frame in frames.take(1.0)) <= 13  # two frames' worth, and a rounding


def test_a_slow_watcher_loses_old_frames_and_slows_nobody(session: LiveSession) -> None:
    slow, quick = session.subscribe(frames=2), session.subscribe(frames=1000)
    session.start()
    until(lambda: slow.dropped > 5)
    session.pause().wait()
    kept, seen = slow.take(0.0), quick.take(0.0)
    assert len(kept) <= 2
    assert kept[-1].tick >= seen[-1].tick - seen[-1].ticks
    assert quick.dropped == 0
    assert sum(frame.ticks for frame in seen) == seen[-1].tick + seen[-1].ticks - seen[0].tick


def test_a_watcher_that_raises_is_given_up_and_says_why(session: LiveSession) -> None:
    def broken(frame: Frame) -> None:
        raise RuntimeError("my mistake")

    bad, good = session.subscribe(callback=broken), session.subscribe()
    session.start()
    until(lambda: bad.error)
    assert bad.error == "RuntimeError: my mistake"
    assert bad.closed
    assert good.take(PATIENCE_S)
    assert session.alive


def test_frames_go_into_a_parquet_file(session: LiveSession, tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path / "live.parquet", ticks=50)
    subscription = session.subscribe(1000, callback=sink)
    for _ in range(7):
        session.advance(30)
    subscription.close()
    subscription.join(PATIENCE_S)
    sink.close()
    table = pq.read_table(tmp_path / "live.parquet")
    assert table.num_rows == 210 * 3
    with pytest.raises(BadRequest):
        ParquetSink(tmp_path / "nowhere" / "live.parquet")


def test_another_session_of_the_plant_stops_the_former(plant: Plant, session: LiveSession) -> None:
    session.start()
    until(lambda: session.tick > 5, session)
    with LiveSession(plant, speed=60.0) as other:
        other.start()
        assert session.status == "stopped"
        assert other.alive
        assert plant.runs.row(session.run_id)["status"] == "complete"


def test_an_error_in_the_simulation_ends_the_session_and_is_told(
    session: LiveSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.start()
    until(lambda: session.tick > 5, session)

    def broken(ticks: int) -> None:
        raise ValueError("no such thing")

    monkeypatch.setattr(session._simulation, "advance", broken)
    until(lambda: session.status == "failed")
    assert session.error == "internal error: ValueError: no such thing"
    assert session.inject("sensor_drift", "M-001", severity="low").status == "refused"


def test_another_process_reads_what_was_seen_a_second_ago(plant: Plant, session: LiveSession) -> None:
    session.start()
    until(lambda: session.tick > 60, session)
    code = (
        "import sys, twin; plant = twin.open(sys.argv[1], read_only=True);"
        "print(plant.sql('SELECT count(*) FROM telemetry')['count_star()'][0])"
    )
    seen = session.tick
    session.flush()
    told = subprocess.run(
        [sys.executable, "-c", code, str(plant.path)], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert int(told.stdout) >= 3 * seen
    assert session.alive


def test_a_file_in_others_hands_pauses_nothing_and_loses_nothing(plant: Plant, session: LiveSession) -> None:
    session.start()
    until(lambda: session.tick > 20, session)
    code = (
        "import sys, duckdb, time\n"
        "while True:\n"
        "    try: con = duckdb.connect(sys.argv[1]); break\n"
        "    except duckdb.IOException: time.sleep(0.002)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(plant.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    held = session.tick
    until(lambda: session.tick > held + 120, session)  # it goes on
    assert session.status == "playing"
    holder.kill()
    holder.wait()
    session.stop()
    assert session.error is None
    assert plant.runs.get(session.run_id).verify()


def test_rows_that_cannot_be_stored_pause_the_session_until_they_can(
    plant: Plant, session: LiveSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    from twin.errors import StoreFault

    recording = session._recorder._recording  # type: ignore[union-attr]
    whole = recording.append

    def full(*given: Any) -> None:
        raise StoreFault("no space left on device: free some space")

    monkeypatch.setattr(recording, "append", full)
    session.start()
    until(lambda: session.error)
    assert "no space left" in str(session.error)
    until(lambda: session.clock().status == "paused")
    monkeypatch.setattr(recording, "append", whole)
    session.play().wait()
    assert session.error is None
    stood = session.tick
    until(lambda: session.tick > stood + 10, session)
    session.stop()
    assert plant.runs.get(session.run_id).verify()


@pytest.mark.parametrize("number", range(3))
def test_a_killed_session_loses_a_second_at_most_and_is_replayed_or_gone_on_with(plant: Plant, number: int) -> None:
    driven = Path(__file__).with_name("driven.py")
    process = subprocess.Popen([sys.executable, str(driven), str(plant.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(2 + number)]
    os.kill(process.pid, signal.SIGKILL)
    lines += process.stdout.readlines()
    process.wait()
    run_id, stored = (int(word) for word in [line for line in lines if line.endswith("\n")][-1].split())
    row = plant.runs.row(run_id)
    assert row["status"] == "running"
    assert row["committed_rows"] >= 3 * stored
    if number:
        again = LiveSession(plant, resume=run_id)
        assert again.tick * 3 == row["committed_rows"]
        assert {i.failure_mode for i in again.plan.injections} == {"bearing_degradation"}
        again.clear(1)
        again.advance(500)
        again.stop()
    run = twin.open(plant.path).runs.get(run_id)
    assert run.verify()
    assert run.status == "complete"
    with duckdb.connect(plant.path, read_only=True) as con:
        rows, ticks = con.execute("SELECT rows, ticks FROM runs WHERE run_id = ?", [run_id]).fetchone() or (0, 0)
    assert rows == 3 * ticks
