"""Small plans for the tests, and their readings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from twin.catalog.loader import load_catalog
from twin.catalog.models import Channel, Effect, FailureMode, MachineType, Profile, Scenario, scenario_from_inputs
from twin.catalog.parameters import CHANNELS
from twin.events import Events, joined
from twin.plan import Activation, Corrective, Injection, Plan, PlannedMachine, PlannedTask
from twin.simulation import Simulation
from twin.timeline import compile_plan
from twin.world import World

START_US = 1_767_601_830_250_000  # 2026-01-05 08:30:30.25, no whole minute
SECOND_US = 1_000_000
MONDAY_US = 1_767_571_200_000_000  # 2026-01-05 00:00, where lives begin
HOUR_US = 3_600_000_000
TYPES = ("spindle", "pump", "fan", "conveyor", "compressor")
Readings = NDArray[np.float32]


def gain(parameter: str, value: float, **form: float | str) -> Effect:
    return Effect.model_validate({"parameter": parameter, "gain": value, **form})


RAMP = Profile(
    name="ramp",
    t_s=(0.0, 45.5, 200.0, 333.25),
    load=(0.2, 0.9, 0.4, 0.7),
    speed_rpm=(1200.0, 1400.0, 800.0, 1200.0),
    ambient_c=(15.0, 25.0, 30.0, 10.0),
    interpolation="linear",
    period_s=400.0,
)
STEPS = Profile(
    name="steps", t_s=(10.0, 70.0, 71.5), load=(0.9, 0.1, 0.5), interpolation="hold", at_end="end", period_s=240.0
)
EXTRA_SCENARIOS = {
    s.name: s
    for s in (
        scenario_from_inputs("Ramp", priority=30, profile=RAMP),
        scenario_from_inputs("Steps", priority=15, profile=STEPS),
        scenario_from_inputs("Draught", ambient_offset_c=-7.0, load_factor=0.9, load_variation=3.0),
        scenario_from_inputs("Dusty", effects=({"parameter": "thermal_resistance", "value": 1.4},)),
    )
}
EXTRA_MODES = {
    "poor_instruments": FailureMode(
        name="poor_instruments",
        category="sensor",
        effects=(
            gain("temperature_c.offset", -3.0),
            gain("vibration_mm_s.gain", 0.5),
            gain("power_w.drift_per_day", 300.0),
            gain("current_a.spike_probability", 0.2),
            gain("current_a.spike_size", 0.4),
            gain("speed_rpm.stuck", 1.0),
            gain("torque_nm.dropout_probability", 0.5),
            gain("kurtosis.noise", 4.0, exponent=2.0),
        ),
    ),
    "heavy_going": FailureMode(
        name="heavy_going",
        category="mechanical",
        effects=(gain("load_factor", 0.3), gain("ambient_offset_c", 4.0), gain("friction", 2.0, exponent=0.5)),
    ),
}


def scenarios() -> dict[str, Scenario]:
    return dict(load_catalog().scenarios) | EXTRA_SCENARIOS


def modes() -> dict[str, FailureMode]:
    return dict(load_catalog().failure_modes) | EXTRA_MODES


def machine(machine_id: int, machine_type: str | None = None) -> PlannedMachine:
    kind = machine_type or TYPES[(machine_id - 1) % len(TYPES)]
    return PlannedMachine(machine_id=machine_id, name=f"M-{machine_id:03d}", machine_type=kind, unit_seed=machine_id)


def active(scenario: str, machine_id: int, start_s: float, end_s: float | None = None) -> Activation:
    """Activate a scenario from and to seconds after `START_US`."""
    return Activation(scenario=scenario, machine_id=machine_id, start_us=at(start_s), end_us=at_or_open(end_s))


def injected(
    mode: str, machine_id: int, start_s: float, end_s: float | None = None, level: float = 0.75, number: int = 1
) -> Injection:
    """Inject a failure mode from and to seconds after `START_US`."""
    return Injection(
        injection_id=number,
        failure_mode=mode,
        machine_id=machine_id,
        level=level,
        start_us=at(start_s),
        end_us=at_or_open(end_s),
    )


def at(seconds: float) -> int:
    return START_US + round(seconds * 1e6)


def at_or_open(seconds: float | None) -> int | None:
    return None if seconds is None else at(seconds)


def make(
    machines: Iterable[int | PlannedMachine] = (1,),
    seconds: float = 600.0,
    interval_us: int = SECOND_US,
    seed: int = 7,
    activations: Sequence[Activation] = (),
    injections: Sequence[Injection] = (),
    start_us: int = START_US,
    settled: bool = True,
    machine_types: dict[str, MachineType] | None = None,
    channels: dict[str, Channel] | None = None,
) -> Plan:
    """Return a plan of catalog machines; what other machines do is left out."""
    fleet = tuple(machine(m) if isinstance(m, int) else m for m in machines)
    ids = {m.machine_id for m in fleet}
    acts = tuple(a for a in activations if a.machine_id in ids)
    faults = tuple(i for i in injections if i.machine_id in ids)
    catalog = load_catalog()
    types = machine_types or catalog.machine_types
    return Plan(
        machines=fleet,
        start_us=start_us,
        end_us=start_us + round(seconds * 1e6),
        interval_us=interval_us,
        seed=seed,
        settled=settled,
        machine_types={m.machine_type: types[m.machine_type] for m in fleet},
        channels=channels or dict(catalog.channels),
        scenarios={a.scenario: scenarios()[a.scenario] for a in acts},
        failure_modes={i.failure_mode: modes()[i.failure_mode] for i in faults},
        activations=acts,
        injections=faults,
    )


def busy(ids: Sequence[int] = (1, 2, 3, 4, 5), seconds: float = 4000.0, **choices: int) -> Plan:
    """Return a plan in which much happens, at odd moments, on five machines or some of them."""
    rng = np.random.default_rng(3)
    acts, faults = [], []
    names, faulty = list(scenarios()), list(modes())
    for number in range(1, 6):
        for k in range(3):
            start = float(rng.uniform(-500.0, 3500.0))
            acts.append(
                active(names[(5 * k + number) % len(names)], number, start, start + float(rng.uniform(60, 2000)))
            )
            start = float(rng.uniform(-500.0, 3500.0))
            end = start + float(rng.uniform(60.0, 2000.0))
            faults.append(injected(faulty[(3 * number + k) % len(faulty)], number, start, end, number=10 * number + k))
    return make(ids, seconds, activations=acts, injections=faults, **choices)  # type: ignore[arg-type]


def readings(plan: Plan, chunk: int | Sequence[int] | None = None, threads: int = 1) -> Readings:
    """Return the readings of a plan as an array (channels, machines, ticks), made in chunks."""
    sizes = [chunk] if isinstance(chunk, int) else list(chunk or [plan.ticks])
    parts: list[Readings] = []
    with Simulation(plan, threads) as simulation:
        while simulation.tick < plan.ticks:
            made = simulation.advance(sizes[len(parts) % len(sizes)])
            parts.append(made.values.reshape(len(CHANNELS), len(plan.machines), -1).copy())
    return np.concatenate(parts, axis=2)


# -- lives ------------------------------------------------------------------------------------


def wearing(share: float = 1.0, names: Iterable[str] | None = None, **law: object) -> dict[str, FailureMode]:
    """Return the catalog's modes that wear, with lives of a share of theirs, and other changes of their laws."""
    chosen = {n: m for n, m in load_catalog().failure_modes.items() if m.wear is not None}
    chosen = {n: m for n, m in chosen.items() if names is None or n in set(names)}
    return {
        n: m.model_copy(update={"wear": m.wear.model_copy(update={"life_h": m.wear.life_h * share, **law})})
        for n, m in chosen.items()
        if m.wear is not None
    }


