"""A submission read at the door, and a score with its interval over machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.benchmark.data import Data
from twin.benchmark.tasks import COLUMNS, RUL_CAP_H, Task
from twin.errors import BadRequest, shown
from twin.prognosis import metrics
from twin.prognosis.evaluation import Rows, bootstrap

if TYPE_CHECKING:
    import pandas as pd

KEYS = ["machine_id", "ts"]
BOUNDS = ("low_h", "high_h")
MOST_BYTES = 256 * 2**20
MOST_ROWS = 5_000_000
REPLICATIONS = {"survival": 50}
"""Of the bootstrap, where it is not 200: a concordance of all rows takes its time."""


@dataclass(frozen=True)
class Score:
    """What answers are worth.

    Attributes
    ----------
    score, low, high : float
        1 is the best possible; the interval (95 %) resamples machines.
    figures : dict of str to float
        What else is told of them.
    """

    score: float
    low: float
    high: float
    figures: dict[str, float] = field(default_factory=dict)

    def row(self, name: str, best: float) -> dict[str, Any]:
        """Return the score as a row of a table; `room` is what is left to the best possible."""
        head = {"baseline": name, "score": self.score, "low": self.low, "high": self.high}
        return {**head, "room": best - self.score, **self.figures}


def score(data: Data, answer: pd.DataFrame) -> Score:
    """Return the score of answers on the test rows.

    Parameters
    ----------
    data : Data
    answer : DataFrame
        The columns of `COLUMNS` on the index of the test rows (see `read_submission`).
    """
    y = data.asked[1]
    answer = answer.reindex(y.index)
    machines = y.index.get_level_values("machine_id").to_numpy()
    statistic, figures = _STATISTICS[data.task.kind](data, y, answer)
    draws = REPLICATIONS.get(data.task.kind, 200)
    low, high = bootstrap(machines, statistic, replications=draws)
    found = {name: float(of(np.arange(len(y)))) for name, of in figures.items()}
    if "coverage" in figures:
        found["coverage_low"], found["coverage_high"] = bootstrap(machines, figures["coverage"])
    return Score(float(statistic(np.arange(len(y)))), low, high, found)


def behind(data: Data, answer: pd.DataFrame, other: pd.DataFrame) -> dict[str, float]:
    """Return by how much answers score less than others, paired: the same draws of machines for both."""
    y = data.asked[1]
    ours, theirs = (_STATISTICS[data.task.kind](data, y, a.reindex(y.index))[0] for a in (answer, other))
    machines = y.index.get_level_values("machine_id").to_numpy()

    def gap(rows: Rows) -> float:
        return theirs(rows) - ours(rows)

    low, high = bootstrap(machines, gap, replications=REPLICATIONS.get(data.task.kind, 200))
    return {"behind": gap(np.arange(len(y))), "behind_low": low, "behind_high": high}


_Statistic = Callable[[Rows], float]
_Found = tuple[_Statistic, dict[str, _Statistic]]


def _detection(data: Data, y: pd.DataFrame, answer: pd.DataFrame) -> _Found:
    fails, said = y["fails"].to_numpy(dtype=bool), answer["probability"].to_numpy(dtype=float)
    figures: dict[str, _Statistic] = {
        "roc_auc": lambda rows: metrics.roc_auc(fails[rows], said[rows]),
        "brier": lambda rows: metrics.brier(fails[rows], said[rows]),
    }
    return partial(_average_precision, *_thresholds(fails, said)), figures


def _thresholds(fails: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows from the highest probability down, whether they fail, and where one probability's rows end."""
    order = np.argsort(-said, kind="stable")
    return order, fails[order], np.append(np.flatnonzero(np.diff(said[order])), len(said) - 1)


def _average_precision(order: np.ndarray, fails: np.ndarray, ends: np.ndarray, rows: Rows) -> float:
    """Return scikit-learn's average precision of rows drawn from sorted ones: sorting each draw anew takes longer."""
    counts = np.bincount(rows, minlength=len(order))[order]
    hits, drawn = np.cumsum(counts * fails)[ends], np.cumsum(counts)[ends]
    if hits[-1] == 0 or hits[-1] == drawn[-1]:
        return np.nan
    gained = np.diff(hits, prepend=0)
    return float(np.sum(gained[gained > 0] * hits[gained > 0] / drawn[gained > 0]) / hits[-1])


