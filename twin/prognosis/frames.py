"""What prognosis reads out of its frames: the machines of an index, and outcomes with their censoring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from twin.errors import BadRequest

MACHINE, TIME = "machine_id", "ts"
HOUR = pd.Timedelta(hours=1)


def machines_of(x: Any, groups: Any = None) -> np.ndarray:
    """Return the machine of each row: the groups where given, else the level `machine_id` of the index.

    Raises
    ------
    BadRequest
        Where there is neither.
    """
    if groups is not None:
        return np.asarray(groups)
    index = getattr(x, "index", None)
    if index is None or MACHINE not in index.names:
        raise BadRequest(f"rows without machines: give a frame indexed by ({MACHINE}, {TIME}), or groups=.")
    return index.get_level_values(MACHINE).to_numpy()


def outcomes(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return hours to failure (float) and whether each is censored (bool).

    Parameters
    ----------
    y : DataFrame or array-like of float
        With columns `rul_h` and `censored`, as labels have them; or hours alone, all of them observed.
    """
    if isinstance(y, pd.DataFrame):
        lacking = [name for name in ("rul_h", "censored") if name not in y.columns]
        if lacking:
            raise BadRequest(f"labels lack the column(s) {', '.join(lacking)}; rul_h and censored are needed.")
        return y["rul_h"].to_numpy(dtype=float), y["censored"].to_numpy(dtype=bool)
    hours = np.asarray(y, dtype=float).ravel()
    return hours, np.zeros(len(hours), dtype=bool)


def told(x: Any) -> Any:
    """Return features to fit on, with zeros in columns that have no value at all: trees cannot bin nothing.

    A constant says nothing, so whatever stands there when the model is asked has no effect.
    """
    if not isinstance(x, pd.DataFrame) or x.empty:
        return x
    return x.mask(np.broadcast_to(x.isna().all().to_numpy(), x.shape), 0.0)


def values_of(x: Any) -> np.ndarray:
    """Return features as a matrix of floats."""
    return np.asarray(x, dtype=float)
