"""The parameters that effects may change, and the order in which the kernel holds them.

An effect names one of these parameters. Three layers: what the plant is asked to do
(``input``), what the machine is (``physics``), what the instrument reports (``sensor``).
The names are also the kernel's column names: `PHYSICS_INDEX` and `SENSOR_INDEX` give the
positions, so that a new parameter is one line here and one use in the physics.
"""

from __future__ import annotations

from dataclasses import dataclass

CHANNELS: tuple[str, ...] = (
    "temperature_c",
    "vibration_g",
    "vibration_mm_s",
    "kurtosis",
    "power_w",
    "current_a",
    "speed_rpm",
    "torque_nm",
)
"""The telemetry channels, in the order of the table's columns."""

SEVERITIES: dict[str, float] = {"low": 0.25, "medium": 0.50, "high": 0.75, "critical": 0.95}
"""Severity as a level of damage, 0 (new) to 1 (functional failure). [choice]"""


@dataclass(frozen=True)
class Parameter:
    """One thing that an effect may change.

    Attributes
    ----------
    name, layer, unit, description : str
        What it is; the layer is ``input``, ``physics`` or ``sensor``.
    neutral : float
        Its value on an unaffected machine.
    op : str
        How effects combine: ``set`` (inputs: the highest priority wins, then the largest
        value), ``factor`` (they multiply) or ``add`` (they add).
    low, high : float
        The range an effect's value may take.
    """

    name: str
    layer: str
    unit: str
    neutral: float
    op: str
    low: float
    high: float
    description: str


INPUTS: tuple[Parameter, ...] = (
    Parameter("load", "input", "1", 0.60, "set", 0.0, 1.5, "demanded torque as a fraction of the rated torque"),
    Parameter("speed_factor", "input", "1", 1.0, "set", 0.0, 2.0, "demanded speed as a fraction of the rated speed"),
    Parameter("speed_rpm", "input", "rpm", float("nan"), "set", 0.0, 60000.0, "demanded speed; overrides speed_factor"),
    Parameter("ambient_c", "input", "C", 22.0, "set", -60.0, 90.0, "temperature of the air around the machine"),
    Parameter("load_factor", "input", "1", 1.0, "factor", 0.0, 3.0, "multiplies the demanded load"),
    Parameter("ambient_offset_c", "input", "K", 0.0, "add", -60.0, 60.0, "added to the ambient temperature"),
    Parameter("load_variation", "input", "1", 1.0, "factor", 0.0, 10.0, "multiplies the fluctuation of the load"),
)

PHYSICS: tuple[Parameter, ...] = (
    Parameter("friction", "physics", "1", 1.0, "factor", 0.1, 50.0, "multiplies the friction torque"),
    Parameter("thermal_resistance", "physics", "1", 1.0, "factor", 0.1, 20.0, "multiplies housing-to-air resistance"),
    Parameter("winding_loss", "physics", "1", 1.0, "factor", 0.5, 10.0, "multiplies the motor's electrical losses"),
    Parameter("imbalance", "physics", "1", 1.0, "factor", 0.1, 100.0, "multiplies the residual imbalance"),
    Parameter("misalignment", "physics", "1", 0.0, "add", 0.0, 100.0, "misalignment, in residual imbalances at 2x"),
    Parameter("looseness", "physics", "1", 1.0, "factor", 0.1, 50.0, "multiplies the load-related vibration"),
    Parameter("vibration_floor", "physics", "1", 1.0, "factor", 0.1, 50.0, "multiplies the broadband vibration floor"),
    Parameter("defect_g", "physics", "1", 0.0, "add", 0.0, 100.0, "bearing-defect vibration, in broadband floors"),
    Parameter("impulsiveness", "physics", "1", 0.0, "add", 0.0, 200.0, "excess kurtosis of the defect vibration"),
)

_SENSOR_KINDS: tuple[tuple[str, str, float, str, float, float, str], ...] = (
    ("noise", "1", 1.0, "factor", 0.0, 1000.0, "multiplies the instrument's noise"),
    ("offset", "channel", 0.0, "add", -1e4, 1e4, "added to the reading"),
    ("drift_per_day", "channel/d", 0.0, "add", -1e4, 1e4, "growth of the offset since the onset"),
    ("gain", "1", 1.0, "factor", 0.0, 100.0, "multiplies the reading"),
    ("spike_probability", "1", 0.0, "add", 0.0, 1.0, "probability that a reading is a spike"),
    ("spike_size", "channel", 0.0, "add", -1e5, 1e5, "mean size of a spike; its sign is random"),
    ("stuck", "1", 0.0, "add", 0.0, 1.0, "above zero: the reading stays at its value of the onset"),
    ("dropout_probability", "1", 0.0, "add", 0.0, 1.0, "probability that a reading is missing (NULL)"),
)

SENSOR_KINDS: tuple[str, ...] = tuple(kind[0] for kind in _SENSOR_KINDS)

SENSORS: tuple[Parameter, ...] = tuple(
    Parameter(f"{channel}.{kind}", "sensor", unit, neutral, op, low, high, description)
    for channel in CHANNELS
    for kind, unit, neutral, op, low, high, description in _SENSOR_KINDS
)

PARAMETERS: dict[str, Parameter] = {p.name: p for p in (*INPUTS, *PHYSICS, *SENSORS)}
PHYSICS_INDEX: dict[str, int] = {p.name: i for i, p in enumerate(PHYSICS)}
SENSOR_INDEX: dict[str, int] = {p.name: i for i, p in enumerate(SENSORS)}
