"""What an experiment found, as one tidy table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from twin.store import Store
from twin.store.experiments import experiment_row, long_results

if TYPE_CHECKING:
    import pandas as pd

OWN = ("number", "run_id", "status")


_EVERY = (1, 2**31 - 1)
_PAGE = 500


def run_rows(store: Store, name: str, numbers: tuple[int, int] = _EVERY) -> list[dict[str, Any]]:
    """Return the runs that an experiment asks for (those from a number to another), in their order."""
    of = {"experiment_id": experiment_row(store, name)["experiment_id"], "asked": True}
    within = {"number >=": numbers[0], "number <=": numbers[1]}
    return store.rows("experiment_runs", {**of, **within}, order_by="number")


def pages_of(store: Store, name: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the runs that an experiment asks for some hundred at a time, for the sake of memory."""
    first = 1
    while rows := run_rows(store, name, (first, first + _PAGE - 1)):
        yield rows
        first += _PAGE


def results_of(store: Store, name: str, numbers: tuple[int, int] = _EVERY) -> dict[str, dict[str, Any]]:
    """Return the results of each complete run (of those from a number to another), by run id and name."""
    found: dict[str, dict[str, Any]] = {}
    for run, result, value, text in long_results(store, name, numbers):
        found.setdefault(run, {})[result] = text if value is None else value
    return found


def tidy(store: Store, name: str, unfinished: bool = False) -> pd.DataFrame:
    """Return one row a run: its parameters, then what it returned.

    Parameters
    ----------
    store : Store
        The plant.
    name : str
        The experiment.
    unfinished : bool
        Whether runs that are not complete are listed too, without results.

    Returns
    -------
    pandas.DataFrame
        ``number``, ``run_id``, ``status``, the parameters, and the results; a result that is named
        like a parameter gets ``_returned``.
    """
    import pandas as pd

    results = results_of(store, name)
    rows = []
    for run in run_rows(store, name):
        if run["status"] != "complete" and not unfinished:
            continue
        row = {key: run[key] for key in OWN} | run["parameters"]
        given = results.get(run["run_id"], {})
        rows.append(row | {key if key not in row else f"{key}_returned": value for key, value in given.items()})
    return pd.DataFrame(rows, columns=None if rows else list(OWN))


def varied(rows: list[dict[str, Any]]) -> list[str]:
    """Return the parameters that are not the same in all runs, in the order of the first."""
    names = list(dict.fromkeys(name for row in rows for name in row["parameters"]))
    return [name for name in names if len({repr(row["parameters"].get(name)) for row in rows}) > 1]
