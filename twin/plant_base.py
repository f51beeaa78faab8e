"""What the plant's collections share: rows, frames, and how names are looked up."""

from __future__ import annotations

import numbers
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twin.errors import BadRequest, InUse, shown, unknown
from twin.times import format_time, parse_time, to_datetime

if TYPE_CHECKING:
    import pandas as pd

    from twin.store import Store, Transaction

Row = dict[str, Any]
Rows = list[Row]
Machines = str | int | Iterable[str | int]
"""A name, an id, several of them, or ``"all"``."""

EVER = 2**62
"""Stands for an open end when spans are compared, in microseconds."""


class Collection:
    """Rows of one table, as people see them.

    Parameters
    ----------
    store : Store
        The plant's file.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def rows(self) -> Rows:
        """Return the rows as dicts; times are naive UTC datetimes."""
        raise NotImplementedError

    def list(self) -> pd.DataFrame:
        """Return the rows as a DataFrame; times are UTC."""
        return frame(self.rows())

    def __len__(self) -> int:
        return len(self.rows())

    def __iter__(self) -> Any:
        return iter(self.rows())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._store.path}: {len(self)}>"

    def _repr_html_(self) -> str:
        return str(self.list().to_html())


def frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> pd.DataFrame:
    """Return rows as a DataFrame (with the columns even where there are no rows)."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(columns or (rows[0] if rows else ())))


def find(rows: Iterable[Row], name: object, kind: str, column: str = "name") -> Row:
    """Return the row of a name, or refuse the name with its nearest match."""
    known = {row[column]: row for row in rows}
    if isinstance(name, str) and name in known:
        return known[name]
    raise unknown(kind, name, known)


def by_number(rows: Iterable[Row], number: object, kind: str, column: str) -> Row:
    """Return the row of an id, or refuse the id."""
    known = {row[column]: row for row in rows}
    key = number_of(number)
    if key in known:
        return known[key]
    raise unknown(kind, number, sorted(known))


def number_of(value: object) -> int | None:
    """Return an id given as an integer or as digits, or None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    return None


def one_machine(tx: Transaction, machine: object) -> Row:
    """Return the row of one machine, given by name or id."""
    rows = tx.rows("machines")
    return _machine(rows, machine)


def some_machines(tx: Transaction, machines: Machines) -> Rows:
    """Return the rows of machines, sorted by id, each once.

    Parameters
    ----------
    tx : Transaction
        Of a running transaction.
    machines : str, int or iterable
        A name, an id, several of them, or ``"all"``.
    """
    rows = tx.rows("machines")
    if not rows:
        raise BadRequest("the plant has no machines yet; create one with machines.create (twin machine create)")
    if isinstance(machines, str) and machines == "all":
        return rows
    if isinstance(machines, str) or number_of(machines) is not None:
        return [_machine(rows, machines)]
    if not isinstance(machines, Iterable) or isinstance(machines, (bytes, Mapping)):
        raise BadRequest(f"machines must be a name, an id, a list of them or 'all', got {shown(machines)}")
    chosen = {row["machine_id"]: row for row in (_machine(rows, machine) for machine in machines)}
    if not chosen:
        raise BadRequest("machines is an empty list; name at least one machine, or 'all'")
    return [chosen[number] for number in sorted(chosen)]


def _machine(rows: Rows, machine: object) -> Row:
    number = number_of(machine)
    for row in rows:
        if row["name"] == machine or (number is not None and row["machine_id"] == number):
            return row
    raise unknown("machine", machine, (row["name"] for row in rows))


def span(at: Any, until: Any, what: str) -> tuple[int, int | None]:
    """Return start and end (None: open) of something, in microseconds since 1970 UTC.

    Raises
    ------
    BadRequest
        If the end is not later than the start.
    """
    start = parse_time(at, "at")
    end = None if until is None else parse_time(until, "until")
    if end is not None and end <= start:
        raise BadRequest(f"{what} must end after it starts: until {shown(until)} is not later than at {shown(at)}")
    return start, end


def overlap(a: tuple[int, int | None], b: tuple[int, int | None]) -> bool:
    """Return whether two spans (end excluded, None: open) share a moment."""
    return a[0] < (EVER if b[1] is None else b[1]) and b[0] < (EVER if a[1] is None else a[1])


def when(start: int, end: int | None) -> str:
    """Return a span in words, for a message."""
    return f"from {format_time(start)} " + ("on, open-ended" if end is None else f"until {format_time(end)}")


def present() -> int:
    """Return the time now, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def public(row: Row, columns: Sequence[str] = ()) -> Row:
    """Return a row for people: times as naive UTC datetimes, only the columns asked for."""
    return {
        key: to_datetime(row[key]) if key.endswith("_at") and row[key] is not None else row[key]
        for key in columns or row
    }


def in_use(what: str, users: Sequence[str], hint: str = "") -> InUse:
    """Return the error for deleting what others refer to."""
    listing = ", ".join(users[:6]) + (f" and {len(users) - 6} more" if len(users) > 6 else "")
    return InUse(f"{what} is in use by {listing}" + (f"; {hint}" if hint else ""))


def only(changes: Mapping[str, Any], allowed: Iterable[str], kind: str) -> None:
    """Refuse changes of fields that there are not, and a change of nothing."""
    names = list(allowed)
    for name in changes:
        if name not in names:
            raise unknown(f"field of a {kind}", name, names)
    if not changes:
        raise BadRequest(f"nothing to change: give at least one of {', '.join(names)}")
