"""Labels from the truth: what fails within a horizon, which mode, how long is left, and which rows may be used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.errors import BadRequest, shown, unknown
from twin.store.labels import label_tables
from twin.times import parse_duration, to_datetime

if TYPE_CHECKING:
    import pandas as pd

    from twin.results import RunRecord

HOUR = np.timedelta64(3_600_000_000, "us")


def labels(
    run: RunRecord,
    at: Any,
    horizon: Any = "7d",
    window: Any = "24h",
    modes: Iterable[str] | None = None,
) -> pd.DataFrame:
    """Return what happens after given times, from the truth of a run.

    Work on a machine before it fails ends what its readings foretold: the remaining useful life is censored
    there (``rul_h`` runs to the beginning of the work), while ``fails`` says what happened in this run.

    Parameters
    ----------
    run : Run
        A complete one.
    at : DataFrame or MultiIndex
        Features, or their index: ``machine_id`` and ``ts``.
    horizon : duration
        How far ahead ``fails`` looks.
    window : duration
        The longest window of the features: it must not touch a failure's downtime.
    modes : iterable of str, optional
        Failure modes that count; a failure of another censors. All when not given.

    Returns
    -------
    DataFrame
        On the same index: ``fails`` (a failure in ``(ts, ts + horizon]``), ``mode`` (which mode; missing without),
        ``rul_h`` (hours to the failure, or to where the life is censored), ``censored``, and ``usable``: False
        while the machine stands, where the window touches a standstill, and where the run ends, or the life is
        censored, before the horizon without a failure.

    Raises
    ------
    BadRequest
        If the horizon is as long as the run, a mode or machine is unknown, or the run is not complete.
    """
    import pandas as pd

    index = _index_of(at)
    plan, row = run.plan, run.row
    if not row.complete:
        raise BadRequest(f"run {run.id} is {row.status}: labels need all of it, so simulate it to its end")
    ahead = np.timedelta64(parse_duration(horizon, "horizon"), "us")
    behind = np.timedelta64(parse_duration(window, "window"), "us")
    end = np.datetime64(to_datetime(plan.end_us).replace(tzinfo=None), "us")
    if ahead >= np.timedelta64(plan.end_us - plan.start_us, "us"):
        raise BadRequest(
            f"horizon {shown(horizon)} is as long as the run or longer: nothing could be labelled; shorten it"
        )
    wanted = None if modes is None else _known(modes, plan.failure_modes)
    tables = label_tables(run._store, run.id)
    machine_ids = index.get_level_values("machine_id").to_numpy()
    times = index.get_level_values("ts").to_numpy().astype("datetime64[us]")
    strangers = set(machine_ids.tolist()) - {m.machine_id for m in plan.machines}
    if strangers:
        raise BadRequest(f"machine {min(strangers)} is not in run {run.id}; make the features from this run")
    before = index[times < np.datetime64(plan.start_us, "us")]
    if len(before):
        raise BadRequest(
            f"the row at {before[0][1]} is from before run {run.id} began: make the features from this run"
        )
    kinds: dict[str, Any] = {"fails": bool, "mode": object, "rul_h": float, "censored": bool, "usable": bool}
    columns = {name: np.empty(len(index), kind) for name, kind in kinds.items()}
    for machine_id in np.unique(machine_ids):
        mine = np.flatnonzero(machine_ids == machine_id)
        parts = {name: table[table["machine_id"] == machine_id] for name, table in tables.items()}
        for name, values in _of_machine(times[mine], parts, ahead, behind, end, wanted).items():
            columns[name][mine] = values
    return pd.DataFrame(columns, index=index)


def _of_machine(times: Any, parts: Any, ahead: Any, behind: Any, end: Any, wanted: set[str] | None) -> dict[str, Any]:
    """Return the labels of one machine at sorted times."""
    failed_at, mode = _column(parts["failures"], "ts"), parts["failures"]["mode"].to_numpy(dtype=object)
    ends = np.sort(np.concatenate([failed_at, _column(parts["work"], "ts")]))  # where a life ends, in whatever way
    stop = _next(ends, times, end)
    k = np.searchsorted(failed_at, times, side="right")
    at = np.append(failed_at, np.datetime64("NaT", "us"))[k]
    which = np.array([*mode, None], dtype=object)[k]
    counts = np.array([wanted is None or m in wanted for m in which], bool) & ~np.isnat(at)
    event = counts & (at == stop)
    fails = event & (at <= times + ahead)
    begin, until = _column(parts["stands"], "ts"), _column(parts["stands"], "end_at")
    # standstills that begin at or before a time, and end after the window's begin
    last = np.searchsorted(begin, times, side="right") - 1
    stood = (last >= 0) & (np.append(until, np.datetime64(0, "us"))[last] > times - behind)
    known = fails | (times + ahead <= stop)
    return {
        "fails": fails,
        "mode": np.where(fails, which, None),
        "rul_h": (np.where(event, at, stop) - times) / HOUR,
        "censored": ~event,
        "usable": known & ~stood,
    }


def _next(ends: Any, times: Any, last: Any) -> Any:
    """Return the first of sorted moments after each time; the last one where there is none."""
    return np.minimum(np.append(ends, last)[np.searchsorted(ends, times, side="right")], last)


def _column(table: Any, name: str) -> Any:
    return table[name].to_numpy().astype("datetime64[us]")


def _index_of(at: Any) -> Any:
    import pandas as pd

    index = at.index if isinstance(at, pd.DataFrame) else at
    if not isinstance(index, pd.MultiIndex) or list(index.names) != ["machine_id", "ts"]:
        raise BadRequest("labels need the index of features: machine_id and ts")
    if not len(index):
        raise BadRequest("there are no rows to label: the features are empty")
    if not index.is_monotonic_increasing or not index.is_unique:
        raise BadRequest("the rows to label must be sorted by machine_id and ts, none of them twice")
    return index


def _known(modes: Iterable[str], known: Any) -> set[str]:
    if not isinstance(modes, Iterable):
        raise BadRequest(f"modes must be a list of failure modes, got {shown(modes)}")
    chosen = [modes] if isinstance(modes, str) else list(modes)
    for mode in chosen:
        if not isinstance(mode, str) or mode not in known:
            raise unknown("failure mode of this run", mode, known)
    return set(chosen)
