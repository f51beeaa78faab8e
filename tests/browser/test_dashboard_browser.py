"""The live notebook in a real JupyterLab: a person's clicks, and what comes of them on the screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab import Lab, LabPage, opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "02_live_plant.ipynb"
NAME = "live_plant.ipynb"
LEAST_HZ = 3.0
"""Enough to be seen moving; how fast it can be is measured by ``make bench-live``."""
WIDE, NARROW = {"width": 1400, "height": 1600}, {"width": 800, "height": 1600}
ADD_SCENARIO = 'plant.scenarios.create("Night shift", load=0.4)'
LOAD = "High load manufacturing"

_SAYS = """([css, text]) => [...document.querySelectorAll(css)]
  .some(e => e.textContent.replaceAll("\\u00a0", " ").includes(text))"""  # options have spaces that do not break
_ROWS = """css => [...document.querySelectorAll(`${css} tbody tr`)].map(row => ({
  id: row.dataset.row, text: row.innerText.replaceAll("\\n", " "), tone: row.className
}))"""
_FIELDS = "[...document.querySelectorAll('.twin-dashboard :is(button, input, select, textarea, .twin-chip, th, b)')]"
_CLIPPED = f"""() => {_FIELDS}.filter(e => e.offsetParent && !e.closest(".twin-table-frame tbody")).filter(e => {{
  const box = e.getBoundingClientRect(), room = document.querySelector(".twin-dashboard").getBoundingClientRect();
  const cut = e.matches("button, .twin-chip, b") && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0;
  return box.width > 0 && (box.left < room.left - 1 || box.right > room.right + 1 || cut);
}}).map(e => `${{e.tagName}} ${{e.className}} ${{e.textContent}}`)"""
_OVERLAPS = f"""() => {{
  const seen = {_FIELDS}.filter(e => e.offsetParent && !e.closest(".twin-table-frame, .widget-tagsinput"));
  const boxes = seen.map(e => e.getBoundingClientRect()), found = [];
  for (let i = 0; i < seen.length; i++) for (let k = i + 1; k < seen.length; k++) {{
    if (seen[i].contains(seen[k]) || seen[k].contains(seen[i])) continue;
    const a = boxes[i], b = boxes[k];
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 2 && high > 2) found.push(`${{seen[i].className}} / ${{seen[k].className}}`);
  }}
  return found;
}}"""
_PAINTED = "() => new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(() => seen(true))))"
_LEGEND_ABOVE = """() => {
  const legend = document.querySelector(".twin-legend").getBoundingClientRect();
  return legend.bottom <= document.querySelector(".twin-plot").getBoundingClientRect().top + 1;
}"""


class Room:
    """The dashboard in a page, as a person uses it."""

    def __init__(self, page: LabPage, cell: int) -> None:
        self.page, self.cell = page, cell

    def look(self) -> None:
        """Bring the dashboard into view: JupyterLab takes what is far away out of the page."""
        self.page.evaluate("i => jupyterapp.shell.currentWidget.content.scrollToItem(i, 'start')", self.cell)
        self.page.wait("() => document.querySelector('.twin-fleet tbody tr')?.offsetParent")

    def tab(self, title: str) -> None:
        self.page.page.locator(".twin-at-controls .lm-TabBar-tab", has_text=title).click()

    def press(self, css: str) -> None:
        self.page.page.locator(css).click()

    def choose(self, css: str, label: str) -> None:
        self.page.page.locator(f"{css} select").select_option(label=label)

    def write(self, css: str, text: str) -> None:
        field = self.page.page.locator(f"{css} input")
        field.fill(text)
        field.press("Tab")

    def wait_said(self, css: str, text: str) -> None:
        self.page.wait(_SAYS, [css, text])

    def rows(self, css: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = self.page.evaluate(_ROWS, css)
        return found

    def wait_logged(self, verb: str, result: str = "done") -> None:
        """Wait for the newest command of a verb in the log."""
        self.page.wait(
            """([verb, result]) => [...document.querySelectorAll(".twin-log tbody tr")].some(row => {
              const said = key => row.querySelector(`.twin-column-${key}`).textContent;
              return said("what").startsWith(verb) && said("result").startsWith(result);
            })""",
            [verb, result],
        )

    def now(self) -> str:
        return str(self.page.evaluate("document.querySelector('.twin-now').textContent"))

    def wait_moved(self, since: str) -> None:
        self.page.wait("before => document.querySelector('.twin-now')?.textContent > before", since)


@pytest.fixture(scope="module")
def room(lab: Lab, browser: Any) -> Iterator[Room]:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = next(i for i, cell in enumerate(notebook.cells) if cell.id == "live")
    parameters = next(cell for cell in notebook.cells if cell.id == "parameters")
    parameters.source = re.sub(r"(?m)^db = .*$", f"db = {str(lab.folder / 'plant.duckdb')!r}", parameters.source)
    notebook.cells.append(nbformat.v4.new_code_cell(ADD_SCENARIO))
    nbformat.write(notebook, lab.folder / NAME)
    with opened(lab, browser, NAME, viewport=WIDE) as page:
        page.evaluate("jupyterapp.shell.collapseLeft()")  # as one does on a narrow screen
        # the last cell is the one that adds a scenario, later
        for i, cell in enumerate(notebook.cells[:-1]):
            if cell.cell_type == "code":
                page.run(i)
        assert page.failed() == []
        made = Room(page, place)
        made.look()
        page.wait_drawn()
        yield made


def is_moving(page: LabPage) -> bool:
    """Whether data move at the rate, by the page's clock; a machine that others use may need a second look."""
    return any(page.rate_hz(30) >= LEAST_HZ for _ in range(6))


