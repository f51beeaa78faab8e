"""What a run returns: results and tables, given by a notebook's last cell or returned by a function."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.experiment import as_json
from twin.errors import BadRequest, TwinError

if TYPE_CHECKING:
    import pandas as pd

RETURNED = "returned.json"
_TABLE = re.compile(r"[a-z][a-z0-9_]{0,59}")


def give(out: str | Path, results: Mapping[str, Any], tables: Mapping[str, pd.DataFrame] | None = None) -> None:
    """Return results from a notebook; the last thing that it does.

    Parameters
    ----------
    out : path
        The notebook's parameter ``out``; where it is empty nobody asked, and nothing is written.
    results : mapping
        Name to number, text, truth value, None, or again a mapping of these.
    tables : mapping, optional
        Name to DataFrame; kept as Parquet.
    """
    plain = checked(results)
    for name in tables or {}:
        if not _TABLE.fullmatch(name):
            raise BadRequest(f"a table is named in snake_case, not {name!r}")
    if not str(out):
        return
    folder = Path(out)
    try:  # not its parents: the folder of a worker that is ending has been removed for good
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise BadRequest(f"out must lie in a folder that exists, got {str(folder)!r}") from None
    (folder / "tables").mkdir(exist_ok=True)
    for name, table in (tables or {}).items():
        write_table(table, folder / "tables" / f"{name}.parquet")
    draft = folder / f"{RETURNED}.part"
    draft.write_text(json.dumps(plain, sort_keys=True, allow_nan=False), encoding="utf-8")
    os.replace(draft, folder / RETURNED)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a DataFrame as Parquet; equal frames give equal files."""
    table.to_parquet(path, engine="pyarrow", compression="zstd")


def checked(results: Any) -> dict[str, Any]:
    """Return results as JSON holds them; numbers that are none become None."""
    if not isinstance(results, Mapping):
        raise BadRequest(f"results must be a mapping of names to values, got {type(results).__name__}")
    try:
        plain = as_json(_without_nan(results), "results")
    except ValueError as error:
        raise BadRequest(str(error)) from None
    return dict(plain)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))) else value


def flat(results: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield results by name; the names of nested ones are joined by dots."""
    for name, value in results.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def refuse_missing(results: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    """Refuse results that lack what every run must return."""
    there = dict(flat(results))
    missing = [name for name in needed if name not in there and not any(key.startswith(f"{name}.") for key in there)]
    if missing:
        raise TwinError(
            f"the run did not return {', '.join(missing)}; it returned {', '.join(sorted(there)) or 'nothing'}"
        )
