"""Commands on what would have happened otherwise, and on what control systems watch."""

from __future__ import annotations

import sys
from typing import Any

import click

from twin.cli_output import choice, common, emit, emit_rows, given, opened, split_names, table


@click.command("what-if")
@common
@click.argument("run")
@click.option("--at", required=True, metavar="T", help="From when on the world is another.")
@click.option("--machines", default=None, metavar="A,B|all", help="Where [all]; a repair needs them.")
@click.option("--repair", default=None, metavar="ACTION", help="Work that is done as soon as somebody can.")
@click.option("--technician", default=None, help="Who does the repair [anybody who can].")
@click.option("--policy", "policies", multiple=True, help="What asks for maintenance from then on; repeatable.")
@click.option("--no-maintenance", is_flag=True, help="No work begins from then on.")
@click.option("--scenario", default=None, help="A scenario that becomes active.")
@click.option("--until", default=None, metavar="T", help="When the scenario ends.")
@click.option("--clear", default=None, metavar="MODE", help="A failure mode whose injections end.")
def what_if(
    db: str,
    as_json: bool,
    run: str,
    machines: str | None,
    policies: tuple[str, ...],
    no_maintenance: bool,
    **options: Any,
) -> None:
    """Simulate a run again with something changed from a time on, and compare.

    RUN is a run's id, or 'latest'.
    """
    found = opened(db).runs.get(run)
    result = found.what_if(
        machines=split_names(machines),
        policy=list(policies) or None,
        maintenance=not no_maintenance,
        progress=sys.stderr.isatty(),
        **options,
    )
    rows: list[dict[str, Any]] = result.table.reset_index().to_dict("records")  # type: ignore[assignment]
    record = {
        "run_id": result.run.id,
        "base_run_id": found.id,
        "first_difference": result.first_difference,
        "differences": rows,
    }
    parts = (
        "the signals never part"
        if result.first_difference is None
        else f"the signals part at {result.first_difference}"
    )
    emit(record, as_json, f"run {result.run.id} is run {found.id} changed: {parts}\n{table(rows)}")


@click.group()
def alarm() -> None:
    """What the control systems of the machines watch."""


def _fields(function: Any) -> Any:
    for option in (
        click.option("--trip-h", type=int, default=None, help="Whole hours that a tripped machine stands."),
        click.option("--trip/--no-trip", default=None, help="Whether it stops the machine."),
        click.option("--level", type=choice(["info", "warning", "alarm"]), default=None, help="How serious it is."),
        click.option("--hysteresis", type=float, default=None, help="It ends below limit x (1 - hysteresis)."),
        click.option("--relative/--absolute", default=None, help="Whether the limit multiplies the healthy reading."),
        click.option("--limit", type=float, default=None, help="Threshold, in the channel's unit."),
        click.option("--channel", default=None, help="The telemetry channel."),
        click.option("--title", default=None, help="Its name in words."),
        click.option("--description", default=None, help="Free text."),
    ):
        function = option(function)
    return function


@alarm.command("list")
@common
def alarm_list(db: str, as_json: bool) -> None:
    """List the alarm rules."""
    emit_rows(opened(db, read_only=True).alarm_rules.rows(), as_json)


@alarm.command("show")
@common
@click.argument("name")
def alarm_show(db: str, as_json: bool, name: str) -> None:
    """Show one alarm rule."""
    emit(opened(db, read_only=True).alarm_rules.get(name), as_json)


@alarm.command("create")
@common
@click.argument("name")
@_fields
def alarm_create(db: str, as_json: bool, name: str, **fields: Any) -> None:
    """Add an alarm rule; NAME is its code, such as motor_hot."""
    emit(opened(db).alarm_rules.create(name, **given(**fields)), as_json, f"created alarm rule {name}")


@alarm.command("update")
@common
@click.argument("name")
@_fields
def alarm_update(db: str, as_json: bool, name: str, **fields: Any) -> None:
    """Change an alarm rule; what is not given stays."""
    emit(opened(db).alarm_rules.update(name, **given(**fields)), as_json, f"updated alarm rule {name}")


@alarm.command("delete")
@common
@click.argument("name")
def alarm_delete(db: str, as_json: bool, name: str) -> None:
    """Delete an alarm rule."""
    opened(db).alarm_rules.delete(name)
    emit({"deleted": name}, as_json, f"deleted alarm rule {name}")
