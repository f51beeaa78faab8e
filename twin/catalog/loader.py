"""The catalog of the package: facts in TOML files beside this module, checked once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import BaseModel

from twin.catalog.checks import checked
from twin.catalog.models import (
    AlarmRule,
    Channel,
    FailureMode,
    MachineType,
    MaintenanceAction,
    Scenario,
    Technician,
)
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, unknown

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Catalog:
    """The package's rows by name, each table in the order of its file.

    Attributes
    ----------
    channels, machine_types, scenarios, failure_modes, maintenance_actions, technicians, alarm_rules : mapping
        Read-only; keys are the names (of technicians: their ids).
    """

    channels: Mapping[str, Channel]
    machine_types: Mapping[str, MachineType]
    scenarios: Mapping[str, Scenario]
    failure_modes: Mapping[str, FailureMode]
    maintenance_actions: Mapping[str, MaintenanceAction]
    technicians: Mapping[str, Technician]
    alarm_rules: Mapping[str, AlarmRule]

    @property
    def default_machine_type(self) -> MachineType:
        """The type of machines for which none is named."""
        return next(kind for kind in self.machine_types.values() if kind.default)


@cache
def load_catalog() -> Catalog:
    """Return the package's catalog; it is read and checked at the first call.

    Raises
    ------
    BadRequest
        Names the row and what is wrong with it.
    """
    catalog = Catalog(
        channels=_table("channels", Channel),
        machine_types=_table("machine_types", MachineType),
        scenarios=_table("scenarios", Scenario),
        failure_modes=_table("failure_modes", FailureMode),
        maintenance_actions=_table("maintenance_actions", MaintenanceAction),
        technicians=_table("technicians", Technician, key="technician_id"),
        alarm_rules=_table("alarm_rules", AlarmRule),
    )
    _check_references(catalog)
    return catalog


def _table(name: str, model: type[_Model], key: str = "name") -> Mapping[str, _Model]:
    return parse_table(Path(__file__).with_name(f"{name}.toml").read_text("utf-8"), model, key)


def parse_table(text: str, model: type[_Model], key: str = "name") -> Mapping[str, _Model]:
    """Return the rows of a catalog file, by name.

    Parameters
    ----------
    text : str
        TOML with one table a row; the table's name is the row's `key` field.
    model : type
        What each row becomes.
    key : str
        The field that holds the name.
    """
    try:
        rows: dict[str, dict[str, Any]] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadRequest(f"not a catalog file: {error}") from None
    table = {}
    for name, row in rows.items():
        what = f"{model.__name__} {name!r}"
        if not isinstance(row, dict):
            raise BadRequest(f"{what}: a row must be a table of fields")
        table[name] = checked(model, {key: name, **row}, what)
    return MappingProxyType(table)


def _check_references(catalog: Catalog) -> None:
    """Refuse rows that name others which are not there."""
    if tuple(catalog.channels) != CHANNELS:
        raise BadRequest(f"channels must be {', '.join(CHANNELS)}, in this order; got {', '.join(catalog.channels)}")
    if sum(kind.default for kind in catalog.machine_types.values()) != 1:
        raise BadRequest("exactly one machine type must be the default")
    for action in catalog.maintenance_actions.values():
        for mode in action.restores:
            if mode not in catalog.failure_modes:
                raise unknown(f"failure mode in maintenance action {action.name}:", mode, catalog.failure_modes)
    for failure_mode in catalog.failure_modes.values():
        for other in failure_mode.wear.accelerated_by if failure_mode.wear is not None else ():
            if other not in catalog.failure_modes:
                raise unknown(f"failure mode that accelerates {failure_mode.name}:", other, catalog.failure_modes)
