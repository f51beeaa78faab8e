"""Small tasks of every kind: the same code as the frozen ones, in seconds."""

from __future__ import annotations

from typing import Any

from twin.benchmark.tasks import Task
from twin.benchmark.worlds import World

SMALL = World(24, 150, 5, duty=0.6, turn_days=(3.0, 9.0), faults=6.0, life=0.5)


def small(kind: str, **changes: Any) -> Task:
    """Return a small task of a kind."""
    cadence, horizon = ("24h", "1d") if kind == "survival" else ("12h", "7d")
    days = 3 if kind == "survival" else 1
    fields = {"world": SMALL, "teach": 14, "cadence": cadence, "horizon": horizon, "every_days": days} | changes
    return Task(kind, "easy", **fields)
