"""The failure modes of a plant, and their injection into machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twin.catalog.checks import check_number, checked
from twin.catalog.models import Effect, FailureMode, Wear
from twin.catalog.parameters import SEVERITIES
from twin.errors import BadRequest, shown, unknown
from twin.plant_base import (
    Collection,
    Row,
    Rows,
    by_number,
    find,
    frame,
    in_use,
    one_machine,
    only,
    public,
    span,
)
from twin.times import format_time, parse_duration, parse_time

if TYPE_CHECKING:
    import pandas as pd

    from twin.store import Transaction

_FIELDS = ("name", "title", "description", "category", "effects", "channels", "wear")
_INJECTION = (
    "injection_id",
    "failure_mode",
    "machine",
    "severity",
    "level",
    "progression",
    "time_to_failure_h",
    "start_at",
    "end_at",
)


class FailureModeCollection(Collection):
    """The failure modes: ``plant.failure_modes``."""

    def rows(self) -> Rows:
        with self._store.reading() as tx:
            listed = tx.rows("failure_modes")
        for row in listed:
            row["channels"] = ", ".join(definition(row).channels)
            del row["definition"]
        return listed

    def get(self, mode: str) -> Row:
        """Return one failure mode as a dict with its effects."""
        with self._store.reading() as tx:
            return _public(mode_row(tx, mode))

    def definition(self, mode: str) -> FailureMode:
        """Return one failure mode as the checked value that the plan embeds."""
        with self._store.reading() as tx:
            return definition(mode_row(tx, mode))

    def create(
        self,
        name: str,
        category: str,
        effects: Sequence[Effect | Mapping[str, Any]],
        title: str = "",
        description: str = "",
        channels: Sequence[str] = (),
        wear: Wear | Mapping[str, Any] | None = None,
    ) -> Row:
        """Add a failure mode.

        Parameters
        ----------
        name : str
            snake_case, not yet in use.
        category : str
            ``mechanical``, ``thermal``, ``electrical`` or ``sensor``.
        effects : sequence
            What full damage does: ``{"parameter": "friction", "gain": 0.8, "exponent": 2.0}``; see
            `twin.catalog.models.Effect`.
        title, description : str
            The name in words, and what happens.
        channels : sequence of str
            The channels that it visibly moves.
        wear : mapping, optional
            How it comes by itself, such as ``{"shape": 1.5, "life_h": 8000.0}``; see
            `twin.catalog.wear.Wear`. Without it, it comes only when it is injected.

        Returns
        -------
        dict
            The failure mode's row.
        """
        fields: Row = {"name": name, "category": category, "effects": effects, "description": description}
        fields |= {"channels": channels, "wear": wear} | ({"title": title} if title else {})
        mode = checked(FailureMode, fields, f"failure mode {shown(name)}")
        with self._store.writing() as tx:
            _refuse_taken(tx, mode.name)
            _refuse_unknown_others(tx, mode)
            tx.insert("failure_modes", tx.failure_mode_row(mode) | {"builtin": False})
            return _public(mode_row(tx, mode.name))

    def update(self, mode: str, **changes: Any) -> Row:
        """Change a failure mode; takes the arguments of `create`, and what is not given stays.

        Runs that exist keep the failure mode as it was.
        """
        only(changes, _FIELDS, "failure mode")
        with self._store.writing() as tx:
            row = mode_row(tx, mode)
            changed = checked(FailureMode, dict(definition(row)) | changes, f"failure mode {shown(mode)}")
            _refuse_unknown_others(tx, changed)
            if changed.name != mode:
                _refuse_taken(tx, changed.name)
                actions = _restoring(tx, mode)
                if actions:
                    raise in_use(f"failure mode {mode}", actions, "it keeps its name")
            tx.update("failure_modes", row["failure_mode_id"], tx.failure_mode_row(changed))
            return _public(mode_row(tx, changed.name))

    def delete(self, mode: str) -> None:
        """Delete a failure mode that has no injections and that no maintenance action restores."""
        with self._store.writing() as tx:
            key = {"failure_mode_id": mode_row(tx, mode)["failure_mode_id"]}
            users = [
                f"injection {i['injection_id']} on {one_machine(tx, i['machine_id'])['name']}"
                for i in tx.rows("failure_injections", key)
            ]
            users += _restoring(tx, mode)
            if users:
                raise in_use(f"failure mode {mode}", users, "delete or update those first")
            tx.delete("failure_modes", key["failure_mode_id"])

    def inject(
        self,
        mode: str,
        machine: str | int,
        severity: str | None = None,
        at: Any = None,
        until: Any = None,
        level: float | None = None,
        progression: str = "step",
        time_to_failure: Any = None,
    ) -> int:
        """Put a failure into a machine.

        Parameters
        ----------
        mode : str
            The failure mode.
        machine : str or int
            A machine's name or id.
        severity : str, optional
            ``low``, ``medium``, ``high`` or ``critical``: damage 0.25, 0.5, 0.75 or 0.95.
        at, until : time
            Onset, and when it ends (excluded; ``None``: until cleared), UTC.
        level : float, optional
            The damage itself instead of a severity: above 0 (new), up to 1 (functional failure).
        progression : str
            ``step``: the damage holds its level; ``progressive``: it begins there and grows to 1.
        time_to_failure : duration, optional
            Of a progressive injection: running time until functional failure, such as ``"6h"``.

        Returns
        -------
        int
            The injection's id, for `clear`. Where injections of one mode overlap on a machine, the
            highest level counts.
        """
        hours = time_to_failure_h(progression, time_to_failure)
        if at is None:
            raise BadRequest("at is missing: when does the failure begin?")
        severity, level = severity_and_level(severity, level)
        if hours is not None and level >= 1.0:
            raise BadRequest("a progressive injection must begin below level 1, which is functional failure already")
        start, end = span(at, until, "an injection")
        with self._store.writing() as tx:
            values = {
                "failure_mode_id": mode_row(tx, mode)["failure_mode_id"],
                "machine_id": one_machine(tx, machine)["machine_id"],
                "severity": severity,
                "level": level,
                "progression": progression,
                "time_to_failure_h": hours,
                "start_at": start,
                "end_at": end,
            }
            return int(tx.insert("failure_injections", values))

    def clear(self, injection_id: int, at: Any) -> None:
        """End an injection at a time.

        Parameters
        ----------
        injection_id : int
            What `inject` returned.
        at : time
            When it ends (excluded), UTC: later than its onset and not later than its end.
        """
        end = parse_time(at, "at")
        with self._store.writing() as tx:
            row = _injection(tx, injection_id)
            if end <= row["start_at"]:
                raise BadRequest(
                    f"injection {injection_id} begins at {format_time(row['start_at'])} and cannot be cleared at "
                    f"{format_time(end)}; choose a later time, or delete it"
                )
            if row["end_at"] is not None and row["end_at"] <= end:
                raise BadRequest(f"injection {injection_id} has ended at {format_time(row['end_at'])} already")
            tx.update("failure_injections", row["injection_id"], {"end_at": end})

    def injection_rows(self, machine: str | int | None = None, mode: str | None = None) -> Rows:
        """Return the injections, past and future, as dicts (see `injections`)."""
        with self._store.reading() as tx:
            where = {} if machine is None else {"machine_id": one_machine(tx, machine)["machine_id"]}
            if mode is not None:
                where["failure_mode_id"] = mode_row(tx, mode)["failure_mode_id"]
            modes = {row["failure_mode_id"]: row["name"] for row in tx.rows("failure_modes")}
            names = {row["machine_id"]: row["name"] for row in tx.rows("machines")}
            found = tx.rows("failure_injections", where, order_by=("start_at", "injection_id"))
        for row in found:
            row |= {"failure_mode": modes[row["failure_mode_id"]], "machine": names[row["machine_id"]]}
        return [public(row, _INJECTION) for row in found]

    def injections(self, machine: str | int | None = None, mode: str | None = None) -> pd.DataFrame:
        """Return the injections, past and future, by onset; of one machine or failure mode if given."""
        return frame(self.injection_rows(machine, mode), _INJECTION)

    def delete_injection(self, injection_id: int) -> None:
        """Delete an injection as if it had never been asked for."""
        with self._store.writing() as tx:
            row = _injection(tx, injection_id)
            tx.delete("failure_injections", row["injection_id"])


def mode_row(tx: Transaction, mode: str) -> Row:
    """Return the row of a failure mode, or refuse the name."""
    return find(tx.rows("failure_modes"), mode, "failure mode")


def definition(row: Row) -> FailureMode:
    """Return the failure mode of a row."""
    return FailureMode.model_validate(row["definition"])


def _injection(tx: Transaction, injection_id: object) -> Row:
    return by_number(tx.rows("failure_injections"), injection_id, "injection", "injection_id")


def severity_and_level(severity: str | None, level: float | None) -> tuple[str, float]:
    """Return the severity in words and as damage, of which one is given."""
    if (severity is None) == (level is None):
        raise BadRequest(f"give either a severity ({', '.join(SEVERITIES)}) or a level above 0 up to 1")
    if severity is not None:
        if not isinstance(severity, str) or severity not in SEVERITIES:
            raise unknown("severity", severity, SEVERITIES)
        return severity, SEVERITIES[severity]
    number = check_number(level, "level", 0.0, 1.0)
    if number == 0.0:
        raise BadRequest("level must be above 0: an injection of level 0 is none")
    return min(SEVERITIES, key=lambda name: abs(SEVERITIES[name] - number)), number


def time_to_failure_h(progression: str, time_to_failure: Any) -> float | None:
    """Return the hours until functional failure of a progressive injection, None of a step."""
    if progression not in ("step", "progressive"):
        raise unknown("progression", progression, ("step", "progressive"))
    if progression == "step":
        if time_to_failure is not None:
            raise BadRequest("time_to_failure belongs to a progressive injection; a step holds its level")
        return None
    if time_to_failure is None:
        raise BadRequest('a progressive injection needs a time_to_failure, such as "6h"')
    us = parse_duration(time_to_failure, "time_to_failure")
    if us < 1_000_000:
        raise BadRequest(f"time_to_failure must be 1 s or longer, got {shown(time_to_failure)}")
    return us / 3.6e9


def _public(row: Row) -> Row:
    mode = definition(row)
    effects = [effect.model_dump(mode="json", exclude={"value", "layer"}) for effect in mode.effects]
    kept = {key: value for key, value in row.items() if key != "definition"}
    wear = None if mode.wear is None else mode.wear.model_dump(mode="json")
    return kept | {"effects": effects, "channels": list(mode.channels), "wear": wear}


def _refuse_taken(tx: Transaction, name: str) -> None:
    if any(row["name"] == name for row in tx.rows("failure_modes")):
        raise BadRequest(f"there is a failure mode {name} already; choose another name or update it")


def _refuse_unknown_others(tx: Transaction, mode: FailureMode) -> None:
    """Refuse couplings with failure modes that there are not."""
    known = [row["name"] for row in tx.rows("failure_modes")]
    for other in mode.wear.accelerated_by if mode.wear is not None else ():
        if other not in known:
            raise unknown(f"failure mode that accelerates {mode.name}:", other, known)


def _restoring(tx: Transaction, mode: str) -> list[str]:
    return [
        f"maintenance action {row['name']}"
        for row in tx.rows("maintenance_actions")
        if mode in row["definition"]["restores"]
    ]