def _diagnosis(data: Data, y: pd.DataFrame, answer: pd.DataFrame) -> _Found:
    modes = sorted(set(y["mode"]))
    true = np.searchsorted(modes, y["mode"].astype(str).to_numpy(dtype=str))
    code = {mode: k for k, mode in enumerate(modes)}
    said = np.array([code.get(str(mode), len(modes)) for mode in answer["mode"]])
    figures: dict[str, _Statistic] = {"accuracy": lambda rows: float(np.mean(true[rows] == said[rows]))}
    return partial(_macro_f1, true, said, len(modes)), figures


def _macro_f1(true: np.ndarray, said: np.ndarray, modes: int, rows: Rows) -> float:
    """Return the mean over modes of the F1 score; a mode without a row and without an answer is left out."""
    hits = np.bincount(true[rows][true[rows] == said[rows]], minlength=modes + 1)[:modes]
    wanted = np.bincount(true[rows], minlength=modes + 1)[:modes]
    given = np.bincount(said[rows], minlength=modes + 1)[:modes]
    there = wanted + given > 0
    return float(np.mean(2.0 * hits[there] / (wanted + given)[there]))


def _rul(data: Data, y: pd.DataFrame, answer: pd.DataFrame) -> _Found:
    true, said = y["rul_h"].to_numpy(dtype=float), answer["rul_h"].to_numpy(dtype=float)
    error = np.abs(said - true)
    constant = np.abs(np.median(data.taught[1]["rul_h"].to_numpy(dtype=float)) - true)
    figures: dict[str, _Statistic] = {"mae_h": lambda rows: float(error[rows].mean())}
    if BOUNDS[0] in answer:
        bounds = answer[list(BOUNDS)].to_numpy(dtype=float)
        figures["coverage"] = lambda rows: metrics.coverage(true[rows], bounds[rows])
        figures["width_h"] = lambda rows: metrics.width(bounds[rows])
    return lambda rows: float(1.0 - error[rows].sum() / constant[rows].sum()), figures


def _survival(data: Data, y: pd.DataFrame, answer: pd.DataFrame) -> _Found:
    time_h, event = y["rul_h"].to_numpy(dtype=float), ~y["censored"].to_numpy(dtype=bool)
    risk = answer["risk"].to_numpy(dtype=float)
    return lambda rows: metrics.concordance(time_h[rows], risk[rows], event[rows]), {}


_STATISTICS: dict[str, Callable[[Data, Any, Any], _Found]] = {
    "detection": _detection,
    "diagnosis": _diagnosis,
    "rul": _rul,
    "survival": _survival,
}


def read_submission(path: str | Path, data: Data) -> pd.DataFrame:
    """Return the answers of a CSV or Parquet file on the index of the test rows.

    Raises
    ------
    BadRequest
        One line on what is wrong: no such file, another format, columns missing or unknown, a test row missing,
        twice or unknown, NaN, infinity, a probability outside 0 to 1, a mode that there is not, negative hours.
    """
    place = Path(path)
    frame = checked_columns(_read(place), data.task, place)
    frame = _on_rows(frame, data, place)
    for name in frame.columns:
        if name == "mode":
            _check_modes(frame[name], data, place)
        else:
            frame[name] = _numbers(frame[name], name, place)
    if BOUNDS[0] in frame and (wrong := int((frame[BOUNDS[0]] > frame[BOUNDS[1]]).sum())):
        raise BadRequest(f"{place}: {wrong} intervals have low_h above high_h; give the lower bound first")
    return frame


def check_readable(place: Path) -> None:
    """Refuse a file that is not there, is of another kind, or is too large to be a submission."""
    if place.suffix.lower() not in (".csv", ".parquet"):
        raise BadRequest(f"a submission is a .csv or .parquet file, got {shown(str(place))}")
    try:
        if not place.is_file():
            raise BadRequest(f"there is no file {place}; give the path of a submission")
        size = place.stat().st_size
    except OSError as error:
        raise BadRequest(f"cannot read {shown(str(place))}: {error.strerror}") from None
    if size > MOST_BYTES:
        raise BadRequest(f"{place} has {size >> 20} MB; a submission has at most {MOST_BYTES >> 20} MB")


def _read(place: Path) -> pd.DataFrame:
    import pandas as pd

    check_readable(place)
    kind = place.suffix.lower()
    try:
        if kind == ".csv":
            return pd.read_csv(place, nrows=MOST_ROWS + 1)
        import pyarrow.parquet as pq

        with pq.ParquetFile(place) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise BadRequest(f"{place} has {file.metadata.num_rows:,} rows; at most {MOST_ROWS:,} are read")
            return file.read().to_pandas().reset_index(drop=False).drop(columns="index", errors="ignore")
    except BadRequest:
        raise
    except Exception as error:  # pandas and pyarrow raise many kinds on damaged bytes
        line = " ".join(str(error).split())[:120] or type(error).__name__
        raise BadRequest(f"{place} is no readable {kind[1:]} file ({line})") from None


