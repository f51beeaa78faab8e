"""The shapes that the walk through the machines' lives works on: states, parts, what wears, what is noted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from twin.layout import N_CHANNELS

RUNNING, FAILED, MAINTENANCE, TRIPPED = range(4)
AGE, LIFE, BASE_AGE, BASE_DAMAGE, CURVATURE, OWED, RENEWAL, SHOWN, WAKE, N_PART = range(10)
"""Columns of a part: effective hours lived and to live; where the damage began; how it bends; hours that other
modes' damage added; how often it was renewed; the damage that shows; the age at which it shows more."""
GROWN_H, KEPT, FROZEN, N_FAULT = range(4)
"""Columns of an injection: hours grown; what repairs left of it; whether a repair stopped its growth."""

REACHED, FAILURE, TRIGGER, FULL = range(4)
"""Why a walk stops: where it was to go; a functional failure; a condition of the policy; no room for notes."""

BY_WEAR, BY_INJECTION, BY_OTHERS = range(3)
CAUSES = ("wear", "injected", "secondary")

LIFE_STATE = np.dtype(
    [
        ("t_us", "i8"),  # where the life stands: the start of a cell
        ("segment", "i8"),  # the machine's current row of the plan's timeline
        ("state", "i8"),
        ("mode", "i8"),  # what failed, or which condition triggered
        ("cause", "i8"),
        ("eager", "i8"),  # whether the next look at the levels shows any change
        ("resume_us", "i8"),  # when a tripped machine starts again
        ("monitored_us", "i8"),  # when the control system last looked
        ("noted_us", "i8"),  # when the truth was last noted
        ("noted_state", "i8"),
        ("noted_segment", "i8"),
        ("shown_state", "i8"),  # what the last noted segment says
        ("shown_segment", "i8"),
        ("rated_state", "i8"),  # what the next five are of, and how long they hold
        ("rated_until_us", "i8"),
        ("look_us", "i8"),  # when the levels are looked at next: an hour, a switch, a step of an injection
        ("load", "f8"),  # of the hour's middle
        ("speed", "f8"),
        ("target_c", "f8"),  # where the housing is going
        ("winding_c", "f8"),  # mean over the hour
        ("housing_c", "f8"),
        ("drift", "f8", (N_CHANNELS,)),
        ("latched", "f8", (N_CHANNELS,)),  # NaN while the instrument works
    ],
    align=True,
)
"""What a machine carries from one cell of its life to the next."""


class Lives(NamedTuple):
    """The lives of a fleet in progress; row m belongs to machine m."""

    state: NDArray[np.void]  # LIFE_STATE
    parts: NDArray[np.float64]  # machine, mode, N_PART
    faults: NDArray[np.float64]  # injection, N_FAULT
    shown: NDArray[np.float64]  # machine, source of effects: the level that the signals follow
    raised: NDArray[np.bool_]  # machine, alarm rule
    above_h: NDArray[np.int64]  # machine, condition: hours above its limit
    armed: NDArray[np.bool_]  # machine, condition


class Wearing(NamedTuple):
    """What wears, what was injected, and what is watched: a plan compiled for the walk."""

    source: NDArray[np.int64]  # per mode: its column among the sources of effects
    stops: NDArray[np.bool_]  # per mode: whether the machine stops at full damage
    wears: NDArray[np.bool_]
    stream: NDArray[np.int64]
    shape: NDArray[np.float64]
    life_h: NDArray[np.float64]
    gradual_share: NDArray[np.float64]
    load_exponent: NDArray[np.float64]  # machine, mode
    speed_exponent: NDArray[np.float64]
    doubling_k: NDArray[np.float64]  # 0: insensitive
    coupling_first: NDArray[np.int64]  # mode k is accelerated by coupling_first[k] to coupling_first[k + 1]
    coupling_mode: NDArray[np.int64]
    coupling_gain: NDArray[np.float64]
    nominal: NDArray[np.float64]  # machine: load, winding temperature at nominal duty
    hourly: bool  # whether anything wears or is watched
    fault_first: NDArray[np.int64]  # machine m has injections fault_first[m] to fault_first[m + 1]
    fault_mode: NDArray[np.int64]
    fault_start_us: NDArray[np.int64]
    fault_end_us: NDArray[np.int64]
    fault_level: NDArray[np.float64]
    fault_ttf_h: NDArray[np.float64]  # 0: a step
    rule_channel: NDArray[np.int64]
    rule_limit: NDArray[np.float64]  # machine, rule
    rule_back: NDArray[np.float64]  # an alarm ends below this part of its limit
    rule_trip_h: NDArray[np.int64]  # 0: no trip
    condition_channel: NDArray[np.int64]
    condition_limit: NDArray[np.float64]  # machine, condition
    condition_hold_h: NDArray[np.int64]
    condition_from_us: NDArray[np.int64]
    condition_until_us: NDArray[np.int64]
    truth_us: int  # interval of the truth; 0: at changes only
    keep_truth: bool
    keep_segments: bool
    keep_readings: bool


class Notes(NamedTuple):
    """What a walk notes: rows up to the counts (truth, segments, alarms, readings)."""

    counts: NDArray[np.int64]
    truth_at: NDArray[np.int64]  # row: machine, time, state, plan segment
    truth_damage: NDArray[np.float32]  # row, mode
    segment_at: NDArray[np.int64]  # row: machine, time, plan segment, powered
    segment_levels: NDArray[np.float64]  # row, source
    alarm_at: NDArray[np.int64]  # row: machine, time, rule
    alarm_value: NDArray[np.float64]
    reading_at: NDArray[np.int64]  # row: machine, time
    reading: NDArray[np.float32]  # row, channel


def notes(rows: int, modes: int, sources: int, readings: int = 0) -> Notes:
    """Return empty notes with room for that many rows of each kind."""
    return Notes(
        np.zeros(4, np.int64),
        np.empty((rows, 4), np.int64),
        np.empty((rows, modes), np.float32),
        np.empty((rows, 4), np.int64),
        np.empty((rows, sources), np.float64),
        np.empty((rows, 3), np.int64),
        np.empty(rows, np.float64),
        np.empty((readings, 2), np.int64),
        np.empty((readings, N_CHANNELS), np.float32),
    )
