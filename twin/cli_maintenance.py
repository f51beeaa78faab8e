"""Commands on maintenance tasks."""

from __future__ import annotations

from typing import Any

import click

from twin.cli_output import choice, common, emit, emit_rows, given, opened

_COLUMNS = (
    "task_id", "machine", "task_type", "action", "scheduled_at", "duration_min", "priority", "status",
    "technician_id", "cost",
)  # fmt: skip
_TYPES = ("preventive", "corrective", "predictive")
_PRIORITIES = ("low", "medium", "high", "critical")


@click.group()
def maintenance() -> None:
    """Maintenance tasks."""


@maintenance.command("list")
@common
@click.option("--machine", default=None, help="Only this machine.")
@click.option("--status", default=None, help="Only tasks of this status.")
def maintenance_list(db: str, as_json: bool, machine: str | None, status: str | None) -> None:
    """List the tasks by date."""
    emit_rows(opened(db, read_only=True).maintenance.rows(machine=machine, status=status), as_json, _COLUMNS)


@maintenance.command("show")
@common
@click.argument("task_id", type=int)
def maintenance_show(db: str, as_json: bool, task_id: int) -> None:
    """Show one task."""
    emit(opened(db, read_only=True).maintenance.get(task_id), as_json)


@maintenance.command("actions")
@common
def maintenance_actions(db: str, as_json: bool) -> None:
    """List the maintenance actions, and the failure modes that each restores."""
    columns = ("name", "title", "duration_min", "parts_cost", "skill", "restores")
    emit_rows(opened(db, read_only=True).maintenance_actions.rows(), as_json, columns)


def _upcoming(function: Any) -> Any:
    for option in (
        click.option("--now", default=None, metavar="T", help="Counted from this time [the present]."),
        click.option("--within", default="7d", show_default=True, metavar="D", help="How far ahead to look."),
        click.option("--machine", default=None, help="Only this machine."),
    ):
        function = option(function)
    return common(function)


@maintenance.command("upcoming")
@_upcoming
def maintenance_upcoming(db: str, as_json: bool, machine: str | None, within: str, now: str | None) -> None:
    """List the open tasks that lie ahead, by date and priority; overdue ones first."""
    emit_rows(opened(db, read_only=True).maintenance.upcoming_rows(machine, within, now), as_json, _COLUMNS)


@click.command("upcoming")
@_upcoming
def upcoming(db: str, as_json: bool, machine: str | None, within: str, now: str | None) -> None:
    """The same as: twin maintenance upcoming."""
    emit_rows(opened(db, read_only=True).maintenance.upcoming_rows(machine, within, now), as_json, _COLUMNS)


@maintenance.command("schedule")
@common
@click.option("--machine", required=True, help="A machine's name or id.")
@click.option("--action", required=True, help="One of: twin maintenance actions.")
@click.option("--at", required=True, metavar="T", help="When it begins.")
@click.option(
    "--type", "task_type", type=choice(_TYPES), default="preventive", show_default=True, help="Why it is done."
)
@click.option("--duration", default=None, metavar="D", help="How long it takes [the action's].")
@click.option("--priority", type=choice(_PRIORITIES), default="medium", show_default=True, help="How urgent it is.")
@click.option("--technician", default=None, help="Who does it.")
@click.option("--cost", type=float, default=None, help="What it costs [the action's parts].")
@click.option("--notes", default="", help="Free text.")
def maintenance_schedule(db: str, as_json: bool, **options: Any) -> None:
    """Plan a task."""
    number = opened(db).maintenance.schedule(**options)
    emit({"task_id": number}, as_json, f"task {number}: {options['action']} on {options['machine']} at {options['at']}")


@maintenance.command("update")
@common
@click.argument("task_id", type=int)
@click.option("--action", default=None, help="One of: twin maintenance actions.")
@click.option("--at", default=None, metavar="T", help="When it begins.")
@click.option("--type", "task_type", type=choice(_TYPES), default=None, help="Why it is done.")
@click.option("--duration", default=None, metavar="D", help="How long it takes.")
@click.option("--priority", type=choice(_PRIORITIES), default=None, help="How urgent it is.")
@click.option("--cost", type=float, default=None, help="What it costs.")
@click.option("--notes", default=None, help="Free text.")
def maintenance_update(db: str, as_json: bool, task_id: int, **options: Any) -> None:
    """Change a task; what is not given stays."""
    emit(opened(db).maintenance.update(task_id, **given(**options)), as_json, f"updated task {task_id}")


@maintenance.command("assign")
@common
@click.argument("task_id", type=int)
@click.argument("technician")
def maintenance_assign(db: str, as_json: bool, task_id: int, technician: str) -> None:
    """Assign a task to a technician."""
    emit(opened(db).maintenance.assign(task_id, technician), as_json, f"task {task_id} is assigned to {technician}")


@maintenance.command("start")
@common
@click.argument("task_id", type=int)
def maintenance_start(db: str, as_json: bool, task_id: int) -> None:
    """Mark a planned task as in progress."""
    emit(opened(db).maintenance.start(task_id), as_json, f"task {task_id} is in progress")


@maintenance.command("complete")
@common
@click.argument("task_id", type=int)
def maintenance_complete(db: str, as_json: bool, task_id: int) -> None:
    """Mark a task in progress as done."""
    emit(opened(db).maintenance.complete(task_id), as_json, f"task {task_id} is done")


@maintenance.command("cancel")
@common
@click.argument("task_id", type=int)
def maintenance_cancel(db: str, as_json: bool, task_id: int) -> None:
    """Cancel a task that is not done."""
    emit(opened(db).maintenance.cancel(task_id), as_json, f"task {task_id} is cancelled")


@maintenance.command("delete")
@common
@click.argument("task_id", type=int)
def maintenance_delete(db: str, as_json: bool, task_id: int) -> None:
    """Delete a task."""
    opened(db).maintenance.delete(task_id)
    emit({"deleted": task_id}, as_json, f"deleted task {task_id}")
