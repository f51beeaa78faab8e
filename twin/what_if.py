"""Paired worlds: the same plan with something changed from a time on, and what difference it made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from twin.agenda import OWN_NUMBERS
from twin.catalog.checks import refusal
from twin.catalog.models import MaintenanceAction, Scenario
from twin.errors import BadRequest, shown, unknown
from twin.plan import Activation, Injection, Plan, PlannedTask
from twin.plant_base import overlap
from twin.policy import PolicyLike, Rule, parse
from twin.times import format_time, parse_time

if TYPE_CHECKING:
    import datetime as dt

    import pandas as pd

    from twin.results import RunRecord

_Span = TypeVar("_Span", Activation, Injection)
FIRST_NUMBER = 9 * OWN_NUMBERS
"""Work orders of a what-if are numbered from here, so that no other work order changes its number."""
FIGURES = (
    "failures",
    "tasks_done",
    "downtime_h",
    "availability",
    "labour_cost",
    "parts_cost",
    "downtime_cost",
    "cost",
    "energy_kwh",
)


@dataclass(frozen=True)
class Change:
    """What is changed in a plan, and from when on.

    Attributes
    ----------
    at : time
        From when on, UTC; within the plan.
    machines : str, int or sequence of them, optional
        Where; needed for a repair, all machines otherwise.
    repair : str, optional
        A maintenance action that is done as soon as somebody can.
    technician : str, optional
        Who does the repair; anybody who can when not given.
    policy : policy, optional
        What asks for maintenance from then on, instead of the plan's policy.
    maintenance : bool
        False: from then on no work begins.
    scenario : Scenario, optional
        A scenario that becomes active.
    until : time, optional
        When the scenario ends.
    clear : str, optional
        A failure mode whose injections end.
    """

    at: Any
    machines: Any = None
    repair: str | None = None
    technician: str | None = None
    policy: PolicyLike = None
    maintenance: bool = True
    scenario: Scenario | None = None
    until: Any = None
    clear: str | None = None


def changed(plan: Plan, change: Change) -> tuple[Plan, dict[str, Callable[[Any], Any]]]:
    """Return a plan with a change, and the functions of its policy by name.

    Raises
    ------
    BadRequest
        If nothing is changed, or what is asked for cannot be.
    """
    at = parse_time(change.at, "at")
    if not plan.start_us <= at < plan.end_us:
        span = f"{format_time(plan.start_us)} until {format_time(plan.end_us)}"
        raise BadRequest(f"at must lie within the run, {span}, got {format_time(at)}")
    ids = machine_ids(plan, change.machines)
    fields: dict[str, Any] = {}
    functions: dict[str, Callable[[Any], Any]] = {}
    if change.repair is not None or change.policy is not None:
        _refuse_halted(plan, at)
        if not plan.acting:  # what did not act must not begin to
            fields |= {"acting": True, "tasks": (), "policies": (), "corrective": None}
    if change.repair is not None:
        fields["tasks"] = (*fields.get("tasks", plan.tasks), *_repairs(plan, change, at, ids))
    if change.policy is not None:
        rules, functions = parse(change.policy)
        fields["policies"] = (*_ended(fields.get("policies", plan.policies), at), *_begun(rules, at))
    if not change.maintenance:
        fields["halt_us"] = at if plan.halt_us is None else min(at, plan.halt_us)
        fields.setdefault("policies", tuple(_ended(plan.policies, at)))
    if change.scenario is not None:
        until = None if change.until is None else parse_time(change.until, "until")
        fields |= activated(plan, change.scenario, at, until, ids)
    if change.clear is not None:
        fields["injections"] = _cleared(plan, change.clear, at, ids)
    _refuse_lost_functions(plan, fields, at)
    if not fields:
        raise BadRequest("nothing is changed: give a repair, a policy, a scenario, clear=... or maintenance=False")
    try:
        return Plan.model_validate({**dict(plan), **fields, "base_sha256": plan.sha256, "format": 2}), functions
    except ValidationError as error:
        raise refusal(error, Plan, "what-if") from None


def _refuse_halted(plan: Plan, at: int) -> None:
    """Refuse work in a world in which none begins any more."""
    if plan.halt_us is not None and plan.halt_us <= at:
        raise BadRequest(
            f"no work begins in this run from {format_time(plan.halt_us)} on: depart from a run with maintenance"
        )


def _refuse_lost_functions(plan: Plan, fields: dict[str, Any], at: int) -> None:
    """Refuse a world in which a function of the base run would have to decide on: only its past is recorded."""
    for rule in plan.policies if "policies" not in fields else ():
        if rule.kind == "callable" and plan.acting and (rule.end_us is None or rule.end_us > at):
            raise BadRequest(
                f"the run's policy {rule.name} is a function, of which only the decisions are stored: "
                "give policy=... for the time from then on, for example the same function"
            )


def machine_ids(plan: Plan, machines: Any) -> list[int]:
    """Return the ids of machines of a plan, given by name or id (None: all)."""
    if machines is None or machines == "all":
        return [m.machine_id for m in plan.machines]
    wanted = [machines] if isinstance(machines, str | int) else machines
    if not isinstance(wanted, Iterable):
        raise BadRequest(f"machines must be a name, an id, a list of them or 'all', got {shown(machines)}")
    numbers: dict[Any, int] = {m.name: m.machine_id for m in plan.machines}
    numbers |= {m.machine_id: m.machine_id for m in plan.machines}
    found = []
    for name in wanted:
        if isinstance(name, bool) or not isinstance(name, str | int) or name not in numbers:
            raise unknown("machine of this run", name, (m.name for m in plan.machines))
        found.append(numbers[name])
    return found


def _repairs(plan: Plan, change: Change, at: int, ids: Sequence[int]) -> list[PlannedTask]:
    if change.machines is None:
        raise BadRequest("a repair needs its machine: what_if(at, repair=..., machines='M-001')")
    if change.repair not in plan.actions:
        raise unknown("maintenance action of this run", change.repair, plan.actions)
    people = {t.technician_id: t for t in plan.technicians}
    if change.technician is not None and change.technician not in people:
        raise unknown("technician of this run", change.technician, people)
    action = plan.actions[change.repair]
    taken = [task.number for task in plan.tasks if task.number is not None]
    first = max(taken, default=FIRST_NUMBER - 1) + 1
    return [
        work_order(action, machine_id, first + i, at, "corrective", "critical", change.technician)
        for i, machine_id in enumerate(ids)
    ]


def work_order(
    action: MaintenanceAction,
    machine_id: int,
    number: int,
    at_us: int,
    task_type: str,
    priority: str,
    technician_id: str | None = None,
) -> PlannedTask:
    """Return work that a changed plan adds, in the action's usual time and for its usual cost."""
    return PlannedTask(
        task_id=None,
        number=number,
        machine_id=machine_id,
        task_type=task_type,
        action=action.name,
        scheduled_us=at_us,
        duration_us=round(action.duration_min * 60e6),
        priority=priority,
        status="planned",
        technician_id=technician_id,
        cost=action.parts_cost,
    )


