"""Features: equal to pandas and scipy on the same rows, equal from a file and from a frame, and blind to the future."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest
from twin.plant import Plant
from twin.prognosis.features import FrameReader, baseline, features
from twin.prognosis.spec import FeatureSpec
from twin.prognosis.splits import check_causal

ALL = ("mean", "sd", "slope", "min", "max", "kurtosis", "q05", "q50")
SPEC = FeatureSpec.of(
    channels=("temperature_c", "vibration_mm_s"), statistics=ALL, windows=("12h", "48h"), cadence="4h",
    residuals=("power_w",), baseline="120h",
)  # fmt: skip


@pytest.fixture(scope="module")
def readings(run: Any) -> pd.DataFrame:
    return run.telemetry().df()


@pytest.fixture(scope="module")
def made(run: Any) -> pd.DataFrame:
    return features(run, SPEC)


def _slow(readings: pd.DataFrame, machine: int, at: pd.Timestamp, window: str, channel: str) -> dict[str, float]:
    """Return the statistics of one window, as anybody would write them."""
    mine = readings[(readings.machine_id == machine) & (readings.ts <= at) & (readings.ts > at - pd.Timedelta(window))]
    mine = mine[(mine.speed_rpm > 0) | mine.speed_rpm.isna()].dropna(subset=[channel])
    x, h = mine[channel].astype(float).to_numpy(), (mine.ts - at).dt.total_seconds().to_numpy() / 3600
    return {
        "mean": x.mean(),
        "sd": x.std(ddof=1) if x.size > 1 else np.nan,
        "slope": stats.linregress(h, x).slope if x.size > 1 else np.nan,
        "min": x.min(),
        "max": x.max(),
        "kurtosis": stats.kurtosis(x, bias=False) if x.size > 3 else np.nan,
        "q05": np.quantile(x, 0.05),
        "q50": np.quantile(x, 0.50),
    }


def test_windows_hold_what_a_slow_reading_of_them_says(made: pd.DataFrame, readings: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    for k in rng.choice(len(made), 60, replace=False):
        machine, at = made.index[k]
        for window in SPEC.windows:
            for channel in SPEC.channels:
                for name, value in _slow(readings, machine, at, window, channel).items():
                    found = made.iloc[k][f"{channel}_{name}_{window}"]
                    # fourth powers of deviations from an early level lose digits once a machine has left it
                    close = 1e-5 if name == "kurtosis" else 1e-9
                    assert found == pytest.approx(value, rel=close, abs=close, nan_ok=True), (machine, at, name, window)


def test_a_residual_is_the_distance_from_the_machines_own_early_relation(run: Any, readings: pd.DataFrame) -> None:
    made = features(run, SPEC)["power_w_residual_12h"]
    known = readings.ts.min() + pd.Timedelta(SPEC.baseline)
    times = made.index.get_level_values("ts")
    assert made[times < known].isna().all()
    early = made[(times >= known) & (times < known + pd.Timedelta(days=1))]
    assert early.abs().median() < 3.0
    fits = baseline(run, SPEC)
    assert sorted(fits.machine_id) == sorted(set(made.index.get_level_values("machine_id")))
    assert (fits.sd_power_w > 0).all()


def test_a_file_and_a_frame_give_the_same(run: Any, made: pd.DataFrame, readings: pd.DataFrame) -> None:
    reader = FrameReader(SPEC)
    given = reader.features(readings, run.alarms(), run.maintenance())
    pd.testing.assert_frame_equal(given, made, rtol=1e-9, atol=1e-9)


def test_newest_rows_are_the_last_of_all(run: Any, readings: pd.DataFrame) -> None:
    spec = SPEC.model_copy(update={"statistics": ("mean", "sd", "slope", "max", "q50")})
    reader = FrameReader(spec)
    fits = reader.baseline(readings)
    cut = readings[readings.ts > readings.ts.max() - pd.Timedelta(days=3)]
    newest = reader.newest(cut, fits, run.alarms(), run.maintenance())
    last = reader.features(readings, run.alarms(), run.maintenance(), fits).groupby("machine_id").tail(1)
    pd.testing.assert_frame_equal(newest.sort_index(), last, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("running_only", [True, False])
def test_newest_rows_leave_out_missing_readings(readings: pd.DataFrame, running_only: bool) -> None:
    spec = SPEC.model_copy(update={"running_only": running_only})
    reader = FrameReader(spec)
    cut = readings[readings.ts > readings.ts.max() - pd.Timedelta(days=3)].copy()
    for channel in ("temperature_c", "power_w", "torque_nm"):
        cut.loc[np.random.default_rng(len(channel)).random(len(cut)) < 0.3, channel] = np.nan
    fits = reader.baseline(readings)
    last = reader.features(cut, baseline=fits).groupby("machine_id").tail(1)
    assert last.filter(like="temperature").notna().all().all()
    pd.testing.assert_frame_equal(reader.newest(cut, fits).sort_index(), last, rtol=1e-9, atol=1e-9)


def test_newest_rows_of_a_spec_without_channels_tell_of_events(readings: pd.DataFrame) -> None:
    spec = FeatureSpec.of(channels=(), statistics=(), residuals=(), windows=("24h",))
    alarms = pd.DataFrame({"machine_id": [2, 2], "ts": [readings.ts.max()] * 2})
    newest = FrameReader(spec).newest(readings, alarms=alarms)
    last = FrameReader(spec).features(readings, alarms).groupby("machine_id").tail(1)
    assert newest.loc[2, "alarms_24h"].tolist() == [2.0]
    pd.testing.assert_frame_equal(newest.sort_index(), last)


def test_times_with_a_zone_are_those_of_utc_wherever_the_process_runs(
    readings: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = readings[readings.ts > readings.ts.max() - pd.Timedelta(days=3)]
    log = pd.DataFrame({"machine_id": [1], "end_at": [readings.ts.max() - pd.Timedelta(hours=2)]})
    fits = FrameReader(SPEC).baseline(readings)
    plain = FrameReader(SPEC).newest(cut, fits, log=log)
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        for zone in ("UTC", "Europe/Berlin"):
            zoned = cut.assign(ts=cut.ts.dt.tz_localize("UTC").dt.tz_convert(zone))
            work = log.assign(end_at=log.end_at.dt.tz_localize("UTC").dt.tz_convert(zone))
            reader = FrameReader(SPEC)
            pd.testing.assert_frame_equal(reader.newest(zoned, fits, log=work), plain)
            last = reader.features(zoned, log=work, baseline=fits).groupby("machine_id").tail(1)
            pd.testing.assert_frame_equal(last, plain.sort_index(), rtol=1e-5, atol=1e-5)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"readings": None}, "readings must be a DataFrame"),
        ({"readings": {"ts": "2026-01-05"}}, "ts of the readings must be times"),
        ({"readings": {"ts": 5}}, "ts of the readings must be times"),
        ({"readings": {"ts": pd.NaT}}, "ts of the readings must be times, none missing"),
        ({"readings": {"machine_id": np.nan}}, "machine_id of the readings must be whole numbers"),
        ({"readings": {"machine_id": "1"}}, "machine_id of the readings must be whole numbers"),
        ({"readings": {"temperature_c": "warm"}}, "temperature_c of the readings must be numbers"),
        ({"alarms": pd.DataFrame({"machine_id": [1]})}, "alarms lack ts"),
        ({"log": pd.DataFrame({"machine_id": [1], "ts": [pd.Timestamp(0)]})}, "log lack end_at"),
        ({"baseline": 5}, "baseline must be what reader.baseline returned"),
        ({"baseline": pd.DataFrame({"machine_id": [1]})}, "baseline must be what reader.baseline returned"),
    ],
)
def test_frames_that_cannot_be_read_are_refused_in_one_line(
    readings: pd.DataFrame, change: dict[str, Any], said: str
) -> None:
    given: dict[str, Any] = {"readings": readings.tail(50), **change}
    if isinstance(given["readings"], dict):
        given["readings"] = readings.tail(50).assign(**given["readings"])
    for asked in (FrameReader(SPEC).features, FrameReader(SPEC).newest):
        with pytest.raises(BadRequest, match=said) as caught:
            asked(**given)
        assert "\n" not in str(caught.value)


def test_features_know_nothing_of_the_future(run: Any, readings: pd.DataFrame) -> None:
    reader = FrameReader(SPEC)
    alarms, log = run.alarms(), run.maintenance()
    for at in ("2026-01-08", "2026-03-01 08:00"):
        check_causal(lambda cut: reader.features(cut, alarms, log), readings, at)


def test_alarms_and_work_are_counted_up_to_the_row(run: Any, made: pd.DataFrame) -> None:
    alarms, log = run.alarms(), run.maintenance()
    for k in np.random.default_rng(1).choice(len(made), 50, replace=False):
        machine, at = made.index[k]
        mine = alarms[alarms.machine_id == machine].ts
        assert made.iloc[k]["alarms_48h"] == ((mine <= at) & (mine > at - pd.Timedelta(days=2))).sum()
        done = log[(log.machine_id == machine) & (log.end_at <= at)].end_at
        hours = (at - done.max()).total_seconds() / 3600 if len(done) else np.nan
        assert made.iloc[k]["time_since_maintenance_h"] == pytest.approx(hours, nan_ok=True)


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_gaps_and_missing_readings_are_left_out(data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, 300), min_size=8, max_size=60, unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    ts = pd.Timestamp("2026-01-05") + pd.to_timedelta(np.sort(rows), unit="h")
    frame = pd.DataFrame(
        {"machine_id": 1, "ts": ts.astype("datetime64[us]"), **{c: rng.normal(9, 1, ts.size) for c in CHANNELS}}
    )
    frame.loc[rng.random(ts.size) < 0.2, "vibration_mm_s"] = np.nan
    spec = FeatureSpec.of(
        channels=("vibration_mm_s",), statistics=("mean", "max"), windows=("24h",), cadence="6h", residuals=(),
        alarms=False, maintenance=False,
    )  # fmt: skip
    made = FrameReader(spec).features(frame)
    x = frame.set_index("ts")["vibration_mm_s"]
    for (_, at), row in made.iterrows():
        window = x[(x.index <= at) & (x.index > at - pd.Timedelta("24h"))]
        assert row["vibration_mm_s_mean_24h"] == pytest.approx(window.mean(), nan_ok=True)
        assert row["vibration_mm_s_max_24h"] == pytest.approx(window.max(), nan_ok=True)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"channels": ("temprature_c",)}, "temperature_c"),
        ({"statistics": ("avg",)}, "unknown statistic"),
        ({"windows": ("25min",)}, "whole multiple of the cadence"),
        ({"windows": ()}, "needs a window"),
        ({"cadence": "0h"}, "more than zero"),
        ({"cadence": "-1h"}, "cadence"),
        ({"windows": ("24h", "24h")}, "twice"),
        ({"residuals": ("torque_nm",)}, "no residual"),
        ({"baseline": "nan"}, "baseline"),
        ({"windows": ("6h", "12h", "18h", "24h", "30h"), "statistics": tuple(f"q{k}" for k in range(10, 40))}, "500"),
        ({"window": "24h"}, "window"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said) as caught:
        FeatureSpec.of(**fields)
    assert "\n" not in str(caught.value)


def test_runs_without_what_it_takes_are_refused(plant: Plant, run: Any) -> None:
    events = plant.simulate("2026-01-05", "2026-01-09", "1h", events_only=True, progress=False)
    with pytest.raises(BadRequest, match="events only"):
        features(events)
    short = plant.simulate("2026-01-05", "2026-01-05 06:00", "10min", progress=False)
    with pytest.raises(BadRequest, match="shorter than the longest window"):
        features(short)
    with pytest.raises(BadRequest, match="unknown machine"):
        features(run, machines=["M-099"])
    with pytest.raises(BadRequest, match="lack vibration_g"):
        FrameReader().features(
            pd.DataFrame({"machine_id": [1], "ts": [pd.Timestamp("2026-01-05")], "temperature_c": [1.0]})
        )
    with pytest.raises(BadRequest, match="baseline"):
        FrameReader().newest(run.telemetry().df())


def test_some_machines_and_a_part_of_the_time_are_the_same_rows(run: Any, made: pd.DataFrame) -> None:
    some = features(run, SPEC, machines=["M-002", 3], start="2026-03-01", end="2026-03-08")
    times = made.index.get_level_values("ts")
    chosen = made[(times >= "2026-03-01") & (times < "2026-03-08")].loc[[2, 3]]
    pd.testing.assert_frame_equal(some, chosen, rtol=1e-9, atol=1e-9)


def test_a_spec_survives_json() -> None:
    again = FeatureSpec.model_validate_json(SPEC.model_dump_json())
    assert again == SPEC
    assert again.fingerprint == SPEC.fingerprint
    assert again.fingerprint != FeatureSpec().fingerprint
