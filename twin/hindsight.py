"""The oracle: maintenance by one who knows what will fail, as a bound for all who have to predict it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from twin.agenda import best_action
from twin.plan import Plan, PlannedTask
from twin.policy import parse
from twin.simulation import Simulation
from twin.what_if import FIRST_NUMBER, work_order

ORACLE = "oracle"
HOUR_US = 3_600_000_000
LEADS_H = (8, 32, 80, 200)
"""How long before a failure work is asked for, h: the next where technicians came too late for the last. [choice]"""
SERVICES = ("periodic:60d", "periodic:120d")
"""What the oracle has done at fixed intervals beside what it knows: small parts that spare great ones. [choice]"""
MOST_ROUNDS = 500


@dataclass
class _Known:
    """What the oracle has done on one machine."""

    tasks: list[PlannedTask] = field(default_factory=list)
    failure_us: int = -1  # that the last task is to prevent
    tries: int = 0
    settled_us: int = -1  # failures up to here cannot be prevented


def oracle_plans(plan: Plan) -> list[Plan]:
    """Return plans with the work of one who knows the truth: shortly before each failure, what prevents it.

    Each plan has another service at fixed intervals (`SERVICES`); on top of it, the plan is lived
    again and again, and what fails first on each machine gets a task before it, until nothing fails that
    technicians could have prevented. The cheapest of them is the oracle's: a strong policy from hindsight, not
    a proven optimum, as it does not trade one machine's turn against another's.

    Parameters
    ----------
    plan : Plan
        With corrective repairs, without telemetry and policy.
    """
    return [_prevented(plan.model_copy(update={"policies": parse(service)[0]})) for service in SERVICES]


def _prevented(plan: Plan) -> Plan:
    known = {machine.machine_id: _Known() for machine in plan.machines}
    for _ in range(MOST_ROUNDS):
        first: dict[int, tuple[int, str]] = {}
        for row in sorted(_failures(plan), key=lambda row: int(row["failed_at"])):
            if row["failed_at"] > known[row["machine_id"]].settled_us:
                first.setdefault(row["machine_id"], (row["failed_at"], row["mode"]))
        if not first:
            break
        for machine_id, (at, mode) in first.items():
            _prevent(plan, machine_id, known[machine_id], at, mode)
        plan = plan.model_copy(update={"tasks": tuple(task for k in known.values() for task in k.tasks)})
    return plan


def _failures(plan: Plan) -> list[dict[str, Any]]:
    with Simulation(plan, threads=1) as simulation:
        return simulation.advance(plan.ticks).events.failures


def _prevent(plan: Plan, machine_id: int, known: _Known, at: int, mode: str) -> None:
    """Ask for work before a failure, earlier where the last try was too late; give up after the last."""
    if known.failure_us == at:  # the same microsecond: nothing had been done before it
        known.tasks.pop()
        known.tries += 1
    else:
        known.failure_us, known.tries = at, 0
    action = best_action(plan.actions.values(), mode)
    begin = at - LEADS_H[known.tries] * HOUR_US if known.tries < len(LEADS_H) else -1
    if action is None or begin <= plan.start_us:
        known.settled_us, known.failure_us = at, -1
        return
    number = FIRST_NUMBER + len(known.tasks)
    known.tasks.append(work_order(action, machine_id, number, begin, "predictive", "high"))
