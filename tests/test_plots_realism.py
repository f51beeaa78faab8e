"""Figures of realism show the runs they are given, thinned but whole, beside the bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.embed import json_item
from bokeh.models import GridPlot, Legend, MultiLine

from twin import plots_realism
from twin.catalog.parameters import CHANNELS
from twin.plan import PlannedMachine
from twin.realism import SEED_BANDS
from twin.realism_fits import Warming
from twin.realism_runs import BearingRun, Steps


def run(machine_id: int, exit_share: float, readings: int = 1000) -> BearingRun:
    """Return a run that rises linearly to the fourfold from a share of its life on."""
    machine = PlannedMachine(machine_id=machine_id, name=f"M-{machine_id}", machine_type="fan", unit_seed=machine_id)
    age = np.arange(readings, dtype=np.float64)
    share = age / readings
    grown = 3.0 * np.clip((share - exit_share) / (1.0 - exit_share), 0.0, 1.0)
    rms = np.where(np.arange(readings) % 2, 1.01, 0.99) + grown
    kurtosis = 3.0 + 6.0 * np.exp(-(((share - 0.9) / 0.05) ** 2))
    return BearingRun(machine, float(readings), age, rms, kurtosis)


RUNS = [run(1, 0.6), run(2, 0.85), run(3, 0.97), run(4, 0.98, 120)]


def legend(panel: Any) -> list[str]:
    [found] = panel.select(Legend)
    return [item.label.value for item in found.items]


def lines(panel: Any) -> list[np.ndarray]:
    glyphs = [r for r in panel.renderers if isinstance(getattr(r, "glyph", None), MultiLine)]
    return [np.asarray(line) for r in glyphs for line in r.data_source.data[r.glyph.ys]]


def test_each_run_is_a_line_of_its_kind() -> None:
    panel = plots_realism.growth(RUNS, title="Growth")
    drawn = lines(panel)
    assert len(drawn) == 4
    assert all(len(line) <= plots_realism.POINTS for line in drawn)
    assert sorted(line[-1] for line in drawn) == pytest.approx(sorted(r.rms_g[-1] / r.baseline_g for r in RUNS))
    assert legend(panel)[:3] == ["leave 3 sigma before 0.8", "between", "after 0.95 of life"]
    assert panel.title.text == "Growth"


def test_a_kind_without_runs_is_not_named() -> None:
    assert "between" not in legend(plots_realism.kurtosis([RUNS[0], RUNS[2]]))


def test_the_exits_rise_to_one() -> None:
    panel = plots_realism.exits(RUNS)
    [steps] = [r for r in panel.renderers if type(r.glyph).__name__ == "Step"]
    data = steps.data_source.data
    assert list(data["y"]) == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert list(data["x"])[1:-1] == sorted(r.exit_share for r in RUNS)


def test_the_peaks_of_the_kurtosis_are_marked() -> None:
    panel = plots_realism.kurtosis(RUNS)
    [peaks] = [r for r in panel.renderers if type(r.glyph).__name__ == "Scatter"]
    assert list(peaks.data_source.data["y"]) == [r.kurtosis_peak for r in RUNS]
    assert "healthy real bearings" in legend(panel)


def steps(factor: float) -> Steps:
    minutes = np.arange(300.0)
    fits = [Warming(30.0, 20.0 * factor, 12.0 * factor, 0.1), Warming(25.0, 24.0 * factor, 30.0 * factor, 0.1)]
    return Steps(minutes, np.stack([fit.at(minutes) for fit in fits]).astype(np.float32), fits)


def test_the_warm_up_names_rise_and_time_constant() -> None:
    trials = {"sound": steps(1.0), "high": steps(1.6), "critical": steps(2.3)}
    said = legend(plots_realism.warm_up(trials, machine=1))
    assert said[0] == "sound cooling: +24.0 K, tau 30.0 min"
    assert said[-1] == "one exponential"
    assert len(said) == 4


def test_points_stand_in_the_row_of_their_kind() -> None:
    panel = plots_realism.time_constants(steps(1.0), ["spindle", "conveyor"])
    assert list(panel.y_range.factors) == ["conveyor", "spindle"]
    scattered = [r.data_source.data for r in panel.renderers if type(r.glyph).__name__ == "Scatter"]
    assert [(data["x"][0], data["y"][0][0]) for data in scattered] == [(12.0, "spindle"), (30.0, "conveyor")]


def test_settled_values_have_a_panel_a_channel() -> None:
    rng = np.random.default_rng(1)
    states = {name: rng.normal(1.0, 0.1, (len(CHANNELS), 20)) for name in ("normal", "loaded")}
    limits = [(channel, unit, bands) for channel, unit, *bands in SEED_BANDS]
    layout = plots_realism.settled(states, limits)
    assert isinstance(layout, GridPlot)
    labels = [child[0].yaxis[0].axis_label for child in layout.children]
    assert labels == ["Temperature (°C)", "Vibration (g)", "Power (W)"]


def test_the_autocorrelation_begins_at_the_first_lag() -> None:
    wave = np.sin(np.arange(600) * 2.0 * np.pi / 40.0)
    panel = plots_realism.autocorrelation({"fan": wave}, lags=20)
    drawn = panel.renderers[0].data_source.data
    assert drawn["y"][0] == pytest.approx(np.cos(2.0 * np.pi / 40.0), abs=0.01)
    assert drawn["y"][-1] == pytest.approx(-1.0, abs=0.01)


def test_what_does_not_move_is_left_empty() -> None:
    shifts = pd.DataFrame([[6.1, 0.0], [120.0, 12.34]], index=["bearing_degradation", "fan_loss"])
    shifts.columns = pd.Index(["temperature_c", "speed_rpm"])
    panel = plots_realism.matrix(shifts)
    assert panel.renderers[1].data_source.data["text"] == ["6.1", "", "120", "12"]
    assert list(panel.y_range.factors) == ["Fan loss", "Bearing degradation"]


def test_lives_show_the_law_that_was_drawn_from_and_the_fitted_one() -> None:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"mode": "seal", "start": 0.0, "stop": 100.0 * rng.weibull(2.0, 80), "event": True})
    panel = plots_realism.lives(table, {"seal": (2.0, 100.0)}, {"seal": (2.1, 98.0), "other": (1.0, 5.0)}, until=300.0)
    said = legend(panel)
    assert said[0] == "Seal"
    assert said[-1] == "the law fitted to it"
    assert len(panel.legend[0].items[-1].renderers) == 1


@pytest.mark.parametrize("draw", [plots_realism.growth, plots_realism.exits, plots_realism.kurtosis])
def test_figures_can_be_published(draw: Any) -> None:
    assert json_item(draw(RUNS))["doc"]
