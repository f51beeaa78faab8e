"""The shapes that the kernel works on: a machine's constants, its state, and the compiled plan."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.catalog.parameters import CHANNELS, PHYSICS, PHYSICS_INDEX, SENSOR_KINDS

BLOCK = 2048
"""Readings in a block: its scratch stays in the second-level cache."""

NEVER_US = 2**62
N_CHANNELS = len(CHANNELS)
N_PHYSICS = len(PHYSICS)
N_KINDS = len(SENSOR_KINDS)
NORMALS_A_ROW = 1 + N_CHANNELS  # the load's ripple, and the noise of each instrument

FRICTION, THERMAL_RESISTANCE, WINDING_LOSS, IMBALANCE, MISALIGNMENT, LOOSENESS, FLOOR, DEFECT, IMPULSIVENESS = (
    PHYSICS_INDEX[name]
    for name in (
        "friction",
        "thermal_resistance",
        "winding_loss",
        "imbalance",
        "misalignment",
        "looseness",
        "vibration_floor",
        "defect_g",
        "impulsiveness",
    )
)
NOISE, OFFSET, DRIFT, GAIN, SPIKE_PROBABILITY, SPIKE_SIZE, STUCK, DROPOUT = range(N_KINDS)
TEMPERATURE, VIBRATION_G, VIBRATION_MM_S, KURTOSIS, POWER, CURRENT, SPEED, TORQUE = range(N_CHANNELS)

MACHINE = np.dtype(
    [("machine_id", "i8")]
    + [
        (name, "f8")
        for name in (
            "rated_speed_rpm",
            "load_tau_s",
            "speed_tau_s",
            "housing_tau_s",
            "winding_tau_s",
            "thermal_resistance_k_per_w",
            "winding_resistance_k_per_w",
            "load_sd",
            "vibration_sd",
            "load_decay",  # over one step of the physical grid, as the next two
            "vibration_decay",
            "hall_decay",
        )
    ]
    + [
        (name, "f4")
        for name in (
            "rated_omega",  # rad/s
            "rated_torque_nm",
            "friction_torque_nm",
            "idle_power_w",
            "efficiency",
            "supply_voltage_v",
            "power_factor",
            "ripple_sd",
            "vibration_floor_g",
            "load_vibration_g",
            "imbalance_g",
            "imbalance_mm_s",
            "velocity_floor_mm_s",
            "defect_mm_s_per_g",
        )
    ],
    align=True,
)
"""What a machine is: its type's constants with the variation of the unit."""

STATE = np.dtype(
    [
        ("t_us", "i8"),  # where the state stands: the start of a cell
        ("segment", "i8"),  # the machine's current row of the timeline
        ("segment_us", "i8"),  # when it began
        ("load", "f8"),  # fraction of rated torque, lagged
        ("speed", "f8"),  # fraction of rated speed, lagged
        ("housing_c", "f8"),
        ("winding_k", "f8"),  # winding over housing
        ("knot_us", "i8"),  # minute at which the next three pairs stand
        ("load_wander", "f8", (2,)),  # standard OU at this knot and the next
        ("vibration_wander", "f8", (2,)),
        ("hall", "f8"),
        ("drift", "f8", (N_CHANNELS,)),  # offset grown before the current segment
        ("latched", "f4", (N_CHANNELS,)),  # what a stuck instrument shows; NaN while it works
    ],
    align=True,
)
"""What a machine carries from one cell to the next."""


INPUT_COLUMNS = ("load", "speed", "ambient_c", "load_scale", "ambient_offset_c", "load_variation", "powered")
POWERED = INPUT_COLUMNS.index("powered")


class Timeline(NamedTuple):
    """A plan as sorted arrays: what happens on which machine from when on."""

    seed: int
    machines: NDArray[np.void]  # MACHINE rows
    channels: NDArray[np.float32]  # per channel: counts per unit, low, high, noise sd, relative noise sd
    first: NDArray[np.int64]  # machine i has segments first[i] to first[i + 1]
    drift_before: NDArray[np.float64]  # per machine and channel: what an instrument drifted before the run
    start_us: NDArray[np.int64]  # per segment
    inputs: NDArray[np.float64]  # per segment: see INPUT_COLUMNS
    tracks: NDArray[np.int64]  # per segment and input (load, speed, ambient): track or -1
    track_start_us: NDArray[np.int64]  # per segment and input: when the track's time is zero
    level_row: NDArray[np.int64]  # per segment: row of levels
    levels: NDArray[np.float64]  # damage, rows by sources of effects
    input_source: NDArray[np.int64]  # what failure modes do to inputs
    input_kind: NDArray[np.int64]  # 0 load scale, 1 ambient offset, 2 load variation
    input_form: NDArray[np.float64]  # as effect_form
    effect_source: NDArray[np.int64]
    effect_target: NDArray[np.int64]  # physics parameters, then channel * kinds
    effect_factor: NDArray[np.bool_]  # multiplies; else adds
    effect_form: NDArray[np.float64]  # gain, shape, exponent, peak
    track_first: NDArray[np.int64]
    track_us: NDArray[np.int64]
    track_value: NDArray[np.float64]
    track_linear: NDArray[np.bool_]
    track_rpm: NDArray[np.bool_]
    track_period_us: NDArray[np.int64]
