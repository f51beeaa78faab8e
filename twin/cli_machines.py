"""Commands on machines, technicians and runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from twin.cli_output import common, emit, emit_rows, given, opened
from twin.errors import BadRequest, shown

_F = TypeVar("_F", bound=Callable[..., Any])
_MACHINE_COLUMNS = ("machine_id", "name", "machine_type", "location", "description")
_RUN_COLUMNS = ("run_id", "name", "status", "start_at", "end_at", "interval", "seed", "machines", "rows", "digest")


@click.group()
def machine() -> None:
    """The machines of the plant."""


@machine.command("list")
@common
def machine_list(db: str, as_json: bool) -> None:
    """List the machines."""
    emit_rows(opened(db, read_only=True).machines.rows(), as_json, _MACHINE_COLUMNS)


@machine.command("types")
@common
def machine_types(db: str, as_json: bool) -> None:
    """List the machine types of the catalog."""
    emit_rows(opened(db, read_only=True).machine_types.rows(), as_json, ("name", "title", "description"))


@machine.command("show")
@common
@click.argument("name")
def machine_show(db: str, as_json: bool, name: str) -> None:
    """Show one machine; NAME may be its id."""
    emit(opened(db, read_only=True).machines.get(name), as_json)


@machine.command("create")
@common
@click.argument("name")
@click.option("--type", "machine_type", default="spindle", show_default=True, help="A machine type of the catalog.")
@click.option("--location", default="", help="Where it stands.")
@click.option("--description", default="", help="Free text.")
@click.option("--unit-seed", type=int, default=None, help="Seed of its unit-to-unit variation [from its number].")
def machine_create(
    db: str, as_json: bool, name: str, machine_type: str, location: str, description: str, unit_seed: int | None
) -> None:
    """Add a machine."""
    created = opened(db).machines.create(
        name, machine_type=machine_type, location=location, description=description, unit_seed=unit_seed
    )
    emit(created, as_json, f"created machine {created['name']} (id {created['machine_id']})")


@machine.command("update")
@common
@click.argument("name")
@click.option("--rename", default=None, metavar="NAME", help="Its new name.")
@click.option("--type", "machine_type", default=None, help="A machine type of the catalog.")
@click.option("--location", default=None, help="Where it stands.")
@click.option("--description", default=None, help="Free text.")
@click.option("--unit-seed", type=int, default=None, help="Seed of its unit-to-unit variation.")
def machine_update(db: str, as_json: bool, name: str, rename: str | None, **options: object) -> None:
    """Change a machine; what is not given stays."""
    updated = opened(db).machines.update(name, **given(name=rename, **options))
    emit(updated, as_json, f"updated machine {updated['name']}")


@machine.command("delete")
@common
@click.argument("name")
def machine_delete(db: str, as_json: bool, name: str) -> None:
    """Delete a machine that nothing refers to."""
    opened(db).machines.delete(name)
    emit({"deleted": name}, as_json, f"deleted machine {name}")


@click.group()
def technician() -> None:
    """The people who carry out maintenance tasks."""


@technician.command("list")
@common
def technician_list(db: str, as_json: bool) -> None:
    """List the technicians."""
    emit_rows(opened(db, read_only=True).technicians.rows(), as_json)


@technician.command("show")
@common
@click.argument("technician_id")
def technician_show(db: str, as_json: bool, technician_id: str) -> None:
    """Show one technician."""
    emit(opened(db, read_only=True).technicians.get(technician_id), as_json)


def _shift_options(function: _F) -> _F:
    weekdays = click.option("--weekdays", default=None, metavar="12345", help="Days, 1 Monday to 7 Sunday [all].")
    return click.option("--shift", default=None, metavar="H-H", help="Hours (UTC) when work may begin [0-24].")(
        weekdays(function)
    )


def _shift(shift: str | None) -> dict[str, float]:
    """Return the fields of ``6-16``."""
    if shift is None:
        return {}
    start, _, end = shift.partition("-")
    try:
        return {"shift_start_h": float(start), "shift_end_h": float(end)}
    except ValueError:
        raise BadRequest(f"a shift is two hours of the day, such as 6-16 or 8-20.5, got {shown(shift)}") from None


@technician.command("create")
@common
@click.argument("technician_id")
@click.option("--name", required=True, help="The person's name.")
@click.option("--skill", "skills", multiple=True, help="Such as mechanical, electrical or instrumentation; repeatable.")
@click.option("--hourly-cost", type=float, default=0.0, show_default=True, help="Cost of an hour.")
@_shift_options
def technician_create(
    db: str, as_json: bool, technician_id: str, skills: tuple[str, ...], shift: str | None, **fields: Any
) -> None:
    """Add a technician."""
    created = opened(db).technicians.create(technician_id, skills=skills, **given(**fields), **_shift(shift))
    emit(created, as_json, f"created technician {created['technician_id']} ({created['name']})")


@technician.command("update")
@common
@click.argument("technician_id")
@click.option("--name", default=None, help="The person's name.")
@click.option("--skill", "skills", multiple=True, help="Replaces the skills; repeatable.")
@click.option("--hourly-cost", type=float, default=None, help="Cost of an hour.")
@_shift_options
def technician_update(
    db: str, as_json: bool, technician_id: str, skills: tuple[str, ...], shift: str | None, **fields: Any
) -> None:
    """Change a technician; what is not given stays."""
    changes = given(skills=skills or None, **fields) | _shift(shift)
    updated = opened(db).technicians.update(technician_id, **changes)
    emit(updated, as_json, f"updated technician {updated['technician_id']}")


@technician.command("delete")
@common
@click.argument("technician_id")
def technician_delete(db: str, as_json: bool, technician_id: str) -> None:
    """Delete a technician to whom no task is assigned."""
    opened(db).technicians.delete(technician_id)
    emit({"deleted": technician_id}, as_json, f"deleted technician {technician_id}")


@click.group()
def runs() -> None:
    """The simulated runs that the plant holds."""


@runs.command("list")
@common
def runs_list(db: str, as_json: bool) -> None:
    """List the runs."""
    emit_rows(opened(db, read_only=True).runs.rows(), as_json, _RUN_COLUMNS)


@runs.command("show")
@common
@click.argument("run")
@click.option("--plan", "with_plan", is_flag=True, help="Print the run's whole plan instead (JSON).")
def runs_show(db: str, as_json: bool, run: str, with_plan: bool) -> None:
    """Show one run; RUN is its id, or 'latest'."""
    collection = opened(db, read_only=True).runs
    if with_plan:
        click.echo(collection.get(run).plan.to_json())
    else:
        emit(collection.row(run), as_json)


@runs.command("rename")
@common
@click.argument("run")
@click.argument("name")
def runs_rename(db: str, as_json: bool, run: str, name: str) -> None:
    """Give a run a name."""
    emit(opened(db).runs.update(run, name=name), as_json, f"run {run} is now {name!r}")


@runs.command("delete")
@common
@click.argument("run")
def runs_delete(db: str, as_json: bool, run: str) -> None:
    """Delete a run with its telemetry; RUN is its id, or 'latest'."""
    number = opened(db).runs.delete(run)
    emit({"deleted": number}, as_json, f"deleted run {number}")
