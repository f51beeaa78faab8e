"""Names, numbers and the one-line refusals."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.catalog.checks import check_identifier, check_name, check_number, check_text, checked
from twin.catalog.models import FailureMode, Technician
from twin.errors import BadRequest, UnknownName

HOSTILE_NAMES = [
    "",
    " ",
    " a",
    "a ",
    "a'b",
    'a"b',
    "a;b",
    "a`b",
    "a\\b",
    "a\nb",
    "a\tb",
    "a\x00b",
    "a\u202eb",  # turns the text that follows round
    "a\u200bb",  # has no width
    "\ud800",
    "x" * 81,
    "x" * 10_000,
    "'); DROP TABLE runs; --",
    None,
    1,
    True,
    b"name",
    ["a"],
]


def one_line(error: BaseException) -> str:
    message = str(error)
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_hostile_names_are_refused(name: object) -> None:
    for check in (check_name, check_identifier):
        with pytest.raises(BadRequest) as caught:
            check(name, "scenario name")
        assert one_line(caught.value).startswith("scenario name must be 1 to 80 ")


@pytest.mark.parametrize("name", ["M-001", "Night shift", "Presse 3 (Süd)", "夜勤", "50 % load", "a", "x" * 80])
def test_names_of_people_pass(name: str) -> None:
    assert check_name(name) == name


def test_equal_looking_names_become_equal() -> None:
    assert check_name("Su\u0308d") == check_name("S\u00fcd")


@pytest.mark.parametrize("name", ["Belt", "belt-wear", "belt wear", "_belt", "belt_", "belt__wear", "1belt", "bélt"])
def test_identifiers_are_snake_case(name: str) -> None:
    with pytest.raises(BadRequest):
        check_identifier(name)
    assert check_identifier("belt_wear_2") == "belt_wear_2"


@given(st.text(max_size=100))
def test_a_name_that_passes_is_harmless(name: str) -> None:
    try:
        clean = check_name(name)
    except BadRequest as error:
        one_line(error)
    else:
        assert clean.isprintable()
        assert 0 < len(clean) <= 80
        assert not set(clean) & set("'\"`;\\\n\r\t\x00")


def test_texts_may_have_lines_but_no_control_characters() -> None:
    assert check_text("It's a text;\nof two lines") == "It's a text;\nof two lines"
    for text in ("\x00", "\x1b[2J", "x" * 2001, None, 3):
        with pytest.raises(BadRequest):
            check_text(text)


@pytest.mark.parametrize("number", [1, 1.0, np.float64(1), np.float32(1), np.int16(1), Fraction(1)])
def test_numbers_of_all_libraries_are_numbers(number: object) -> None:
    value = check_number(number, "load", 0.0, 1.5)
    assert type(value) is float
    assert value == 1.0


@pytest.mark.parametrize(
    "number",
    [math.nan, math.inf, -math.inf, -0.001, 1.501, 10**400, -(10**400), "1", True, np.bool_(True), None, 1j, []],
)
def test_what_is_no_number_in_range_is_refused(number: object) -> None:
    with pytest.raises(BadRequest) as caught:
        check_number(number, "load", 0.0, 1.5)
    assert one_line(caught.value).startswith("load must be between 0 and 1.5, got ")


def test_a_number_without_a_range_is_finite() -> None:
    with pytest.raises(BadRequest, match="cost must be a finite number, got inf"):
        check_number(math.inf, "cost")


def refusal(model: type, data: object, what: str = "row") -> str:
    with pytest.raises(BadRequest) as caught:
        checked(model, data, what)
    return one_line(caught.value)


def test_refusals_name_the_field_and_what_was_given() -> None:
    good = {"technician_id": "T-01", "name": "Ada"}
    assert checked(Technician, good, "technician") == Technician(**good)
    assert refusal(Technician, {"name": "Ada"}) == "row: technician_id is missing"
    assert refusal(Technician, {**good, "name": "A;B"}).startswith("row: name must be 1 to 80 printable")
    assert refusal(Technician, {**good, "name": 5}) == "row: name should be a valid string, got 5"
    assert refusal(Technician, {**good, "hourly_cost": -1.0}).endswith("greater than or equal to 0, got -1.0")
    assert refusal(Technician, {**good, "hourly_cost": math.nan}).endswith("finite number, got nan")
    assert refusal(Technician, {**good, "hourly_cost": "12"}) == "row: hourly_cost must be a number, got '12'"
    assert refusal(Technician, {**good, "skills": ["Electrical"]}).startswith("row: skills[0] must be 1 to 80 lower")
    assert "(and 1 more)" in refusal(Technician, {"hourly_cost": 1.0})
    assert refusal(Technician, [1]).startswith("row: ")


def test_unknown_fields_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"row: unknown field 'skils'; did you mean 'skills'\?"):
        checked(Technician, {"technician_id": "T-01", "name": "Ada", "skils": []}, "row")
    effect = {"parameter": "friction", "gain": 1.0, "gian": 2.0}
    fields = {"name": "wear", "category": "mechanical", "effects": [effect]}
    assert refusal(FailureMode, fields) == "row: unknown field effects[0].gian"


def test_hostile_field_names_stay_short_and_on_one_line() -> None:
    good = {"technician_id": "T-01", "name": "Ada"}
    assert "unknown field" in refusal(Technician, {**good, "a\nb" * 5000: 1})
    mode = {
        "name": "wear",
        "category": "mechanical",
        "effects": [{"parameter": "friction", "gain": 1.0, "a\nb" * 5000: 1}],
    }
    assert "unknown field" in refusal(FailureMode, mode)
