"""Runs: chunk by chunk, each whole; what is stored is what was given."""

from __future__ import annotations

from pathlib import Path

import chunks
import numpy as np
import pytest

from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, PlantBusy, StoreFault, UnknownName
from twin.store import Store
from twin.store.writer import chunk_table


def columns_of(table: object) -> dict[str, np.ndarray]:
    return {name: table.column(name).to_numpy() for name in table.column_names}  # type: ignore[attr-defined]


def test_a_run_is_what_was_asked_for(store: Store) -> None:
    plan = '{"b": 1,  "a":[1,2]}'
    run_id = chunks.new_run(store, 100, plan=plan)
    run = store.get_run(run_id)
    assert run.plan == plan
    assert (run.start_us, run.end_us, run.interval_us) == (chunks.START_US, chunks.START_US + 100_000_000, 1_000_000)
    assert (run.machines, run.ticks, run.rows, run.committed_rows) == (3, 100, 300, 0)
    assert (run.status, run.digest, run.versions) == ("running", None, {"twin": "0"})
    assert store.load_state(run_id) is None
    assert store.list_runs()["run_id"].tolist() == [run_id]


def test_chunks_come_back_as_they_were_given(store: Store) -> None:
    run_id = chunks.new_run(store, 100)
    assert chunks.append(store, run_id, 0, 30) == 90
    assert store.load_state(run_id) == (30, b"state 30", "digest 30")
    with store.run_writer(run_id) as writer:
        for start, end in ((30, 31), (31, 90), (90, 100)):
            writer.append(start, end, chunks.chunk(start, end), chunks.NO_NULLS, b"state", "d")
    whole = chunks.chunk(0, 100)
    found = columns_of(store.run_arrow(run_id))
    assert list(found) == ["machine_id", "ts", *CHANNELS]
    for name, column in found.items():
        assert np.array_equal(column.astype(whole[name].dtype), whole[name]), name
    store.finish_run(run_id, "the digest", 1.5)
    run = store.get_run("latest")
    assert (run.status, run.digest, run.wall_s, run.complete) == ("complete", "the digest", 1.5, True)
    assert (run.writer_pid, run.finished_us is not None) == (None, True)
    assert store.load_state(run_id) is None
    with pytest.raises(BadRequest, match="complete"):
        store.claim_run(run_id)


def test_parts_of_a_run_are_read(store: Store) -> None:
    run_id = chunks.new_run(store, 50)
    chunks.append(store, run_id, 0, 50)
    start = chunks.START_US
    part = store.run_frame(run_id, [3, 1], ["machine_id", "power_w", "ts"], start + 10_000_000, start + 12_000_000)
    assert list(part.columns) == ["machine_id", "power_w", "ts"]
    assert part["machine_id"].tolist() == [1, 1, 3, 3]
    assert str(part["ts"].dtype) == "datetime64[us]"
    assert store.run_frame(run_id, machines=[]).empty
    sizes = [batch.num_rows for batch in store.read_batches(run_id, rows=60)]
    assert sizes == [60, 60, 30]


def test_missing_readings_are_null(store: Store) -> None:
    run_id = chunks.new_run(store, 20)
    columns = chunks.chunk(0, 20)
    columns["power_w"][::3] = np.nan
    nulls = tuple(name == "power_w" for name in CHANNELS)
    store.append_chunk(run_id, 0, 20, columns, nulls, b"", "")
    missing = store.sql("SELECT count(*) - count(power_w) AS power, count(*) - count(kurtosis) AS rest FROM telemetry")
    assert missing.to_dict("records") == [{"power": 20, "rest": 0}]
    table = store.run_arrow(run_id)
    assert table.column("power_w").null_count == 20
    assert np.isnan(table.column("power_w").to_numpy()).sum() == 20


def test_columns_are_handed_over_without_a_copy() -> None:
    columns = chunks.chunk(0, 1000)
    table = chunk_table(columns, (True,) * len(CHANNELS))
    for name, column in columns.items():
        assert table.column(name).chunk(0).buffers()[1].address == column.ctypes.data


@pytest.mark.parametrize("change", ["dtype", "length", "stride", "absent"])
def test_columns_of_another_form_are_refused(change: str) -> None:
    columns = chunks.chunk(0, 10)
    column = columns.pop("power_w")
    changed = {"dtype": column.astype(np.float64), "length": column[:-1], "stride": np.repeat(column, 2)[::2]}
    if change != "absent":
        columns["power_w"] = changed[change]
    with pytest.raises((BadRequest, KeyError)):
        chunk_table(columns, chunks.NO_NULLS)


def test_a_chunk_that_does_not_follow_is_refused_and_leaves_nothing(store: Store) -> None:
    run_id = chunks.new_run(store, 100)
    chunks.append(store, run_id, 0, 10)
    for start, end in ((0, 10), (20, 30)):
        with pytest.raises(PlantBusy, match="does not stand at tick"):
            chunks.append(store, run_id, start, end)
    with pytest.raises(StoreFault, match="rows for"):
        store.append_chunk(run_id, 10, 30, chunks.chunk(10, 20), chunks.NO_NULLS, b"", "")
    with pytest.raises((BadRequest, StoreFault)):
        chunks.append(store, run_id, 10, 101)  # beyond the end of the plan
    with pytest.raises(PlantBusy):
        chunks.append(store, run_id + 1, 0, 10)
    assert chunks.check_whole(store, run_id) == 10


