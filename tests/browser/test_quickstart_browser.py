"""The page of the executed quickstart, opened in a real browser without a network."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from twin import demo

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FIGURES, PANELS = 3, 3
_COUNT_COLOURS = """canvas => {
  const {width, height} = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  const colours = new Set();
  for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3]) colours.add((pixels[i] << 16) | (pixels[i + 1] << 8) | pixels[i + 2]);
  return colours.size;
}"""  # noqa: E501


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> demo.Demo:
    return demo.demo(tmp_path_factory.mktemp("demo"), {"interval": "10s"})


@pytest.fixture(scope="module")
def page(browser: Any, results: demo.Demo) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1200, "height": 900}, offline=True)
    opened.requests, opened.errors = [], []
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.on("console", lambda said: said.type in {"error", "warning"} and opened.errors.append(said.text))
    opened.goto(results.html.as_uri())
    opened.wait_for_function(
        f"window.Bokeh && Bokeh.documents.length == {FIGURES} && Bokeh.documents.every(d => d.is_idle)"
    )
    yield opened
    opened.close()


def test_every_figure_is_drawn(page: Any) -> None:
    grids = page.locator(".bk-GridPlot")
    assert grids.count() == FIGURES
    for i in range(FIGURES):
        canvases = grids.nth(i).locator(".bk-Figure canvas.bk-layer")
        drawn = [canvases.nth(k).evaluate(_COUNT_COLOURS) for k in range(canvases.count())]
        assert sum(colours > 10 for colours in drawn) >= PANELS, drawn


def test_figures_are_as_wide_as_the_page_and_within_it(page: Any) -> None:
    for i in range(FIGURES):
        box = page.locator(".bk-GridPlot").nth(i).bounding_box()
        assert box["width"] > 800
        assert box["x"] + box["width"] <= 1200
        assert box["height"] > 400


def test_the_legend_hides_a_line_in_every_panel(page: Any) -> None:
    """Both the thinned line and its envelope, of all panels, hang on one entry."""
    hidden = page.evaluate(
        """() => {
          const document = Bokeh.documents[1];
          const legend = [...document._all_models.values()].find(model => model.type == "Legend");
          const entry = legend.items[0];
          const before = entry.renderers.filter(renderer => renderer.visible).length;
          for (const renderer of entry.renderers) renderer.visible = false;
          return [before, entry.renderers.length, new Set(entry.renderers).size];
        }"""
    )
    assert hidden == [2 * PANELS] * 3
    page.evaluate(
        "[...Bokeh.documents[1]._all_models.values()].filter(m => m.type == 'GlyphRenderer')"
        ".forEach(m => m.visible = true)"
    )


def test_nothing_was_asked_of_the_network_and_nothing_complained(page: Any, results: demo.Demo) -> None:
    outside = [url for url in page.requests if not url.startswith(("data:", "blob:", results.html.as_uri()))]
    assert outside == []
    assert page.errors == []


def test_a_figure_waits_until_it_is_put_into_the_page(page: Any, results: demo.Demo) -> None:
    """JupyterLab runs the scripts of a saved notebook before their outputs are part of its page."""
    notebook = nbformat.read(results.notebook, as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    scripts = [data for output in outputs if (data := output.get("data", {}).get("application/javascript"))]
    known = page.evaluate("Bokeh.documents.length")
    page.evaluate(
        "script => { window.late = document.createElement('div'); new Function('element', script)(window.late); }",
        scripts[-1],
    )
    assert page.evaluate("Bokeh.documents.length") == known
    page.evaluate("document.body.appendChild(window.late)")
    page.wait_for_function(f"Bokeh.documents.length == {known + 1} && Bokeh.documents.at(-1).is_idle")
    assert page.locator(".bk-GridPlot").nth(FIGURES).bounding_box()["width"] > 800


def test_the_picture_for_the_readme_can_be_taken(results: demo.Demo, tmp_path: Path) -> None:
    image = tmp_path / "picture.png"
    code = "import sys, pathlib, twin.demo; twin.demo.picture(*map(pathlib.Path, sys.argv[1:]))"
    subprocess.run([sys.executable, "-c", code, results.html, image], check=True)  # its own loop: see playwright
    assert image.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert 50_000 < image.stat().st_size < 300_000
