"""The scenarios of a plant, and when they are active on which machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.catalog.checks import check_name, checked
from twin.catalog.models import Effect, Profile, Scenario, read_profile_csv, scenario_from_inputs
from twin.catalog.parameters import INPUTS
from twin.errors import BadRequest, shown
from twin.plant_base import (
    Collection,
    Machines,
    Row,
    Rows,
    by_number,
    find,
    frame,
    in_use,
    one_machine,
    only,
    overlap,
    public,
    some_machines,
    span,
    when,
)
from twin.times import format_time, parse_time

if TYPE_CHECKING:
    import pandas as pd

    from twin.store import Transaction

ProfileSource = Profile | str | Path
_INPUTS = tuple(parameter.name for parameter in INPUTS)
_FIELDS = ("name", "description", "priority", "effects", "profile", "interpolation", "at_end")
_ACTIVATION = ("activation_id", "scenario", "machine", "start_at", "end_at", "priority")


class ScenarioCollection(Collection):
    """The scenarios: ``plant.scenarios``."""

    def rows(self) -> Rows:
        with self._store.reading() as tx:
            active = tx.rows("scenario_activations")
            machines = {row["machine_id"]: row["name"] for row in tx.rows("machines")}
            listed = tx.rows("scenarios")
        for row in listed:
            users = {a["machine_id"] for a in active if a["scenario_id"] == row["scenario_id"]}
            row["activated_on"] = ", ".join(machines[number] for number in sorted(users))
            row["effects"] = _effects_in_words(definition(row))
            del row["definition"]
        return listed

    def get(self, name: str) -> Row:
        """Return one scenario as a dict with its effects."""
        with self._store.reading() as tx:
            return _public(scenario_row(tx, name))

    def definition(self, name: str) -> Scenario:
        """Return one scenario as the checked value that the plan embeds."""
        with self._store.reading() as tx:
            return tx.read_scenario(scenario_row(tx, name))

    def create(
        self,
        name: str,
        description: str = "",
        priority: int = 10,
        profile: ProfileSource | None = None,
        interpolation: str = "hold",
        at_end: str = "repeat",
        effects: Sequence[Effect | Mapping[str, Any]] = (),
        **inputs: float,
    ) -> Row:
        """Add a scenario, as in ``create("Night shift", load=0.4, ambient_c=15.0)``.

        Parameters
        ----------
        name, description : str
            What people call it and what it means.
        priority : int
            0 to 100; where active scenarios set the same input, the highest wins.
        profile : Profile or path, optional
            Recorded inputs to follow: a CSV with ``t_s`` (s) and any of ``load``, ``speed_rpm``,
            ``speed_factor`` and ``ambient_c``.
        interpolation, at_end : str
            How a CSV is read: ``hold`` or ``linear``; ``repeat`` or ``end``.
        effects : sequence, optional
            Effects on any layer: ``{"parameter": "friction", "value": 1.2}``.
        **inputs : float
            ``load``, ``speed_factor``, ``speed_rpm``, ``ambient_c`` (C), ``load_factor``,
            ``ambient_offset_c`` (K) or ``load_variation``.

        Returns
        -------
        dict
            The scenario's row.
        """
        source = _profile(profile, interpolation, at_end)
        scenario = scenario_from_inputs(
            name, description, priority, source, [_plain_effect(effect) for effect in effects], **inputs
        )
        with self._store.writing() as tx:
            if any(row["name"] == scenario.name for row in tx.rows("scenarios")):
                raise BadRequest(f"there is a scenario {scenario.name!r} already; choose another name or update it")
            tx.insert("scenarios", tx.scenario_row(scenario) | {"builtin": False})
            return _public(scenario_row(tx, scenario.name))

    def update(self, name: str, /, **changes: Any) -> Row:
        """Change a scenario; what is not given stays.

        Takes the arguments of `create`. An input replaces the effect on that input; ``effects``
        replaces all effects; ``profile=None`` takes the profile away. Runs that exist keep the
        scenario as it was.
        """
        only(changes, (*_FIELDS, *_INPUTS), "scenario")
        with self._store.writing() as tx:
            row = scenario_row(tx, name)
            scenario = _changed(tx.read_scenario(row), dict(changes))
            if scenario.name != name and any(r["name"] == scenario.name for r in tx.rows("scenarios")):
                raise BadRequest(f"there is a scenario {scenario.name!r} already; choose another name")
            tx.update("scenarios", row["scenario_id"], tx.scenario_row(scenario))
            return _public(scenario_row(tx, scenario.name))

    def delete(self, name: str) -> None:
        """Delete a scenario that has no activations."""
        with self._store.writing() as tx:
            row = scenario_row(tx, name)
            key = {"scenario_id": row["scenario_id"]}
            users = [
                f"activation {a['activation_id']} on {one_machine(tx, a['machine_id'])['name']}"
                for a in tx.rows("scenario_activations", key)
            ]
            if users:
                raise in_use(f"scenario {name!r}", users, "delete those first (scenarios.delete_activation)")
            tx.delete("scenarios", row["scenario_id"])

    def activate(self, name: str, machines: Machines, at: Any, until: Any = None) -> Sequence[int]:
        """Put a scenario to work on machines.

        Parameters
        ----------
        name : str
            The scenario.
        machines : str, int or iterable
            A name, an id, several of them, or ``"all"``.
        at, until : time
            From when (included) until when (excluded; ``None``: open-ended), UTC.

        Returns
        -------
        list of int
            One activation id a machine, in the order of the machines' ids.

        Raises
        ------
        BadRequest
            Among others if the same scenario is active on one of the machines at some time of the
            span. Different scenarios may overlap.
        """
        start, end = span(at, until, "an activation")
        with self._store.writing() as tx:
            scenario_id = scenario_row(tx, name)["scenario_id"]
            chosen = some_machines(tx, machines)
            existing = tx.rows("scenario_activations", {"scenario_id": scenario_id})
            for machine in chosen:
                _refuse_overlap(name, machine, (start, end), existing)
            values = {"scenario_id": scenario_id, "start_at": start, "end_at": end}
            rows = [values | {"machine_id": machine["machine_id"]} for machine in chosen]
            return tx.insert_many("scenario_activations", rows)

    def deactivate(self, name: str, machines: Machines, at: Any) -> Sequence[int]:
        """End the activation that is running at a time.

        Parameters
        ----------
        name : str
            The scenario.
        machines : str, int or iterable
            Machines on each of which it must be active; ``"all"``: wherever it is active.
        at : time
            When it ends (excluded), UTC.

        Returns
        -------
        list of int
            The ids of the activations that now end at that time.
        """
        end = parse_time(at, "at")
        with self._store.writing() as tx:
            scenario_id = scenario_row(tx, name)["scenario_id"]
            chosen = {row["machine_id"]: row["name"] for row in some_machines(tx, machines)}
            existing = tx.rows("scenario_activations", {"scenario_id": scenario_id}, order_by=("machine_id",))
            running = [a for a in existing if a["machine_id"] in chosen and _runs_at(a, end)]
            idle = [n for number, n in chosen.items() if number not in {a["machine_id"] for a in running}]
            everywhere = isinstance(machines, str) and machines == "all"
            if idle and not (everywhere and running):
                where = "any machine" if everywhere else ", ".join(idle)
                raise BadRequest(
                    f"scenario {name!r} is not active on {where} at {format_time(end)}{_known(existing, chosen)}"
                    f"{_begins(existing, chosen, end)}"
                )
            for activation in running:
                tx.update("scenario_activations", activation["activation_id"], {"end_at": end})
            return [activation["activation_id"] for activation in running]

    def activation_rows(self, name: str | None = None, machine: str | int | None = None) -> Rows:
        """Return the activations, past and future, as dicts (see `activations`)."""
        with self._store.reading() as tx:
            wanted = None if name is None else scenario_row(tx, name)["scenario_id"]
            where = {} if machine is None else {"machine_id": one_machine(tx, machine)["machine_id"]}
            scenarios = {row["scenario_id"]: row for row in tx.rows("scenarios")}
            names = {row["machine_id"]: row["name"] for row in tx.rows("machines")}
            found = tx.rows("scenario_activations", where, order_by=("start_at", "activation_id"))
        rows = []
        for row in found:
            scenario = scenarios[row["scenario_id"]]
            shown_row = row | {"scenario": scenario["name"], "priority": scenario["priority"]}
            shown_row["machine"] = names[row["machine_id"]]
            if wanted in (None, row["scenario_id"]):
                rows.append(public(shown_row, _ACTIVATION))
        return rows

    def activations(self, name: str | None = None, machine: str | int | None = None) -> pd.DataFrame:
        """Return the activations, past and future, by start; of one scenario or machine if given."""
        return frame(self.activation_rows(name, machine), _ACTIVATION)

    def delete_activation(self, activation_id: int) -> None:
        """Delete an activation as if it had never been asked for."""
        with self._store.writing() as tx:
            row = by_number(tx.rows("scenario_activations"), activation_id, "activation", "activation_id")
            tx.delete("scenario_activations", row["activation_id"])


def scenario_row(tx: Transaction, name: str) -> Row:
    """Return the row of a scenario, or refuse the name."""
    return find(tx.rows("scenarios"), name, "scenario")


def definition(row: Row) -> Scenario:
    """Return the scenario of a row, without its profile's data."""
    return Scenario.model_validate(row["definition"])


