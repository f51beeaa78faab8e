"""The compiled kernel against the slow, plain one of `naive`, and against integration of its equations."""

from __future__ import annotations

import naive
import numpy as np
import plans
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from strategies import random_plans

from twin.catalog.loader import load_catalog
from twin.catalog.parameters import CHANNELS, SEVERITIES
from twin.plan import Plan

CATALOG = load_catalog()


def assert_agrees(plan: Plan, identical: float = 0.97) -> NDArray[np.float32]:
    """Check that both simulations report the same, but for roundings to the neighbouring count."""
    ours, theirs = plans.readings(plan), naive.readings(plan)
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    for c, name in enumerate(CHANNELS):
        step = plan.channels[name].resolution
        difference = np.abs(ours[c] - theirs[c])
        # a 32-bit float carries seven digits through a dozen operations
        assert np.nanmax(difference - 1.01 * step - 3e-6 * np.abs(theirs[c]), initial=0.0) <= 0.0, name
        assert np.mean(difference[~np.isnan(difference)] < 0.5 * step) >= identical, name
    return ours


def test_a_plain_day_agrees() -> None:
    assert_agrees(plans.make((1, 2, 3, 4, 5), 86_400.0, 300 * plans.SECOND_US))


def test_a_busy_plan_agrees() -> None:
    readings = assert_agrees(plans.busy(interval_us=5_700_001))
    assert np.isnan(readings).any()


@pytest.mark.parametrize("name", sorted(plans.scenarios()))
def test_each_scenario_agrees(name: str) -> None:
    assert_agrees(
        plans.make((1, 3), 700.0, 2_900_000, activations=[plans.active(name, m, 55.5, 600.0) for m in (1, 3)])
    )


@pytest.mark.parametrize("name", sorted(plans.modes()))
def test_each_failure_mode_agrees_at_every_severity(name: str) -> None:
    machines = (1, 2, 3, 4)
    faults = [
        plans.injected(name, m, 33.3, 500.0, level=level)
        for m, level in zip(machines, SEVERITIES.values(), strict=True)
    ]
    assert_agrees(plans.make(machines, 600.0, 7_100_000, injections=faults))


def test_a_cold_start_agrees() -> None:
    assert_agrees(plans.make((1, 5), 1800.0, 9_100_000, settled=False))


def test_instruments_that_drift_have_drifted_when_the_run_begins() -> None:
    faults = [
        plans.injected("sensor_drift", 1, -86_400.0, number=1),
        plans.injected("poor_instruments", 2, -5000.0, 300.0, number=2),
        plans.injected("poor_instruments", 2, -3000.0, 100.0, level=0.95, number=3),
        plans.injected("sensor_drift", 3, -9000.0, -100.0, number=4),
    ]
    drifted = assert_agrees(plans.make((1, 2, 3), 600.0, 7_100_000, injections=faults))
    well = plans.readings(plans.make((1, 2, 3), 600.0, 7_100_000))
    assert (drifted[0, 0] - well[0, 0]).mean() == pytest.approx(6.0, abs=0.1)
    assert np.array_equal(drifted[:, 2], well[:, 2])


@settings(max_examples=25)
@given(random_plans(ticks=30))
def test_random_plans_agree(plan: Plan) -> None:
    assert_agrees(plan, identical=0.0)


# -- against the equations --------------------------------------------------------------------


def quiet(plan: Plan) -> Plan:
    """Return the plan with machines that do not fluctuate."""
    calm = {"load_sd": 0.0, "ripple_sd": 0.0, "vibration_sd": 0.0}
    types = {name: kind.model_copy(update=calm) for name, kind in plan.machine_types.items()}
    exact = {"noise_sd": 0.0, "noise_fraction": 0.0}
    channels = {name: channel.model_copy(update=exact) for name, channel in plan.channels.items()}
    return plan.model_copy(update={"machine_types": types, "channels": channels})


