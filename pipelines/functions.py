"""Runs that nobody will read: plain functions, from a plant without runs to a handful of figures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from twin.catalog.models import scenario_from_inputs
from twin.catalog.parameters import CHANNELS
from twin.errors import BadRequest
from twin.plan import Activation, Injection, Plan
from twin.plant import Plant
from twin.simulation import Buffers, Chunk, Simulation

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SETTLED = 0.5
"""Share of a span that is left out at its beginning: the machine warms up."""


def monte_carlo(
    db: str,
    failure_mode: str = "bearing_degradation",
    level: float = 0.5,
    load: float = 0.6,
    ambient_c: float = 22.0,
    machine: str = "M-001",
    start: str = "2026-01-05",
    span: str = "10000s",
    interval: str = "1s",
    seed: int = 0,
) -> dict[str, Any]:
    """Return what one machine shows with a damage, under a load, in a climate.

    Parameters
    ----------
    db : str
        A plant, which is only read.
    failure_mode : str
        What is wrong.
    level : float
        The damage, 0 (none) to 1.
    load : float
        Share of the rated torque.
    ambient_c : float
        Temperature of the hall, C.
    machine, start, span, interval, seed
        As for `twin.plant.Plant.simulate`.

    Returns
    -------
    dict
        ``rows``; ``mean`` and ``std`` of each channel in the settled half.
    """
    plan = asked(_plan(db, machine, start, span, interval, seed), {"load": load, "ambient_c": ambient_c})
    values = _settled(simulate(injected(plan, _with(db, failure_mode), level)))
    return {
        "rows": plan.rows,
        "mean": dict(zip(CHANNELS, np.nanmean(values, axis=1).tolist(), strict=True)),
        "std": dict(zip(CHANNELS, np.nanstd(values, axis=1).tolist(), strict=True)),
    }


def severity_response(
    db: str,
    failure_mode: str,
    level: float,
    machine: str = "M-001",
    start: str = "2026-01-05",
    span: str = "4h",
    interval: str = "1s",
    seed: int = 0,
) -> dict[str, Any]:
    """Return how far a damage moves each channel on one machine, against the same hours without it.

    Parameters
    ----------
    db : str
        A plant, which is only read.
    failure_mode, level
        What is wrong, and the damage, 0 (none) to 1.
    machine, start, span, interval, seed
        As for `twin.plant.Plant.simulate`.

    Returns
    -------
    dict
        ``cohens_d`` of each channel in the settled half, and ``effect``, the mean of their sizes.
    """
    healthy = _plan(db, machine, start, span, interval, seed)
    before = _settled(simulate(healthy))
    after = _settled(simulate(injected(healthy, _with(db, failure_mode), level)))
    spread = np.sqrt((np.nanvar(before, axis=1) + np.nanvar(after, axis=1)) / 2)
    shift = np.nanmean(after, axis=1) - np.nanmean(before, axis=1)
    sizes = np.divide(shift, spread, out=np.zeros_like(shift), where=spread > 0)
    return {"cohens_d": dict(zip(CHANNELS, sizes.tolist(), strict=True)), "effect": float(np.abs(sizes).mean())}


def asked(plan: Plan, inputs: Mapping[str, Any]) -> Plan:
    """Return a plan in which all machines are asked for the same inputs from its start on."""
    scenario = scenario_from_inputs("sampled", priority=100, **inputs)
    activations = [
        Activation(scenario=scenario.name, machine_id=machine.machine_id, start_us=plan.start_us)
        for machine in plan.machines
    ]
    return plan.model_copy(
        update={
            "scenarios": {**plan.scenarios, scenario.name: scenario},
            "activations": (*plan.activations, *activations),
        }
    )


def injected(plan: Plan, mode: tuple[str, Any], level: float) -> Plan:
    """Return a plan in which all machines have a damage from the start on (none for level 0)."""
    if not 0.0 <= level <= 1.0:
        raise BadRequest(f"level must be from 0 (no damage) to 1 (functional failure), got {level}")
    if level == 0.0:
        return plan
    injections = tuple(
        Injection(
            injection_id=number,
            failure_mode=mode[0],
            machine_id=machine.machine_id,
            level=level,
            start_us=plan.start_us,
        )
        for number, machine in enumerate(plan.machines, start=1)
    )
    return plan.model_copy(update={"injections": injections, "failure_modes": {**plan.failure_modes, mode[0]: mode[1]}})


@lru_cache(maxsize=64)
def _base(db: str, machine: str, start: str, span: str, interval: str) -> Plan:
    """Return the plan of a healthy machine; read from the plant once for all runs of a worker."""
    from twin.times import parse_duration, parse_time, to_datetime

    end = to_datetime(parse_time(start) + parse_duration(span))
    plant = Plant.open(db, read_only=True)
    return plant.plan(start, end, interval, machines=machine, wear="off", tasks=False, truth_interval=None)


@lru_cache(maxsize=64)
def _with(db: str, failure_mode: str) -> tuple[str, Any]:
    return failure_mode, Plant.open(db, read_only=True).failure_modes.definition(failure_mode)


def _plan(db: str, machine: str, start: str, span: str, interval: str, seed: int) -> Plan:
    return _base(db, machine, start, span, interval).model_copy(update={"seed": seed})


def simulate(plan: Plan) -> Chunk:
    """Return all readings of a plan."""
    with Simulation(plan, threads=1) as simulation:
        return simulation.advance(plan.ticks, Buffers(plan.rows))


def _settled(chunk: Chunk) -> NDArray[np.float64]:
    values = chunk.values.reshape(len(CHANNELS), -1, chunk.ticks)[:, :, round(chunk.ticks * _SETTLED) :]
    return values.reshape(len(CHANNELS), -1).astype(np.float64)
