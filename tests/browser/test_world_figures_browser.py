"""Figures of lives, worlds and outcomes in a real browser: drawn, within the page, and without complaints."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from bokeh.embed import file_html
from bokeh.layouts import column
from bokeh.resources import INLINE

from twin import plots_outcomes, plots_world
from twin.catalog.parameters import CHANNELS
from twin.catalog.wear import ISO_ZONES_MM_S

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WEARING = (
    "bearing_degradation", "lubrication_loss", "mechanical_looseness", "motor_overheating", "rotor_imbalance",
    "shaft_misalignment", "winding_degradation",
)  # fmt: skip
HOURS, FAILS, BACK = 2000, 1200, 1230
FIGURES, PANELS = 5, 2 + 3 + 3 + 1 + 1
_DRAWN = """() => [...Bokeh.documents.flatMap(d => [...d._all_models.values()])]
  .filter(m => m.type == "Figure").map(m => {
    const view = Bokeh.index.find_one(m);
    const legend = [...view.children()].flatMap(function walk(v) {
      return v.model.type == "Legend" ? [v] : [...(v.children ? v.children() : [])].flatMap(walk);
    })[0];
    const box = legend && legend.bbox, frame = view.frame.bbox;
    return {
      width: view.bbox.width, left: frame.left, right: frame.right, height: frame.height,
      legend: box ? [box.left, box.top, box.right, box.bottom] : null, top: frame.top,
    };
  })"""


def figures() -> list[Any]:
    """Return the figures with all that can stand in their legends."""
    ts = np.datetime64("2026-01-01", "us") + np.arange(HOURS) * np.timedelta64(1, "h")
    age = np.minimum(np.arange(HOURS) / FAILS, 1.0)
    telemetry = pd.DataFrame(dict.fromkeys(CHANNELS, 1.0 + 6.0 * age**4) | {"ts": ts, "machine_id": 1})
    states = np.select([np.arange(HOURS) < FAILS, np.arange(HOURS) < BACK], ["running", "failed"], "off")
    damage = [dict.fromkeys(WEARING, level) for level in age]
    truth = pd.DataFrame({"machine_id": 1, "ts": ts, "operating_state": states, "damage": damage, "rul_h": HOURS * age})
    failures = pd.DataFrame({"machine_id": [1], "failed_at": ts[FAILS], "mode": WEARING[0], "cause": "wear"})
    work = pd.DataFrame({"machine_id": [1], "start_at": ts[BACK], "action": "replace_bearing", "cost": 100.0})
    rules = pd.DataFrame(
        {"name": ["a", "b"], "channel": ["kurtosis", "vibration_mm_s"], "limit": [5.0, np.nan], "relative": False}
    )
    alarms = pd.DataFrame({"machine_id": 1, "ts": ts[[600, 800, 1000]], "code": ["a", "b", "b"], "value": [5, 2, 4.5]})
    alarms = alarms.assign(level=["info", "warning", "alarm"], message="</script>")
    both = pd.concat([truth, truth.assign(machine_id=2)])
    lifetimes = pd.DataFrame({"start": 0.0, "stop": np.arange(1.0, 91.0), "event": np.arange(90) % 3 == 0})
    bills = pd.DataFrame({"policy": ["run-to-failure", "condition:vibration_mm_s>4.5@2h:repair"], "labour_cost": 1e4})
    return [
        plots_world.lives(both, failures, work, title="Lives"),
        plots_world.warnings(telemetry, alarms, rules, failures=failures, title="Warnings"),
        plots_world.worlds(telemetry, telemetry.assign(temperature_c=2.0), (truth, truth), at=ts[500], title="Worlds"),
        plots_outcomes.costs(bills.assign(parts_cost=5e3, downtime_cost=1e5), title="Costs"),
        plots_outcomes.survival(
            lifetimes.assign(mode=np.resize(WEARING, 90)), laws={WEARING[0]: (1.5, 60.0)}, title="Survival"
        ),
    ]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert set(ISO_ZONES_MM_S["I"]) == {"A/B", "B/C", "C/D"}
    place = tmp_path_factory.mktemp("figures") / "figures.html"
    place.write_text(file_html(column(figures(), sizing_mode="stretch_width"), INLINE, "Figures"), encoding="utf-8")
    return place


@pytest.fixture(params=[1400, 800])
def page(browser: Any, html: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    # a notebook's page leaves a figure about 120 pixels less than the window has
    opened = browser.new_page(viewport={"width": request.param - 120, "height": 2400}, offline=True)
    opened.errors = []
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.on("console", lambda said: said.type in {"error", "warning"} and opened.errors.append(said.text))
    opened.goto(html.as_uri())
    opened.wait_for_function("window.Bokeh && Bokeh.documents.length == 1 && Bokeh.documents[0].is_idle")
    yield opened
    opened.close()


def test_figures_are_drawn_and_their_legends_stand_outside_the_data_and_within_the_page(page: Any) -> None:
    found = page.evaluate(_DRAWN)
    assert len(found) == PANELS
    assert sum(panel["legend"] is not None for panel in found) == FIGURES
    for panel in found:
        assert panel["height"] > 80
        if panel["legend"] is not None:
            left, top, right, bottom = panel["legend"]
            assert left >= 0
            assert top >= 0
            assert right <= panel["width"]
            assert bottom <= panel["top"] + 1
    assert page.errors == []


def test_panels_of_a_figure_are_alike_in_height(page: Any) -> None:
    """The room that the legend takes is added to the panel that bears it."""
    heights = [panel["height"] for panel in page.evaluate(_DRAWN)]
    for first, number in ((0, 2), (2, 3), (5, 3)):
        assert max(heights[first : first + number]) - min(heights[first : first + number]) <= 25, heights
