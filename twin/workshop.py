"""Tasks and the people who do them: who is free when, and what is worked on first.

Technicians are given out at whole minutes, to waiting tasks by priority and then by time; ties go by
machine and number, never by the order in which machines were simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.catalog.models import MaintenanceAction, Technician
from twin.layout import NEVER_US
from twin.policy import PRIORITIES

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
PLANNED, IN_PROGRESS, DONE, CANCELLED, OVERDUE = "planned", "in_progress", "done", "cancelled", "overdue"
OVERDUE_US = DAY_US
"""A task that has not begun a day after it was due is overdue. [choice]"""


def next_minute(t_us: int) -> int:
    """Return the first whole minute that is not before a time."""
    return -(-t_us // MINUTE_US) * MINUTE_US


@dataclass
class Task:
    """Work on one machine in one run.

    Attributes
    ----------
    m, machine_id, number : int
        Position and id of the machine; the how-manieth task of this machine it is.
    origin : str
        ``planned`` (scheduled by people), ``corrective``, ``periodic``, ``running``, ``condition`` or ``callable``.
    due_us, attempt_us : int
        When it should begin, and when it is next tried to begin.
    stopped_us : int or None
        When the machine stopped for it: at its failure, or when the work began.
    """

    m: int
    machine_id: int
    number: int
    origin: str
    task_type: str
    action: str
    raised_us: int
    due_us: int
    duration_us: int
    priority: str
    technician_id: str | None = None
    task_id: int | None = None
    parts_cost: float = 0.0
    factor: float = 1.0
    mode: str | None = None
    rule: int = -1
    status: str = PLANNED
    attempt_us: int = 0
    started_us: int | None = None
    ended_us: int | None = None
    stopped_us: int | None = None
    done_by: str | None = None
    labour_cost: float = 0.0
    overdue: bool = False

    def __post_init__(self) -> None:
        self.attempt_us = next_minute(self.due_us)

    @property
    def open(self) -> bool:
        """Whether it has not begun, and still may."""
        return self.status in (PLANNED, OVERDUE)

    def __deepcopy__(self, memo: dict[int, Any]) -> Task:
        """Return a task of another world; what is over will not change, and serves both."""
        if self.status in (DONE, CANCELLED):
            return self
        twin = object.__new__(Task)
        twin.__dict__.update(self.__dict__)
        return twin

    def order(self) -> tuple[int, int, int, int]:
        """Return what decides who comes first."""
        return -PRIORITIES.index(self.priority), self.due_us, self.machine_id, self.number

    def row(self) -> dict[str, Any]:
        """Return the row of the table ``work_orders``."""
        return {
            "machine_id": self.machine_id,
            "number": self.number,
            "task_id": self.task_id,
            "origin": self.origin,
            "rule": self.rule if self.rule >= 0 else None,
            "task_type": self.task_type,
            "action": self.action,
            "failure_mode": self.mode,
            "raised_at": self.raised_us,
            "due_at": self.due_us,
            "duration_min": self.duration_us / 60e6,
            "started_at": self.started_us,
            "ended_at": self.ended_us,
            "priority": self.priority,
            "status": self.status,
            "technician_id": self.done_by or self.technician_id,
        }


class Workshop:
    """The technicians of a plant and until when each is busy.

    Parameters
    ----------
    technicians : tuple of Technician
        Empty: work is done by others, at any time and in any number, without a labour cost.
    actions : dict of str to MaintenanceAction
    """

    def __init__(self, technicians: tuple[Technician, ...], actions: dict[str, MaintenanceAction]) -> None:
        self.technicians = tuple(sorted(technicians, key=lambda t: (t.hourly_cost, t.technician_id)))
        self._actions = actions
        self._busy_us = np.zeros(len(self.technicians), np.int64)
        shifts = [(t.shift_start_h, t.shift_end_h) for t in self.technicians]
        self._shift_us = np.array([[next_minute(round(h * HOUR_US)) for h in s] for s in shifts], np.int64).reshape(
            -1, 2
        )
        self._works = np.array([[d in t.weekdays for d in "1234567"] for t in self.technicians], bool).reshape(-1, 7)
        self._able: dict[str, NDArray[np.int64]] = {}

    def wanted(self, task: Task) -> str:
        """Return whom a task waits for: a technician by name, or anybody with a skill."""
        return task.technician_id or f"skill:{self._actions[task.action].skill}"

    def able(self, task: Task) -> NDArray[np.int64]:
        """Return who may do a task: the one it names, else those with the skill, the cheapest first."""
        wanted = self.wanted(task)
        if wanted not in self._able:
            skill = wanted.removeprefix("skill:")
            named = [i for i, t in enumerate(self.technicians) if t.technician_id == task.technician_id]
            skilled = [i for i, t in enumerate(self.technicians) if skill in t.skills]
            self._able[wanted] = np.array(named or skilled, np.int64)
        return self._able[wanted]

    def starts(self, who: NDArray[np.int64], t_us: int) -> NDArray[np.int64]:
        """Return the first whole minutes, not before a time, at which technicians may begin work."""
        found = np.full(who.size, NEVER_US, np.int64)
        after = np.maximum(next_minute(t_us), -(-self._busy_us[who] // MINUTE_US) * MINUTE_US)
        day = after // DAY_US
        for ahead in range(8):
            at = np.maximum(after, (day + ahead) * DAY_US + self._shift_us[who, 0])
            found = np.where((found == NEVER_US) & self._on_shift(who, at), at, found)
            if (found != NEVER_US).all():
                break
        return found

    def _on_shift(self, who: NDArray[np.int64], at: NDArray[np.int64]) -> NDArray[np.bool_]:
        day, into = np.divmod(at, DAY_US)
        works = self._works[who, (day + 3) % 7]  # 1970-01-01 was a Thursday
        return np.asarray(works & (into >= self._shift_us[who, 0]) & (into < self._shift_us[who, 1]))

    def free(self, task: Task, t_us: int) -> int | None:
        """Return who can begin a task at a time, a whole minute: the cheapest, or None."""
        who = self.able(task)
        now = np.flatnonzero((self._busy_us[who] <= t_us) & self._on_shift(who, np.full(who.size, t_us)))
        return int(who[now[0]]) if now.size else None

    def next_attempt(self, task: Task, t_us: int) -> int:
        """Return the first time after `t_us` at which somebody may be free for a task; NEVER_US: nobody can do it."""
        return int(self.starts(self.able(task), t_us + MINUTE_US).min(initial=NEVER_US))

    def book(self, person: int, task: Task, t_us: int) -> None:
        """Give a technician a task to its end."""
        task.done_by = self.technicians[person].technician_id
        self._busy_us[person] = t_us + task.duration_us
        task.labour_cost = self.technicians[person].hourly_cost * task.duration_us / HOUR_US * task.factor
