"""From the plant's tables to a plan: everything that a run is asked to do, embedded and sorted."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from twin.agenda import best_action
from twin.catalog.checks import check_name, refusal
from twin.catalog.loader import load_catalog
from twin.catalog.models import (
    AlarmRule,
    Channel,
    MachineType,
    MaintenanceAction,
    Profile,
    Scenario,
    Technician,
    read_profile_csv,
)
from twin.errors import BadRequest, shown, unknown
from twin.plan import Activation, Corrective, Injection, Plan, PlannedMachine, PlannedTask
from twin.plant_base import Machines, Row, Rows, number_of, overlap, some_machines
from twin.plant_failures import definition as failure_mode
from twin.plant_maintenance import OPEN
from twin.policy import PolicyLike, Rule, parse
from twin.times import format_time, parse_duration, parse_time

if TYPE_CHECKING:
    from twin.store import Transaction

_Model = TypeVar("_Model", bound=BaseModel)
MAX_ROWS = 20_000_000_000
BYTES_PER_ROW = 16
PROFILE_PRIORITY = 100
WEARS = ("off", "new", "used")
NO_REPAIR = "no-repair"
LONG_US = 60 * 86_400_000_000
MAX_FLEET = 32_767
FINEST_US = 1_000
HOUR_US = 3_600_000_000


class Span:
    """The checked times of a run.

    Attributes
    ----------
    start_us, end_us, interval_us : int
        Microseconds (the first two since 1970 UTC).
    """

    def __init__(self, start: Any, end: Any, interval: Any) -> None:
        self.start_us, self.end_us = parse_time(start, "start"), parse_time(end, "end")
        if self.end_us <= self.start_us:
            raise BadRequest(
                f"end must be later than start, got {format_time(self.start_us)} until {format_time(self.end_us)}"
            )
        self.interval_us = parse_duration(interval, "interval")
        if self.interval_us < FINEST_US:
            raise BadRequest(f"interval must be 1 ms or longer, got {shown(interval)}")
        if self.interval_us > self.end_us - self.start_us:
            raise BadRequest(f"interval {shown(interval)} is longer than the span from start to end")

    def overlaps(self, row: Row) -> bool:
        """Return whether an activation or injection touches the run."""
        return overlap((self.start_us, self.end_us), (row["start_at"], row["end_at"]))


@dataclass(frozen=True)
class Asked:
    """What a run is asked beside the tables, checked (see `twin.plant.Plant.simulate`)."""

    wear: str = "new"
    telemetry: bool = True
    truth_us: int | None = None
    rules: tuple[Rule, ...] = ()
    corrective: Corrective | None = field(default_factory=Corrective)
    fleet: int | None = None
    tasks: bool = True

    @classmethod
    def of(
        cls,
        span: Span,
        wear: Any,
        policy: PolicyLike,
        truth_interval: Any,
        events_only: Any,
        response: Any,
        fleet: Any,
        tasks: Any,
    ) -> tuple[Asked, dict[str, Any]]:
        """Return what is asked, and the functions of the policy by name."""
        if wear not in WEARS:
            raise unknown("wear", wear, WEARS)
        for what, value in (("events_only", events_only), ("tasks", tasks)):
            if not isinstance(value, bool):
                raise BadRequest(f"{what} must be True or False, got {shown(value)}")
        corrective: Corrective | None = None
        if policy == NO_REPAIR:
            policy = None
        else:
            corrective = Corrective(response_us=parse_duration(response, "response", allow_zero=True))
        rules, functions = parse(policy)
        auto = "7d" if events_only else "1d" if span.end_us - span.start_us > LONG_US else "1h"
        interval = auto if truth_interval == "auto" else truth_interval
        truth_us = None if interval is None else parse_duration(interval, "truth_interval")
        if truth_us is not None and (truth_us < HOUR_US or truth_us % HOUR_US):
            raise BadRequest(f"truth_interval must be whole hours, the grid of wear, got {shown(truth_interval)}")
        number = None if fleet is None else number_of(fleet)
        if fleet is not None and (number is None or not 1 <= number <= MAX_FLEET):
            raise BadRequest(f"fleet must be a whole number from 1 to {MAX_FLEET}, got {shown(fleet)}")
        return cls(wear, not events_only, truth_us, rules, corrective, number, tasks), functions


def compile_tables(
    tx: Transaction, span: Span, seed: Any, machines: Machines, profiles: Sequence[Profile], asked: Asked | None = None
) -> Plan:
    """Return the plan that the tables describe (see `twin.plant.Plant.plan`)."""
    asked = asked or Asked()
    number = None if isinstance(seed, str) else number_of(seed)
    if number is None or not 0 <= number < 2**63:
        raise BadRequest(f"seed must be an integer from 0 to 2**63 - 1, got {shown(seed)}")
    fleet = own = some_machines(tx, machines)
    if asked.fleet is not None:
        fleet = like_fleet(fleet, asked.fleet)
    ids = {row["machine_id"] for row in fleet}
    scenarios, activations = _activations(tx, span, ids)
    _add_profiles(scenarios, activations, profiles, span, ids)
    modes = {row["failure_mode_id"]: row for row in tx.rows("failure_modes")}
    injections = _injections(tx, span, ids, modes)
    definitions = {row["name"]: failure_mode(row) for row in modes.values()}
    used_modes = {i.failure_mode for i in injections}
    if asked.wear != "off":
        used_modes |= {name for name, mode in definitions.items() if mode.wear is not None}
    _refuse_unknown_actions(tx, asked.rules)
    fields = {
        "machines": tuple(PlannedMachine(**{key: row[key] for key in PlannedMachine.model_fields}) for row in fleet),
        "start_us": span.start_us,
        "end_us": span.end_us,
        "interval_us": span.interval_us,
        "seed": number,
        "machine_types": _types(tx, {row["machine_type"] for row in fleet}),
        "channels": _channels(tx),
        "scenarios": {name: scenarios[name] for name in sorted(scenarios)},
        "failure_modes": {name: definitions[name] for name in sorted(used_modes)},
        "activations": tuple(sorted(activations, key=_activation_order)),
        "injections": injections,
        "tasks": _tasks(tx, span, ids) if asked.tasks else (),
        "wear": asked.wear,
        "telemetry": asked.telemetry,
        "truth_us": asked.truth_us,
        "acting": True,
        "corrective": asked.corrective,
        "policies": asked.rules,
        "actions": _definitions(tx, "maintenance_actions", MaintenanceAction),
        "technicians": _technicians(tx, len(fleet) / len(own)),
        "alarm_rules": _definitions(tx, "alarm_rules", AlarmRule),
    }
    _refuse_undoable(fields)
    try:
        return Plan(**fields)
    except ValidationError as error:
        raise refusal(error, Plan, "plan") from None


def _definitions(tx: Transaction, table: str, model: type[_Model]) -> dict[str, _Model]:
    """Return the rows of a table as their models, in the order of their names."""
    rows = sorted(tx.rows(table), key=lambda row: str(row["name"]))
    return {row["name"]: model.model_validate(row["definition"]) for row in rows}


def like_fleet(rows: Rows, number: int) -> Rows:
    """Return a fleet of that many machines: those given, and as many more like them as are missing."""
    fleet, following = rows[:number], max(row["machine_id"] for row in rows) + 1
    for i in range(number - len(fleet)):
        machine_id = following + i
        copy = {"machine_id": machine_id, "name": f"V-{machine_id:05d}", "unit_seed": machine_id}
        fleet.append(rows[i % len(rows)] | copy)
    if fleet[-1]["machine_id"] > MAX_FLEET:
        raise BadRequest(f"a fleet of {number} needs machine ids above {MAX_FLEET}; ask for fewer")
    return fleet


def _technicians(tx: Transaction, times: float) -> tuple[Technician, ...]:
    """Return the plant's technicians, and for a fleet that is larger than the plant as many more like them."""
    own = [Technician.model_validate({**row, "skills": tuple(row["skills"])}) for row in tx.rows("technicians")]
    more = [
        t.model_copy(update={"technician_id": f"{t.technician_id}/{shift}"})
        for shift in range(2, math.ceil(times) + 1)
        for t in own
    ]
    return (*own, *more)