def lively(ids: Iterable[int] = (1,), hours: float = 500.0, **fields: object) -> Plan:
    """Return a plan of machines that wear, fail and are repaired by anybody, hourly, from `MONDAY_US` on."""
    fleet, catalog = tuple(machine(m) for m in ids), load_catalog()
    start_us = fields.pop("start_us", MONDAY_US)
    asked: dict[str, object] = {
        "machines": fleet,
        "start_us": start_us,
        "end_us": start_us + hour(hours) - MONDAY_US,  # type: ignore[operator]
        "interval_us": HOUR_US,
        "seed": 3,
        "machine_types": {m.machine_type: catalog.machine_types[m.machine_type] for m in fleet},
        "channels": dict(catalog.channels),
        "failure_modes": wearing(0.02),
        "wear": "new",
        "truth_us": HOUR_US,
        "acting": True,
        "corrective": Corrective(),
        "actions": dict(catalog.maintenance_actions),
    }
    return Plan(**asked | fields)  # type: ignore[arg-type]


def hour(hours: float) -> int:
    """Return the time that many hours after `MONDAY_US`."""
    return MONDAY_US + round(hours * HOUR_US)


def work(machine_id: int, action: str, at_h: float, duration_h: float = 2.0, **fields: object) -> PlannedTask:
    """Plan work on a machine, hours after `MONDAY_US`."""
    asked: dict[str, object] = {"task_id": None, "task_type": "preventive", "priority": "medium", "status": "planned"}
    asked |= {"machine_id": machine_id, "action": action, "scheduled_us": hour(at_h)}
    return PlannedTask(**asked | {"duration_us": round(duration_h * HOUR_US)} | fields)  # type: ignore[arg-type]


