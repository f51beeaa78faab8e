"""Splits of rows into training and test without leaks, and a check that finds the leaks of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.catalog.checks import check_number
from twin.errors import BadRequest, LeakFound, shown
from twin.times import format_time, parse_duration, parse_time

if TYPE_CHECKING:
    import pandas as pd

    Index = pd.MultiIndex

KINDS = ("machine", "time", "both")


def split(
    index: Index, by: str = "machine", test: float = 0.3, window: Any = "24h", horizon: Any = "7d", seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return positions of training and test rows.

    Parameters
    ----------
    index : MultiIndex
        ``machine_id`` and ``ts``, as features have.
    by : str
        ``machine``: whole machines are held out. ``time``: the last part of the time, after an embargo of
        window and horizon, so that no label of the training looks into the test, and no window of the test
        into the training. ``both``: other machines, later.
    test : float
        Share that is held out, of machines, of time, or of each.
    window, horizon : duration
        Longest window of the features, and how far ahead the labels look.
    seed : int
        Which machines are held out.

    Raises
    ------
    BadRequest
        If one side would be empty.
    """
    if by not in KINDS:
        raise BadRequest(f"by must be one of {', '.join(KINDS)}, got {shown(by)}")
    share = check_number(test, "test", 0.01, 0.99)
    machines, times = _parts(index)
    if not len(index):
        raise BadRequest("there are no rows to split: the features are empty")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise BadRequest(f"seed must be a whole number of 0 or more, got {shown(seed)}")
    training, held = np.ones(len(index), bool), np.ones(len(index), bool)
    if by != "time":
        names = np.unique(machines)
        number = min(max(1, round(share * names.size)), names.size - 1)
        out = np.random.default_rng(seed).permutation(names)[:number]
        held &= np.isin(machines, out)
        training &= ~np.isin(machines, out)
    if by != "machine":
        first, last = int(times.min()), int(times.max())
        at = last - round(share * (last - first))
        held &= times >= at
        training &= times < at - _embargo(window, horizon)
    if not training.any() or not held.any():
        side = "training" if not training.any() else "test"
        raise BadRequest(f"nothing is left for the {side}: take more machines, a longer span, or a shorter horizon")
    return np.flatnonzero(training), np.flatnonzero(held)


class MachineFolds:
    """Cross-validation by machine, for scikit-learn's ``cv=``: no machine is on both sides.

    Parameters
    ----------
    folds : int
        2 or more; at most as many as there are machines.
    """

    def __init__(self, folds: int = 5) -> None:
        self.folds = int(check_number(folds, "folds", 2, 1000))
        if self.folds != folds:
            raise BadRequest(f"folds must be a whole number, got {shown(folds)}")

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds."""
        return self.folds

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield positions of training and test rows; `groups` defaults to the machines of `X`'s index."""
        from sklearn.model_selection import GroupKFold

        machines = _parts(getattr(X, "index", None))[0] if groups is None else groups
        if np.unique(machines).size < self.folds:
            raise BadRequest(f"{self.folds} folds need as many machines, there are {np.unique(machines).size}")
        yield from GroupKFold(self.folds).split(X, y, machines)


def check_split(
    index: Index, training: Any, test: Any, *, by: str = "both", window: Any = "24h", horizon: Any = "7d"
) -> None:
    """Raise where training rows know something of the test.

    Parameters
    ----------
    index : MultiIndex
        ``machine_id`` and ``ts`` of all rows.
    training, test : array of int
        Positions.
    by : str
        What the split promises: ``machine``, ``time`` or ``both``.
    window, horizon : duration
        Longest window of the features, and how far ahead the labels look.

    Raises
    ------
    LeakFound
        Names the first leak: a row on both sides, a machine on both sides, a training row whose label looks
        into the test, or a test row whose window reaches into the training.
    """
    if by not in KINDS:
        raise BadRequest(f"by must be one of {', '.join(KINDS)}, got {shown(by)}")
    machines, times = _parts(index)
    training, test = (_positions(part, len(index)) for part in (training, test))
    both = np.intersect1d(training, test)
    if both.size:
        raise LeakFound(f"{both.size} rows are in training and test, the first at position {both[0]}: separate them")
    if by in ("machine", "both"):
        shared = np.intersect1d(machines[training], machines[test])
        if shared.size:
            raise LeakFound(f"machine {shared[0]} is in training and test: a model knows the unit; split by machine")
    if by in ("time", "both"):
        first = int(times[test].min())
        behind, ahead = parse_duration(window, "window"), parse_duration(horizon, "horizon")
        last = int(times[training].max())
        if last + ahead > first:
            raise LeakFound(
                f"the label at {format_time(last)} looks {shown(horizon)} ahead, into the test that begins at "
                f"{format_time(first)}: leave an embargo of window and horizon"
            )
        if last > first - behind:
            raise LeakFound(
                f"the window at {format_time(first)} reaches back into the training, which ends at "
                f"{format_time(last)}: leave an embargo of window and horizon"
            )


def check_causal(make: Callable[[Any], pd.DataFrame], readings: pd.DataFrame, at: Any) -> None:
    """Raise if features at a time change when all that comes later is taken away.

    Parameters
    ----------
    make : callable
        Takes readings (``machine_id``, ``ts``, channels), returns features.
    readings : DataFrame
    at : time
        Where the future is cut off.

    Raises
    ------
    LeakFound
        Names a feature that knew the future.
    """
    import pandas as pd

    moment = pd.Timestamp(parse_time(at, "at"), unit="us")
    whole, cut = make(readings), make(readings[readings["ts"] <= moment])
    whole = whole[whole.index.get_level_values("ts") <= moment]
    if not whole.index.equals(cut.index):
        raise LeakFound("which rows there are depends on what comes later")
    gap = (whole - cut).abs() > 1e-9 * (1.0 + whole.abs())
    wrong = gap | (whole.isna() != cut.isna())
    if wrong.to_numpy().any():
        raise LeakFound(f"{wrong.any().idxmax()} at {moment} changes with what comes later: use past readings only")


def _embargo(window: Any, horizon: Any) -> int:
    return parse_duration(window, "window") + parse_duration(horizon, "horizon")


def _parts(index: Any) -> tuple[np.ndarray, np.ndarray]:
    import pandas as pd

    if not isinstance(index, pd.MultiIndex) or list(index.names) != ["machine_id", "ts"]:
        raise BadRequest("a split needs the index of features: machine_id and ts")
    times = index.get_level_values("ts").to_numpy().astype("datetime64[us]").astype(np.int64)
    return index.get_level_values("machine_id").to_numpy(), times


def _positions(part: Any, rows: int) -> np.ndarray:
    found = np.asarray(part)
    if found.dtype == bool and found.shape == (rows,):
        found = np.flatnonzero(found)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise BadRequest(f"positions must be whole numbers in a row, or {rows} times True or False, got {shown(part)}")
    if not found.size or found.min() < 0 or found.max() >= rows:
        raise BadRequest(f"positions must be from 0 to {rows - 1}, and there must be some on each side")
    return found