def test_a_run_is_complete_only_with_all_its_rows(store: Store) -> None:
    run_id = chunks.new_run(store, 100)
    chunks.append(store, run_id, 0, 99)
    with pytest.raises(StoreFault, match="297 of 300 rows"):
        store.finish_run(run_id, "d", 1.0)
    assert store.get_run(run_id).status == "running"


def test_a_stopped_run_is_marked_and_goes_on(store: Store) -> None:
    run_id = chunks.new_run(store, 100)
    chunks.append(store, run_id, 0, 50)
    store.mark_run(run_id, "interrupted", "Ctrl-C")
    run = store.get_run(run_id)
    assert (run.status, run.error, run.writer_pid) == ("interrupted", "Ctrl-C", None)
    with pytest.raises(PlantBusy, match="stopped"):
        chunks.append(store, run_id, 50, 60)
    run = store.claim_run(run_id)
    assert (run.status, run.error, run.committed_ticks) == ("running", None, 50)
    chunks.append(store, run_id, 50, 60)
    with pytest.raises(UnknownName, match="status"):
        store.mark_run(run_id, "complete")


def test_runs_are_found_by_number_and_by_plan(store: Store) -> None:
    assert store.find_run("0" * 64) is None
    with pytest.raises(BadRequest, match="no run yet"):
        store.get_run("latest")
    first, second = chunks.new_run(store, 10), chunks.new_run(store, 10)
    other = chunks.new_run(store, 10, sha="1" * 64)
    found = store.find_run("0" * 64)
    assert found is not None
    assert (first, found.run_id, other, store.get_run("latest").run_id) == (1, second, 3, 3)
    for wrong in (4, 0, -1, 2**40, "x", "1; DROP TABLE runs", None):
        with pytest.raises(UnknownName, match="unknown run"):
            store.get_run(wrong)  # type: ignore[arg-type]


def test_a_deleted_run_takes_its_rows_along(store: Store) -> None:
    kept, gone = chunks.new_run(store, 10), chunks.new_run(store, 10)
    for run_id in (kept, gone):
        chunks.append(store, run_id, 0, 10)
    store.delete_run(gone)
    assert store.sql("SELECT DISTINCT run_id FROM telemetry")["run_id"].tolist() == [kept]
    assert store.count("run_states") == 1
    assert chunks.new_run(store, 10) == gone + 1
    with pytest.raises(UnknownName):
        store.delete_run(gone)


def test_truth_lies_apart(store: Store) -> None:
    run_id = chunks.new_run(store, 10)
    truth = {
        "run_id": [run_id, run_id],
        "machine_id": [1, 1],
        "ts": [chunks.START_US, chunks.START_US + 5],
        "operating_state": ["running", "idle"],
        "health": [0.25, 1.0],
    }
    with store.writing() as tx:
        for i in range(2):
            damage = "map {'bearing_degradation': 0.75, 'sensor_drift': 0.25}" if i == 0 else "map {}"
            tx.execute(
                f"INSERT INTO ground_truth SELECT ?, ?, make_timestamp(?), ?, {damage}, ?, ?",
                [*(truth[name][i] for name in truth), 12.5 if i == 0 else None],
            )
    frame = store.run_table(run_id, "ground_truth")
    assert frame["operating_state"].tolist() == ["running", "idle"]
    damage = {mode: round(level, 2) for mode, level in dict(frame["damage"][0]).items()}
    assert damage == {"bearing_degradation": 0.75, "sensor_drift": 0.25}
    assert frame["rul_h"].isna().tolist() == [False, True]
    assert store.run_table(run_id, "failures").empty
    with pytest.raises(UnknownName, match="table of a run"):
        store.run_table(run_id, "machines")


def test_unknown_columns_are_named(store: Store) -> None:
    run_id = chunks.new_run(store, 10)
    with pytest.raises(UnknownName, match="did you mean 'power_w'"):
        store.run_frame(run_id, columns=["power"])
    with pytest.raises(BadRequest, match="no columns"):
        store.run_frame(run_id, columns=[])


def test_the_writer_stops_holding_the_file_by_itself(store: Store, plant: Path) -> None:
    run_id = chunks.new_run(store, 30)
    with store.run_writer(run_id, release_s=0.05) as writer:
        writer.append(0, 10, chunks.chunk(0, 10), chunks.NO_NULLS, b"state 10", "d")
        child = chunks.Child("hold", plant)  # another process waits up to 5 s for the file
        assert child.line() == "held"
        child.rest()
        writer.append(10, 20, chunks.chunk(10, 20), chunks.NO_NULLS, b"state 20", "d")
    assert chunks.check_whole(store, run_id) == 20
