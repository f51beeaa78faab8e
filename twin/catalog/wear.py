"""How parts wear, what the control system watches, and when technicians work: models of catalog rows."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from twin.catalog.checks import Frozen, Identifier, Integer, Name, Number, Text, entitle
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, unknown

Exponent = Annotated[Number, Field(ge=0.0, le=20.0)]
Share = Annotated[Number, Field(ge=0.0, le=1.0)]


class Wear(Frozen):
    """How a failure mode grows by itself while the machine works.

    A life is drawn from a Weibull law in *effective* hours: hours at nominal load, rated speed and the
    temperature of the healthy machine at 22 C. Effective time runs at
    ``load**a * speed**b * 2**((T - T0) / doubling_k) * product(1 + gain_j * damage_j)``
    (Palmgren-Miner accumulation; load and speed relative to nominal).

    Attributes
    ----------
    shape, life_h : float
        Weibull shape, and scale (characteristic life: 63.2 % have failed), effective hours.
    load_exponent : float or ``"bearing"``
        a; ``bearing`` takes it from the machine type's bearing: 3 for balls, 10/3 for rollers (ISO 281).
    speed_exponent : float
        b; revolutions count, so it is 1 for what turns.
    doubling_k : float or None
        Kelvins of the winding that double the rate (Arrhenius-like); ``None``: insensitive.
    accelerated_by : dict of str to float
        Couplings: at full damage of the other mode the rate is ``1 + gain`` times as high.
    gradual_share : float
        Share of the units that degrade gradually; the others show late and suddenly.
    """

    shape: Number = Field(ge=0.3, le=20.0)
    life_h: Number = Field(gt=0.0, le=1e8)
    load_exponent: Exponent | Literal["bearing"] = 0.0
    speed_exponent: Exponent = 1.0
    doubling_k: Annotated[Number, Field(ge=1.0, le=1000.0)] | None = None
    accelerated_by: dict[Identifier, Annotated[Number, Field(ge=0.0, le=100.0)]] = Field(default_factory=dict)
    gradual_share: Share = 0.28


class AlarmRule(Frozen):
    """A threshold that the control system of a machine watches, on hourly means of reported readings.

    Attributes
    ----------
    name, title, description : str
        Code of the alarm (snake_case), what people read, and what it means.
    channel : str
        The telemetry channel.
    limit : float or None
        Threshold, in the channel's unit.
    relative : bool
        Whether `limit` multiplies the machine's own healthy reading at nominal duty.
    iso_zone : str or None
        Instead of a limit: ``B/C`` or ``C/D`` of ISO 10816-1 for the machine's class, mm/s.
    hysteresis : float
        The alarm ends below ``limit * (1 - hysteresis)``; until then it is not raised again.
    level : str
        ``info``, ``warning`` or ``alarm``.
    trip : bool
        Whether the control system stops the machine for `trip_h` hours.
    trip_h : int
        Whole hours that a tripped machine stands.
    """

    name: Identifier
    title: Name = ""
    description: Text = ""
    channel: str
    limit: Annotated[Number, Field(gt=0.0, le=1e6)] | None = None
    relative: bool = False
    iso_zone: Literal["B/C", "C/D"] | None = None
    hysteresis: Annotated[Number, Field(ge=0.0, lt=1.0)] = 0.1
    level: Literal["info", "warning", "alarm"] = "warning"
    trip: bool = False
    trip_h: Annotated[Integer, Field(ge=1, le=720)] = 2

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        entitle(self, self.name, self.title)
        if self.channel not in CHANNELS:
            raise unknown("channel", self.channel, CHANNELS)
        if (self.limit is None) == (self.iso_zone is None):
            raise BadRequest("an alarm rule must have a limit or an iso_zone, and not both")
        if self.iso_zone is not None and (self.channel != "vibration_mm_s" or self.relative):
            raise BadRequest("an iso_zone is a limit of vibration_mm_s, and is not relative")
        return self


ISO_ZONES_MM_S: dict[str, dict[str, float]] = {
    # zone limits of ISO 10816-1, mm/s RMS
    "I": {"A/B": 0.71, "B/C": 1.8, "C/D": 4.5},
    "II": {"A/B": 1.12, "B/C": 2.8, "C/D": 7.1},
    "III": {"A/B": 1.8, "B/C": 4.5, "C/D": 11.2},
    "IV": {"A/B": 2.8, "B/C": 7.1, "C/D": 18.0},
}


class Technician(Frozen):
    """Someone who does maintenance.

    Attributes
    ----------
    technician_id, name : str
        The short id on the task (``T-02``) and the person's name.
    skills : tuple of str
        What the technician knows (see `MaintenanceAction.skill`).
    hourly_cost : float
        Cost of an hour, in the plant's currency.
    shift_start_h, shift_end_h : float
        Hours of the day (UTC) between which work may begin; what has begun is finished. 0 to 24 is always.
    weekdays : str
        Days on which work may begin, 1 (Monday) to 7 (Sunday), such as ``12345``.
    """

    technician_id: Name
    name: Name
    skills: tuple[Identifier, ...] = ()
    hourly_cost: Number = Field(default=0.0, ge=0.0, le=1e6)
    shift_start_h: Number = Field(default=0.0, ge=0.0, lt=24.0)
    shift_end_h: Number = Field(default=24.0, gt=0.0, le=24.0)
    weekdays: str = Field(default="1234567", pattern=r"^1?2?3?4?5?6?7?$", min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.shift_end_h <= self.shift_start_h:
            raise BadRequest(
                f"shift_end_h must be later than shift_start_h, got {self.shift_start_h:g} to {self.shift_end_h:g}"
            )
        return self
