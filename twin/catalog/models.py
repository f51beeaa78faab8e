"""What the catalog's rows are: checked, frozen values that pass through JSON unchanged.

The rows of the package (TOML beside this file) and those that users add take the same form
and the same checks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from twin.catalog.checks import (
    AnyNumber,
    Frozen,
    Identifier,
    Integer,
    Name,
    Number,
    Text,
    check_name,
    check_number,
    checked,
    entitle,
)
from twin.catalog.machines import Bearing, Channel, MachineType
from twin.catalog.parameters import CHANNELS, INPUTS, PARAMETERS
from twin.catalog.profiles import COLUMNS, AtEnd, Interpolation, Profile, read_profile_csv
from twin.catalog.wear import AlarmRule, Technician, Wear
from twin.errors import BadRequest, shown, unknown

__all__ = [
    "COLUMNS",
    "AlarmRule",
    "AtEnd",
    "Bearing",
    "Channel",
    "Effect",
    "FailureMode",
    "Interpolation",
    "MachineType",
    "MaintenanceAction",
    "Profile",
    "Scenario",
    "Technician",
    "Wear",
    "read_profile_csv",
    "scenario_from_inputs",
]


def _known_channels(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in CHANNELS:
            raise unknown("channel", name, CHANNELS)
    if len(set(names)) != len(names):
        raise BadRequest(f"channels must not repeat, got {shown(', '.join(names))}")
    return tuple(channel for channel in CHANNELS if channel in names)


Channels = Annotated[tuple[str, ...], AfterValidator(_known_channels)]


class Effect(Frozen):
    """One change of one parameter.

    A scenario's effect has a `value`. A failure mode's effect grows with the damage D (0 to 1):
    a factor is ``1 + gain * s`` and an addition ``gain * s``, where s is D**exponent (``power``)
    or ``(D / peak) * exp(1 - D / peak)`` (``hump``: rises to 1 at D = peak, then falls back).

    Attributes
    ----------
    parameter : str
        A name of `twin.catalog.parameters.PARAMETERS`, which also states unit and range.
    layer, op : str
        ``input``, ``physics`` or ``sensor``; ``set``, ``factor`` or ``add``: both follow from
        the parameter, and are refused where they disagree with it.
    value : float or None
        What a scenario sets, multiplies by or adds, in the parameter's unit.
    gain : float or None
        What full damage adds to the factor or to the value, in the parameter's unit.
    exponent : float
        Of the power shape: above 1 shows late, below 1 early.
    shape : str
        ``power`` or ``hump``.
    peak : float
        The damage at which a hump is highest.
    """

    parameter: str
    layer: str = ""
    op: str = ""
    value: AnyNumber | None = None
    gain: AnyNumber | None = None
    exponent: Number = Field(default=1.0, ge=0.1, le=10.0)
    shape: Literal["power", "hump"] = "power"
    peak: Number = Field(default=0.5, ge=0.01, le=1.0)

    @model_validator(mode="after")
    def _agrees_with_its_parameter(self) -> Self:
        if self.parameter not in PARAMETERS:
            raise unknown("parameter", self.parameter, PARAMETERS)
        rule = PARAMETERS[self.parameter]
        for field, expected in (("layer", rule.layer), ("op", rule.op)):
            if getattr(self, field) not in ("", expected):
                raise BadRequest(
                    f"{field} of {rule.name} must be {expected!r} (or left out), got {shown(getattr(self, field))}"
                )
            object.__setattr__(self, field, expected)
        if (self.value is None) == (self.gain is None):
            raise BadRequest(
                f"effect on {rule.name} must have a value (in a scenario) or a gain (in a failure mode), and not both"
            )
        if self.value is not None:
            check_number(self.value, rule.name, rule.low, rule.high)
        else:
            self._check_gain(rule.name, rule.op, rule.low, rule.high)
        return self

    def _check_gain(self, name: str, op: str, low: float, high: float) -> None:
        if op == "set":
            raise BadRequest(f"a failure mode cannot set {name}; use load_factor or ambient_offset_c")
        neutral = 1.0 if op == "factor" else 0.0
        check_number(self.gain, f"gain of {name}", low - neutral, high - neutral)

    def strength(self, damage: float) -> float:
        """Return s, the shape's value from 0 to 1, at a damage from 0 to 1."""
        if self.shape == "hump":
            return damage / self.peak * math.exp(1.0 - damage / self.peak)
        return float(damage**self.exponent)

    def at(self, damage: float) -> float:
        """Return the factor or addition at a damage from 0 to 1 (a scenario's value at any)."""
        if self.gain is None:
            return float(self.value or 0.0)
        return (1.0 if self.op == "factor" else 0.0) + self.gain * self.strength(damage)


def _check_effects(effects: Sequence[Effect], field: str, owner: str) -> None:
    seen: set[str] = set()
    for effect in effects:
        if getattr(effect, field) is None:
            raise BadRequest(f"effect on {effect.parameter} must have a {field}: it belongs to a {owner}")
        if effect.parameter in seen:
            raise BadRequest(f"{effect.parameter} stands twice among the effects; give it once")
        seen.add(effect.parameter)


