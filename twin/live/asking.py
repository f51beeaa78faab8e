"""The verbs of a live session: each checks what it is given, becomes a command, and returns at once."""

from __future__ import annotations

import itertools
import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twin.catalog.checks import check_number
from twin.catalog.models import FailureMode, Scenario
from twin.errors import BadRequest, PlantBusy, TwinError, shown, unknown
from twin.live import replan
from twin.live.commands import REFUSED, Apply, Command, Outcome
from twin.plan import Plan, PlannedTask
from twin.plant_base import number_of
from twin.plant_failures import severity_and_level, time_to_failure_h
from twin.plant_maintenance import PRIORITIES, TASK_TYPES
from twin.times import parse_duration, parse_time
from twin.what_if import machine_ids

if TYPE_CHECKING:
    from twin.live.status import Happened
    from twin.plant import Plant
    from twin.workshop import Task

MOST_LOGGED = 10_000
SPEEDS = (0.1, 10_000.0)
"""Seconds of the plant in a second, from and to."""


class Asking:
    """What can be asked of a session; `LiveSession` does it."""

    plant: Plant
    plan: Plan
    _happened: Happened

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._commands: list[Command] = []
        self._commands_lock = threading.Lock()
        self._known: dict[tuple[str, str], Any] = {}

    # -- what the plant is asked to do --------------------------------------------------------

    def activate(self, scenario: str, machines: Any = "all", until: Any = None) -> Command:
        """Put a scenario of the plant to work on machines, until a time or until it is deactivated."""

        def prepare() -> Apply:
            found = self._scenario(scenario)
            ids = machine_ids(self.plan, machines)
            end = None if until is None else parse_time(until, "until")
            return lambda plan, at: replan.activate(plan, at, found, ids, end)

        return self._send("activate", {"scenario": scenario, "machines": machines, "until": until}, prepare)

    def deactivate(self, scenario: str, machines: Any = "all") -> Command:
        """End a scenario on machines."""

        def prepare() -> Apply:
            ids = machine_ids(self.plan, machines)
            return lambda plan, at: replan.deactivate(plan, at, scenario, ids)

        return self._send("deactivate", {"scenario": scenario, "machines": machines}, prepare)

    def inject(
        self,
        mode: str,
        machine: str | int,
        severity: str | None = None,
        level: float | None = None,
        progression: str = "step",
        time_to_failure: Any = None,
    ) -> Command:
        """Put a failure into a machine; the arguments are those of ``plant.failure_modes.inject``."""

        def prepare() -> Apply:
            hours = time_to_failure_h(progression, time_to_failure)
            _, damage = severity_and_level(severity, level)
            if hours is not None and damage >= 1.0:
                raise BadRequest("a progressive injection must begin below level 1: that is functional failure already")
            found = self._failure_mode(mode)
            (machine_id,) = machine_ids(self.plan, [machine])
            ttf_us = None if hours is None else round(hours * 3.6e9)
            return lambda plan, at: replan.inject(plan, at, found, machine_id, damage, ttf_us)

        given = {"mode": mode, "machine": machine, "severity": severity, "level": level}
        given |= {"progression": progression, "time_to_failure": time_to_failure}
        return self._send("inject", given, prepare)

    def clear(self, injection_id: int) -> Command:
        """End an injection."""

        def prepare() -> Apply:
            number = number_of(injection_id)
            if number is None:
                raise BadRequest(f"an injection is named by its number, got {shown(injection_id)}")
            return lambda plan, at: replan.clear(plan, at, number)

        return self._send("clear", {"injection_id": injection_id}, prepare)

    # -- maintenance --------------------------------------------------------------------------

    def schedule(
        self,
        machine: str | int,
        action: str,
        at: Any = None,
        duration: Any = None,
        task_type: str = "preventive",
        priority: str = "medium",
        technician: str | None = None,
        cost: float | None = None,
    ) -> Command:
        """Plan maintenance; without a time it begins as soon as somebody can."""

        def prepare() -> Apply:
            task = self._task(machine, action, at, duration, task_type, priority, technician, cost)
            if at is not None:
                return lambda plan, now: replan.schedule(plan, now, task)
            return lambda plan, now: replan.schedule(plan, now, task.model_copy(update={"scheduled_us": now}))

        given = {"machine": machine, "action": action, "at": at, "duration": duration, "task_type": task_type}
        given |= {"priority": priority, "technician": technician, "cost": cost}
        return self._send("schedule", given, prepare)

    def begin(self, task: str) -> Command:
        """Let a planned task begin now instead of at its time; `task` is its number in `tasks`, such as ``M-001/3``."""
        return self._about("begin", task, replan.begin)

    def complete(self, task: str) -> Command:
        """End work that is under way now instead of after its usual time."""
        return self._about("complete", task, replan.complete)

    def cancel(self, task: str) -> Command:
        """Cancel a task that has not begun."""
        return self._about("cancel", task, replan.cancel)

    # -- the clock ----------------------------------------------------------------------------

    def play(self) -> Command:
        """Let time pass."""
        return self._send("play", {}, lambda: lambda _plan, _at: self._play())

    def pause(self) -> Command:
        """Let time stand."""
        return self._send("pause", {}, lambda: lambda _plan, _at: self._pause())

    def step(self, ticks: int = 1) -> Command:
        """Pause, and make some ticks."""

        def prepare() -> Apply:
            number = number_of(ticks)
            if number is None or not 1 <= number <= 100_000:
                raise BadRequest(f"ticks must be a whole number from 1 to 100000, got {shown(ticks)}")
            return lambda _plan, _at: self._step(number)

        return self._send("step", {"ticks": ticks}, prepare)

    def set_speed(self, speed: float) -> Command:
        """Let that many seconds of the plant pass in a second, 0.1 to 10,000."""

        def prepare() -> Apply:
            checked = check_number(speed, "speed", *SPEEDS)
            return lambda _plan, _at: self._set_speed(checked)

        return self._send("set_speed", {"speed": speed}, prepare)

    def run_until(self, time: Any) -> Command:
        """Play until a time, and pause there."""

        def prepare() -> Apply:
            until = parse_time(time, "time")
            return lambda _plan, _at: self._run_until(until)

        return self._send("run_until", {"time": time}, prepare)

    def reset(self) -> Command:
        """Begin again at the first tick, as a new run, with what stands in the plant's tables now."""

        def prepare() -> Apply:
            first = self._first_plan()
            return lambda _plan, _at: self._reset(first)

        return self._send("reset", {}, prepare)

    def log(self) -> list[Command]:
        """Return the commands so far, oldest first."""
        with self._commands_lock:
            return list(self._commands)

    # -- how ----------------------------------------------------------------------------------

    def _send(self, verb: str, arguments: dict[str, Any], prepare: Callable[[], Apply]) -> Command:
        """Check a request where it is made; what is well-formed waits for the next tick."""
        given = {name: _plain(value) for name, value in arguments.items() if value is not None}
        with self._commands_lock:
            command = Command(next(self._numbers), verb, given)
            self._commands.append(command)
            del self._commands[:-MOST_LOGGED]
        try:
            command.apply = prepare()
        except TwinError as error:
            command.answer(REFUSED, str(error), *self._stand())
            return command
        self._enqueue(command)
        return command

    def _about(self, verb: str, key: str, change: Callable[[Plan, int, Task], Outcome]) -> Command:
        def apply(plan: Plan, at: int) -> Outcome:
            found = self._happened.task(str(key), at)
            if found is None:
                open_tasks = [t["number"] for t in self._happened.tasks(at) if t["status"] not in ("done", "cancelled")]
                raise unknown("task", key, open_tasks)
            return change(plan, at, found)

        return self._send(verb, {"task": key}, lambda: apply)

    def _task(
        self,
        machine: str | int,
        action: str,
        at: Any,
        duration: Any,
        task_type: str,
        priority: str,
        technician: str | None,
        cost: float | None,
    ) -> PlannedTask:
        plan = self.plan
        if action not in plan.actions:
            raise unknown("maintenance action", action, plan.actions)
        for what, value, allowed in (("task type", task_type, TASK_TYPES), ("priority", priority, PRIORITIES)):
            if value not in allowed:
                raise unknown(what, value, allowed)
        people = [t.technician_id for t in plan.technicians]
        if technician is not None and technician not in people:
            raise unknown("technician", technician, people)
        usual = plan.actions[action]
        length = round(usual.duration_min * 60e6) if duration is None else parse_duration(duration, "duration")
        if length > 365 * 86_400_000_000:
            raise BadRequest(f"duration must be at most 365 days, got {shown(duration)}")
        (machine_id,) = machine_ids(plan, [machine])
        return PlannedTask(
            task_id=None,
            machine_id=machine_id,
            task_type=task_type,
            action=action,
            scheduled_us=0 if at is None else parse_time(at, "at"),
            duration_us=length,
            priority=priority,
            status="planned",
            technician_id=technician,
            cost=usual.parts_cost if cost is None else check_number(cost, "cost", 0.0, 1e9),
        )

    def _scenario(self, name: str) -> Scenario:
        found: Scenario = self._definition("scenario", name, lambda: self.plant.store.scenario(name))
        return found

    def _failure_mode(self, name: str) -> FailureMode:
        found: FailureMode = self._definition("mode", name, lambda: self.plant.failure_modes.definition(name))
        return found

    def _definition(self, kind: str, name: str, read: Callable[[], Any]) -> Any:
        """Return a definition from the plant's tables; while others hold the file, as it was last."""
        try:
            found = self._known[kind, name] = read()
        except PlantBusy:
            if (kind, name) not in self._known:
                raise
            return self._known[kind, name]
        return found

    def _stand(self) -> tuple[int, int]:
        return self.tick, self.now_us  # type: ignore[attr-defined]

    @abstractmethod
    def _enqueue(self, command: Command) -> None: ...

    @abstractmethod
    def _play(self) -> Outcome: ...

    @abstractmethod
    def _pause(self) -> Outcome: ...

    @abstractmethod
    def _step(self, ticks: int) -> Outcome: ...

    @abstractmethod
    def _set_speed(self, speed: float) -> Outcome: ...

    @abstractmethod
    def _run_until(self, until_us: int) -> Outcome: ...

    @abstractmethod
    def _reset(self, first: Plan) -> Outcome: ...

    @abstractmethod
    def _first_plan(self) -> Plan: ...


def _plain(value: Any) -> Any:
    """Return an argument as JSON can hold it."""
    if isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    return str(value)
