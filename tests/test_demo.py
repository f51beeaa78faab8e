"""What `make demo` runs leaves a plant, an executed notebook and a page, and admits it when it does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

import twin
from twin import bench_browser, demo
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, TwinError

COARSE = ["--interval", "10s"]
SCRIPT_SOURCES = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)\s*=\s*["']?(?!data:|#)([^"'>\s]+)""")


def write_notebook(path: Path, *sources: str) -> Path:
    cells = [new_code_cell("db = ''", metadata={"tags": ["parameters"]}), *map(new_code_cell, sources)]
    kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernelspec}), path)
    return path


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    assert demo.main(["--out", str(folder), *COARSE]) == 0
    return folder


@pytest.mark.slow
def test_the_demonstration_leaves_a_plant_with_both_days(out: Path) -> None:
    plant = twin.open(out / "plant.duckdb", read_only=True)
    runs = [plant.runs.get(row["run_id"]) for row in plant.runs.rows()]
    assert [(run.status, run.rows) for run in runs] == [("complete", 12 * 8640)] * 2
    assert plant.scenarios.activation_rows() == []  # the plant is left as it was
    assert plant.failure_modes.injection_rows() == []
    days = [run.telemetry(machines=["M-001"]).df() for run in runs]
    eight = pd.Timestamp("2026-01-05T08:00")
    first, last = ([day[day["ts"] < eight].reset_index(drop=True) for day in days], [d[d["ts"] >= eight] for d in days])
    pd.testing.assert_frame_equal(*first, check_exact=True)
    assert last[1]["power_w"].mean() > 1.2 * last[0]["power_w"].mean()


@pytest.mark.slow
def test_the_effects_lie_in_their_bands(out: Path) -> None:
    effects = pd.read_csv(out / demo.RESULT, index_col="channel")
    assert list(effects.index) == list(CHANNELS)
    change = effects["change_percent"]
    assert 8 <= change["temperature_c"] <= 18  # one machine of the fleet: a wider band than the fleet's median
    assert 50 <= change["vibration_g"] <= 110
    assert 25 <= change["power_w"] <= 45
    assert abs(change["speed_rpm"]) < 0.1
    assert effects.loc["kurtosis", "cohens_d"] > 5


@pytest.mark.slow
def test_the_executed_notebook_is_complete_and_trusted(out: Path) -> None:
    from nbformat.sign import NotebookNotary

    notebook = nbformat.read(out / demo.NOTEBOOK.name, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    outputs = [output for cell in code for output in cell.outputs]
    assert {output.output_type for output in outputs} <= {"display_data", "execute_result"}  # no error, no warning
    assert sum("application/javascript" in output.data for output in outputs) == 4  # BokehJS and three figures
    assert notebook.metadata.kernelspec.name == "python3"
    assert NotebookNotary().check_signature(notebook)


@pytest.mark.slow
def test_the_page_asks_nobody_for_anything(out: Path) -> None:
    page = (out / demo.NOTEBOOK.with_suffix(".html").name).read_text()
    assert SCRIPT_SOURCES.findall(re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)) == []
    assert re.findall(r"<script[^>]*\bsrc=", page) == []
    assert "widget-view" not in page
    assert "How large is the effect?" in page


@pytest.mark.slow
def test_again_means_the_same_runs_and_new_papers(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (out / demo.RESULT).read_text()
    (out / demo.RESULT).write_text("stale")
    assert demo.main(["--out", str(out), *COARSE]) == 0
    assert (out / demo.RESULT).read_text() == before
    said = capsys.readouterr().out
    for name in ("plant.duckdb", "01_quickstart.ipynb", "01_quickstart.html", demo.RESULT):
        assert str(out / name) in said
    assert len(twin.open(out / "plant.duckdb", read_only=True).runs.rows()) == 2


@pytest.mark.slow
def test_a_wrong_machine_is_said_in_one_line(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(["--out", str(out), "--machine", "M-99", *COARSE]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "unknown machine 'M-99'" in said


@pytest.mark.slow
@pytest.mark.parametrize("end", ["import os; os._exit(0)", "import sys; sys.exit(0)", "pass"])
def test_a_notebook_that_only_looks_finished_is_found_out(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "NOTEBOOK", write_notebook(tmp_path / "n.ipynb", end, "1 + 1"))
    assert demo.main(["--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("demo: ")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_the_kernel_is_this_interpreter_with_this_package(tmp_path: Path) -> None:
    source = "import sys, pathlib, twin; pathlib.Path(db).write_text(f'{sys.executable} {twin.__file__}')"
    found = tmp_path / "found"
    notebook = write_notebook(tmp_path / "n.ipynb", source)
    demo.execute(notebook, tmp_path / "executed.ipynb", {"db": str(found)})
    import sys

    assert found.read_text() == f"{sys.executable} {twin.__file__}"


def test_an_unknown_parameter_is_refused_before_anything_runs(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "n.ipynb", "1")
    with pytest.raises(BadRequest, match="no parameter 'sede'; it has db"):
        demo.execute(notebook, tmp_path / "executed.ipynb", {"sede": 1})
    assert not (tmp_path / "executed.ipynb").exists()


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert demo.main(["--out", str(tmp_path / "file" / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("demo: cannot write into")
    assert said.count("\n") == 1


def test_outside_of_a_clone_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "NOTEBOOK", tmp_path / "gone.ipynb")
    assert demo.main(["--out", str(tmp_path)]) == 2
    assert "clone of the project" in capsys.readouterr().err


def test_a_picture_needs_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_browser, "chromium_path", lambda: None)
    with pytest.raises(BadRequest, match="Chromium"):
        demo.picture(tmp_path / "page.html", tmp_path / "image.png")


def test_progress_bars_are_left_out_of_the_page(tmp_path: Path) -> None:
    bar: dict[str, Any] = {"application/vnd.jupyter.widget-view+json": {"model_id": "abc"}, "text/plain": "a bar"}
    outputs = [new_output("display_data", bar), new_output("display_data", {"text/plain": "kept"})]
    cells = [new_markdown_cell("# Title"), new_code_cell("1", outputs=outputs)]
    nbformat.write(new_notebook(cells=cells, metadata={"widgets": {"state": {}}}), tmp_path / "n.ipynb")
    page = demo.write_html(tmp_path / "n.ipynb", tmp_path / "n.html").read_text()
    assert "kept" in page
    assert "a bar" not in page
    assert "https://unpkg.com" not in page


def test_a_missing_result_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(TwinError, match="stopped before its end"):
        demo._checked_runs(None, tmp_path / "none.csv")  # type: ignore[arg-type]