def integrated_temperature(plan: Plan, step_s: float, load: float, load_before: float) -> NDArray[np.float64]:
    """Return the housing temperature by integration of tau dT/dt = R heat + air - T after a step of the load."""
    model = naive.Naive(plan, plan.machines[0])
    t = model.plan.start_us
    c, air = model.c, model.state.housing_c - model.resistance(t) * model.heat(load_before, 1.0, t)

    def rate(seconds: float, temperature: NDArray[np.float64]) -> NDArray[np.float64]:
        lagging = load_before
        if seconds > step_s:
            lagging = load + (load_before - load) * np.exp(-(seconds - step_s) / c["load_tau_s"])
        heat = model.heat(float(lagging), 1.0, t)
        return (air + model.resistance(t) * heat - temperature) / c["housing_tau_s"]

    times = np.arange(plan.ticks) * plan.interval_us * 1e-6
    start = [model.state.housing_c]
    solution = solve_ivp(rate, (0.0, times[-1]), start, t_eval=times, max_step=1.0, rtol=1e-8)
    return np.asarray(solution.y[0])


def test_temperature_after_a_load_step_is_that_of_the_equation() -> None:
    plan = plans.make(
        (1,), 3 * 3600.0, 10 * plans.SECOND_US, activations=[plans.active("High load manufacturing", 1, 607.7)]
    )
    plan = quiet(plan)
    ours = plans.readings(plan)[0, 0]
    theirs = integrated_temperature(plan, 607.7, 0.85, 0.60)
    # the weather of the hall, which the integration leaves out, is the same without the step
    without = plans.readings(quiet(plans.make((1,), 3 * 3600.0, 10 * plans.SECOND_US)))[0, 0]
    rise, expected = ours - without, theirs - theirs[0]
    assert expected[-1] > 3.0
    assert np.abs(rise - expected).max() < 0.06


def test_loads_and_speeds_follow_their_lags() -> None:
    plan = quiet(plans.make((1,), 60.0, 100_000, activations=[plans.active("Idle standby", 1, 10.0)]))
    speed = plans.readings(plan)[CHANNELS.index("speed_rpm"), 0]
    seconds = np.arange(plan.ticks) * 0.1
    rated = plan.machine_types["spindle"].rated_speed_rpm
    lag = np.exp(-np.maximum(0.0, seconds - 10.0) / plan.machine_types["spindle"].speed_tau_s)
    expected = np.where(seconds < 10.0, rated, rated * (0.25 + 0.75 * lag))
    assert np.abs(speed - expected).max() <= 0.5 + 1e-3


def test_switching_in_the_middle_of_a_minute_hardly_matters_to_the_heat() -> None:
    """The thermal grid is a convention: cutting it where nothing changes moves no reading visibly."""
    cuts = [plans.active("Normal operation", 1, 7.0 + 13.0 * k, 11.0 + 13.0 * k) for k in range(40)]
    step = plans.active("High load manufacturing", 1, 95.0)
    whole = plans.readings(plans.make((1,), 900.0, activations=[step]))
    cut = plans.readings(plans.make((1,), 900.0, activations=[step, *cuts]))
    assert np.abs(whole[0] - cut[0]).max() < 0.06
    assert np.array_equal(whole[6:], cut[6:])


def test_readings_stay_within_range_and_resolution() -> None:
    plan = plans.busy(interval_us=3_000_000)
    readings = plans.readings(plan)
    for c, name in enumerate(CHANNELS):
        channel = plan.channels[name]
        values = readings[c][~np.isnan(readings[c])].astype(np.float64)
        assert values.min() >= channel.low
        assert values.max() <= channel.high
        counts = np.rint(values * channel.counts_per_unit)
        assert np.array_equal((counts / channel.counts_per_unit).astype(np.float32), values.astype(np.float32)), name


def test_a_reading_beyond_the_range_stays_at_its_end() -> None:
    low = {
        name: c.model_copy(update={"high": 40.0} if name == "temperature_c" else {})
        for name, c in CATALOG.channels.items()
    }
    assert (plans.readings(plans.make((1,), 60.0, channels=low))[0] == 40.0).all()
