"""What a participant needs, as files: readings, features and labels for training, the test rows without labels."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.benchmark.data import Data
from twin.benchmark.tasks import COLUMNS, EDITION, Task
from twin.errors import BadRequest, StoreFault

if TYPE_CHECKING:
    from twin.run import Run

CARD = "task.json"


def check_places(wanted: Iterable[Task], out: Path) -> None:
    """Refuse folders that hold something else than a task of before."""
    if out.exists() and not out.is_dir():
        raise BadRequest(f"{out} is no folder; choose another place for the tasks")
    for task in wanted:
        place = out / task.name
        if place.exists() and not (place / CARD).is_file():
            raise BadRequest(f"{place} exists and is no benchmark task; move it, or choose another folder")


@contextmanager
def whole_folder(place: Path) -> Iterator[Path]:
    """Give a folder to write into that takes its place when all is written, instead of one of before."""
    half = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        yield half
        shutil.rmtree(place, ignore_errors=True)
        half.replace(place)
    except OSError as error:
        raise StoreFault(f"cannot write {place}: {error.strerror}; choose another place") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


def write_rows(data: Data, run: Run, out: Path) -> Path:
    """Write the folder of a task whose answers are rows, and return it.

    ``telemetry_train``, ``telemetry_test``, ``alarms``, ``maintenance``, ``features_train``, ``labels_train`` and
    ``features_test`` are Parquet; ``sample_submission.csv`` has the test rows with an answer that is worth little.
    """
    import pyarrow.parquet as pq

    from twin.benchmark.baselines import BASELINES, answered

    task, place = data.task, out / data.task.name
    machines = sorted(machine.machine_id for machine in run.plan.machines)
    with whole_folder(place) as folder:
        for part, chosen in (("train", machines[: task.teach]), ("test", machines[task.teach :])):
            pq.write_table(run.telemetry(machines=chosen).arrow(), folder / f"telemetry_{part}.parquet")
        run.alarms().to_parquet(folder / "alarms.parquet")
        run.maintenance()[["machine_id", "start_at", "end_at", "action"]].to_parquet(folder / "maintenance.parquet")
        X, y = data.taught
        X.to_parquet(folder / "features_train.parquet")
        y.drop(columns="usable").to_parquet(folder / "labels_train.parquet")
        data.asked[0].to_parquet(folder / "features_test.parquet")
        sample = answered(data, next(iter(BASELINES[task.kind].values())))
        sample.reset_index().to_csv(folder / "sample_submission.csv", index=False, date_format="%Y-%m-%dT%H:%M:%S")
        _card(task, data.digest, {"columns": ["machine_id", "ts", *COLUMNS[task.kind]]}, folder)
    return place


def write_policy(task: Task, digest: str, models: tuple[Any, Any], out: Path) -> Path:
    """Write the folder of a policy task: its plant, the baseline's models, and them as a sample submission."""
    from twin.benchmark.frozen import chosen
    from twin.benchmark.policy_task import EVERY
    from twin.prognosis.saved import save

    place, choice = out / task.name, chosen(task.name)
    with whole_folder(place) as folder:
        task.world.plant(folder / "plant.duckdb")
        for model, name in zip(models, ("failure.model", "mode.model"), strict=True):
            save(model, folder / name)
        entry = {"model": "failure.model", "diagnosis": "mode.model", "threshold": choice["threshold"], "every": EVERY}
        (folder / "sample_submission.json").write_text(json.dumps([choice["service"], entry], indent=1) + "\n")
        seeds = [task.world.seed + k for k in range(task.replications)]
        _card(task, digest, {"test_seeds": seeds, "span": task.world.span}, folder)
    return place


def _card(task: Task, digest: str, more: dict[str, Any], folder: Path) -> None:
    facts = {
        "task": task.name, "edition": EDITION, "asks": task.asks, "metric": task.metric, "best": task.best,
        "digest": digest, "horizon": task.horizon, "cadence": task.cadence, "training_machines": f"1 to {task.teach}",
        **more,
    }  # fmt: skip
    (folder / CARD).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
