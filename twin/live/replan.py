"""What a click makes of the plan: pure functions from a plan, a time and a request to the plan's changed fields.

Nothing before the time changes by them, so the rows that have been seen are rows of the new plan as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twin.catalog.models import FailureMode, Scenario
from twin.errors import BadRequest, unknown
from twin.live.commands import Outcome
from twin.plan import Injection, Plan, PlannedTask
from twin.plant_base import overlap, when
from twin.times import format_time
from twin.what_if import FIRST_NUMBER, activated, ended
from twin.workshop import CANCELLED, DONE, IN_PROGRESS, Task


def names(plan: Plan, ids: Sequence[int]) -> str:
    """Return machines in words."""
    if len(ids) == len(plan.machines) and len(ids) > 1:
        return "all machines"
    known = {machine.machine_id: machine.name for machine in plan.machines}
    return ", ".join(known[i] for i in ids)


def activate(plan: Plan, at: int, scenario: Scenario, ids: Sequence[int], end: int | None) -> Outcome:
    """Put a scenario to work on machines."""
    fields = activated(plan, scenario, at, end, ids)
    until = "" if end is None else f" until {format_time(end)}"
    return Outcome(fields, f"{scenario.name} is active on {names(plan, ids)}{until}", machine_id=_one(ids))


def deactivate(plan: Plan, at: int, name: str, ids: Sequence[int]) -> Outcome:
    """End a scenario on machines; where it only begins now, it has never been."""
    running = [a for a in plan.activations if a.scenario == name and a.machine_id in ids and _runs(a, at)]
    everywhere = len(ids) == len(plan.machines)
    idle = [i for i in ids if i not in {a.machine_id for a in running}]
    if not running or (idle and not everywhere):
        active = sorted({a.scenario for a in plan.activations if _runs(a, at)}) or ["none"]
        raise BadRequest(f"{name!r} is not active on {names(plan, idle)}; active scenarios: {', '.join(active)}")
    where = sorted({a.machine_id for a in running})
    fields = {"activations": ended(plan.activations, running, at)}
    return Outcome(fields, f"{name} is no longer active on {names(plan, where)}", machine_id=_one(where))


def inject(plan: Plan, at: int, mode: FailureMode, machine_id: int, level: float, ttf_us: int | None) -> Outcome:
    """Put a failure into a machine."""
    if plan.failure_modes.get(mode.name, mode) != mode:
        raise BadRequest(
            f"{mode.name} has been changed since the session began; reset begins again with the new definition"
        )
    if mode.wear is not None and plan.wear != "off" and mode.name not in plan.failure_modes:
        raise BadRequest(f"{mode.name} wears and was created after the session began; reset begins again with it")
    number = max((i.injection_id for i in plan.injections), default=0) + 1
    new = Injection(
        injection_id=number,
        failure_mode=mode.name,
        machine_id=machine_id,
        level=level,
        start_us=at,
        time_to_failure_us=ttf_us,
    )
    grows = "" if ttf_us is None else f", failing after {ttf_us / 3.6e9:.3g} h of running"
    return Outcome(
        {
            "injections": (*plan.injections, new),
            "failure_modes": {**plan.failure_modes, mode.name: mode},
        },
        f"{mode.title} at {level:.0%} in {names(plan, [machine_id])}{grows} (injection {number})",
        number,
        machine_id,
    )


def clear(plan: Plan, at: int, number: int) -> Outcome:
    """End an injection; one that only begins now has never been."""
    known = {i.injection_id: i for i in plan.injections if _runs(i, at)}
    if number not in known:
        raise unknown("injection that is active now:", number, [str(n) for n in sorted(known)])
    found = known[number]
    what = f"{found.failure_mode} in {names(plan, [found.machine_id])} is cleared (injection {number})"
    return Outcome({"injections": ended(plan.injections, [found], at)}, what, number, found.machine_id)


def numbered(plan: Plan) -> Plan:
    """Return a plan whose tasks have the numbers that its work orders will have."""
    counts: dict[int, int] = {}
    tasks = []
    for task in plan.tasks:
        counts[task.machine_id] = counts.get(task.machine_id, 0) + 1
        tasks.append(task if task.number is not None else task.model_copy(update={"number": counts[task.machine_id]}))
    return plan.model_copy(update={"tasks": tuple(tasks)})


def key_of(machine: str, number: int | None) -> str:
    """Return how people name a task of a session: ``M-001/3``."""
    return f"{machine}/{number}"


def schedule(plan: Plan, at: int, task: PlannedTask) -> Outcome:
    """Plan maintenance."""
    if task.scheduled_us < at:
        raise BadRequest(f"{format_time(task.scheduled_us)} has passed; it is {format_time(at)}: choose a later time")
    _refuse_unable(plan, task)
    span = (task.scheduled_us, task.scheduled_us + task.duration_us)
    for other in plan.tasks:
        theirs = (other.scheduled_us, other.scheduled_us + other.duration_us)
        if other.status in (CANCELLED, DONE) or theirs[1] <= at or not overlap(span, theirs):
            continue
        busy = f"{key_of(names(plan, [other.machine_id]), other.number)} ({other.action}, {when(*theirs)})"
        if other.machine_id == task.machine_id:
            raise BadRequest(f"{names(plan, [task.machine_id])} has {busy} at that time; choose another time")
        if task.technician_id is not None and other.technician_id == task.technician_id:
            raise BadRequest(f"technician {task.technician_id} has {busy} at that time; choose another")
    number = max([FIRST_NUMBER, *(t.number or 0 for t in plan.tasks)]) + 1
    new = task.model_copy(update={"number": number})
    key = key_of(names(plan, [task.machine_id]), number)
    fields: dict[str, Any] = {"tasks": (*plan.tasks, new)}
    text = f"{task.action} on {names(plan, [task.machine_id])} at {format_time(task.scheduled_us)} (task {key})"
    return Outcome(fields, text, key, task.machine_id)


def begin(plan: Plan, at: int, task: Task) -> Outcome:
    """Let a planned task begin as soon as somebody can."""
    planned = _planned(plan, task)
    if not task.open:
        raise BadRequest(f"the task is {task.status} and cannot begin")
    if planned.scheduled_us <= at:
        raise BadRequest(f"it is due since {format_time(planned.scheduled_us)} and waits for a technician who is free")
    return _with(plan, planned, {"scheduled_us": at}, "begins at the next whole minute")


def complete(plan: Plan, at: int, task: Task) -> Outcome:
    """End work that is under way: now."""
    planned = _planned(plan, task)
    if task.status != IN_PROGRESS or task.started_us is None or task.started_us >= at:
        raise BadRequest(f"the task is {task.status}; only work that is under way can be completed: begin it first")
    return _with(plan, planned, {"duration_us": at - task.started_us}, "is complete")


def cancel(plan: Plan, at: int, task: Task) -> Outcome:
    """Cancel a task that has not begun."""
    planned = _planned(plan, task)
    if not task.open:
        raise BadRequest(f"the task is {task.status}; only a task that has not begun can be cancelled")
    return _with(plan, planned, {"status": CANCELLED}, "is cancelled")


def _planned(plan: Plan, task: Task) -> PlannedTask:
    for planned in plan.tasks:
        if (planned.machine_id, planned.number) == (task.machine_id, task.number):
            return planned
    key = key_of(names(plan, [task.machine_id]), task.number)
    raise BadRequest(f"task {key} was raised by the plant itself ({task.origin}) and runs its course")


def _with(plan: Plan, planned: PlannedTask, changes: dict[str, Any], what: str) -> Outcome:
    new = planned.model_copy(update=changes)
    key = key_of(names(plan, [planned.machine_id]), planned.number)
    tasks = tuple(new if task is planned else task for task in plan.tasks)
    return Outcome({"tasks": tasks}, f"{planned.action} ({key}) {what}", key, planned.machine_id)


def _refuse_unable(plan: Plan, task: PlannedTask) -> None:
    skill = plan.actions[task.action].skill
    able = [t.technician_id for t in plan.technicians if skill in t.skills]
    if task.technician_id is not None and task.technician_id not in able:
        raise BadRequest(
            f"technician {task.technician_id} does not know {skill}, which {task.action} needs; "
            f"who does: {', '.join(able) or 'nobody yet'}"
        )
    if plan.technicians and not able:
        raise BadRequest(f"{task.action} needs the skill {skill}, which no technician has")


def _runs(span: Any, at: int) -> bool:
    return bool(span.start_us <= at and (span.end_us is None or at < span.end_us))


def _one(ids: Sequence[int]) -> int | None:
    return ids[0] if len(ids) == 1 else None
