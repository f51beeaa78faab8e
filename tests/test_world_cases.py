"""Worlds one by one: each of these was once found to break a law, or to surprise."""

from __future__ import annotations

import plans
import pytest

from twin import parts
from twin.agenda import periodic_tasks
from twin.catalog.loader import load_catalog
from twin.catalog.models import AlarmRule, Technician, Wear, scenario_from_inputs
from twin.errors import BadRequest
from twin.events import Events
from twin.layout import NEVER_US
from twin.life_layout import MAINTENANCE
from twin.plan import Activation, Corrective, Plan
from twin.policy import Rule, parse
from twin.timeline import compile_plan
from twin.times import to_datetime
from twin.what_if import Change, changed
from twin.world import World

CATALOG = load_catalog()
HOUR_US = plans.HOUR_US


def technician(weekdays: str) -> Technician:
    """Return somebody who knows everything, and is there for an hour on some days."""
    skills = ("mechanical", "electrical", "instrumentation")
    hours = {"shift_start_h": 8.0, "shift_end_h": 9.0}
    return Technician(technician_id="T", name="T", skills=skills, weekdays=weekdays, **hours)


def active(scenario: str, machine_id: int, start_h: float) -> Activation:
    return Activation(scenario=scenario, machine_id=machine_id, start_us=plans.hour(start_h))


def after(plan: Plan, hours: float, **change: object) -> Plan:
    """Return a plan with a change, hours after `plans.MONDAY_US`."""
    return changed(plan, Change(at=to_datetime(plans.hour(hours)), **change))[0]  # type: ignore[arg-type]


def assert_same(plan: Plan, one: Events, other: Events) -> None:
    assert plans.rows_of(plan, one) == plans.rows_of(plan, other)
    assert plans.truth_of(plan, one) == plans.truth_of(plan, other)


# -- machines that wait for somebody ----------------------------------------------------------


def test_the_truth_of_a_machine_that_waits_for_somebody_is_told() -> None:
    plan = plans.lively((1, 2), 100.0, failure_modes=plans.wearing(0.005), technicians=(technician("1"),))
    times = [row[0] for row in plans.truth_of(plan, plans.lived(plan))[1]]
    assert times[-1] == plans.hour(99.0)
    assert_same(plan, plans.lived(plan), plans.lived(plan, 7))


def test_the_signals_of_a_machine_that_waits_for_somebody_follow_the_plan() -> None:
    plan = plans.lively(
        (3,),
        100.0,
        failure_modes=plans.wearing(0.005),
        technicians=(technician("1"),),
        scenarios={"Hot": scenario_from_inputs("Hot", ambient_c=45.0)},
        activations=(active("Hot", 3, 30.0),),
    )
    at_once = plans.readings(plan)
    assert at_once[0, 0, 50] > 40.0
    assert plans.same(at_once, plans.readings(plan, 7))


def test_a_machine_that_waited_for_long_is_in_maintenance_from_when_it_is_worked_on() -> None:
    """Also where more is noted meanwhile than the notes have room for."""
    modes, who = plans.wearing(0.002), (technician("3"),)
    plan = plans.lively((1,), 60.0, failure_modes=modes, technicians=who, truth_us=20_000_000)
    states = dict(plans.truth_of(plan, plans.lived(plan), "state")[1])
    assert min(ts for ts, state in states.items() if state == MAINTENANCE) == plans.hour(56.0)


def test_what_fails_where_nobody_looks_is_dead_and_stays_it() -> None:
    tasks = (plans.work(1, "inspect", 60.0),)
    plan = plans.lively((1,), 100.0, corrective=None, tasks=tasks)
    failed_us = plans.lived(plan).failures[0]["failed_at"]
    assert {rul for ts, rul in plans.truth_of(plan, plans.lived(plan), "rul_h")[1] if ts >= failed_us} == {0.0}
    assert_same(plan, plans.lived(plan), plans.lived(plan, 1))


