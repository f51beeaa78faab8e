"""Recorded profiles: load, speed or ambient temperature that follow a recording."""

from __future__ import annotations

import csv
import hashlib
import math
import sys
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from twin.catalog.checks import Frozen, Name, as_number, checked
from twin.catalog.parameters import PARAMETERS
from twin.errors import BadRequest, shown

COLUMNS: tuple[str, ...] = ("load", "speed_rpm", "speed_factor", "ambient_c")
"""The inputs that a profile may drive; each has the unit and range of its parameter."""

MAX_POINTS = 5_000_000
MAX_SPAN_S = 200 * 365.25 * 86400.0
Interpolation = Literal["hold", "linear"]
AtEnd = Literal["repeat", "end"]


def _series(value: Any) -> Any:
    """Refuse what is no series of numbers, and say which entry is none."""
    if value is None:
        return None
    if isinstance(value, (str, bytes)) or (not isinstance(value, Sequence) and not hasattr(value, "tolist")):
        raise BadRequest(f"must be a series of numbers, got {shown(value)}")
    entries = value.tolist() if hasattr(value, "tolist") else value
    if not isinstance(entries, Sequence) or len(entries) > MAX_POINTS:
        raise BadRequest(f"must be a series of at most {MAX_POINTS:,} numbers")
    numbers = []
    for index, entry in enumerate(entries):
        number = as_number(entry)
        if number is None or not math.isfinite(number):
            raise BadRequest(f"must be finite numbers, got {shown(entry)} at point {index}")
        numbers.append(number)
    return tuple(numbers)


_Series = Annotated[tuple[float, ...], BeforeValidator(_series)]


class Profile(Frozen):
    """Inputs recorded over time, from the moment a scenario is activated.

    Before the first point its value holds; after the last point the last value holds until
    `period_s`, when the profile repeats or ends.

    Attributes
    ----------
    name : str
        What people call it.
    t_s : tuple of float
        Seconds since the start, from 0 on and strictly increasing.
    load, speed_rpm, speed_factor, ambient_c : tuple of float or None
        The values at those times (fraction of rated torque, rpm, fraction of rated speed, C);
        at least one series is given. `speed_rpm` overrides `speed_factor`.
    interpolation : str
        ``hold``: a value holds until the next point; ``linear``: straight lines between points.
    at_end : str
        ``repeat`` from the start, or ``end``: the profile no longer drives anything.
    period_s : float
        Length of the profile in seconds; when not given, the last time plus the median step.
    """

    name: Name = "profile"
    t_s: _Series
    load: _Series | None = None
    speed_rpm: _Series | None = None
    speed_factor: _Series | None = None
    ambient_c: _Series | None = None
    interpolation: Interpolation = "hold"
    at_end: AtEnd = "repeat"
    period_s: float = Field(default=0.0, ge=0.0, le=2 * MAX_SPAN_S)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_times(self.t_s, self.interpolation)
        if not self.columns:
            raise BadRequest(f"a profile needs at least one of {', '.join(COLUMNS)} beside t_s")
        for column, values in self.columns.items():
            _check_values(column, values, len(self.t_s))
        if self.period_s == 0.0:
            if len(self.t_s) == 1:
                raise BadRequest(
                    "period_s must be given for a profile of one point (a CSV file needs two points or more;"
                    " a constant is an effect of a scenario, such as load=0.5)"
                )
            step = median(later - earlier for earlier, later in pairwise(self.t_s))
            object.__setattr__(self, "period_s", self.t_s[-1] + step)
        if self.period_s < self.t_s[-1] or self.period_s <= 0.0:
            raise BadRequest(f"period_s must not be before the last point ({self.t_s[-1]:g} s), got {self.period_s!r}")
        return self

    @property
    def columns(self) -> dict[str, tuple[float, ...]]:
        """The series there are, by the name of the input that each drives."""
        series = {"load": self.load, "speed_rpm": self.speed_rpm, "speed_factor": self.speed_factor}
        series["ambient_c"] = self.ambient_c
        return {name: values for name, values in series.items() if values is not None}

    @property
    def points(self) -> int:
        """Number of points in time."""
        return len(self.t_s)

    @cached_property
    def sha256(self) -> str:
        """Content hash: equal data with equal treatment, whatever the name."""
        digest = hashlib.sha256(f"profile 1 {self.interpolation} {self.at_end} {self.period_s!r}".encode())
        for name, values in {"t_s": self.t_s, **self.columns}.items():
            data = array("d", values)
            if sys.byteorder == "big":
                data.byteswap()
            digest.update(f" {name} {len(values)} ".encode())
            digest.update(data.tobytes())
        return digest.hexdigest()


def _check_times(t_s: Sequence[float], interpolation: str) -> None:
    if len(t_s) < (2 if interpolation == "linear" else 1):
        raise BadRequest("a profile needs at least two points (one, if its value is held)")
    if t_s[0] < 0.0:
        raise BadRequest(f"t_s must start at 0 or later, got {t_s[0]!r}")
    for index, (earlier, later) in enumerate(pairwise(t_s), start=1):
        if not _follows(later, earlier):
            raise BadRequest(f"t_s must increase from point to point, got {later!r} after {earlier!r} at point {index}")
    if t_s[-1] > MAX_SPAN_S:
        raise BadRequest(f"t_s must not exceed 200 years ({MAX_SPAN_S:g} s), got {t_s[-1]!r}")


def _follows(later: float, earlier: float) -> bool:
    """Return whether a time is later by the microsecond that runs tell apart."""
    return later - earlier >= 1.5e-6 or round(later * 1e6) > round(earlier * 1e6)


