"""What a run is asked to do, whole: the one value from which a run can be repeated anywhere.

A `Plan` embeds every definition it uses (machine types, scenarios, failure modes, profiles by
content hash), so that a later change of the plant's tables cannot change a stored run.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twin.catalog.checks import refusal
from twin.catalog.models import Channel, FailureMode, MachineType, Scenario

PLAN_FORMAT = 1
_Micros = Annotated[int, Field(ge=0, lt=2**62)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PlannedMachine(_Frozen):
    """A machine of the fleet.

    Attributes
    ----------
    machine_id : int
        Its number in the tables, 1 to 32767; also its address in the noise.
    name, machine_type : str
        What people call it; its row in the catalog of types.
    unit_seed : int
        Seed of its unit-to-unit variation.
    """

    machine_id: Annotated[int, Field(ge=1, le=32767)]
    name: str
    machine_type: str
    unit_seed: Annotated[int, Field(ge=0, lt=2**63)]


class Activation(_Frozen):
    """A scenario at work on one machine from `start_us` to `end_us` (``None``: open-ended)."""

    scenario: str
    machine_id: int
    start_us: int
    end_us: int | None = None


class Injection(_Frozen):
    """A failure mode held at a level of damage on one machine (``end_us`` ``None``: until cleared)."""

    injection_id: int
    failure_mode: str
    machine_id: int
    level: Annotated[float, Field(gt=0, le=1)]
    start_us: int
    end_us: int | None = None


class PlannedTask(_Frozen):
    """A maintenance task as it stood in the tables when the run began."""

    task_id: int
    machine_id: int
    task_type: str
    action: str
    scheduled_us: int
    duration_us: int
    priority: str
    status: str
    technician_id: str | None = None
    cost: float = 0.0


class Plan(_Frozen):
    """A fleet, a span, an interval, a seed, and all that happens in it.

    Attributes
    ----------
    start_us, end_us, interval_us : int
        Microseconds since 1970 UTC; ticks are at ``start_us + k * interval_us < end_us``.
    seed : int
        The address of all noise, 0 to 2**63 - 1.
    settled : bool
        Whether machines begin at the operating point of their first tick (else cold, at rest).
    profiles : tuple of str
        Content hashes of the recorded profiles that the scenarios follow.
    """

    format: Annotated[int, Field(ge=1, le=PLAN_FORMAT)] = PLAN_FORMAT
    machines: tuple[PlannedMachine, ...]
    start_us: _Micros
    end_us: _Micros
    interval_us: Annotated[int, Field(ge=1000, lt=2**62)]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    settled: bool = True
    machine_types: dict[str, MachineType]
    channels: dict[str, Channel]
    scenarios: dict[str, Scenario] = {}
    failure_modes: dict[str, FailureMode] = {}
    activations: tuple[Activation, ...] = ()
    injections: tuple[Injection, ...] = ()
    tasks: tuple[PlannedTask, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.end_us <= self.start_us:
            raise ValueError("the end must be later than the start")
        known = {m.machine_id for m in self.machines}
        if not known or len(known) != len(self.machines):
            raise ValueError("a plan needs at least one machine, and no machine twice")
        for machine in self.machines:
            if machine.machine_type not in self.machine_types:
                raise ValueError(f"machine type {machine.machine_type!r} of {machine.name} is not defined in the plan")
        spans: tuple[Activation | Injection, ...] = (*self.activations, *self.injections)
        for span in spans:
            if span.machine_id not in known:
                raise ValueError(f"machine {span.machine_id} is not in the plan's fleet")
            if span.end_us is not None and span.end_us <= span.start_us:
                raise ValueError("an activation or injection must end after it starts")
        missing = {a.scenario for a in self.activations} - set(self.scenarios)
        missing |= {i.failure_mode for i in self.injections} - set(self.failure_modes)
        if missing:
            raise ValueError(f"not defined in the plan: {', '.join(sorted(missing))}")
        return self

    @property
    def ticks(self) -> int:
        """Readings of each machine."""
        return -(-(self.end_us - self.start_us) // self.interval_us)

    @property
    def rows(self) -> int:
        """Readings of the whole fleet."""
        return self.ticks * len(self.machines)

    def to_json(self) -> str:
        """Return the plan as canonical JSON: sorted keys, no spaces."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read a plan that `to_json` wrote.

        Raises
        ------
        BadRequest
            If the text is no plan, or one of a newer format.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise refusal(error, cls, "plan") from None

    @property
    def sha256(self) -> str:
        """Content hash of the plan: equal plans, equal telemetry."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()
