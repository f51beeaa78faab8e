"""What a run is asked to do, whole: the one value from which a run can be repeated anywhere.

A `Plan` embeds every definition it uses (machine types, scenarios, failure modes, profiles by
content hash), so that a later change of the plant's tables cannot change a stored run.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twin.catalog.checks import refusal
from twin.catalog.models import (
    AlarmRule,
    Channel,
    FailureMode,
    MachineType,
    MaintenanceAction,
    Scenario,
    Technician,
)
from twin.policy import Rule

PLAN_FORMAT = 2
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
    """A failure mode put into one machine (``end_us`` ``None``: until cleared).

    The damage holds its level, or, with `time_to_failure_us`, grows from it to 1 in that much running time.
    """

    injection_id: int
    failure_mode: str
    machine_id: int
    level: Annotated[float, Field(gt=0, le=1)]
    start_us: int
    end_us: int | None = None
    time_to_failure_us: Annotated[int, Field(ge=1000, lt=2**62)] | None = None


class PlannedTask(_Frozen):
    """A maintenance task as it stood in the tables when the run began (without a `task_id`: one of a what-if)."""

    task_id: int | None
    number: int | None = None
    machine_id: int
    task_type: str
    action: str
    scheduled_us: int
    duration_us: int
    priority: str
    status: str
    technician_id: str | None = None
    cost: float = 0.0


class Corrective(_Frozen):
    """What happens after a functional failure.

    Attributes
    ----------
    response_us : int
        From the failure to when the repair can begin at the soonest.
    emergency_factor : float
        By which unplanned work costs more: labour and parts.
    """

    response_us: Annotated[int, Field(ge=0, lt=2**62)] = 4 * 3_600_000_000
    emergency_factor: Annotated[float, Field(ge=1.0, le=100.0)] = 1.5


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
    wear : str
        ``off``; ``new``: machines wear, and begin with new parts; ``used``: with parts of random age.
    telemetry : bool
        Whether readings are made; else the run has events and truth only.
    truth_us : int or None
        Interval of the rows of ``ground_truth`` beside those at changes.
    acting : bool
        Whether maintenance tasks act on the machines.
    corrective : Corrective or None
        How failures are repaired; ``None``: not at all.
    policies : tuple of Rule
        What else asks for maintenance (see `twin.policy`).
    actions, technicians, alarm_rules
        Definitions that maintenance and alarms use.
    halt_us : int or None
        From when on no maintenance work begins.
    base_sha256 : str or None
        Of a what-if: the plan that it departs from.
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
    wear: Literal["off", "new", "used"] = "off"
    telemetry: bool = True
    truth_us: Annotated[int, Field(ge=1_000_000, lt=2**62)] | None = None
    acting: bool = False
    corrective: Corrective | None = None
    policies: tuple[Rule, ...] = ()
    actions: dict[str, MaintenanceAction] = {}
    technicians: tuple[Technician, ...] = ()
    alarm_rules: dict[str, AlarmRule] = {}
    halt_us: int | None = None
    base_sha256: str | None = None

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
        if self.acting:
            missing |= {t.action for t in self.tasks} - set(self.actions)
            missing |= {r.action for r in self.policies if r.kind != "callable"} - set(self.actions)
        if missing:
            raise ValueError(f"not defined in the plan: {', '.join(sorted(missing))}")
        return self

    @property
    def world_sha256(self) -> str:
        """Content hash of what paired runs share: fleet, span, seed and conditions, whatever maintenance does."""
        own = {
            "interval_us",
            "telemetry",
            "truth_us",
            "tasks",
            "policies",
            "corrective",
            "halt_us",
            "base_sha256",
            "format",
        }
        shared = self.model_dump(mode="json", exclude=own)
        return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()

    @property
    def policy_text(self) -> str:
        """The policy in words."""
        if not self.acting:
            return "none"
        return "; ".join(rule.text() for rule in self.policies) or (
            "run-to-failure" if self.corrective is not None else "no repair"
        )

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
