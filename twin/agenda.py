"""Which tasks a plan asks for: scheduled by people, by its rules, after failures."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from twin.catalog.models import MaintenanceAction
from twin.layout import NEVER_US
from twin.plan import Plan, PlannedTask
from twin.workshop import CANCELLED, PLANNED, Task

OWN_NUMBERS = 100_000
RULE_NUMBERS = 10 * OWN_NUMBERS
"""Planned tasks are numbered from 1, those raised in a run from `OWN_NUMBERS`, a what-if's from nine times that,
and those of each periodic rule from its own multiple of `RULE_NUMBERS`: none moves another's number."""
_GOLDEN = 0.6180339887498949


def planned_tasks(plan: Plan) -> Iterator[Task]:
    """Yield what people scheduled, from a plan in which tasks act."""
    position = {machine.machine_id: m for m, machine in enumerate(plan.machines)}
    counts = [0] * len(position)
    for task in plan.tasks if plan.acting else ():
        m = position[task.machine_id]
        counts[m] += 1
        yield planned_task(plan, m, task, counts[m])


def planned_task(plan: Plan, m: int, task: PlannedTask, count: int) -> Task:
    """Return a scheduled task as it waits to be done; the count numbers it where it has no number of its own."""
    return Task(
        m,
        task.machine_id,
        count if task.number is None else task.number,
        "planned",
        task.task_type,
        task.action,
        plan.start_us,
        max(task.scheduled_us, plan.start_us),
        task.duration_us,
        task.priority,
        task.technician_id,
        task.task_id,
        task.cost,
        status=CANCELLED if task.status == CANCELLED else PLANNED,
    )


def periodic_tasks(plan: Plan) -> Iterator[Task]:
    """Yield the tasks of the calendar, spread over the fleet by the golden ratio."""
    for number, rule in enumerate(plan.policies if plan.acting else ()):
        if rule.kind != "periodic":
            continue
        first, last = max(plan.start_us, rule.start_us or 0), min(plan.end_us, rule.end_us or NEVER_US)
        for m, machine in enumerate(plan.machines):
            share = (machine.machine_id * _GOLDEN) % 1.0
            due = plan.start_us + round(rule.every_us * share)
            count = RULE_NUMBERS * (number + 1)
            while due < last:
                count += 1
                if due >= first and due > plan.start_us:
                    yield asked_by(plan, m, number, plan.start_us, due, count)
                due += rule.every_us


def asked_by(plan: Plan, m: int, number: int, raised_us: int, due_us: int, count: int = 0) -> Task:
    """Return the task that a rule asks for; with no count it is numbered when it is raised."""
    rule = plan.policies[number]
    action = plan.actions[rule.action]
    return Task(
        m,
        plan.machines[m].machine_id,
        count,
        rule.kind,
        rule.task_type,
        rule.action,
        raised_us,
        due_us,
        round(action.duration_min * 60e6),
        rule.priority,
        parts_cost=action.parts_cost,
        rule=number,
    )


def repair_of(plan: Plan, m: int, mode: str, now: int) -> Task | None:
    """Return the task that a failure raises, or None where nothing is repaired."""
    rule = plan.corrective
    action = best_action(plan.actions.values(), mode)
    if not plan.acting or rule is None or action is None:
        return None
    return Task(
        m,
        plan.machines[m].machine_id,
        0,
        "corrective",
        "corrective",
        action.name,
        now,
        now + rule.response_us,
        round(action.duration_min * 60e6),
        "critical",
        parts_cost=action.parts_cost,
        factor=rule.emergency_factor,
        mode=mode,
    )


def best_action(actions: Collection[MaintenanceAction], mode: str) -> MaintenanceAction | None:
    """Return the action that repairs a failed mode, or None: the cheapest that restores nearly as much as any.

    Nearly is nine tenths of the best share: nobody overhauls a machine because of a loose bolt.
    """
    shares = {a.name: a.restores.get(mode, 0.0) for a in actions}
    best = max(shares.values(), default=0.0)
    able = [a for a in actions if shares[a.name] > 0.0 and shares[a.name] >= 0.9 * best]
    return min(able, key=lambda a: (a.parts_cost, a.duration_min, -shares[a.name], a.name), default=None)
