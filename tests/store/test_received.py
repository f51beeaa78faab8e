"""Exports as received: in the order of arrival, whole, and of rows that stay clean."""

from __future__ import annotations

from pathlib import Path

import chunks
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from twin.catalog.parameters import CHANNELS
from twin.errors import StoreFault
from twin.store import Store
from twin.store.transfer import LAYOUTS
from twin.transport import Transport

TICKS = 60
BAD = Transport(
    seed=7, drop=0.1, duplicate=0.1, delay_s=3.0, reorder=0.2, reorder_s=9.0, outage_per_day=1440.0, outage_s=10.0
)
NAMES = {"machineID": "machine_id", "datetime": "ts"}


@pytest.fixture
def filled(store: Store) -> Store:
    """Two runs in the plant; some readings of the newer are missing."""
    chunks.append(store, chunks.new_run(store, 10), 0, 10)
    run_id = chunks.new_run(store, TICKS)
    for start in range(0, TICKS, 20):
        columns = chunks.chunk(start, start + 20)
        columns["kurtosis"][::11] = np.nan
        nulls = tuple(channel == "kurtosis" for channel in CHANNELS)
        store.append_chunk(run_id, start, start + 20, columns, nulls, b"", "")
    return store


def frame(path: Path) -> pd.DataFrame:
    """Return a file of telemetry as `Transport.receive` would have it."""
    if path.suffix == ".parquet":
        found = pd.read_parquet(path)
    else:
        found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_json(path, lines=True)
    found = found.rename(columns=NAMES)
    for name in ("ts", "received_at"):
        found[name] = pd.to_datetime(found[name], utc=True, format="ISO8601").dt.tz_localize(None).dt.as_unit("us")
    return found.astype({"machine_id": "int16"} | dict.fromkeys(CHANNELS, "float32"))[
        ["machine_id", "ts", *CHANNELS, "received_at"]
    ]


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_the_file_is_what_the_transport_makes_of_the_rows(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, layout: str
) -> None:
    monkeypatch.setattr("twin.store.transfer._WINDOW_ROWS", 50)  # several windows
    before = filled.run_arrow(2)
    paths = filled.export(tmp_path / "it's here", format, layout, transport=BAD)
    (path,) = (path for path in paths if path.stem == "telemetry")
    expected = BAD.receive(before).to_pandas()
    assert 100 < len(expected) < 260
    pd.testing.assert_frame_equal(frame(path), expected)
    assert filled.run_arrow(2).equals(before)
    assert [path.stem for path in paths] == list(LAYOUTS[layout])
    assert sorted(path.name for path in paths) == sorted(path.name for path in path.parent.iterdir())


def test_columns_are_those_of_the_clean_file_and_the_arrival(filled: Store, tmp_path: Path) -> None:
    for layout in LAYOUTS:
        (clean,) = filled.export(tmp_path / "a", layout=layout, tables=["telemetry"])
        (received,) = filled.export(tmp_path / "b", layout=layout, tables=["telemetry"], transport=BAD)
        assert pq.read_schema(received).names == [*pq.read_schema(clean).names, "received_at"]
        types = [pq.read_schema(path).types for path in (clean, received)]
        assert types[1] == [*types[0], pq.read_schema(clean).field(2 if layout == "tables" else 1).type]


def test_only_telemetry_travels(filled: Store, tmp_path: Path) -> None:
    kept = [name for name in LAYOUTS["tables"] if name != "telemetry"]
    clean = filled.export(tmp_path / "a", "csv", tables=kept)
    received = filled.export(tmp_path / "b", "csv", tables=kept, transport=BAD)
    assert [a.read_bytes() for a in clean] == [b.read_bytes() for b in received]


def test_an_older_run_and_one_without_rows(filled: Store, tmp_path: Path) -> None:
    (path,) = filled.export(tmp_path, run_id=1, tables=["telemetry"], transport=BAD)
    pd.testing.assert_frame_equal(frame(path), BAD.receive(filled.run_arrow(1)).to_pandas())
    begun = chunks.new_run(filled, 10)
    (path,) = filled.export(tmp_path, "csv", run_id=begun, tables=["telemetry"], transport=BAD)
    assert path.read_text().splitlines() == [f"run_id,machine_id,ts,{','.join(CHANNELS)},received_at"]


def test_a_plant_without_runs(store: Store, tmp_path: Path) -> None:
    for layout in LAYOUTS:
        (path,) = store.export(tmp_path, layout=layout, tables=["telemetry"], transport=BAD)
        assert pq.read_table(path).num_rows == 0
        assert pq.read_schema(path).names[-1] == "received_at"


def test_the_plant_is_free_while_rows_are_sorted(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from twin.store import transfer

    sort = transfer._sorted

    def written_meanwhile(place: Path, format: str) -> Path:
        chunks.new_run(filled, 5)
        return sort(place, format)

    monkeypatch.setattr("twin.store.transfer._sorted", written_meanwhile)
    filled.export(tmp_path / "out", tables=["telemetry"], transport=BAD)
    assert len(filled.list_runs()) == 3


def test_a_failed_export_leaves_nothing(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    def interrupted(*_: object) -> Path:
        raise RuntimeError("Query interrupted")

    for fault, error in ((full, StoreFault), (interrupted, KeyboardInterrupt)):
        monkeypatch.setattr("twin.store.transfer._copy", fault)
        with pytest.raises(error):
            filled.export(tmp_path / "out", tables=["telemetry"], transport=BAD)
        assert list((tmp_path / "out").iterdir()) == []
