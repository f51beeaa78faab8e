"""The live plant as a page of its own, as ``make app`` serves it: to control it, and to look on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab import Voila, opened

import twin
from twin.live import LiveSession

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LEAST_HZ = 3.0
_ROWS = "() => document.querySelectorAll('.twin-fleet tbody tr').length"
_SHOWN = "() => document.querySelector('.twin-fleet tbody tr')?.offsetParent"
_TURNED_OFF = "() => ['play', 'activate'].map(name => document.querySelector(`.twin-${name}`).disabled)"
_SAID = """() => [...document.querySelectorAll('.twin-log tbody tr')]
  .some(row => /inject/.test(row.textContent) && /done/.test(row.textContent))"""


def _given(voila: Voila, source: str, name: str, **values: Any) -> None:
    """Put a notebook beside the server, with other parameters, as papermill would."""
    notebook = nbformat.read(NOTEBOOKS / source, as_version=4)
    cell = next(c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    cell.source += "\n" + "\n".join(f"{key} = {value!r}" for key, value in values.items())
    nbformat.write(notebook, voila.folder / name)


def test_the_control_room_is_a_page_that_answers_a_click_without_a_network(voila: Voila, browser: Any) -> None:
    _given(voila, "02_live_plant.ipynb", "room.ipynb", db=str(voila.folder / "room.duckdb"))
    with opened(voila, browser, "room.ipynb") as shown:
        shown.wait(_SHOWN)
        shown.wait_drawn()
        assert shown.rate_hz() > LEAST_HZ
        shown.page.locator(".twin-at-controls .lm-TabBar-tab", has_text="Failures").click()
        shown.page.locator(".twin-inject").click()
        shown.wait(_SAID)
        assert shown.outside == []
        assert shown.errors == []


def test_those_who_look_on_see_the_same_plant_from_its_file(voila: Voila, browser: Any) -> None:
    db = voila.folder / "watched.duckdb"
    plant = twin.open(db, machines=3)
    with LiveSession(plant, speed=60, seed=7) as session:
        session.start()
        _given(voila, "viewers/watch.ipynb", "watch.ipynb", db=str(db))
        with opened(voila, browser, "watch.ipynb") as shown:
            shown.wait(_SHOWN)
            shown.wait_drawn()
            assert shown.evaluate(_ROWS) == 3
            shown.wait("n => __twin_mirror.views[0].frames > n + 1", shown.mirror()["frames"])
            assert shown.evaluate(_TURNED_OFF) == [True, True]
            assert shown.outside == []
            assert shown.errors == []
