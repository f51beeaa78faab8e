"""What goes to a worker and what comes back: plain values that every executor can carry."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Task:
    """One run for a worker.

    Attributes
    ----------
    run_id, attempt, experiment : str
        The run; a mark of this attempt at it; the experiment's name.
    parameters : dict
        As JSON knows them.
    kind, template : str
        ``notebook`` or ``function``; its name.
    url : str
        The output location.
    plant, notebook : str
        Files below the output location: the plant without runs, and the template (or empty).
    returns : tuple of str
        Results that must be there.
    timeout_s : float
    runs_per_kernel : int
    telemetry : bool
        Whether the rows of the run's simulations are kept.
    takes : tuple of str
        Which of ``db`` and ``out`` the template takes.
    """

    run_id: str
    attempt: str
    experiment: str
    parameters: dict[str, Any]
    kind: str
    template: str
    url: str
    plant: str
    notebook: str
    returns: tuple[str, ...]
    timeout_s: float
    runs_per_kernel: int
    telemetry: bool
    takes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a run went.

    Attributes
    ----------
    status : str
        ``complete``; ``failed``: the run's own doing; ``lost``: its worker or kernel died, try again;
        ``unwritable``: the output location refuses, stop.
    results : dict
        By name, nested names joined by dots.
    error, digest
        Why it is not complete; content hash of results and tables.
    wall_s, started_us, finished_us, bytes
        Time that it took, when that was (microseconds since 1970 UTC), size of its folder.
    """

    run_id: str
    attempt: str
    status: str
    results: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    digest: str | None = None
    wall_s: float = 0.0
    started_us: int = 0
    finished_us: int = 0
    bytes: int = 0
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return dict(vars(self))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Outcome:
        """Return what `to_json` made, whatever else a mark holds."""
        known = {entry.name for entry in dataclasses.fields(cls)}
        return cls(**{name: entry for name, entry in value.items() if name in known})