def _check_values(column: str, values: Sequence[float], points: int) -> None:
    if len(values) != points:
        raise BadRequest(f"{column} has {len(values)} values for {points} times in t_s")
    rule = PARAMETERS[column]
    if rule.low <= min(values) and max(values) <= rule.high:
        return
    index = next(i for i, value in enumerate(values) if not rule.low <= value <= rule.high)
    raise BadRequest(f"{column} must be between {rule.low:g} and {rule.high:g}, got {values[index]!r} at point {index}")


def read_profile_csv(
    path: str | Path,
    interpolation: str = "hold",
    at_end: str = "repeat",
    *,
    name: str | None = None,
    period_s: float | None = None,
) -> Profile:
    """Read a profile from a CSV file with a header.

    Parameters
    ----------
    path : path
        A file with the column ``t_s`` (seconds) and any of ``load``, ``speed_rpm``,
        ``speed_factor`` and ``ambient_c``; other columns are ignored.
    interpolation : str
        ``hold`` or ``linear``.
    at_end : str
        ``repeat`` or ``end``.
    name : str, optional
        The profile's name; the file's name without its ending when not given.
    period_s : float, optional
        Length of the profile in seconds; the last time plus the median step when not given.

    Returns
    -------
    Profile

    Raises
    ------
    BadRequest
        Names the file, the line and what is wrong there.
    """
    file = _regular_file(path)
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            columns, lines = _read_columns(stream, file)
    except (OSError, ValueError) as error:
        if isinstance(error, BadRequest):
            raise
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error
        if isinstance(error, OSError):
            reason = error.strerror or type(error).__name__
        raise BadRequest(f"cannot read the profile {_named(file)}: {reason}") from None
    _check_lines(columns, lines, file)
    fields: dict[str, Any] = {**columns, "interpolation": interpolation, "at_end": at_end}
    fields["name"] = file.stem if name is None else name
    if period_s is not None:
        fields["period_s"] = period_s
    return checked(Profile, fields, f"profile {_named(file)}")


def _regular_file(path: str | Path) -> Path:
    """Return the path if a file may be read there; a pipe or device has no end to wait for."""
    try:
        file = Path(path)
        found = file.exists()
        regular = file.is_file()
    except (TypeError, ValueError, OSError):
        raise BadRequest(f"cannot read the profile {shown(path)}: not the path of a file") from None
    if not regular:
        raise BadRequest(f"cannot read the profile {_named(file)}: {'not a file' if found else 'no such file'}")
    return file


def _named(file: Path) -> str:
    return shown(str(file), 200)


def _read_columns(stream: Iterator[str], file: Path) -> tuple[dict[str, array[float]], array[int]]:
    """Return the useful columns and the line number of each point."""
    rows = csv.reader(stream, strict=True)
    try:
        header = [cell.strip() for cell in next(rows, [])]
        positions = _useful(header, file)
        columns = {column: array("d") for column in positions}
        lines = array("q")
        for row in rows:
            if not row:
                continue
            if len(row) != len(header):
                raise BadRequest(f"{_at(file, rows.line_num)}: {len(row)} fields where the header has {len(header)}")
            for column, position in positions.items():
                columns[column].append(_cell(row[position], column, file, rows.line_num))
            lines.append(rows.line_num)
            if len(lines) > MAX_POINTS:
                raise BadRequest(f"profile {_named(file)} has more than {MAX_POINTS:,} points")
    except csv.Error as error:
        raise BadRequest(f"{_at(file, rows.line_num)}: not a CSV file ({error})") from None
    if not lines:
        raise BadRequest(f"profile {_named(file)} has a header but no points")
    return columns, lines


def _useful(header: list[str], file: Path) -> dict[str, int]:
    """Return the positions of t_s and of the inputs in the header."""
    if not any(header):
        raise BadRequest(f"profile {_named(file)} is empty: it needs a header with t_s and an input")
    wanted = ("t_s", *COLUMNS)
    for column in wanted:
        if header.count(column) > 1:
            raise BadRequest(f"{_at(file, 1)}: the column {column} stands there twice")
    positions = {column: header.index(column) for column in wanted if column in header}
    found = shown(", ".join(header))
    if "t_s" not in positions:
        raise BadRequest(f"{_at(file, 1)}: the column t_s (seconds) is missing; found {found} (separate by commas)")
    if len(positions) == 1:
        raise BadRequest(f"{_at(file, 1)}: none of the columns {', '.join(COLUMNS)} is there; found {found}")
    return positions


def _cell(text: str, column: str, file: Path, line: int) -> float:
    try:
        # float() also takes digit groups such as 1_000, which no recording means
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BadRequest(f"{_at(file, line)}: {column} must be a finite number, got {shown(text)}")
    return value


def _check_lines(columns: dict[str, array[float]], lines: array[int], file: Path) -> None:
    """Check order and ranges here, where the line of the file is still known."""
    times = columns["t_s"]
    for index in range(1, len(times)):
        if not _follows(times[index], times[index - 1]):
            raise BadRequest(
                f"{_at(file, lines[index])}: t_s must increase from line to line, got {times[index]!r} "
                f"after {times[index - 1]!r}"
            )
    for column, values in columns.items():
        low, high = (0.0, MAX_SPAN_S) if column == "t_s" else (PARAMETERS[column].low, PARAMETERS[column].high)
        if low <= min(values) and max(values) <= high:
            continue
        index = next(i for i, value in enumerate(values) if not low <= value <= high)
        raise BadRequest(
            f"{_at(file, lines[index])}: {column} must be between {low:g} and {high:g}, got {values[index]!r}"
        )


def _at(file: Path, line: int) -> str:
    return f"profile {_named(file)}, line {line}"