def _profile(source: ProfileSource | None, interpolation: str, at_end: str) -> Profile | None:
    if source is None or isinstance(source, Profile):
        return source
    if not isinstance(source, (str, Path)):
        raise BadRequest(f"profile must be the path of a CSV file or a Profile, got {shown(source)}")
    return read_profile_csv(source, interpolation, at_end)


def _plain_effect(effect: Effect | Mapping[str, Any]) -> Effect | dict[str, Any]:
    if isinstance(effect, Effect):
        return effect
    if not isinstance(effect, Mapping):
        raise BadRequest(
            f"an effect must be a mapping such as {{'parameter': 'load', 'value': 0.85}}, got {shown(effect)}"
        )
    return dict(effect)


def _changed(scenario: Scenario, changes: dict[str, Any]) -> Scenario:
    """Return the scenario with changes in the words of `create`."""
    fields = dict(scenario.detached()) | {"profile": scenario.profile}
    how = {key: changes.pop(key) for key in ("interpolation", "at_end") if key in changes}
    if "profile" in changes:
        source = changes.pop("profile")
        fields["profile"] = _profile(source, how.get("interpolation", "hold"), how.get("at_end", "repeat"))
    elif how and scenario.profile is None:
        raise BadRequest(f"scenario {scenario.name!r} has no profile to treat otherwise; give one")
    elif how:
        data = {field: getattr(scenario.profile, field) for field in Profile.model_fields} | how
        fields["profile"] = checked(Profile, data, f"profile of scenario {shown(scenario.name)}")
    fields["profile_id"] = None
    inputs = {key: changes.pop(key) for key in list(changes) if key in _INPUTS}
    kept: Sequence[Any] = [effect for effect in scenario.effects if effect.parameter not in inputs]
    if "effects" in changes:
        kept = [_plain_effect(effect) for effect in changes.pop("effects")]
    fields["effects"] = [*kept, *({"parameter": key, "value": value} for key, value in inputs.items())]
    check_name(changes.get("name", scenario.name), "scenario name")
    return checked(Scenario, fields | changes, f"scenario {shown(scenario.name)}")


