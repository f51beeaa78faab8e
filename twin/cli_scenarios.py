"""Commands on scenarios and failure modes."""

from __future__ import annotations

from typing import Any

import click

from twin.catalog.parameters import SEVERITIES
from twin.cli_output import assignments, choice, common, emit, emit_rows, given, machines_option, opened

CATEGORIES = ("mechanical", "thermal", "electrical", "sensor")
_SCENARIO_COLUMNS = ("scenario_id", "name", "priority", "builtin", "activated_on", "description")
_MODE_COLUMNS = ("failure_mode_id", "name", "category", "builtin", "channels", "description")
_INJECTION_COLUMNS = ("injection_id", "failure_mode", "machine", "severity", "level", "start_at", "end_at")


@click.group()
def scenario() -> None:
    """Operating conditions: what the plant is asked to do."""


@scenario.command("list")
@common
def scenario_list(db: str, as_json: bool) -> None:
    """List the scenarios."""
    emit_rows(opened(db, read_only=True).scenarios.rows(), as_json, _SCENARIO_COLUMNS)


@scenario.command("show")
@common
@click.argument("name")
def scenario_show(db: str, as_json: bool, name: str) -> None:
    """Show one scenario with its effects."""
    emit(opened(db, read_only=True).scenarios.get(name), as_json)


def _definition(function: Any) -> Any:
    for option in (
        click.option("--end", "at_end", type=choice(["repeat", "end"]), default=None, help="At the profile's end."),
        click.option("--interpolation", type=choice(["hold", "linear"]), default=None, help="Between its points."),
        click.option("--profile", default=None, metavar="CSV", help="Recorded load, speed_rpm or ambient_c over t_s."),
        click.option("--set", "values", multiple=True, metavar="PARAMETER=VALUE", help="An effect; repeatable."),
        click.option("--priority", type=int, default=None, help="0 to 100: the higher one sets an input [10]."),
        click.option("--description", default=None, help="Free text."),
    ):
        function = option(function)
    return function


@scenario.command("create")
@common
@click.argument("name")
@_definition
def scenario_create(db: str, as_json: bool, name: str, values: tuple[str, ...], **options: Any) -> None:
    """Add a scenario, for example: twin scenario create "Night shift" --set load=0.4 --set ambient_c=15"""
    effects = [{"parameter": p, "value": v} for p, v in assignments(values, "--set").items()]
    created = opened(db).scenarios.create(name, effects=effects, **given(**options))
    emit(created, as_json, f"created scenario {created['name']!r}")


@scenario.command("update")
@common
@click.argument("name")
@click.option("--rename", default=None, metavar="NAME", help="Its new name.")
@_definition
def scenario_update(
    db: str, as_json: bool, name: str, rename: str | None, values: tuple[str, ...], **options: Any
) -> None:
    """Change a scenario; what is not given stays (--set replaces all effects)."""
    changes = given(name=rename, **options)
    if values:
        changes["effects"] = [{"parameter": p, "value": v} for p, v in assignments(values, "--set").items()]
    updated = opened(db).scenarios.update(name, **changes)
    emit(updated, as_json, f"updated scenario {updated['name']!r}")


@scenario.command("delete")
@common
@click.argument("name")
def scenario_delete(db: str, as_json: bool, name: str) -> None:
    """Delete a scenario that is activated nowhere."""
    opened(db).scenarios.delete(name)
    emit({"deleted": name}, as_json, f"deleted scenario {name!r}")


@scenario.command("activate")
@common
@click.argument("name")
@machines_option(required=True)
@click.option("--at", required=True, metavar="T", help="When it begins.")
@click.option("--until", default=None, metavar="T", help="When it ends [open-ended].")
def scenario_activate(db: str, as_json: bool, name: str, machines: str | list[str], at: str, until: str | None) -> None:
    """Put a scenario to work on machines."""
    ids = opened(db).scenarios.activate(name, machines=machines, at=at, until=until)
    emit({"activation_ids": ids}, as_json, f"activated {name!r} on {len(ids)} machine(s)")


@scenario.command("deactivate")
@common
@click.argument("name")
@machines_option(required=True)
@click.option("--at", required=True, metavar="T", help="When it ends.")
def scenario_deactivate(db: str, as_json: bool, name: str, machines: str | list[str], at: str) -> None:
    """End the activation that is running at a time."""
    ids = opened(db).scenarios.deactivate(name, machines=machines, at=at)
    emit({"activation_ids": ids}, as_json, f"deactivated {name!r} on {len(ids)} machine(s)")


@scenario.command("activations")
@common
@click.option("--scenario", "name", default=None, help="Only this scenario.")
@click.option("--machine", default=None, help="Only this machine.")
def scenario_activations(db: str, as_json: bool, name: str | None, machine: str | None) -> None:
    """List the activations, past and future."""
    emit_rows(opened(db, read_only=True).scenarios.activation_rows(name, machine), as_json)


@scenario.command("delete-activation")
@common
@click.argument("activation_id", type=int)
def scenario_delete_activation(db: str, as_json: bool, activation_id: int) -> None:
    """Delete an activation as if it had never been asked for."""
    opened(db).scenarios.delete_activation(activation_id)
    emit({"deleted": activation_id}, as_json, f"deleted activation {activation_id}")


@click.group()
def failure() -> None:
    """Failure modes, and their injection into machines."""


@failure.command("list")
@common
def failure_list(db: str, as_json: bool) -> None:
    """List the failure modes."""
    emit_rows(opened(db, read_only=True).failure_modes.rows(), as_json, _MODE_COLUMNS)