# -- the truth's grid -------------------------------------------------------------------------


@pytest.mark.parametrize("truth_us", [None, 7 * 60_000_000, 24 * HOUR_US])
def test_what_happens_does_not_depend_on_how_often_the_truth_is_told(truth_us: int | None) -> None:
    """But for a rounding to the next microsecond: an age is the sum of more intervals."""
    plan = plans.lively((1, 2, 3, 4, 5), 800.0)
    one, other = (
        [(f["machine_id"], f["mode"], f["cause"], f["failed_at"]) for f in plans.lived(p).failures]
        for p in (plan, plan.model_copy(update={"truth_us": truth_us}))
    )
    assert [f[:3] for f in one] == [f[:3] for f in other]
    assert max(abs(a[3] - b[3]) for a, b in zip(one, other, strict=True)) <= 10


# -- remaining life ---------------------------------------------------------------------------


def test_remaining_life_of_coupled_modes_does_not_depend_on_chunks() -> None:
    tasks = tuple(plans.work(m, "inspect", 20.3 + 7.9 * m + 31.0 * i) for m in (1, 2, 3) for i in range(4))
    plan = plans.lively((1, 2, 3), 400.0, tasks=tasks)
    assert_same(plan, plans.lived(plan), plans.lived(plan, 1))


def test_trips_count_in_remaining_life() -> None:
    """A machine that trips all the time hardly runs, and its remaining life is long."""
    rules = {
        "always": AlarmRule(name="always", channel="vibration_g", limit=0.01),
        "trip": AlarmRule(name="trip", channel="power_w", limit=1.0, trip=True, trip_h=2),
    }
    plan = plans.lively((1,), 500.0, alarm_rules=rules, corrective=None)
    assert_same(plan, plans.lived(plan, 1), plans.lived(plan))


@pytest.mark.parametrize("step_h", [1, 24])
def test_remaining_life_without_an_interval_of_the_truth_does_not_depend_on_chunks(step_h: int) -> None:
    plan = plans.lively((1, 2), 400.0, truth_us=None)
    assert_same(plan, plans.lived(plan, step_h), plans.lived(plan))


def test_remaining_life_before_a_step_to_full_damage_does_not_depend_on_chunks() -> None:
    fault = plans.put_in("bearing_degradation", 1, 7.5, level=1.0)
    plan = plans.lively((1,), 20.0, wear="off", injections=(fault,))
    assert_same(plan, plans.lived(plan, 1), plans.lived(plan))


def test_the_horizon_of_remaining_life_does_not_depend_on_chunks() -> None:
    law = Wear(shape=20.0, life_h=87_900.0, load_exponent=0.0, speed_exponent=0.0)
    bearing = CATALOG.failure_modes["bearing_degradation"].model_copy(update={"wear": law})
    plan = plans.lively(range(1, 9), 1000.0, failure_modes={"bearing_degradation": bearing}, truth_us=24 * HOUR_US)
    assert_same(plan, plans.lived(plan, 24), plans.lived(plan))


def test_an_injection_that_has_grown_takes_no_more_steps() -> None:
    fault = plans.put_in("sensor_drift", 1, 1.0, level=0.5, ttf_h=1.0)
    plan = plans.lively((1,), 24.0, wear="off", failure_modes=plans.modes(), injections=(fault,), truth_us=None)
    world = World(plan, compile_plan(plan))
    world.advance(plans.hour(10.0))
    assert parts.fault_grid_us(world.wearing, 0, plans.hour(10.0), world.lives.faults) == NEVER_US


# -- what-if ----------------------------------------------------------------------------------


def test_halting_a_halted_world_is_not_felt_before() -> None:
    plan = plans.lively((1,), 200.0, tasks=(plans.work(1, "inspect", 50.0),), halt_us=plans.hour(30.0))
    assert not plans.lived(plan).log
    assert not plans.lived(after(plan, 100.0, maintenance=False)).log


