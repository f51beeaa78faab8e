"""Who is free when, and whose turn it is."""

from __future__ import annotations

import datetime as dt

import numpy as np
import plans
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twin.catalog.loader import load_catalog
from twin.catalog.models import Technician
from twin.layout import NEVER_US
from twin.plan import Corrective, Plan
from twin.workshop import MINUTE_US, Task, Workshop, next_minute

ACTIONS = dict(load_catalog().maintenance_actions)
HOUR_US, DAY_US = plans.HOUR_US, 24 * plans.HOUR_US
SKILLS = ("mechanical", "electrical", "instrumentation")


def technician(name: str = "T", **fields: object) -> Technician:
    asked: dict[str, object] = {"technician_id": name, "name": name, "skills": SKILLS}
    return Technician.model_validate(asked | fields)


def shop(*technicians: Technician) -> Workshop:
    return Workshop(technicians, ACTIONS)


def task(action: str = "inspect", machine_id: int = 1, hours: float = 1.0, **fields: object) -> Task:
    asked: dict[str, object] = {"technician_id": None, "priority": "medium", "number": 1}
    asked |= fields
    return Task(
        machine_id - 1,
        machine_id,
        asked["number"],  # type: ignore[arg-type]
        "planned",
        "preventive",
        action,
        plans.MONDAY_US,
        asked.get("due_us", plans.MONDAY_US),  # type: ignore[arg-type]
        round(hours * HOUR_US),
        asked["priority"],  # type: ignore[arg-type]
        asked["technician_id"],  # type: ignore[arg-type]
    )


def first_start(who: Technician, t_us: int, busy_until_us: int = 0) -> int:
    workshop = shop(who)
    workshop._busy_us[0] = busy_until_us
    return int(workshop.starts(np.array([0]), t_us)[0])