def _ended(rules: Iterable[Rule], at: int) -> list[Rule]:
    """Return rules that end at a time; they keep their places, by which work orders are numbered."""
    return [rule.model_copy(update={"end_us": at if rule.end_us is None else min(at, rule.end_us)}) for rule in rules]


def _begun(rules: Iterable[Rule], at: int) -> list[Rule]:
    return [rule.model_copy(update={"start_us": max(at, rule.start_us or at)}) for rule in rules]


def activated(plan: Plan, scenario: Scenario, at: int, end: int | None, ids: Sequence[int]) -> dict[str, Any]:
    """Return the fields of a plan in which a scenario is active on machines as well."""
    if plan.scenarios.get(scenario.name, scenario) != scenario:
        raise BadRequest(f"scenario {scenario.name!r} has been changed since the run; give the new one another name")
    if end is not None and end <= at:
        raise BadRequest(f"until must be later than at, got {format_time(end)}")
    for other in plan.activations:
        same = other.scenario == scenario.name and other.machine_id in ids
        if same and overlap((at, end), (other.start_us, other.end_us)):
            name = next(m.name for m in plan.machines if m.machine_id == other.machine_id)
            raise BadRequest(f"scenario {scenario.name!r} is active on {name} at that time already; leave it out")
    new = tuple(Activation(scenario=scenario.name, machine_id=i, start_us=at, end_us=end) for i in ids)
    return {
        "scenarios": {**plan.scenarios, scenario.name: scenario},
        "activations": tuple(sorted((*plan.activations, *new), key=lambda a: (a.machine_id, a.start_us, a.scenario))),
    }


