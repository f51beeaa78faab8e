"""When a policy's functions decide, what they are shown, and what they ask for."""

from __future__ import annotations

import bisect
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twin.catalog.checks import check_number
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest, PolicyFault, shown, unknown
from twin.layout import NEVER_US
from twin.plan import Plan
from twin.policy import PRIORITIES, TASK_TYPES, Rule
from twin.reported import Reported
from twin.times import format_time, parse_duration, parse_time, to_datetime
from twin.workshop import Task

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from twin.simulation import Simulation

Decide = Callable[[int, int, "Callable[[], Reported]"], list[dict[str, Any]]]
"""Takes the rule's number, the time, and a function that makes what is reported; returns the tasks."""

_TASK_FIELDS = ("machine", "action", "at", "duration", "priority", "technician", "task_type")


class Decisions:
    """The functions of a plan's policy and the times at which they decide.

    Parameters
    ----------
    plan : Plan
    decide : callable or None
        See `Decide`.
    """

    def __init__(self, plan: Plan, decide: Decide | None) -> None:
        self._plan, self._decide = plan, decide
        rules = enumerate(plan.policies if plan.acting and decide is not None else ())
        self._rules = [(number, rule) for number, rule in rules if rule.kind == "callable"]
        self._next = {number: self._first(rule) for number, rule in self._rules}
        self._recent: deque[tuple[NDArray[np.int64], NDArray[np.float32]]] = deque()
        self._hourly: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        self._alarms: list[dict[str, Any]] = []
        self._log: list[dict[str, Any]] = []

    def _first(self, rule: Rule) -> int:
        """Return when a rule first decides: at the grid of its period, after the plan's start."""
        begin = max(self._plan.start_us + 1, rule.start_us or 0)
        at = -(-begin // rule.every_us) * rule.every_us
        return at if at < min(self._plan.end_us, rule.end_us or NEVER_US) else NEVER_US

    @property
    def next_us(self) -> int:
        """When the next decision is due; NEVER_US: none is."""
        return min(self._next.values(), default=NEVER_US)

    def take(self, simulation: Simulation, now: int) -> None:
        """Take the decisions that are due up to a time to which the world has come."""
        while self.next_us <= now:
            at = self.next_us
            simulation.go_to(at)
            self._keep(simulation)
            for number, rule in self._rules:
                if self._next[number] == at:
                    self._ask(simulation, number, rule, at)
                    following = at + rule.every_us
                    last = min(self._plan.end_us, rule.end_us or NEVER_US)
                    self._next[number] = following if following < last else NEVER_US

    def _ask(self, simulation: Simulation, number: int, rule: Rule, at: int) -> None:
        assert self._decide is not None
        for wanted in self._decide(number, at, lambda: self._reported(simulation, rule, at)):
            simulation.world.ask(checked_task(self._plan, wanted, number, at))

    def _keep(self, simulation: Simulation) -> None:
        """Take over what has been reported since the last time."""
        plan = self._plan
        fresh: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        for events in simulation.new_events():
            fresh += zip(events.reading_at, events.reading, strict=True)
            self._alarms += events.alarms([m.machine_id for m in plan.machines], list(plan.alarm_rules.values()))
            self._log += events.log
            events.reading_at, events.reading = [], []
        if fresh:  # one batch for the time between two decisions, so that batches follow one another in time
            self._hourly.append((np.concatenate([a for a, _ in fresh]), np.concatenate([v for _, v in fresh])))

    @property
    def history_us(self) -> int:
        """For how long readings are kept for the functions."""
        return max((rule.history_us for _, rule in self._rules), default=0)

    def remember(self, times: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        """Keep readings (channel, machine, time) for as long as a function is shown them."""
        self._recent.append((times, values.copy()))
        while self._recent[0][0][-1] < times[-1] - self.history_us:
            self._recent.popleft()

    def _reported(self, simulation: Simulation, rule: Rule, at: int) -> Reported:
        """Return what operators know at a time: makers of frames that hold what was reported, and nothing else."""
        plan, ids = self._plan, np.array([m.machine_id for m in self._plan.machines])
        machines = [
            {
                "machine_id": m.machine_id,
                "machine": m.name,
                "machine_type": m.machine_type,
                "iso_class": plan.machine_types[m.machine_type].iso_class,
            }
            for m in plan.machines
        ]
        tasks = [t.row() for t in simulation.world.open_tasks() if t.raised_us <= at]
        alarms = [alarm for alarm in self._alarms if alarm["ts"] <= at]
        log = [row for row in self._log if row["end_at"] <= at]
        task_columns = ["machine_id", "action", "due_at", "status", "priority", "origin"]
        return Reported(
            to_datetime(at),
            to_datetime(plan.start_us),
            {
                "machines": partial(_frame, machines, list(machines[0])),
                "telemetry": partial(_telemetry, tuple(self._recent), ids, at, rule.history_us),
                "hourly": partial(_means, tuple(self._hourly), ids, at),
                "alarms": partial(_frame, alarms, ["machine_id", "ts", "code", "level", "value"]),
                "log": partial(_frame, log, ["machine_id", "start_at", "end_at", "action", "technician_id", "cost"]),
                "tasks": partial(_frame, tasks, task_columns),
            },
        )


_Readings = tuple[tuple[NDArray[np.int64], NDArray[np.float32]], ...]


def _telemetry(recent: _Readings, ids: NDArray[np.int64], at: int, history: int) -> pd.DataFrame:
    """Return the readings of the time before a decision."""
    import pandas as pd

    frames = []
    for times, values in recent:
        keep = (times < at) & (times >= at - history)
        if keep.any():
            columns: dict[str, Any] = {
                "machine_id": np.repeat(ids, keep.sum()),
                "ts": np.tile(times[keep], ids.size).astype("datetime64[us]"),
            }
            frames.append(pd.DataFrame(columns | {c: values[i][:, keep].ravel() for i, c in enumerate(CHANNELS)}))
    return pd.concat(frames, ignore_index=True) if frames else _frame([], ["machine_id", "ts", *CHANNELS])


def _means(
    hourly: _Readings,
    ids: NDArray[np.int64],
    at: int,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> pd.DataFrame:
    """Return the hourly means up to a decision, or of a part of the time, by machine and time."""
    import pandas as pd

    first = -NEVER_US if since is None else parse_time(since, "since")
    last = at if until is None else min(at, parse_time(until, "until"))
    begin = bisect.bisect_right(hourly, first, key=lambda batch: int(batch[0][:, 1].max()))
    end = bisect.bisect_right(hourly, last, begin, key=lambda batch: int(batch[0][:, 1].min()))
    chosen = hourly[begin:end]
    if not chosen:
        return _frame([], ["machine_id", "ts", *CHANNELS])
    where, values = np.concatenate([a for a, _ in chosen]), np.concatenate([v for _, v in chosen])
    order = np.lexsort((where[:, 1], where[:, 0]))
    order = order[(where[order, 1] > first) & (where[order, 1] <= last)]
    frame = pd.DataFrame(values[order], columns=list(CHANNELS))
    frame.insert(0, "machine_id", ids[where[order, 0]])
    frame.insert(1, "ts", where[order, 1].astype("datetime64[us]"))
    return frame


def _frame(rows: list[dict[str, Any]], columns: list[str]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame({c: [row[c] for row in rows] for c in columns})
    for column in columns:
        if column == "ts" or column.endswith("_at"):
            frame[column] = frame[column].astype("int64").astype("datetime64[us]")
    return frame


def called(functions: Mapping[str, Callable[[Any], Any]], plan: Plan) -> Decide:
    """Return what asks a policy's functions, each on a stack of its own that holds nothing but what is reported."""

    def decide(number: int, at: int, reported: Callable[[], Reported]) -> list[dict[str, Any]]:
        rule = plan.policies[number]
        answer = _apart(functions[rule.name], reported(), rule.name, at)
        if answer is None:
            return []
        if not isinstance(answer, Iterable) or isinstance(answer, (str, bytes, Mapping)):
            raise PolicyFault(
                f"policy {rule.name} returned {shown(answer)} at {format_time(at)}: it must return a list of tasks"
            )
        tasks = list(answer)
        for task in tasks:
            checked_task(plan, task, number, at)
        return tasks

    return decide


def _apart(function: Callable[[Any], Any], reported: Reported, name: str, at: int) -> Any:
    """Call a function in a thread of its own: no frame above it belongs to the simulation."""
    box: list[Any] = []
    thread = threading.Thread(target=_run, args=(function, reported, box), name=f"policy-{name}")
    thread.start()
    thread.join()
    answer, error = box
    if error is not None:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PolicyFault(f"policy {name} raised {what[:200]} at {format_time(at)}") from error
    return answer


def _run(function: Callable[[Any], Any], reported: Reported, box: list[Any]) -> None:
    try:
        box += [function(reported), None]
    except BaseException as error:  # an exit, too, ends no more than the policy's thread
        box += [None, error]


def checked_task(plan: Plan, wanted: Any, number: int, at: int) -> Task:
    """Return a task that a function asks for, or refuse it with one line.

    Raises
    ------
    PolicyFault
        Names the policy, and what was wrong.
    """
    rule = plan.policies[number]
    try:
        return _task(plan, wanted, rule, number, at)
    except BadRequest as error:
        raise PolicyFault(f"policy {rule.name} asked at {format_time(at)} for what cannot be: {error}") from None


def _task(plan: Plan, wanted: Any, rule: Rule, number: int, at: int) -> Task:
    if not isinstance(wanted, Mapping):
        raise BadRequest(f"a task must be a dict with machine and action, got {shown(wanted)}")
    for key in wanted:
        if key not in _TASK_FIELDS:
            raise unknown("field of a task", key, _TASK_FIELDS)
    machine = wanted.get("machine")
    found = [m for m, row in enumerate(plan.machines) if machine in (row.name, row.machine_id)]
    if not found or isinstance(machine, bool):
        raise unknown("machine of this run", machine, [row.name for row in plan.machines])
    if wanted.get("action") not in plan.actions:
        raise unknown("maintenance action", wanted.get("action"), plan.actions)
    action = plan.actions[wanted["action"]]
    due = at if wanted.get("at") is None else parse_time(wanted["at"], "at")
    if due < at:
        raise BadRequest(f"a task cannot be due before it is asked for, got {shown(wanted['at'])}")
    duration = round(action.duration_min * 60e6)
    if wanted.get("duration") is not None:
        duration = parse_duration(wanted["duration"], "duration")
    priority, kind = wanted.get("priority") or rule.priority, wanted.get("task_type") or rule.task_type
    if priority not in PRIORITIES:
        raise unknown("priority", priority, PRIORITIES)
    if kind not in TASK_TYPES:
        raise unknown("task type", kind, TASK_TYPES)
    technician = wanted.get("technician")
    people = {t.technician_id: t for t in plan.technicians}
    if technician is not None and technician not in people:
        raise unknown("technician", technician, people)
    if technician is not None and action.skill not in people[technician].skills:
        raise BadRequest(f"technician {technician} does not know {action.skill}, which {action.name} needs")
    check_number(duration, "duration", 1.0, 366 * 86400e6)
    m = found[0]
    return Task(
        m,
        plan.machines[m].machine_id,
        0,
        "callable",
        kind,
        action.name,
        at,
        due,
        duration,
        priority,
        technician,
        parts_cost=action.parts_cost,
        rule=number,
    )
