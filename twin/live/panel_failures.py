"""The panel of failures: puts damage into a machine, lists what is injected, and takes it away."""

from __future__ import annotations

from typing import Any

import ipywidgets

from twin.live import panel_base as base
from twin.live.panel_choices import Choices
from twin.live.panel_table import Table
from twin.times import SECOND_US


class FailuresPanel(base.Panel):
    """Injects and clears failures."""

    title = "Failures"

    def build(self) -> Any:
        self.machine = ipywidgets.Dropdown()
        self.mode = ipywidgets.Dropdown()
        self.severity = ipywidgets.Dropdown(options=base.SEVERITY_OPTIONS, value="high")
        self.progression = ipywidgets.Dropdown(
            options=[("step: stays so", "step"), ("progressive: grows", "progressive")], value="step"
        )
        self.time_to_failure = ipywidgets.Text(value="", placeholder="of a progressive one: 6h", disabled=True)
        self.progression.observe(self._on_progression, "value")
        self.injected = Table(
            self._on_click, "twin-injected", empty="Nothing is injected.",
            columns=[
                {"key": "machine", "label": "Machine", "kind": "text"},
                {"key": "mode", "label": "Failure", "kind": "text"},
                {"key": "level", "label": "Damage", "kind": "text"},
                {"key": "since", "label": "Since (UTC)", "kind": "text"},
                {"key": "buttons", "label": "", "kind": "buttons"},
            ],
        )  # fmt: skip
        return base.column(
            base.row(
                base.labelled("Machine", self.machine, "twin-inject-machine", "100px"),
                base.labelled("Failure mode", self.mode, "twin-mode", "170px"),
            ),
            base.row(
                base.labelled("Severity (damage)", self.severity, "twin-severity", "110px"),
                base.labelled("Progression", self.progression, "twin-progression", "130px"),
                base.labelled("Time to failure", self.time_to_failure, "twin-time-to-failure", "110px"),
            ),
            base.row(base.button("Inject", "twin-inject", "from the next tick on", self.inject, "danger")),
            self.answer,
            self.injected,
        )

    def refresh(self, choices: Choices) -> None:
        super().refresh(choices)
        base.offer(self.machine, choices.machines)
        base.offer(self.mode, choices.modes)

    def select(self, machine: str) -> None:
        """Choose a machine."""
        self.machine.value = machine

    @base.guarded
    def _on_progression(self, change: Any) -> None:
        self.time_to_failure.disabled = change["new"] == "step"
        if not self.time_to_failure.disabled and not self.time_to_failure.value:
            self.time_to_failure.value = "6h"

    @base.guarded
    def inject(self) -> Any:
        """Inject the chosen failure."""
        progressive = self.progression.value == "progressive"
        return self.asked(
            self.session.inject(
                self.mode.value,
                machine=self.machine.value,
                severity=self.severity.value,
                progression=self.progression.value,
                time_to_failure=self.time_to_failure.value if progressive else None,
            )
        )

    @base.guarded
    def _on_click(self, row: str, action: str) -> None:
        self.asked(self.session.clear(int(row)))

    def draw_rows(self) -> None:
        """Show what is injected now."""
        titles = {name: title for title, name in self.choices.modes}
        self.injected.show(
            [
                {
                    "id": str(row["injection_id"]),
                    "machine": row["machine"],
                    "mode": titles.get(row["failure_mode"], base.in_words(row["failure_mode"])),
                    "level": _level(row),
                    "since": f"{row['started_at']:%d %b %H:%M:%S}",
                    "buttons": [["clear", "Clear", "take the damage away"]],
                }
                for row in self.session.injections()
            ]
        )


def _level(row: dict[str, Any]) -> str:
    """Return an injection's damage in words."""
    text = f"{row['level']:.0%}"
    left = row.get("time_to_failure_us")
    return text if left is None else f"{text}, to 100% in {left / (3600 * SECOND_US):.3g} h"
