"""What must hold in every world, whatever the plan asks for: checks of what has been told of it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import plans
import pytest

from twin.events import Events
from twin.life_layout import FAILED, MAINTENANCE, RUNNING, TRIPPED
from twin.plan import Plan

Row = dict[str, Any]
HOUR_US = plans.HOUR_US
DAY_US = 24 * HOUR_US
MINUTE_US = 60_000_000
FOREVER = 2**63


@dataclass
class Told:
    """What a world told, machine by machine."""

    plan: Plan
    events: Events
    tasks: list[Row]

    @classmethod
    def of(cls, plan: Plan) -> Told:
        events = plans.lived(plan)
        return cls(plan, events, events.tasks())

    def ids(self) -> list[int]:
        return [m.machine_id for m in self.plan.machines]

    def of_machine(self, rows: list[Row], machine_id: int) -> list[Row]:
        return [row for row in rows if row["machine_id"] == machine_id]

    def works(self, machine_id: int) -> list[tuple[int, int, Row]]:
        """Return begin, end and work order of all work on a machine, also what the plan's end cuts off."""
        rows = [row for row in self.of_machine(self.tasks, machine_id) if row["started_at"] is not None]
        spans = [(row["started_at"], row["started_at"] + duration_us(row), row) for row in rows]
        return sorted(spans, key=lambda span: span[:2])

    def truth(self, machine_id: int) -> list[tuple[int, int, tuple[float, ...], float | None]]:
        return plans.truth_of(self.plan, self.events)[machine_id]  # type: ignore[return-value]


def duration_us(row: Row) -> int:
    return round(row["duration_min"] * 60e6)


def check_failures(told: Told) -> None:
    """Each has a mode that stops machines and a cause that is possible; a machine fails only while it runs."""
    plan = told.plan
    for failure in told.events.failures:
        mode, at = plan.failure_modes[failure["mode"]], failure["failed_at"]
        assert mode.stops_machine
        assert plan.start_us <= at < plan.end_us
        if failure["cause"] == "injected":
            assert any(
                i.machine_id == failure["machine_id"]
                and i.failure_mode == mode.name
                and i.start_us <= at
                and (i.end_us is None or at <= i.end_us)
                for i in plan.injections
            )
        else:
            assert failure["cause"] in ("wear", "secondary")
            assert plan.wear != "off"
            assert mode.wear is not None
            if failure["cause"] == "secondary":
                assert mode.wear.accelerated_by
    for machine_id in told.ids():
        failed = [f["failed_at"] for f in told.of_machine(told.events.failures, machine_id)]
        works = told.works(machine_id)
        for one, other in pairwise(sorted(failed)):  # between two failures it was repaired
            assert any(one <= begin and end <= other for begin, end, _ in works)
        assert not any(begin < at < end for at in failed for begin, end, _ in works)


def check_work(told: Told) -> None:
    """Work orders and log agree; statuses fit the times; a machine is worked on by one at a time."""
    plan, halt_us = told.plan, told.plan.halt_us
    orders = {(row["machine_id"], row["number"]): row for row in told.tasks}
    assert len(orders) == len(told.tasks)
    logged = {(row["machine_id"], row["number"]) for row in told.events.log}
    assert len(logged) == len(told.events.log)
    assert logged == {key for key, row in orders.items() if row["status"] == "done"}
    for row in told.events.log:
        order = orders[row["machine_id"], row["number"]]
        same = ("action", "task_type", "technician_id", "task_id")
        assert [row[name] for name in same] == [order[name] for name in same]
        assert (row["start_at"], row["end_at"]) == (order["started_at"], order["ended_at"])
    for row in told.tasks:
        check_status(plan, row)
        if row["started_at"] is not None:
            assert row["started_at"] >= max(row["due_at"], row["raised_at"])
            assert row["started_at"] % MINUTE_US == 0
            assert row["started_at"] < plan.end_us
            assert halt_us is None or row["started_at"] < halt_us
    for machine_id in told.ids():
        for (_, end, _), (begin, _, _) in pairwise(told.works(machine_id)):
            assert end <= begin


def check_status(plan: Plan, row: Row) -> None:
    started, ended, status = row["started_at"], row["ended_at"], row["status"]
    if status == "done":
        assert ended - started == duration_us(row)
        assert ended <= plan.end_us
    elif status == "in_progress":
        assert ended is None
        assert started + duration_us(row) > plan.end_us
    else:
        assert started is None
        assert ended is None
        if status == "cancelled":
            assert row["origin"] == "corrective"
        else:
            assert status == ("overdue" if row["due_at"] + DAY_US <= plan.end_us else "planned")


