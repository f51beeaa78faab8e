"""The oracle: maintenance by one who knows what will fail, as a bound for all who have to predict it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twin.agenda import best_action, planned_task
from twin.plan import Plan, PlannedTask
from twin.policy import parse
from twin.timeline import compile_plan
from twin.what_if import FIRST_NUMBER, work_order
from twin.world import World

ORACLE = "oracle"
HOUR_US = 3_600_000_000
LEADS_H = (8, 32, 80, 200)
"""How long before a failure work is asked for, h: the next where technicians came too late for the last. [choice]"""
SERVICES = ("periodic:60d", "periodic:120d", "run-to-failure")
"""What the oracle has done at fixed intervals beside what it knows: nothing, or what spares great parts. [choice]"""
DEARER = 1.1
"""A plan is given up once it has cost this much more than a whole other one: work under way is not billed yet."""
STEP_US = 30 * 24 * HOUR_US
"""How much of the span is settled before the next: what fails later is not lived again for each task before."""


@dataclass
class _Known:
    """What the oracle has done on one machine."""

    tasks: list[PlannedTask] = field(default_factory=list)
    failure_us: int = -1  # that the last task is to prevent
    tries: int = 0
    settled_us: int = -1  # failures up to here cannot be prevented


def oracle_plans(plan: Plan) -> list[Plan]:
    """Return plans with the work of one who knows the truth: shortly before each failure, what prevents it.

    Each plan has another service at fixed intervals, or none (`SERVICES`); on top of it, the plan is lived
    step by step, each step again and again, and what fails first on each machine gets a task before it, until
    nothing fails that technicians could have prevented. The cheapest of them is the oracle's: a strong policy
    from hindsight, not a proven optimum, as it does not trade one machine's turn against another's. Plans that
    have become dearer than another are not gone on with.

    Parameters
    ----------
    plan : Plan
        With corrective repairs, without telemetry and policy.
    """
    plans, least = [], float("inf")
    for service in SERVICES:
        found = _prevented(plan.model_copy(update={"policies": parse(service)[0]}), DEARER * least)
        if found is not None:
            plans.append(found[0])
            least = min(least, found[1])
    return plans


def _prevented(plan: Plan, most: float) -> tuple[Plan, float] | None:
    """Return the plan with work before each failure, and its bill; None where it comes to more than the most.

    It is found step by step: a step is lived until nothing in it fails.
    """
    position = {machine.machine_id: m for m, machine in enumerate(plan.machines)}
    known = {machine_id: _Known() for machine_id in position}
    points = [(World(plan, compile_plan(plan), segments=False, threads=1), 0.0)]
    while (since := points[-1][0].front_us) < plan.end_us:
        world, until = points[-1][0].fork(), min(plan.end_us, since + STEP_US)
        for machine_id, has in known.items():
            for task in has.tasks:
                if since <= task.scheduled_us < until:
                    world.ask(planned_task(plan, position[machine_id], task, 0))
        world.advance(until)
        events = world.drain()
        first = _first_failures(events.failures, known)
        begins = [_prevent(plan, machine_id, known[machine_id], at, mode) for machine_id, (at, mode) in first.items()]
        if not first:
            points.append((world, points[-1][1] + sum(row["cost"] for row in events.log)))
        if points[-1][1] > most:
            return None
        while len(points) > 1 and points[-1][0].front_us > min(begins, default=plan.end_us):
            points.pop()  # what is to be done earlier is lived from there
    return plan.model_copy(update={"tasks": tuple(t for has in known.values() for t in has.tasks)}), points[-1][1]


def _first_failures(failures: list[dict[str, Any]], known: dict[int, _Known]) -> dict[int, tuple[int, str]]:
    """Return what fails first on each machine of what is not settled yet."""
    first: dict[int, tuple[int, str]] = {}
    for row in sorted(failures, key=lambda row: int(row["failed_at"])):
        if row["failed_at"] > known[row["machine_id"]].settled_us:
            first.setdefault(row["machine_id"], (row["failed_at"], row["mode"]))
    return first


def _prevent(plan: Plan, machine_id: int, known: _Known, at: int, mode: str) -> int:
    """Ask for work before a failure, earlier where the last try was too late; give up after the last.

    Returns when the first of what has changed happens, microseconds.
    """
    changed = at
    if known.failure_us == at:  # the same microsecond: nothing had been done before it
        changed = known.tasks.pop().scheduled_us
        known.tries += 1
    else:
        known.failure_us, known.tries = at, 0
    action = best_action(plan.actions.values(), mode)
    begin = at - LEADS_H[known.tries] * HOUR_US if known.tries < len(LEADS_H) else -1
    if action is None or begin <= plan.start_us:
        known.settled_us, known.failure_us = at, -1
        return changed
    number = FIRST_NUMBER + len(known.tasks)
    known.tasks.append(work_order(action, machine_id, number, begin, "predictive", "high"))
    return begin
