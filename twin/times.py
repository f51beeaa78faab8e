"""Times and durations: what people write, and whole microseconds of UTC inside.

A time is an int of microseconds since 1970-01-01 UTC; a duration is an int of microseconds.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

from twin.errors import BadRequest, shown

SECOND_US = 1_000_000
EARLIEST_US = 0
LATEST_US = 7_258_118_400 * SECOND_US
"""2200-01-01T00:00:00Z."""
LONGEST_US = 73_050 * 86_400 * SECOND_US
"""200 years."""

_EPOCH = datetime(1970, 1, 1)
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)
_UNITS_US: dict[str, int] = {
    **dict.fromkeys(("us", "microsecond", "microseconds"), 1),
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1000),
    **dict.fromkeys(("s", "sec", "second", "seconds"), SECOND_US),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60 * SECOND_US),
    **dict.fromkeys(("h", "hour", "hours"), 3600 * SECOND_US),
    **dict.fromkeys(("d", "day", "days"), 86_400 * SECOND_US),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86_400 * SECOND_US),
}
_DURATION = re.compile(r"(?:[0-9]{1,18}(?:\.[0-9]{1,18})?\s*[a-z]+\s*)+", re.IGNORECASE)
_PART = re.compile(r"([0-9.]+)\s*([a-z]+)", re.IGNORECASE)


def parse_time(value: Any, what: str = "time") -> int:
    """Return a moment as microseconds since 1970-01-01 UTC.

    Parameters
    ----------
    value : str, datetime.datetime, datetime.date, pandas.Timestamp or numpy.datetime64
        Text is ISO 8601: ``"2026-01-05"`` or ``"2026-01-05 08:00:00Z"``. What has no time zone is
        UTC; every other offset is refused. From 1970 to 2200, in whole microseconds.
    what : str
        What the time is, to begin a refusal with.

    Raises
    ------
    BadRequest
        One line that says what is wrong and what is allowed.
    """
    if isinstance(value, str):
        us = _time_of_text(value, what)
    elif value is None or isinstance(value, (date, datetime)) or _is_numpy(value, "datetime64"):
        us = _time_of_object(value, what)
    else:
        raise _no_time(value, what)
    if not EARLIEST_US <= us <= LATEST_US:
        raise BadRequest(f"{what} must lie between 1970-01-01 and 2200-01-01, got {shown(value)}")
    return us


def parse_duration(value: Any, what: str = "duration", *, allow_zero: bool = False) -> int:
    """Return a duration in microseconds.

    Parameters
    ----------
    value : str, datetime.timedelta, pandas.Timedelta or numpy.timedelta64
        Text is numbers with units, such as ``"90min"``, ``"0.1s"``, ``"1h30m"`` or ``"7d"``; units are
        us, ms, s, min (or m), h, d and w. A bare number is refused: its unit would be a guess.
    what : str
        What the duration is, to begin a refusal with.
    allow_zero : bool
        Whether no time at all will do.

    Raises
    ------
    BadRequest
        Also for what is not above zero, not whole microseconds, or above 200 years.
    """
    if isinstance(value, str):
        us = _duration_of_text(value, what)
    elif isinstance(value, timedelta) or value is None or _is_numpy(value, "timedelta64"):
        us = _duration_of_object(value, what)
    else:
        raise _no_duration(value, what)
    if us < 0 or (us == 0 and not allow_zero):
        least = "zero or more" if allow_zero else "more than zero"
        raise BadRequest(f"{what} must be {least}, such as '90min', got {shown(value)}")
    if us > LONGEST_US:
        raise BadRequest(f"{what} must not exceed 200 years, got {shown(value)}")
    return us


def format_time(us: int) -> str:
    """Return a time as text: ``2026-01-05T08:00:00Z``, with a fraction where there is one."""
    moment = to_datetime(us)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def to_datetime(us: int) -> datetime:
    """Return a time as a datetime of UTC without a time zone, as the tables hold it."""
    return _EPOCH + timedelta(microseconds=int(us))


def _time_of_text(text: str, what: str) -> int:
    match = _TIME.fullmatch(text.strip()) if len(text) <= 60 else None
    if match is None:
        raise _no_time(text, what)
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    if zone and zone.upper() != "Z" and zone.replace(":", "") not in ("+0000", "-0000"):
        raise _not_utc(text, what)
    digits = (fraction or "").ljust(6, "0")
    if digits[6:].strip("0"):
        raise BadRequest(f"{what} must be in whole microseconds, got {shown(text)}")
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError as error:
        raise BadRequest(f"{what} {shown(text)} is not in the calendar: {str(error).split(',')[0]}") from None
    return _micros(moment - _EPOCH) + int(digits[:6])


def _time_of_object(value: Any, what: str) -> int:
    if value is None or value != value:  # NaT is not equal to itself
        raise _no_time(value, what)
    if _is_numpy(value, "datetime64"):
        return _micros_of_numpy(value, what)
    if not isinstance(value, datetime):
        return _micros(datetime(value.year, value.month, value.day) - _EPOCH)
    offset = value.utcoffset()
    if offset:
        raise _not_utc(value, what)
    _no_nanoseconds(value, what)
    naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
    return _micros(naive - _EPOCH)


def _duration_of_text(text: str, what: str) -> int:
    stripped = text.strip()
    sign = -1 if stripped.startswith("-") else 1
    body = stripped[1:].lstrip() if stripped[:1] in ("-", "+") else stripped
    if len(text) > 100 or not _DURATION.fullmatch(body):
        raise _no_duration(text, what)
    total, seen = Fraction(0), set()
    for number, name in _PART.findall(body):
        # M is a month elsewhere
        scale = None if name == "M" else _UNITS_US.get(name.lower())
        if scale is None:
            raise BadRequest(f"{what}: unknown unit in {shown(text)}; units are us, ms, s, min, h, d and w")
        if scale in seen:
            raise BadRequest(f"{what}: a unit stands twice in {shown(text)}")
        seen.add(scale)
        total += Fraction(number) * scale
    if total.denominator != 1:
        raise BadRequest(f"{what} must be in whole microseconds, got {shown(text)}")
    return sign * int(total)


def _duration_of_object(value: Any, what: str) -> int:
    if value is None or value != value:
        raise _no_duration(value, what)
    if _is_numpy(value, "timedelta64"):
        # a span without a unit is a bare number, and months and years have no fixed length
        if str(value.dtype) in ("timedelta64", "timedelta64[Y]", "timedelta64[M]"):
            raise _no_duration(value, what)
        return _micros_of_numpy(value, what)
    _no_nanoseconds(value, what)
    return _micros(value)


def _micros(span: timedelta) -> int:
    """Return a span in whole microseconds, without the rounding of `total_seconds`."""
    return (int(span.days) * 86_400 + int(span.seconds)) * SECOND_US + int(span.microseconds)


def _is_numpy(value: object, kind: str) -> bool:
    # by name, so that numpy need not be imported
    return type(value).__module__ == "numpy" and type(value).__name__ == kind


def _micros_of_numpy(value: Any, what: str) -> int:
    kind = type(value).__name__
    try:
        micros = value.astype(f"{kind}[us]")
        exact = bool(micros.astype(value.dtype) == value)
    except (OverflowError, ValueError):
        exact = False
    if not exact:
        raise BadRequest(f"{what} must be in whole microseconds and in range, got {shown(value)}")
    return int(micros.astype("int64"))


def _no_nanoseconds(value: Any, what: str) -> None:
    if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
        raise BadRequest(f"{what} must be in whole microseconds, got {shown(value)}")


def _no_time(value: object, what: str) -> BadRequest:
    return BadRequest(
        f"{what} must be a UTC date or time, such as '2026-01-05' or '2026-01-05 08:00', got {shown(value)}"
    )


def _not_utc(value: object, what: str) -> BadRequest:
    return BadRequest(f"{what} must be UTC (no offset, Z or +00:00), got {shown(value)}; convert it first")


def _no_duration(value: object, what: str) -> BadRequest:
    return BadRequest(f"{what} must be a number with its unit, such as '90min', '1s' or '7d', got {shown(value)}")
