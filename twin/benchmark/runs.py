"""Run tasks: regenerate, compare the digest with the frozen one, score the baselines; and score a submission."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.benchmark.frozen import chosen, frozen_digest
from twin.benchmark.tasks import EDITION, Task, task, tasks
from twin.cache import source_hash
from twin.catalog.checks import check_number
from twin.errors import BadRequest, RunInterrupted
from twin.hindsight import ORACLE
from twin.interrupts import CtrlC
from twin.worth import BASELINE, Evaluation, kept_in, one_thread

if TYPE_CHECKING:
    from twin.plant import Plant

Record = dict[str, Any]
PERIODIC, SUBMISSION = "periodic", "submission"
MOST_WORKERS = 64


def run_tasks(
    names: Iterable[str] | None = None,
    *,
    out: str | Path | None = None,
    keep: str | Path | None = None,
    workers: int | None = None,
    progress: bool = False,
) -> list[Record]:
    """Regenerate tasks and score their baselines.

    Parameters
    ----------
    names : iterable of str, optional
        All tasks when not given.
    out : path, optional
        A folder that gets one folder a task with what a participant needs (see `twin.benchmark.files`).
    keep : path, optional
        A folder in which finished tasks are kept: the same call goes on after an interruption.
    workers : int, optional
        Processes; all processors by default. Does not change a figure.
    progress : bool
        Show bars on standard error.

    Returns
    -------
    list of dict
        One a task, in the order of the names: ``task, kind, difficulty, asks, metric, best, digest, frozen, match,
        sizes, baselines, seconds``; baselines are rows of ``baseline, score, low, high, room, bound`` and what else
        the kind tells. A row is a ``bound`` if it is no baseline but knows the truth.

    Raises
    ------
    BadRequest
        For unknown names, and folders that cannot be used.
    RunInterrupted
        On Ctrl-C.
    """
    wanted = [task(name) for name in (tasks() if names is None else names)]
    if len({t.name for t in wanted}) != len(wanted):
        raise BadRequest("a task is named twice; name each once")
    number = int(check_number(workers or os.cpu_count() or 1, "workers", 1, MOST_WORKERS))
    kept, place = None if keep is None else kept_in(keep), None if out is None else Path(out)
    if place is not None:
        from twin.benchmark.files import check_places

        check_places(wanted, place)
    found = {t.name: record for t in wanted if (record := _kept(kept, t, place)) is not None}
    try:
        for record in _carried_out([t for t in wanted if t.name not in found], place, kept, number, progress):
            found[record["task"]] = record
            _put(kept, record)
    except (KeyboardInterrupt, RunInterrupted):
        rest = "give --keep DIR to keep what is finished" if kept is None else f"the same command goes on from {kept}"
        raise RunInterrupted(f"interrupted with {len(found)} of {len(wanted)} tasks finished; {rest}") from None
    return [found[t.name] for t in wanted]


def _carried_out(
    waiting: Sequence[Task], out: Path | None, keep: Path | None, workers: int, progress: bool
) -> Iterator[Record]:
    """Yield records as they are finished: tasks of rows side by side, then policies, whose worlds are."""
    from joblib import Parallel, delayed
    from tqdm.auto import tqdm

    rows = [t for t in waiting if t.kind != "policy"]
    made = Parallel(n_jobs=min(workers, len(rows) or 1), return_as="generator_unordered", pre_dispatch="n_jobs")(
        delayed(_job)(t, out) for t in rows
    )
    bar = tqdm(total=len(waiting), desc="tasks", unit="task", disable=not progress)
    with bar:
        with CtrlC() as ctrl_c:
            for record in made:
                yield record
                bar.update()
                ctrl_c.check()
        for t in waiting:
            if t.kind == "policy":
                yield policy_record(t, out, keep, workers, progress)
                bar.update()


def _job(t: Task, out: Path | None) -> Record:
    with one_thread():
        return row_record(t, out)


def row_record(t: Task, out: Path | None = None, bound: bool = True) -> Record:
    """Return the record of a task whose answers are rows.

    Parameters
    ----------
    t : Task
    out : path, optional
        See `run_tasks`.
    bound : bool
        Whether to score the ceiling too.
    """
    from twin.benchmark.baselines import CEILING, scored
    from twin.benchmark.data import regenerate, simulated, with_truth

    began = time.perf_counter()
    with simulated(t) as run:
        data = regenerate(t, run)
        truth = with_truth(run, data.X) if bound else None
        if out is not None:
            from twin.benchmark.files import write_rows

            write_rows(data, run, out)
    rows = [{**score.row(name, t.best), "bound": name == CEILING} for name, score in scored(data, truth).items()]
    sizes = {
        "machines": t.world.machines,
        "test_machines": t.world.machines - t.teach,
        "rows": len(data.y),
        "test_rows": int(data.test.sum()),
        "failures": len(data.failures),
        "training_failures": int((data.failures["machine_id"] <= t.teach).sum()),
    }
    return _record(t, data.digest, sizes, rows, began)


def policy_record(
    t: Task, out: Path | None = None, keep: Path | None = None, workers: int | None = None, progress: bool = False
) -> Record:
    """Return the record of a policy task; parameters as in `run_tasks`."""
    from twin.benchmark import policy_task

    began = time.perf_counter()
    with _plant(t) as plant:
        digest = policy_task.policy_digest(t, plant)
        models = policy_task.trained(t, plant, chosen(t.name)["service"])
        policies = policy_task.baselines(t, plant, chosen(t.name), models)
        worth = policy_task.worth_of(t, plant, policies, workers=workers, keep=keep, progress=progress)
        if out is not None:
            from twin.benchmark.files import write_policy

            write_policy(t, digest, models, out)
    sizes = {"machines": t.world.machines, "days": t.world.days, "worlds": t.replications}
    rows = [policy_row(t, worth, name) | {"bound": name == ORACLE} for name in worth.policies]
    return _record(t, digest, sizes, rows, began)


def policy_row(t: Task, worth: Evaluation, name: str) -> Record:
    """Return what a policy is worth as a row; differences of cost are paired, with 95 % intervals."""
    table: Any = worth.table().loc[name]
    row: Record = {"baseline": name, "score": float(table["oracle_share"])}
    row |= {side: float(table[f"oracle_share_{side}"]) for side in ("low", "high")}
    row["room"] = t.best - row["score"]
    row |= {figure: float(table[figure]) for figure in ("cost", "failures", "downtime_h")}
    for other, short in ((BASELINE, "run_to_failure"), (PERIODIC, "periodic")):
        difference = worth.difference(name, other)
        row |= {f"vs_{short}": difference["mean"]} | {f"vs_{short}_{k}": difference[k] for k in ("low", "high")}
    return row


@contextmanager
def _plant(t: Task) -> Iterator[Plant]:
    with tempfile.TemporaryDirectory(prefix="twin-benchmark-") as folder:
        yield t.world.plant(Path(folder) / "plant.duckdb")


def _record(t: Task, digest: str, sizes: dict[str, int], rows: list[Record], began: float) -> Record:
    head = {"task": t.name, "kind": t.kind, "difficulty": t.difficulty, "asks": t.asks, "metric": t.metric}
    before = frozen_digest(t.name)
    return {
        **head, "best": t.best, "digest": digest, "frozen": before, "match": digest == before, "sizes": sizes,
        "baselines": rows, "seconds": round(time.perf_counter() - began, 1),
    }  # fmt: skip


def score_submission(name: str, path: str | Path, *, workers: int | None = None, progress: bool = False) -> Record:
    """Return the score of a submission file.

    Parameters
    ----------
    name : str
        The task.
    path : path
        A CSV or Parquet file with an answer for each test row; of a policy task a JSON file (see
        `twin.benchmark.policy_files`).
    workers, progress
        As in `run_tasks`.

    Returns
    -------
    dict
        ``task, submission, metric, digest, frozen, match, score, low, high, best, room`` and what else the kind tells.

    Raises
    ------
    BadRequest
        If the file cannot be read, or is no whole answer to the task.
    """
    t = task(name)
    place = Path(path)
    if t.kind == "policy":
        row, digest = _policy_score(t, place, workers, progress)
    else:
        row, digest = _rows_score(t, place)
    del row["baseline"]
    before = frozen_digest(t.name)
    head = {"task": t.name, "submission": str(place), "metric": t.metric, "best": t.best}
    return {**head, **row, "digest": digest, "frozen": before, "match": digest == before}


def _rows_score(t: Task, place: Path) -> tuple[Record, str]:
    from twin.benchmark.data import regenerate, simulated
    from twin.benchmark.scoring import check_readable, read_submission, score

    check_readable(place)  # before a simulation of half a minute
    with simulated(t) as run:
        data = regenerate(t, run)
    return score(data, read_submission(place, data)).row(SUBMISSION, t.best), data.digest


def _policy_score(t: Task, place: Path, workers: int | None, progress: bool) -> tuple[Record, str]:
    from twin.benchmark import policy_task
    from twin.benchmark.policy_files import read_policy

    with _plant(t) as plant:
        policy = read_policy(place, t, plant)
        policies = {BASELINE: None, PERIODIC: chosen(t.name)["periodic"], SUBMISSION: policy, ORACLE: ORACLE}
        digest = policy_task.policy_digest(t, plant)
        worth = policy_task.worth_of(t, plant, policies, workers=workers, progress=progress)
    return policy_row(t, worth, SUBMISSION), digest


def _key(t: Task) -> str:
    """Return what tells a finished task from one of other code, other libraries or another choice of policies."""
    from twin.prognosis.card import versions

    here = sorted(Path(__file__).parent.glob("*.py"))
    parts = [t.name, str(EDITION), source_hash(), json.dumps(versions())]
    parts += [json.dumps(chosen(t.name))] if t.kind == "policy" else []
    return hashlib.sha256("\n".join(parts).encode() + b"".join(file.read_bytes() for file in here)).hexdigest()[:16]


def _kept(keep: Path | None, t: Task, out: Path | None) -> Record | None:
    path = None if keep is None else keep / f"{t.name}-{_key(t)}.json"
    if path is None or not path.exists() or (out is not None and not (out / t.name).exists()):
        return None
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        digest = record["digest"]
    except (ValueError, TypeError, KeyError):
        return None  # damaged: carried out again
    return record | {"frozen": frozen_digest(t.name), "match": digest == frozen_digest(t.name)}


def _put(keep: Path | None, record: Record) -> None:
    if keep is None:
        return
    path = keep / f"{record['task']}-{_key(task(record['task']))}.json"
    half = path.with_suffix(f".{os.getpid()}.part")
    half.write_text(json.dumps(record), encoding="utf-8")
    half.replace(path)
