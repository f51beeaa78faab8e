"""What holds in every world, in random plans of a few machines over days to a year."""

from __future__ import annotations

from itertools import pairwise

import invariants
import numpy as np
import plans
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from invariants import Told
from strategies import SPANS_H, random_lives

from twin.catalog.parameters import CHANNELS
from twin.life_layout import RUNNING
from twin.plan import Plan

MANY = {"deadline": None, "suppress_health_check": list(HealthCheck)}
MINUTE_US = 60_000_000
HOUR_US = plans.HOUR_US


def assert_sound(plan: Plan) -> None:
    told = Told.of(plan)
    invariants.check_failures(told)
    invariants.check_work(told)
    invariants.check_people(told)
    invariants.check_costs(told)
    invariants.check_lives(told)
    invariants.check_damage(told)
    invariants.check_states(told)
    if foresees(plan):
        invariants.check_rul(told)


def foresees(plan: Plan) -> bool:
    """Return whether remaining lives are looked for (see test_world for the plans in which they are not)."""
    growing = any(i.time_to_failure_us is not None for i in plan.injections)
    conditions = any(rule.kind in ("condition", "running") for rule in plan.policies)
    return plan.wear != "off" or growing or conditions or bool(plan.alarm_rules)


@pytest.mark.slow
@settings(max_examples=300, **MANY)
@given(random_lives())
def test_random_worlds_keep_their_invariants(plan: Plan) -> None:
    assert_sound(plan)


@settings(max_examples=20, **MANY)
@given(random_lives(SPANS_H[:2]))
def test_random_worlds_of_days_keep_their_invariants(plan: Plan) -> None:
    assert_sound(plan)


# -- remaining life where a repair cut it off -------------------------------------------------


def unrepaired(plan: Plan, machine_id: int, begin_us: int, expected_us: int) -> int | None:
    """Return when a machine fails first if no work begins from a time on (looked for until it is expected)."""
    pair = plan.model_copy(update={"halt_us": begin_us, "end_us": expected_us + HOUR_US, "truth_us": None})
    failed = [f["failed_at"] for f in plans.lived(pair).failures if f["machine_id"] == machine_id]
    return next((at for at in failed if at >= begin_us), None)


def censored(told: Told, longest_h: float = 5000.0) -> list[tuple[int, int, int]]:
    """Return machine, begin of work and expected failure where work cut a known remaining life off."""
    found = []
    for machine_id in told.ids():
        for _, end, rows in invariants.epochs(told, machine_id):
            living = [(ts, rul) for ts, state, rul in rows if state == RUNNING and rul]
            if end < invariants.FOREVER and living:
                ts, rul = living[-1]
                assert rul is not None
                expected = ts + round(rul * HOUR_US)
                if expected >= end and rul < longest_h:
                    found.append((machine_id, end, expected))
    return found


def assert_foreseen(plan: Plan, within_us: int, most: int = 2) -> None:
    for machine_id, begin_us, expected_us in censored(Told.of(plan))[:most]:
        failed_us = unrepaired(plan, machine_id, begin_us, expected_us)
        assert failed_us is not None
        assert abs(failed_us - expected_us) <= within_us


@pytest.mark.slow
@settings(max_examples=80, **MANY)
@given(random_lives(SPANS_H[:3], staffed=False))
def test_censored_lives_would_have_ended_when_their_remaining_life_says(plan: Plan) -> None:
    """Without what makes the cells' cuts felt (couplings, temperature), to the microsecond."""
    plan = plan.model_copy(
        update={
            "failure_modes": {
                n: m
                if m.wear is None
                else m.model_copy(update={"wear": m.wear.model_copy(update={"accelerated_by": {}, "doubling_k": None})})
                for n, m in plan.failure_modes.items()
            }
        }
    )
    assert_foreseen(plan, 1)


COUPLED = {"lubrication_loss": 20.0, "rotor_imbalance": 20.0, "motor_overheating": 20.0}


def coupled_repairs() -> Plan:
    modes = plans.wearing(0.05)
    bearing = modes["bearing_degradation"]
    assert bearing.wear is not None
    hurt = bearing.wear.model_copy(update={"accelerated_by": COUPLED})
    modes["bearing_degradation"] = bearing.model_copy(update={"wear": hurt})
    tasks = tuple(plans.work(m, "inspect", 20.3 + 7.9 * m + 31.0 * i) for m in (1, 2, 3) for i in range(6))
    return plans.lively((1, 2, 3), 300.0, failure_modes=modes, tasks=tasks)


