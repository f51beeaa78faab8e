"""Times and durations: what is read, exactly, and what is refused in one line."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.errors import BadRequest
from twin.times import EARLIEST_US, LATEST_US, LONGEST_US, format_time, parse_duration, parse_time, to_datetime

JANUARY_5 = 1_767_571_200_000_000
EIGHT = JANUARY_5 + 8 * 3600 * 1_000_000


def refused(function, *arguments, **options) -> str:
    with pytest.raises(BadRequest) as caught:
        function(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 300
    return message


@pytest.mark.parametrize(
    ("given_time", "expected"),
    [
        ("1970-01-01", EARLIEST_US),
        ("2200-01-01", LATEST_US),
        ("2026-01-05", JANUARY_5),
        ("2026-01-05 08:00", EIGHT),
        ("2026-01-05T08:00:00", EIGHT),
        ("2026-01-05T08:00:00Z", EIGHT),
        ("2026-01-05 08:00:00+00:00", EIGHT),
        ("2026-01-05 08:00:00.000001", EIGHT + 1),
        ("2026-01-05 08:00:00.100000000", EIGHT + 100_000),
        (date(2026, 1, 5), JANUARY_5),
        (datetime(2026, 1, 5, 8), EIGHT),
        (datetime(2026, 1, 5, 8, tzinfo=UTC), EIGHT),
        (datetime(2026, 1, 5, 8, microsecond=1), EIGHT + 1),
        (pd.Timestamp("2026-01-05 08:00"), EIGHT),
        (pd.Timestamp("2026-01-05 08:00", tz="UTC"), EIGHT),
        (np.datetime64("2026-01-05T08:00"), EIGHT),
        (np.datetime64("2026-01-05T08:00:00.000000000"), EIGHT),
    ],
)
def test_times_are_read_exactly(given_time: object, expected: int) -> None:
    assert parse_time(given_time) == expected


@pytest.mark.parametrize(
    "offset_time",
    [
        "2026-01-05 08:00+01:00",
        "2026-01-05T08:00:00-0530",
        datetime(2026, 1, 5, tzinfo=timezone(timedelta(hours=1))),
        pd.Timestamp("2026-07-05", tz=ZoneInfo("Europe/Berlin")),
    ],
)
def test_other_offsets_than_utc_are_refused(offset_time: object) -> None:
    assert "must be UTC" in refused(parse_time, offset_time, "start")


@pytest.mark.parametrize("absurd", ["1969-12-31", "2200-01-01 00:00:00.000001", "9999-12-31", datetime.max, date.min])
def test_times_beyond_the_calendar_of_plants_are_refused(absurd: object) -> None:
    assert "between 1970-01-01 and 2200-01-01" in refused(parse_time, absurd)


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        " ",
        "now",
        "2026",
        "2026-1-5",
        "2026-02-30",
        "2026-01-05 25:00",
        "2026-01-05 08:00:60",
        "05.01.2026",
        "2026-01-05; drop table runs",
        "2026-01-05\n2026-01-06",
        "٢٠٢٦-٠١-٠٥",
        "x" * 10_000,
        "NaT",
        "nan",
        "inf",
        None,
        True,
        0,
        1.5,
        float("nan"),
        b"2026-01-05",
        [],
        pd.NaT,
        np.datetime64("NaT"),
        timedelta(1),
        np.datetime64(10**17, "Y"),
        np.datetime64("2026-01-05T00:00:00.000000001"),
        "2026-01-05 00:00:00.0000001",
        pd.Timestamp("2026-01-05 00:00:00.000000001"),
    ],
)
def test_what_is_no_time_is_refused(nonsense: object) -> None:
    assert refused(parse_time, nonsense, "start").startswith("start ")


@given(st.integers(EARLIEST_US, LATEST_US))
def test_every_time_survives_text_and_objects(us: int) -> None:
    assert parse_time(format_time(us)) == us
    assert parse_time(to_datetime(us)) == us
    assert parse_time(np.datetime64(us, "us")) == us
    assert parse_time(pd.Timestamp(us, unit="us")) == us


def test_times_are_written_with_a_fraction_only_where_there_is_one() -> None:
    assert format_time(EIGHT) == "2026-01-05T08:00:00Z"
    assert format_time(EIGHT + 100_000) == "2026-01-05T08:00:00.1Z"
    assert to_datetime(EIGHT) == datetime(2026, 1, 5, 8)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        us = parse_time(text)
    except BadRequest:
        refused(parse_time, text)
    else:
        assert EARLIEST_US <= us <= LATEST_US


@pytest.mark.parametrize(
    ("given_duration", "expected"),
    [
        ("90min", 5_400_000_000),
        ("1s", 1_000_000),
        ("0.1s", 100_000),
        ("1ms", 1000),
        ("7d", 604_800_000_000),
        ("15 min", 900_000_000),
        ("1h30m", 5_400_000_000),
        ("1h 30 min", 5_400_000_000),
        ("2 weeks", 1_209_600_000_000),
        ("0.000001s", 1),
        (timedelta(minutes=90), 5_400_000_000),
        (timedelta(microseconds=1), 1),
        (pd.Timedelta("0.1s"), 100_000),
        (np.timedelta64(90, "m"), 5_400_000_000),
    ],
)
def test_durations_are_read_exactly(given_duration: object, expected: int) -> None:
    assert parse_duration(given_duration) == expected


@pytest.mark.parametrize("bare", [5, 5.0, "5", "0.1", np.int64(5), np.timedelta64(5)])
def test_a_bare_number_is_refused_with_the_hint_to_give_a_unit(bare: object) -> None:
    message = refused(parse_duration, bare, "interval")
    assert message.startswith("interval must be a number with its unit, such as '90min'")


@pytest.mark.parametrize("zero", ["0s", "0.0h", timedelta(0), np.timedelta64(0, "s")])
def test_zero_is_refused_unless_allowed(zero: object) -> None:
    assert "more than zero" in refused(parse_duration, zero, "interval")
    assert parse_duration(zero, allow_zero=True) == 0


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "h",
        "-1h",
        "-0.5s",
        "1 fortnight",
        "1M",
        "1e3s",
        "infs",
        "nan",
        "1h1h",
        "1..5s",
        "0.1us",
        "1s; drop",
        "1s\x00",
        "9" * 5000 + "s",
        "1h" * 5000,
        "73051d",
        "1000000000000000w",
        None,
        True,
        float("inf"),
        pd.NaT,
        b"1s",
        [],
        timedelta(-1),
        timedelta.max,
        np.timedelta64("NaT"),
        np.timedelta64(1, "Y"),
        np.timedelta64(2, "M"),
        np.timedelta64(10**18, "W"),
        np.timedelta64(1, "ns"),
        pd.Timedelta(1, "ns"),
    ],
)
def test_what_is_no_duration_is_refused(nonsense: object) -> None:
    assert refused(parse_duration, nonsense, "interval").startswith("interval")
    refused(parse_duration, nonsense, allow_zero=True)


@given(st.integers(1, LONGEST_US))
def test_every_duration_survives_text_and_objects(us: int) -> None:
    assert parse_duration(f"{us}us") == us
    assert parse_duration(f"{us // 1_000_000}.{us % 1_000_000:06d}s") == us
    assert parse_duration(timedelta(microseconds=us)) == us
    assert parse_duration(np.timedelta64(us, "us")) == us


@given(st.text(alphabet="0123456789. hmsdwun-+", max_size=20))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        us = parse_duration(text)
    except BadRequest:
        refused(parse_duration, text)
    else:
        assert 0 < us <= LONGEST_US
