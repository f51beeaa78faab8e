"""A small plant, small notebooks, and an executor without processes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import nbformat
import pytest

from pipelines.tasks import Outcome, Task
from pipelines.worker import LIMITS, carry_out, prepare
from twin.plant import Plant

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@pytest.fixture(autouse=True)
def _own_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a run that is carried out in this process not limit the tests after it."""
    for name in LIMITS:
        monkeypatch.setenv(name, os.environ.get(name, ""))  # so that it is restored
        monkeypatch.delenv(name)
    prepare.cache_clear()
    yield
    prepare.cache_clear()


@pytest.fixture(scope="session")
def small_plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Plant.create(tmp_path_factory.mktemp("sweeps") / "template.duckdb", machines=4).path


@pytest.fixture
def db(small_plant: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(small_plant, tmp_path / "plant.duckdb"))


@pytest.fixture
def spin() -> dict[str, Any]:
    """Return an experiment of twelve quick runs."""
    return {
        "name": "spin",
        "function": "sweep_jobs:spin",
        "grid": {"x": [0.5, 1.5, 2.5, 3.5]},
        "seeds": {"count": 3},
        "returns": ["x2", "nested.seed"],
    }


class InOrder:
    """Carries out runs in a thread of this process: in their order, or each time a random one of those that wait."""

    def __init__(self, shuffle: int | None = None, before: Callable[[int], None] = lambda number: None) -> None:
        self.slots = 3
        self.tasks: list[Task] = []
        self._before = before
        self._waiting: list[tuple[Task, Future[Outcome]]] = []
        self._changed = threading.Condition()
        self._random = None if shuffle is None else random.Random(shuffle)
        self._ended = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def submit(self, task: Task) -> Future[Outcome]:
        future: Future[Outcome] = Future()
        with self._changed:
            self._waiting.append((task, future))
            self._changed.notify()
        return future

    def check(self) -> None:
        pass

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                chosen = 0 if self._random is None else self._random.randrange(len(self._waiting))
                task, future = self._waiting.pop(chosen)
            self._before(len(self.tasks))
            self.tasks.append(task)
            future.set_result(carry_out(task))

    def close(self, kill: bool = False) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join()


@pytest.fixture
def in_order() -> type[InOrder]:
    return InOrder


@pytest.fixture
def notebook(tmp_path: Path) -> Callable[..., str]:
    """Write a notebook whose first cell is tagged ``parameters``, and return its path."""

    def write(parameters: str, *cells: str, name: str = "template.ipynb") -> str:
        made = nbformat.v4.new_notebook()
        made.cells = [nbformat.v4.new_code_cell(text) for text in (parameters, *cells)]
        made.cells[0].metadata["tags"] = ["parameters"]
        for number, cell in enumerate(made.cells):
            cell["id"] = f"cell-{number}"
        nbformat.write(made, tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.fixture
def digests() -> Callable[[Path], dict[str, str]]:
    """Return what identifies the results of all complete runs of a plant."""

    def of(db: Path) -> dict[str, str]:
        rows = Plant.open(db).sql_rows(
            "select r.run_id, r.digest, v.name, v.value, v.text from experiment_runs r"
            " left join experiment_results v using (run_id) where r.status = 'complete' order by all"
        )
        return {f"{row['run_id']} {row['name']}": repr(row) for row in rows}

    return of


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``twin`` as a process of its own; end at the test's end those that still live."""
    started = []

    def start(*words: object) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(HERE), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(
            [sys.executable, "-m", "twin.cli", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()
