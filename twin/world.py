"""What happens to a fleet: lives walked from event to event, tasks raised, technicians sent.

`World` goes ahead of the signals. It walks every machine to its own next event, in any order and on any
number of threads; what machines share, the technicians, is given out in order of time once all have
come that far. So the events are a function of the plan alone.
"""

from __future__ import annotations

import copy
import heapq
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin import lives as compiled
from twin import parts
from twin.agenda import OWN_NUMBERS, asked_by, periodic_tasks, planned_tasks, repair_of
from twin.events import Events, idle_segments, truth_rows
from twin.foresight import Foresight
from twin.layout import NEVER_US, Timeline
from twin.life_layout import (
    AGE,
    BASE_AGE,
    CAUSES,
    FAILED,
    FAILURE,
    LIFE_STATE,
    MAINTENANCE,
    N_FAULT,
    N_PART,
    REACHED,
    RENEWAL,
    RUNNING,
    TRIGGER,
    Lives,
    Notes,
    Wearing,
    notes,
)
from twin.plan import Plan
from twin.wearing import compile_wearing
from twin.workshop import CANCELLED, DONE, IN_PROGRESS, OVERDUE, OVERDUE_US, PLANNED, Task, Workshop, next_minute

HOUR_US = 3_600_000_000
STRETCH_US = 45 * 24 * HOUR_US
ROOM = 4096  # rows of notes; a walk that fills them is taken up again
ROOM_READINGS = 16384
THREADED = 64  # machines from which on two threads are faster than one