def check_people(told: Told) -> None:
    """Nobody is in two places, does what they do not know, or begins off shift; somebody did it if there is anybody."""
    people = {t.technician_id: t for t in told.plan.technicians}
    busy: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in told.tasks:
        if row["started_at"] is None:
            continue
        who, begin = row["technician_id"], row["started_at"]
        assert (who is not None) == bool(people)
        if who is None:
            continue
        busy[who].append((begin, begin + duration_us(row)))
        assert told.plan.actions[row["action"]].skill in people[who].skills
        moment = dt.datetime.fromtimestamp(begin / 1e6, dt.UTC)
        assert str(moment.isoweekday()) in people[who].weekdays
        assert people[who].shift_start_h <= moment.hour + moment.minute / 60.0 < people[who].shift_end_h
    for spans in busy.values():
        for (_, end), (begin, _) in pairwise(sorted(spans)):
            assert end <= begin
    asked = {t.number: t.technician_id for t in told.plan.tasks if t.number is not None}
    for row in told.tasks:
        if asked.get(row["number"]) is not None and row["started_at"] is not None:
            assert row["technician_id"] == asked[row["number"]]


def check_costs(told: Told) -> None:
    """Cost is labour, parts and downtime; what nobody planned costs more."""
    plan = told.plan
    rates = {t.technician_id: t.hourly_cost for t in plan.technicians}
    orders = {(row["machine_id"], row["number"]): row for row in told.tasks}
    types = {m.machine_id: plan.machine_types[m.machine_type] for m in plan.machines}
    factor = 1.0 if plan.corrective is None else plan.corrective.emergency_factor
    failures = defaultdict(list)
    for failure in told.events.failures:
        failures[failure["machine_id"]].append(failure["failed_at"])
    for row in told.events.log:
        order = orders[row["machine_id"], row["number"]]
        emergency = factor if order["origin"] == "corrective" else 1.0
        labour = rates.get(row["technician_id"], 0.0) * (row["end_at"] - row["start_at"]) / HOUR_US * emergency
        assert row["labour_cost"] == pytest.approx(labour)
        if order["origin"] not in ("planned", "callable"):
            assert row["parts_cost"] == pytest.approx(plan.actions[row["action"]].parts_cost * emergency)
        assert row["cost"] == pytest.approx(row["labour_cost"] + row["parts_cost"] + row["downtime_cost"])
        rate = types[row["machine_id"]].downtime_cost_per_h
        stood_us = row["downtime_cost"] / rate * HOUR_US
        begun = row["end_at"] - stood_us
        assert begun == pytest.approx(row["start_at"], abs=1e3) or any(
            at == pytest.approx(begun, abs=1e3) for at in failures[row["machine_id"]]
        )


def check_downtime(told: Told) -> None:
    """No hour of standstill is charged twice."""
    for machine in told.plan.machines:
        rate = told.plan.machine_types[machine.machine_type].downtime_cost_per_h
        spans = [
            (row["end_at"] - round(row["downtime_cost"] / rate * HOUR_US), row["end_at"])
            for row in told.of_machine(told.events.log, machine.machine_id)
        ]
        for (_, end), (begin, _) in pairwise(sorted(spans, key=lambda span: span[1])):
            assert end <= begin + 1000


def check_damage(told: Told) -> None:
    """Damage stays within 0 and 1, and falls only where something is repaired or cleared."""
    plan, modes = told.plan, sorted(told.plan.failure_modes)
    for machine_id in told.ids():
        truth = told.truth(machine_id)
        damage = np.array([row[2] for row in truth]).reshape(len(truth), len(modes))
        assert (damage >= 0.0).all()
        assert (damage <= 1.0).all()
        falls: dict[str, list[int]] = defaultdict(list)
        for _, end, row in told.works(machine_id):
            for mode in plan.actions[row["action"]].restores:
                falls[mode].append(end)
        for i in plan.injections:
            if i.machine_id == machine_id and i.end_us is not None:
                falls[i.failure_mode].append(i.end_us)
        times = [row[0] for row in truth]
        assert times == sorted(set(times))
        for j, k in zip(*np.nonzero(np.diff(damage, axis=0) < 0.0), strict=True):
            assert any(times[j] < at <= times[j + 1] for at in falls[modes[k]]), (modes[k], times[j])


def check_states(told: Told) -> None:
    """A machine is in maintenance from begin to end of its work, failed from a failure to there, and says so."""
    for machine_id in told.ids():
        works = told.works(machine_id)
        failed = sorted(f["failed_at"] for f in told.of_machine(told.events.failures, machine_id))
        truth = told.truth(machine_id)
        for ts, state, _, _ in truth:
            worked_on = any(begin <= ts < end for begin, end, _ in works)
            if ts not in failed:  # see test_lives.test_a_failure_at_a_whole_hour_is_seen_at_that_hour
                assert (state == MAINTENANCE) == worked_on, (machine_id, ts, state)
            if state == FAILED:
                assert any(at <= ts for at in failed)
            if state == TRIPPED:
                assert any(rule.trip for rule in told.plan.alarm_rules.values())
        times = {ts for ts, _, _, _ in truth}
        first, last = {begin for begin, _, _ in works}, {end for _, end, _ in works if end < told.plan.end_us}
        changes = (first ^ last) | (set(failed) - first)
        if told.plan.technicians:  # see test_world.test_the_truth_of_a_machine_that_waits_for_somebody_is_told
            changes = {at for at in changes if not any(f <= at for f in failed)}
        for at in changes:
            assert at in times  # each change has its row
        states = {ts: state for ts, state, _, _ in truth}
        causes = {f["failed_at"]: f["cause"] for f in told.of_machine(told.events.failures, machine_id)}
        for ts, state in states.items():  # what has failed stands until it is worked on
            last = max((at for at in failed if at <= ts), default=None)
            if last is not None and not any(last <= begin <= ts for begin, _, _ in works):
                assert state == FAILED or (ts == last and causes[ts] == "injected"), (machine_id, ts, state)
        if not failed and not works and not any(r.trip for r in told.plan.alarm_rules.values()):
            assert {state for _, state, _, _ in truth} == {RUNNING}


