"""Figures of lives, warnings and paired worlds: what they show, what they leave out, what they refuse."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.models import GridPlot, HSpan, Legend, Scatter, VSpan, VStrip

from twin import plots, plots_world
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, UnknownName

START = pd.Timestamp("2026-01-01")
DAYS = 20


def day(number: float) -> pd.Timestamp:
    return START + pd.Timedelta(number * 24, "h")


def truth_of(machine: int, fails: int, repaired: int, mode: str = "bearing_degradation") -> pd.DataFrame:
    rows = []
    for n in range(DAYS):
        state = "failed" if fails <= n < repaired else "running"
        level = min(n / fails, 1.0) if n < repaired else (n - repaired) / 100
        damage = {mode: level, "rotor_imbalance": 0.01} if level else {}
        rows.append((machine, day(n), state, damage, 1 - level, 24.0 * abs(n - fails)))
    columns = ["machine_id", "ts", "operating_state", "damage", "health", "rul_h"]
    return pd.DataFrame(rows, columns=columns)


def readings(machine: int = 1, hours: int = 24 * DAYS, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.normal(2, 0.1, hours).astype(np.float32) for name in CHANNELS})
    frame.insert(0, "ts", START.to_datetime64() + np.arange(hours) * np.timedelta64(1, "h"))
    frame.insert(0, "machine_id", np.int16(machine))
    return frame


def failures_of(*rows: tuple[int, pd.Timestamp]) -> pd.DataFrame:
    columns = ["machine_id", "failed_at", "mode", "cause"]
    return pd.DataFrame([(m, at, "bearing_degradation", "wear") for m, at in rows], columns=columns)


def work_of(*rows: tuple[int, pd.Timestamp]) -> pd.DataFrame:
    columns = ["machine_id", "start_at", "action", "cost"]
    return pd.DataFrame([(m, at, "replace_bearing", 500.0) for m, at in rows], columns=columns)


def alarms_of(*rows: tuple[int, pd.Timestamp, str, str, float]) -> pd.DataFrame:
    columns = ["machine_id", "ts", "code", "level", "value"]
    return pd.DataFrame(list(rows), columns=columns).assign(message="said")


RULES = pd.DataFrame(
    {
        "name": ["zone_c", "shocks", "hot", "trip"],
        "channel": ["vibration_mm_s", "kurtosis", "temperature_c", "temperature_c"],
        "limit": [np.nan, 2.5, 1.25, 110.0],
        "relative": [False, False, True, False],
    }
)


def panels(layout: GridPlot) -> list[Any]:
    return [child[0] for child in layout.children]


def legend(layout: GridPlot) -> dict[str, list[Any]]:
    assert sum(len(panel.select(Legend)) for panel in panels(layout)) == 1
    [found] = panels(layout)[0].select(Legend)
    assert found in panels(layout)[0].above  # outside the data
    return {item.label.value: item.renderers for item in found.items}


def drawn(panel: Any, kind: type) -> list[Any]:
    return [r for r in panel.renderers if isinstance(r.glyph, kind) and plots_world._drawn(r)]


def test_a_life_is_a_panel_with_a_line_for_each_mode_that_matters() -> None:
    truth = pd.concat([truth_of(1, 10, 12), truth_of(2, 15, 16, "lubrication_loss")])
    layout = plots_world.lives(
        truth, failures_of((1, day(10)), (3, day(2))), work_of((1, day(12))), names={1: "M-001"}, title="Lives"
    )
    shown = panels(layout)
    assert [panel.left[0].axis_label for panel in shown] == ["M-001", "2"]
    assert list(legend(layout)) == ["Bearing degradation", "Lubrication loss", "stands still", "failure", "work"]
    assert len({panel.x_range.id for panel in shown}) == 1
    assert shown[-1].below[0].axis_label == "Time (UTC)"
    assert shown[0].title.text == "Lives"
    assert layout.sizing_mode == "stretch_width"
    crosses, triangles = drawn(shown[0], Scatter)
    assert list(crosses.data_source.data["x"]) == [day(10)]
    assert list(triangles.data_source.data["text"]) == ["Replace bearing"]
    assert drawn(shown[1], Scatter) == []  # another machine's failure is not its own


def test_standstill_is_shaded_once_from_its_first_row_to_the_next_state() -> None:
    truth = truth_of(1, 10, 13)
    truth.loc[[12, 18, 19], "operating_state"] = ["maintenance", "off", "off"]
    layout = plots_world.lives(truth)
    [strip, tripped] = drawn(panels(layout)[0], VStrip)
    assert list(strip.data_source.data["x0"]) == [day(10)]
    assert list(strip.data_source.data["x1"]) == [day(13)]
    assert list(tripped.data_source.data["x0"]) == [day(18)]
    assert list(tripped.data_source.data["x1"]) == [day(19)]  # as far as the truth goes
    assert list(legend(layout)) == ["Bearing degradation", "stands still", "tripped"]


def test_warnings_show_limits_alarms_and_the_end() -> None:
    alarms = alarms_of(
        (1, day(3), "zone_c", "warning", 1.9),
        (1, day(2), "shocks", "info", 2.6),
        (1, day(4), "hot", "warning", 2.1),
        (2, day(3), "zone_c", "alarm", 1.9),
        (1, day(99), "zone_c", "alarm", 1.9),
    )
    layout = plots_world.warnings(readings(), alarms, RULES, failures=failures_of((1, day(5)), (1, day(50))))
    velocity, kurtosis, temperature = panels(layout)
    assert [panel.left[0].axis_label for panel in panels(layout)] == ["Velocity (mm/s)", "Kurtosis", "Temperature (°C)"]
    limits = [[r.data_source.data["y"] for r in drawn(panel, HSpan)] for panel in panels(layout)]
    assert limits == [[[0.71], [1.8]], [[2.5]], []]  # C/D and the trip lie far above, "hot" is relative
    marks = [[list(r.data_source.data["y"]) for r in drawn(panel, Scatter)] for panel in (velocity, kurtosis)]
    assert marks == [[[1.9]], [[2.6]]]
    assert [r.data_source.data["x"] for r in drawn(temperature, VSpan)] == [[np.datetime64(day(5))]]
    assert list(legend(layout)) == ["reading", "notice", "warning", "failure", "ISO A/B", "ISO B/C", "fixed limit"]


def test_every_entry_of_the_legend_has_its_first_glyph_in_the_panel_of_the_legend() -> None:
    """Bokeh draws no sign for an entry whose glyph lies in another panel, or has no place at all."""
    alarms = alarms_of((1, day(2), "shocks", "info", 2.6))
    figures = [
        plots_world.warnings(readings(), alarms, RULES, failures=failures_of((1, day(5)))),
        plots_world.lives(pd.concat([truth_of(1, 30, 31), truth_of(2, 10, 12)]), failures_of((2, day(10))), work_of()),
        plots_world.worlds(readings(), readings(seed=2), (truth_of(1, 5, 6), truth_of(1, 8, 9)), at=day(3)),
    ]
    for layout in figures:
        for label, glyphs in legend(layout).items():
            assert glyphs[0] in panels(layout)[0].renderers, label
            assert all(len(column) for column in glyphs[0].data_source.data.values()), label


def test_what_did_not_happen_is_not_in_the_legend() -> None:
    layout = plots_world.warnings(readings(), alarms_of(), RULES.iloc[:0], channels=["power_w"])
    assert list(legend(layout)) == ["reading"]
    assert "failure" not in legend(plots_world.lives(truth_of(1, 10, 12), failures_of(), work_of()))


def test_two_worlds_share_their_panels_and_the_first_lies_on_top() -> None:
    truths = (truth_of(1, 5, 6), pd.concat([truth_of(1, 8, 9), truth_of(2, 2, 3)]))
    layout = plots_world.worlds(
        readings(), readings(seed=2), truths, labels=("base", "other"), at=day(3), parting="repair"
    )
    assert [p.left[0].axis_label for p in panels(layout)] == ["Velocity (mm/s)", "Temperature (°C)", "Life left (days)"]
    entries = legend(layout)
    assert list(entries) == ["base", "other", "repair"]
    assert len(entries["base"]) == len(entries["other"]) == len(entries["repair"]) == 3
    for panel in panels(layout):
        order = [
            panel.renderers.index(r) for label in ("other", "base") for r in entries[label] if r in panel.renderers
        ]
        assert order == sorted(order)
        assert [r.data_source.data["x"] for r in drawn(panel, VSpan)] == [[np.datetime64(day(3))]]
    left = entries["other"][-1].data_source.data
    assert len(left["y"]) == DAYS  # the other machine is left out
    assert left["y"][0] == 8.0  # days


def test_the_truth_is_shown_as_far_as_the_telemetry_goes() -> None:
    part = readings()[lambda f: f["ts"] >= day(10)]
    layout = plots_world.worlds(part, part, (truth_of(1, 5, 6), truth_of(1, 8, 9)), channels=["power_w"])
    assert min(legend(layout)["as it was"][-1].data_source.data["x"]) == day(10)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda f: plots_world.lives(truth_of(1, 5, 6).iloc[:0]), "no rows"),
        (lambda f: plots_world.lives(truth_of(1, 5, 6).drop(columns="damage")), "no column 'damage'"),
        (lambda f: plots_world.lives(truth_of(1, 5, 6), f), "failures: there is no column 'failed_at'"),
        (lambda f: plots_world.warnings(f.iloc[:0], alarms_of(), RULES), "no rows"),
        (lambda f: plots_world.warnings(f, f, RULES), "alarms: there is no column 'code'"),
        (lambda f: plots_world.warnings(f, alarms_of(), f), "plant.alarm_rules.list()"),
        (lambda f: plots_world.warnings(pd.concat([f, readings(2)]), alarms_of(), RULES), "one machine"),
        (lambda f: plots_world.worlds(f, readings(2)), "the same machine"),
        (lambda f: plots_world.worlds(f, f, labels=("x", "x")), "must differ"),
        (lambda f: plots_world.worlds(f, f, (f, f)), "no column 'rul_h'"),
        (lambda f: plots_world.worlds(f, f, channels=[]), "no channel"),
    ],
)
def test_bad_requests_are_refused_in_one_line(call: Any, said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        call(readings(hours=30))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_class_names_the_known() -> None:
    with pytest.raises(UnknownName, match="class of ISO 10816-1"):
        plots_world.warnings(readings(hours=30), alarms_of(), RULES, iso_class="V")


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8, 13])
def test_a_legend_fits_a_narrow_page(number: int) -> None:
    panel = plots._panel("power_w", 150, None)
    items = {f"{'entry ' * (1 + i % 4)}{i}": [panel.line([0], [1])] for i in range(number)}
    plots_world._entitle([panel], items, "")
    [found] = panel.select(Legend)
    assert 1 <= found.ncols <= 5
    rows = -(-number // found.ncols)
    assert panel.height >= 150 + 20 * rows


def test_importing_the_figures_does_not_import_bokeh_or_pandas() -> None:
    code = "import sys, twin.plots_outcomes; print(*{name.split('.')[0] for name in sys.modules})"
    root = Path(__file__).resolve().parents[1]
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root).stdout
    assert set(loaded.split()) & {"bokeh", "pandas", "duckdb"} == set()
