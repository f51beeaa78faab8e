"""The maintenance tasks of a plant: planned, assigned, under way, done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twin.catalog.checks import check_number, check_text
from twin.errors import BadRequest, shown, unknown
from twin.plant_base import (
    Collection,
    Row,
    Rows,
    by_number,
    find,
    frame,
    one_machine,
    only,
    overlap,
    present,
    public,
    when,
)
from twin.times import format_time, parse_duration, parse_time, to_datetime

if TYPE_CHECKING:
    import pandas as pd

    from twin.store import Transaction

TASK_TYPES = ("preventive", "corrective", "predictive")
PRIORITIES = ("low", "medium", "high", "critical")
STATUSES = ("planned", "in_progress", "done", "cancelled", "overdue")
OPEN = ("planned", "in_progress", "overdue")
_NEXT = {
    "planned": ("in_progress", "cancelled", "overdue"),
    "overdue": ("in_progress", "cancelled", "planned"),
    "in_progress": ("done", "cancelled"),
    "done": (),
    "cancelled": (),
}
_COLUMNS = (
    "task_id", "machine", "task_type", "action", "scheduled_at", "duration_min", "priority", "status",
    "technician_id", "technician", "cost", "notes", "created_at", "updated_at",
)  # fmt: skip
_FIELDS = ("machine", "action", "at", "task_type", "duration", "priority", "technician", "cost", "notes")
_YEAR_MIN = 365 * 24 * 60


class MaintenanceCollection(Collection):
    """The maintenance tasks: ``plant.maintenance``."""

    def rows(self, machine: str | int | None = None, status: str | None = None) -> Rows:
        """Return the tasks by date as dicts; of one machine or status if given."""
        if status is not None:
            _one_of(status, STATUSES, "status")
        with self._store.reading() as tx:
            where: Row = {} if machine is None else {"machine_id": one_machine(tx, machine)["machine_id"]}
            if status is not None:
                where["status"] = status
            found = tx.rows("maintenance_tasks", where, order_by=("scheduled_at", "task_id"))
            return _public(tx, found)

    def list(self, machine: str | int | None = None, status: str | None = None) -> pd.DataFrame:
        """Return the tasks by date as a DataFrame; of one machine or status if given."""
        return frame(self.rows(machine, status), _COLUMNS)

    def get(self, task_id: int) -> Row:
        """Return one task."""
        with self._store.reading() as tx:
            return _public(tx, [_task(tx, task_id)])[0]

    def schedule(
        self,
        machine: str | int,
        action: str,
        at: Any,
        task_type: str = "preventive",
        duration: Any = None,
        priority: str = "medium",
        technician: str | None = None,
        cost: float | None = None,
        notes: str = "",
    ) -> int:
        """Plan a task.

        Parameters
        ----------
        machine : str or int
            A machine's name or id.
        action : str
            A maintenance action, for example ``replace_bearing``.
        at : time
            When it begins, UTC.
        task_type : str
            ``preventive``, ``corrective`` or ``predictive``.
        duration : duration, optional
            ``"2h"`` or a timedelta, below a year; the action's usual time when not given.
        priority : str
            ``low``, ``medium``, ``high`` or ``critical``.
        technician : str, optional
            Who does it.
        cost : float, optional
            In the plant's currency; the action's parts when not given.
        notes : str
            Free text.

        Returns
        -------
        int
            The task's id.

        Raises
        ------
        BadRequest
            Among others if the machine or the technician has another open task at that time.
        """
        with self._store.writing() as tx:
            usual = find(tx.rows("maintenance_actions"), action, "maintenance action")
            values = {
                "machine_id": one_machine(tx, machine)["machine_id"],
                "action": action,
                "task_type": _one_of(task_type, TASK_TYPES, "task type"),
                "scheduled_at": parse_time(at, "at"),
                "duration_min": usual["duration_min"] if duration is None else _minutes(duration),
                "priority": _one_of(priority, PRIORITIES, "priority"),
                "status": "planned",
                "technician_id": _technician(tx, technician),
                "cost": _cost(usual["parts_cost"] if cost is None else cost),
                "notes": check_text(notes, "notes"),
            }
            _refuse_unskilled(tx, values)
            _refuse_conflicts(tx, values)
            now = present()
            return int(tx.insert("maintenance_tasks", values | {"created_at": now, "updated_at": now}))

    create = schedule

    def update(self, task_id: int, **changes: Any) -> Row:
        """Change a task that is not done or cancelled; takes the arguments of `schedule`, and ``status``.

        What is not given stays.
        """
        status = changes.pop("status", None)
        if status is not None and not changes:
            return self.update_status(task_id, status)
        only(changes, (*_FIELDS, "status"), "task")
        with self._store.writing() as tx:
            row = _task(tx, task_id)
            if row["status"] not in OPEN:
                raise BadRequest(f"task {task_id} is {row['status']}; only open tasks can be changed")
            row |= _checked_changes(tx, changes)
            if "at" in changes and row["status"] == "overdue" and row["scheduled_at"] > present():
                row["status"] = "planned"
            _refuse_unskilled(tx, row)
            _refuse_conflicts(tx, row)
            if status is not None:
                row["status"] = _next_status(row, status, present())
            return _saved(tx, row)

    def delete(self, task_id: int) -> None:
        """Delete a task."""
        with self._store.writing() as tx:
            tx.delete("maintenance_tasks", _task(tx, task_id)["task_id"])

    def assign(self, task_id: int, technician: str | None) -> Row:
        """Assign an open task to a technician (``None``: to nobody), who must be free at that time."""
        return self.update(task_id, technician=technician)

    def update_status(self, task_id: int, status: str, now: Any = None) -> Row:
        """Change how far a task is.

        A planned task goes to ``in_progress``, ``cancelled`` or, when its time has passed,
        ``overdue``; one in progress to ``done`` or ``cancelled``.

        Parameters
        ----------
        task_id : int
        status : str
            The new status.
        now : time, optional
            By which a task is judged to be overdue; the present when not given.
        """
        with self._store.writing() as tx:
            row = _task(tx, task_id)
            row["status"] = _next_status(row, status, _now(now))
            return _saved(tx, row)

    def start(self, task_id: int) -> Row:
        """Mark a planned task as in progress."""
        return self.update_status(task_id, "in_progress")

    def complete(self, task_id: int) -> Row:
        """Mark a task in progress as done."""
        return self.update_status(task_id, "done")

    def cancel(self, task_id: int) -> Row:
        """Cancel a task that is not done."""
        return self.update_status(task_id, "cancelled")

    def upcoming_rows(self, machine: str | int | None = None, within: Any = "7d", now: Any = None) -> Rows:
        """Return what `upcoming` returns, as dicts."""
        start = _now(now)
        horizon = start + parse_duration(within, "within")
        with self._store.reading() as tx:
            where: Row = {} if machine is None else {"machine_id": one_machine(tx, machine)["machine_id"]}
            found = tx.rows("maintenance_tasks", where | {"status": OPEN, "scheduled_at <=": horizon})
            rows = _public(tx, found)
        for row in rows:
            if row["status"] == "planned" and row["scheduled_at"] < to_datetime(start):
                row["status"] = "overdue"
        rows.sort(key=lambda r: (r["scheduled_at"], -PRIORITIES.index(r["priority"]), r["task_id"]))
        return rows

    def upcoming(self, machine: str | int | None = None, within: Any = "7d", now: Any = None) -> pd.DataFrame:
        """Return the open tasks that begin within a time, by date and then by priority.

        Parameters
        ----------
        machine : str or int, optional
            Only this machine's.
        within : duration
            How far ahead to look, such as ``"7d"``.
        now : time, optional
            From when on to look ahead, UTC; the present when not given.

        Returns
        -------
        DataFrame
            Tasks that should have begun before now stand first, with the status ``overdue``.
        """
        return frame(self.upcoming_rows(machine, within, now), _COLUMNS)


def _task(tx: Transaction, task_id: object) -> Row:
    return by_number(tx.rows("maintenance_tasks"), task_id, "maintenance task", "task_id")


def _public(tx: Transaction, found: Rows) -> Rows:
    machines = {row["machine_id"]: row["name"] for row in tx.rows("machines")}
    people = {row["technician_id"]: row["name"] for row in tx.rows("technicians")}
    for row in found:
        row |= {"machine": machines[row["machine_id"]], "technician": people.get(row["technician_id"])}
    return [public(row, _COLUMNS) for row in found]


def _saved(tx: Transaction, row: Row) -> Row:
    values = {key: value for key, value in row.items() if key not in ("task_id", "created_at")}
    tx.update("maintenance_tasks", row["task_id"], values | {"updated_at": present()})
    return _public(tx, [_task(tx, row["task_id"])])[0]


def _checked_changes(tx: Transaction, changes: Mapping[str, Any]) -> Row:
    checks = {
        "machine": ("machine_id", lambda v: one_machine(tx, v)["machine_id"]),
        "action": ("action", lambda v: find(tx.rows("maintenance_actions"), v, "maintenance action")["name"]),
        "at": ("scheduled_at", lambda v: parse_time(v, "at")),
        "task_type": ("task_type", lambda v: _one_of(v, TASK_TYPES, "task type")),
        "duration": ("duration_min", _minutes),
        "priority": ("priority", lambda v: _one_of(v, PRIORITIES, "priority")),
        "technician": ("technician_id", lambda v: _technician(tx, v)),
        "cost": ("cost", _cost),
        "notes": ("notes", lambda v: check_text(v, "notes")),
    }
    return {checks[name][0]: checks[name][1](value) for name, value in changes.items()}


def _next_status(row: Row, status: str, now: int) -> str:
    _one_of(status, STATUSES, "status")
    current = row["status"]
    if status not in _NEXT[current]:
        allowed = ", ".join(_NEXT[current]) or "nothing else"
        raise BadRequest(f"task {row['task_id']} is {current} and cannot become {status}; it can become: {allowed}")
    if status == "overdue" and row["scheduled_at"] >= now:
        raise BadRequest(f"task {row['task_id']} is not overdue: it is scheduled at {format_time(row['scheduled_at'])}")
    return status


def _refuse_unskilled(tx: Transaction, task: Row) -> None:
    """Refuse a technician who does not know what the action needs."""
    if task["technician_id"] is None:
        return
    skill = find(tx.rows("maintenance_actions"), task["action"], "maintenance action")["skill"]
    person = find(tx.rows("technicians"), task["technician_id"], "technician", "technician_id")
    if skill not in person["skills"]:
        able = [row["technician_id"] for row in tx.rows("technicians") if skill in row["skills"]]
        raise BadRequest(
            f"technician {task['technician_id']} does not know {skill}, which {task['action']} needs; "
            f"who does: {', '.join(able) or 'nobody yet'}"
        )


def _refuse_conflicts(tx: Transaction, task: Row) -> None:
    """Refuse a second open task of a machine or a technician at one time."""
    asked = _span(task)
    for other in tx.rows("maintenance_tasks"):
        if other["task_id"] == task.get("task_id") or other["status"] not in OPEN or not overlap(asked, _span(other)):
            continue
        start, end = _span(other)
        busy = f"task {other['task_id']} ({other['action']}, {when(start, end)})"
        if other["machine_id"] == task["machine_id"]:
            machine = one_machine(tx, task["machine_id"])["name"]
            raise BadRequest(f"machine {machine} has {busy} at that time; choose another time or cancel that task")
        if task["technician_id"] is not None and other["technician_id"] == task["technician_id"]:
            who = task["technician_id"]
            raise BadRequest(f"technician {who} has {busy} at that time; choose another time or technician")


def _span(task: Row) -> tuple[int, int]:
    return task["scheduled_at"], task["scheduled_at"] + round(task["duration_min"] * 60e6)


def _now(now: Any) -> int:
    return present() if now is None else parse_time(now, "now")


def _one_of(value: Any, allowed: tuple[str, ...], kind: str) -> str:
    if isinstance(value, str) and value in allowed:
        return value
    raise unknown(kind, value, allowed)


def _technician(tx: Transaction, technician: str | None) -> str | None:
    if technician is None:
        return None
    return str(find(tx.rows("technicians"), technician, "technician", "technician_id")["technician_id"])


def _minutes(duration: Any) -> float:
    minutes = parse_duration(duration, "duration") / 60e6
    if not minutes < _YEAR_MIN:
        raise BadRequest(f"a task must be shorter than a year, got {shown(duration)}")
    return minutes


def _cost(cost: Any) -> float:
    return check_number(cost, "cost", 0.0, 1e9)