class World:
    """The events of a plan in progress.

    Parameters
    ----------
    plan : Plan
    timeline : Timeline
        The plan, compiled.
    segments : bool
        Whether the signals need the segments.
    readings : bool
        Whether hourly means are kept, for policies that decide on them.
    threads : int, optional
        Threads that walk many machines; all processors by default. Does not change an event.

    Attributes
    ----------
    front_us : int
        How far all machines have come.
    tasks : list of Task
        All tasks so far.
    """

    def __init__(
        self, plan: Plan, timeline: Timeline, segments: bool = True, readings: bool = False, threads: int | None = None
    ) -> None:
        self.plan, self.timeline = plan, timeline
        self.wearing, self.modes = compile_wearing(plan, timeline)
        self.wearing = self.wearing._replace(keep_segments=segments, keep_readings=readings)
        self.ids = [machine.machine_id for machine in plan.machines]
        self.front_us = plan.start_us
        self.threads = threads or os.cpu_count() or 1
        self.workshop = Workshop(plan.technicians, dict(plan.actions))
        self._silence = notes(0, len(self.modes), timeline.levels.shape[1])
        self.rules = plan.policies if plan.acting else ()
        self.conditions = [i for i, rule in enumerate(self.rules) if rule.kind in ("condition", "running")]
        self.tasks: list[Task] = []
        count = len(self.ids)
        self._open: list[list[Task]] = [[] for _ in range(count)]
        self._queue: list[tuple[int, int, int, Task]] = []  # heap of open tasks by when they are tried next
        self.free_us = [0] * count  # when work on the machine ends
        self.working: dict[int, Task] = {}
        self.failed_us: dict[int, int] = {}
        self._charged_us: dict[int, int] = {}  # until when a standstill has been charged, on machines that stay failed
        self._late: list[tuple[int, int, int, Task]] = []  # heap of tasks by when they are overdue
        self._unraised = np.zeros((count, np.count_nonzero(self.wearing.rule_trip_h)), np.bool_)
        self._numbers = [OWN_NUMBERS] * count
        self._halt_us = NEVER_US if plan.halt_us is None else plan.halt_us
        self._born_us = np.full((count, len(self.modes)), plan.start_us, np.int64)
        self._events = Events()
        self._notes: list[Notes] = []
        self._idle = idle_segments(timeline)
        self.lives = _new_lives(self.wearing, count, timeline.levels.shape[1])
        compiled.begin(timeline, self.wearing, self.lives, plan.start_us, plan.wear == "used")
        self._entry_age = self.lives.parts[:, :, AGE].copy()
        self.foresight = Foresight(self)
        for task in (*planned_tasks(plan), *periodic_tasks(plan)):
            if task.open:
                self._raise(task)
            else:  # cancelled by people: it is told, and nothing else
                self.tasks.append(task)
                self._events.touched.append(task)

    def fork(self) -> World:
        """Return a world that goes on from here on its own; what never changes is shared."""
        fixed = (self.plan, self.timeline, self.wearing, self.modes, self.rules, self._silence, self._idle)
        return copy.deepcopy(self, {id(part): part for part in fixed})

    # -- asking -------------------------------------------------------------------------------

    def open_tasks(self) -> list[Task]:
        """Return the tasks that are planned or under way, by machine."""
        return [task for m, tasks in enumerate(self._open) for task in (*tasks, *_one(self.working.get(m)))]

    def ask(self, task: Task) -> None:
        """Raise a task that a policy's function has decided on; due at or after `front_us`."""
        self._raise(task)

    def _raise(self, task: Task) -> None:
        if task.number == 0:
            self._numbers[task.m] += 1
            task.number = self._numbers[task.m]
        self.tasks.append(task)
        self._open[task.m].append(task)
        self._try_at(task, max(task.attempt_us, next_minute(self.free_us[task.m])))
        heapq.heappush(self._late, (task.due_us + OVERDUE_US, task.machine_id, task.number, task))
        self._events.touched.append(task)

    def _try_at(self, task: Task, at: int) -> None:
        task.attempt_us = at
        heapq.heappush(self._queue, (at, task.machine_id, task.number, task))

    # -- going on -----------------------------------------------------------------------------

    def advance(self, until_us: int) -> None:
        """Let all machines live until a time: a whole hour, or the plan's end."""
        while self.front_us < until_us:
            # stretch by stretch, so that most of the walking is done by all machines side by side
            stretch = self.front_us - self.front_us % HOUR_US + STRETCH_US
            self._advance(min(until_us, stretch))

    def _advance(self, until_us: int) -> None:
        self._go(range(len(self.ids)), until_us)
        while (at := self._soonest(until_us)) is not None:
            self._go(self._allocate(at), until_us)
        self._go(np.flatnonzero(self.lives.state["t_us"] < until_us).tolist(), until_us)  # those that stood waiting
        self.front_us = until_us
        self._mark_overdue(until_us)

    def _stop_us(self, m: int, until_us: int) -> int:
        """Return how far a machine may be walked before somebody has to decide something about it."""
        if m in self.working:
            return min(until_us, self.working[m].started_us + self.working[m].duration_us)  # type: ignore[operator]
        return min([until_us, *(t.attempt_us for t in self._open[m] if t.attempt_us < self._halt_us)])

    def _go(self, machines: Iterable[int], until_us: int) -> None:
        """Walk machines until each waits for a decision or has come to the time."""
        going = list(machines)
        while going:
            targets = np.array([self._stop_us(m, until_us) for m in going], np.int64)
            stops = self.walk(np.array(going, np.int64), targets)
            going = [m for m, stop in zip(going, stops.tolist(), strict=True) if self._handle(m, stop, until_us)]

    def _handle(self, m: int, stop: int, until_us: int) -> bool:
        """Do what a stop asks for, and return whether the machine goes on at once."""
        state = self.lives.state[m]
        now = int(state["t_us"])
        if stop == FAILURE:
            self._fail(m, now)
        elif stop == TRIGGER:
            number = self.conditions[int(state["mode"])]
            self._raise(asked_by(self.plan, m, number, now, now + self.rules[number].lead_us))
        elif stop == REACHED:
            task = self.working.get(m)
            if task is None or now != task.started_us + task.duration_us:  # type: ignore[operator]
                return False
            self._finish(m, task, now)
        return int(state["t_us"]) < until_us

    def walk(
        self, chosen: NDArray[np.int64], targets: NDArray[np.int64], w: Wearing | None = None
    ) -> NDArray[np.int64]:
        """Walk machines on, on several threads where they are many, and return why each stopped."""
        quiet, w = w is not None, w or self.wearing
        held = self.lives._replace(raised=self._unraised) if quiet else self.lives  # trips are never left raised
        stops = np.empty(chosen.size, np.int64)
        share = self.threads if chosen.size >= THREADED else 1
        spans = [slice(a, b) for a, b in pairwise(chosen.size * k // share for k in range(share + 1)) if a < b]

        def walk(span: slice, kept: Notes) -> None:
            compiled.walk(self.timeline, w, held, chosen[span], targets[span], stops[span], kept)

        pads = [self._silence if quiet else self._pad(i) for i in range(len(spans))]
        if len(spans) == 1:
            walk(spans[0], pads[0])
        else:
            with ThreadPoolExecutor(len(spans)) as pool:
                list(pool.map(walk, spans, pads))
        for pad in () if quiet else pads:
            self._events.note(pad)
        return stops

    def _pad(self, number: int) -> Notes:
        while len(self._notes) <= number:
            readings = ROOM_READINGS if self.wearing.keep_readings else 0
            self._notes.append(notes(ROOM, len(self.modes), self.timeline.levels.shape[1], readings))
        return self._notes[number]

    # -- failures and work --------------------------------------------------------------------

    def _fail(self, m: int, now: int) -> None:
        state = self.lives.state[m]
        k, cause = int(state["mode"]), CAUSES[int(state["cause"])]
        mode = self.modes[k]
        self.failed_us[m] = now
        self.foresight.fulfil(m, now)
        if now >= self.plan.end_us:
            return
        self._events.failures.append({"machine_id": self.ids[m], "failed_at": now, "mode": mode, "cause": cause})
        if cause != "injected":
            self._end_life(m, k, now, cause)
        task = repair_of(self.plan, m, mode, now)
        if task is not None:
            self._raise(task)

    def _end_life(self, m: int, k: int, now: int, cause: str) -> None:
        """Note the end of a part's life: by failure, by repair, or by the end of the run."""
        part = self.lives.parts[m, k]
        if not self.wearing.wears[k] or self._born_us[m, k] < 0:
            return
        self._events.lives.append(
            {
                "machine_id": self.ids[m],
                "mode": self.modes[k],
                "renewal": int(part[RENEWAL]),
                "started_at": int(self._born_us[m, k]),
                "ended_at": now,
                "start_h": float(self._entry_age[m, k]),
                "stop_h": float(part[AGE]),
                "event": cause in ("wear", "secondary"),
                "cause": cause,
            }
        )
        self._born_us[m, k] = -1  # its successor is born when it is repaired

    def _soonest(self, until_us: int) -> int | None:
        """Return the next time before `until_us` at which somebody may begin a task."""
        while self._queue:
            at, _, _, task = self._queue[0]
            if task.open and at == task.attempt_us:
                return at if at < min(until_us, self._halt_us) else None
            heapq.heappop(self._queue)
        return None

    def _allocate(self, at: int) -> list[int]:
        """Give out the technicians at a time, and return the machines that can go on."""
        due: dict[int, Task] = {}
        while self._queue and self._queue[0][0] <= at:
            task = heapq.heappop(self._queue)[3]
            if task.open and task.attempt_us == at:
                due[id(task)] = task
        moved, nobody = set(), dict[str, int]()
        for task in sorted(due.values(), key=Task.order):
            if task.attempt_us != at:  # work on its machine has just begun
                continue
            wanted = self.workshop.wanted(task)
            person = None if wanted in nobody else self.workshop.free(task, at)
            if person is None and self.workshop.technicians:
                if wanted not in nobody:
                    nobody[wanted] = self.workshop.next_attempt(task, at)
                self._try_at(task, nobody[wanted])
                if self.lives.state[task.m]["state"] != FAILED:  # what stands still need not be followed now
                    moved.add(task.m)
                continue
            if person is not None:
                self.workshop.book(person, task, at)
            moved.add(task.m)
            self._begin(task, at)
        return sorted(moved)

    def _begin(self, task: Task, at: int) -> None:
        m = task.m
        while self.lives.state[m]["t_us"] < at:  # it stood still
            self.walk(np.array([m], np.int64), np.array([at], np.int64))
        self.foresight.part(m, at)
        task.status, task.started_us = IN_PROGRESS, at
        task.stopped_us = self._charged_us.get(m, self.failed_us.get(m, at))
        self._open[m].remove(task)
        self.working[m] = task
        self.free_us[m] = at + task.duration_us
        for other in self._open[m]:
            if other.attempt_us < self.free_us[m]:
                self._try_at(other, next_minute(self.free_us[m]))
        self.lives.state[m]["state"] = MAINTENANCE
        self._events.touched.append(task)

    def _finish(self, m: int, task: Task, now: int) -> None:
        """Restore what a task restores, and let the machine run if nothing keeps it from it."""
        del self.working[m]
        self.restore(m, task.action, now, self._renewed)
        task.status, task.ended_us = DONE, now
        self._events.touched.append(task)
        self._events.log.append(self._log_row(task))
        if self.stand_up(m):
            self._charged_us[m] = now
        else:
            self._charged_us.pop(m, None)
            self.failed_us.pop(m, None)
            for other in [t for t in self._open[m] if t.origin == "corrective"]:
                self._cancel(other)
        for condition, number in enumerate(self.conditions):
            asked = task.rule == number
            if asked or (self.rules[number].kind == "running" and self.rules[number].action == task.action):
                self.lives.above_h[m, condition] = 0
            if asked:
                self.lives.armed[m, condition] = True

    def stand_up(self, m: int) -> bool:
        """Let a machine run after work on it, and return whether it stays failed.

        What failed and is not repaired stays failed; another mode at full damage will fail at once.
        """
        state = self.lives.state[m]
        still = m in self.failed_us and self.modes[int(state["mode"])] in self.broken_modes(m)
        state["state"], state["eager"] = FAILED if still else RUNNING, 1
        return still

    def _renewed(self, m: int, k: int, now: int, before: bool) -> None:
        """Note the end of the old life before a repair, and the birth of the new one after it."""
        if before:
            self._end_life(m, k, now, "repair")
        else:
            self._born_us[m, k] = now
            self._entry_age[m, k] = self.lives.parts[m, k, BASE_AGE]

    def restore(self, m: int, action: str, now: int, told: Callable[[int, int, int, bool], None] | None = None) -> None:
        """Let an action take damage away, in the order of the modes; tell before and after each."""
        w, held = self.wearing, self.lives
        a, b = (int(x) for x in w.fault_first[m : m + 2])
        for k, mode in enumerate(self.modes):
            share = self.plan.actions[action].restores.get(mode, 0.0)
            if share <= 0.0:
                continue
            if told is not None:
                told(m, k, now, True)
            parts.restore(self.timeline, w, m, k, share, now, held.parts[m], held.faults[a:b])
            if told is not None:
                told(m, k, now, False)

    def broken_modes(self, m: int) -> list[str]:
        """Return the modes at full damage that keep a machine from running."""
        w, held = self.wearing, self.lives
        a, b = (int(x) for x in w.fault_first[m : m + 2])
        damage = np.empty(len(self.modes))
        parts.damage_of(self.timeline, w, m, held.state[m], held.parts[m], held.faults[a:b], damage)
        return [mode for k, mode in enumerate(self.modes) if w.stops[k] and damage[k] >= 1.0 - 1e-12]

    def _cancel(self, task: Task) -> None:
        task.status = CANCELLED
        self._open[task.m].remove(task)
        self._events.touched.append(task)

    def _log_row(self, task: Task) -> dict[str, Any]:
        machine = self.plan.machines[task.m]
        rate = self.plan.machine_types[machine.machine_type].downtime_cost_per_h
        parts_cost = task.parts_cost * task.factor
        downtime = rate * (task.ended_us - task.stopped_us) / HOUR_US  # type: ignore[operator]
        return {
            "machine_id": task.machine_id,
            "start_at": task.started_us,
            "end_at": task.ended_us,
            "number": task.number,
            "task_id": task.task_id,
            "task_type": task.task_type,
            "action": task.action,
            "technician_id": task.done_by,
            "labour_cost": task.labour_cost,
            "parts_cost": parts_cost,
            "downtime_cost": downtime,
            "cost": task.labour_cost + parts_cost + downtime,
            "notes": "",
        }

    def _mark_overdue(self, now: int) -> None:
        while self._late and self._late[0][0] <= now:
            task = heapq.heappop(self._late)[3]
            if task.status == PLANNED:
                task.status = OVERDUE
                self._events.touched.append(task)

    # -- handing over -------------------------------------------------------------------------

    def drain(self) -> Events:
        """Return what happened since the last call, with the remaining useful life of each row of the truth."""
        events, self._events = self._events, Events()
        self.foresight.look(sorted({int(m) for rows in events.truth_at for m in np.unique(rows[:, 0])}))
        events.truth = truth_rows(events, self._idle, len(self.modes), self.foresight.remaining_h)
        self.foresight.forget()
        return events

    def finish(self) -> None:
        """Note the lives that the end of the run cuts off."""
        for m in range(len(self.ids)):
            for k in range(len(self.modes)):
                self._end_life(m, k, self.plan.end_us, "end")


def _one(task: Task | None) -> tuple[Task, ...]:
    return () if task is None else (task,)


def _new_lives(w: Wearing, machines: int, sources: int) -> Lives:
    modes, conditions = w.source.size, w.condition_channel.size
    return Lives(
        state=np.zeros(machines, LIFE_STATE),
        parts=np.zeros((machines, modes, N_PART)),
        faults=np.zeros((w.fault_mode.size, N_FAULT)),
        shown=np.full((machines, sources), -1.0),
        raised=np.zeros((machines, w.rule_channel.size), np.bool_),
        above_h=np.zeros((machines, conditions), np.int64),
        armed=np.ones((machines, conditions), np.bool_),
    )
