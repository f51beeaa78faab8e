"""Maintenance tasks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from twin.errors import BadRequest, UnknownName
from twin.plant import Plant

GOOD = {"machine": "M-010", "action": "replace_bearing", "at": "2026-02-02 08:00"}


def test_schedule_takes_what_is_usual_from_the_action(plant: Plant) -> None:
    task = plant.maintenance.get(plant.maintenance.schedule(**GOOD))
    assert (task["duration_min"], task["cost"], task["status"], task["priority"]) == (180.0, 120.0, "planned", "medium")
    task = plant.maintenance.get(
        plant.maintenance.schedule(
            machine=9, task_type="corrective", action="inspect", at=datetime(2026, 2, 3, tzinfo=UTC),
            duration=timedelta(hours=2), priority="high", technician="T-02", cost=450.0, notes="noise",
        )
    )  # fmt: skip
    assert (task["machine"], task["duration_min"], task["technician"]) == ("M-009", 120.0, "Bruno Costa")
    assert task["scheduled_at"] == datetime(2026, 2, 3)


@pytest.mark.parametrize(
    "fields",
    [
        {"machine": "M-999"},
        {"machine": "all"},
        {"action": "dance"},
        {"at": "tomorrow"},
        {"at": None},
        {"task_type": "optional"},
        {"duration": "0s"},
        {"duration": "-1h"},
        {"duration": 90},
        {"duration": "365d"},
        {"duration": "nan"},
        {"priority": "urgent"},
        {"technician": "T-99"},
        {"cost": -1.0},
        {"cost": float("nan")},
        {"cost": float("inf")},
        {"cost": 1e30},
        {"notes": "x" * 10_000},
    ],
)
def test_bad_tasks_are_refused_with_one_line(untouched: Plant, fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequest) as caught:
        untouched.maintenance.schedule(**(GOOD | fields))
    assert "\n" not in str(caught.value)
    assert len(untouched.maintenance) == 10
    with pytest.raises(BadRequest):
        untouched.maintenance.update(1, **fields)


def test_a_machine_or_a_technician_has_one_task_at_a_time(plant: Plant) -> None:
    first = plant.maintenance.schedule(**GOOD, technician="T-01")
    with pytest.raises(
        BadRequest, match=rf"machine M-010 has task {first} \(replace_bearing, from 2026-02-02T08:00:00Z"
    ):
        plant.maintenance.schedule(machine="M-010", action="inspect", at="2026-02-02 10:59")
    with pytest.raises(BadRequest, match=rf"technician T-01 has task {first}"):
        plant.maintenance.schedule(machine="M-011", action="inspect", at="2026-02-02 09:00", technician="T-01")
    second = plant.maintenance.schedule(machine="M-011", action="inspect", at="2026-02-02 09:00")
    with pytest.raises(BadRequest, match=rf"technician T-01 has task {first}"):
        plant.maintenance.assign(second, "T-01")
    assert plant.maintenance.assign(second, "T-04")["technician_id"] == "T-04"
    assert plant.maintenance.assign(second, None)["technician_id"] is None
    plant.maintenance.schedule(machine="M-010", action="inspect", at="2026-02-02 11:00")  # right after it
    plant.maintenance.cancel(first)
    plant.maintenance.schedule(machine="M-010", action="inspect", at="2026-02-02 08:00")


def test_the_way_of_a_task(plant: Plant) -> None:
    assert plant.maintenance.start(1)["status"] == "in_progress"
    assert plant.maintenance.complete(1)["status"] == "done"
    for change in (plant.maintenance.start, plant.maintenance.complete, plant.maintenance.cancel):
        with pytest.raises(BadRequest, match="task 1 is done and cannot become"):
            change(1)
    with pytest.raises(BadRequest, match="planned and cannot become done"):
        plant.maintenance.complete(2)
    assert plant.maintenance.update_status(2, "overdue", now="2026-02-01")["status"] == "overdue"
    assert plant.maintenance.update(2, at="2090-01-01")["status"] == "planned"
    with pytest.raises(BadRequest, match="not overdue"):
        plant.maintenance.update_status(3, "overdue", now="2026-01-01")
    assert plant.maintenance.update(3, status="cancelled")["status"] == "cancelled"
    assert plant.maintenance.update(4, status="in_progress", cost=7)["cost"] == 7
    with pytest.raises(UnknownName, match="unknown status"):
        plant.maintenance.update_status(4, "finished")
    with pytest.raises(BadRequest, match="only open tasks"):
        plant.maintenance.update(1, cost=3)


def test_update_and_delete(plant: Plant) -> None:
    before = plant.maintenance.get(5)
    after = plant.maintenance.update(5, at="2026-03-01", duration="1h", machine="M-001", notes="later")
    assert (after["machine"], after["duration_min"], after["notes"]) == ("M-001", 60.0, "later")
    assert (after["action"], after["created_at"]) == (before["action"], before["created_at"])
    assert after["updated_at"] > before["updated_at"]
    plant.maintenance.delete(5)
    with pytest.raises(UnknownName, match="unknown maintenance task 5"):
        plant.maintenance.get(5)
    with pytest.raises(UnknownName, match="field of a task"):
        plant.maintenance.update(6, colour="red")


def test_upcoming_is_by_date_then_priority(plant: Plant) -> None:
    plant.maintenance.schedule(machine="M-012", action="inspect", at="2026-01-06 08:00", priority="critical")
    tasks = plant.maintenance.upcoming(within="7d", now="2026-01-05")
    assert list(tasks["machine"][:2]) == ["M-012", "M-001"]
    assert tasks["scheduled_at"].is_monotonic_increasing
    assert (tasks["status"] == "planned").all()
    assert len(tasks) == 5
    assert list(plant.maintenance.upcoming("M-002", within="30d", now="2026-01-05")["task_id"]) == [4]
    assert plant.maintenance.upcoming(within="1h", now="2026-01-01").empty
    assert list(plant.maintenance.upcoming(within="1h", now="2026-01-01").columns) == list(tasks.columns)


def test_upcoming_shows_what_is_late_and_not_what_is_closed(plant: Plant) -> None:
    plant.maintenance.cancel(1)
    plant.maintenance.start(2)
    tasks = plant.maintenance.upcoming(within="1d", now="2026-01-08").set_index("task_id")
    assert dict(tasks["status"]) == {2: "in_progress", 3: "planned"}
    later = plant.maintenance.upcoming(within="1d", now="2026-01-09").set_index("task_id")
    assert dict(later["status"]) == {2: "in_progress", 3: "overdue", 4: "planned"}
    assert plant.maintenance.get(3)["status"] == "planned"  # derived, not stored
    for within in ("0s", "-1d", "soon", 7):
        with pytest.raises(BadRequest):
            plant.maintenance.upcoming(within=within)


def test_now_is_the_present_by_default(plant: Plant) -> None:
    soon = datetime.now(UTC) + timedelta(hours=12)
    task = plant.maintenance.schedule(machine="M-012", action="inspect", at=soon)
    assert task in list(plant.maintenance.upcoming(within="1d")["task_id"])
    assert task not in list(plant.maintenance.upcoming(within="1h")["task_id"])


def test_lists_can_be_narrowed(plant: Plant) -> None:
    plant.maintenance.start(1)
    assert list(plant.maintenance.list(status="in_progress")["task_id"]) == [1]
    assert list(plant.maintenance.list(machine="M-001")["task_id"]) == [1]
    with pytest.raises(UnknownName):
        plant.maintenance.list(status="x")
