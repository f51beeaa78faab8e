"""Five hundred random plans of machines that wear, fail and are repaired: whatever is asked, this holds.

Parts of the plans: used and new machines, couplings, injected faults, scheduled tasks, technicians with
shifts, rules, failures that nobody repairs, maintenance that halts.
"""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from itertools import pairwise

import numpy as np
import plans
from hypothesis import given, settings
from hypothesis import strategies as st

from twin.catalog.loader import load_catalog
from twin.catalog.models import FailureMode, Technician
from twin.catalog.parameters import CHANNELS
from twin.events import Events
from twin.layout import NEVER_US
from twin.life_layout import FAILED, MAINTENANCE, RUNNING, TRIPPED
from twin.plan import Corrective, Injection, Plan, PlannedTask
from twin.policy import condition, periodic
from twin.simulation import Simulation
from twin.timeline import compile_plan
from twin.what_if import Change, changed
from twin.workshop import Task
from twin.world import World

CATALOG = load_catalog()
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
START_US = 1_767_571_200_000_000  # Monday, 2026-01-05
MODES = ("bearing_degradation", "lubrication_loss", "rotor_imbalance", "motor_overheating", "sensor_drift")


@cache
def mode(name: str, times: float) -> FailureMode:
    """Return a failure mode of the catalog whose lives are shorter by a factor."""
    found = CATALOG.failure_modes[name]
    if found.wear is None:
        return found
    return found.model_copy(
        update={"wear": found.wear.model_copy(update={"life_h": found.wear.life_h / times, "gradual_share": 0.5})}
    )