def put_in(
    mode: str,
    machine_id: int,
    start_h: float,
    end_h: float | None = None,
    level: float = 0.5,
    ttf_h: float | None = None,
    number: int = 1,
) -> Injection:
    """Inject a failure mode, hours after `MONDAY_US`; it grows where `ttf_h` is given."""
    return Injection(
        injection_id=number,
        failure_mode=mode,
        machine_id=machine_id,
        level=level,
        start_us=hour(start_h),
        end_us=None if end_h is None else hour(end_h),
        time_to_failure_us=None if ttf_h is None else round(ttf_h * HOUR_US),
    )


def lived(plan: Plan, step_h: int | None = None, threads: int | None = None) -> Events:
    """Return what happens in a plan, told at once or every so many hours."""
    world, parts, until_us = World(plan, compile_plan(plan), threads=threads), [], plan.start_us
    while until_us < plan.end_us:
        ahead = plan.end_us if step_h is None else until_us - until_us % HOUR_US + step_h * HOUR_US
        until_us = min(plan.end_us, ahead)
        world.advance(until_us)
        parts.append(world.drain())
    world.finish()
    return joined([*parts, world.drain()])


def told(plan: Plan, chunk: int | Sequence[int] | None = None, threads: int = 1) -> tuple[Readings, Events]:
    """Return the readings of a plan (channels, machines, ticks) and what happens in it, made in chunks."""
    sizes = [chunk] if isinstance(chunk, int) else list(chunk or [plan.ticks])
    parts: list[Readings] = []
    events: list[Events] = []
    with Simulation(plan, threads) as simulation:
        while simulation.tick < plan.ticks:
            made = simulation.advance(sizes[len(events) % len(sizes)])
            parts.append(made.values.reshape(len(CHANNELS), len(plan.machines), -1).copy())
            events.append(made.events)
    return np.concatenate(parts, axis=2), joined(events)


def rows_of(plan: Plan, events: Events) -> dict[str, list[dict[str, object]]]:
    """Return what happened as sorted rows, but for the truth."""
    ids, rules = [m.machine_id for m in plan.machines], list(plan.alarm_rules.values())
    tables = {
        "failures": events.failures,
        "log": events.log,
        "lives": events.lives,
        "tasks": events.tasks(),
        "alarms": events.alarms(ids, rules),
    }
    return {name: sorted(rows, key=repr) for name, rows in tables.items()}


def truth_of(plan: Plan, events: Events, *columns: str) -> dict[int, list[tuple[object, ...]]]:
    """Return the rows of the truth by machine id: time, and the columns asked for (damage as a tuple; no NaN)."""
    truth = events.truth
    assert truth is not None
    found: dict[int, list[tuple[object, ...]]] = {m.machine_id: [] for m in plan.machines}
    for i, m in enumerate(truth.machine.tolist()):
        row: list[object] = [int(truth.ts_us[i])]
        for name in columns or ("state", "damage", "rul_h"):
            value = getattr(truth, name)[i]
            row.append(tuple(value.tolist()) if name == "damage" else None if value != value else value.item())
        found[plan.machines[m].machine_id].append(tuple(row))
    return found


def same(a: Readings, b: Readings) -> bool:
    """Return whether readings are equal bit for bit (missing ones are missing in both)."""
    return a.shape == b.shape and bool(((a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))).all())
