"""What people ask of a live session: each a command that is queued, taken at a tick, and answered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twin.plan import Plan

WAITING, DONE, REFUSED = "waiting", "done", "refused"


@dataclass
class Outcome:
    """What a command makes of a plan.

    Attributes
    ----------
    fields : dict
        Fields of the plan that are changed; none where only the clock is.
    message : str
        What was done, in one line.
    result : object
        Such as the number of what was created.
    machine_id : int or None
        The machine that it concerns, if one.
    """

    fields: dict[str, Any]
    message: str
    result: Any = None
    machine_id: int | None = None


Apply = Callable[[Plan, int], Outcome]
"""Changes a plan from a time on (microseconds since 1970 UTC); raises `BadRequest` where it cannot."""


def _nothing(_plan: Plan, _at_us: int) -> Outcome:
    return Outcome({}, "")


@dataclass(eq=False)
class Command:
    """One request to a session.

    Attributes
    ----------
    number : int
        The how-manieth of the session, from 1.
    verb, arguments : str, dict
        What was asked, with plain values.
    status : str
        ``waiting``, ``done`` or ``refused``.
    tick, at_us : int or None
        The first tick that it can have changed, and its time.
    message : str
        What came of it, in one line.
    result : object
        What it returned, such as the id of an injection.
    """

    number: int
    verb: str
    arguments: dict[str, Any]
    status: str = WAITING
    tick: int | None = None
    at_us: int | None = None
    message: str = ""
    result: Any = None
    apply: Apply = field(default=_nothing, repr=False)
    _answered: threading.Event = field(default_factory=threading.Event, repr=False)

    def answer(self, status: str, message: str, tick: int, at_us: int, result: Any = None) -> None:
        """State what came of it."""
        self.tick, self.at_us, self.result = tick, at_us, result
        self.message, self.status = message, status
        self._answered.set()

    def wait(self, timeout_s: float | None = 5.0) -> Command:
        """Wait until it has been answered, and return it; a refusal is in `status` and `message`."""
        self._answered.wait(timeout_s)
        return self

    def row(self) -> dict[str, Any]:
        """Return the row of the table ``session_commands``, but for the run."""
        return {
            "number": self.number,
            "tick": self.tick,
            "ts": self.at_us,
            "verb": self.verb,
            "arguments": self.arguments,
            "status": self.status,
            "message": self.message,
        }
