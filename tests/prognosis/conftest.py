"""One run of a small fleet that wears and fails, and frames with a known answer, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from twin.plant import Plant

MODES = ("bearing_degradation", "fan_failure")


def fleet(machines: int = 24, rows: int = 60, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Each machine has one life of hours; vibration or temperature rises towards its end, by the mode."""
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [[f"M{i:03d}" for i in range(machines)], pd.date_range("2026-01-01", periods=rows, freq="4h")],
        names=["machine_id", "ts"],
    )
    hours = np.tile(np.arange(rows) * 4.0, machines)
    end = np.repeat(rng.uniform(60, 1.5 * rows * 4, machines), rows)
    mode = np.repeat(rng.integers(0, 2, machines), rows)
    censored = end > rows * 4
    rul = np.where(censored, rows * 4 - hours, end - hours)
    truly = np.maximum(end - hours, 0)
    worn = np.exp(-truly / 60)
    size = len(index)
    features = pd.DataFrame(
        {
            "vibration_mm_s_mean_24h": 1.5 + 4 * worn * (mode == 0) + rng.normal(0, 0.2, size),
            "vibration_mm_s_mean_1h": 1.5 + 4 * worn * (mode == 0) + rng.normal(0, 0.4, size),
            "temperature_c_slope_24h": worn * (mode == 1) + rng.normal(0, 0.05, size),
            "time_since_maintenance_h": hours,
            "alarms_24h": rng.poisson(0.2, size).astype(float),
        },
        index=index,
    )
    features.iloc[::17, 2] = np.nan
    fails = ~censored & (rul <= 72)
    labels = pd.DataFrame(
        {
            "fails": fails,
            "mode": pd.Series(np.where(fails, np.array(MODES, dtype=object)[mode], None), index=index, dtype=object),
            "rul_h": rul,
            "censored": censored,
            "usable": rul > 0,
        },
        index=index,
    )
    return features, labels


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Let models use one thread: test workers share the processors already."""
    with threadpool_limits(1, "openmp"):
        yield


@pytest.fixture(scope="session")
def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    return fleet()


@pytest.fixture(scope="session")
def models(frames: tuple[pd.DataFrame, pd.DataFrame]) -> dict[tuple[str, str], Any]:
    """One fitted model of every task and baseline."""
    from twin.prognosis.models import TASKS, baselines
    from twin.prognosis.training import train

    found = {}
    for task in TASKS:
        horizon = None if task == "diagnosis" else 72.0
        for name in baselines(task):
            found[task, name] = train(
                *frames, task=task, model=name, horizon_h=horizon, spec={"windows": ["24h"]}, data={"run": 1}
            )
    return found


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    return Plant.create(tmp_path_factory.mktemp("prognosis") / "plant.duckdb", machines=6)


@pytest.fixture(scope="session")
def run(plant: Plant) -> Any:
    """Half a year at 1 h, with failures, repairs and services."""
    span = {"start": "2026-01-05", "end": "2026-07-05", "interval": "1h"}
    return plant.simulate(**span, seed=4, wear="used", tasks=False, policy="periodic:60d", progress=False)
