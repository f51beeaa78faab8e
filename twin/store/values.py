"""Values on their way into and out of the tables."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from twin.errors import BadRequest, shown, unknown

_EPOCH = datetime(1970, 1, 1)
_COMPARISONS = ("<=", ">=", "!=", "<", ">", "=")


@dataclass(frozen=True)
class Column:
    """A column of a table: its name, DuckDB's type, and the values of an ENUM (else empty)."""

    name: str
    type: str
    allowed: tuple[str, ...] = ()

    @property
    def quoted(self) -> str:
        """The name, safe in a statement."""
        return '"' + self.name.replace('"', '""') + '"'

    @property
    def selected(self) -> str:
        """The expression that reads the column: times as integer microseconds."""
        return f"epoch_us({self.quoted}) AS {self.quoted}" if self.type == "TIMESTAMP" else self.quoted

    @property
    def shown(self) -> str:
        """The expression that reads the column for a DataFrame: ENUMs as text."""
        return f"CAST({self.quoted} AS VARCHAR) AS {self.quoted}" if self.allowed else self.quoted

    @property
    def marker(self) -> str:
        """The expression that stands for a bound value of the column."""
        return "make_timestamp(CAST(? AS BIGINT))" if self.type == "TIMESTAMP" else "?"

    def bound(self, value: Any) -> Any:
        """Return a value as it is bound to `marker`; refuse what the column cannot hold."""
        if value is None:
            return None
        if self.type == "TIMESTAMP":
            return micros(value, self.name)
        if self.type == "JSON":
            return _json_text(value)
        if self.allowed:
            if value not in self.allowed:
                raise unknown(self.name, value, self.allowed)
            return value
        if hasattr(value, "item"):  # a NumPy scalar
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            raise BadRequest(f"{self.name} must be a finite number, got {value!r}")
        return list(value) if isinstance(value, tuple) else value

    def read(self, value: Any) -> Any:
        """Return a value that was read, JSON parsed."""
        return json.loads(value) if self.type == "JSON" and value is not None else value


def columns_of(rows: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, Column]]:
    """Return the columns by table and name, from rows (table, column, type)."""
    tables: dict[str, dict[str, Column]] = {}
    for table, name, kind in rows:
        allowed: tuple[str, ...] = ()
        if kind.startswith("ENUM("):
            allowed = tuple(part.strip().strip("'") for part in kind[5:-1].split(","))
        tables.setdefault(table, {})[name] = Column(name, kind, allowed)
    return tables


def micros(value: Any, name: str = "time") -> int:
    """Return a time as microseconds since 1970 UTC; a datetime without a zone is UTC."""
    if isinstance(value, datetime):
        naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return (naive - _EPOCH) // timedelta(microseconds=1)
    if isinstance(value, date):
        return (datetime(value.year, value.month, value.day) - _EPOCH) // timedelta(microseconds=1)
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest(f"{name} must be a time, as a datetime or integer microseconds since 1970, got {shown(value)}")
    return value


def _json_text(value: Any) -> str:
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, allow_nan=False)


def conditions(columns: Mapping[str, Column], where: Mapping[str, Any] | None, table: str) -> tuple[str, list[Any]]:
    """Return a WHERE clause (or an empty text) and the values bound in it.

    Parameters
    ----------
    columns : mapping of str to Column
        The table's columns.
    where : mapping of str to object, optional
        Column name to value; a list means any of its values, None means NULL. A comparison may
        follow the name: ``{"start_at <=": us}``.
    table : str
        For the message when a column is unknown.
    """
    parts: list[str] = []
    bound: list[Any] = []
    for label, value in (where or {}).items():
        name, sign = _comparison(label)
        if name not in columns:
            raise unknown(f"column of {table}", name, columns)
        column = columns[name]
        if value is None:
            parts.append(f"{column.quoted} IS {'NOT ' if sign == '!=' else ''}NULL")
        elif isinstance(value, list | tuple | set | frozenset):
            values = [column.bound(v) for v in value]
            markers = ", ".join([column.marker] * len(values))
            parts.append(f"{column.quoted} IN ({markers})" if values else "false")
            bound += values
        else:
            parts.append(f"{column.quoted} {sign} {column.marker}")
            bound.append(column.bound(value))
    return (" WHERE " + " AND ".join(parts) if parts else ""), bound


def _comparison(label: str) -> tuple[str, str]:
    for sign in _COMPARISONS:
        if label.endswith(sign):
            return label.removesuffix(sign).strip(), sign
    return label, "="


def ordering(
    columns: Mapping[str, Column], order_by: str | Iterable[str] | None, default: str | None, table: str
) -> str:
    """Return an ORDER BY clause, or an empty text; each term is a column name, or one with ``DESC``."""
    terms = [order_by] if isinstance(order_by, str) else list(order_by or ([default] if default else []))
    parts = []
    for term in terms:
        name, _, direction = term.partition(" ")
        if name not in columns:
            raise unknown(f"column of {table}", name, columns)
        if direction.upper() not in ("", "ASC", "DESC"):
            raise unknown("direction", direction, ("ASC", "DESC"))
        parts.append(f"{columns[name].quoted} {direction.upper() or 'ASC'} NULLS LAST")
    return " ORDER BY " + ", ".join(parts) if parts else ""
