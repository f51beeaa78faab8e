"""The arithmetic of the sweep's benchmark, that it watches real processes, and what it says of a miss."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines import bench


def test_growth_is_that_of_the_last_third() -> None:
    assert bench.growth([100.0] * 7) == 0
    assert bench.growth([300.0, 100.0, 100.0, 100.0, 100.0, 100.0]) == 0  # what the start took does not count
    assert bench.growth([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == 2
    assert bench.growth([1.0, 4.0]) == 3
    assert bench.growth([2.0]) == 0


def test_a_miss_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    good = {"overhead_ratio": 1.25, "function_rows_ratio": 0.6, "kernel_growth_mb": -3.0, "another": 9e9}
    assert bench.missed(good) == []
    bad = {"overhead_ratio": 1.26, "function_rows_ratio": 0.59, "worker_growth_mb": float("nan")}
    assert bench.missed(bad) == [
        "overhead_ratio is 1.26, to be <= 1.25",
        "function_rows_ratio is 0.59, to be >= 0.6",
        "worker_growth_mb is nan, to be <= 20",
    ]
    for figures, status in ((good, 0), (bad, 1)):
        monkeypatch.setattr(bench, "run_bench", lambda *_, found=figures: found)
        assert bench.main(["--json"]) == status
        said = capsys.readouterr()
        assert set(json.loads(said.out)) == set(figures)
        assert said.err.count("missed: ") == len(bench.missed(figures))


def test_time_of_children_is_counted() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass"
    wall, spent, _ = bench._timed(lambda: subprocess.run([sys.executable, "-c", code], check=True))
    assert spent >= 0.3 - 0.02  # of ticks of a hundredth of a second, as differences of floats
    assert wall >= 0.3
    _, spent, _ = bench._timed(lambda: None)
    assert spent == pytest.approx(0, abs=1e-9)


@pytest.mark.slow
def test_a_sweep_is_watched_from_its_own_process(db: Path, spin: dict[str, Any]) -> None:
    told = bench._sweep(spin | {"function": "pipelines.functions:monte_carlo", "grid": {}, "returns": ["rows"]}, db)
    assert (told["complete"], told["rows"]) == (3, 30_000)
    assert told["workers_mb"]
    assert told["kernels_mb"] == []
    assert 20 < told["peak_mb"] < 5000


def test_make_runs_it() -> None:
    root = Path(__file__).parents[2]
    made = subprocess.run(["make", "-n", "bench-sweep"], cwd=root, capture_output=True, text=True, check=True)
    assert "-m pipelines.bench" in made.stdout