def check_grid(told: Told) -> None:
    """The truth has a row at each whole interval, from the plan's start to its end."""
    plan = told.plan
    assert plan.truth_us is not None
    first = -(-plan.start_us // plan.truth_us) * plan.truth_us
    for machine_id in told.ids():
        times = {ts for ts, _, _, _ in told.truth(machine_id)}
        assert plan.start_us in times
        assert set(range(first, plan.end_us, plan.truth_us)) <= times


def check_lives(told: Told) -> None:
    """Lives of a part follow each other; what a repair leaves of one's age the next begins with."""
    plan = told.plan
    lives: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for row in told.events.lives:
        lives[row["machine_id"], row["mode"]].append(row)
    wearing = [n for n, m in plan.failure_modes.items() if m.wear is not None and plan.wear != "off"]
    assert set(lives) == {(m, mode) for m in told.ids() for mode in wearing}
    failures = {
        (f["machine_id"], f["mode"], f["failed_at"], f["cause"])
        for f in told.events.failures
        if f["cause"] != "injected"
    }
    ended = set()
    for (machine_id, mode), rows in lives.items():
        rows.sort(key=lambda row: row["renewal"])
        assert [row["renewal"] for row in rows] == list(range(len(rows)))
        assert rows[0]["started_at"] == plan.start_us
        assert (rows[0]["start_h"] > 0.0) == (plan.wear == "used")
        for row in rows:
            assert row["stop_h"] >= row["start_h"] >= 0.0
            assert row["ended_at"] >= row["started_at"]
            assert row["event"] == (row["cause"] in ("wear", "secondary"))
            if row["event"]:
                ended.add((machine_id, mode, row["ended_at"], row["cause"]))
        for one, other in pairwise(rows):
            check_renewal(told, machine_id, mode, one, other)
        assert rows[-1]["cause"] != "repair"
        assert rows[-1]["event"] or rows[-1]["ended_at"] == plan.end_us
    assert ended == failures


def check_renewal(told: Told, machine_id: int, mode: str, one: Row, other: Row) -> None:
    actions = [
        told.plan.actions[row["action"]].restores.get(mode, 0.0)
        for _, end, row in told.works(machine_id)
        if end == other["started_at"] and row["status"] == "done"
    ]
    assert len(actions) == 1
    assert one["cause"] in ("wear", "secondary", "repair")
    assert one["ended_at"] <= other["started_at"]
    assert one["event"] or one["ended_at"] == other["started_at"]
    assert other["start_h"] == pytest.approx((1.0 - actions[0]) * one["stop_h"], abs=1e-12)


def epochs(told: Told, machine_id: int) -> Iterator[tuple[int, int, list[tuple[int, int, float | None]]]]:
    """Yield begin and end of each time in which no work begins, and its rows: time, state, remaining life."""
    begins = [told.plan.start_us, *(begin for begin, _, _ in told.works(machine_id)), FOREVER]
    truth = told.truth(machine_id)
    for a, b in pairwise(begins):
        yield a, b, [(ts, state, rul) for ts, state, _, rul in truth if a <= ts < b]


def check_rul(told: Told) -> None:
    """Remaining life falls as time passes, to 0 at the failure and not before, and stays there."""
    for machine_id in told.ids():
        failed = [f["failed_at"] for f in told.of_machine(told.events.failures, machine_id)]
        for number, (begin, end, rows) in enumerate(epochs(told, machine_id)):
            own = [at for at in failed if begin < at < end or (number == 0 and at == begin < end)]
            ends: set[int | None] = set()
            dead = not own and any(state == FAILED for _, state, _ in rows)  # before, and not repaired
            dead = dead or (not own and all(rul == 0.0 for _, _, rul in rows) and bool(failed) and min(failed) <= begin)
            for ts, state, rul in rows:
                if state == FAILED or dead:
                    assert rul == 0.0, (machine_id, ts, rul)
                elif own:
                    assert rul == pytest.approx(max(0, own[0] - ts) / HOUR_US, abs=1e-9)
                elif rul is not None:
                    ends.add(round(ts + rul * HOUR_US))
                else:
                    ends.add(None)
            assert len(ends) <= 1 or (None not in ends and max(ends) - min(ends) <= 1)
            if ends - {None}:
                assert min(ends) >= min(end, told.plan.end_us)
