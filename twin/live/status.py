"""What a session's panels show: the state of the fleet at a time, from what has happened up to then.

The world goes ahead of the signals to the next whole hour; nothing here tells what has not come yet.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, fields, replace
from heapq import heappop, heappush
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.catalog.parameters import CHANNELS
from twin.events import STATES, Events, Truth, joined
from twin.life_layout import RUNNING
from twin.live.frames import Frame
from twin.live.replan import key_of
from twin.plan import Plan
from twin.simulation import Simulation
from twin.times import to_datetime
from twin.workshop import DONE, IN_PROGRESS, OVERDUE, OVERDUE_US, PLANNED, Task

WATCHED_READINGS = 60
"""A limit is compared with the mean of that many readings, so that noise does not raise an alarm. [choice]"""


@dataclass(frozen=True)
class Span:
    """Something that lasts on one machine.

    Attributes
    ----------
    kind : str
        ``scenario``, ``injection``, ``maintenance`` or ``failure``.
    machine_id : int
    label : str
        What people call it.
    start_us, end_us : int, int or None
        From when to when, microseconds since 1970 UTC; None: it goes on.
    """

    kind: str
    machine_id: int
    label: str
    start_us: int
    end_us: int | None = None


class Happened:
    """What has happened in a session, and the plan's world behind it.

    Parameters
    ----------
    simulation : Simulation
        The session's, whose events are handed over with `take`.
    """

    def __init__(self, simulation: Simulation) -> None:
        self.follow(simulation)

    def follow(self, simulation: Simulation) -> None:
        """Begin anew with a simulation that will tell all from the start."""
        self._simulation = simulation
        self.plan = simulation.plan
        self._failures: list[dict[str, Any]] = []
        self._alarms: list[dict[str, Any]] = []
        self._log: list[dict[str, Any]] = []
        self._states: list[tuple[list[int], list[str]]] = [([], []) for _ in self.plan.machines]
        self._names = {machine.machine_id: machine.name for machine in self.plan.machines}
        self._coming: list[tuple[int, int, dict[str, Any]]] = []  # heap of what the frames will tell
        self._order = count()
        self._told: list[Events] = []

    def take(self, events: Events) -> None:
        """Take in what a chunk tells."""
        ids = [machine.machine_id for machine in self.plan.machines]
        alarms = events.alarms(ids, list(self.plan.alarm_rules.values()))
        self._failures += events.failures
        self._log += events.log
        self._alarms += alarms
        self._told.append(events)
        for row in events.failures:
            self._will_tell("failure", row["failed_at"], row["machine_id"], f"failure: {row['mode']} ({row['cause']})")
        for row in alarms:
            self._will_tell("alarm", row["ts"], row["machine_id"], f"control system: {row['message']}")
        for row in events.log:
            self._will_tell("work", row["end_at"], row["machine_id"], f"{row['action']} done, cost {row['cost']:,.0f}")
        for task in {id(task): task for task in events.touched if task.started_us is not None}.values():
            text = f"{task.action} begins ({task.done_by or 'others'})"
            self._will_tell("work", task.started_us, task.machine_id, text)
        truth = events.truth
        if truth is None:
            return
        for m, ts, state, idle in zip(
            truth.machine.tolist(), truth.ts_us.tolist(), truth.state.tolist(), truth.idle.tolist(), strict=True
        ):
            name = "idle" if idle and state == RUNNING else STATES[state]
            times, states = self._states[m]
            if not states or states[-1] != name:
                times.append(ts)
                states.append("tripped" if name == "off" else name)

    def _will_tell(self, kind: str, at_us: int, machine_id: int, text: str) -> None:
        event = {"kind": kind, "at_us": at_us, "machine_id": machine_id, "text": text}
        heappush(self._coming, (at_us, next(self._order), event))

    def news(self, after: int, now: int) -> list[dict[str, Any]]:
        """Return what happened after one time and up to another, each once, oldest first."""
        found: dict[tuple[int, int, str], dict[str, Any]] = {}
        while self._coming and self._coming[0][0] <= now:
            at_us, _, event = heappop(self._coming)
            if at_us > after:
                found[at_us, event["machine_id"], event["text"]] = event
        return list(found.values())

    def events_until(self, now: int) -> Events:
        """Return all that has happened up to a time, for the tables."""
        whole = joined(self._told)
        seen = {(task.machine_id, task.number): _as_of(task, now) for task in whole.touched if task.raised_us <= now}
        kept = Events(
            failures=[row for row in whole.failures if row["failed_at"] <= now],
            log=[row for row in whole.log if row["end_at"] <= now],
            touched=list(seen.values()),
        )
        for at, value in zip(whole.alarm_at, whole.alarm_value, strict=True):
            kept.alarm_at.append(at[at[:, 1] <= now])
            kept.alarm_value.append(value[at[:, 1] <= now])
        if whole.truth is not None:
            past = whole.truth.ts_us <= now
            kept.truth = Truth(**{f.name: getattr(whole.truth, f.name)[past] for f in fields(Truth)})
        return kept

    # -- as it stands at a time ----------------------------------------------------------------

    def state(self, m: int, now: int) -> str:
        """Return the operating state of a machine in words."""
        times, states = self._states[m]
        found = bisect_right(times, now) - 1
        return states[found] if found >= 0 else "running"

    def failures(self, now: int) -> list[dict[str, Any]]:
        """Return the functional failures, oldest first."""
        rows = sorted((row for row in self._failures if row["failed_at"] <= now), key=lambda row: row["failed_at"])
        return [
            {
                "machine": self._names[row["machine_id"]],
                "machine_id": row["machine_id"],
                "mode": row["mode"],
                "cause": row["cause"],
                "failed_at": to_datetime(row["failed_at"]),
                "at_us": row["failed_at"],
            }
            for row in rows
        ]

    def alarms(self, now: int) -> list[dict[str, Any]]:
        """Return what the control systems reported, oldest first."""
        rows = sorted((row for row in self._alarms if row["ts"] <= now), key=lambda row: row["ts"])
        return [
            {
                "machine": self._names[row["machine_id"]],
                "machine_id": row["machine_id"],
                "code": row["code"],
                "level": row["level"],
                "ts": to_datetime(row["ts"]),
                "value": row["value"],
                "message": row["message"],
                "at_us": row["ts"],
            }
            for row in rows
        ]

    def work(self, now: int) -> list[dict[str, Any]]:
        """Return the finished work, oldest first."""
        rows = sorted((row for row in self._log if row["end_at"] <= now), key=lambda row: row["end_at"])
        return [
            {
                "machine": self._names[row["machine_id"]],
                "machine_id": row["machine_id"],
                "action": row["action"],
                "end_at": to_datetime(row["end_at"]),
                "end_us": row["end_at"],
            }
            for row in rows
        ]

    def tasks(self, now: int) -> list[dict[str, Any]]:
        """Return the maintenance tasks that are known at a time, by when they are due."""
        known = [task for task in self._simulation.world.tasks if task.raised_us <= now]
        known.sort(key=lambda task: (task.due_us, task.machine_id, task.number))
        return [self._task_row(task, now) for task in known]

    def task(self, key: str, now: int) -> Task | None:
        """Return a task as it stands at a time, by its name."""
        for task in self._simulation.world.tasks:
            if task.raised_us <= now and self._key(task) == key:
                return _as_of(task, now)
        return None

    def _key(self, task: Task) -> str:
        return key_of(self._names[task.machine_id], task.number)

    def _task_row(self, task: Task, now: int) -> dict[str, Any]:
        seen = _as_of(task, now)
        return {
            "number": self._key(task),
            "machine": self._names[task.machine_id],
            "machine_id": task.machine_id,
            "origin": task.origin,
            "action": task.action,
            "task_type": task.task_type,
            "priority": task.priority,
            "technician": seen.done_by or task.technician_id,
            "scheduled_at": to_datetime(task.due_us),
            "started_at": None if seen.started_us is None else to_datetime(seen.started_us),
            "duration_min": task.duration_us / 60e6,
            "cost": task.parts_cost * task.factor,
            "status": seen.status,
            "failure_mode": task.mode,
        }

    def injections(self, now: int) -> list[dict[str, Any]]:
        """Return the injections that are active at a time."""
        return [
            {
                "injection_id": i.injection_id,
                "machine": self._names[i.machine_id],
                "machine_id": i.machine_id,
                "failure_mode": i.failure_mode,
                "level": i.level,
                "started_at": to_datetime(i.start_us),
                "time_to_failure_us": i.time_to_failure_us,
            }
            for i in self.plan.injections
            if i.start_us <= now and (i.end_us is None or now < i.end_us)
        ]

    def spans(self, since: int, now: int) -> list[Span]:
        """Return what lasted on machines between two times."""
        plan = self.plan
        found = [Span("scenario", a.machine_id, a.scenario, a.start_us, a.end_us) for a in plan.activations]
        found += [Span("injection", i.machine_id, i.failure_mode, i.start_us, i.end_us) for i in plan.injections]
        for task in self._simulation.world.tasks:
            seen = _as_of(task, now)
            if seen.started_us is not None:
                found.append(Span("maintenance", task.machine_id, task.action, seen.started_us, seen.ended_us))
        for row in self._failures:
            back = [w["start_at"] for w in self._log if w["machine_id"] == row["machine_id"]]
            end = min((t for t in back if t >= row["failed_at"]), default=None)
            end = None if end is None or end > now else end
            found.append(Span("failure", row["machine_id"], row["mode"], row["failed_at"], end))
        return [s for s in found if s.start_us <= now and (s.end_us is None or s.end_us > since)]


def _as_of(task: Task, now: int) -> Task:
    """Return a task as it was at a time: the world knows more."""
    if task.status in (IN_PROGRESS, DONE) and task.started_us is not None and task.started_us <= now:
        done = task.ended_us is not None and task.ended_us <= now
        ended = task.ended_us if done else None
        return replace(task, status=DONE if done else IN_PROGRESS, ended_us=ended)
    if task.status in (PLANNED, OVERDUE, IN_PROGRESS, DONE):
        status = OVERDUE if task.due_us + OVERDUE_US <= now else PLANNED
        return replace(task, status=status, started_us=None, ended_us=None, done_by=None)
    return task


class Watch:
    """The limits of the alarm rules, compared with the newest readings: what a screen in a control room shows.

    The plant's own control systems look at hourly means; their alarms are events of the run.
    """

    def __init__(self, simulation: Simulation) -> None:
        wearing, self._rules = simulation.world.wearing, list(simulation.plan.alarm_rules.values())
        self._channel = np.array([CHANNELS.index(rule.channel) for rule in self._rules], np.intp)
        self.limit = np.asarray(wearing.rule_limit, np.float64)
        self._back = self.limit * np.array([1.0 - rule.hysteresis for rule in self._rules])
        self.active = np.zeros(self.limit.shape, np.bool_)

    def look(self, recent: Frame) -> list[dict[str, Any]]:
        """Compare readings with the limits, and return what is newly above one."""
        if not self._rules or not recent.ticks:
            return []
        with np.errstate(all="ignore"):
            mean = _mean(recent.values)[self._channel].T  # machine, rule
            raised = np.where(self.active, mean >= self._back, mean > self.limit)
        new = raised & ~self.active
        self.active = raised
        return [
            {
                "kind": "alarm",
                "at_us": recent.end_us,
                "machine_id": int(recent.machine_ids[m]),
                "text": f"{self._rules[r].title}: {self._rules[r].channel} {mean[m, r]:.4g}",
                "code": self._rules[r].name,
                "level": self._rules[r].level,
            }
            for m, r in zip(*np.nonzero(new), strict=True)
        ]

    def codes(self, m: int) -> list[str]:
        """Return the alarms of a machine that are active now."""
        return [rule.name for rule, on in zip(self._rules, self.active[m].tolist(), strict=True) if on]

    def limits(self, channel: str, m: int) -> list[tuple[str, str, float]]:
        """Return code, level and limit (in the channel's unit) of the rules on a channel of a machine."""
        return [
            (rule.name, rule.level, float(self.limit[m, r]))
            for r, rule in enumerate(self._rules)
            if rule.channel == channel
        ]


def _mean(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return means over the last axis without the missing; NaN where all are."""
    there = ~np.isnan(values)
    count = there.sum(axis=2)
    total = np.where(there, values, 0.0).sum(axis=2, dtype=np.float64)
    return np.asarray(np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0))


def fleet_rows(plan: Plan, happened: Happened, watch: Watch, recent: Frame, now: int) -> list[dict[str, Any]]:
    """Return one row a machine: its state, what is active on it, its alarms and its newest readings."""
    scenarios: dict[int, list[str]] = {}
    for a in plan.activations:
        if a.start_us <= now and (a.end_us is None or now < a.end_us):
            scenarios.setdefault(a.machine_id, []).append(a.scenario)
    injected: dict[int, list[str]] = {}
    for row in happened.injections(now):
        injected.setdefault(row["machine_id"], []).append(row["failure_mode"])
    newest = recent.values[:, :, -1] if recent.ticks else np.full((len(CHANNELS), len(plan.machines)), np.nan)
    rows = []
    for m, machine in enumerate(plan.machines):
        readings = {c: None if np.isnan(v) else float(v) for c, v in zip(CHANNELS, newest[:, m], strict=True)}
        rows.append(
            {
                "machine_id": machine.machine_id,
                "machine": machine.name,
                "machine_type": machine.machine_type,
                "state": happened.state(m, now),
                "scenarios": scenarios.get(machine.machine_id, []),
                "failures": injected.get(machine.machine_id, []),
                "alarms": watch.codes(m),
                **readings,
            }
        )
    return rows