def test_data_move_by_the_pages_clock(room: Room) -> None:
    before = room.now()
    assert is_moving(room.page)
    assert room.now() > before
    room.wait_said(".twin-clock", "playing")


def test_a_click_in_the_fleet_shows_this_machine_alone(room: Room) -> None:
    room.press('.twin-fleet tr[data-row="2"] .twin-column-machine')
    room.wait_said(".twin-fleet tr.twin-selected", "M-002")
    room.page.wait("() => document.querySelectorAll('.twin-legend .twin-line').length == 1")
    room.wait_said(".twin-legend", "M-002")
    room.tab("Failures")
    assert room.page.evaluate("document.querySelector('.twin-inject-machine select').value") == "M-002"


def test_a_machine_is_drawn_beside_by_its_square(room: Room) -> None:
    room.press('.twin-fleet tr[data-row="3"] .twin-shown')
    room.page.wait("() => document.querySelectorAll('.twin-legend .twin-line').length == 2")
    room.press('.twin-fleet tr[data-row="3"] .twin-shown')
    room.page.wait("() => document.querySelectorAll('.twin-legend .twin-line').length == 1")


def test_a_scenario_is_activated_and_ended(room: Room) -> None:
    room.tab("Scenarios")
    room.choose(".twin-scenario", LOAD)
    room.press(".twin-activate")
    room.wait_logged("activate")
    room.wait_said('.twin-fleet tr[data-row="2"]', LOAD)
    room.wait_said(".twin-legend", LOAD)
    room.press(".twin-active-scenarios .twin-end")
    room.wait_logged("deactivate")
    room.wait_said(".twin-active-scenarios", "No scenario is active")


def test_a_failure_is_injected_shown_and_cleared(room: Room) -> None:
    room.tab("Failures")
    room.choose(".twin-severity", "critical (95%)")
    room.press(".twin-inject")
    room.wait_logged("inject")
    room.wait_said('.twin-fleet tr[data-row="2"]', "Bearing degradation")
    alarms = '.twin-fleet tr[data-row="2"] .twin-column-alarms'
    room.wait_said(f"{alarms}.twin-is-warn, {alarms}.twin-is-bad", " +")  # the worst, and how many more
    room.wait_said(".twin-log", "Acceleration high")
    room.press(".twin-injected .twin-clear")
    room.wait_logged("clear")
    room.wait_said(".twin-injected", "Nothing is injected")


