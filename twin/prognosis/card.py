"""What a fitted model came from: task, features, data, versions. Goes with the model wherever it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from twin.errors import BadRequest

Count = Annotated[int, Field(ge=0)]
LIBRARIES = ("scikit-learn", "lifelines", "skops", "numpy", "pandas")


class Range(BaseModel):
    """What one feature was in the training set; all None where it was missing throughout."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    low: float | None
    high: float | None
    median: float | None
    gaps: bool


class Card(BaseModel):
    """The record of a training.

    `span` is the first and last time of the rows (ISO 8601), `positives` the rows that fail (for `rul` and
    `survival` those whose failure was seen), `horizon_h` hours ahead, `data` what the caller says of the source.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    task: Literal["failure", "diagnosis", "rul", "survival"]
    model: str
    features: tuple[str, ...] = Field(min_length=1)
    spec: Any = None
    horizon_h: float | None = Field(default=None, gt=0)
    classes: tuple[bool | str, ...] = ()
    rows: Count
    machines: Count
    span: tuple[str, str]
    positives: Count
    ranges: dict[str, Range]
    versions: dict[str, str]
    created_at: str
    data: dict[str, Any] = {}


def ranges_of(features: pd.DataFrame) -> dict[str, Range]:
    """Return extremes, median and whether there were gaps, by feature."""
    low, high, middle = features.min(), features.max(), features.median()
    gaps = features.isna().any()
    found = {}
    for name in features.columns:
        empty = pd.isna(low[name])
        values = (None,) * 3 if empty else (float(low[name]), float(high[name]), float(middle[name]))
        found[str(name)] = Range(low=values[0], high=values[1], median=values[2], gaps=bool(gaps[name]))
    return found


def versions() -> dict[str, str]:
    """Return the versions of the libraries that a model depends on."""
    return {name: version(name) for name in LIBRARIES}


def plain(value: Any, name: str) -> Any:
    """Return a value as JSON knows it; objects with `model_dump` or `as_dict` are asked for theirs.

    Raises
    ------
    BadRequest
        Where JSON has no form for it.
    """
    for method in ("model_dump", "as_dict", "to_dict"):
        if not isinstance(value, Mapping) and hasattr(value, method):
            value = getattr(value, method)()
            break
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as fault:
        raise BadRequest(f"{name} does not go into JSON ({fault}); give texts, numbers, lists and dicts.") from fault
