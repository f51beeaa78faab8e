"""What an experiment is: a template, and the parameters of its runs, read from TOML and checked."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from twin.catalog.checks import refusal
from twin.errors import BadRequest, shown

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = Path(__file__).resolve().parent / "experiments"
OURS = ("db", "out")
"""Parameters of a template that each run gets from the sweep: its plant, and the folder of what it returns."""

_Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)


class Range(_Frozen):
    """Where samples of a number come from.

    Attributes
    ----------
    low, high : float
        Bounds; those of whole numbers are included.
    scale : str
        ``linear`` or ``log``: what is spread evenly.
    integer : bool
        Whole numbers only.
    """

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    integer: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high <= self.low:
            raise ValueError(f"high must be above low, got {self.low:g} to {self.high:g}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a range on a log scale must begin above 0, got {self.low:g}")
        if self.integer and (self.low % 1 or self.high % 1):
            raise ValueError(f"the bounds of whole numbers must be whole, got {self.low:g} to {self.high:g}")
        return self


class Sample(_Frozen):
    """Random sets of parameters.

    Attributes
    ----------
    method : str
        ``random``: independent; ``latin_hypercube``: each parameter's values spread evenly.
    count, seed : int
        How many, and which ones.
    ranges : mapping
        Parameter to a range, or to a list of values.
    """

    method: Literal["random", "latin_hypercube"] = "latin_hypercube"
    count: Annotated[int, Field(ge=1)]
    seed: Annotated[int, Field(ge=0)] = 0
    ranges: Annotated[dict[str, Range | list[Any]], Field(min_length=1)]

    @field_validator("ranges", mode="before")
    @classmethod
    def _as_json(cls, value: Any) -> Any:
        made = as_json(value, "ranges")
        empty = [name for name, choice in made.items() if choice == []] if isinstance(made, dict) else []
        if empty:
            raise ValueError(f"{empty[0]}: an empty list leaves nothing to choose from")
        return made


class Seeds(_Frozen):
    """Consecutive seeds."""

    first: Annotated[int, Field(ge=0)] = 1
    count: Annotated[int, Field(ge=1)]


class Experiment(_Frozen):
    """One template, and all the sets of parameters that it is carried out with.

    The runs are all combinations of `grid`, `runs`, `sample` and `seeds`, each with the `fixed`
    parameters.

    Attributes
    ----------
    name, description : str
        What people call it, and what it is for.
    notebook, function : str or None
        The template, one of the two: a notebook's path, or ``module:name``.
    fixed, grid, runs, sample, seeds
        The parameters: of all runs; lists to combine; sets as they are; random sets; seeds.
    returns : tuple of str
        Results that every run must give; a dot leads into a nested one.
    timeout_s : float
        After how long a run is given up.
    runs_per_kernel : int
        How many runs a notebook's kernel does one after another. Variables go in between, imported
        modules stay.
    telemetry : bool
        Whether the rows of the runs' simulations are merged into the plant.
    expect_run_s, expect_run_mb : float
        What a run is thought to take before one was measured, for ``--dry-run``.
    """

    name: _Word
    description: str = ""
    notebook: str | None = None
    function: str | None = None
    fixed: dict[str, Any] = {}
    grid: dict[str, list[Any]] = {}
    runs: list[dict[str, Any]] | None = None
    sample: Sample | None = None
    seeds: list[Annotated[int, Field(ge=0, lt=2**63)]] | Seeds | None = None
    returns: tuple[str, ...] = ()
    timeout_s: Annotated[float, Field(gt=0, le=30 * 86400)] = 600.0
    runs_per_kernel: Annotated[int, Field(ge=1, le=10_000)] = 1
    telemetry: bool = False
    expect_run_s: Annotated[float, Field(gt=0)] = 5.0
    expect_run_mb: Annotated[float, Field(ge=0)] = 0.5

    @field_validator("fixed", "grid", "runs", mode="before")
    @classmethod
    def _as_json(cls, value: Any) -> Any:
        return as_json(value, "parameters")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.notebook is None) == (self.function is None):
            raise ValueError("give either a notebook or a function")
        empty = [name for name, values in self.grid.items() if not values]
        if empty or self.runs == [] or self.seeds == []:
            raise ValueError(f"{', '.join(empty) or 'runs or seeds'}: an empty list leaves no run; leave it out")
        seen: set[str] = set(OURS)
        for place, names in self._places():
            if taken := seen & names:
                mine = sorted(taken & set(OURS))
                why = "is set by the sweep itself" if mine else "is given twice"
                raise ValueError(f"{place}: {(mine or sorted(taken))[0]} {why}")
            seen |= names
        return self

    def _places(self) -> Iterator[tuple[str, set[str]]]:
        yield "fixed", set(self.fixed)
        yield "grid", set(self.grid)
        yield "runs", {name for run in self.runs or () for name in run}
        yield "sample", set(self.sample.ranges if self.sample else ())
        yield "seeds", {"seed"} if self.seeds is not None else set()

    @property
    def template(self) -> str:
        """The notebook or function, as it was named."""
        return self.notebook or self.function or ""

    @property
    def kind(self) -> str:
        """``notebook`` or ``function``."""
        return "notebook" if self.notebook is not None else "function"

    @classmethod
    def of(cls, source: Experiment | Mapping[str, Any] | str | Path) -> Experiment:
        """Return an experiment given as such, as a mapping, as a TOML file, or as the name of one of ours.

        Raises
        ------
        BadRequest
            If there is none, or it says something that is not allowed; one line.
        """
        if isinstance(source, Experiment):
            return source
        what = "experiment"
        if isinstance(source, str | Path):
            path = find(source)
            what, source = f"experiment {path.name}", _read(path)
        if not isinstance(source, Mapping):
            raise BadRequest(f"an experiment must be a TOML file or a mapping, got {shown(source)}")
        try:
            return cls.model_validate(dict(source))
        except ValidationError as error:
            raise refusal(error, cls, what) from None


def find(source: str | Path) -> Path:
    """Return the file of an experiment: a path, or the name of one that comes with the project."""
    place = Path(source)
    if place.is_file():
        return place
    ours = SHIPPED / f"{place.name.removesuffix('.toml')}.toml"
    if ours.is_file() and place.name == str(source):
        return ours
    known = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.toml"))) or "none: they lie in a checkout"
    raise BadRequest(f"there is no experiment file {shown(str(source))}; those of the project are {known}")


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path} is not TOML: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise BadRequest(f"cannot read {path}: {error.strerror}") from None


def as_json(value: Any, name: str) -> Any:
    """Return a value as JSON holds it: times as ISO 8601 texts; refuse what JSON cannot hold."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name}: {value} is not a number that JSON can hold")
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): as_json(entry, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(entry, name) for entry in value]
    if hasattr(value, "item"):  # a numpy scalar
        return as_json(value.item(), name)
    raise ValueError(f"{name}: {shown(value)} is nothing that JSON can hold")
