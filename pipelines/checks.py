"""Parameters against the plant: a name that the catalog does not have is refused before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twin.catalog.parameters import SEVERITIES
from twin.errors import BadRequest, TwinError, unknown
from twin.plant import Plant
from twin.plant_compile import NO_REPAIR, WEARS
from twin.policy import parse
from twin.times import parse_duration, parse_time

Check = Callable[[Any], object]


class Checker:
    """What parameters of well-known names may be.

    Parameters
    ----------
    plant : Plant
        Whose machines, scenarios, failure modes, actions and technicians count.
    """

    def __init__(self, plant: Plant) -> None:
        names = {
            "machine": [row["name"] for row in plant.machines.rows()],
            "scenario": [row["name"] for row in plant.scenarios.rows()],
            "failure_mode": [row["name"] for row in plant.failure_modes.rows()],
            "machine_type": [row["name"] for row in plant.machine_types.rows()],
            "action": [row["name"] for row in plant.maintenance_actions.rows()],
            "technician": [row["technician_id"] for row in plant.technicians.rows()],
            "severity": list(SEVERITIES),
            "wear": list(WEARS),
        }
        self._checks: dict[str, Check] = {kind: _one_of(kind, known) for kind, known in names.items()}
        self._checks |= {f"{_plural(kind)}": _some_of(kind, known) for kind, known in names.items()}
        self._checks |= {"policy": _policy, "seed": _seed}
        self._checks |= dict.fromkeys(("start", "end", "at", "until"), parse_time)
        self._checks |= dict.fromkeys(("span", "interval", "window", "response"), parse_duration)

    def check(self, parameters: Mapping[str, Any]) -> None:
        """Refuse a parameter of a well-known name whose value is not allowed; None and "" mean: not given."""
        for name, value in parameters.items():
            rule = self._checks.get(name)
            if rule is None or value is None or value == "":
                continue
            try:
                rule(value)
            except TwinError as error:
                raise BadRequest(f"parameter {name}: {error}") from None


def _plural(kind: str) -> str:
    return "severities" if kind == "severity" else f"{kind}s"


def _one_of(kind: str, known: Iterable[str]) -> Check:
    allowed = list(known)

    def check(value: Any) -> None:
        if value not in allowed:
            raise unknown(kind.replace("_", " "), value, allowed)

    return check


def _some_of(kind: str, known: Iterable[str]) -> Check:
    one = _one_of(kind, known)

    def check(value: Any) -> None:
        if value == "all":
            return
        if not isinstance(value, str | list):
            raise BadRequest(f"names are a list of texts, got {value!r}")
        for entry in [value] if isinstance(value, str) else value:
            one(entry)

    return check


def _policy(value: Any) -> None:
    if value != NO_REPAIR:
        parse(value)


def _seed(value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise BadRequest(f"a seed must be an integer from 0 to 2**63 - 1, got {value!r}")