@st.composite
def lived_plans(draw: st.DrawFn, days: int = 40, interval_us: int = HOUR_US) -> Plan:
    ids = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True))
    span = draw(st.integers(2, days)) * DAY_US
    at = st.integers(-5 * DAY_US, span - 1).map(lambda x: START_US + x)
    times = draw(st.sampled_from([10.0, 50.0, 200.0]))
    injections = []
    for number in range(draw(st.integers(0, 4))):
        start = draw(at)
        end = draw(st.none() | st.integers(1, span).map(lambda x, s=start: s + x))
        growing = draw(st.none() | st.sampled_from([HOUR_US // 2, 6 * HOUR_US, 5 * DAY_US]))
        injections.append(
            Injection(
                injection_id=number + 1,
                failure_mode=draw(st.sampled_from(MODES)),
                machine_id=draw(st.sampled_from(ids)),
                level=draw(st.sampled_from([0.25, 0.5, 0.95])),
                start_us=start,
                end_us=end,
                time_to_failure_us=growing,
            )
        )
    tasks = [
        PlannedTask(
            task_id=number + 1,
            machine_id=draw(st.sampled_from(ids)),
            task_type="preventive",
            action=draw(st.sampled_from(["inspect", "lubricate", "replace_bearing", "balance_rotor", "overhaul"])),
            scheduled_us=draw(st.integers(START_US, START_US + span - 1)),
            duration_us=draw(st.sampled_from([1, HOUR_US // 2, 3 * HOUR_US, 2 * DAY_US])),
            priority=draw(st.sampled_from(["low", "medium", "high", "critical"])),
            status="planned",
        )
        for number in range(draw(st.integers(0, 5)))
    ]
    people = [
        Technician(
            technician_id=f"T-{i}",
            name=f"T {i}",
            skills=("mechanical", "electrical") if i else ("mechanical", "electrical", "instrumentation"),
            hourly_cost=50.0 + i,
            shift_start_h=draw(st.sampled_from([0.0, 6.5, 22.0])),
            shift_end_h=draw(st.sampled_from([22.5, 24.0])),
            weekdays=draw(st.sampled_from(["1234567", "12345", "67"])),
        )
        for i in range(draw(st.integers(0, 2)))
    ]
    rules = draw(
        st.sampled_from(
            [
                (),
                (periodic("5d", "service"),),
                (periodic("90h", "lubricate", running_hours=True),),
                (condition("vibration_mm_s", above=2.0, hold="2h", action="repair", lead="6h"),),
                (condition("temperature_c", above=55.0, hold="0h", lead="0h"), periodic("9d", "balance_rotor")),
            ]
        )
    )
    plan = plans.make(ids, span / 1e6, interval_us, seed=draw(st.integers(0, 2**40)), start_us=START_US)
    return Plan.model_validate(
        {
            **dict(plan),
            "failure_modes": {name: mode(name, times) for name in MODES},
            "injections": tuple(injections),
            "tasks": tuple(sorted(tasks, key=lambda t: (t.machine_id, t.scheduled_us, t.task_id))),
            "technicians": tuple(people),
            "policies": rules,
            "wear": draw(st.sampled_from(["off", "new", "used"])),
            "truth_us": draw(st.sampled_from([HOUR_US, 7 * HOUR_US])),
            "acting": True,
            "corrective": draw(st.sampled_from([None, Corrective(), Corrective(response_us=0, emergency_factor=1.0)])),
            "actions": dict(CATALOG.maintenance_actions),
            "alarm_rules": dict(CATALOG.alarm_rules),
            "halt_us": draw(st.none() | st.integers(START_US, START_US + span)),
        }
    )


def lived(plan: Plan) -> tuple[World, Events]:
    world = World(plan, compile_plan(plan), segments=False)
    world.advance(plan.end_us)
    world.finish()
    return world, world.drain()


def by_machine(events: Events) -> dict[int, np.ndarray]:
    truth = events.truth
    assert truth is not None
    return {m: np.flatnonzero(truth.machine == m) for m in np.unique(truth.machine).tolist()}


@settings(max_examples=200)
@given(lived_plans())
def test_damage_and_remaining_life(plan: Plan) -> None:
    world, events = lived(plan)
    truth = events.truth
    assert truth is not None
    assert (truth.damage >= 0.0).all()
    assert (truth.damage <= 1.0).all()
    cuts = defaultdict(list)  # when damage may fall: repairs end, injections end
    for row in events.log:
        cuts[row["machine_id"]].append(row["end_at"])
    for injection in plan.injections:
        cuts[injection.machine_id].append(NEVER_US if injection.end_us is None else injection.end_us)
    failures = {(row["machine_id"], row["failed_at"]): row for row in events.failures}
    begins = {(t.machine_id, t.started_us) for t in world.tasks if t.started_us is not None}
    for m, rows in by_machine(events).items():
        machine_id = world.ids[m]
        ts, damage, rul, state = truth.ts_us[rows], truth.damage[rows], truth.rul_h[rows], truth.state[rows]
        assert (np.diff(ts) > 0).all()
        for i in range(len(rows) - 1):
            if not any(ts[i] < cut <= ts[i + 1] for cut in cuts[machine_id]):
                assert (damage[i + 1] >= damage[i] - 1e-6).all()
            new_future = any(ts[i] < at <= ts[i + 1] for who, at in begins if who == machine_id)
            if not new_future and not np.isnan(rul[i]) and not np.isnan(rul[i + 1]) and rul[i + 1] > 0.0:
                assert abs(rul[i] - rul[i + 1] - (ts[i + 1] - ts[i]) / HOUR_US) < 1e-9
        assert (rul[state == FAILED] == 0.0).all() or plan.truth_us is None
        own = sorted(at for who, at in failures if who == machine_id)
        for at in own:  # the remaining life of the row before a failure ends in it
            before = np.flatnonzero((ts < at) & (state != FAILED))
            if before.size and not any(ts[before[-1]] < b <= at for who, b in begins if who == machine_id):
                assert abs(rul[before[-1]] - (at - ts[before[-1]]) / HOUR_US) < 1e-9


def never_two_at_once(done: list[Task]) -> None:
    """Check that no technician and no machine has two tasks at one time."""
    for busy in ("done_by", "machine_id"):
        spans: dict[object, list[Task]] = defaultdict(list)
        for task in done:
            if getattr(task, busy) is not None:
                spans[getattr(task, busy)].append(task)
        for own in spans.values():
            own.sort(key=lambda t: t.started_us or 0)
            for one, other in pairwise(own):
                assert (one.started_us or 0) + one.duration_us <= (other.started_us or 0)


@settings(max_examples=150)
@given(lived_plans())
def test_work_is_done_by_people_one_at_a_time_and_paid_for(plan: Plan) -> None:
    world, events = lived(plan)
    people = {t.technician_id: t for t in plan.technicians}
    done = [t for t in world.tasks if t.started_us is not None]
    never_two_at_once(done)
    for task in done:
        assert task.started_us is not None
        assert task.started_us >= task.due_us
        assert task.started_us % 60_000_000 == 0
        assert plan.halt_us is None or task.started_us < plan.halt_us
        assert (task.done_by is None) == (not people)
        if task.done_by is not None:
            person = people[task.done_by]
            assert plan.actions[task.action].skill in person.skills
            day, into = divmod(task.started_us, DAY_US)
            assert str((day + 3) % 7 + 1) in person.weekdays
            assert person.shift_start_h * HOUR_US <= into < person.shift_end_h * HOUR_US
    tasks = {(t.machine_id, t.number): t for t in world.tasks}
    assert len(tasks) == len(world.tasks)
    for row in events.log:
        task = tasks[(row["machine_id"], row["number"])]
        assert (task.status, task.started_us, task.ended_us) == ("done", row["start_at"], row["end_at"])
        hours = task.duration_us / HOUR_US
        rate = people[task.done_by].hourly_cost if task.done_by else 0.0
        factor = plan.corrective.emergency_factor if task.origin == "corrective" and plan.corrective else 1.0
        assert abs(row["labour_cost"] - hours * rate * factor) < 1e-9
        assert abs(row["parts_cost"] - task.parts_cost * factor) < 1e-9
        assert row["cost"] == row["labour_cost"] + row["parts_cost"] + row["downtime_cost"]
    modes = set(plan.failure_modes)
    for row in events.failures:
        assert row["mode"] in modes
        assert row["cause"] in ("wear", "injected", "secondary")
        assert plan.failure_modes[row["mode"]].stops_machine
    if plan.corrective is not None:
        repairs = {(t.machine_id, t.raised_us) for t in world.tasks if t.origin == "corrective"}
        assert {(row["machine_id"], row["failed_at"]) for row in events.failures} == repairs
    truth = events.truth
    assert truth is not None
    for m, rows in by_machine(events).items():
        for i in rows:
            at = int(truth.ts_us[i])
            working = any(t.m == m and (t.started_us or 0) <= at < (t.started_us or 0) + t.duration_us for t in done)
            assert (truth.state[i] == MAINTENANCE) == working


@settings(max_examples=75)
@given(lived_plans())
def test_lives_follow_one_another(plan: Plan) -> None:
    world, events = lived(plan)
    failed = {(r["machine_id"], r["mode"], r["failed_at"]) for r in events.failures if r["cause"] != "injected"}
    assert failed == {(r["machine_id"], r["mode"], r["ended_at"]) for r in events.lives if r["event"]}
    chains = defaultdict(list)
    for row in events.lives:
        assert row["stop_h"] >= row["start_h"] >= 0.0
        assert row["ended_at"] >= row["started_at"]
        chains[(row["machine_id"], row["mode"])].append(row)
    for own in chains.values():
        own.sort(key=lambda r: r["renewal"])
        for one, other in pairwise(own):
            assert other["started_at"] >= one["ended_at"]
            assert other["start_h"] <= one["stop_h"]


@settings(max_examples=50)
@given(lived_plans(days=6, interval_us=600_000_000))
def test_a_machine_that_stands_shows_its_cooling_and_its_instruments_noise(plan: Plan) -> None:
    with Simulation(plan, threads=1) as simulation:
        chunk = simulation.advance(plan.ticks)
    truth = chunk.events.truth
    assert truth is not None
    values = chunk.values.reshape(len(CHANNELS), len(plan.machines), plan.ticks)
    ts = plan.start_us + np.arange(plan.ticks) * plan.interval_us
    limits = {"power_w": 2.0, "current_a": 0.02, "torque_nm": 0.02, "speed_rpm": 12.0, "vibration_g": 0.03}
    for m in range(len(plan.machines)):
        rows = truth.machine == m
        at, state = truth.ts_us[rows], truth.state[rows]
        now = np.searchsorted(at, ts, side="right") - 1
        since = np.searchsorted(at, ts - 120_000_000, side="right") - 1  # two minutes to run down
        stands = np.isin(state[now], (FAILED, MAINTENANCE, TRIPPED))
        stood = np.isin(state[np.maximum(since, 0)], (FAILED, MAINTENANCE, TRIPPED)) & (ts - 120_000_000 >= at[0])
        between = np.array([(state[max(a, 0) : b + 1] != RUNNING).all() for a, b in zip(since, now, strict=True)])
        for name, limit in limits.items():
            readings = values[CHANNELS.index(name), m][stands & stood & between]
            assert readings[~np.isnan(readings)].max(initial=0.0) <= limit, name


@settings(max_examples=60)
@given(lived_plans(), st.data())
def test_worlds_that_part_agree_before(plan: Plan, data: st.DataObject) -> None:
    """And elsewhere at all times, where machines do not share technicians."""
    plan = plan.model_copy(update={"technicians": (), "halt_us": None})
    at = data.draw(st.integers(plan.start_us, plan.end_us - 1))
    who = data.draw(st.sampled_from([m.machine_id for m in plan.machines]))
    action = data.draw(st.sampled_from(["inspect", "replace_bearing", "overhaul"]))
    change = Change(at=np.datetime64(at, "us"), machines=[who], repair=action)
    other, _ = changed(plan, change)
    (_, one), (_, two) = lived(plan), lived(other)
    for kind, moment in (("failures", "failed_at"), ("log", "start_at"), ("lives", "ended_at")):
        kept = [[r for r in getattr(events, kind) if r["machine_id"] != who or r[moment] < at] for events in (one, two)]
        assert kept[0] == kept[1]
    for name in ("damage", "state", "rul_h", "ts_us"):
        parts = []
        for events in (one, two):
            truth = events.truth
            assert truth is not None
            elsewhere = np.array([plan.machines[m].machine_id != who for m in truth.machine.tolist()], bool)
            parts.append(getattr(truth, name)[elsewhere | ((truth.ts_us < at) & (name != "rul_h"))])
        assert np.array_equal(parts[0], parts[1], equal_nan=True)


@settings(max_examples=40)
@given(lived_plans(days=20), st.data())
def test_a_repair_treats_its_modes_and_no_other(plan: Plan, data: st.DataObject) -> None:
    """Against the world in which somebody only looked for as long: every other uncoupled mode, bit for bit."""
    coupled = {"bearing_degradation"}
    at = np.datetime64(data.draw(st.integers(plan.start_us, plan.end_us - DAY_US)), "us")
    who = plan.machines[0].machine_id
    plan = plan.model_copy(update={"policies": (), "corrective": None, "technicians": (), "halt_us": None})
    looked, _ = changed(plan, Change(at=at, machines=[who], repair="inspect"))
    long = {t.number: plan.actions["lubricate"].duration_min for t in looked.tasks if t.number is not None}
    tasks = [
        t if t.number not in long else t.model_copy(update={"duration_us": round(long[t.number] * 60e6)})
        for t in looked.tasks
    ]
    looked = looked.model_copy(update={"tasks": tuple(tasks), "alarm_rules": {}})
    greased, _ = changed(plan, Change(at=at, machines=[who], repair="lubricate"))
    greased = greased.model_copy(update={"alarm_rules": {}})
    (world, one), (_, two) = lived(looked), lived(greased)
    first = [min((r["failed_at"] for r in e.failures if r["machine_id"] == who), default=NEVER_US) for e in (one, two)]
    until = min(first)  # a failure ends the comparison: it stops all clocks
    for k, name in enumerate(world.modes):
        if name == "lubrication_loss" or name in coupled:
            continue
        series = []
        for events in (one, two):
            truth = events.truth
            assert truth is not None
            rows = (truth.machine == 0) & (truth.ts_us < until) & (truth.ts_us % HOUR_US == 0)
            series.append(dict(zip(truth.ts_us[rows].tolist(), truth.damage[rows, k].tolist(), strict=True)))
        if CATALOG.failure_modes[name].wear is None or CATALOG.failure_modes[name].wear.doubling_k is None:
            assert series[0] == series[1]


@settings(max_examples=40)
@given(lived_plans(days=3), st.sampled_from([60_000_000, 600_000_000, 6 * HOUR_US]))
def test_events_do_not_depend_on_the_sampling(plan: Plan, interval_us: int) -> None:
    """Nor on whether there is telemetry at all."""
    told = []
    for update in ({"interval_us": interval_us}, {"interval_us": HOUR_US}, {"telemetry": False}):
        with Simulation(plan.model_copy(update=update), threads=1) as simulation:
            events = simulation.advance(simulation.plan.ticks).events
        truth = events.truth
        assert truth is not None
        rows = truth.ts_us.tobytes() + truth.damage.tobytes() + truth.state.tobytes() + truth.rul_h.tobytes()
        told.append((events.failures, events.log, events.lives, events.tasks(), rows))
    assert told[0] == told[1] == told[2]


@settings(max_examples=30)
@given(lived_plans(days=4, interval_us=600_000_000), st.lists(st.integers(1, 200), min_size=1, max_size=6))
def test_chunks_threads_and_resuming_change_nothing(plan: Plan, sizes: list[int]) -> None:
    with Simulation(plan, threads=1) as simulation:
        whole = simulation.advance(plan.ticks)
    parts, failures = [], []
    simulation = Simulation(plan, threads=2)
    turn = 0
    while simulation.tick < plan.ticks:
        if turn % 3 == 2:
            simulation = Simulation(plan, threads=1).restore(simulation.state())
        chunk = simulation.advance(sizes[turn % len(sizes)])
        parts.append(chunk.values.reshape(len(CHANNELS), len(plan.machines), chunk.ticks).copy())
        failures += chunk.events.failures
        turn += 1
    values = whole.values.reshape(len(CHANNELS), len(plan.machines), plan.ticks)
    assert plans.same(np.ascontiguousarray(np.concatenate(parts, axis=2)), np.ascontiguousarray(values))
    assert sorted(f["failed_at"] for f in failures) == sorted(f["failed_at"] for f in whole.events.failures)


def test_failures_at_a_tenth_of_a_second_a_second_and_an_hour_agree() -> None:
    """Law 3 at the intervals that people use, for two days of fast wear."""
    names = ("bearing_degradation", "lubrication_loss", "motor_overheating")
    told = []
    for interval_us in (100_000, 1_000_000, HOUR_US):
        plan = plans.make((1, 2), 2 * 86_400.0, interval_us, seed=11, start_us=START_US)
        plan = Plan.model_validate(
            {
                **dict(plan),
                "failure_modes": {name: mode(name, 400.0) for name in names},
                "wear": "new",
                "truth_us": HOUR_US,
                "acting": True,
                "corrective": Corrective(response_us=HOUR_US),
                "actions": dict(CATALOG.maintenance_actions),
            }
        )
        rows: list[object] = []
        with Simulation(plan) as simulation:
            while simulation.tick < plan.ticks:
                events = simulation.advance(400_000).events
                truth = events.truth
                rows += [*events.failures, *events.log]
                if truth is not None:
                    rows += list(zip(truth.ts_us.tolist(), truth.machine.tolist(), truth.damage.tolist(), strict=True))
        told.append(sorted(map(repr, rows)))
    assert told[0] == told[1] == told[2]
    assert sum("failed_at" in row for row in told[0]) > 2
