"""The data of small tasks, and data with a known answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_tasks import small
from threadpoolctl import threadpool_limits

from twin.benchmark.data import Data, regenerate, simulated, with_truth


@pytest.fixture(scope="session", autouse=True)
def one_thread_each() -> Iterator[None]:
    """Let models use one thread: test workers share the processors already."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def regenerated() -> tuple[dict[str, Data], pd.DataFrame]:
    """The data of small tasks by kind, of one run, and the features of detection with the truth."""
    found: dict[str, Data] = {}
    with simulated(small("detection")) as run:
        for kind in ("detection", "diagnosis", "rul"):
            found[kind] = regenerate(small(kind), run)
        truth = with_truth(run, found["detection"].X)
        found["survival"] = regenerate(small("survival"), run)
    return found, truth


@pytest.fixture
def made_up() -> Data:
    """Twelve rows of four machines, of which two are asked."""
    index = pd.MultiIndex.from_product(
        [[1, 2, 3, 4], pd.date_range("2026-02-01", periods=3, freq="12h", unit="us")], names=["machine_id", "ts"]
    )
    y = pd.DataFrame(
        {
            "fails": [True, False, True] * 4,
            "mode": pd.Series(["a", None, "b"] * 4, dtype=object).to_numpy(),
            "rul_h": np.arange(12.0) + 1.0,
            "censored": [False, True, False] * 4,
            "usable": True,
        },
        index=index,
    )
    X = pd.DataFrame({"x": np.arange(12.0)}, index=index)
    test = index.get_level_values(0).to_numpy() > 2
    return Data(replace(small("detection"), teach=2), X, y, test, y[y["fails"]].reset_index(), "0" * 32)
