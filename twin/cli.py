"""The command line: ``twin``.

The commands read the words, call the verbs of `twin.plant.Plant` and print what they return.
Exit status: 0 done, 2 a bad request, 1 a fault, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from twin import __version__
from twin.cli_benchmark import benchmark
from twin.cli_machines import machine, runs, technician
from twin.cli_maintenance import maintenance, upcoming
from twin.cli_output import choice, common, emit, emit_rows, machines_option, opened, table
from twin.cli_realism import realism
from twin.cli_scenarios import failure, scenario
from twin.cli_worlds import alarm, what_if
from twin.errors import TwinError

if TYPE_CHECKING:
    from twin.run import Run

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class _Commands(click.Group):
    """The commands of this floor, and those that floors above add as entry points, loaded when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *_added()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = super().get_command(ctx, cmd_name)
        if found is None and cmd_name in (added := _added()):
            found = added[cmd_name].load()
        return found


def _added() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group="pdm_twin.commands")}


@click.group(cls=_Commands, context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="twin")
def cli() -> None:
    """Simulate a plant of machines, and keep its telemetry in a DuckDB file.

    Times are UTC (2026-01-05, 2026-01-05T08:00); durations carry their unit (1s, 90min, 7d).
    """


@cli.command()
@common
@click.option("--machines", type=click.IntRange(1, 32767), default=12, show_default=True, help="Machines to create.")
@click.option("--empty", is_flag=True, help="No machines, tasks or technicians: only the catalog.")
def init(db: str, as_json: bool, machines: int, empty: bool) -> None:
    """Create a plant: the sample plant, or an empty one."""
    from twin.plant import Plant

    plant = Plant.create(db, machines=machines, sample=not empty)
    counts = plant.counts()
    listing = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items())
    emit({"db": str(plant.path), **counts}, as_json, f"created {plant.path}: {listing}")


@cli.command()
@common
@click.option("--start", required=True, metavar="T", help="First reading.")
@click.option("--end", required=True, metavar="T", help="End of the span; not itself a reading.")
@click.option("--interval", default="1s", show_default=True, metavar="D", help="Time between two readings.")
@machines_option()
@click.option("--fleet", type=int, default=None, metavar="N", help="That many machines: more like those there are.")
@click.option("--seed", type=int, default=0, show_default=True, help="Address of all noise, 0 to 2**63-1.")
@click.option(
    "--wear",
    type=choice(["new", "used", "off"]),
    default="new",
    show_default=True,
    help="Machines wear, beginning with new or used parts, or do not.",
)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="POLICY",
    help="run-to-failure (default), periodic:30d[:ACTION], running:500h[:ACTION], "
    "condition:CHANNEL[>LIMIT][@DURATION][:ACTION] or no-repair; repeatable.",
)
@click.option("--tasks/--no-tasks", default=True, help="Whether the open maintenance tasks are carried out.")
@click.option("--response", default="4h", show_default=True, metavar="D", help="From a failure to its repair.")
@click.option("--events-only", is_flag=True, help="No readings: failures, work, alarms and truth only.")
@click.option(
    "--truth-interval",
    default="auto",
    show_default=True,
    metavar="D",
    help="Between rows of the truth, or none; auto: 1h, 1d beyond 60 days, 7d with --events-only.",
)
@click.option("--profile", "profiles", multiple=True, metavar="CSV", help="Recorded profile to follow; repeatable.")
@click.option(
    "--profile-interpolation",
    type=choice(["hold", "linear"]),
    default="hold",
    show_default=True,
    help="Between the points of a profile.",
)
@click.option(
    "--profile-end",
    type=choice(["repeat", "end"]),
    default="repeat",
    show_default=True,
    help="What a profile does at its end.",
)
@click.option("--name", default=None, help="A name for the run.")
@click.option("--new", is_flag=True, help="Start another run even where an equal one exists or was interrupted.")
def simulate(db: str, as_json: bool, **options: Any) -> None:
    """Simulate a span of time and store its telemetry and what happens.

    A plant that does not exist is created: the sample plant. --machines takes names, 'all', or a
    whole number: how many. The same command after an interruption resumes the run; after a
    complete run it returns that run. --new starts another.
    """
    policies = options.pop("policies")
    policy = policies[0] if len(policies) == 1 else list(policies) or None
    if options["truth_interval"] == "none":
        options["truth_interval"] = None
    options |= counted(options["machines"], options["fleet"])
    run = opened(db, create=True).simulate(**options, policy=policy, progress=sys.stderr.isatty())
    emit(*_summary(run, as_json))


def counted(machines: Any, fleet: int | None) -> dict[str, Any]:
    """Return the options for ``--machines 1000``: a whole number is how many, as in ``twin init``."""
    if fleet is None and isinstance(machines, list) and len(machines) == 1 and machines[0].isdecimal():
        return {"machines": "all", "fleet": int(machines[0])}
    return {}


def _summary(run: Run, as_json: bool) -> tuple[dict[str, Any], bool, str]:
    seconds, row, figures = run.seconds, run.row, run.summary()
    pairs = [{name: pair[name] for name in ("run_id", *_FIGURES)} for pair in run.paired_rows()]
    record = {
        "run_id": run.id,
        "status": run.status,
        "rows": run.rows,
        "seconds": round(seconds, 6),
        "rows_per_s": round(run.rows / seconds) if seconds > 0 else None,
        "digest": run.digest(),
        "resumed": run.resumed,
        "reused": run.reused,
        "events_digest": row.events_digest,
        "policy": row.policy,
        **{name: figures.get(name) for name in _FIGURES[1:]},
        "paired": pairs,
    }
    how = "already complete" if run.reused else "resumed and completed" if run.resumed else "complete"
    pace = "" if run.reused else f" in {seconds:.2f} s"
    size = f"{run.rows:,} rows" if row.telemetry else "events only"
    lines = [f"run {run.id} {how}: {size}{pace}, digest {record['digest']}"]
    if len(pairs) > 1:
        lines += ["paired runs: the same machines, weather and lives", table(pairs)]
    else:
        down, cost = figures.get("downtime_h") or 0.0, figures.get("cost") or 0.0
        lines.append(f"{figures.get('failures', 0)} failures, {down:,.1f} h of downtime, cost {cost:,.0f}")
    return record, as_json, "\n".join(lines)