def by_hand(who: Technician, t_us: int) -> int:
    """Return the first whole minute on shift, looked for minute by minute."""
    at = -(-t_us // MINUTE_US) * MINUTE_US
    while True:
        moment = dt.datetime.fromtimestamp(at / 1e6, dt.UTC)
        minute, shift = moment.hour * 60 + moment.minute, (who.shift_start_h, who.shift_end_h)
        if str(moment.isoweekday()) in who.weekdays and round(shift[0] * 60) <= minute < round(shift[1] * 60):
            return at
        at += MINUTE_US


# -- when somebody may begin ------------------------------------------------------------------


def test_whole_minutes() -> None:
    assert next_minute(0) == 0
    assert next_minute(1) == next_minute(MINUTE_US) == MINUTE_US
    assert next_minute(MINUTE_US + 1) == 2 * MINUTE_US


@pytest.mark.parametrize(
    ("hours", "starts"),
    [
        (0.0, 6.0),  # Monday midnight: the shift's start
        (6.0, 6.0),
        (15.9, 15.9),
        (16.0, 30.0),  # the shift is over: the next morning
        (4 * 24 + 16.0, 7 * 24 + 6.0),  # Friday evening: over the weekend
        (5 * 24 + 10.0, 7 * 24 + 6.0),
        (6 * 24 + 23.999, 7 * 24 + 6.0),  # Sunday, just before midnight
    ],
)
def test_over_nights_and_weekends(hours: float, starts: float) -> None:
    who = technician(shift_start_h=6.0, shift_end_h=16.0, weekdays="12345")
    assert first_start(who, plans.hour(hours)) == plans.hour(starts)


@pytest.mark.parametrize("weekday", range(1, 8))
def test_a_week_until_the_only_day(weekday: int) -> None:
    who = technician(shift_start_h=8.0, shift_end_h=9.0, weekdays=str(weekday))
    begins = plans.hour(24.0 * (weekday - 1) + 8.0)
    assert first_start(who, plans.MONDAY_US) == begins
    assert first_start(who, begins + HOUR_US) == begins + 7 * DAY_US
    assert first_start(who, begins + HOUR_US - 1) == begins + 7 * DAY_US  # the next minute is past the shift
    assert first_start(who, begins + HOUR_US - MINUTE_US) == begins + HOUR_US - MINUTE_US


def test_always_is_always() -> None:
    assert first_start(technician(), plans.hour(23.999)) == next_minute(plans.hour(23.999))
    assert first_start(technician(), plans.hour(100.0) + 1) == plans.hour(100.0) + MINUTE_US


def test_who_is_busy_begins_when_free_and_on_shift() -> None:
    who = technician(shift_start_h=6.0, shift_end_h=16.0, weekdays="12345")
    assert first_start(who, plans.MONDAY_US, plans.hour(10.0) + 5) == plans.hour(10.0) + MINUTE_US
    assert first_start(who, plans.MONDAY_US, plans.hour(17.0)) == plans.hour(30.0)
    assert first_start(who, plans.MONDAY_US, plans.hour(24.0 * 9 + 17.0)) == plans.hour(24.0 * 10 + 6.0)


@given(
    st.integers(0, 23 * 60),
    st.integers(1, 24 * 60),
    st.sets(st.sampled_from("1234567"), min_size=1),
    st.integers(0, 14 * 24 * 60),
    st.integers(0, MINUTE_US - 1),
)
def test_the_first_start_is_that_found_minute_by_minute(
    start: int, length: int, days: set[str], minute: int, micros: int
) -> None:
    end = min(24 * 60, start + length)
    who = technician(shift_start_h=start / 60, shift_end_h=end / 60, weekdays="".join(sorted(days)))
    t_us = plans.MONDAY_US + minute * MINUTE_US + micros
    at = first_start(who, t_us)
    assert at >= t_us
    assert at % MINUTE_US == 0
    begun = dt.datetime.fromtimestamp(at / 1e6, dt.UTC)
    assert str(begun.isoweekday()) in who.weekdays
    assert start <= begun.hour * 60 + begun.minute < end
    assert at - t_us <= 7 * DAY_US
    if at - t_us <= 2 * DAY_US:
        assert at == by_hand(who, t_us)


def test_a_shift_that_is_shorter_than_a_minute_never_begins() -> None:
    who = technician(shift_start_h=8.001, shift_end_h=8.002)
    assert first_start(who, plans.MONDAY_US) == NEVER_US


# -- who does it ------------------------------------------------------------------------------


def test_the_cheapest_who_knows_how_then_by_name() -> None:
    workshop = shop(
        technician("A", hourly_cost=70.0),
        technician("B", hourly_cost=50.0, skills=("electrical",)),
        technician("C", hourly_cost=60.0),
        technician("D", hourly_cost=60.0),
    )
    chosen = []
    for number in range(3):
        work = task(number=number, hours=2.0)
        person = workshop.free(work, plans.MONDAY_US)
        assert person is not None
        workshop.book(person, work, plans.MONDAY_US)
        chosen.append(work.done_by)
    assert chosen == ["C", "D", "A"]
    assert workshop.free(task(), plans.MONDAY_US) is None
    assert workshop.next_attempt(task(), plans.MONDAY_US) == plans.MONDAY_US + 2 * HOUR_US
    electrical = workshop.free(task("rewind_motor"), plans.MONDAY_US)
    assert electrical is not None
    assert workshop.technicians[electrical].technician_id == "B"


def test_a_task_waits_for_the_one_it_names() -> None:
    workshop = shop(technician("A", hourly_cost=1.0), technician("B", hourly_cost=9.0, weekdays="2"))
    work = task(technician_id="B")
    assert workshop.free(work, plans.MONDAY_US) is None
    assert workshop.next_attempt(work, plans.MONDAY_US) == plans.hour(24.0)


def test_labour_is_paid_by_the_hour_and_more_in_an_emergency() -> None:
    workshop, work = shop(technician(hourly_cost=40.0)), task(hours=1.5)
    work.factor = 1.5
    workshop.book(0, work, plans.MONDAY_US)
    assert work.labour_cost == pytest.approx(40.0 * 1.5 * 1.5)


def test_a_task_that_nobody_can_do_is_never_tried() -> None:
    """An injected fault of a machine that does not wear is repaired without anybody having asked for the skill."""
    fault = plans.put_in("bearing_degradation", 1, 2.0, level=1.0)
    who = (technician(skills=("electrical",)),)
    events = plans.lived(plans.lively((1,), 50.0, wear="off", injections=(fault,), technicians=who))
    assert not events.log
    assert [row["status"] for row in events.tasks()] == ["overdue"]


# -- whose turn it is -------------------------------------------------------------------------


def log_of(plan: Plan) -> list[tuple[float, int, str, str | None]]:
    """Return begin (hours), machine, action and technician of all work."""
    return [
        ((row["start_at"] - plans.MONDAY_US) / HOUR_US, row["machine_id"], row["action"], row["technician_id"])
        for row in sorted(plans.lived(plan).log, key=lambda row: (row["start_at"], row["machine_id"]))
    ]


def calm(ids: tuple[int, ...], hours: float, **fields: object) -> Plan:
    return plans.lively(ids, hours, wear="off", **fields)


def test_the_more_important_work_comes_first_then_what_is_due_first_then_the_lower_machine() -> None:
    tasks = (
        plans.work(4, "inspect", 9.0, 1.0, priority="low"),
        plans.work(3, "inspect", 9.0, 1.0, priority="critical"),
        plans.work(2, "inspect", 9.0, 1.0),
        plans.work(1, "inspect", 9.5, 1.0),
        plans.work(5, "inspect", 9.0, 1.0),
    )
    plan = calm((1, 2, 3, 4, 5), 48.0, tasks=tasks, technicians=(technician(),))
    assert [row[1] for row in log_of(plan)] == [3, 2, 5, 1, 4]
    assert [row[0] for row in log_of(plan)] == [9.0, 10.0, 11.0, 12.0, 13.0]


def test_what_is_asked_for_later_but_matters_more_overtakes_the_queue() -> None:
    tasks = (
        plans.work(1, "inspect", 8.0, 4.0),
        plans.work(2, "inspect", 8.0, 4.0),
        plans.work(3, "inspect", 11.0, 4.0, priority="high"),
    )
    plan = calm((1, 2, 3), 48.0, tasks=tasks, technicians=(technician(),))
    assert [(row[0], row[1]) for row in log_of(plan)] == [(8.0, 1), (12.0, 3), (16.0, 2)]


def test_work_goes_on_past_the_shift_and_the_next_waits_for_the_morning() -> None:
    tasks = tuple(plans.work(m, "inspect", 15.5, 3.0) for m in (1, 2))
    who = (technician(shift_start_h=6.0, shift_end_h=16.0, weekdays="12345"),)
    assert [row[0] for row in log_of(calm((1, 2), 60.0, tasks=tasks, technicians=who))] == [15.5, 30.0]


def test_a_machine_is_worked_on_by_one_at_a_time() -> None:
    tasks = tuple(plans.work(1, action, 8.0, 3.0) for action in ("inspect", "lubricate", "clean_cooling"))
    plan = calm((1,), 60.0, tasks=tasks, technicians=tuple(technician(n) for n in "ABC"))
    assert [row[0] for row in log_of(plan)] == [8.0, 11.0, 14.0]


def test_a_failure_waits_for_the_response_and_for_somebody() -> None:
    fault = plans.put_in("bearing_degradation", 1, 2.2, level=1.0)
    plan = calm((1,), 60.0, injections=(fault,), corrective=Corrective(response_us=3 * HOUR_US))
    assert [row[0] for row in log_of(plan)] == [5.2]
    late = plan.model_copy(update={"technicians": (technician(shift_start_h=8.0, shift_end_h=9.0, weekdays="3"),)})
    assert [(row[0], row[3]) for row in log_of(late)] == [(56.0, "T")]


def test_a_day_after_it_was_due_waiting_work_is_overdue() -> None:
    tasks = (plans.work(1, "inspect", 10.0),)
    who = (technician(weekdays="7"),)
    for hours, status in ((33.0, "planned"), (34.0, "overdue"), (200.0, "done")):
        rows = plans.lived(calm((1,), hours, tasks=tasks, technicians=who)).tasks()
        assert [row["status"] for row in rows] == [status]
