"""Telemetry whose every value follows from machine and tick, and processes that write it.

Run as a program, this is such a process: it does what its arguments say, tells each step on
standard output once it is acknowledged, and goes on until it is done or killed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from twin.catalog.parameters import CHANNELS
from twin.errors import TwinError
from twin.store import Store

MACHINES = 3
START_US = 1_767_225_600_000_000  # 2026-01-01
STEP_US = 1_000_000
NO_NULLS = (False,) * len(CHANNELS)


def value(machine: np.ndarray, tick: np.ndarray, channel: int) -> np.ndarray:
    """Return the reading that a channel has."""
    return ((machine * 31 + tick * 7 + channel * 3) % 1000).astype(np.float32) / 8


def chunk(from_tick: int, to_tick: int, machines: int = MACHINES) -> dict[str, np.ndarray]:
    """Return the columns of a chunk, ordered by machine and time."""
    ticks = np.tile(np.arange(from_tick, to_tick, dtype=np.int64), machines)
    ids = np.repeat(np.arange(1, machines + 1, dtype=np.int16), to_tick - from_tick)
    columns = {"machine_id": ids, "ts": START_US + ticks * STEP_US}
    return columns | {name: value(ids.astype(np.int64), ticks, i) for i, name in enumerate(CHANNELS)}


def new_run(store: Store, ticks: int, machines: int = MACHINES, plan: str = "{}", sha: str = "0" * 64) -> int:
    """Enter a run of these chunks."""
    end = START_US + ticks * STEP_US
    return store.create_run(plan, sha, 7, START_US, end, STEP_US, machines, ticks, {"twin": "0"})


def free_run(store: Store, ticks: int) -> int:
    """Enter a run that any process may go on with."""
    run_id = new_run(store, ticks)
    store.mark_run(run_id, "interrupted", "handed over")
    return run_id


def append(store: Store, run_id: int, from_tick: int, to_tick: int) -> int:
    """Append one chunk, with a state that tells the tick."""
    return store.append_chunk(
        run_id, from_tick, to_tick, chunk(from_tick, to_tick), NO_NULLS, b"state %d" % to_tick, f"digest {to_tick}"
    )


def check_whole(store: Store, run_id: int) -> int:
    """Check that what is stored of a run is whole, and return its ticks."""
    with store.reading() as tx:
        ticks, rows = tx.execute("SELECT committed_ticks, committed_rows FROM runs WHERE run_id = ?", [run_id])[0]
        found = tx.execute("SELECT machine_id, count(*), min(ts), max(ts) FROM telemetry GROUP BY 1 ORDER BY 1")
        states = tx.execute("SELECT tick, state FROM run_states WHERE run_id = ?", [run_id])
        checksum = tx.execute("SELECT sum(temperature_c::DOUBLE), sum(torque_nm::DOUBLE) FROM telemetry")[0]
    assert rows == ticks * MACHINES
    assert [row[:2] for row in found] == [(m, ticks) for m in range(1, MACHINES + 1) if ticks]
    assert len({row[2:] for row in found}) <= 1
    assert states == ([(ticks, b"state %d" % ticks)] if ticks else [])
    if ticks:
        whole = chunk(0, ticks)
        assert checksum == (whole["temperature_c"].sum(dtype=float), whole["torque_nm"].sum(dtype=float))
    return int(ticks)


class Child:
    """A process of this program, and the lines that it tells."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, __file__, *map(str, arguments)]
        root = str(Path(__file__).parents[2])
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": root},
        )

    def line(self) -> str:
        """Return the next line, or an empty text at the end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def rest(self) -> list[str]:
        """Let the process finish, and return the lines that are left."""
        out, err = self.process.communicate(timeout=60)
        assert "Traceback" not in err, err
        return out.split("\n")[:-1]

    def kill(self) -> list[str]:
        """Kill the process at once, and return the lines that it told before and nobody has read."""
        self.process.kill()
        return self.process.communicate(timeout=60)[0].split("\n")[:-1]

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=60)


def tell(*words: object) -> None:
    print(*words, flush=True)


def write(path: str, run_id: str, size: str, chunks: str) -> None:
    """Append chunks of a size to a run, from where it stands."""
    store = Store.open(path, wait_s=30)
    run = store.claim_run(int(run_id))
    at = run.committed_ticks
    tell("begin", at)
    with store.run_writer(run.run_id, release_s=0.2) as writer:
        for _ in range(int(chunks)):
            to = min(at + int(size), run.ticks)
            writer.append(at, to, chunk(at, to), NO_NULLS, b"state %d" % to, f"digest {to}")
            at = to
            tell("ack", at, time.monotonic())
    tell("end")


def insert(path: str, prefix: str) -> None:
    """Add machines until killed."""
    store = Store.open(path, wait_s=30)
    tell("begin")
    for number in range(10_000):
        key = store.insert("machines", {"name": f"{prefix}-{number}", "machine_type": "pump", "unit_seed": 1})
        tell("ack", key, f"{prefix}-{number}")


def hold(path: str) -> None:
    """Keep the file open for writing until standard input ends."""
    with Store.open(path).writing():
        tell("held")
        sys.stdin.read()


def limit(path: str, run_id: str, size: str, room: str) -> None:
    """Append chunks while no file may grow beyond a size."""
    import resource

    most = os.path.getsize(path) + int(room)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    write(path, run_id, size, "1000")


def create(path: str) -> None:
    """Create a plant when told to."""
    tell("ready")
    sys.stdin.readline()
    Store.create(path)
    tell("created")


def as_nobody(action: str, path: str) -> None:
    """Open or create a plant as a user who owns nothing."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    if action == "create":
        Store.create(path)
    else:
        store = Store.open(path, read_only=action == "read")
        tell("opened", store.count("machines"))


def main(name: str, *arguments: str) -> None:
    actions = {f.__name__: f for f in (write, insert, hold, limit, create, as_nobody)}
    try:
        actions[name](*arguments)
    except TwinError as error:
        tell(type(error).__name__, error)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main(*sys.argv[1:])