_FIGURES = ("policy", "machines", "failures", "tasks_done", "downtime_h", "availability", "mtbf_h", "mttr_h", "cost")


@cli.command()
@common
@click.argument("run")
def digest(db: str, as_json: bool, run: str) -> None:
    """Recompute a run's digest from its stored rows and compare it with the one it was stored with.

    RUN is a run's id, or 'latest'. Exit status 1 when they differ.
    """
    found = opened(db).runs.get(run)
    recomputed, stored = found.recomputed_digest(), found.row.digest
    record = {"run_id": found.id, "digest": recomputed, "stored": stored, "match": recomputed == stored}
    emit(record, as_json, recomputed)
    if recomputed != stored:
        reason = f"has no stored digest (it is {found.status})" if stored is None else f"was stored with {stored}"
        raise TwinError(f"run {found.id} {reason}; its rows now give {recomputed}")


@cli.command()
@common
@click.argument("run")
@click.option("--verify", is_flag=True, help="Compare the replay's digest with the stored one (the default).")
def replay(db: str, as_json: bool, run: str, verify: bool) -> None:
    """Simulate a run's stored plan again and compare the digests; no row is written.

    RUN is a run's id, or 'latest'; that of a live session that was killed is completed first.
    Exit status 1 when they differ.
    """
    del verify  # there is nothing else that a replay could be for
    found = opened(db).runs.get(run)
    replayed, stored = found.replay(progress=sys.stderr.isatty()), found.digest()
    match = replayed == stored
    record = {"run_id": found.id, "digest": replayed, "stored": stored, "match": match}
    emit(record, as_json, f"run {found.id}: the replay {'agrees' if match else 'differs'}, digest {replayed}")
    if not match:
        raise TwinError(f"run {found.id}: the replay gives {replayed}, but {stored} is stored")


@cli.command()
@common
@click.option("--run", default=None, help="A run's id, or 'latest' [the newest].")
@click.option(
    "--format",
    "file_format",
    type=choice(["csv", "json", "parquet"]),
    default="parquet",
    show_default=True,
    help="Kind of the files.",
)
@click.option("--out", required=True, type=click.Path(), help="Directory to write into.")
@click.option(
    "--layout", type=choice(["tables", "five_tables"]), default="tables", show_default=True, help="Which tables."
)
@click.option(
    "--transport",
    default=None,
    metavar="KEY=VALUE,...",
    help="Write telemetry as received: drop=P,duplicate=P,delay=D,reorder=P,reorder_within=D,"
    "outage_per_day=N,outage=D,seed=N.",
)
def export(
    db: str, as_json: bool, run: str | None, file_format: str, out: str, layout: str, transport: str | None
) -> None:
    """Write a run and the plant's tables as files, one a table."""
    plant = opened(db)
    files = plant.export(out, format=file_format, run=run, layout=layout, transport=transport)
    runs = plant.runs.rows() if run is None else [plant.runs.row(run)]
    if runs and runs[-1]["status"] != "complete":
        part = f"{runs[-1]['committed_rows']:,} of {runs[-1]['rows']:,} rows"
        click.echo(f"note: run {runs[-1]['run_id']} is {runs[-1]['status']}: {part} were there to export", err=True)
    record = [{"file": str(path), "bytes": path.stat().st_size} for path in files]
    emit_rows(record, as_json)


@cli.command()
@common
@click.argument("statement")
def sql(db: str, as_json: bool, statement: str) -> None:
    """Run one reading SQL statement and print its rows."""
    emit_rows(opened(db, read_only=True).sql_rows(statement), as_json)


@cli.command()
@click.option(
    "--rows",
    type=click.IntRange(1_000, 10_000_000_000),
    default=20_000_000,
    show_default=True,
    help="Rows of the measured run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON.")
def bench(rows: int, as_json: bool) -> None:
    """Measure the speed of this machine: generation, ingestion, noise, memory, start-up."""
    from twin.bench import run_bench

    emit(run_bench(rows), as_json)


for _command in (
    scenario,
    failure,
    maintenance,
    machine,
    technician,
    alarm,
    runs,
    what_if,
    upcoming,
    realism,
    benchmark,
):
    cli.add_command(_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and leave with its exit status."""
    sys.exit(run_command(argv))


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run a command; print an error as one line on standard error.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after ``twin``; the process's own by default.

    Returns
    -------
    int
        The exit status.
    """
    try:
        cli.main(args=None if argv is None else list(argv), prog_name="twin", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:  # a group without a command
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        return _fail(_usage(error), error.exit_code)
    except TwinError as error:
        return _fail(str(error), error.exit_status)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; what was committed is kept, and the same command resumes it", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of our output has left
        return 0
    except Exception as error:  # a fault of ours: still one line, the rest on request
        if os.environ.get("TWIN_DEBUG"):
            raise
        return _fail(f"internal error: {type(error).__name__}: {error} (TWIN_DEBUG=1 shows where)", 1)
    return 0


def _usage(error: click.ClickException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    return f"{message} (see {context.command_path} --help)" if context is not None else message


def _fail(message: str, status: int) -> int:
    click.echo(f"error: {' '.join(message.split())}", err=True)
    return status


if __name__ == "__main__":
    main()