def test_maintenance_is_scheduled_begun_completed_and_cancelled(room: Room) -> None:
    room.tab("Maintenance")
    room.choose(".twin-task-action", "Inspect")
    room.write(".twin-task-at", "+2h")
    room.press(".twin-schedule")
    room.wait_logged("schedule")
    first = next(row["id"] for row in room.rows(".twin-tasks") if "M-002" in row["text"] and "Inspect" in row["text"])
    mine = f'.twin-tasks tr[data-row="{first}"]'
    room.press(f"{mine} .twin-begin")
    room.wait_logged("begin")
    room.wait_said(mine, "in progress")
    room.press(f"{mine} .twin-complete")
    room.wait_logged("complete")
    room.wait_said(mine, "done")
    room.page.page.locator(".twin-tasks .twin-cancel").last.click()
    room.wait_logged("cancel")


def test_the_clock_pauses_steps_plays_and_goes_faster(room: Room) -> None:
    room.press(".twin-pause")
    room.wait_said(".twin-clock", "paused")
    before = room.now()
    room.press(".twin-step")
    room.wait_moved(before)
    room.press(".twin-play")
    room.wait_said(".twin-clock", "playing")
    knob = room.page.page.locator(".twin-speed .noUi-handle")
    knob.focus()
    knob.press("PageUp")
    room.wait_logged("set speed")
    room.page.wait("() => !document.querySelector('.twin-clock').textContent.includes(' 60x')")
    room.write(".twin-run-until", "+10min")
    room.press(".twin-until-go")
    room.wait_logged("run until")
    room.wait_said(".twin-clock", "paused")
    room.press(".twin-play")
    room.wait_said(".twin-clock", "playing")


def test_an_entry_that_cannot_be_is_refused_in_the_log_and_the_session_lives(room: Room) -> None:
    room.tab("Failures")
    room.choose(".twin-progression", "progressive: grows")
    room.page.wait("() => !document.querySelector('.twin-time-to-failure input').disabled")
    room.write(".twin-time-to-failure", "soon")
    room.press(".twin-inject")
    room.wait_said(".twin-log tr.twin-tone-bad", "time_to_failure must be")
    room.wait_said(".twin-says.bad", "time_to_failure must be")
    room.write(".twin-run-until", "some day")
    room.press(".twin-until-go")
    room.wait_said(".twin-log tr.twin-tone-bad", "some day")
    room.wait_moved(room.now())
    assert is_moving(room.page)


def test_channels_and_window_can_be_chosen(room: Room) -> None:
    room.choose(".twin-window", "10 min")
    room.press(".twin-more .jupyter-widget-Collapse-header")
    room.page.evaluate("() => { __twin_mirror.views[0].former = true; }")
    room.page.page.locator(".twin-channels select").select_option(index=[3])
    room.page.wait("() => __twin_mirror.views.length == 1 && !__twin_mirror.views[0].former")
    room.page.wait_drawn()
    assert is_moving(room.page)
    room.press(".twin-more .jupyter-widget-Collapse-header")


def test_a_scenario_of_ones_own_appears_by_itself(room: Room) -> None:
    cells = room.page.evaluate("jupyterapp.shell.currentWidget.content.widgets.length")
    room.page.run(cells - 1)
    room.look()
    room.tab("Scenarios")
    room.wait_said(".twin-scenario option", "Night shift")


def test_reset_begins_anew(room: Room) -> None:
    before = room.now()
    room.press(".twin-reset")
    room.wait_logged("reset")
    room.page.wait("before => document.querySelector('.twin-now').textContent < before", before)
    room.wait_moved(room.now())


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["1400", "800"])
def test_no_control_is_clipped_and_none_covers_another(room: Room, viewport: dict[str, int]) -> None:
    room.page.page.set_viewport_size(viewport)
    room.look()
    for title in ("Scenarios", "Failures", "Maintenance", "Prediction"):
        room.tab(title)
        room.page.wait(
            "() => new Promise(seen => requestAnimationFrame(() => requestAnimationFrame(() => seen(true))))"
        )
        assert room.page.evaluate(_CLIPPED) == []
        assert room.page.evaluate(_OVERLAPS) == []
    assert room.page.evaluate(_LEGEND_ABOVE)


def test_nothing_was_asked_of_others_and_nothing_complained(room: Room) -> None:
    assert room.page.outside == []
    assert room.page.errors == []
    assert room.page.failed() == []


def test_the_notebook_stays_small(room: Room, lab: Lab) -> None:
    room.page.save()
    assert (lab.folder / NAME).stat().st_size < 100_000
