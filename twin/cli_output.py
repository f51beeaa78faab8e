"""What the commands have in common: their options, and how they print rows."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from twin.plant import Plant

DEFAULT_DB = "data/plant.duckdb"
_CELL = 48
_F = TypeVar("_F", bound=Callable[..., Any])


def common(function: _F) -> _F:
    """Add ``--db`` and ``--json``, which every command understands."""
    function = click.option("--json", "as_json", is_flag=True, help="Print machine-readable JSON.")(function)
    return click.option(
        "--db",
        type=click.Path(),
        default=DEFAULT_DB,
        envvar="TWIN_DB",
        show_default=True,
        show_envvar=True,
        help="The plant's DuckDB file.",
    )(function)


def choice(names: Iterable[str]) -> click.Choice[str]:
    """Return an option type of these words, in their order."""
    return click.Choice(list(names))


def opened(db: str, read_only: bool = False, create: bool = False) -> Plant:
    """Open the plant of a command; what would only look at one does not make one."""
    from twin.plant import Plant

    existed = os.path.exists(db)
    plant = Plant.open(db, read_only=read_only, create=create)
    if not existed:
        click.echo(f"created the sample plant {plant.path}", err=True)
    return plant


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: times as ISO 8601 with a Z, missing numbers as null."""
    if value is None or isinstance(value, (str, bool, int)):
        return str(value.value) if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):  # what SQL makes of 0.75, and of the sum of integers
        return int(value) if value.as_tuple().exponent == 0 else float(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v) for v in value]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="json"))
    if hasattr(value, "item"):  # a numpy scalar
        return plain(value.item())
    return str(value)


def emit(value: Any, as_json: bool, text: str = "") -> None:
    """Print a value as one JSON document, or its text (a record without a text as ``key: value`` lines)."""
    if as_json:
        click.echo(json.dumps(plain(value), allow_nan=False))
    elif text or not isinstance(value, Mapping):
        click.echo(text or str(value))
    else:
        width = max((len(str(key)) for key in value), default=0)
        for key, entry in value.items():
            click.echo(f"{key!s:<{width}}  {_cell(entry, limit=None)}")


def emit_rows(rows: Sequence[Mapping[str, Any]], as_json: bool, columns: Sequence[str] = ()) -> None:
    """Print rows as a JSON array of objects, or as a table of the named columns."""
    if as_json:
        click.echo(json.dumps(plain(list(rows)), allow_nan=False))
    else:
        click.echo(table(rows, columns))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Return rows as an aligned text table.

    Parameters
    ----------
    rows : sequence of mappings
        One mapping a row, column name to value.
    columns : sequence of str, optional
        The columns to show, in order; all when empty.

    Returns
    -------
    str
        Lines without trailing blanks; ``"(none)"`` without rows.
    """
    if not rows:
        return "(none)"
    names = list(columns) or list(rows[0])
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]
    right = [all(isinstance(row.get(name), (int, float, Decimal, type(None))) for row in rows) for name in names]

    def line(texts: Sequence[str]) -> str:
        padded = (t.rjust(w) if r else t.ljust(w) for t, w, r in zip(texts, widths, right, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join([line(names), *(line(texts) for texts in cells)])


def _cell(value: Any, limit: int | None = _CELL) -> str:
    shown = plain(value)
    if shown is None:
        text = "-"
    elif isinstance(shown, bool):
        text = "yes" if shown else "no"
    elif isinstance(shown, float):
        text = f"{shown:.6g}"
    else:
        text = shown if isinstance(shown, str) else json.dumps(shown)
    text = " ".join(text.split())
    return text if limit is None or len(text) <= limit else text[: limit - 3] + "..."


def machines_option(required: bool = False) -> Callable[[_F], _F]:
    """Return the ``--machines A,B|all`` option."""
    return click.option(
        "--machines",
        metavar="A,B|all",
        required=required,
        default=None if required else "all",
        show_default=not required,
        callback=lambda _ctx, _param, text: split_names(text),
        help="Machine names or ids separated by commas, or 'all'.",
    )


def split_names(text: str | None) -> str | list[str] | None:
    """Return ``"all"``, or the list of names that commas separate."""
    if text is None or text.strip() == "all":
        return "all" if text else None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise click.BadParameter(f"{text!r} has an empty name; write A,B,C or all")
    return names


def assignments(pairs: Iterable[str], what: str) -> dict[str, float]:
    """Read ``NAME=NUMBER`` options."""
    values: dict[str, float] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        name = name.strip()
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not equals or not name or math.isnan(value):
            raise click.UsageError(f"{what} {pair!r} is not NAME=NUMBER, for example load=0.85")
        if name in values:
            raise click.UsageError(f"{what} {name!r} is given twice")
        values[name] = value
    return values


def given(**options: Any) -> dict[str, Any]:
    """Return the options that the user gave a value."""
    return {name: value for name, value in options.items() if value is not None}
