"""In what portions a run is made and stored, and how its progress is shown."""

from __future__ import annotations

from typing import Any

from twin.plan import Plan

CHUNK_ROWS = 1_500_000
CHUNK_TICKS = 122_880  # one row group of DuckDB for each machine
CHUNK_LIVES_H = 10_000_000  # machine-hours of a chunk without telemetry
HOUR_US = 3_600_000_000


def chunk_ticks(plan: Plan) -> int:
    """Return how many ticks of the fleet are generated, stored and acknowledged together."""
    if not plan.telemetry:
        return max(1, CHUNK_LIVES_H * HOUR_US // len(plan.machines) // plan.interval_us)
    return max(1, min(CHUNK_TICKS, CHUNK_ROWS // len(plan.machines)))


def progress_bar(plan: Plan, ticks: int, shown_to_user: bool) -> Any:
    """Return a bar over a plan, `ticks` of it done, with rate and time left, for terminal or notebook."""
    from tqdm.auto import tqdm

    unit, each = ("row", len(plan.machines)) if plan.telemetry else ("h", len(plan.machines))
    scale = 1.0 if plan.telemetry else plan.interval_us / HOUR_US
    return tqdm(
        desc="simulate",
        total=round(plan.ticks * each * scale),
        initial=round(ticks * each * scale),
        unit=unit,
        unit_scale=True,
        leave=False,
        disable=not shown_to_user,
    )


def portion(plan: Plan, ticks: int) -> int:
    """Return by how much a bar moves on with that many ticks: rows, or machine-hours."""
    scale = 1.0 if plan.telemetry else plan.interval_us / HOUR_US
    return round(ticks * len(plan.machines) * scale)
