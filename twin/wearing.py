"""A plan's wear, injections, alarms and conditions, compiled for the walk through the lives."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from twin import lives
from twin.catalog.models import FailureMode
from twin.catalog.parameters import CHANNELS
from twin.catalog.wear import ISO_ZONES_MM_S
from twin.layout import NEVER_US, Timeline
from twin.life_layout import Wearing
from twin.plan import Plan
from twin.timeline import sources, unit_constant

HOUR_US = 3_600_000_000
LEAST_LOAD = 0.1
"""Loads count relative to the nominal load, or to this where a machine's own is next to nothing. [choice]"""
_WEAR_STREAMS = 0x80000000  # the streams of the failure modes: the hash of the name, above all others
_LOAD_EXPONENTS = {"ball": 3.0, "roller": 10.0 / 3.0}  # [std ISO 281]


def mode_stream(name: str) -> int:
    """Return the stream of noise of a failure mode: its own, whatever other modes there are."""
    return _WEAR_STREAMS | zlib.crc32(name.encode())


def compile_wearing(plan: Plan, timeline: Timeline) -> tuple[Wearing, list[str]]:
    """Return what wears, was injected and is watched in a plan, and the modes in their order."""
    modes = sorted(plan.failure_modes)
    definitions = [plan.failure_modes[name] for name in modes]
    numbers, _ = sources(plan)
    references = [lives.reference(timeline, m, _nominal_load(plan, m)) for m in range(len(plan.machines))]
    wears = [plan.wear != "off" and mode.wear is not None for mode in definitions]
    rules = list(plan.alarm_rules.values())
    conditions = [rule for rule in plan.policies if rule.kind in ("condition", "running")] if plan.acting else []
    growing = any(i.time_to_failure_us is not None for i in plan.injections)
    watched = bool(rules or conditions or any(rule.kind == "callable" for rule in plan.policies))
    return (
        Wearing(
            source=np.array([numbers[f"failure:{name}"] for name in modes], np.int64),
            stops=np.array([mode.stops_machine for mode in definitions], np.bool_),
            wears=np.array(wears, np.bool_),
            stream=np.array([mode_stream(name) for name in modes], np.int64),
            **_laws(plan, definitions),
            **_couplings(modes, definitions),
            nominal=np.array([(max(LEAST_LOAD, _nominal_load(plan, m)), r[0]) for m, r in enumerate(references)]),
            hourly=any(wears) or watched or growing,
            **_faults(plan, modes),
            rule_channel=np.array([CHANNELS.index(rule.channel) for rule in rules], np.int64),
            rule_limit=_limits(plan, rules, references),
            rule_back=np.array([1.0 - rule.hysteresis for rule in rules], np.float64),
            rule_trip_h=np.array([rule.trip_h if rule.trip else 0 for rule in rules], np.int64),
            **_conditions(plan, conditions),
            truth_us=plan.truth_us or 0,
            keep_truth=True,
            keep_segments=True,
            keep_readings=False,
        ),
        modes,
    )


def _nominal_load(plan: Plan, m: int) -> float:
    machine = plan.machines[m]
    return unit_constant(machine, plan.machine_types[machine.machine_type], "nominal_load")


def _laws(plan: Plan, definitions: list[FailureMode]) -> dict[str, np.ndarray]:
    """Return the parameters of the modes' wear; where a mode does not wear they are never used."""
    wear = [mode.wear for mode in definitions]
    exponents = np.zeros((len(plan.machines), len(wear)))
    for m, machine in enumerate(plan.machines):
        bearing = plan.machine_types[machine.machine_type].bearing.kind
        for k, law in enumerate(wear):
            if law is not None:
                own = law.load_exponent
                exponents[m, k] = _LOAD_EXPONENTS[bearing] if own == "bearing" else float(own)
    return {
        "shape": np.array([1.0 if law is None else law.shape for law in wear]),
        "life_h": np.array([1.0 if law is None else law.life_h for law in wear]),
        "gradual_share": np.array([0.0 if law is None else law.gradual_share for law in wear]),
        "load_exponent": exponents,
        "speed_exponent": np.array([0.0 if law is None else law.speed_exponent for law in wear]),
        "doubling_k": np.array([0.0 if law is None else law.doubling_k or 0.0 for law in wear]),
    }


def _couplings(modes: list[str], definitions: list[FailureMode]) -> dict[str, np.ndarray]:
    first, others, gains = [0], [], []
    for mode in definitions:
        for other, gain in sorted(mode.wear.accelerated_by.items()) if mode.wear is not None else ():
            if other in modes:
                others.append(modes.index(other))
                gains.append(gain)
        first.append(len(others))
    return {
        "coupling_first": np.array(first, np.int64),
        "coupling_mode": np.array(others, np.int64),
        "coupling_gain": np.array(gains, np.float64),
    }


def _faults(plan: Plan, modes: list[str]) -> dict[str, np.ndarray]:
    """Return the injections by machine, in the order of their ids."""
    first, rows = [0], []
    for machine in plan.machines:
        own = [i for i in plan.injections if i.machine_id == machine.machine_id]
        rows += sorted(own, key=lambda i: (i.failure_mode, i.start_us, i.injection_id))
        first.append(len(rows))
    return {
        "fault_first": np.array(first, np.int64),
        "fault_mode": np.array([modes.index(i.failure_mode) for i in rows], np.int64),
        "fault_start_us": np.array([i.start_us for i in rows], np.int64),
        "fault_end_us": np.array([NEVER_US if i.end_us is None else i.end_us for i in rows], np.int64),
        "fault_level": np.array([i.level for i in rows], np.float64),
        "fault_ttf_h": np.array([(i.time_to_failure_us or 0) / HOUR_US for i in rows], np.float64),
    }


def _limits(plan: Plan, rules: list[Any], references: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Return the limit of each alarm rule on each machine."""
    limits = np.zeros((len(plan.machines), len(rules)))
    for m, machine in enumerate(plan.machines):
        zones = ISO_ZONES_MM_S[plan.machine_types[machine.machine_type].iso_class]
        for r, rule in enumerate(rules):
            if rule.iso_zone is not None:
                limits[m, r] = zones[rule.iso_zone]
            else:
                healthy = float(references[m][1][CHANNELS.index(rule.channel)]) if rule.relative else 1.0
                limits[m, r] = rule.limit * healthy
    return limits


def _conditions(plan: Plan, rules: list[Any]) -> dict[str, np.ndarray]:
    limits = np.zeros((len(plan.machines), len(rules)))
    for m, machine in enumerate(plan.machines):
        zones = ISO_ZONES_MM_S[plan.machine_types[machine.machine_type].iso_class]
        limits[m] = [zones["C/D"] if rule.limit is None else rule.limit for rule in rules]
    hours = [(rule.hold_us if rule.kind == "condition" else rule.every_us - HOUR_US) // HOUR_US for rule in rules]
    channels = [CHANNELS.index(rule.channel) if rule.kind == "condition" else -1 for rule in rules]
    return {
        "condition_channel": np.array(channels, np.int64),
        "condition_limit": limits,
        "condition_hold_h": np.array(hours, np.int64),
        "condition_from_us": np.array([rule.start_us or 0 for rule in rules], np.int64),
        "condition_until_us": np.array([rule.end_us or NEVER_US for rule in rules], np.int64),
    }
