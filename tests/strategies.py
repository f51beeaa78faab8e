"""Random plans for the laws: whatever is asked of them, they must hold."""

from __future__ import annotations

import plans
from hypothesis import strategies as st

from twin.catalog.loader import load_catalog
from twin.catalog.models import FailureMode, Technician
from twin.plan import Activation, Corrective, Injection, Plan, PlannedTask
from twin.policy import Rule


@st.composite
def activations(draw: st.DrawFn, ids: tuple[int, ...], seconds: float) -> list[Activation]:
    """Draw activations; one scenario is active once at a time on a machine."""
    names = draw(st.lists(st.sampled_from(sorted(plans.scenarios())), max_size=4, unique=True))
    return [_span(draw, plans.active, name, ids, seconds) for name in names]


@st.composite
def injections(draw: st.DrawFn, ids: tuple[int, ...], seconds: float) -> list[Injection]:
    names = draw(st.lists(st.sampled_from(sorted(plans.modes())), max_size=4))
    levels = st.sampled_from([0.001, 0.25, 0.5, 0.75, 0.95])
    return [
        _span(draw, plans.injected, name, ids, seconds).model_copy(update={"level": draw(levels), "injection_id": i})
        for i, name in enumerate(names, start=1)
    ]


def _span(draw: st.DrawFn, make, name: str, ids: tuple[int, ...], seconds: float):  # type: ignore[no-untyped-def]
    start = draw(st.floats(-0.2 * seconds, 0.95 * seconds))
    length = draw(st.none() | st.floats(0.001, seconds))
    return make(name, draw(st.sampled_from(ids)), start, None if length is None else start + length)


@st.composite
def random_plans(draw: st.DrawFn, ticks: int = 60) -> Plan:
    """Draw a plan of a few machines with random activations and injections."""
    ids = tuple(draw(st.lists(st.integers(1, 10), min_size=1, max_size=3, unique=True)))
    interval_us = draw(st.sampled_from([1_000, 100_000, 1_000_000, 7_300_001, 60_000_000, 900_000_000]))
    seconds = draw(st.integers(1, ticks)) * interval_us * 1e-6
    return plans.make(
        ids,
        seconds,
        interval_us,
        seed=draw(st.integers(0, 2**63 - 1)),
        start_us=plans.START_US + draw(st.integers(-(10**9), 10**9)),
        activations=draw(activations(ids, seconds)),
        injections=draw(injections(ids, seconds)),
        settled=draw(st.booleans()),
    )


# -- lives ------------------------------------------------------------------------------------

SPANS_H = (30.0, 200.0, 1000.0, 4000.0, 8760.0)
ACTIONS = sorted(load_catalog().maintenance_actions)
SKILLS = ("mechanical", "electrical", "instrumentation")
STEADY = sorted(set(plans.scenarios()) - {"Ramp", "Steps"})  # these two would cut a year into seconds
PRIORITIES = ("low", "medium", "high", "critical")


@st.composite
def worn_modes(draw: st.DrawFn, hours: float) -> dict[str, FailureMode]:
    """Draw modes of which some fail within the hours, with couplings more or fewer than the catalog's."""
    share = hours / 8760.0 * draw(st.sampled_from([0.05, 0.3, 1.0, 4.0]))
    names = sorted(plans.wearing())
    law: dict[str, object] = {}
    if draw(st.booleans()):
        law["shape"] = draw(st.sampled_from([0.8, 1.5, 5.0]))
    if draw(st.booleans()):
        law["accelerated_by"] = {}
    modes = plans.modes() | plans.wearing(share, names, **law)
    if draw(st.booleans()):
        one, other = draw(st.permutations(names))[:2]
        wear = modes[one].wear
        assert wear is not None
        coupled = wear.model_copy(update={"accelerated_by": {other: draw(st.sampled_from([0.5, 20.0]))}})
        modes[one] = modes[one].model_copy(update={"wear": coupled})
    return modes


@st.composite
def grown(draw: st.DrawFn, ids: tuple[int, ...], hours: float) -> tuple[Injection, ...]:
    """Draw injections that hold or grow, with and without an end."""
    found = []
    for number in range(1, draw(st.integers(0, 4)) + 1):
        start = draw(st.floats(-0.2 * hours, 0.95 * hours))
        length = draw(st.none() | st.floats(0.01, hours))
        ttf = draw(st.none() | st.floats(0.2 * hours, hours) | st.just(3.0)) if hours > 20.0 else None
        mode = draw(st.sampled_from(sorted(plans.modes())))
        level = draw(st.sampled_from([0.001, 0.3, 0.75, 0.95, 1.0]))
        end = None if length is None else start + length
        if ttf is not None and ttf < 500.0 and plans.modes()[mode].category == "sensor":
            end = start + min(length or 50.0, 50.0)  # the steps of what stops no machine never end by themselves
        found.append(plans.put_in(mode, draw(st.sampled_from(ids)), start, end, level, ttf, number))
    return tuple(found)