def _refuse_unknown_actions(tx: Transaction, rules: Sequence[Rule]) -> None:
    known = [row["name"] for row in tx.rows("maintenance_actions")]
    for rule in rules:
        if rule.kind != "callable" and rule.action not in known:
            raise unknown(f"maintenance action of the policy {rule.text()!r}:", rule.action, known)


def _refuse_undoable(fields: Mapping[str, Any]) -> None:
    """Refuse work that no technician of the plant knows how to do."""
    technicians, actions = fields["technicians"], fields["actions"]
    skills = {skill for technician in technicians for skill in technician.skills}
    wanted = [(f"task {task.task_id}", task.action) for task in fields["tasks"] if task.technician_id is None]
    wanted += [(f"policy {rule.text()}", rule.action) for rule in fields["policies"] if rule.kind != "callable"]
    if fields["corrective"] is not None:
        for name in sorted(fields["failure_modes"]):
            best = best_action(actions.values(), name)
            if best is not None:
                wanted.append((f"the repair of {name}", best.name))
    for what, action in wanted:
        if technicians and actions[action].skill not in skills:
            raise BadRequest(
                f"{what} ({action}) needs the skill {actions[action].skill}, which no technician has; "
                "create one with technicians.create, or give it to one of them"
            )


def read_profiles(sources: Any, interpolation: str, at_end: str) -> tuple[Profile, ...]:
    """Return recorded profiles given as values or paths; no input may be driven by two of them."""
    if isinstance(sources, (str, Path, Profile)):
        sources = (sources,)
    if not isinstance(sources, Iterable) or isinstance(sources, (bytes, Mapping)):
        raise BadRequest(f"profiles must be a list of CSV files or Profiles, got {shown(sources)}")
    profiles = []
    drives: dict[str, str] = {}
    for source in sources:
        if not isinstance(source, (str, Path, Profile)):
            raise BadRequest(f"a profile must be the path of a CSV file or a Profile, got {shown(source)}")
        profile = source if isinstance(source, Profile) else read_profile_csv(source, interpolation, at_end)
        label = shown(profile.name if isinstance(source, Profile) else str(source), 200)
        for column in profile.columns:
            if column in drives:
                raise BadRequest(f"profiles {drives[column]} and {label} both have {column}; leave one out")
            drives[column] = label
        profiles.append(profile)
    return tuple(profiles)


