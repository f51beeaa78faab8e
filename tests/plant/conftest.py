"""A sample plant of twelve machines, made once and copied for each test."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twin.cli import run_command
from twin.plant import Plant


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Plant.create(tmp_path_factory.mktemp("plant") / "template.duckdb").path


@pytest.fixture
def db(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(template, tmp_path / "plant.duckdb"))


@pytest.fixture
def plant(db: Path) -> Plant:
    return Plant.open(db)


@pytest.fixture(scope="session")
def untouched(template: Path) -> Plant:
    """Return a plant for requests that are refused: nothing may ever be written to it."""
    return Plant.open(Path(shutil.copy(template, template.with_name("untouched.duckdb"))))


@pytest.fixture
def twin(db: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command on the plant; return its JSON, or (status, error line) when it fails."""

    def run(*words: str) -> Any:
        status = run_command([*words, "--db", str(db), "--json"])
        out, err = capsys.readouterr()
        if status == 0:
            return json.loads(out)
        assert err.count("\n") == 1, err
        assert err.startswith("error: ")
        return status, err.strip()

    return run
