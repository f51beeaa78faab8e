"""The checks that every value of a user passes, and their words.

`checked` is the one way from what a person gave to a model of the catalog: whatever is wrong
with it becomes a one-line `twin.errors.BadRequest`.
"""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from twin.errors import BadRequest, UnknownName, shown, unknown

NAME_LENGTH = 80
TEXT_LENGTH = 2000
_FORBIDDEN = "'\"`;\\"
_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_Model = TypeVar("_Model", bound=BaseModel)


class Frozen(BaseModel):
    """A value that is checked once and never changes; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def check_name(value: object, what: str = "name") -> str:
    """Return a name that people chose, or refuse it.

    Parameters
    ----------
    value : object
        1 to 80 printable characters without quotes, semicolons or backslashes, and without
        blanks at either end.
    what : str
        What the name is of, for the message.

    Returns
    -------
    str
        The name in Unicode's composed form, so that equal-looking names are equal.
    """
    if isinstance(value, str) and 0 < len(value) <= NAME_LENGTH:
        clean = unicodedata.normalize("NFC", value)
        if clean.isprintable() and clean == clean.strip() and not set(clean) & set(_FORBIDDEN):
            return clean
    raise BadRequest(
        f"{what} must be 1 to {NAME_LENGTH} printable characters without quotes, semicolons, backslashes "
        f"or blanks at its ends, got {shown(value)}"
    )


def check_identifier(value: object, what: str = "name") -> str:
    """Return a name that code refers to (snake_case, 1 to 80 characters), or refuse it."""
    if isinstance(value, str) and len(value) <= NAME_LENGTH and _IDENTIFIER.fullmatch(value):
        return value
    raise BadRequest(
        f"{what} must be 1 to {NAME_LENGTH} lower-case letters, digits and single underscores, starting with a "
        f"letter (such as belt_wear), got {shown(value)}"
    )


def check_text(value: object, what: str = "text") -> str:
    """Return a free text of up to 2,000 characters (line breaks allowed), or refuse it."""
    if isinstance(value, str) and len(value) <= TEXT_LENGTH and all(c.isprintable() or c == "\n" for c in value):
        return value
    raise BadRequest(f"{what} must be a text of up to {TEXT_LENGTH} printable characters, got {shown(value)}")


def check_number(value: object, what: str = "value", low: float = -math.inf, high: float = math.inf) -> float:
    """Return a finite number from `low` to `high` as a float, or refuse it.

    Text, truth values and None are not numbers here, so that a mistaken argument is not guessed at.
    """
    number = as_number(value)
    if number is None or not low <= number <= high or math.isinf(number):
        if math.isinf(low) and math.isinf(high):
            raise BadRequest(f"{what} must be a finite number, got {shown(value)}")
        raise BadRequest(f"{what} must be between {low:g} and {high:g}, got {_spelt(value)}")
    return number


def as_number(value: object) -> float | None:
    """Return a real number as a float, or None for what is none (text, truth values, NULL)."""
    if type(value) is float:
        return value
    if isinstance(value, bool) or type(value).__name__ == "bool" or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return -math.inf if str(value).startswith("-") else math.inf


def _spelt(value: object) -> str:
    """Return a number without the wrapping of its type, anything else as `shown` does."""
    return shown(value) if as_number(value) is None or isinstance(value, int) else f"{as_number(value)!r}"


def _integer(value: Any) -> int:
    if isinstance(value, bool) or type(value).__name__ == "bool" or not isinstance(value, numbers.Integral):
        raise BadRequest(f"must be a whole number, got {shown(value)}")
    return int(value)


def _number(value: Any) -> float:
    number = as_number(value)
    if number is None:
        raise BadRequest(f"must be a number, got {shown(value)}")
    return number


Name = Annotated[str, AfterValidator(check_name)]
Identifier = Annotated[str, AfterValidator(check_identifier)]
Text = Annotated[str, AfterValidator(check_text)]
Integer = Annotated[int, BeforeValidator(_integer)]
Number = Annotated[float, BeforeValidator(_number)]
AnyNumber = Annotated[float, Field(allow_inf_nan=True), BeforeValidator(_number)]
"""A number whose owner refuses NaN and infinity in its own words."""


def checked(model: type[_Model], data: Mapping[str, Any] | _Model, what: str) -> _Model:
    """Return the data as a model, or refuse it with one line.

    Parameters
    ----------
    model : type
        The pydantic model to make.
    data : mapping or model
        Its fields; an instance of the model is returned as it is.
    what : str
        What is being made, to begin the message with, for example ``"scenario 'Night shift'"``.

    Raises
    ------
    BadRequest
        Says what the first fault is and what would be allowed; `UnknownName` if it is a name.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise refusal(error, model, what) from None


def entitle(row: BaseModel, name: str, title: str) -> None:
    """Give a row without a title one made of its name."""
    if not title:
        object.__setattr__(row, "title", name.replace("_", " ").capitalize())


def refusal(error: ValidationError, model: type[BaseModel], what: str) -> BadRequest:
    """Return pydantic's findings as the one-line error to raise."""
    faults = error.errors(include_url=False)
    fault = faults[0]
    cause = fault.get("ctx", {}).get("error")
    place = _place(fault["loc"])
    if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1:
        cause = unknown("field", fault["loc"][0], model.model_fields)
        message = str(cause)
    elif fault["type"] == "missing":
        message = f"{place} is missing"
    elif fault["type"] == "extra_forbidden":
        message = f"unknown field {place}"
    elif isinstance(cause, BadRequest):
        message = _located(place, str(cause), fault["type"])
    else:
        reason = fault["msg"].removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
        message = f"{place} {reason[:1].lower()}{reason[1:]}, got {_spelt(fault['input'])}" if place else reason
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    kind = UnknownName if isinstance(cause, UnknownName) else BadRequest
    return kind(f"{what}: {message}{more}".replace("\n", " "))


def _located(place: str, message: str, kind: str) -> str:
    """Put the field before a message that does not name its subject itself."""
    if not place or kind != "value_error":
        return message
    if message.startswith(("must ", "name must", "text must", "value must")):
        return f"{place} {message[message.index('must') :]}"
    return message


def _place(loc: tuple[int | str, ...]) -> str:
    """Return pydantic's location as people write it: ``effects[0].value``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{_part(part)}" if text else _part(part)
    return text if len(text) <= NAME_LENGTH else f"{text[:NAME_LENGTH]}..."


def _part(part: str) -> str:
    return part if part.isidentifier() else shown(part)