def refuse_absurd_size(plan: Plan, directory: Path, stored: int = 0) -> None:
    """Refuse a run that could never be stored, before anything is written; `stored` rows of it are there already."""
    if not plan.telemetry:
        return
    what = f"{len(plan.machines)} machines x {plan.ticks:,} readings = {plan.rows:,} rows"
    if plan.rows > MAX_ROWS:
        raise BadRequest(
            f"{what} are more than {MAX_ROWS:,}: choose a longer interval, a shorter span or fewer machines"
        )
    needed, free = (plan.rows - stored) * BYTES_PER_ROW, shutil.disk_usage(directory).free
    if needed > free:
        raise BadRequest(
            f"{what} need about {needed / 1e9:,.3f} GB more, but {directory} has {free / 1e9:,.3f} GB free: "
            "free some space, or choose a longer interval, a shorter span or fewer machines"
        )


def _types(tx: Transaction, used: set[str]) -> dict[str, MachineType]:
    rows = (row for row in tx.rows("machine_types") if row["name"] in used)
    return {row["name"]: MachineType.model_validate(row["definition"]) for row in rows}


def _channels(tx: Transaction) -> dict[str, Channel]:
    rows = {row["name"]: row for row in tx.rows("channels")}
    return {name: Channel.model_validate(rows[name]) for name in load_catalog().channels}


