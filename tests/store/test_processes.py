"""Several processes and threads at one file: taking turns, dying at any moment, running out of disk."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import chunks
import duckdb
import pyarrow as pa
import pytest

from twin.errors import PlantBusy, StoreFault
from twin.store import Store
from twin.store.connection import gate_of

Processes = Callable[..., chunks.Child]


def acknowledged(lines: list[str]) -> int:
    """Return the last tick that a writer was told to be stored."""
    return max((int(line.split()[1]) for line in lines if line.startswith(("begin ", "ack "))), default=0)


def test_a_reader_beside_a_writer(plant: Path, store: Store, processes: Processes) -> None:
    run_id = chunks.free_run(store, 1_000_000)
    writer = processes("write", plant, run_id, 500, 2000)
    assert writer.line() == "begin 0"
    acks: list[tuple[float, int]] = []

    def listen() -> None:
        while line := writer.line():
            _, tick, when = line.split()
            acks.append((float(when), int(tick)))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    reader = Store.open(plant, read_only=True)
    seen, waits = [], []
    while len(set(seen)) < 8:
        began = time.monotonic()
        seen.append(chunks.check_whole(reader, run_id))
        waits.append(time.monotonic() - began)
        before = max((tick for when, tick in list(acks) if when < began), default=0)
        assert seen[-1] >= before, "an acknowledged chunk was not seen"
    writer.process.kill()
    listener.join(60)
    assert seen == sorted(seen)
    assert max(waits) < 5
    assert chunks.check_whole(store, run_id) >= max(tick for _, tick in acks)


def test_readers_do_not_starve_a_writer(plant: Path, store: Store, processes: Processes) -> None:
    run_id = chunks.free_run(store, 600)
    writer = processes("write", plant, run_id, 30, 20)
    while writer.process.poll() is None:
        chunks.check_whole(Store.open(plant, read_only=True), run_id)
    assert writer.rest()[-1] == "end"
    assert chunks.check_whole(store, run_id) == 600


def test_a_killed_writer_leaves_whole_chunks(plant: Path, store: Store, processes: Processes) -> None:
    run_id = chunks.free_run(store, 1_000_000)
    dice = random.Random(5)
    last = 0
    for turn in range(6):
        writer = processes("write", plant, run_id, dice.choice((1, 50, 2000)), 2000)
        assert writer.line() == f"begin {last}"
        told = [writer.line() for _ in range(dice.randrange(6))]
        with suppress(subprocess.TimeoutExpired):  # the moment of death is what is random here
            writer.process.wait(dice.random() * 0.05)
        told += writer.kill()
        reader = Store.open(plant, read_only=turn % 2 == 0)
        stored = chunks.check_whole(reader, run_id)
        assert stored >= max(last, acknowledged(told))
        last = stored
    assert last > 0


def test_acknowledged_rows_survive_a_kill(plant: Path, store: Store, processes: Processes) -> None:
    dice = random.Random(6)
    told: list[str] = []
    for turn in range(3):
        child = processes("insert", plant, f"turn{turn}")
        assert child.line() == "begin"
        told += [child.line() for _ in range(dice.randrange(1, 5))]
        told += child.kill()
    names = [line.split()[2] for line in told if line.startswith("ack ")]
    assert names
    assert set(names) <= set(store.names("machines"))


@pytest.mark.parametrize("read_only", [False, True])
def test_a_held_file_is_waited_for_and_its_holder_named(plant: Path, processes: Processes, read_only: bool) -> None:
    holder = processes("hold", plant)
    assert holder.line() == "held"
    for wait_s in (0.0, 0.4):
        began = time.monotonic()
        with pytest.raises(PlantBusy) as error:
            Store.open(plant, read_only, wait_s=wait_s)
        assert wait_s <= time.monotonic() - began < wait_s + 2
        assert re.search(rf"held by process {holder.process.pid} \(.*chunks\.py hold", str(error.value))
        assert "\n" not in str(error.value)
    holder.rest()  # it ends when its input does
    assert Store.open(plant, read_only).count("machines") == 2


def test_a_wait_ends_when_the_file_is_free(plant: Path, processes: Processes) -> None:
    holder = processes("hold", plant)
    assert holder.line() == "held"
    found: list[int] = []
    waiter = threading.Thread(target=lambda: found.append(Store.open(plant, wait_s=30).count("machines")))
    waiter.start()
    holder.rest()
    waiter.join(30)
    assert found == [2]


def test_a_run_has_one_writer(plant: Path, store: Store, processes: Processes) -> None:
    run_id = chunks.free_run(store, 1_000_000)
    writer = processes("write", plant, run_id, 10, 100_000)
    assert writer.line() == "begin 0"
    for attempt in (lambda: store.claim_run(run_id), lambda: store.delete_run(run_id)):
        with pytest.raises(PlantBusy) as error:
            attempt()
        assert f"being written by process {writer.process.pid} (" in str(error.value)
    store.mark_run(run_id, "failed", "a claim that failed must not stop the writer")
    assert store.get_run(run_id).status == "running"
    writer.kill()
    assert store.claim_run(run_id).writer_pid == os.getpid()


def test_a_writer_whose_run_was_taken_over_stops(store: Store) -> None:
    run_id = chunks.new_run(store, 100)
    with store.run_writer(run_id) as first, store.run_writer(run_id) as second:
        first.append(0, 10, chunks.chunk(0, 10), chunks.NO_NULLS, b"state 10", "d")
        second.append(10, 20, chunks.chunk(10, 20), chunks.NO_NULLS, b"state 20", "d")
        with pytest.raises(PlantBusy, match="does not stand at tick 10"):
            first.append(10, 20, chunks.chunk(10, 20), chunks.NO_NULLS, b"state 20", "d")
        second.append(20, 30, chunks.chunk(20, 30), chunks.NO_NULLS, b"state 30", "d")
    assert chunks.check_whole(store, run_id) == 30


def test_threads_share_a_file(plant: Path, store: Store) -> None:
    run_id = chunks.new_run(store, 400)
    faults: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                faults.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write() -> None:
        with store.run_writer(run_id, release_s=0.1) as writer:
            for tick in range(0, 400, 20):
                to = tick + 20
                writer.append(tick, to, chunks.chunk(tick, to), chunks.NO_NULLS, b"state %d" % to, "d")

    def read() -> None:
        reader = Store.open(plant, read_only=True)
        while chunks.check_whole(reader, run_id) < 400 and not faults:
            pass

    def insert() -> None:
        for number in range(5):
            row = {"name": f"{threading.get_ident()}-{number}", "machine_type": "pump", "unit_seed": 1}
            Store.open(plant).insert("machines", row)

    threads = [guarded(work) for work in (write, read, read, insert, insert)]
    for thread in threads:
        thread.join(60)
    assert not faults
    assert store.count("machines") == 12
    assert chunks.check_whole(store, run_id) == 400


def test_threads_that_open_a_file_together_can_all_read_from_python(plant: Path) -> None:
    """DuckDB gives a database away before Python's functions are in it; so connections are opened one by one."""
    table, gate, faults = pa.table({"a": [1]}), gate_of(plant), []
    together = threading.Barrier(4)

    def work() -> None:
        for _ in range(50):
            together.wait(60)
            con, shared = gate.open_reading(5.0)
            try:
                assert con.from_arrow(table).fetchall() == [(1,)]
            except (duckdb.Error, AssertionError) as error:
                faults.append(error)
            finally:
                gate.close_reading(con, shared)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not faults


