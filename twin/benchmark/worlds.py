"""The worlds of the tasks: a plant whose signals, duties, units, instruments and lives are set by a few dials.

Whatever is drawn here is addressed by (seed, machine, what, number) through SHA-256, so that a world is the same
with every version of every library.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twin.catalog.loader import Catalog, load_catalog
from twin.catalog.models import FailureMode, MachineType, Scenario, scenario_from_inputs
from twin.plan import Activation, Injection, Plan
from twin.plant_failures import severity_and_level
from twin.plant_sample import more_technicians, sample_machines
from twin.times import format_time, parse_time

if TYPE_CHECKING:
    from twin.plant import Plant
    from twin.store import Transaction

START = "2026-01-05"
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
DUTIES = 24
"""How many different duties take turns in a world."""
MOST_VARIATION = 0.3
"""Relative standard deviation between units that a machine type may have at most."""
KEPT = ("efficiency", "power_factor")
"""Fields of a machine type whose variation is left alone: they must stay below 1."""
SENSOR_FAULTS = (
    "sensor_interference", "sensor_drift", "sensor_stuck", "sensor_dropout", "sensor_gain_error", "sensor_spikes",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A plant by its dials; at their defaults it is the sample plant without its tasks.

    Attributes
    ----------
    machines, days : int
        Size of the fleet (multiples of twelve have the sample's mix of types), and length of the span.
    seed : int
        Address of the noise, the lives, the units and the duties.
    signal : float
        Factor on what failure modes do to a machine: 1 is the catalog's.
    variation : float
        Factor on the differences between units.
    wander : float
        Factor on the fluctuation of load and vibration within a machine.
    duty : float
        Operating variety: 0 is nominal duty throughout; 1 lets load, speed and ambient temperature change from one
        turn to the next by up to 40 %, 30 % and 16 K.
    turn_days : tuple of float
        Shortest and longest turn of a duty, days.
    faults : float
        Instrument faults a machine-year.
    life : float
        Factor on the lives of parts: above 1 few fail.
    gradual : float
        Factor on the share of parts that degrade gradually: below 1 more fail with a short warning.
    """

    machines: int
    days: int
    seed: int
    signal: float = 1.0
    variation: float = 1.0
    wander: float = 1.0
    duty: float = 0.0
    turn_days: tuple[float, float] = (1.0, 7.0)
    faults: float = 0.0
    life: float = 1.0
    gradual: float = 1.0

    @property
    def span(self) -> dict[str, str]:
        """Start and end, as `Plant.simulate` takes them."""
        begin = parse_time(START, "start")
        return {"start": format_time(begin), "end": format_time(begin + self.days * DAY_US)}

    def plant(self, path: str | Path, turns: bool = True) -> Plant:
        """Create the plant in a file that does not exist yet.

        Parameters
        ----------
        path : path
            The DuckDB file.
        turns : bool
            Whether its tables hold who does which duty when, and the instruments' faults; `plan` has them anyway,
            and to write thousands of rows takes longer than to simulate them.
        """
        from twin.plant import Plant
        from twin.store import Store

        return Plant(Store.create(Path(path), fill=partial(self._fill, turns=turns)))

    def plan(self, plant: Plant, **choices: Any) -> Plan:
        """Return the plan of a year or more on the plant; `choices` are those of `Plant.plan`."""
        plain = {"interval": "1h", "seed": self.seed, "wear": "used", "tasks": False, "truth_interval": None}
        plan = plant.plan(**{**self.span, **plain, **choices})
        if plan.activations or plan.injections:  # from the plant's tables already
            return plan
        modes = {**self.catalog().failure_modes}
        injections = [fault for m in plan.machines for fault in self.instrument_faults(m.machine_id)]
        used = {*plan.failure_modes, *(fault.failure_mode for fault in injections)}
        changes = {
            "scenarios": {duty.name: duty for duty in self.duties()},
            "activations": tuple(turn for m in plan.machines for turn in self.turns(m.machine_id)),
            "injections": tuple(fault.model_copy(update={"injection_id": k}) for k, fault in enumerate(injections, 1)),
            "failure_modes": {name: modes[name] for name in sorted(used)},
        }
        return Plan.model_validate({**dict(plan), **changes})

    def _fill(self, tx: Transaction, turns: bool) -> None:
        tx.load_catalog(self.catalog(), technicians=True)
        tx.insert_many("technicians", more_technicians(self.machines))
        rows = sample_machines(self.machines)
        tx.insert_many("machines", [row | {"unit_seed": self.unit_seed(row["machine_id"])} for row in rows])
        duties = {duty.name: tx.add_scenario(duty) for duty in self.duties()}
        if not turns:
            return
        modes = {row["name"]: row["failure_mode_id"] for row in tx.rows("failure_modes")}
        turn_rows = [
            {"activation_id": k, "scenario_id": duties[turn.scenario], **turn.model_dump(exclude={"scenario"})}
            for k, turn in enumerate((t for row in rows for t in self.turns(row["machine_id"])), 1)
        ]
        fault_rows = [
            {
                "injection_id": k,
                "failure_mode_id": modes[fault.failure_mode],
                "machine_id": fault.machine_id,
                "severity": severity_and_level(None, fault.level)[0],
                "level": fault.level,
                "progression": "step",
                "start_at": fault.start_us,
                "end_at": fault.end_us,
            }
            for k, fault in enumerate((f for row in rows for f in self.instrument_faults(row["machine_id"])), 1)
        ]
        for row in turn_rows:
            row |= {"start_at": row.pop("start_us"), "end_at": row.pop("end_us")}
        tx.insert_many("scenario_activations", turn_rows)
        tx.insert_many("failure_injections", fault_rows)

    def unit_seed(self, machine_id: int) -> int:
        """Return the seed of what distinguishes a machine from others of its type."""
        return (self.seed * 1_000_003 + machine_id) % 2**63

    def catalog(self) -> Catalog:
        """Return the catalog with the dials' failure modes and machine types."""
        whole = load_catalog()
        modes = {name: self._mode(mode) for name, mode in whole.failure_modes.items()}
        kinds = {name: self._kind(kind) for name, kind in whole.machine_types.items()}
        return replace(whole, failure_modes=modes, machine_types=kinds)

    def _mode(self, mode: FailureMode) -> FailureMode:
        if mode.wear is None:
            return mode
        wear = mode.wear.model_copy(
            update={
                "life_h": mode.wear.life_h * self.life,
                "gradual_share": min(1.0, mode.wear.gradual_share * self.gradual),
            }
        )
        effects = [{**effect.model_dump(), "gain": (effect.gain or 0.0) * self.signal} for effect in mode.effects]
        return FailureMode.model_validate({**dict(mode), "wear": wear.model_dump(), "effects": effects})

    def _kind(self, kind: MachineType) -> MachineType:
        variation = {
            name: sd if name in KEPT else min(sd * self.variation, MOST_VARIATION)
            for name, sd in kind.variation.items()
        }
        wander = {name: min(1.0, getattr(kind, name) * self.wander) for name in ("load_sd", "vibration_sd")}
        return MachineType.model_validate({**dict(kind), "variation": variation, **wander})

    def duties(self) -> list[Scenario]:
        """Return what machines are asked to do in turn; none without operating variety."""
        found = []
        for k in range(DUTIES if self.duty > 0.0 else 0):
            load, speed, ambient = (2.0 * self.draw(0, what, k) - 1.0 for what in ("load", "speed", "ambient"))
            inputs: dict[str, Any] = {
                "load_factor": round(1.0 + 0.4 * self.duty * load, 3),
                "speed_factor": round(1.0 + 0.3 * self.duty * speed, 3),
                "ambient_c": round(22.0 + 16.0 * self.duty * ambient, 1),
            }
            found.append(scenario_from_inputs(_duty(k), "One turn of a changing duty", **inputs))
        return found

    def turns(self, machine_id: int) -> list[Activation]:
        """Return when which duty is active on a machine; neighbouring turns of one duty are one."""
        short, long = self.turn_days
        begin, hour, found = parse_time(START, "start"), 0, list[tuple[int, int, int]]()
        for k in range(self.days * 24 if self.duty > 0.0 else 0):  # a turn lasts an hour or longer
            if hour >= self.days * 24:
                break
            which, length = (self.draw(machine_id, what, k) for what in ("duty", "turn"))
            until = hour + max(1, round(24.0 * (short + (long - short) * length)))
            duty = int(which * DUTIES)
            if found and found[-1][0] == duty:
                found[-1] = (duty, found[-1][1], until)
            else:
                found.append((duty, hour, until))
            hour = until
        return [
            Activation(
                scenario=_duty(duty),
                machine_id=machine_id,
                start_us=begin + first * HOUR_US,
                end_us=begin + last * HOUR_US,
            )
            for duty, first, last in found
        ]

    def instrument_faults(self, machine_id: int) -> list[Injection]:
        """Return the faults of a machine's instruments, at even chances at any time."""
        begin, found = parse_time(START, "start"), list[Injection]()
        for day in range(self.days):
            if self.draw(machine_id, "fault", day) >= self.faults / 365.25:
                continue
            which, level, long, at = (
                self.draw(machine_id, f"fault {what}", day) for what in ("mode", "level", "long", "at")
            )
            start = begin + day * DAY_US + int(24 * at) * HOUR_US
            found.append(
                Injection(
                    injection_id=len(found) + 1,
                    failure_mode=SENSOR_FAULTS[int(which * len(SENSOR_FAULTS))],
                    machine_id=machine_id,
                    level=round(0.2 + 0.8 * level, 2),
                    start_us=start,
                    end_us=start + (2 + int(19 * long)) * DAY_US,
                )
            )
        return found

    def draw(self, machine_id: int, what: str, number: int) -> float:
        """Return a number from 0 to below 1, addressed and not drawn."""
        address = f"{self.seed}:{machine_id}:{what}:{number}".encode()
        return int.from_bytes(hashlib.sha256(address).digest()[:6], "big") / 2**48


def _duty(number: int) -> str:
    return f"Duty {number + 1}"
