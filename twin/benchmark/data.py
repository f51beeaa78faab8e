"""A task regenerated: simulate, make features and labels, split, and a digest that says whether it is the same."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.benchmark.tasks import RUL_CAP_H, SERVICE, Task

if TYPE_CHECKING:
    import pandas as pd

    from twin.run import Run

_TYPES = {"machine_id": "int64", "ts": "datetime64[us]"}
BATCH = 40
"""Machines whose truth is read at a time: its rows are small dicts, which take more memory than their numbers."""


@dataclass(frozen=True)
class Data:
    """The rows of a task: features and labels on (machine_id, ts), those that count.

    Attributes
    ----------
    X, y : DataFrame
        Features and labels of all rows that the task uses.
    test : bool array
        Which of them are held out.
    failures : DataFrame
        ``machine_id, ts, mode`` of the whole run.
    digest : str
        Of run, labels and split: equal digest, equal task. Features are left out, as their last digits may differ
        between processors.
    """

    task: Task
    X: pd.DataFrame
    y: pd.DataFrame
    test: np.ndarray
    failures: pd.DataFrame
    digest: str

    @property
    def taught(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Features and labels of the training."""
        return self.X[~self.test], self.y[~self.test]

    @property
    def asked(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Features and labels of the test."""
        return self.X[self.test], self.y[self.test]


@contextmanager
def simulated(task: Task, path: Path | None = None, progress: bool = False) -> Iterator[Run]:
    """Give the run of a task, in a plant that is thrown away unless a path is given."""
    from twin.run import simulate

    with tempfile.TemporaryDirectory(prefix="twin-benchmark-") as folder:
        plant = task.world.plant(path or Path(folder) / "plant.duckdb", turns=False)
        plan = task.world.plan(plant, policy=SERVICE, truth_interval=task.cadence)
        yield simulate(plant.store, plan, progress=progress)


def regenerate(task: Task, run: Run) -> Data:
    """Return the rows of a task from its run."""
    from twin.prognosis.features import features
    from twin.prognosis.labels import labels

    X = features(run, task.spec)
    y = labels(run, X, task.horizon)
    keep = counted(task, y)
    X, y = X[keep], y[keep]
    test = X.index.get_level_values("machine_id").to_numpy() > task.teach
    failures = run.failures()[["machine_id", "failed_at", "mode"]].rename(columns={"failed_at": "ts"})
    return Data(task, X, y, test, failures, digest_of(task, run, y, test))


def counted(task: Task, y: pd.DataFrame) -> np.ndarray:
    """Return which rows a task uses."""
    days = y.index.get_level_values("ts").to_numpy().astype("datetime64[D]").astype(np.int64)
    keep = y["usable"].to_numpy(dtype=bool) & (days % task.every_days == 0)
    if task.kind == "diagnosis":
        return keep & y["fails"].to_numpy(dtype=bool)
    if task.kind == "rul":
        return keep & ~y["censored"].to_numpy(dtype=bool) & (y["rul_h"].to_numpy(dtype=float) < RUL_CAP_H)
    return keep


def digest_of(task: Task, run: Run, y: pd.DataFrame, test: np.ndarray) -> str:
    """Return a hash of the run's readings and events, of the rows that count, of their labels, and of the split."""
    times = y.index.get_level_values("ts").to_numpy().astype("datetime64[us]").astype("<i8")
    columns: list[Any] = [
        y.index.get_level_values("machine_id").to_numpy().astype("<i8"),
        times,
        y["fails"].to_numpy(dtype="u1"),
        y["censored"].to_numpy(dtype="u1"),
        np.round(y["rul_h"].to_numpy(dtype=float) * 3.6e9).astype("<i8"),  # whole microseconds
        test.astype("u1"),
    ]
    modes = "\n".join("" if mode is None else str(mode) for mode in y["mode"].to_numpy(dtype=object))
    head = [
        task.name,
        run.digest(),
        run.row.events_digest,
        task.horizon,
        task.cadence,
        task.every_days,
        task.metric,
        len(y),
    ]
    found = hashlib.sha256(json.dumps(head).encode())
    for column in columns:
        found.update(column.tobytes())
    found.update(modes.encode())
    return found.hexdigest()[:32]


def with_truth(run: Run, X: pd.DataFrame) -> pd.DataFrame:
    """Return features with what no one can measure beside them: the true damage of each part, and how it grows.

    ``left_h`` and ``exponential_h`` are the hours until the first part fails if its damage goes on to grow as it did
    since the row of the truth before: by as much, or by the same factor.
    """
    import pandas as pd

    machines = np.unique(X.index.get_level_values("machine_id"))
    batches = np.array_split(machines, -(-machines.size // BATCH))
    known = pd.concat([_damage(run, batch.tolist()) for batch in batches]).sort_values("ts", kind="stable")
    rows = X.index.to_frame(index=False).astype(_TYPES).sort_values("ts", kind="stable")
    joined = pd.merge_asof(rows, known, on="ts", by="machine_id").set_index(["machine_id", "ts"])
    return X.join(joined.reindex(X.index))


def _damage(run: Run, machines: list[int]) -> pd.DataFrame:
    """Return the true damage of some machines by time, and what it says of the time that is left."""
    import pandas as pd

    truth: Any = run.truth(machines)[["machine_id", "ts", "damage"]]
    truth = truth.drop_duplicates(["machine_id", "ts"], keep="last").sort_values(["machine_id", "ts"])
    truth = truth.astype(_TYPES).reset_index(drop=True)
    damage: Any = pd.DataFrame.from_records([dict(row) for row in truth.pop("damage")])
    hours = truth["ts"].groupby(truth["machine_id"]).diff() / pd.Timedelta(hours=1)
    before = damage.groupby(truth["machine_id"]).shift()
    left = ((1.0 - damage) / (damage - before)).where(damage > before).mul(hours, axis=0)
    with np.errstate(divide="ignore"):
        exponential = (-np.log(damage)).div(np.log(damage / before)).where(damage > before).mul(hours, axis=0)
    known = truth.assign(left_h=left.min(axis=1), exponential_h=exponential.min(axis=1))
    return known.join(damage.add_prefix("damage_"))