def test_censored_lives_of_coupled_modes_end_nearly_as_foreseen() -> None:
    assert_foreseen(coupled_repairs(), MINUTE_US, 99)


@pytest.mark.xfail(reason="the look ahead begins in the middle of an hour: the cut shows damage, and so wears, earlier")
def test_censored_lives_of_coupled_modes_end_exactly_as_foreseen() -> None:
    assert_foreseen(coupled_repairs(), 1, 99)


# -- what instruments show of a machine that stands -------------------------------------------

SILENT = ("power_w", "current_a", "torque_nm", "speed_rpm", "vibration_g", "vibration_mm_s")


def standing(told: Told, machine_id: int) -> list[tuple[int, int]]:
    """Return the spans in which a machine does not run."""
    found: list[tuple[int, int]] = []
    truth = told.truth(machine_id)
    failed = {f["failed_at"] for f in told.of_machine(told.events.failures, machine_id)}
    ends = [ts for ts, _, _, _ in truth[1:]] + [told.plan.end_us]
    for (begin, state, _, _), end in zip(truth, ends, strict=True):
        if state == RUNNING and begin not in failed:
            continue
        if found and found[-1][1] == begin:
            begin = found.pop()[0]
        found.append((begin, end))
    return found


def assert_silent(plan: Plan) -> None:
    """Check that a minute after it stopped a machine shows nothing but noise, and otherwise that it works."""
    readings, events = plans.told(plan)
    told = Told(plan, events, events.tasks())
    times = plan.start_us + np.arange(plan.ticks, dtype=np.int64) * plan.interval_us
    unwell = {i.machine_id for i in plan.injections if plan.failure_modes[i.failure_mode].category == "sensor"}
    for m, machine_id in enumerate(told.ids()):
        if machine_id in unwell:
            continue
        spans = standing(told, machine_id)
        stands, runs = np.zeros(plan.ticks, bool), np.ones(plan.ticks, bool)
        for begin, end in spans:
            stands |= (times >= begin + 2 * MINUTE_US) & (times < end)
            runs &= (times < begin) | (times >= end + MINUTE_US)
        for name in SILENT:
            channel, values = plan.channels[name], readings[CHANNELS.index(name), m, stands]
            assert (values <= 7.0 * channel.noise_sd + channel.resolution).all(), (name, values.max())
        assert (readings[CHANNELS.index("power_w"), m, runs] > 5.0).all()


@pytest.mark.slow
@settings(max_examples=100, **MANY)
@given(random_lives(SPANS_H[:3], staffed=False), st.sampled_from([HOUR_US, 7 * MINUTE_US]))
def test_a_machine_that_stands_shows_nothing_but_noise(plan: Plan, interval_us: int) -> None:
    assume((plan.end_us - plan.start_us) // interval_us < 20_000)
    assert_silent(plan.model_copy(update={"telemetry": True, "interval_us": interval_us, "truth_us": HOUR_US}))


def test_a_machine_that_failed_cools_down_as_its_time_constant_says() -> None:
    plan = plans.lively(
        (1, 2, 3, 4, 5), 40.0, failure_modes=plans.wearing(0.002), corrective=None, interval_us=MINUTE_US
    )
    readings, events = plans.told(plan)
    times = plan.start_us + np.arange(plan.ticks, dtype=np.int64) * plan.interval_us
    assert len(events.failures) == 5
    for m, row in enumerate(sorted(events.failures, key=lambda f: f["machine_id"])):
        after = times >= row["failed_at"]
        temperature = readings[0, m, after].astype(float)
        hours = (times[after] - row["failed_at"]) / HOUR_US
        early, late = temperature[hours < 0.1].mean(), temperature[hours > 5.0]
        assert early > 35.0
        assert np.abs(late - 22.0).max() < 3.0  # the hall's weather
        smooth = np.array([temperature[(hours >= h) & (hours < h + 0.2)].mean() for h in np.arange(0.0, 2.0, 0.2)])
        rising = [b - a for a, b in pairwise(smooth) if a > 26.0]
        assert max(rising) < 0.0
