"""``twin sweep`` and ``twin experiments``: found by `twin.cli` as entry points of the group ``pdm_twin.commands``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from twin.cli_output import choice, common, emit, emit_rows, opened, plain
from twin.errors import BadRequest, TwinError

if TYPE_CHECKING:
    from pipelines.runner import Summary

_MOST_RUNS = 10_000
_MOST_ERRORS = 10


def _how(function: Any) -> Any:
    """Add the options that say how runs are carried out."""
    for option in reversed(
        [
            click.option("--workers", type=click.IntRange(1, 1024), default=None, metavar="N",
                         help="Runs at once [one for each processor]."),
            click.option("--executor", default="local", show_default=True, metavar="WHO",
                         help="local: processes; dask: a Dask cluster of them; dask://HOST:PORT: a running one."),
            click.option("--out", default=None, metavar="URL",
                         help="Where the runs' folders go, a path or any fsspec URL [beside the plant]."),
        ]
    ):  # fmt: skip
        function = option(function)
    return function


@click.command()
@common
@click.argument("experiment")
@_how
@click.option("--retry-failed", is_flag=True, help="Try failed runs again.")
@click.option("--dry-run", is_flag=True, help="Check, and print the runs and what they would take; start nothing.")
@click.option(
    "--max-runs",
    type=click.IntRange(1),
    default=_MOST_RUNS,
    show_default=True,
    metavar="N",
    help="Refuse an experiment of more runs.",
)
def sweep(
    db: str,
    as_json: bool,
    experiment: str,
    workers: int | None,
    executor: str,
    out: str | None,
    retry_failed: bool,
    dry_run: bool,
    max_runs: int,
) -> None:
    """Carry out the runs of an experiment that are not done yet.

    EXPERIMENT is a TOML file, or the name of one that comes with the project. The same command
    after any interruption does what is left. With --json it prints one object a line: the start,
    each run, the end. Exit status 1 when runs have failed.
    """
    from pipelines.runner import prepare
    from pipelines.runner import sweep as carry_out

    plant = opened(db, create=True)
    if dry_run:
        _dry_run(prepare(experiment, plant, out, max_runs), workers, as_json)
        return
    summary = carry_out(
        experiment,
        plant,
        workers=workers,
        executor=executor,
        out=out,
        retry_failed=retry_failed,
        max_runs=max_runs,
        progress=sys.stderr.isatty() and not as_json,
        say=_say if as_json else None,
    )
    _end(summary, as_json)


def _say(event: dict[str, Any]) -> None:
    click.echo(json.dumps(plain(event), allow_nan=False))
    sys.stdout.flush()


def _end(summary: Summary, as_json: bool) -> None:
    """Say how a sweep ended; failed runs are a fault."""
    if not as_json:
        rate = f", {summary.rate_per_s:,.2f} runs/s" if summary.done_now else ""
        click.echo(
            f"experiment {summary.experiment}: {summary.complete} of {summary.runs} runs complete, "
            f"{summary.done_now} carried out now in {summary.wall_s:.1f} s{rate}"
        )
        click.echo(f"index page: {summary.index}")
    if summary.failed:
        raise TwinError(
            f"{summary.failed} of {summary.runs} runs failed; why: twin experiments show {summary.experiment}; "
            "again: --retry-failed"
        )


def _dry_run(prepared: Any, workers: int | None, as_json: bool) -> None:
    import os

    status = prepared.status()
    estimate = prepared.estimate(workers or os.cpu_count() or 1)
    rows = [
        {"run_id": name, "status": status[name], **parameters}
        for name, parameters in zip(prepared.run_ids, prepared.parameters, strict=True)
    ]
    if as_json:
        click.echo(json.dumps(plain({"experiment": prepared.experiment.name, "estimate": estimate, "runs": rows})))
        return
    emit_rows(rows, False)
    click.echo(
        f"{estimate['runs']:,} runs, {estimate['left']:,} to do: about {_duration(estimate['time_s'])} and "
        f"{estimate['disk_bytes'] / 1e6:,.1f} MB, by {estimate['by']}; nothing was started"
    )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@click.group()
def experiments() -> None:
    """What sweeps have found, and what is left of them."""


@experiments.command("list")
@common
def list_(db: str, as_json: bool) -> None:
    """List the experiments, and how far they are."""
    rows = opened(db).store.rows("experiment_progress", order_by="name")
    hidden = ("template", "output_url", "created_at", "earlier", "description")
    emit_rows([{k: v for k, v in _public(row).items() if as_json or k not in hidden} for row in rows], as_json)


@experiments.command()
@common
@click.argument("experiment")
def show(db: str, as_json: bool, experiment: str) -> None:
    """Show an experiment: what it asks for, how far it is, and why runs failed."""
    from pipelines.reading import run_rows

    store = opened(db).store
    runs = run_rows(store, experiment)
    row = _public(store.rows("experiment_progress", {"name": experiment})[0])
    definition = next(r["definition"] for r in store.rows("experiments", {"name": experiment}))
    failed = [
        {"number": run["number"], "run_id": run["run_id"], "error": run["error"], "attempts": run["attempts"],
         "folder": f"{row['output_url']}/runs/{run['run_id']}"}
        for run in runs if run["status"] == "failed"
    ]  # fmt: skip
    if as_json:
        emit({**row, "definition": definition, "failures": failed}, True)
        return
    emit({key: value for key, value in row.items() if value != ""}, False)
    for run in failed[:_MOST_ERRORS]:
        click.echo(f"failed: run {run['number']} ({run['folder']}): {run['error']}")
    if len(failed) > _MOST_ERRORS:
        click.echo(f"... and {len(failed) - _MOST_ERRORS} more; all of them: --json")


@experiments.command()
@common
@click.argument("experiment")
@click.option("--all", "everything", is_flag=True, help="Also the runs that are not complete.")
@click.option("--columns", default=None, metavar="A,B", help="Only these columns [number, what varies, the results].")
def table(db: str, as_json: bool, experiment: str, everything: bool, columns: str | None) -> None:
    """Print the tidy table of an experiment: one row a run, its parameters and its results.

    JSON has all columns; the table for people leaves out run ids, parameters that are the same in
    all runs, and results that are nested in others.
    """
    from pipelines.reading import run_rows, tidy, varied

    store = opened(db).store
    frame = tidy(store, experiment, unfinished=everything)
    chosen = list(frame.columns)
    if columns is not None:
        chosen = [name.strip() for name in columns.split(",")]
        for name in chosen:
            if name not in frame.columns:
                raise BadRequest(f"the table of {experiment} has no column {name!r}; it has {', '.join(frame.columns)}")
    elif not as_json:
        runs = run_rows(store, experiment)
        parameters = {name for run in runs for name in run["parameters"]}
        hidden = {"run_id", *(parameters - set(varied(runs)))} | (set() if everything else {"status"})
        chosen = [name for name in chosen if name not in hidden and ("." not in name or name in parameters)]
    rows = frame[chosen].to_dict("records")
    emit_rows([{str(key): None if value != value else value for key, value in row.items()} for row in rows], as_json)


@experiments.command()
@common
@click.argument("experiment")
@click.option("--run", "runs", multiple=True, metavar="RUN", help="A run to do again; repeatable [the failed ones].")
@_how
def rerun(
    db: str,
    as_json: bool,
    experiment: str,
    runs: tuple[str, ...],
    workers: int | None,
    executor: str,
    out: str | None,
) -> None:
    """Do runs of a stored experiment again, and what is left of it.

    Without --run the failed ones. The experiment is taken as it was last asked for; no file is needed.
    """
    from pipelines.runner import sweep as carry_out
    from twin.store.experiments import experiment_row

    plant = opened(db)
    row = experiment_row(plant.store, experiment)
    summary = carry_out(
        row["definition"],
        plant,
        workers=workers,
        executor=executor,
        out=out or row["output_url"],
        retry_failed=not runs,
        again=runs,
        max_runs=sys.maxsize,
        progress=sys.stderr.isatty() and not as_json,
        say=_say if as_json else None,
    )
    _end(summary, as_json)


@experiments.command()
@common
@click.argument("experiment")
@click.option("--files", type=choice(["keep", "delete"]), default="keep", show_default=True,
              help="What becomes of the runs' folders.")  # fmt: skip
def remove(db: str, as_json: bool, experiment: str, files: str) -> None:
    """Remove an experiment with its runs and results from the plant."""
    from pipelines.output import Output
    from twin.store.experiments import ExperimentWriter

    writer = ExperimentWriter(opened(db).store)
    try:
        row = writer.remove(experiment)
    finally:
        writer.close()
    if files == "delete":
        Output(row["output_url"]).delete_all()
    left = f"; its folders stay at {row['output_url']}" if files == "keep" else ", and its folders"
    emit({"removed": experiment, "output_url": row["output_url"], "files": files}, as_json,
         f"removed experiment {experiment}{left}")  # fmt: skip


def _public(row: dict[str, Any]) -> dict[str, Any]:
    from twin.plant_base import public

    return public(row)