def _cleared(plan: Plan, mode: str, at: int, ids: Sequence[int]) -> tuple[Any, ...]:
    """Return the injections with those of a mode ended (or never begun, where they begin later)."""
    concerned = [i for i in plan.injections if i.failure_mode == mode and i.machine_id in ids]
    concerned = [i for i in concerned if i.end_us is None or i.end_us > at]
    if not concerned:
        raise BadRequest(
            f"no injection of {shown(mode)} to clear at {format_time(at)}; "
            f"injected: {', '.join(sorted({i.failure_mode for i in plan.injections})) or 'nothing'}"
        )
    return ended(plan.injections, concerned, at)


def ended(spans: Sequence[_Span], concerned: Sequence[_Span], at: int) -> tuple[_Span, ...]:
    """Return activations or injections of which some end at a time; what only begins then has never been."""
    kept = []
    for span in spans:
        if span not in concerned:
            kept.append(span)
        elif span.start_us < at:
            kept.append(span.model_copy(update={"end_us": at}))
    return tuple(kept)


@dataclass(frozen=True)
class WhatIf:
    """What a change made of a run.

    Attributes
    ----------
    base, run : Run
        The run as it was, and the paired one.
    table : DataFrame
        Figures of the fleet: ``base``, ``what_if`` and ``difference`` of failures, downtime, costs and
        energy (NaN without telemetry).
    machines : DataFrame
        The same figures by machine, as differences, with the moment at which its signals part.
    first_difference : datetime or None
        The first moment at which the signals of any machine part (without telemetry: at which failures or
        work differ); None: they never do.
    """

    base: RunRecord
    run: RunRecord
    table: pd.DataFrame
    machines: pd.DataFrame
    first_difference: dt.datetime | None

    def __repr__(self) -> str:
        failures, cost = (float(self.table["difference"].loc[name]) for name in ("failures", "cost"))
        return f"<WhatIf run {self.run.id} of run {self.base.id}: {failures:+.0f} failures, {cost:+,.0f} cost>"

    def _repr_html_(self) -> str:
        return str(self.table.to_html())


def compared(base: RunRecord, run: RunRecord) -> WhatIf:
    """Return what differs between two paired runs."""
    import pandas as pd

    figures = [_figures(r) for r in (base, run)]
    table = pd.DataFrame(
        {"base": [figures[0].get(f) for f in FIGURES], "what_if": [figures[1].get(f) for f in FIGURES]},
        index=pd.Index(FIGURES, name="figure"),
        dtype="float64",
    )
    table["difference"] = table["what_if"] - table["base"]
    parted = base.parting(run) if base.row.telemetry and run.row.telemetry else _events_part(base, run)
    kept = ["failures", "tasks_done", "downtime_h", "cost"]
    machines = run.kpis().set_index("machine")[kept] - base.kpis().set_index("machine")[kept]
    machines["signals_part_at"] = [parted.get(name) for name in machines.index]
    return WhatIf(base, run, table, machines, min(parted.values(), default=None))


def _events_part(base: RunRecord, run: RunRecord) -> dict[str, Any]:
    """Return when failures or work of two runs first differ, by the machine's name."""
    found: dict[str, Any] = {}
    for table, moment in (("failures", "failed_at"), ("maintenance", "start_at")):
        rows = [getattr(r, table)()[["machine", moment]].itertuples(index=False, name=None) for r in (base, run)]
        for name, at in set(rows[0]) ^ set(rows[1]):
            found[name] = min(at, found.get(name, at))
    return found


def _figures(run: RunRecord) -> dict[str, Any]:
    return {**run.summary(), "energy_kwh": run.energy_kwh()}
