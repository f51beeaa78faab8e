"""The commands of the benchmark: what tasks there are, run them, score a submission."""

from __future__ import annotations

import sys
from typing import Any

import click

from twin.cli_output import emit, emit_rows, table
from twin.errors import BadRequest, TwinError

_SHOWN = ("task", "baseline", "score", "low", "high", "room")
_json = click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON.")
_workers = click.option(
    "--workers", type=click.IntRange(1, 64), default=None, metavar="N", help="Processes [all processors]."
)


@click.group()
def benchmark() -> None:
    """Prediction tasks that are the same everywhere, and scores for them."""


@benchmark.command("list")
@_json
def benchmark_list(as_json: bool) -> None:
    """List the tasks, and the best baseline that was frozen with each."""
    from twin.benchmark.frozen import frozen
    from twin.benchmark.tasks import tasks

    rows = []
    for name, task in tasks().items():
        known = frozen()["tasks"].get(name, {})
        scores = [row for row in known.get("baselines", ()) if not row["bound"]]
        best = max(scores, key=lambda row: row["score"], default={"baseline": None, "score": None})
        rows.append(
            {
                "task": name,
                "asks": task.asks,
                "metric": task.metric,
                "best_baseline": best["baseline"],
                "score": best["score"],
                "digest": known.get("digest"),
            }
        )
    emit_rows(rows, as_json, () if as_json else ("task", "metric", "best_baseline", "score", "asks"))


@benchmark.command("run")
@_json
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "every", is_flag=True, help="All tasks.")
@click.option("--out", type=click.Path(), default=None, help="Folder for each task's files: what a participant needs.")
@click.option("--keep", type=click.Path(), default=None, help="Folder for finished tasks: the same command goes on.")
@_workers
def benchmark_run(as_json: bool, names: tuple[str, ...], every: bool, out: str | None, **options: Any) -> None:
    """Regenerate tasks, compare their digests with the frozen ones, and score the baselines.

    NAME is a task, such as detection-medium. Exit status 1 when a digest is not the frozen one.
    """
    from twin.benchmark.frozen import drifted
    from twin.benchmark.runs import run_tasks

    if bool(names) == every:
        raise BadRequest("name the tasks, or say --all; twin benchmark list shows them")
    records = run_tasks(names or None, out=out, progress=sys.stderr.isatty(), **options)
    emit(records, as_json, "\n\n".join(_text(record) for record in records))
    for record in records:
        for change in drifted(record) if record["match"] else ():
            click.echo(f"note: {record['task']}: {change} (other versions of libraries fit other models)", err=True)
    _refuse_other_digests(records)


@benchmark.command("score")
@_json
@click.argument("name")
@click.argument("submission", type=click.Path())
@_workers
def benchmark_score(as_json: bool, name: str, submission: str, workers: int | None) -> None:
    """Score a submission: NAME is the task, SUBMISSION a CSV or Parquet file (JSON for a policy).

    Exit status 1 when the task does not regenerate to its frozen digest.
    """
    from twin.benchmark.frozen import frozen
    from twin.benchmark.runs import SUBMISSION, score_submission

    record = score_submission(name, submission, workers=workers, progress=sys.stderr.isatty())
    rows = [{"baseline": SUBMISSION, **record}, *frozen()["tasks"].get(name, {}).get("baselines", ())]
    rows.sort(key=lambda row: -row["score"])
    shown = [name for name in rows[0] if name in record and name not in ("task", "submission", "metric", "best")]
    columns = ["baseline", *(c for c in shown if c not in ("baseline", "digest", "frozen", "match"))]
    head = f"{name}: {record['metric']} {record['score']:.3f} ({record['low']:.3f} to {record['high']:.3f})"
    emit(record, as_json, f"{head}\n{table(_marked(rows), columns)}")
    _refuse_other_digests([record])


def _text(record: dict[str, Any]) -> str:
    same = "as frozen" if record["match"] else f"frozen was {record['frozen'] or 'nothing'}"
    head = f"{record['task']}: {record['metric']}; digest {record['digest']}, {same}; {record['seconds']:.0f} s"
    rows = record["baselines"]
    known = dict.fromkeys(name for row in rows for name in row)
    more = [name for name in known if name not in (*_SHOWN, "bound") and not name.endswith(("_low", "_high"))]
    return f"{head}\n{table(_marked(rows), ['baseline', *_SHOWN[2:], *more])}"


def _marked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with the names of bounds in brackets: they are no baselines."""
    return [row | {"baseline": f"({row['baseline']})" if row.get("bound") else row["baseline"]} for row in rows]


def _refuse_other_digests(records: list[dict[str, Any]]) -> None:
    other = [record for record in records if not record["match"]]
    if other:
        first = other[0]
        more = f" and {len(other) - 1} more" if len(other) > 1 else ""
        raise TwinError(
            f"{first['task']}{more}: the digest is {first['digest']}, frozen was {first['frozen']}; another version of "
            "pdm-twin made another task, and its scores cannot be compared"
        )