def _activations(tx: Transaction, span: Span, ids: set[int]) -> tuple[dict[str, Scenario], list[Activation]]:
    known = {row["scenario_id"]: row for row in tx.rows("scenarios")}
    rows = [row for row in tx.rows("scenario_activations") if row["machine_id"] in ids and span.overlaps(row)]
    used = {row["scenario_id"]: tx.read_scenario(known[row["scenario_id"]]) for row in rows}
    activations = [
        Activation(
            scenario=used[row["scenario_id"]].name,
            machine_id=row["machine_id"],
            start_us=row["start_at"],
            end_us=row["end_at"],
        )
        for row in rows
    ]
    return {scenario.name: scenario for scenario in used.values()}, activations


def _add_profiles(
    scenarios: dict[str, Scenario],
    activations: list[Activation],
    profiles: Sequence[Profile],
    span: Span,
    ids: set[int],
) -> None:
    """Let every machine of the run follow the profiles from the run's start."""
    for profile in profiles:
        name = check_name(f"profile:{profile.name or profile.sha256[:12]}"[:80].strip(), "scenario name")
        if name in scenarios:
            raise BadRequest(f"there is a scenario {name!r} in the run already; rename the profile")
        scenarios[name] = Scenario(name=name, priority=PROFILE_PRIORITY, profile=profile)
        activations += [Activation(scenario=name, machine_id=number, start_us=span.start_us) for number in sorted(ids)]


def _injections(tx: Transaction, span: Span, ids: set[int], modes: dict[int, Row]) -> tuple[Injection, ...]:
    rows: Rows = [row for row in tx.rows("failure_injections") if row["machine_id"] in ids and span.overlaps(row)]
    keys = [
        (
            row["machine_id"],
            modes[row["failure_mode_id"]]["name"],
            row["start_at"],
            row["end_at"],
            row["level"],
            None if row["time_to_failure_h"] is None else max(1_000_000, round(row["time_to_failure_h"] * 3.6e9)),
        )
        for row in rows
    ]
    # numbered by what they are, not by when they were asked for: equal plants give equal plans
    ordered = sorted(keys, key=lambda k: (k[0], k[1], k[2], k[3] is None, k[3] or 0, k[4], k[5] or 0))
    return tuple(
        Injection(
            injection_id=number,
            machine_id=m,
            failure_mode=mode,
            start_us=start,
            end_us=end,
            level=level,
            time_to_failure_us=ttf,
        )
        for number, (m, mode, start, end, level, ttf) in enumerate(ordered, start=1)
    )


def _tasks(tx: Transaction, span: Span, ids: set[int]) -> tuple[PlannedTask, ...]:
    rows = tx.rows(
        "maintenance_tasks", {"status": OPEN, "scheduled_at >=": span.start_us, "scheduled_at <": span.end_us}
    )
    return tuple(
        PlannedTask(
            task_id=row["task_id"],
            machine_id=row["machine_id"],
            task_type=row["task_type"],
            action=row["action"],
            scheduled_us=row["scheduled_at"],
            duration_us=round(row["duration_min"] * 60e6),
            priority=row["priority"],
            status=row["status"],
            technician_id=row["technician_id"],
            cost=row["cost"],
        )
        for row in sorted(rows, key=lambda r: (r["machine_id"], r["scheduled_at"], r["task_id"]))
        if row["machine_id"] in ids
    )


def _activation_order(activation: Activation) -> tuple[int, int, str]:
    return activation.machine_id, activation.start_us, activation.scenario
