"""What panels offer, as the plant's tables have it now, and what goes wrong outside of a command."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Option = tuple[str, Any]


@dataclass(frozen=True)
class Choices:
    """What a person can choose among, as the plant's tables have it now.

    Attributes
    ----------
    machines, scenarios, modes, actions, technicians : tuple of (label, value)
        Rows of the plant's tables.
    usual : dict of str to dict
        By maintenance action: its usual duration and cost, and what it takes damage from.
    about : dict of str to str
        By scenario: what it means.
    rules : dict of str to dict
        By alarm code: channel, level and title.
    """

    machines: tuple[Option, ...] = ()
    scenarios: tuple[Option, ...] = ()
    modes: tuple[Option, ...] = ()
    actions: tuple[Option, ...] = ()
    technicians: tuple[Option, ...] = ()
    usual: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Any) -> Choices:
        """Read the tables of a session's plant."""
        plant = session.plant
        with plant.store.reading():  # one connection for all tables
            scenarios, modes = plant.scenarios.rows(), plant.failure_modes.rows()
            actions, people = plant.maintenance_actions.rows(), plant.technicians.rows()
            rules = plant.alarm_rules.rows()
        return cls(
            machines=tuple((machine.name, machine.name) for machine in session.machines),
            scenarios=tuple((row["name"], row["name"]) for row in scenarios),
            modes=tuple((row["title"], row["name"]) for row in modes),
            actions=tuple((row["title"], row["name"]) for row in actions),
            technicians=tuple((f"{row['name']} ({row['technician_id']})", row["technician_id"]) for row in people),
            usual={row["name"]: row for row in actions},
            about={row["name"]: row["description"] for row in scenarios},
            rules={row["name"]: row for row in rules},
        )


@dataclass(frozen=True)
class Notice:
    """A line for the log: its number, simulated time (µs), the commands before it, and its words."""

    number: int
    at_us: int
    after: int
    text: str


class Notices:
    """What went wrong outside of a command, newest last, for the log."""

    def __init__(self) -> None:
        self._lines: deque[Notice] = deque(maxlen=100)
        self._lock = threading.Lock()
        self.count = 0

    def add(self, session: Any, text: str) -> None:
        """Keep a line, with the simulated time and its place among the commands."""
        at_us, after = session.now_us, len(session.log())
        with self._lock:
            self.count += 1
            self._lines.append(Notice(self.count, at_us, after, text))

    def lines(self) -> list[Notice]:
        """Return the newest lines."""
        with self._lock:
            return list(self._lines)