class Scenario(Frozen):
    """What the plant is asked to do while the scenario is active on a machine.

    Attributes
    ----------
    name, description : str
        What people call it and what it means.
    priority : int
        0 to 100; where active scenarios set the same input, the highest priority wins, then
        the largest value.
    effects : tuple of Effect
        Values set, multiplied or added.
    profile : Profile or None
        Inputs that follow a recording; it sets the inputs that it has columns for.
    profile_id : str or None
        The profile's content hash. It stays when the data lie elsewhere (see `detached`).
    channels : tuple of str
        The channels in which the scenario visibly differs from normal operation, if known.
    """

    name: Name
    description: Text = ""
    priority: Integer = Field(default=10, ge=0, le=100)
    effects: tuple[Effect, ...] = ()
    profile: Profile | None = None
    profile_id: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    channels: Channels = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_effects(self.effects, "value", "scenario")
        if self.profile is None:
            return self
        if self.profile_id not in (None, self.profile.sha256):
            raise BadRequest("profile_id is not the content hash of the profile")
        object.__setattr__(self, "profile_id", self.profile.sha256)
        for effect in self.effects:
            if effect.parameter in self.profile.columns:
                raise BadRequest(f"{effect.parameter} is set by the profile and by an effect; leave one out")
        return self

    def detached(self) -> Scenario:
        """Return the scenario without the profile's data; `profile_id` still refers to them."""
        return self.model_copy(update={"profile": None})

    def attached(self, profile: Profile) -> Scenario:
        """Return a detached scenario with its profile's data again."""
        return checked(Scenario, {**dict(self), "profile": profile}, f"scenario {shown(self.name)}")


class FailureMode(Frozen):
    """A way in which a machine or an instrument fails.

    Attributes
    ----------
    name, title, description : str
        The name that code uses (snake_case), what people read, and what happens.
    category : str
        ``mechanical``, ``thermal``, ``electrical`` or ``sensor``.
    effects : tuple of Effect
        Gains that grow with the damage.
    channels : tuple of str
        The channels that it visibly moves; it moves no other.
    wear : Wear or None
        How it comes by itself; ``None``: only when injected.
    """

    name: Identifier
    title: Name = ""
    description: Text = ""
    category: Literal["mechanical", "thermal", "electrical", "sensor"]
    effects: tuple[Effect, ...]
    channels: Channels = ()
    wear: Wear | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        entitle(self, self.name, self.title)
        if not self.effects:
            raise BadRequest("effects must name at least one effect")
        _check_effects(self.effects, "gain", "failure mode")
        if self.wear is not None and self.name in self.wear.accelerated_by:
            raise BadRequest("a failure mode cannot accelerate itself")
        return self

    @property
    def stops_machine(self) -> bool:
        """Whether the machine stops at full damage; an instrument that fails stops nothing."""
        return self.category != "sensor"


class MaintenanceAction(Frozen):
    """Something that technicians do to a machine.

    Attributes
    ----------
    name, title, description : str
        As in `FailureMode`.
    restores : dict of str to float
        For each failure mode that it treats, the share of the damage it takes away: 1 makes
        the part as good as new, 0 leaves it.
    duration_min : float
        Minutes of work.
    parts_cost : float
        Cost of parts, in the plant's currency.
    skill : str
        What the technician must know.
    """

    name: Identifier
    title: Name = ""
    description: Text = ""
    restores: dict[Identifier, Annotated[Number, Field(ge=0.0, le=1.0)]] = Field(default_factory=dict)
    duration_min: Number = Field(gt=0.0, le=100_000.0)
    parts_cost: Number = Field(default=0.0, ge=0.0, le=1e9)
    skill: Identifier = "mechanical"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        entitle(self, self.name, self.title)
        return self


def scenario_from_inputs(
    name: str,
    description: str = "",
    priority: int = 10,
    profile: Profile | None = None,
    effects: Sequence[Effect | dict[str, Any]] = (),
    **inputs: float,
) -> Scenario:
    """Make a scenario from inputs by name, as in ``scenario_from_inputs("Night shift", load=0.4)``.

    Parameters
    ----------
    name, description, priority, profile, effects
        As in `Scenario`.
    **inputs : float
        Values of input parameters: ``load``, ``speed_factor``, ``speed_rpm``, ``ambient_c``,
        ``load_factor``, ``ambient_offset_c``, ``load_variation``.

    Raises
    ------
    BadRequest
        One line that says what is wrong and what is allowed.
    """
    what = f"scenario {shown(check_name(name, 'scenario name'))}"
    allowed = [parameter.name for parameter in INPUTS]
    given: list[Effect | dict[str, Any]] = []
    for key, value in inputs.items():
        if key not in allowed:
            raise unknown("input of a scenario", key, allowed)
        rule = PARAMETERS[key]
        given.append({"parameter": key, "value": check_number(value, f"{what}: {key}", rule.low, rule.high)})
    fields = {"name": name, "description": description, "priority": priority, "profile": profile}
    if not isinstance(effects, (list, tuple)):
        raise BadRequest(f"{what}: effects must be a list of effects, got {shown(effects)}")
    return checked(Scenario, {**fields, "effects": (*effects, *given)}, what)
