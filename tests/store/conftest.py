"""Small plants and runs for the tests of the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import chunks
import pytest

from twin.catalog.loader import load_catalog
from twin.store import Store, Transaction


def furnish(tx: Transaction) -> None:
    """Add the catalog and two machines."""
    tx.load_catalog(load_catalog(), technicians=True)
    for name in ("M-001", "M-002"):
        tx.insert("machines", {"name": name, "machine_type": "spindle", "unit_seed": 1})


@pytest.fixture(scope="session")
def model_plant(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Bytes of a furnished plant, to be copied by each test."""
    path = tmp_path_factory.mktemp("model") / "plant.duckdb"
    Store.create(path, furnish)
    return path.read_bytes()


@pytest.fixture
def plant(tmp_path: Path, model_plant: bytes) -> Path:
    """Path of a furnished plant of the test's own."""
    path = tmp_path / "plant.duckdb"
    path.write_bytes(model_plant)
    return path


@pytest.fixture
def store(plant: Path) -> Store:
    return Store.open(plant)


@pytest.fixture
def processes(plant: Path) -> Iterator[Callable[..., chunks.Child]]:
    """Start helper processes; end at the test's end those that still live."""
    started: list[chunks.Child] = []

    def start(*arguments: object) -> chunks.Child:
        started.append(chunks.Child(*arguments))
        return started[-1]

    yield start
    for child in started:
        child.end()