@st.composite
def staffs(draw: st.DrawFn) -> tuple[Technician, ...]:
    """Draw nobody (then anybody does the work), or a few people of whom one knows everything."""
    people = []
    for number in range(draw(st.integers(0, 3))):
        start = draw(st.sampled_from([0.0, 6.0, 8.5, 22.0]))
        end = min(24.0, start + draw(st.sampled_from([1.0, 8.0, 24.0])))
        skills = SKILLS if number == 0 else tuple(draw(st.sets(st.sampled_from(SKILLS))))
        days = "".join(sorted(draw(st.sampled_from(["1234567", "12345", "3", "67"]))))
        people.append(
            Technician(
                technician_id=f"T-{number}",
                name=f"T-{number}",
                skills=skills,
                hourly_cost=draw(st.sampled_from([0.0, 50.0, 60.0])),
                shift_start_h=start,
                shift_end_h=end,
                weekdays=days,
            )
        )
    return tuple(people)


@st.composite
def tasks(
    draw: st.DrawFn, ids: tuple[int, ...], hours: float, staff: tuple[Technician, ...]
) -> tuple[PlannedTask, ...]:
    found = []
    actions = load_catalog().maintenance_actions
    for _ in range(draw(st.integers(0, 6))):
        action = draw(st.sampled_from(ACTIONS))
        able = [t.technician_id for t in staff if actions[action].skill in t.skills]
        found.append(
            plans.work(
                draw(st.sampled_from(ids)),
                action,
                draw(st.floats(-0.05 * hours, hours)),
                draw(st.sampled_from([0.5, 1.0 / 7.0, 3.0, 30.0])),
                priority=draw(st.sampled_from(PRIORITIES)),
                technician_id=draw(st.none() | st.sampled_from(able)) if able else None,
                cost=draw(st.sampled_from([0.0, 450.0])),
            )
        )
    return tuple(found)


@st.composite
def rules(draw: st.DrawFn, hours: float) -> tuple[Rule, ...]:
    """Draw up to two rules by calendar, running hours or condition, some of which begin and end."""
    found = []
    for _ in range(draw(st.integers(0, 2))):
        kind = draw(st.sampled_from(["periodic", "running", "condition"]))
        every_h = max(5, round(hours * draw(st.sampled_from([0.1, 0.4]))))
        channel, limit = draw(
            st.sampled_from([("vibration_mm_s", 1.2), ("temperature_c", 55.0), ("vibration_mm_s", None)])
        )
        found.append(
            Rule(
                kind=kind,
                action=draw(st.sampled_from(ACTIONS)),
                every_us=0 if kind == "condition" else every_h * plans.HOUR_US,
                channel=channel if kind == "condition" else "",
                limit=limit if kind == "condition" else None,
                hold_us=draw(st.sampled_from([0, 2])) * plans.HOUR_US,
                lead_us=draw(st.sampled_from([0, 24])) * plans.HOUR_US,
                priority=draw(st.sampled_from(PRIORITIES)),
                start_us=draw(st.none() | st.just(plans.hour(0.3 * hours))),
                end_us=draw(st.none() | st.just(plans.hour(0.7 * hours) + 1)),
            )
        )
    return tuple(found)


@st.composite
def random_lives(draw: st.DrawFn, spans_h: tuple[float, ...] = SPANS_H, staffed: bool = True) -> Plan:
    """Draw machines that wear, are injected, fail and are repaired, over days to a year."""
    ids = tuple(draw(st.lists(st.integers(1, 10), min_size=1, max_size=4, unique=True)))
    hours = draw(st.sampled_from(spans_h))
    staff = draw(staffs()) if staffed else ()
    scenes = draw(st.lists(st.sampled_from(STEADY), max_size=3, unique=True))
    acts = tuple(_span(draw, plans.active, name, ids, 3600.0 * hours) for name in scenes)
    shift_us = plans.MONDAY_US - plans.START_US
    acts = tuple(
        a.model_copy(
            update={
                "start_us": a.start_us + shift_us,
                "end_us": None if a.end_us is None else a.end_us + shift_us,
            }
        )
        for a in acts
    )
    alarms = dict(load_catalog().alarm_rules)
    if draw(st.booleans()):
        alarms = {n: r.model_copy(update={"limit": 70.0} if r.trip else {}) for n, r in alarms.items()}
    start_us = plans.MONDAY_US + draw(st.sampled_from([0, 0, 1_830_250_000, 100_000_000_001]))
    days = 24 if hours > 2000.0 else 1
    return plans.lively(
        ids,
        hours,
        start_us=start_us,
        seed=draw(st.integers(0, 2**63 - 1)),
        wear=draw(st.sampled_from(["off", "new", "new", "used"])),
        failure_modes=draw(worn_modes(hours)),
        injections=draw(grown(ids, hours)),
        scenarios=plans.scenarios(),
        activations=acts,
        tasks=draw(tasks(ids, hours, staff)),
        technicians=staff,
        policies=draw(rules(hours)),
        corrective=draw(st.none() | st.builds(Corrective, response_us=st.sampled_from([0, 4 * plans.HOUR_US]))),
        halt_us=draw(st.none() | st.just(plans.hour(0.6 * hours))),
        alarm_rules=draw(st.sampled_from([{}, alarms])),
        truth_us=days * plans.HOUR_US,
        telemetry=False,
    )
