"""What a machine is made of and measured by: machine types, their bearings, the channels."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from twin.catalog.checks import Frozen, Identifier, Integer, Name, Number, Text, entitle
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, unknown

MAX_COUNTS = 4_000_000
"""Counts that a 32-bit float still tells apart with certainty (below 2**22)."""


class Channel(Frozen):
    """A sensor's output.

    Attributes
    ----------
    name, unit, description : str
        The telemetry column, its unit, and what the instrument measures.
    counts_per_unit : int
        Readings are stored in steps of ``1 / counts_per_unit``.
    noise_sd, noise_fraction : float
        The instrument's noise has sd = noise_sd + noise_fraction * reading.
    low, high : float
        The instrument's range; readings beyond it stay at its end.
    """

    name: Identifier
    unit: str = Field(min_length=1, max_length=16)
    description: Text = ""
    counts_per_unit: Integer = Field(ge=1, le=1_000_000)
    noise_sd: Number = Field(ge=0.0, le=1e4)
    noise_fraction: Number = Field(default=0.0, ge=0.0, le=1.0)
    low: Number
    high: Number

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.name not in CHANNELS:
            raise unknown("channel", self.name, CHANNELS)
        if not self.low < self.high:
            raise BadRequest(f"low must be below high, got {self.low!r} and {self.high!r}")
        if max(abs(self.low), abs(self.high)) * self.counts_per_unit > MAX_COUNTS:
            raise BadRequest(f"range times counts_per_unit must not exceed {MAX_COUNTS:,}: readings are 32-bit floats")
        return self

    @property
    def resolution(self) -> float:
        """The step between neighbouring readings, in the channel's unit."""
        return 1.0 / self.counts_per_unit


