"""What happens in a run beside its telemetry, as rows for the tables of events and of the truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twin.digest import join
from twin.layout import Timeline
from twin.life_layout import FAILED, MAINTENANCE, RUNNING, TRIPPED, Notes

HOUR_US = 3_600_000_000
IDLE_LOAD = 0.1
"""A machine that is asked for less of its rated torque than this is idle. [choice]"""
STATES = {RUNNING: "running", FAILED: "failed", MAINTENANCE: "maintenance", TRIPPED: "off"}


@dataclass
class Truth:
    """Rows of the table ``ground_truth``: the hidden condition of machines.

    Attributes
    ----------
    machine, ts_us : int64 arrays (rows,)
        Position of the machine in the plan; microseconds since 1970 UTC.
    state : int64 array (rows,)
        See `STATES`; `idle` holds where a running machine is hardly asked for anything.
    damage : float32 array (rows, modes)
    rul_h : float64 array (rows,)
        NaN where no failure is coming, or none is known.
    """

    machine: NDArray[np.int64]
    ts_us: NDArray[np.int64]
    state: NDArray[np.int64]
    idle: NDArray[np.bool_]
    damage: NDArray[np.float32]
    rul_h: NDArray[np.float64]

    def state_names(self) -> list[str]:
        """Return the operating state of each row in words."""
        return [
            "idle" if i and s == RUNNING else STATES[s] for s, i in zip(self.state.tolist(), self.idle, strict=True)
        ]

    def health(self) -> NDArray[np.float32]:
        """Return 1 less the largest damage of each row (of all modes: an instrument can be unwell too)."""
        return (1.0 - self.damage.max(axis=1, initial=0.0)).astype(np.float32)


@dataclass
class Events:
    """What happened in a stretch of a run.

    Attributes
    ----------
    failures, log, lives, alarms : list of dict
        Rows of ``failures``, ``maintenance_log``, ``lives`` and ``alarms`` but for the run.
    tasks : list of dict
        Rows of ``work_orders`` that are new or have changed.
    truth : Truth or None
    """

    failures: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    lives: list[dict[str, Any]] = field(default_factory=list)
    touched: list[Any] = field(default_factory=list)
    truth: Truth | None = None
    truth_at: list[NDArray[np.int64]] = field(default_factory=list)
    truth_damage: list[NDArray[np.float32]] = field(default_factory=list)
    segment_at: list[NDArray[np.int64]] = field(default_factory=list)
    segment_levels: list[NDArray[np.float64]] = field(default_factory=list)
    alarm_at: list[NDArray[np.int64]] = field(default_factory=list)
    alarm_value: list[NDArray[np.float64]] = field(default_factory=list)
    reading_at: list[NDArray[np.int64]] = field(default_factory=list)
    reading: list[NDArray[np.float32]] = field(default_factory=list)
    shown: bool = False  # to the functions of a policy

    def note(self, pad: Notes) -> None:
        """Take over what a walk has noted, and clear the notes."""
        truth, segments, alarms, readings = pad.counts.tolist()
        if truth:
            self.truth_at.append(pad.truth_at[:truth].copy())
            self.truth_damage.append(pad.truth_damage[:truth].copy())
        if segments:
            self.segment_at.append(pad.segment_at[:segments].copy())
            self.segment_levels.append(pad.segment_levels[:segments].copy())
        if alarms:
            self.alarm_at.append(pad.alarm_at[:alarms].copy())
            self.alarm_value.append(pad.alarm_value[:alarms].copy())
        if readings:
            self.reading_at.append(pad.reading_at[:readings].copy())
            self.reading.append(pad.reading[:readings].copy())
        pad.counts[:] = 0

    def tasks(self) -> list[dict[str, Any]]:
        """Return the rows of the tasks that are new or have changed, each once."""
        last = {(task.machine_id, task.number): task for task in self.touched}
        return [last[key].row() for key in sorted(last)]

    def alarms(self, ids: list[int], rules: list[Any]) -> list[dict[str, Any]]:
        """Return the rows of ``alarms``, by machine and time."""
        if not self.alarm_at:
            return []
        at, values = np.concatenate(self.alarm_at), np.concatenate(self.alarm_value)
        order = np.lexsort((at[:, 2], at[:, 1], at[:, 0]))
        rows = []
        for (m, ts, r), value in zip(at[order].tolist(), values[order].tolist(), strict=True):
            rule = rules[r]
            message = f"{rule.title}: {rule.channel} {value:.4g}"
            rows.append(
                {
                    "machine_id": ids[m],
                    "ts": ts,
                    "code": rule.name,
                    "level": rule.level,
                    "value": value,
                    "message": message,
                }
            )
        return rows

    def digest(self) -> int:
        """Return a hash of failures, work and lives; sums of parts of a run are the hash of the whole."""
        total = 0
        for kind, rows in (("failures", self.failures), ("log", self.log), ("lives", self.lives)):
            for row in rows:
                text = json.dumps([kind, row], sort_keys=True)
                total = join(total, int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little"))
        return total


def joined(parts: list[Events]) -> Events:
    """Return consecutive stretches as one."""
    whole = Events()
    for part in parts:
        for name in ("failures", "log", "lives", "touched", "alarm_at", "alarm_value", "reading_at", "reading"):
            getattr(whole, name).extend(getattr(part, name))
    truths = [part.truth for part in parts if part.truth is not None]
    if truths:
        columns = {f.name: np.concatenate([getattr(t, f.name) for t in truths]) for f in fields(Truth)}
        order = np.lexsort((columns["ts_us"], columns["machine"]))
        whole.truth = Truth(**{name: column[order] for name, column in columns.items()})
    return whole


def idle_segments(timeline: Timeline) -> NDArray[np.bool_]:
    """Return which rows of a plan's timeline ask for next to nothing; a recorded load counts as work."""
    return np.asarray((timeline.inputs[:, 0] < IDLE_LOAD) & (timeline.tracks[:, 0] < 0))


def truth_rows(
    events: Events,
    idle: NDArray[np.bool_],
    modes: int,
    remaining_h: Callable[[int, NDArray[np.int64]], NDArray[np.float64]],
) -> Truth:
    """Return the truth that a walk has noted, by machine and time, with remaining useful lives."""
    if not events.truth_at:
        empty = np.empty(0, np.int64)
        return Truth(empty, empty, empty, empty > 0, np.empty((0, modes), np.float32), np.empty(0))
    at, damage = np.concatenate(events.truth_at), np.concatenate(events.truth_damage)
    order = np.lexsort((at[:, 1], at[:, 0]))
    at, damage = at[order], damage[order]
    rul_h = np.full(len(at), np.nan)
    bounds = np.flatnonzero(np.diff(at[:, 0], prepend=-1, append=-1))
    for a, b in pairwise(bounds.tolist()):
        rul_h[a:b] = remaining_h(int(at[a, 0]), at[a:b, 1])
    return Truth(at[:, 0], at[:, 1], at[:, 2], idle[at[:, 3]], damage, rul_h)
