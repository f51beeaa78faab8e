"""What the tables say of a run beside its plan: its machines, what paired runs share, what made it."""

from __future__ import annotations

import platform
from typing import Any

from twin import __version__
from twin.cache import source_hash
from twin.plan import Plan


def run_machines(plan: Plan) -> list[dict[str, Any]]:
    """Return the rows of `run_machines` but for the run."""
    return [
        {
            "machine_id": machine.machine_id,
            "machine": machine.name,
            "machine_type": machine.machine_type,
            "unit_seed": machine.unit_seed,
            "downtime_cost_per_h": plan.machine_types[machine.machine_type].downtime_cost_per_h,
        }
        for machine in plan.machines
    ]


def run_fields(plan: Plan) -> dict[str, Any]:
    """Return the columns of `runs` that follow from the plan."""
    return {"telemetry": plan.telemetry, "policy": plan.policy_text, "world_sha256": plan.world_sha256}


def versions() -> dict[str, str]:
    """Return what a run's rows depend on, and what else made them."""
    from importlib.metadata import version

    packages = {name: version(name) for name in ("numpy", "numba", "duckdb")}
    return {"pdm-twin": __version__, "kernel": source_hash(), "python": platform.python_version(), **packages}