@failure.command("show")
@common
@click.argument("mode")
def failure_show(db: str, as_json: bool, mode: str) -> None:
    """Show one failure mode with its effects."""
    emit(opened(db, read_only=True).failure_modes.get(mode), as_json)


@failure.command("create")
@common
@click.argument("mode")
@click.option("--title", default=None, help="Its name in words.")
@click.option("--description", default=None, help="Free text.")
@click.option("--category", type=choice(CATEGORIES), required=True, help="What kind of part fails.")
@click.option(
    "--effect",
    "effects",
    multiple=True,
    required=True,
    metavar="PARAMETER=GAIN[,exponent=E|,peak=P]",
    help="Effect at full damage; it grows as damage**E, or has its hump at damage P. Repeatable.",
)
@click.option("--channel", "channels", multiple=True, help="A channel that it visibly moves; repeatable.")
def failure_create(
    db: str, as_json: bool, mode: str, effects: tuple[str, ...], channels: tuple[str, ...], **options: Any
) -> None:
    """Add a failure mode, for example: --effect friction=0.8 --effect defect_g=4,exponent=2"""
    parsed = [_gain_effect(text) for text in effects]
    created = opened(db).failure_modes.create(mode, effects=parsed, channels=channels, **given(**options))
    emit(created, as_json, f"created failure mode {created['name']}")


def _gain_effect(text: str) -> dict[str, Any]:
    head, *rest = text.split(",")
    ((parameter, gain),) = assignments([head], "--effect").items()
    extras = assignments(rest, "--effect")
    if not set(extras) <= {"exponent", "peak"} or len(extras) > 1:
        raise click.UsageError(f"--effect {text!r}: after the gain comes one of exponent=E or peak=P")
    shape = {"shape": "hump"} if "peak" in extras else {}
    return {"parameter": parameter, "gain": gain, **shape, **extras}


@failure.command("update")
@common
@click.argument("mode")
@click.option("--rename", default=None, metavar="MODE", help="Its new name.")
@click.option("--title", default=None, help="Its name in words.")
@click.option("--description", default=None, help="Free text.")
@click.option("--category", type=choice(CATEGORIES), default=None, help="What kind of part fails.")
@click.option(
    "--effect",
    "effects",
    multiple=True,
    metavar="PARAMETER=GAIN[,exponent=E|,peak=P]",
    help="Replaces all effects; repeatable.",
)
@click.option("--channel", "channels", multiple=True, help="Replaces the channels; repeatable.")
def failure_update(
    db: str,
    as_json: bool,
    mode: str,
    rename: str | None,
    effects: tuple[str, ...],
    channels: tuple[str, ...],
    **options: Any,
) -> None:
    """Change a failure mode; what is not given stays."""
    parsed = [_gain_effect(text) for text in effects]
    changes = given(name=rename, effects=parsed or None, channels=channels or None, **options)
    updated = opened(db).failure_modes.update(mode, **changes)
    emit(updated, as_json, f"updated failure mode {updated['name']}")


@failure.command("delete")
@common
@click.argument("mode")
def failure_delete(db: str, as_json: bool, mode: str) -> None:
    """Delete a failure mode that is injected nowhere."""
    opened(db).failure_modes.delete(mode)
    emit({"deleted": mode}, as_json, f"deleted failure mode {mode}")


@failure.command("inject")
@common
@click.argument("mode")
@click.option("--machine", required=True, help="A machine's name or id.")
@click.option("--severity", default=None, help=f"One of {', '.join(SEVERITIES)}.")
@click.option("--level", type=float, default=None, help="Damage above 0, up to 1, instead of a severity.")
@click.option("--at", required=True, metavar="T", help="Onset.")
@click.option("--until", default=None, metavar="T", help="When it ends [until cleared].")
@click.option(
    "--progression",
    type=choice(["step", "progressive"]),
    default="step",
    show_default=True,
    help="The damage holds its level, or grows to functional failure.",
)
@click.option("--time-to-failure", default=None, metavar="D", help="Of a progressive injection: running time.")
def failure_inject(db: str, as_json: bool, mode: str, **options: Any) -> None:
    """Inject a failure into a machine."""
    number = opened(db).failure_modes.inject(mode, **options)
    emit({"injection_id": number}, as_json, f"injection {number}: {mode} on {options['machine']}")


@failure.command("clear")
@common
@click.argument("injection_id", type=int)
@click.option("--at", required=True, metavar="T", help="When it ends.")
def failure_clear(db: str, as_json: bool, injection_id: int, at: str) -> None:
    """End an injection."""
    opened(db).failure_modes.clear(injection_id, at=at)
    emit({"cleared": injection_id}, as_json, f"injection {injection_id} ends at {at}")


@failure.command("injections")
@common
@click.option("--machine", default=None, help="Only this machine.")
def failure_injections(db: str, as_json: bool, machine: str | None) -> None:
    """List the injections, past and future."""
    emit_rows(opened(db, read_only=True).failure_modes.injection_rows(machine), as_json, _INJECTION_COLUMNS)


@failure.command("delete-injection")
@common
@click.argument("injection_id", type=int)
def failure_delete_injection(db: str, as_json: bool, injection_id: int) -> None:
    """Delete an injection as if it had never been asked for."""
    opened(db).failure_modes.delete_injection(injection_id)
    emit({"deleted": injection_id}, as_json, f"deleted injection {injection_id}")