def _public(row: Row) -> Row:
    effects = [_effect_row(effect) for effect in definition(row).effects]
    return {key: value for key, value in row.items() if key != "definition"} | {"effects": effects}


def _effect_row(effect: Effect) -> Row:
    return {"parameter": effect.parameter, "op": effect.op, "value": effect.value}


def _effects_in_words(scenario: Scenario) -> str:
    signs = {"set": "=", "factor": " x", "add": " +"}
    words = [f"{e.parameter}{signs[e.op]}{e.value:g}" for e in scenario.effects]
    return ", ".join(words + (["profile"] if scenario.profile_id else []))


def _runs_at(activation: Row, at: int) -> bool:
    return bool(activation["start_at"] < at and (activation["end_at"] is None or at < activation["end_at"]))


def _refuse_overlap(name: str, machine: Row, asked: tuple[int, int | None], existing: Rows) -> None:
    for row in existing:
        if row["machine_id"] == machine["machine_id"] and overlap(asked, (row["start_at"], row["end_at"])):
            raise BadRequest(
                f"scenario {name!r} is already active on {machine['name']} {when(row['start_at'], row['end_at'])} "
                f"(activation {row['activation_id']}); deactivate it or choose another span"
            )


def _begins(existing: Rows, chosen: Mapping[int, str], at: int) -> str:
    """Return what to do about activations that begin at the moment at which they should end."""
    same = [str(a["activation_id"]) for a in existing if a["machine_id"] in chosen and a["start_at"] == at]
    return f"; what only begins then is not ended but deleted: activation {', '.join(same[:6])}" if same else ""


def _known(existing: Rows, chosen: Mapping[int, str]) -> str:
    spans = [
        f"{chosen[a['machine_id']]} {when(a['start_at'], a['end_at'])}" for a in existing if a["machine_id"] in chosen
    ]
    more = f" and {len(spans) - 3} more" if len(spans) > 3 else ""
    return f"; it is activated on {', '.join(spans[:3])}{more}" if spans else ""