def test_another_connection_of_this_process_is_named(plant: Path) -> None:
    with (
        duckdb.connect(plant),
        pytest.raises(PlantBusy, match=r"this process holds .* through a DuckDB connection of its own"),
    ):
        Store.open(plant, wait_s=0.05)


def test_results_do_not_hold_the_file(plant: Path, store: Store, processes: Processes) -> None:
    kept = [store.sql("FROM machines"), store.sql_arrow("FROM machines"), store.rows("machines")]
    holder = processes("hold", plant)
    assert holder.line() == "held"
    assert len(kept) == 3


def test_a_file_that_cannot_grow_keeps_what_is_stored(plant: Path, store: Store, processes: Processes) -> None:
    run_id = chunks.free_run(store, 1_000_000)
    told = processes("limit", plant, run_id, 5000, 1_500_000).rest()
    assert told[-1].startswith("StoreFault no space left for the plant"), told[-1]
    stored = chunks.check_whole(Store.open(plant, read_only=True), run_id)
    assert stored >= acknowledged(told) > 0
    store.claim_run(run_id)
    chunks.append(store, run_id, stored, stored + 1)
    assert chunks.check_whole(store, run_id) == stored + 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_a_fault_of_one_line_and_nothing_is_torn(small_disk: Path, model_plant: bytes) -> None:
    path = small_disk / "plant.duckdb"
    path.write_bytes(model_plant)
    store = Store.open(path)
    run_id = chunks.new_run(store, 1_000_000)

    def fill() -> None:
        with store.run_writer(run_id) as writer:
            for tick in range(0, 1_000_000, 5000):
                to = tick + 5000
                writer.append(tick, to, chunks.chunk(tick, to), chunks.NO_NULLS, b"state %d" % to, "d")

    with pytest.raises(StoreFault) as error:
        fill()
    assert str(error.value).startswith("no space left for the plant")
    assert "\n" not in str(error.value)
    stored = chunks.check_whole(store, run_id)
    assert stored > 0
    before = set(os.listdir(small_disk))
    (small_disk / "ballast").write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - 4096)))
    with pytest.raises(StoreFault, match="no space left"):
        Store.create(small_disk / "second.duckdb")
    with pytest.raises(StoreFault, match="no space left"):
        store.export(small_disk, "csv", tables=["telemetry"])
    assert set(os.listdir(small_disk)) == before | {"ballast"}
    (small_disk / "ballast").unlink()
    assert chunks.check_whole(store, run_id) == stored
