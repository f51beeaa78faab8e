"""The panel of maintenance: schedules work, lists what is due, and says when it begins and ends."""

from __future__ import annotations

from typing import Any

import ipywidgets

from twin.live import panel_base as base
from twin.live.panel_choices import Choices
from twin.live.panel_table import Row, Table

MOST = 40
"""Tasks that are listed."""

_BUTTONS = {
    "planned": [["begin", "Begin", "begin it now"], ["cancel", "Cancel", "it will not be done"]],
    "overdue": [["begin", "Begin", "begin it now"], ["cancel", "Cancel", "it will not be done"]],
    "in_progress": [["complete", "Complete", "it is done now"]],
}
_TONES = {"overdue": "bad", "in_progress": "work", "done": "good"}
_RANK = {"in_progress": 0, "overdue": 1, "planned": 2, "done": 3, "cancelled": 4}
ANYONE = ""


class MaintenancePanel(base.Panel):
    """Schedules maintenance tasks and follows them."""

    title = "Maintenance"

    def build(self) -> Any:
        self.machine, self.action = ipywidgets.Dropdown(), ipywidgets.Dropdown()
        self.technician = ipywidgets.Dropdown()
        self.at = ipywidgets.Text(placeholder="now, +2h, a time")
        self.duration = ipywidgets.Text(placeholder="as usual")
        self.task_type = ipywidgets.Dropdown(options=base.TYPE_OPTIONS, value="corrective")
        self.priority = ipywidgets.Dropdown(options=base.PRIORITY_OPTIONS, value="medium")
        self.cost = ipywidgets.Text(placeholder="as usual")
        self.action.observe(self._on_action, "value")
        self.tasks = Table(
            self._on_click, "twin-tasks", empty="No task is planned.", max_height="260px",
            columns=[
                {"key": "at", "label": "At (UTC)", "kind": "text"},
                {"key": "machine", "label": "Machine", "kind": "text"},
                {"key": "action", "label": "Action", "kind": "text"},
                {"key": "status", "label": "Status", "kind": "text"},
                {"key": "buttons", "label": "", "kind": "buttons"},
            ],
        )  # fmt: skip
        return base.column(
            base.row(
                base.labelled("Machine", self.machine, "twin-task-machine", "100px"),
                base.labelled("Action", self.action, "twin-task-action", "160px"),
            ),
            base.row(
                base.labelled("Technician", self.technician, "twin-technician", "140px"),
                base.labelled("At (UTC)", self.at, "twin-task-at", "120px"),
                base.labelled("Duration", self.duration, "twin-task-duration", "80px"),
            ),
            base.row(
                base.labelled("Type", self.task_type, "twin-task-type", "100px"),
                base.labelled("Priority", self.priority, "twin-priority", "80px"),
                base.labelled("Cost", self.cost, "twin-cost", "80px"),
            ),
            base.row(base.button("Schedule", "twin-schedule", "plan this task", self.schedule, "primary")),
            self.answer,
            self.tasks,
        )

    def refresh(self, choices: Choices) -> None:
        super().refresh(choices)
        base.offer(self.machine, choices.machines)
        base.offer(self.action, choices.actions)
        base.offer(self.technician, (("anyone", ANYONE), *choices.technicians))

    def select(self, machine: str) -> None:
        """Choose a machine."""
        self.machine.value = machine

    @base.guarded
    def _on_action(self, change: Any) -> None:
        usual = self.choices.usual.get(change["new"])
        if usual is not None:
            self.duration.placeholder = f"{usual['duration_min']:g}min"
            self.cost.placeholder = f"{usual['parts_cost']:g}"

    @base.guarded
    def schedule(self) -> Any:
        """Schedule the task that the controls describe."""
        cost = self.cost.value.strip()
        return self.asked(
            self.session.schedule(
                machine=self.machine.value,
                action=self.action.value,
                at=base.moment(self.at.value, self.session.now_us, "at"),
                duration=self.duration.value.strip() or None,
                task_type=self.task_type.value,
                priority=self.priority.value,
                technician=self.technician.value or None,
                cost=_number(cost) if cost else None,
            )
        )

    @base.guarded
    def _on_click(self, row: str, action: str) -> None:
        verb = {"begin": self.session.begin, "complete": self.session.complete, "cancel": self.session.cancel}[action]
        self.asked(verb(row))

    def draw_rows(self) -> None:
        """Show the tasks: those under way, overdue ones, the next ones, and the last ones done."""
        tasks = self.session.tasks()
        still = [task for task in tasks if task["status"] in _BUTTONS]
        still.sort(key=lambda task: (_RANK[task["status"]], task["scheduled_at"]))
        past = sorted((t for t in tasks if t["status"] not in _BUTTONS), key=lambda t: t["scheduled_at"], reverse=True)
        self.tasks.show([self._row(task) for task in (still[: MOST - 10] + past[:10])])

    def _row(self, task: dict[str, Any]) -> Row:
        titles = {name: title for title, name in self.choices.actions}
        who = task.get("technician") or "anyone"
        cost = "" if task.get("cost") is None else f", cost {task['cost']:g}"
        what = f"{task['task_type']}, {task['priority']} priority"
        tip = f"task {task['number']}: {what}, {who}, {task['duration_min']:g} min"
        return {
            "id": str(task["number"]),
            "at": f"{task['scheduled_at']:%d %b %H:%M}",
            "machine": task["machine"],
            "action": titles.get(task["action"], base.in_words(task["action"])),
            "action_tip": tip + cost,
            "status": base.in_words(task["status"]),
            "status_tone": _TONES.get(task["status"], ""),
            "tone": "past" if task["status"] not in _BUTTONS else "",
            "buttons": _BUTTONS.get(task["status"], []),
        }


def _number(text: str) -> Any:
    """Return a typed number, or the text itself, which the session refuses in its own words."""
    try:
        return float(text)
    except ValueError:
        return text
