"""A plan compiled into the sorted arrays that the kernel reads.

Each machine's span is cut into segments at every start and end of an activation or injection.
Everything is sorted by name before it is combined, so that the order in which things were asked
for cannot matter, not even in the last bit.
"""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from functools import cache, lru_cache
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np

from twin import physics
from twin.catalog.models import Effect, MachineType, Profile, Scenario
from twin.catalog.parameters import CHANNELS, PARAMETERS, PHYSICS_INDEX, SENSOR_INDEX, SENSOR_KINDS
from twin.layout import MACHINE, N_PHYSICS, NEVER_US, STATE, Timeline
from twin.plan import Plan, PlannedMachine

INPUT_COLUMNS = ("load", "speed", "ambient")
INPUT_SCALES = ("load_factor", "ambient_offset_c", "load_variation")
_PROFILE_INPUT = {"load": "load", "speed_rpm": "speed", "speed_factor": "speed", "ambient_c": "ambient"}
GRID_S = physics.GRID_US * 1e-6


@lru_cache(maxsize=100_000)  # a click in a live session compiles its plan again
def unit_factor(unit_seed: int, field: str, relative_sd: float) -> float:
    """Return the factor by which a unit differs from its type in one constant.

    Addressed by the unit's seed and the field's name; within three standard deviations. Rounded, so
    that it does not depend on the mathematics library of one system.
    """
    word = int(np.random.Philox(key=unit_seed, counter=zlib.crc32(field.encode())).random_raw())
    z = NormalDist().inv_cdf((word + 0.5) / 2.0**64 * (1 - 2e-9) + 1e-9)
    return round(1.0 + relative_sd * min(3.0, max(-3.0, z)), 6)


def unit_constant(machine: PlannedMachine, machine_type: MachineType, field: str) -> float:
    """Return one constant of one machine: that of its type with the unit's variation."""
    value, relative_sd = float(getattr(machine_type, field)), machine_type.variation.get(field)
    return value if relative_sd is None else value * unit_factor(machine.unit_seed, field, relative_sd)


def unit_constants(machine: PlannedMachine, machine_type: MachineType) -> dict[str, float]:
    """Return the constants of one machine: those of its type with the unit's variation."""
    values = {name: float(value) for name, value in machine_type if isinstance(value, float)}
    for field, relative_sd in machine_type.variation.items():
        values[field] *= unit_factor(machine.unit_seed, field, relative_sd)
    return values


def machine_row(machine: PlannedMachine, machine_type: MachineType) -> tuple[dict[str, float], float]:
    """Return the kernel's constants of one machine, and the load it carries when nothing is asked."""
    c = unit_constants(machine, machine_type)
    omega = c["rated_speed_rpm"] * 2.0 * math.pi / 60.0
    rated_torque = c["rated_power_w"] / omega
    row = {name: c[name] for name in MACHINE.names or () if name in c}
    row |= {
        "machine_id": machine.machine_id,
        "rated_omega": omega,
        "rated_torque_nm": rated_torque,
        "friction_torque_nm": rated_torque * c["friction_fraction"],
        "load_decay": _decay(c["load_tau_ou_s"]),
        "vibration_decay": _decay(physics.VIBRATION_TAU_S),
        "hall_decay": _decay(physics.HALL_TAU_S),
    }
    return row, c["nominal_load"]


def _decay(tau_s: float) -> float:
    return round(math.exp(-GRID_S / tau_s), 12)


