"""The plant's file: one object for all that is stored, and the only door to it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import duckdb

from twin.catalog.models import Scenario
from twin.errors import BadRequest, NotAPlant, StoreFault, shown, unknown
from twin.store.catalog_tables import Transaction
from twin.store.faults import REQUEST_ERRORS, sql_error, translate, translate_os
from twin.store.schema import SCHEMA_VERSION, build, found_version
from twin.store.transfer import Transfers
from twin.store.upgrade import upgrade

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_Result = TypeVar("_Result")
_EXPLAIN = re.compile(r"\s*explain(\s+analyze)?(\s*\([^)]*\))?\s", re.IGNORECASE)
_QUERY = re.compile(r"\s*\(*\s*(select|from|with|pivot|pivot_wider|pivot_longer|unpivot|values|table)\b", re.IGNORECASE)


class Store(Transfers):
    """A plant's file. Use `create` or `open`; nothing holds the file between calls.

    Every method below is one transaction of its own; `writing` and `reading` make several calls
    one transaction. Safe to use from several threads and processes at once.
    """

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether there is a file at a path."""
        return Path(path).exists()

    @classmethod
    def create(cls, path: str | Path, fill: Callable[[Transaction], None] | None = None, wait_s: float = 5.0) -> Self:
        """Create a plant; it appears whole, or not at all.

        Parameters
        ----------
        path : str or Path
            Where; directories are made as needed, and nothing must be there yet.
        fill : callable, optional
            Adds the first rows.
        wait_s : float
            See `Sessions`.

        Raises
        ------
        BadRequest
            Something is there already.
        StoreFault
            The place cannot be written, or the disk is full.
        """
        target = Path(path)
        _need_vacant(target)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise translate_os(error, target.parent) from None
        draft = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.new")
        try:
            _build_whole(draft, target, fill)
            _appear(draft, target)
        finally:
            for rest in (draft, draft.with_name(draft.name + ".wal")):
                with contextlib.suppress(OSError):
                    rest.unlink(missing_ok=True)
        return cls(target, wait_s=wait_s)

    @classmethod
    def open(cls, path: str | Path, read_only: bool = False, wait_s: float = 5.0) -> Self:
        """Open a plant.

        Parameters
        ----------
        path : str or Path
            The plant's file.
        read_only : bool
            Whether changes are refused; the file and its directory need not be writable then.
        wait_s : float
            How long to wait for other processes to close the file, s.

        Raises
        ------
        NotAPlant
            There is no file, it is not a plant, or a newer version of this package made it.
        StoreFault
            The file cannot be read, or not be written.
        """
        target = Path(path)
        if not target.exists():
            raise NotAPlant(f"there is no plant at {target}; create one with `twin init --db {target}`")
        if target.is_dir():
            raise NotAPlant(f"{target} is a directory, not a plant; name a file in it")
        if not read_only and not os.access(target, os.W_OK):
            raise StoreFault(f"cannot write the plant {target}: permission denied; open it read-only")
        store = cls(target, read_only, wait_s)
        with store.reading() as tx:
            version = found_version(tx.con)
        if version is None:
            raise NotAPlant(f"{target} is a DuckDB file but not a plant; name another, or create one with `twin init`")
        if version > SCHEMA_VERSION:
            raise NotAPlant(
                f"{target} was made by a newer pdm-twin (schema {version}; this one reads up to {SCHEMA_VERSION}):"
                " upgrade pdm-twin"
            )
        if version < SCHEMA_VERSION:
            if read_only:
                raise NotAPlant(
                    f"{target} was made by an older pdm-twin (schema {version}): open it once for writing, which brings"
                    f" it to schema {SCHEMA_VERSION}"
                )
            with store.writing() as tx:
                upgrade(tx, found_version(tx.con) or version)
        return store

    def rows(
        self, table: str, where: Mapping[str, Any] | None = None, order_by: str | Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        """Return rows of a table or view: see `Rows.rows`."""
        with self.reading() as tx:
            return tx.rows(table, where, order_by)

    def get(self, table: str, key: Any) -> dict[str, Any] | None:
        """Return the row with a primary key, or None."""
        with self.reading() as tx:
            return tx.get(table, key)

    def find(self, table: str, **equal: Any) -> dict[str, Any] | None:
        """Return the first row whose columns equal the values given, or None."""
        with self.reading() as tx:
            return tx.find(table, **equal)

    def names(self, table: str, column: str = "name") -> list[str]:
        """Return a column's values, in the order of the primary key."""
        with self.reading() as tx:
            return tx.names(table, column)

    def count(self, table: str, where: Mapping[str, Any] | None = None) -> int:
        """Return the number of rows."""
        with self.reading() as tx:
            return tx.count(table, where)

    def frame(
        self,
        table: str,
        where: Mapping[str, Any] | None = None,
        columns: Sequence[str] | None = None,
        order_by: str | Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return rows as a DataFrame: see `Rows.frame`."""
        with self.reading() as tx:
            return tx.frame(table, where, columns, order_by)

    def insert(self, table: str, row: Mapping[str, Any]) -> Any:
        """Add a row and return its primary key: see `Rows.insert`."""
        with self.writing() as tx:
            return tx.insert(table, row)

    def insert_many(self, table: str, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Add rows, all or none, and return their primary keys."""
        with self.writing() as tx:
            return tx.insert_many(table, rows)

    def update(self, table: str, key: Any, changes: Mapping[str, Any]) -> None:
        """Change columns of the row with a primary key."""
        with self.writing() as tx:
            tx.update(table, key, changes)

    def delete(self, table: str, key: Any) -> None:
        """Remove the row with a primary key; refuse while others refer to it."""
        with self.writing() as tx:
            tx.delete(table, key)

    def references(self, table: str, key: Any) -> list[str]:
        """Return who refers to a row, one text for each table."""
        with self.reading() as tx:
            return tx.references(table, key)

    def query(self, sql: str, params: Sequence[Any] = ()) -> pd.DataFrame:
        """Run one query of the package's own and return a DataFrame; for users there is `sql`."""
        with self.reading() as tx:
            return tx.query(sql, params)

    def query_arrow(self, sql: str, params: Sequence[Any] = ()) -> pa.Table:
        """Run one query of the package's own and return an Arrow table."""
        with self.reading() as tx:
            return tx.query_arrow(sql, params)

    def scenario(self, name: str) -> Scenario:
        """Return a scenario by its name, with its profile's data."""
        with self.reading() as tx:
            row = tx.find("scenarios", name=name)
            if row is None:
                raise unknown("scenario", name, tx.names("scenarios", "name"))
            return tx.read_scenario(row)

    def active_at(self, at_us: int, machine_id: int | None = None) -> pd.DataFrame:
        """Return the scenarios and failures that act at a time: see `Transaction.active_at`."""
        with self.reading() as tx:
            return tx.active_at(at_us, machine_id)

    def upcoming(self, from_us: int, until_us: int, machine_id: int | None = None) -> pd.DataFrame:
        """Return open maintenance tasks: see `Transaction.upcoming`."""
        with self.reading() as tx:
            return tx.upcoming(from_us, until_us, machine_id)

    def sql(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> pd.DataFrame:
        """Run a user's query and return a DataFrame.

        Parameters
        ----------
        sql : str
            One statement that reads; nothing in the plant can be changed by it.
        params : sequence or mapping, optional
            Values for ``?`` (or ``$name``) in the statement.

        Raises
        ------
        BadRequest
            The statement is wrong, or does not only read; the message quotes it.
        """
        with self.reading() as tx:
            return _run(tx, sql, params, lambda found: found.df())

    def sql_rows(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a user's query and return its rows as dicts: see `sql`."""
        with self.reading() as tx:
            return _run(tx, sql, params, _as_dicts)

    def sql_arrow(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
        """Run a user's query and return an Arrow table: see `sql`."""
        with self.reading() as tx:
            return _run(tx, sql, params, lambda found: found.to_arrow_table())


def _run(
    tx: Transaction,
    sql: str,
    params: Sequence[Any] | Mapping[str, Any] | None,
    fetch: Callable[[duckdb.DuckDBPyRelation], _Result],
) -> _Result:
    """Run a user's statement, if it only reads, and return what `fetch` makes of it."""
    if not isinstance(sql, str):
        raise BadRequest(f"the SQL must be a text, got {shown(sql)}")
    if params is not None and (isinstance(params, (str, bytes)) or not isinstance(params, (Iterable, Mapping))):
        raise BadRequest(f"params must be a list of values, one for each ? in the SQL, got {shown(params)}")
    if not sql.isascii() and any("\ud800" <= c <= "\udfff" for c in sql):
        raise BadRequest(f"the SQL must be a text of Unicode characters, got {shown(sql, 300)}")
    try:
        _need_reading(tx.con, sql)
        return fetch(tx.con.sql(sql, params=dict(params) if isinstance(params, Mapping) else list(params or ())))
    except duckdb.Error as error:
        raise sql_error(error, sql, tx.path) from None


def _as_dicts(found: duckdb.DuckDBPyRelation) -> list[dict[str, Any]]:
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def _need_reading(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Refuse what is not one reading statement (the transaction could not change the plant, but write other files)."""
    statements = con.extract_statements(sql)
    kind = statements[0].type if len(statements) == 1 else None
    text = statements[0].query if kind is not None else ""
    bare = re.sub(r"^(\s|--[^\n]*\n|/\*.*?\*/)*", "", text, flags=re.DOTALL)
    if kind == duckdb.StatementType.EXPLAIN and (match := _EXPLAIN.match(bare)):
        _need_reading(con, bare[match.end() :])
        return
    # DuckDB calls a query with PIVOT "multi", like a COPY or CREATE of one
    reads = kind == duckdb.StatementType.SELECT or (kind == duckdb.StatementType.MULTI and _QUERY.match(bare))
    if not reads:
        raise BadRequest(
            f"only one statement that reads (SELECT, DESCRIBE, EXPLAIN ...) can be run here, got {shown(sql, 300)}"
        )


def _need_vacant(target: Path) -> None:
    """Refuse to create a plant over something."""
    if target.is_dir():
        raise BadRequest(f"{target} is a directory; name a file in it")
    if target.exists() or target.is_symlink():
        raise BadRequest(f"there is a file at {target} already; open it, or choose another place")
    log = target.with_name(target.name + ".wal")
    if log.exists():
        raise BadRequest(f"{log} belongs to a plant that is no longer beside it; move it away first")


def _build_whole(draft: Path, target: Path, fill: Callable[[Transaction], None] | None) -> None:
    """Build a plant in a file that nobody looks at yet."""
    try:
        with duckdb.connect(draft, config={"memory_limit": "1GB"}) as con:
            con.execute("BEGIN TRANSACTION")
            build(con)
            if fill is not None:
                fill(Transaction(con, draft, writable=True))
            con.execute("COMMIT")
            con.execute("CHECKPOINT")
    except duckdb.Error as error:
        if isinstance(error, REQUEST_ERRORS):
            raise
        raise translate(error, target) from None
    except OSError as error:
        raise translate_os(error, draft.parent) from None


def _appear(draft: Path, target: Path) -> None:
    """Give a finished file its name, unless another process took it meanwhile."""
    try:
        try:
            os.link(draft, target)
        except FileExistsError:
            raise BadRequest(f"there is a file at {target} already; open it, or choose another place") from None
        except OSError:  # a file system without links
            _need_vacant(target)
            draft.rename(target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise translate_os(error, target) from None
