"""Rows of any table, read and changed with checked names and bound values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from twin.errors import BadRequest, InUse, shown, unknown
from twin.store.faults import translate
from twin.store.schema import KEYS, NUMBERED, OWNED, PARENTS, REMOTE_USERS
from twin.store.values import Column, columns_of, conditions, ordering

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_MOST_NAMED = 5
_tables: dict[str, dict[str, Column]] = {}  # the same in every plant that `Store.open` accepts; costs 20 ms to read


class Rows:
    """What one transaction sees and changes: all of it is kept, or nothing.

    Table and column names are checked against the schema and values are bound. Times are
    integer microseconds since 1970 UTC in rows (a ``datetime`` is taken too) and
    ``datetime64[us]`` in frames; JSON columns take and give Python objects.

    Attributes
    ----------
    con : duckdb.DuckDBPyConnection
        The connection, for the modules of `twin.store` only.
    path : Path
        The plant's file.
    writable : bool
        Whether the transaction may change rows.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, path: Path, writable: bool) -> None:
        self.con = con
        self.path = path
        self.writable = writable

    def execute(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement of the package's own and return its rows."""
        try:
            return self.con.execute(sql, list(params)).fetchall()
        except duckdb.Error as error:
            raise translate(error, self.path) from None

    def query_arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Run one query of the package's own and return an Arrow table."""
        try:
            return self.con.sql(sql, params=list(params)).to_arrow_table()
        except duckdb.Error as error:
            raise translate(error, self.path) from None

    def query(self, sql: str, params: Sequence[Any] = ()) -> pd.DataFrame:
        """Run one query of the package's own and return a DataFrame."""
        try:
            return self.con.execute(sql, list(params)).df()
        except duckdb.Error as error:
            raise translate(error, self.path) from None

    def columns(self, table: str) -> dict[str, Column]:
        """Return the columns of a table or view, by name."""
        if table not in _tables:
            _tables.update(self._read_columns())
        if table not in _tables:
            raise unknown("table", table, sorted(_tables))
        return _tables[table]

    @staticmethod
    def forget_columns() -> None:
        """Read the columns anew at the next use: tables have been created or altered."""
        _tables.clear()

    def _read_columns(self) -> dict[str, dict[str, Column]]:
        rows = self.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns()"
            " WHERE schema_name = 'main' AND NOT internal ORDER BY table_name, column_index"
        )
        return columns_of((str(table), str(name), str(kind)) for table, name, kind in rows)

    def rows(
        self, table: str, where: Mapping[str, Any] | None = None, order_by: str | Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Return rows of a table or view.

        Parameters
        ----------
        table : str
            Name of a table or view.
        where : mapping, optional
            Column to value; None means NULL, a list any of its values. A comparison may follow
            the column: ``{"start_at <=": us}``.
        order_by : str or sequence of str, optional
            Columns, each with or without ``DESC``; the primary key when not given.
        """
        columns = self.columns(table)
        clause, bound = conditions(columns, where, table)
        order = ordering(columns, order_by, KEYS.get(table), table)
        select = ", ".join(column.selected for column in columns.values())
        found = self.execute(f'SELECT {select} FROM "{table}"{clause}{order}', bound)
        kinds = list(columns.values())
        return [{c.name: c.read(v) for c, v in zip(kinds, row, strict=True)} for row in found]

    def get(self, table: str, key: Any) -> dict[str, Any] | None:
        """Return the row with a primary key, or None."""
        return self.find(table, **{_key_of(table): key})

    def find(self, table: str, **equal: Any) -> dict[str, Any] | None:
        """Return the first row whose columns equal the values given, or None."""
        found = self.rows(table, equal)
        return found[0] if found else None

    def names(self, table: str, column: str = "name") -> list[str]:
        """Return a column's values, in the order of the primary key."""
        return [row[column] for row in self.rows(table)]

    def count(self, table: str, where: Mapping[str, Any] | None = None) -> int:
        """Return the number of rows."""
        clause, bound = conditions(self.columns(table), where, table)
        return int(self.execute(f'SELECT count(*) FROM "{table}"{clause}', bound)[0][0])

    def frame(
        self,
        table: str,
        where: Mapping[str, Any] | None = None,
        columns: Sequence[str] | None = None,
        order_by: str | Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return rows as a DataFrame; the parameters are those of `rows`, `columns` chooses and orders columns."""
        known = self.columns(table)
        for name in columns or ():
            if name not in known:
                raise unknown(f"column of {table}", name, known)
        clause, bound = conditions(known, where, table)
        order = ordering(known, order_by, KEYS.get(table), table)
        select = ", ".join(known[name].shown for name in columns or known)
        return self.query(f'SELECT {select} FROM "{table}"{clause}{order}', bound)

    def insert(self, table: str, row: Mapping[str, Any]) -> Any:
        """Add a row and return its primary key (None for a table without one).

        A number is given out where the key is one and the row has none; numbers are never
        given out twice, not even after a deletion.
        """
        return self.insert_many(table, [row])[0]

    def insert_many(self, table: str, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Add rows and return their primary keys, as `insert` does."""
        self._need_writable()
        columns = self.columns(table)
        key = KEYS.get(table)
        keys = []
        for given in rows:
            row = dict(given)
            if table in NUMBERED and row.get(key or "") is None:
                row[key or ""] = self._next_number(table)
            self._insert(table, columns, row)
            keys.append(row[key] if key else None)
        return keys

    def _insert(self, table: str, columns: Mapping[str, Column], row: Mapping[str, Any]) -> None:
        chosen, values = self._checked(table, columns, row)
        names, markers = ", ".join(c.quoted for c in chosen), ", ".join(c.marker for c in chosen)
        self.execute(f'INSERT INTO "{table}" ({names}) VALUES ({markers})', values)

    def update(self, table: str, key: Any, changes: Mapping[str, Any]) -> None:
        """Change columns of the row with a primary key; the key itself stays."""
        self._need_writable()
        name, columns = _key_of(table), self.columns(table)
        if name in changes:
            raise BadRequest(f"{name} of {table} cannot be changed; delete the row and add another")
        self._need_row(table, key)
        if not changes:
            return
        chosen, values = self._checked(table, columns, changes)
        sets = ", ".join(f"{c.quoted} = {c.marker}" for c in chosen)
        self.execute(f'UPDATE "{table}" SET {sets} WHERE "{name}" = ?', [*values, key])

    def delete(self, table: str, key: Any) -> None:
        """Remove the row with a primary key; refuse while others refer to it."""
        self._need_writable()
        self._need_row(table, key)
        if users := self.references(table, key):
            raise InUse(f"{table} {shown(key)} is in use by {'; '.join(users)}; delete those first")
        name = _key_of(table)
        if table in NUMBERED:
            self._remember_number(table)
        for owned in OWNED.get(table, ()):
            self.execute(f'DELETE FROM "{owned}" WHERE "{name}" = ?', [key])
        self.execute(f'DELETE FROM "{table}" WHERE "{name}" = ?', [key])

    def references(self, table: str, key: Any) -> list[str]:
        """Return who refers to a row, one text for each table, for example ``maintenance_tasks 3, 4``."""
        users: dict[str, set[Any]] = {}
        for (child, column), parent in PARENTS.items():
            if parent == table and child not in OWNED.get(table, ()):
                found = self.execute(f'SELECT "{KEYS[child]}" FROM "{child}" WHERE "{column}" = ?', [key])
                users.setdefault(child, set()).update(row[0] for row in found)
        for child, sql in REMOTE_USERS.get(table, ()):
            users.setdefault(child, set()).update(row[0] for row in self.execute(sql, [key]))
        return [self._named(child, sorted(keys)) for child, keys in users.items() if keys]

    def _named(self, table: str, keys: Sequence[Any]) -> str:
        """Return a table and keys as text, with names where the keys are numbers."""
        label: dict[Any, str] = {}
        if table in NUMBERED and "name" in self.columns(table):
            label = {row[KEYS[table]]: row["name"] for row in self.rows(table, {KEYS[table]: list(keys[:_MOST_NAMED])})}
        listed = ", ".join(f"{key} ({label[key]})" if label.get(key) else str(key) for key in keys[:_MOST_NAMED])
        more = f" and {len(keys) - _MOST_NAMED} more" if len(keys) > _MOST_NAMED else ""
        return f"{table} {listed}{more}"

    def _checked(
        self, table: str, columns: Mapping[str, Column], row: Mapping[str, Any]
    ) -> tuple[list[Column], list[Any]]:
        """Return the columns that a row gives and their bound values; parents must exist."""
        for name in row:
            if name not in columns:
                raise unknown(f"column of {table}", name, columns)
        chosen = [columns[name] for name in row]
        values = [column.bound(row[column.name]) for column in chosen]
        for column, value in zip(chosen, values, strict=True):
            parent = PARENTS.get((table, column.name))
            if parent is not None and value is not None and not self.count(parent, {KEYS[parent]: value}):
                raise unknown(f"{column.name} of {table}", value, self.names(parent, KEYS[parent]))
        return chosen, values

    def _need_row(self, table: str, key: Any) -> None:
        name = _key_of(table)
        if not self.count(table, {name: key}):
            raise unknown(f"{name} of {table}", key, map(str, self.names(table, name)))

    def _need_writable(self) -> None:
        if not self.writable:
            raise BadRequest(f"the plant {self.path} is open for reading only; open it without read_only to change it")

    def _next_number(self, table: str) -> int:
        """Return the number after the highest that the table has, or had before a deletion."""
        sql = (
            f'SELECT greatest((SELECT coalesce(max("{KEYS[table]}"), 0) FROM "{table}"),'
            " coalesce((SELECT CAST(value AS BIGINT) FROM plant_info WHERE key = ?), 0)) + 1"
        )
        return int(self.execute(sql, [f"highest {table}"])[0][0])

    def _remember_number(self, table: str) -> None:
        """Note the highest number of a table, so that it is not given out again."""
        highest = self._next_number(table) - 1
        self.execute("INSERT OR REPLACE INTO plant_info VALUES (?, ?)", [f"highest {table}", str(highest)])


def _key_of(table: str) -> str:
    if table not in KEYS:
        raise unknown("table with a key", table, KEYS)
    return KEYS[table]
