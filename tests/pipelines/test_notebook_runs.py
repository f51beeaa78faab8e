"""Notebooks in a sweep: what they return, how they go wrong, and what they share."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import pytest

from pipelines import sweep
from pipelines.reading import tidy
from twin.plant import Plant

MOODS = """
import os, signal, sys
what
"""
BODY = """
if what == "raise":
    raise ValueError("no such luck")
if what == "hang":
    while True:
        pass
if what == "exit":
    sys.exit(0)
if what == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if what == "print":
    for _ in range(50):
        print("x" * 1_000_000)
"""
GIVE = """
from pipelines import returned
if what != "keep silent":
    seen = sorted(k for k in globals() if k.startswith("left_"))
    returned.give(out, {"what": what, "seen": seen, "pid": os.getpid()})
    left_behind = 1
"""


class Links(HTMLParser):
    """The places that a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {value for name, value in attrs if name in ("href", "src") and value}


@pytest.mark.slow
def test_notebooks_that_go_wrong_stop_nobody_and_keep_what_they_left(db: Path, notebook: Callable[..., str]) -> None:
    path = notebook('out = ""\nwhat = "fine"', MOODS, BODY, GIVE)
    moods = ["fine", "raise", "hang", "exit", "die", "keep silent", "print"]
    experiment = {"name": "moods", "notebook": path, "grid": {"what": moods}, "timeout_s": 8, "runs_per_kernel": 4}
    summary = sweep(experiment, db, workers=2, progress=False)
    plant = Plant.open(db)
    rows = plant.sql_rows("select run_id, parameters->>'what' as what, status, error from experiment_runs")
    runs = {row["what"]: row for row in rows}
    assert {what for what, row in runs.items() if row["status"] == "complete"} == {"fine", "print"}
    assert (summary.complete, summary.failed) == (2, 5)
    assert runs["raise"]["error"] == "cell 4: ValueError: no such luck"  # after the injected parameters
    assert runs["hang"]["error"] == "took longer than 8 s and was ended"
    assert "so it did 3 times" in runs["die"]["error"]
    assert "without returning results" in runs["keep silent"]["error"]
    home = db.with_suffix(".sweeps") / "moods"
    for row in rows:
        place = home / "runs" / row["run_id"]
        assert (place / "notebook.ipynb").exists(), row
        assert (place / "notebook.ipynb").stat().st_size < 1_000_000
        assert (place / "log.txt").exists()
        assert (place / ("complete.json" if row["status"] == "complete" else "failed.json")).exists()
    loud = home / "runs" / runs["print"]["run_id"] / "notebook.ipynb"  # it printed fifty megabytes
    assert "characters are left out" in loud.read_text()
    trace = (home / "runs" / runs["raise"]["run_id"] / "traceback.txt").read_text()
    assert "ValueError: no such luck" in trace
    assert "\x1b" not in trace
    page = (home / "index.html").read_text()
    assert "no such luck" in page
    assert [link for link in Links(page).found if not (home / link).exists()] == []


@pytest.mark.slow
def test_runs_share_a_kernel_but_no_variables_and_find_their_plant(db: Path, notebook: Callable[..., str]) -> None:
    path = notebook(
        'db = "nowhere"\nout = ""\nwhat = "fine"\nnumber = 0',
        "import os\nimport random\n\nimport twin\n\nplant = twin.open(db)\nassert len(plant.runs) == 0",
        'run = plant.simulate("2026-01-05", "2026-01-06", "1h", seed=number, progress=False)',
        'from IPython.display import SVG\nSVG(\'<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"></svg>\')',
        GIVE.replace('"pid": os.getpid()', '"pid": os.getpid(), "luck": random.random(), "digest": run.digest()'),
    )
    experiment = {"name": "shared", "notebook": path, "grid": {"number": [1, 2, 3]}, "runs_per_kernel": 2,
                  "telemetry": True}  # fmt: skip
    assert sweep(experiment, db, workers=1, progress=False).complete == 3
    plant = Plant.open(db)
    table = tidy(plant.store, "shared")
    assert table["pid"].nunique() == 2
    assert table["pid"][0] == table["pid"][1]
    assert set(table["seen"]) == {"[]"}
    assert table["luck"].nunique() == 3
    kept = plant.sql_rows("select telemetry_runs, attempts from experiment_runs order by number")
    numbers = [json.loads(row["telemetry_runs"]) for row in kept]
    assert numbers == [[1], [2], [3]]
    for (number,), digest in zip(numbers, table["digest"], strict=True):
        run = plant.runs.get(number)
        assert run.digest() == run.recomputed_digest() == digest
        assert run.verify()
    home = db.with_suffix(".sweeps") / "shared"
    for name in table["run_id"]:
        place = home / "runs" / name
        assert {p.name for p in place.iterdir()} >= {"notebook.ipynb", "page.html", "thumbnail.svg", "telemetry"}
        executed = nbformat.read(place / "notebook.ipynb", as_version=4)
        assert [c["execution_count"] for c in executed.cells if c["cell_type"] == "code"] == [1, 2, 3, 4, 5, 6]
    page = (home / "index.html").read_text()
    assert page.count("<article") == 3
    assert [link for link in Links(page).found if not (home / link).exists()] == []


def test_what_a_notebook_returns_is_kept_only_where_it_was_asked(tmp_path: Path, monkeypatch: Any) -> None:
    import numpy as np
    import pandas as pd

    from pipelines import returned
    from twin.errors import BadRequest

    monkeypatch.chdir(tmp_path)
    returned.give("", {"x": 1}, {"t": pd.DataFrame({"a": [1]})})
    assert list(tmp_path.iterdir()) == []
    figures = {"a": np.float32(0.5), "b": float("nan"), "c": {"d": [np.int64(1), float("inf")]}}
    returned.give(tmp_path, figures, {"t": pd.DataFrame({"a": [1]})})
    assert json.loads((tmp_path / returned.RETURNED).read_text()) == {"a": 0.5, "b": None, "c": {"d": [1, None]}}
    assert pd.read_parquet(tmp_path / "tables" / "t.parquet")["a"].to_list() == [1]
    for wrong, words in (([1], "must be a mapping"), ({"x": object()}, "nothing that JSON can hold")):
        with pytest.raises(BadRequest, match=words):
            returned.give(tmp_path, wrong)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match="snake_case"):
        returned.give(tmp_path, {}, {"../t": pd.DataFrame()})