class _Tracks:
    """The recorded inputs of a plan, each column stored once."""

    def __init__(self) -> None:
        self.index: dict[tuple[str, str], int] = {}
        self.first = [0]
        self.us: list[np.ndarray] = []
        self.value: list[np.ndarray] = []
        self.linear: list[bool] = []
        self.rpm: list[bool] = []
        self.period_us: list[int] = []

    def number(self, profile: Profile, column: str) -> int:
        key = (profile.sha256, column)
        if key not in self.index:
            self.index[key] = len(self.linear)
            self.us.append(np.rint(np.asarray(profile.t_s, dtype=np.float64) * 1e6).astype(np.int64))
            self.value.append(np.asarray(getattr(profile, column), dtype=np.float64))
            self.first.append(self.first[-1] + len(profile.t_s))
            self.linear.append(profile.interpolation == "linear")
            self.rpm.append(column == "speed_rpm")
            self.period_us.append(period_us(profile))
        return self.index[key]

    def arrays(self) -> dict[str, np.ndarray]:
        empty = [np.empty(0)]
        return {
            "track_first": np.array(self.first, np.int64),
            "track_us": np.concatenate(self.us or empty).astype(np.int64),
            "track_value": np.concatenate(self.value or empty).astype(np.float64),
            "track_linear": np.array(self.linear, np.bool_),
            "track_rpm": np.array(self.rpm, np.bool_),
            "track_period_us": np.array(self.period_us, np.int64),
        }


def period_us(profile: Profile) -> int:
    """Return how long a profile lasts before it repeats or ends, in microseconds."""
    return max(1, round(profile.period_s * 1e6))


class Spans:
    """What is asked of each machine, from when to when, cut to the plan's span."""

    def __init__(self, plan: Plan) -> None:
        self.scenarios: dict[int, list[tuple[int, int, Scenario, int]]] = defaultdict(list)
        self.injections: dict[int, list[tuple[int, int, str, float]]] = defaultdict(list)
        for a in plan.activations:
            scenario = plan.scenarios[a.scenario]
            end = NEVER_US if a.end_us is None else a.end_us
            if scenario.profile is not None and scenario.profile.at_end == "end":
                end = min(end, a.start_us + period_us(scenario.profile))
            self.scenarios[a.machine_id].append((a.start_us, end, scenario, a.start_us))
        for i in plan.injections:
            end = NEVER_US if i.end_us is None else i.end_us
            self.injections[i.machine_id].append((i.start_us, end, i.failure_mode, i.level))

    def cuts(self, machine_id: int, plan: Plan) -> list[int]:
        """Return when something is switched from the start on; also after the end, which lives look ahead to."""
        edges = {plan.start_us}
        for span in (*self.scenarios[machine_id], *self.injections[machine_id]):
            edges.update(t for t in span[:2] if plan.start_us < t < NEVER_US)
        return sorted(edges)

    def edges_before(self, machine_id: int, t_us: int) -> set[int]:
        """Return when something began or ended up to a time, and that time."""
        spans = (*self.scenarios[machine_id], *self.injections[machine_id])
        return {t_us} | {t for span in spans for t in span[:2] if t < t_us}

    def at(self, machine_id: int, t_us: int) -> tuple[list[tuple[Scenario, int]], dict[str, float]]:
        active = [(s, origin) for a, b, s, origin in self.scenarios[machine_id] if a <= t_us < b]
        active.sort(key=lambda pair: (pair[0].name, pair[1]))
        levels: dict[str, float] = {}
        for a, b, mode, level in self.injections[machine_id]:
            if a <= t_us < b:
                levels[mode] = max(level, levels.get(mode, 0.0))
        return active, levels


def _scales(effects: list[tuple[str, float]]) -> list[float]:
    """Return what multiplies the load, is added to the ambient and multiplies the fluctuation."""
    scale, offset, variation = 1.0, 0.0, 1.0
    for parameter, value in effects:
        if parameter == "load_factor":
            scale *= value
        elif parameter == "ambient_offset_c":
            offset += value
        elif parameter == "load_variation":
            variation *= value
    return [scale, offset, variation]


def _named_inputs(scenario: Scenario) -> dict[str, str]:
    """Return the parameters that set an input in this scenario; speed_rpm overrides speed_factor."""
    in_rpm = any(e.parameter == "speed_rpm" for e in scenario.effects)
    in_rpm = in_rpm or (scenario.profile is not None and scenario.profile.speed_rpm is not None)
    return {name: column for name, column in _PROFILE_INPUT.items() if not (in_rpm and name == "speed_factor")}


