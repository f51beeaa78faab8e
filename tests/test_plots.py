"""Figures keep every extreme, share their time axis, and name what they show; effect sizes are right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.models import ColumnDataSource, GridPlot, Legend
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twin import plots
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, UnknownName

START = np.datetime64("2026-01-05", "us")


def record(rows: int, machine_id: int = 1, start: str = "2026-01-05", seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.normal(50, 1, rows).astype(np.float32) for name in CHANNELS})
    frame.insert(0, "ts", np.datetime64(start, "us") + np.arange(rows) * np.timedelta64(1, "s"))
    frame.insert(0, "machine_id", np.int16(machine_id))
    return frame


def panels(layout: GridPlot) -> list[Any]:
    return [child[0] for child in layout.children]


def legend(layout: GridPlot) -> list[str]:
    [found] = panels(layout)[0].select(Legend)
    return [item.label.value for item in found.items]


def times(number: int) -> np.ndarray:
    return START + np.arange(number) * np.timedelta64(1, "s")


readings = arrays(
    np.float64,
    st.integers(0, 400),
    elements=st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))),
)


@given(values=readings, points=st.integers(1, 60))
def test_each_column_keeps_its_extremes_and_its_mean(values: np.ndarray, points: int) -> None:
    ts = times(len(values))
    trace = plots.decimate(ts, values, points)
    if len(values) <= 2 * points:
        assert np.array_equal(trace.readings, values, equal_nan=True)
        assert np.array_equal(trace.ts, ts)
        assert len(trace.envelope) == 0
        return
    kept = {t: v for t, v in zip(trace.envelope_ts, trace.envelope, strict=True) if np.isfinite(v)}
    original = dict(zip(ts, values, strict=True))
    assert all(original[t] == v for t, v in kept.items())  # nothing is invented
    valid = np.isfinite(values)
    width = (ts[-1] - ts[0]).astype(np.int64) / points + 1
    column = ((ts - ts[0]).astype(np.int64) // width)[valid]
    for c in np.unique(column):
        inside, at = values[valid][column == c], ts[valid][column == c]
        shown = [v for t, v in kept.items() if at[0] <= t <= at[-1]]
        assert min(shown) == inside.min()
        assert max(shown) == inside.max()
    means = trace.readings[np.isfinite(trace.readings)]
    assert len(means) == len(np.unique(column))
    assert np.all(np.diff(trace.envelope_ts.astype(np.int64)) >= 0)
    assert np.all(np.diff(trace.ts.astype(np.int64)) >= 0)


def test_one_reading_in_a_day_stays_visible() -> None:
    values = np.zeros(86_400)
    values[54_321] = 9.0
    trace = plots.decimate(times(len(values)), values)
    assert len(trace.envelope) <= 2 * 1200
    assert trace.envelope.max() == 9.0
    assert trace.envelope_ts[trace.envelope.argmax()] == times(len(values))[54_321]


def test_a_gap_breaks_the_line_and_a_single_missing_reading_does_not() -> None:
    values = np.ones(10_000)
    values[::7] = np.nan
    assert np.isfinite(plots.decimate(times(10_000), values, 100).readings).all()
    values[3000:5000] = np.nan
    trace = plots.decimate(times(10_000), values, 100)
    assert np.isnan(trace.readings).sum() == 1
    assert np.isnan(trace.envelope).sum() == 1
    middle = trace.ts[np.isnan(trace.readings)]
    assert times(10_000)[3000] <= middle[0] <= times(10_000)[5100]  # to a column


def test_a_signal_without_any_reading_is_drawn_as_nothing() -> None:
    trace = plots.decimate(times(10_000), np.full(10_000, np.nan), 100)
    assert not np.isfinite(trace.readings).any()
    layout = plots.signals(record(5000).assign(power_w=np.float32("nan")), points=100)
    assert len(panels(layout)) == 3


def test_panels_share_time_and_state_units() -> None:
    layout = plots.signals(record(500), channels=CHANNELS, title="All")
    figures = panels(layout)
    assert len({figure.x_range.id for figure in figures}) == 1
    labels = [figure.left[0].axis_label for figure in figures]
    assert labels == [
        "Temperature (°C)",
        "Vibration (g)",
        "Velocity (mm/s)",
        "Kurtosis",
        "Power (W)",
        "Current (A)",
        "Speed (rpm)",
        "Torque (N m)",
    ]
    assert figures[-1].below[0].axis_label == "Time (UTC)"
    assert figures[0].title.text == "All"
    assert {figure.sizing_mode for figure in figures} == {"stretch_width"}
    assert layout.sizing_mode == "stretch_width"


def test_the_legend_stands_outside_and_names_machines_and_spans_once() -> None:
    frame = pd.concat([record(100, machine) for machine in (1, 2)])
    spans = [plots.TimeSpan("rush", "2026-01-05T00:00:10", "2026-01-05T00:00:20"), plots.TimeSpan("rush", START)]
    layout = plots.signals(frame, names={1: "M-001", 2: "M-002"}, spans=spans)
    assert legend(layout) == ["M-001", "M-002", "rush"]
    assert [type(model) for model in panels(layout)[0].above if isinstance(model, Legend)] == [Legend]
    assert not any(figure.center and figure.select(Legend) for figure in panels(layout)[1:])


def test_a_machine_without_a_name_is_shown_by_its_number_and_a_nameless_line_without_legend() -> None:
    assert legend(plots.signals(record(10, 3))) == ["3"]
    assert legend(plots.signals(record(10).assign(machine="M-009"))) == ["M-009"]
    assert panels(plots.signals(record(10).drop(columns="machine_id")))[0].select(Legend) == []


def test_shades_end_with_the_readings() -> None:
    layout = plots.signals(
        record(100), channels=["power_w"], spans=[plots.TimeSpan("x", "2025-01-01"), plots.TimeSpan("y", START)]
    )
    sources = [source.data for source in panels(layout)[0].select(ColumnDataSource)]
    strips = [data for data in sources if "x0" in data]
    assert len(strips) == 2
    for data in strips:
        assert data["x0"][0] == START
        assert data["x1"][0] == START + np.timedelta64(99, "s")


def test_conditions_become_spans() -> None:
    activations = pd.DataFrame(
        {"scenario": ["High load", "High load"], "machine": ["M-001", "M-002"], "start_at": [START] * 2, "end_at": None}
    )
    end = pd.Timestamp("2026-01-06")
    injections = pd.DataFrame(
        {"failure_mode": ["rotor_imbalance"], "severity": ["high"], "start_at": [pd.Timestamp(START)], "end_at": [end]}
    )
    spans = plots.conditions(activations, injections)
    assert [span.label for span in spans] == ["High load", "Rotor imbalance, high"]
    assert spans[0].end is None
    assert spans[1].end == end
    assert plots.conditions(activations.assign(end_at=pd.NaT))[0].end is None
    assert plots.conditions() == []


def test_a_comparison_of_two_days_lays_one_over_the_other() -> None:
    layout = plots.comparison(record(50), record(50, start="2026-02-01"), labels=("a", "b"), channels=["power_w"])
    assert legend(layout) == ["a", "b"]
    starts = {source.data["x"][0] for source in panels(layout)[0].select(ColumnDataSource)}
    assert starts == {np.datetime64("2026-02-01", "us")}


def test_a_day_at_one_second_is_thinned_to_the_screen() -> None:
    layout = plots.comparison(record(86_400), record(86_400, seed=2))
    sizes = [len(source.data["y"]) for panel in panels(layout) for source in panel.select(ColumnDataSource)]
    assert max(sizes) <= 2400


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda f: plots.signals(f, channels=["heat"]), "unknown channel 'heat'"),
        (lambda f: plots.signals(f, channels=[]), "no channel"),
        (lambda f: plots.signals(f.drop(columns="power_w")), "no column 'power_w'"),
        (lambda f: plots.signals(f.iloc[:0]), "no rows"),
        (lambda f: plots.comparison(f, f, labels=("x", "x")), "must differ"),
        (lambda f: plots.comparison(pd.concat([f, f.assign(machine_id=2)]), f), "one machine"),
        (lambda f: plots.decimate(f["ts"], f["power_w"], 0), "points"),
    ],
)
def test_bad_requests_are_refused_in_one_line(call: Any, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        call(record(10))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_channels_name_the_known() -> None:
    with pytest.raises(UnknownName, match="did you mean 'power_w'"):
        plots.effect_sizes(record(3), record(3), ["power"])


def test_effect_sizes_are_those_of_the_textbook() -> None:
    before = pd.DataFrame({"ts": times(4), "power_w": [1.0, 2.0, 3.0, np.nan], "speed_rpm": [5.0] * 4})
    after = pd.DataFrame({"ts": times(4), "power_w": [2.0, 4.0, 6.0, 4.0], "speed_rpm": [5.0] * 4})
    table = plots.effect_sizes(before, after, ["power_w", "speed_rpm"])
    power = table.loc["power_w"]
    assert (power["normal"], power["faulty"], power["change"], power["change_percent"]) == (2.0, 4.0, 2.0, 100.0)
    pooled = np.sqrt((2 * 1.0 + 3 * (8 / 3)) / 5)
    assert power["cohens_d"] == pytest.approx(2.0 / pooled)
    assert power["unit"] == "W"
    assert table.loc["speed_rpm", "change"] == 0.0
    assert np.isnan(table.loc["speed_rpm", "cohens_d"])  # without any scatter there is no scale


def test_a_figure_survives_as_a_script_that_cannot_end_its_element(monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.publish_display_data", published.append)
    plots._show(plots.signals(record(10), title="</script>"), None)
    [data] = published
    assert set(data) == {"application/javascript", "text/plain"}
    assert "</script>" not in data["application/javascript"]


def test_importing_plots_does_not_import_bokeh_or_pandas() -> None:
    code = "import sys, twin.plots; print(*{name.split('.')[0] for name in sys.modules})"
    root = Path(__file__).resolve().parents[1]
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    assert set(loaded.split()) & {"bokeh", "pandas", "duckdb"} == set()
