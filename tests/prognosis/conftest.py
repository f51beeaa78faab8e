"""One run of a small fleet that wears and fails, for all tests of this folder."""

from __future__ import annotations

from typing import Any

import pytest

from twin.plant import Plant


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    return Plant.create(tmp_path_factory.mktemp("prognosis") / "plant.duckdb", machines=6)


@pytest.fixture(scope="session")
def run(plant: Plant) -> Any:
    """Half a year at 1 h, with failures, repairs and services."""
    span = {"start": "2026-01-05", "end": "2026-07-05", "interval": "1h"}
    return plant.simulate(**span, seed=4, wear="used", tasks=False, policy="periodic:60d", progress=False)
