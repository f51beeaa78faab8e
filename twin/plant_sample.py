"""The sample plant: a small works with every machine type, its technicians and its maintenance plan.

Nothing here is drawn at random and nothing depends on the day, so that two sample plants of the
same size are equal.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from twin.catalog.loader import load_catalog
from twin.plant_base import Row

if TYPE_CHECKING:
    from twin.store import Transaction

EPOCH = datetime(2026, 1, 5, 8)
"""The sample's first Monday, 08:00 UTC: the examples simulate the week that begins on that day."""

_TYPES = (
    *("spindle",) * 4, "pump", "fan", "conveyor", "compressor",
    "spindle", "spindle", "pump", "fan",
)  # fmt: skip
_DUTY = {
    "spindle": "milling spindle",
    "pump": "coolant pump",
    "fan": "extraction fan",
    "conveyor": "transfer conveyor",
    "compressor": "air compressor",
}

# day after EPOCH, hour, machine (position), type, action, priority, technician, note
_TASKS: tuple[tuple[int, int, int, str, str, str, str | None, str], ...] = (
    (1, 8, 1, "preventive", "inspect", "medium", "T-01", "Monthly round"),
    (2, 9, 5, "preventive", "lubricate", "medium", "T-01", "Grease after 2,000 h"),
    (3, 13, 8, "preventive", "clean_cooling", "high", "T-02", "Before the summer load"),
    (4, 8, 2, "predictive", "replace_bearing", "high", "T-02", "Vibration trend of December"),
    (7, 10, 6, "corrective", "balance_rotor", "high", "T-02", "Deposits on the impeller"),
    (8, 8, 7, "preventive", "align_shaft", "low", "T-01", "After the belt was changed"),
    (9, 14, 3, "preventive", "calibrate_sensors", "low", "T-03", "Yearly calibration"),
    (10, 9, 4, "corrective", "tighten_mounts", "critical", "T-01", "Loose foot reported"),
    (14, 8, 11, "preventive", "lubricate", "medium", None, "Grease after 2,000 h"),
    (21, 8, 9, "preventive", "overhaul", "medium", None, "Five-year overhaul"),
)


def sample_machines(number: int) -> list[Row]:
    """Return the machines of a sample plant.

    Parameters
    ----------
    number : int
        From eight on every type is among them, and at least four are spindles.

    Returns
    -------
    list of dict
        Rows for the table of machines.
    """
    rows = []
    for i in range(number):
        machine_type = _TYPES[i % len(_TYPES)]
        hall, place = divmod(i, len(_TYPES))
        rows.append(
            {
                "machine_id": i + 1,
                "name": f"M-{i + 1:03d}",
                "machine_type": machine_type,
                "unit_seed": i + 1,
                "location": f"Hall {hall + 1}, place {place + 1}",
                "description": _DUTY[machine_type].capitalize(),
                "commissioned_at": datetime(2018 + i % 7, 1 + i % 12, 1),
            }
        )
    return rows


def sample_tasks(number: int) -> list[Row]:
    """Return the ten maintenance tasks of a sample plant with `number` machines."""
    actions = load_catalog().maintenance_actions
    rows = []
    for task_id, (day, hour, place, task_type, action, priority, technician, notes) in enumerate(_TASKS, start=1):
        rows.append(
            {
                "task_id": task_id,
                "machine_id": (place - 1) % number + 1,
                "task_type": task_type,
                "action": action,
                "scheduled_at": EPOCH.replace(hour=hour) + timedelta(days=day),
                "duration_min": actions[action].duration_min,
                "priority": priority,
                "status": "planned",
                "technician_id": technician,
                "cost": actions[action].parts_cost,
                "notes": notes,
                "created_at": EPOCH - timedelta(days=30),
                "updated_at": EPOCH - timedelta(days=30),
            }
        )
    return rows


def more_technicians(number: int) -> list[Row]:
    """Return whom a sample plant of that many machines employs beside the catalog's: four for every dozen more."""
    people = list(load_catalog().technicians.values())
    rows = []
    for i in range(len(people), len(people) * -(-number // len(_TYPES))):
        like = people[i % len(people)]
        name = f"{like.name} {i // len(people) + 1}"
        rows.append({**dict(like), "technician_id": f"T-{i + 1:02d}", "name": name, "skills": list(like.skills)})
    return rows


def fill(tx: Transaction, machines: int) -> None:
    """Write the catalog and the sample (nothing beside the catalog for 0 machines) into an empty plant."""
    tx.load_catalog(load_catalog(), technicians=machines > 0)
    if machines:
        tx.insert_many("technicians", more_technicians(machines))
        tx.insert_many("machines", sample_machines(machines))
        tx.insert_many("maintenance_tasks", sample_tasks(machines))
