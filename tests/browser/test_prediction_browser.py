"""The prediction panel in a real JupyterLab beside a bearing fault that grows: up before the failure, down after."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lab import Lab, LabPage, opened
from threadpoolctl import threadpool_limits

import twin
from twin.prognosis.teaching import Pace, train_for
from twin.workbench import Workbench

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PACE = Pace(window="6h", cadence="1h", baseline="12h", horizon="1d", readings="10min", span="50d")
MACHINE, ROW = "M-004", '.twin-prognosis tr[data-row="4"]'
WIDE, NARROW = {"width": 1400, "height": 1500}, {"width": 800, "height": 1800}
NAME = "prediction.ipynb"
CELL = f"""
import twin
plant = twin.open("plant.duckdb")
models = {{"model": "failure.model", "rul": "rul.model", "diagnosis": "diagnosis.model"}}
live = plant.live(speed=10_000, interval="10min", seed=2, **models)
live.session.step(6 * 36)
live.session.play()
live.prediction.select("{MACHINE}")
live
"""
_CELL_TEXT = "([row, key]) => document.querySelector(`${row} .twin-column-${key}`)?.textContent ?? ''"
_RISK_IS = """([row, least, most, states]) => {
  const said = key => document.querySelector(`${row} .twin-column-${key}`)?.textContent ?? "";
  const risk = said("risk").match(/^(\\d+)%$/);
  return states.includes(said("state")) && (least === null ? !risk : risk && risk[1] >= least && risk[1] <= most);
}"""
_PLOTTED = """() => __twin_mirror.views.map(view => view.document?.get_model_by_name("risk")).filter(Boolean)
  .map(source => [...source.data.p])[0]"""
_SIGHT = """() => [...document.querySelectorAll(".twin-prediction :is(th, .twin-note, .twin-bar)")]
  .filter(e => e.offsetParent).filter(e => {
    const box = e.getBoundingClientRect(), room = e.closest(".twin-prediction").getBoundingClientRect();
    return box.left < room.left - 1 || box.right > room.right + 1;
  }).map(e => e.textContent)"""


@pytest.fixture(scope="module")
def page(lab: Lab, browser: Any) -> Iterator[LabPage]:
    plant: Workbench = twin.open(lab.folder / "plant.duckdb", machines=5)
    for task in plant.maintenance.rows():
        plant.maintenance.delete(task["task_id"])
    with threadpool_limits(1, "openmp"):
        train_for(plant, pace=PACE, machines=16, progress=False).save(lab.folder)
    lab.write(NAME, [CELL])
    with opened(lab, browser, NAME, viewport=WIDE) as made:
        made.evaluate("jupyterapp.shell.collapseLeft()")
        made.run(0)
        assert made.failed() == []
        made.evaluate("jupyterapp.shell.currentWidget.content.scrollToItem(0, 'start')")
        made.wait("() => document.querySelector('.twin-fleet tbody tr')?.offsetParent")
        yield made


def tab(page: LabPage, title: str) -> None:
    page.page.locator(".twin-at-controls .lm-TabBar-tab", has_text=title).click()


def text(page: LabPage, key: str) -> str:
    return str(page.evaluate(_CELL_TEXT, [ROW, key]))


def plotted(page: LabPage) -> list[float]:
    return [value for value in page.evaluate(_PLOTTED) or [] if value == value]


def test_the_probability_rises_before_the_failure_and_falls_after_the_repair(page: LabPage) -> None:
    tab(page, "Prediction")
    page.wait(_RISK_IS, [ROW, 0, 30, ["ok"]])
    healthy = int(text(page, "risk")[:-1])
    tab(page, "Failures")
    page.page.locator(".twin-inject-machine select").select_option(label=MACHINE)
    page.page.locator(".twin-severity select").select_option(index=0)
    page.page.locator(".twin-progression select").select_option(label="progressive: grows")
    page.wait("() => !document.querySelector('.twin-time-to-failure input').disabled")
    field = page.page.locator(".twin-time-to-failure input")
    field.fill("30h")
    field.press("Tab")
    page.page.locator(".twin-inject").click()
    tab(page, "Prediction")
    page.wait(_RISK_IS, [ROW, max(50, 3 * healthy), 100, ["ok"]])
    assert "failed" not in page.evaluate("document.querySelector('.twin-fleet').innerText")
    page.wait(f"() => document.querySelector('.twin-prognosis-detail').textContent.startsWith('{MACHINE}: ')")
    page.wait(_RISK_IS, [ROW, None, None, ["standing", "under repair"]])  # no number while it stands
    assert max(plotted(page)) >= 50
    page.wait(_RISK_IS, [ROW, 0, 30, ["ok"]])
    last = plotted(page)[-1]
    assert last < 30
    assert max(plotted(page)) > 3 * last


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["1400", "800"])
def test_nothing_of_the_panel_is_cut_off(page: LabPage, viewport: dict[str, int]) -> None:
    page.page.set_viewport_size(viewport)
    tab(page, "Prediction")
    page.page.locator(".twin-prognosis-card .jupyter-widget-Collapse-header").click()
    page.wait("() => document.querySelector('.twin-card-line')?.offsetParent")
    page.wait("() => new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(() => seen(true))))")
    assert page.evaluate(_SIGHT) == []
    page.page.locator(".twin-prognosis-card .jupyter-widget-Collapse-header").click()


def test_nothing_complained(page: LabPage) -> None:
    assert page.errors == []
    assert page.outside == []
    assert page.failed() == []