def checked_columns(frame: pd.DataFrame, task: Task, place: Path) -> pd.DataFrame:
    """Return a frame that has the columns of a task's answers and no other."""
    wanted = [*KEYS, *COLUMNS[task.kind]]
    needed = [name for name in wanted if name not in BOUNDS]
    given = [str(name) for name in frame.columns]
    missing = [name for name in needed if name not in given]
    surplus = [name for name in given if name not in wanted]
    one_bound = len({*BOUNDS} & {*given}) == 1
    if missing or surplus or one_bound or len(set(given)) != len(given):
        raise BadRequest(
            f"{place} has the columns {shown(', '.join(given), 120)}; {task.name} wants {', '.join(needed)}"
            + (f" (and both of {' and '.join(BOUNDS)}, or neither)" if task.kind == "rul" else "")
        )
    return frame


def _on_rows(frame: pd.DataFrame, data: Data, place: Path) -> pd.DataFrame:
    """Return answers on machine and time; every test row must be there, and each once."""
    import pandas as pd

    index = data.asked[1].index
    times = pd.to_datetime(frame["ts"], utc=True, errors="coerce", format=None if _is_time(frame["ts"]) else "ISO8601")
    numbers = pd.to_numeric(frame["machine_id"], errors="coerce").astype(float)
    bad = int((times.isna() | numbers.isna() | (numbers % 1 != 0) | (numbers.abs() > 2**31)).sum())
    if bad:
        raise BadRequest(f"{place}: {bad} rows have no whole machine_id or no ISO 8601 time in ts")
    given = pd.MultiIndex.from_arrays(
        [numbers.astype("int64"), times.dt.tz_localize(None).astype("datetime64[us]")], names=KEYS
    )
    wanted = pd.MultiIndex.from_arrays(
        [index.get_level_values(0).astype("int64"), index.get_level_values(1).astype("datetime64[us]")], names=KEYS
    )
    if given.has_duplicates:
        raise BadRequest(f"{place}: {_row(given[given.duplicated()][0])} stands twice; give each test row once")
    missing, strange = wanted.difference(given), given.difference(wanted)
    if len(missing) or len(strange):
        text = f"{len(missing):,} of {len(wanted):,} test rows are missing" if len(missing) else ""
        text += (" and " if text and len(strange) else "") + (f"{len(strange):,} rows are none" if len(strange) else "")
        first = _row(missing[0] if len(missing) else strange[0])
        raise BadRequest(f"{place}: {text}, the first is {first}; is it a submission for {data.task.name}?")
    answers = frame.drop(columns=KEYS).set_axis(given)
    return answers.reindex(wanted).set_axis(index)


def _is_time(values: pd.Series) -> bool:
    return values.dtype.kind == "M" or hasattr(values.dtype, "tz")


def _row(key: Any) -> str:
    return f"machine {key[0]} at {key[1].isoformat()}"


def _numbers(values: pd.Series, name: str, place: Path) -> pd.Series:
    """Return finite numbers in the range of their column."""
    import pandas as pd

    numbers = pd.to_numeric(values, errors="coerce").astype(float)
    if values.dtype.kind == "b" or (bad := int((~np.isfinite(numbers)).sum())):
        count = len(values) if values.dtype.kind == "b" else bad
        raise BadRequest(f"{place}: {count} values of {name} are no finite numbers; answer every row")
    low, high = {"probability": (0.0, 1.0), "risk": (-np.inf, np.inf)}.get(name, (0.0, np.inf))
    if bad := int(((numbers < low) | (numbers > high)).sum()):
        allowed = "probabilities from 0 to 1" if name == "probability" else f"hours from 0 on, {RUL_CAP_H:g} at most"
        raise BadRequest(f"{place}: {bad} values of {name} are out of range; give {allowed}")
    return numbers


def _check_modes(values: pd.Series, data: Data, place: Path) -> None:
    known = sorted(set(data.y["mode"]))
    strange = values[~values.isin(known)]
    if len(strange):
        raise BadRequest(
            f"{place}: {len(strange)} rows have no mode of the task, the first {shown(strange.iloc[0])}; "
            f"there are: {', '.join(known)}"
        )