class Bearing(Frozen):
    """A rolling bearing's geometry.

    Attributes
    ----------
    name : str
        The maker's designation.
    kind : str
        ``ball`` or ``roller``: decides the load exponent of its life (3 or 10/3).
    n_balls : int
        Number of rolling elements.
    ball_d_mm, pitch_d_mm : float
        Diameters of a rolling element and of the circle of their centres, mm.
    contact_deg : float
        Contact angle, degrees.
    """

    name: Name
    kind: Literal["ball", "roller"] = "ball"
    n_balls: Integer = Field(ge=3, le=200)
    ball_d_mm: Number = Field(gt=0.0, le=1000.0)
    pitch_d_mm: Number = Field(gt=0.0, le=10_000.0)
    contact_deg: Number = Field(default=0.0, ge=0.0, lt=90.0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.ball_d_mm >= self.pitch_d_mm:
            raise BadRequest("ball_d_mm must be below pitch_d_mm")
        return self

    @property
    def _k(self) -> float:
        return self.ball_d_mm / self.pitch_d_mm * math.cos(math.radians(self.contact_deg))

    @property
    def ftf(self) -> float:
        """Cage frequency, in multiples of the shaft's."""
        return 0.5 * (1.0 - self._k)

    @property
    def bpfo(self) -> float:
        """Outer-race defect frequency, in multiples of the shaft's."""
        return 0.5 * self.n_balls * (1.0 - self._k)

    @property
    def bpfi(self) -> float:
        """Inner-race defect frequency, in multiples of the shaft's."""
        return 0.5 * self.n_balls * (1.0 + self._k)

    @property
    def bsf(self) -> float:
        """Spin frequency of a rolling element, in multiples of the shaft's; a defect strikes twice a spin."""
        return self.pitch_d_mm / (2.0 * self.ball_d_mm) * (1.0 - self._k**2)


Positive = Annotated[Number, Field(gt=0.0, le=1e9)]
NotNegative = Annotated[Number, Field(ge=0.0, le=1e9)]
Fraction = Annotated[Number, Field(ge=0.0, le=1.0)]


class MachineType(Frozen):
    """A kind of machine: what one has from its maker, before unit-to-unit variation.

    Attributes
    ----------
    name, title, description : str
        As in `FailureMode`.
    default : bool
        Whether machines are of this type when none is named.
    rated_power_w, rated_speed_rpm : float
        At the shaft, W and rpm; their quotient is the rated torque.
    nominal_load : float
        Load (fraction of rated torque) when no scenario asks for another.
    friction_fraction : float
        Friction torque when healthy, as a fraction of the rated torque.
    idle_power_w : float
        Electronics, lubrication, standby: drawn whenever the machine is powered, W.
    efficiency : float
        Highest efficiency of the motor; it falls at low load.
    supply_voltage_v, power_factor : float
        Line-to-line voltage of the three-phase supply, V, and cos phi.
    thermal_resistance_k_per_w : float
        Housing to air, K/W.
    housing_tau_s : float
        Time constant R C of the healthy housing, s.
    winding_resistance_k_per_w, winding_tau_s : float
        Rise of the winding over the housing, K/W, and its time constant, s.
    load_tau_s, speed_tau_s : float
        Lag of load and of speed behind what is asked, s.
    load_sd, load_tau_ou_s : float
        Relative fluctuation of the load and its correlation time, s.
    vibration_floor_g : float
        Broadband acceleration RMS at rated speed, g.
    load_vibration_g : float
        Acceleration RMS of the process at load 1 and rated speed, g.
    imbalance_g, imbalance_mm_s : float
        RMS of the residual imbalance at rated speed as the acceleration and velocity channels
        see it, g and mm/s.
    velocity_floor_mm_s : float
        Broadband velocity RMS (10-1000 Hz) at rated speed, mm/s.
    defect_mm_s_per_g : float
        Velocity RMS that goes with each g of bearing-defect vibration, mm/s per g.
    vibration_sd : float
        Relative wander of the vibration.
    ripple_sd : float
        Relative white ripple of the torque.
    iso_class : str
        Class of ISO 10816-1 by which its velocity is judged.
    downtime_cost_per_h : float
        What an hour of standstill costs, in the plant's currency.
    bearing : Bearing
        The bearing that wears.
    variation : dict of str to float
        Relative standard deviation of the fields that differ from unit to unit.
    source : str
        Where the numbers come from.
    """

    name: Identifier
    title: Name = ""
    description: Text = ""
    default: bool = False
    rated_power_w: Positive
    rated_speed_rpm: Annotated[Number, Field(gt=0.0, le=60_000.0)]
    nominal_load: Annotated[Number, Field(ge=0.0, le=1.5)]
    friction_fraction: Fraction
    idle_power_w: NotNegative
    efficiency: Annotated[Number, Field(ge=0.05, le=1.0)]
    supply_voltage_v: Annotated[Number, Field(gt=0.0, le=100_000.0)]
    power_factor: Annotated[Number, Field(ge=0.05, le=1.0)]
    thermal_resistance_k_per_w: Positive
    housing_tau_s: Positive
    winding_resistance_k_per_w: Positive
    winding_tau_s: Positive
    load_tau_s: Positive
    speed_tau_s: Positive
    load_sd: Fraction
    load_tau_ou_s: Positive
    vibration_floor_g: Positive
    load_vibration_g: NotNegative
    imbalance_g: NotNegative
    imbalance_mm_s: NotNegative
    velocity_floor_mm_s: Positive
    defect_mm_s_per_g: NotNegative
    vibration_sd: Fraction
    ripple_sd: Fraction
    iso_class: Literal["I", "II", "III", "IV"] = "I"
    downtime_cost_per_h: NotNegative = 0.0
    bearing: Bearing
    variation: dict[str, Annotated[Number, Field(ge=0.0, le=0.3)]] = Field(default_factory=dict)
    source: Text = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        entitle(self, self.name, self.title)
        may_vary = [name for name, field in type(self).model_fields.items() if field.annotation is float]
        for name in self.variation:
            if name not in may_vary:
                raise unknown("varying field", name, may_vary)
        for name in ("efficiency", "power_factor"):
            if getattr(self, name) * (1.0 + 3.0 * self.variation.get(name, 0.0)) > 1.0:
                raise BadRequest(f"{name} must stay at 1 or below within three standard deviations of its variation")
        return self

    @property
    def rated_torque_nm(self) -> float:
        """Rated power over rated speed, N m."""
        return self.rated_power_w / (self.rated_speed_rpm * math.pi / 30.0)
