"""Runs read and exported as received: the verbs and the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from twin.errors import BadRequest, UnknownName
from twin.plant import Plant
from twin.run import Run
from twin.transport import Transport

TEXT = "drop=0.05,delay=90s,duplicate=0.05,reorder=0.1,reorder_within=5min,seed=7"
SPAN = {"start": "2026-01-05", "end": "2026-01-05 03:00", "interval": "1min"}


@pytest.fixture
def run(plant: Plant) -> Run:
    return plant.simulate(**SPAN, machines=["M-001", "M-002", "M-003"], seed=3, progress=False)


def test_reading_as_received_changes_nothing_that_is_stored(run: Run) -> None:
    clean = run.telemetry().arrow()
    got = run.telemetry(transport=TEXT)
    assert got.arrow().equals(Transport.parse(TEXT).receive(clean))
    pd.testing.assert_frame_equal(got.df(), got.arrow().to_pandas())
    assert got.df()["received_at"].is_monotonic_increasing
    clean_frame = run.telemetry().df()
    assert got.df().dtypes[:-1].equals(clean_frame.dtypes)
    merged = got.df().merge(clean_frame, on=list(clean_frame.columns), how="inner")
    assert len(merged) == len(got.df())
    assert run.recomputed_digest() == run.digest()
    pd.testing.assert_frame_equal(run.telemetry(transport=None).df(), clean_frame)


def test_parts_of_a_run_are_parts_of_what_is_received(run: Run) -> None:
    whole = run.telemetry(transport=TEXT).df()
    part = run.telemetry("M-002", ["power_w"], "2026-01-05 01:00", "2026-01-05 02:00", transport=TEXT).df()
    hour = (whole["ts"] >= "2026-01-05 01:00") & (whole["ts"] < "2026-01-05 02:00") & (whole["machine_id"] == 2)
    assert list(part.columns) == ["power_w", "received_at"]
    pd.testing.assert_frame_equal(part, whole.loc[hour, ["power_w", "received_at"]].reset_index(drop=True))
    placed = run.telemetry(columns=["received_at", "ts"], transport=Transport.parse(TEXT)).arrow()
    assert placed.column_names == ["received_at", "ts"]
    assert placed["ts"].to_pylist() == list(whole["ts"])
    assert run.telemetry(columns="received_at", transport=TEXT).arrow().column_names == ["received_at"]


def test_a_run_as_received_is_refused_in_one_line(run: Run) -> None:
    with pytest.raises(UnknownName, match="received_at"):
        run.telemetry(columns=["received_at"])
    with pytest.raises(BadRequest, match="no columns"):
        run.telemetry(columns=[], transport=TEXT).df()
    for bad in ("drop=2", 5, ""):
        with pytest.raises(BadRequest, match="transport"):
            run.telemetry(transport=bad)  # type: ignore[arg-type]


def test_export_as_received(plant: Plant, run: Run, tmp_path: Path) -> None:
    paths = {path.stem: path for path in plant.export(tmp_path / "out", run=run.id, transport=TEXT)}
    got = pd.read_parquet(paths["telemetry"])
    pd.testing.assert_frame_equal(got.drop(columns="run_id"), run.telemetry(transport=TEXT).df())
    five = {path.stem: path for path in plant.export(tmp_path / "five", "csv", layout="five_tables", transport=TEXT)}
    assert len(pd.read_csv(five["telemetry"])) == len(got)
    with pytest.raises(BadRequest):
        plant.export(tmp_path / "none", transport="drop=nan")
    assert not (tmp_path / "none").exists()
    assert run.recomputed_digest() == run.digest()


def test_the_command_exports_as_received(twin: Callable[..., Any], run: Run, tmp_path: Path) -> None:
    read = {"csv": pd.read_csv, "json": lambda path: pd.read_json(path, lines=True), "parquet": pd.read_parquet}
    expected = run.telemetry(transport=TEXT).df()
    for format, reader in read.items():
        files = twin("export", "--format", format, "--transport", TEXT, "--out", str(tmp_path / format))
        (path,) = (file["file"] for file in files if Path(file["file"]).stem == "telemetry")
        got = reader(path)
        assert list(got.columns)[-1] == "received_at"
        arrived = pd.to_datetime(got["received_at"], utc=True, format="ISO8601").dt.tz_localize(None)
        assert (arrived.dt.as_unit("us") == expected["received_at"]).all()
        assert got["machine_id"].tolist() == expected["machine_id"].tolist()
    for bad, reason in (("drop=2", "less than or equal to 1"), ("", "must say what happens"), ("delay=5", "its unit")):
        status, line = twin("export", "--transport", bad, "--out", str(tmp_path / "bad"))
        assert status == 2
        assert reason in line
    assert not (tmp_path / "bad").exists()


def test_the_same_transport_gives_the_same_table_in_every_process(run: Run) -> None:
    got: pa.Table = run.telemetry(transport=TEXT).arrow()
    again = Plant.open(run._store.path).runs.get(run.id).telemetry(transport=TEXT).arrow()
    assert again.equals(got)