def _inputs(
    active: list[tuple[Scenario, int]], nominal_load: float, rated_rpm: float, tracks: _Tracks
) -> tuple[list[float], list[int], list[int]]:
    """Combine what the active scenarios set: constants, tracks, and the tracks' origins.

    The highest priority wins; among equals a recording, then the largest constant.
    """
    constants = {"load": nominal_load, "speed": 1.0, "ambient": PARAMETERS["ambient_c"].neutral}
    best: dict[str, tuple[int, int, float]] = {}
    track = dict.fromkeys(INPUT_COLUMNS, -1)
    origin = dict.fromkeys(INPUT_COLUMNS, 0)
    for scenario, start_us in active:
        named = _named_inputs(scenario)
        for effect in (e for e in scenario.effects if e.parameter in named):
            column, value = _PROFILE_INPUT[effect.parameter], float(effect.value or 0.0)
            value = value / rated_rpm if effect.parameter == "speed_rpm" else value
            rank = (scenario.priority, 0, value)
            if column not in best or rank > best[column]:
                best[column], constants[column], track[column] = rank, value, -1
        for name, column in named.items():
            if scenario.profile is not None and getattr(scenario.profile, name) is not None:
                rank = (scenario.priority, 1, 0.0)
                if column not in best or rank > best[column]:
                    best[column], origin[column] = rank, start_us
                    track[column] = tracks.number(scenario.profile, name)
    return (
        [constants[c] for c in INPUT_COLUMNS],
        [track[c] for c in INPUT_COLUMNS],
        [origin[c] for c in INPUT_COLUMNS],
    )


def _effect_row(effect: Effect) -> tuple[int, bool, list[float]]:
    """Return the kernel's position of an effect, whether it multiplies, and its form."""
    parameter = PARAMETERS[effect.parameter]
    if parameter.layer == "physics":
        target = PHYSICS_INDEX[effect.parameter]
    else:
        target = N_PHYSICS + SENSOR_INDEX[effect.parameter]
    multiplies = parameter.op == "factor"
    if effect.value is not None:  # a scenario's effect is there in full
        return target, multiplies, [effect.value - 1.0 if multiplies else effect.value, 0.0, 1.0, 0.5]
    return target, multiplies, _effect_form(effect)


def _effect_form(effect: Effect) -> list[float]:
    """Return gain, shape, exponent and peak of a failure mode's effect."""
    return [float(effect.gain or 0.0), 1.0 if effect.shape == "hump" else 0.0, effect.exponent, effect.peak]


def sources(plan: Plan) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """Return the number of each source of effects, and the table of all effects."""
    owners = [(f"failure:{name}", mode.effects) for name, mode in plan.failure_modes.items()]
    owners += [(f"scenario:{name}", s.effects) for name, s in plan.scenarios.items()]
    owners.sort()
    rows = [
        (number, *_effect_row(effect))
        for number, (_, effects) in enumerate(owners)
        for effect in sorted((e for e in effects if e.layer != "input"), key=lambda e: e.parameter)
    ]
    return {name: number for number, (name, _) in enumerate(owners)}, {
        "effect_source": np.array([r[0] for r in rows], np.int64),
        "effect_target": np.array([r[1] for r in rows], np.int64),
        "effect_factor": np.array([r[2] for r in rows], np.bool_),
        "effect_form": np.array([r[3] for r in rows], np.float64).reshape(len(rows), 4),
    }