def test_a_repair_in_a_halted_world_is_refused() -> None:
    plan = plans.lively((1,), 200.0, halt_us=plans.hour(30.0))
    with pytest.raises(BadRequest, match="no work begins"):
        after(plan, 100.0, repair="overhaul", machines=1)


def test_a_repair_in_a_world_without_maintenance_is_not_felt_before() -> None:
    tasks = (plans.work(2, "overhaul", 10.0),)
    plan = plans.lively((1, 2), 100.0, acting=False, corrective=None, tasks=tasks)
    other = after(plan, 36.0, repair="inspect", machines=1)
    assert [row["machine_id"] for row in plans.lived(other).log] == [1]


def test_a_policy_in_a_world_without_maintenance_acts() -> None:
    plan = plans.lively((1,), 300.0, acting=False, corrective=None, failure_modes=plans.wearing(1.0))
    assert plans.lived(after(plan, 36.0, policy="periodic:2d")).log


def test_a_scenario_that_is_active_already_is_refused() -> None:
    draught, acts = plans.scenarios()["Draught"], (active("Draught", 1, 0.0),)
    plan = plans.lively((1,), 50.0, wear="off", scenarios={"Draught": draught}, activations=acts)
    with pytest.raises(BadRequest, match="active on M-001 at that time already"):
        after(plan, 20.0, machines=1, scenario=draught)


# -- work orders and their price --------------------------------------------------------------


def test_every_work_order_has_a_number_of_its_own() -> None:
    rules = tuple(Rule(kind="periodic", action="inspect", every_us=HOUR_US) for _ in range(2))
    numbers = [task.number for task in periodic_tasks(plans.lively((1,), 24.0 * 430, policies=rules))]
    assert len(set(numbers)) == len(numbers)


def test_a_repair_has_a_number_of_its_own_beside_many_rules() -> None:
    rules = tuple(Rule(kind="periodic", action="inspect", every_us=50 * HOUR_US) for _ in range(5))
    other = after(plans.lively((1, 2), 300.0, policies=rules), 100.3, repair="overhaul", machines=[1, 2])
    numbers = [(task.machine_id, task.number) for task in World(other, compile_plan(other)).tasks]
    assert len(set(numbers)) == len(numbers)


def test_no_hour_of_standstill_is_charged_twice() -> None:
    tasks = (plans.work(1, "inspect", 60.0),)
    plan = plans.lively((1,), 200.0, corrective=Corrective(response_us=50 * HOUR_US), tasks=tasks)
    events = plans.lived(plan)
    rate = plan.machine_types["spindle"].downtime_cost_per_h
    stood_h = sum(row["downtime_cost"] for row in events.log[:2]) / rate
    begin, end = events.failures[0]["failed_at"], events.log[1]["end_at"]
    assert stood_h <= (end - begin) / HOUR_US + 1e-9


def test_hours_of_work_count_on_past_other_work() -> None:
    looks = tuple(plans.work(1, "inspect", 150.0 * k + 10.0, 0.5) for k in range(4))
    rules = parse("running:200h:lubricate")[0]
    plan = plans.lively((1,), 600.0, policies=rules, tasks=looks, failure_modes=plans.wearing(50.0))
    assert sum(row["action"] == "lubricate" for row in plans.lived(plan).log) == 2


# -- rates ------------------------------------------------------------------------------------


def test_a_machine_without_a_nominal_load_does_not_fail_at_once() -> None:
    idle = CATALOG.machine_types["spindle"].model_copy(update={"nominal_load": 0.0})
    plan = plans.lively(
        (1,),
        48.0,
        failure_modes=plans.wearing(1.0),
        machine_types={"spindle": idle},
        scenarios={"Duty": scenario_from_inputs("Duty", load=0.5)},
        activations=(active("Duty", 1, 0.0),),
    )
    assert not plans.lived(plan).failures