def compile_plan(plan: Plan) -> Timeline:
    """Return what a plan asks for as arrays; what its failure modes do comes in with the lives.

    Parameters
    ----------
    plan : Plan
        Checked on its construction.

    Returns
    -------
    Timeline
        Machines in the plan's order.
    """
    spans, tracks = Spans(plan), _Tracks()
    numbers, effects = sources(plan)
    level_rows: dict[tuple[float, ...], int] = {}
    columns: dict[str, list[Any]] = defaultdict(list)
    first, machines = [0], np.zeros(len(plan.machines), MACHINE)
    for m, machine in enumerate(plan.machines):
        row, nominal_load = machine_row(machine, plan.machine_types[machine.machine_type])
        for name, value in row.items():
            machines[m][name] = value
        for t_us in spans.cuts(machine.machine_id, plan):
            active, _ = spans.at(machine.machine_id, t_us)
            inputs, track, origin = _inputs(active, nominal_load, row["rated_speed_rpm"], tracks)
            levels = [0.0] * len(numbers)
            for scenario, _ in active:
                levels[numbers[f"scenario:{scenario.name}"]] = 1.0
            columns["start_us"].append(t_us)
            scaling = [(e.parameter, float(e.value or 0.0)) for scenario, _ in active for e in scenario.effects]
            columns["inputs"].append([*inputs, *_scales(scaling), 1.0])
            columns["tracks"].append(track)
            columns["track_start_us"].append(origin)
            columns["level_row"].append(level_rows.setdefault(tuple(levels), len(level_rows)))
        columns["drift_before"].append(_drift_before(plan, spans, machine.machine_id))
        first.append(len(columns["start_us"]))
    return Timeline(
        seed=plan.seed,
        machines=machines,
        channels=_channel_rows(plan),
        first=np.array(first, np.int64),
        drift_before=np.array(columns["drift_before"], np.float64),
        start_us=np.array(columns["start_us"], np.int64),
        inputs=np.array(columns["inputs"], np.float64),
        tracks=np.array(columns["tracks"], np.int64),
        track_start_us=np.array(columns["track_start_us"], np.int64),
        level_row=np.array(columns["level_row"], np.int64),
        levels=np.array(list(level_rows), np.float64).reshape(len(level_rows), len(numbers)),
        **_input_effects(plan, numbers),
        **effects,
        **tracks.arrays(),
    )


def _input_effects(plan: Plan, numbers: dict[str, int]) -> dict[str, np.ndarray]:
    """Return the table of what failure modes do to inputs."""
    rows = [
        (numbers[f"failure:{name}"], INPUT_SCALES.index(e.parameter), _effect_form(e))
        for name, mode in sorted(plan.failure_modes.items())
        for e in mode.effects
        if e.parameter in INPUT_SCALES
    ]
    return {
        "input_source": np.array([r[0] for r in rows], np.int64),
        "input_kind": np.array([r[1] for r in rows], np.int64),
        "input_form": np.array([r[2] for r in rows], np.float64).reshape(len(rows), 4),
    }


def _drift_before(plan: Plan, spans: Spans, machine_id: int) -> list[float]:
    """Return what each instrument that drifts at the run's start has drifted since it began to."""
    drift, start_us = [0.0] * len(CHANNELS), plan.start_us
    for a, b in pairwise(sorted(spans.edges_before(machine_id, start_us))):
        rates, following = (_drift_rates(plan, spans, machine_id, t) for t in (a, b))
        days = (b - a) / physics.DAY_US
        drift = [d + r * days if f != 0.0 else 0.0 for d, r, f in zip(drift, rates, following, strict=True)]
    return drift


def _drift_rates(plan: Plan, spans: Spans, machine_id: int, t_us: int) -> list[float]:
    """Return how fast each instrument drifts at a time, per day."""
    active, damage = spans.at(machine_id, t_us)
    effects = [(effect, 1.0) for scenario, _ in active for effect in scenario.effects]
    effects += [
        (effect, level) for mode, level in sorted(damage.items()) for effect in plan.failure_modes[mode].effects
    ]
    rates = dict.fromkeys(CHANNELS, 0.0)
    for effect, level in effects:
        channel, _, kind = effect.parameter.partition(".")
        if kind == "drift_per_day":
            rates[channel] += effect.at(level)
    return list(rates.values())


def _channel_rows(plan: Plan) -> np.ndarray:
    rows = (plan.channels[name] for name in CHANNELS)
    return np.array([[c.counts_per_unit, c.low, c.high, c.noise_sd, c.noise_fraction] for c in rows], np.float32)


@cache
def state_layout() -> str:
    """Return a fingerprint of the state's layout, so that no state of another version is resumed."""
    return f"{zlib.crc32(repr((STATE.descr, SENSOR_KINDS)).encode()):08x}"
